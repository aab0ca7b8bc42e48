/**
 * @file Every error that shoal throws on purpose. The message says what went wrong and what to do next: `"<op>: <rule>, got <values>. <next
 * step>."`; `code` is stable, and `fields` are plain data, because the class of an error is lost when it crosses threads.
 */

/** Plain values that describe an error: numbers, strings, and arrays or records of them. */
export type ErrorFields = Readonly<Record<string, unknown>>;

/**
 * An error with a stable code and plain fields. Catch by `error.code`, which survives threads; `instanceof` does not.
 *
 * @example
 * try {
 *   matmul(zeros([2, 3]), zeros([2, 3]));
 * } catch (error) {
 *   if (error instanceof ShoalError) console.log(error.code, error.fields);
 * }
 */
export class ShoalError extends Error {
  readonly code: string;
  readonly fields: ErrorFields;

  constructor(code: string, message: string, fields: ErrorFields = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ShoalError';
    this.code = code;
    this.fields = fields;
  }
}

/** Shapes that an operation cannot take. Code `SHAPE`. */
export class ShapeError extends ShoalError {
  constructor(message: string, fields: ErrorFields = {}) {
    super('SHAPE', message, fields);
    this.name = 'ShapeError';
  }
}

/** A data type that an operation cannot take. Code `DTYPE`. */
export class DTypeError extends ShoalError {
  constructor(message: string, fields: ErrorFields = {}) {
    super('DTYPE', message, fields);
    this.name = 'DTypeError';
  }
}

/** An index outside its range. Code `INDEX_RANGE`. */
export class IndexRangeError extends ShoalError {
  constructor(message: string, fields: ErrorFields = {}) {
    super('INDEX_RANGE', message, fields);
    this.name = 'IndexRangeError';
  }
}

/** An argument (not a shape, dtype or index) outside what the call allows. Code `ARGUMENT`. */
export class ArgumentError extends ShoalError {
  constructor(message: string, fields: ErrorFields = {}) {
    super('ARGUMENT', message, fields);
    this.name = 'ArgumentError';
  }
}

/** A value touched after its memory was recycled by `backward()`. Code `RECYCLED`. */
export class RecycledError extends ShoalError {
  constructor(message: string, fields: ErrorFields = {}) {
    super('RECYCLED', message, fields);
    this.name = 'RecycledError';
  }
}

/** A misuse of the autograd graph: no graph, a graph consumed twice, a value changed in place. Code `AUTOGRAD`. */
export class AutogradError extends ShoalError {
  constructor(message: string, fields: ErrorFields = {}) {
    super('AUTOGRAD', message, fields);
    this.name = 'AutogradError';
  }
}

/** A kernel that could not run: out of memory, or a trap with the kernel's name. Code `KERNEL` or `OUT_OF_MEMORY`. */
export class KernelError extends ShoalError {
  constructor(code: 'KERNEL' | 'OUT_OF_MEMORY', message: string, fields: ErrorFields = {}, cause?: unknown) {
    super(code, message, fields, cause);
    this.name = 'KernelError';
  }
}

/** Bytes that are not what their format says. Code `FORMAT`. */
export class FormatError extends ShoalError {
  constructor(message: string, fields: ErrorFields = {}) {
    super('FORMAT', message, fields);
    this.name = 'FormatError';
  }
}

/** What a stream of frames may break: src/codec/frames.ts says when. */
export type FrameErrorCode = 'FRAME_MAGIC' | 'FRAME_VERSION' | 'FRAME_CRC' | 'FRAME_TOO_LARGE' | 'FRAME_TRUNCATED';

/** A stream of frames that cannot be believed any more. Nothing behind it is read. */
export class FrameError extends ShoalError {
  constructor(code: FrameErrorCode, message: string, fields: ErrorFields = {}) {
    super(code, message, fields);
    this.name = 'FrameError';
  }
}

/** A checkpoint that cannot be written, read or resumed. Code starts with `CHECKPOINT_`. */
export class CheckpointError extends ShoalError {
  constructor(code: `CHECKPOINT_${string}`, message: string, fields: ErrorFields = {}, cause?: unknown) {
    super(code, message, fields, cause);
    this.name = 'CheckpointError';
  }
}

/** A job of the engine that ended without a result. Codes: `TASK_FAILED`, `WORKER_LOST`, `WORKER_STUCK`, `DEADLOCK`, `CANCELLED`, ... */
export class EngineError extends ShoalError {
  constructor(code: string, message: string, fields: ErrorFields = {}, cause?: unknown) {
    super(code, message, fields, cause);
    this.name = 'EngineError';
  }
}

/** A broken promise of shoal's own code, never of its caller. Code `INVARIANT`. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition)
    throw new ShoalError('INVARIANT', `shoal: internal invariant broken: ${message}. Please report this.`);
}
