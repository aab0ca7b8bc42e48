/** @file The options of an engine, and where one may be created. */
import { EngineError } from '../errors.ts';
import type { Command, SchedulerEvent } from './scheduler-types.ts';

/** Options of an engine. */
export interface EngineOptions {
  /** Workers to keep alive. Default: the number of cores (threads). */
  readonly workers?: number;
  /** Attempts of a task before its job fails. Default 4. */
  readonly maxAttempts?: number;
  /** A worker that gives no sign of life for so long while it works is ended and its work done again. Default 120,000. */
  readonly silenceTimeoutMs?: number;
  /** A worker that is not gone so long after it was told to end fails all jobs with `WORKER_STUCK`. Default 10,000. */
  readonly stuckTimeoutMs?: number;
  /** Bytes of shuffle blocks that stay in memory, of all shuffles of the engine together; what is beyond goes to files. Default 268,435,456. */
  readonly shuffleMemoryBytes?: number;
  /** Where the folder for those files is made (only if they are needed; it is gone when the engine is closed). Default: the system's temporary folder. */
  readonly spillFolder?: string;
  /** Keeps every scheduler event with the commands that followed, for replay. Default none. */
  readonly log?: (event: SchedulerEvent, commands: readonly Command[]) => void;
}

/** Refuses numbers of workers that are none. @throws EngineError `ARGUMENT` */
export function checkWorkers(op: string, workers: number): void {
  if (Number.isInteger(workers) && workers >= 1) return;
  throw new EngineError(
    'ARGUMENT',
    `${op}: workers must be an integer >= 1, got ${workers}. Leave it out for one per core.`,
    { workers },
  );
}

/** The memory for shuffles that options ask for. @throws EngineError `ARGUMENT` */
export function shuffleMemory({ shuffleMemoryBytes = 2 ** 28 }: EngineOptions): number {
  if (Number.isSafeInteger(shuffleMemoryBytes) && shuffleMemoryBytes >= 0) return shuffleMemoryBytes;
  throw new EngineError(
    'ARGUMENT',
    `engine: shuffleMemoryBytes must be an integer >= 0, got ${shuffleMemoryBytes}. Use 0 to keep all shuffles in files.`,
    { shuffleMemoryBytes },
  );
}

/** Refuses to create an engine inside a worker. @throws EngineError `MAIN_IN_WORKER` */
export function checkThread(): void {
  if ((globalThis as Record<symbol, unknown>)[Symbol.for('shoal.worker')] !== true) return;
  throw new EngineError(
    'MAIN_IN_WORKER',
    'engine: an engine must not be created inside a worker. Your main module was imported by a task, so it started its job again: put the ' +
      'functions and classes that tasks use into a module of their own, and export them from there.',
  );
}
