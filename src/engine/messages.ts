/** @file What driver and workers say to each other. Everything survives a structured clone. */
import type { BlockHandles, PinnedBlocks } from './blocks.ts';
import type { FaultPoint, Phase } from './engine.ts';
import type { ModuleTask } from './functions.ts';

/** An error as plain data: class identity is lost between threads, code, fields, stack and cause are not. */
export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly stack?: string;
  readonly cause?: PlainError;
  /** Trying again cannot help. */
  readonly final?: boolean;
}

/** Points at which a worker parks, and a shared flag for each that says whether it has been reached. */
export interface FaultPlan {
  readonly points: readonly FaultPoint[];
  readonly reached: SharedArrayBuffer;
}

/** Driver to worker. */
export type ToWorker =
  | {
      readonly type: 'task';
      readonly job: number;
      readonly task: number;
      readonly attempt: number;
      readonly partition: number;
      readonly run: ModuleTask;
      readonly input: unknown;
      readonly faults: FaultPlan | null;
      /** Where blocks of shuffles go that do not stay in memory. */
      readonly spillFolder: string;
    }
  | {
      readonly type: 'openLoop';
      readonly job: number;
      readonly program: ModuleTask;
      readonly blocks: BlockHandles;
      readonly phases: readonly Phase[];
      readonly startIteration: number;
      readonly faults: FaultPlan | null;
    }
  | {
      readonly type: 'enterLoop';
      readonly job: number;
      readonly epoch: number;
      /** The owner of each unit. */
      readonly owners: readonly number[];
      /** The units of this worker. */
      readonly units: readonly number[];
      /** The iteration at which all units last stood together: nobody is behind it. */
      readonly floor: number;
      /** What the units that are new to this worker need. */
      readonly inputs: readonly { readonly unit: number; readonly input: unknown }[];
    }
  | { readonly type: 'closeLoop'; readonly job: number };

/**
 * How a worker left a loop: all its units reached the limit, or a limit that has been raised since (`early`: it has to go on), or the owners
 * changed.
 */
export type LoopOutcome = 'done' | 'early' | 'reassigned';

/** Worker to driver. */
export type FromWorker =
  | { readonly type: 'ready' }
  | {
      readonly type: 'taskSucceeded';
      readonly job: number;
      readonly task: number;
      readonly attempt: number;
      readonly result: unknown;
    }
  | {
      readonly type: 'taskFailed';
      readonly job: number;
      readonly task: number;
      readonly attempt: number;
      readonly error: PlainError;
    }
  | {
      readonly type: 'loopReturned';
      readonly job: number;
      readonly epoch: number /** The limit that its units have reached; null if the owners changed. */;
      readonly limit: number | null;
    }
  | {
      readonly type: 'loopFailed';
      readonly job: number;
      readonly epoch: number;
      readonly at: string;
      readonly error: PlainError;
    }
  | { readonly type: 'emit'; readonly job: number; readonly value: unknown }
  | { readonly type: 'parked'; readonly fault: number };

/** To a worker's thread from the main thread of its process, where memory is not shared: also the answer to `fetch`, null if it failed. */
export type ToThread =
  | ToWorker
  | { readonly type: 'fetched'; readonly id: number; readonly handles: BlockHandles | null };

/** From a worker's thread, where memory is not shared: also what concerns blocks. */
export type FromThread =
  | FromWorker
  | {
      readonly type: 'published';
      readonly job: number;
      readonly block: string;
      readonly unit: number;
      readonly version: number;
    }
  | { readonly type: 'fetch'; readonly id: number; readonly pinned: PinnedBlocks; readonly names: readonly string[] };
