/**
 * @file The cell that holds a tensor's elements. A cell is in WebAssembly memory (resident), in a plain typed array (moved out), or recycled.
 * Several tensors may share one cell (`reshape`, `detach`). Where the bytes are is the arena's business; see arena.ts.
 */
import type { DType, NumericArray } from '../dtype.ts';
import { bytesPerElement } from '../dtype.ts';
import { RecycledError } from '../errors.ts';
import type { Scope } from './scope.ts';

/** Elements of one dtype, wherever they are. Fields are written by the arena and by `recycle` alone; others read them. */
export class Storage {
  readonly dtype: DType;
  /** Number of elements. */
  readonly length: number;
  /** The operation that made it; error messages name it. */
  readonly origin: string;
  /** Address in WebAssembly memory while resident, otherwise 0. */
  pointer = 0;
  /** The elements while not resident. */
  array: NumericArray | undefined;
  recycled = false;
  /** `keep()` or `detach()` was called: neither `backward()` nor a scope frees it. */
  kept = false;
  /** Counts changes in place, so that `backward()` notices that a saved value is no longer what it was. */
  version = 0;
  /** Was moved out once: when it comes back, only pressure moves it out again. */
  wasMovedOut = false;
  /** The innermost scope that frees it unless it is part of the scope's result. */
  scope: Scope | undefined;

  // The arena's list of resident cells, in order of last use.
  older: Storage | undefined;
  newer: Storage | undefined;
  /** The operation (arena clock) that used it last. */
  lastUse = 0;

  constructor(dtype: DType, length: number, origin: string) {
    this.dtype = dtype;
    this.length = length;
    this.origin = origin;
  }

  /** Bytes of the elements. */
  get bytes(): number {
    return this.length * bytesPerElement[this.dtype];
  }
}

/** Throws if the cell was recycled. `op` is the call that wants it. */
export function checkAlive(storage: Storage, op: string): void {
  if (!storage.recycled) return;
  throw new RecycledError(
    `${op}: a result that backward() or a scope has consumed must not be used later, got the result of ${storage.origin}, whose memory was ` +
      'recycled. Call keep() or detach() on it before backward(), or return it from the scope.',
    { op, origin: storage.origin },
  );
}
