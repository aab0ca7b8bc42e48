/**
 * @file The engine as its users (datasets, the Trainer) see it. An engine runs *stages*: independent tasks, one per partition, retried when they or
 * their worker fail; and *loops*: iterations over versioned blocks, in which every unit of work waits for the versions it needs and for
 * nothing else. It knows neither tensors nor datasets.
 */
import type { BlockHandles, BlockSpecs, BlockTable, PinnedBlocks } from './blocks.ts';
import type { EngineEvent } from './events.ts';
import type { ModuleTask } from './functions.ts';
import type { ShuffleStore } from './shuffle-store.ts';

/** What a task of a stage is told about itself. */
export interface TaskContext {
  /** Index of the task's partition. */
  readonly partition: number;
  /** 1 for the first try. */
  readonly attempt: number;
  /** Identity of the worker; a replacement has a new one. */
  readonly worker: number;
  /** Values that live in this worker's heap until it ends, by key (heap caches, loaded models). Lost with the worker. */
  readonly store: Map<string, unknown>;
  /** Blocks of shuffles: what tasks write for tasks of later stages, on whatever worker these run. */
  readonly shuffles: ShuffleStore;
  /** Tells the driver that the task is alive. Long loops call it now and then: silence, not duration, is what times out. */
  progress(): void;
  /** As {@link LoopContext.faultPoint}. */
  faultPoint(phase: string, unit: number, iteration: number, offset: number): void;
  /** The named blocks of a loop that stands at `version`; where memory is not shared, they are fetched. */
  openBlocks(pinned: PinnedBlocks, names: readonly string[]): Promise<BlockTable>;
}

/** The function that a stage runs on each partition: `(context, input, args) => result`. The result must survive a structured clone. */
export type StageFunction = (context: TaskContext, input: never, args: never) => unknown;

/** One task of a stage. */
export interface StageInput {
  /** Index of the partition, for messages. */
  readonly partition: number;
  /** Passed to the function; copied by structured clone (SharedArrayBuffers are shared). */
  readonly input: unknown;
  /** The worker that already holds what the task needs, if that worker is still alive. */
  readonly preferredWorker?: number;
}

/** A set of independent tasks. */
export interface Stage {
  /** For messages and events, such as `collect`. */
  readonly name: string;
  /** Module and export of a {@link StageFunction}, with its `args`. */
  readonly run: ModuleTask;
  readonly inputs: readonly StageInput[];
}

/** How to run a stage. */
export interface RunOptions {
  /** Cancels the stage: its tasks are dropped, workers that run them are replaced, and `run` rejects with `CANCELLED`. */
  readonly signal?: AbortSignal;
  /** Called when the result of a task arrives, in order of arrival. `index` is the position in `inputs`. */
  readonly onResult?: (index: number, result: unknown, worker: number) => void;
}

/** One step that every unit takes in every iteration of a loop. */
export interface Phase {
  readonly name: string;
  /** The block that this phase publishes: after unit u finished iteration t, its version is t + 1. */
  readonly writes: string;
  /** The block that the phase reads: it runs when *all* units of it have version >= t + `lag`. */
  readonly needs: string;
  /** 0: the version that the iteration starts from; 1: what an earlier phase of the same iteration wrote. */
  readonly lag: 0 | 1;
  /** For each unit the bytes that the phase reads of every part of the needed block. Default: all. Nothing else travels. */
  readonly reads?: readonly (readonly ByteRange[])[];
}

/** A run of bytes in a part of a block. */
export interface ByteRange {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** What a loop's program may use on its worker. All of it is synchronous. */
export interface LoopContext {
  readonly worker: number;
  readonly blocks: BlockTable;
  /** Sends a small plain value to the driver's `onEmit`. At least once: a unit that is run again emits again. */
  emit(value: unknown): void;
  /** Keeps up to four numbers about an iteration for the driver's {@link Loop.report}: by the owner of unit 0, before it publishes. */
  report(iteration: number, line: readonly number[]): void;
  /** A point at which a fault plan may stop this worker; free when there is no plan. `offset` counts the points inside a phase. */
  faultPoint(phase: string, unit: number, iteration: number, offset: number): void;
  /** Tells the driver that the phase is alive. */
  progress(): void;
}

/** The worker's side of a loop. */
export interface LoopProgram {
  /** Takes over a unit, before its first phase here: builds or finds what the unit needs. */
  adopt?(unit: number, input: unknown): void | Promise<void>;
  /** Writes a unit's parts at the loop's first version, the same wherever it runs. Without it they are zero. */
  initialise?(unit: number): void | Promise<void>;
  /** Runs a phase of a unit. Everything it writes goes to the version that the phase publishes; run again, it must write the same. */
  run(phase: string, unit: number, iteration: number): void;
  /** Milliseconds spent in the engine's own part of this worker are added here, by name: `wait`, `schedule`. */
  account?(name: 'wait' | 'schedule', durationMs: number): void;
  /** Called each time the worker leaves the loop, before it tells the driver. */
  leave?(): void;
  /** Called when the loop is closed: frees what does not go with the heap. */
  close?(): void;
}

/** The function that opens a loop on a worker: `(context, args) => program`. */
export type LoopFunction = (context: LoopContext, args: never) => LoopProgram | Promise<LoopProgram>;

/** A point at which a worker is to be killed: the worker that reaches it parks, tells the driver and waits to be terminated. */
export interface FaultPoint {
  readonly phase: string;
  readonly unit: number;
  readonly iteration: number;
  readonly offset: number;
}

/** A loop: `units` units, each of which takes all `phases` in every iteration. */
export interface LoopSpec {
  readonly name: string;
  /** Module and export of a {@link LoopFunction}, with its `args`. */
  readonly program: ModuleTask;
  readonly units: number;
  /** What a worker gets with each unit that it takes over. */
  readonly inputs: readonly unknown[];
  readonly blocks: BlockSpecs;
  readonly phases: readonly Phase[];
  /** First iteration; every block starts at this version, as `initialise` writes it. */
  readonly startIteration: number;
  readonly onEmit?: (value: unknown, worker: number) => void;
}

/** An open loop, held by the driver. */
export interface Loop {
  readonly blocks: BlockTable;
  /** Iterations that all units have finished. */
  readonly iteration: number;
  /** What a published iteration reported, see {@link LoopContext.report}; the last 1,024 iterations are kept. */
  report(iteration: number): number[];
  /** The named blocks of the version at which the loop stands, in this thread's memory. */
  fetch(names: readonly string[]): Promise<BlockHandles>;
  /** Runs iterations up to (not including) `to` on all workers; resolves with the iteration reached, which is less after {@link stop}. */
  advance(to: number): Promise<number>;
  /** Asks a running `advance` to end as soon as all units stand at the same iteration. */
  stop(): void;
  /** Ends the loop on the workers; the blocks stay readable. */
  close(): Promise<void>;
}

/** What runs stages and loops. Create one with `threads()` or `inline()`; `close()` it when done. */
export interface Engine {
  readonly carrier: 'inline' | 'threads' | 'process';
  /** Number of workers that the engine keeps alive. */
  readonly workers: number;
  /**
   * Changes the number of workers, also while jobs run: new ones get their share when they are ready, those that leave end what they have begun.
   * Results do not change by a bit. (`inline` stays at one.)
   *
   * @throws EngineError `ARGUMENT` unless `workers` is an integer >= 1
   */
  resize(workers: number): void;
  /** Attempts that a task has before its job fails. */
  readonly maxAttempts: number;
  /** Bytes of shuffle blocks that may stay in memory, of all shuffles together; the others go to files. 0 where workers share no memory. */
  readonly shuffleMemoryBytes: number;
  /** Removes the files of a shuffle that nobody will read any more; others are removed when the engine closes. */
  dropShuffle(shuffle: string): void;
  /** Ids of the workers that are alive and ready now. */
  liveWorkers(): readonly number[];
  /** Runs a stage; resolves with the results in the order of `inputs`. @throws EngineError (rejects) with the reason. */
  run(stage: Stage, options?: RunOptions): Promise<unknown[]>;
  /** Opens a loop on all workers. */
  openLoop(spec: LoopSpec): Promise<Loop>;
  /** Listens to events; returns the function that stops listening. */
  subscribe(listener: (event: EngineEvent) => void): () => void;
  /** Kills a worker now, as a machine failure would (fault tests). Its work is done again elsewhere. */
  killWorker(worker: number): void;
  /** Sets the points at which workers are killed from now on (fault tests); the workers lost to it are reported as `killed` events. */
  setFaults(points: readonly FaultPoint[]): void;
  /** Bytes of records that crossed between driver and workers so far, in either direction (shared memory does not cross). */
  sampleBytesCrossed(): number;
  /** Ends all workers. Running jobs reject with `ENGINE_CLOSED`. Safe to call twice. */
  close(): Promise<void>;
}

/** Marks a value that holds records, so that {@link Engine.sampleBytesCrossed} counts it when it crosses threads. */
export interface RecordsPayload {
  readonly records: unknown;
}
