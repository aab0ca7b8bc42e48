/** @file What a training run reports, as plain data. Every event has `event`, `iteration` (iterations done) and `elapsedMs` (since `fit`). */

/** How long workers spent in which part of their iterations: means per worker, in milliseconds. */
export interface PhaseTimes {
  /** Gathering and preparing batches. */
  data: number;
  /** Reading the weights of the iteration from their blocks. */
  weights: number;
  forward: number;
  backward: number;
  /** Writing gradients to their blocks. */
  publish: number;
  /** Waiting for blocks of others: the slowest, or the last update. */
  wait: number;
  /** Summing gradients and running the optimizer on the own slices. */
  update: number;
  /** The rest: messages, starting and leaving groups of iterations. */
  schedule: number;
}

/** Names of {@link PhaseTimes}, in order. */
export const phaseNames = ['data', 'weights', 'forward', 'backward', 'publish', 'wait', 'update', 'schedule'] as const;

/** All times zero. */
export function noTimes(): PhaseTimes {
  return { data: 0, weights: 0, forward: 0, backward: 0, publish: 0, wait: 0, update: 0, schedule: 0 };
}

/** Kills that a run survived, by phase as planned; `random` ones came at random times. */
export interface KillCounts {
  forward: number;
  backward: number;
  publish: number;
  update: number;
  checkpoint: number;
  random: number;
}

interface Common {
  /** Iterations done. */
  readonly iteration: number;
  /** Milliseconds since `fit` was called. */
  readonly elapsedMs: number;
}

/** Training is about to begin (or go on). */
export interface StartEvent extends Common {
  readonly event: 'start';
  readonly totalIterations: number;
  readonly iterationsPerEpoch: number;
  readonly records: number;
  readonly parameters: number;
  readonly partitions: number;
  readonly workers: number;
  readonly engine: string;
  /** SHA-256 over the cached training data. */
  readonly dataSha256: string;
  /** Folder of the checkpoint that the run goes on from. */
  readonly resumedFrom: string | null;
}

/** An iteration is done. */
export interface IterationEvent extends Common {
  readonly event: 'iteration';
  /** 0-based. */
  readonly epoch: number;
  /** Mean loss of the iteration's batch, before its update. */
  readonly loss: number;
  readonly lr: number;
  /** Records in the batch. */
  readonly records: number;
  /** Over the last iterations. */
  readonly recordsPerSecond: number;
  readonly workersAlive: number;
}

/** Training goes on, but not as one would wish: no update because all targets were ignored, or a loss that is not finite (said once). */
export interface WarningEvent extends Common {
  readonly event: 'warning';
  readonly message: string;
}

/** A validation is done. */
export interface ValidationEvent extends Common {
  readonly event: 'validation';
  readonly epoch: number;
  /** Result of each metric by name. */
  readonly metrics: Readonly<Record<string, unknown>>;
  readonly records: number;
}

/** A checkpoint is on disk. */
export interface CheckpointEvent extends Common {
  readonly event: 'checkpoint';
  readonly path: string;
}

/** A worker is gone; its partitions are done again elsewhere. */
export interface WorkerLostEvent extends Common {
  readonly event: 'workerLost';
  readonly worker: number;
  /** What it was doing, if known: `forward`, ..., or the loop's phase. */
  readonly phase: string | null;
  readonly partition: number | null;
  readonly reason: string;
}

/** A worker joined. */
export interface WorkerStartedEvent extends Common {
  readonly event: 'workerStarted';
  readonly worker: number;
}

/** The run was interrupted by its signal, at the end of an iteration. */
export interface InterruptedEvent extends Common, Summary {
  readonly event: 'interrupted';
  readonly checkpoint: string | null;
}

/** The run ended as planned. */
export interface DoneEvent extends Common, Summary {
  readonly event: 'done';
  readonly checkpoint: string | null;
}

/** What is known at the end of a run. */
export interface Summary {
  /** SHA-256 over the little-endian float32 values in state-dict order, NaN canonicalised. */
  readonly weightsSha256: string;
  readonly recordsPerSecond: number;
  /** First to last iteration, without validation, checkpoints and start. */
  readonly trainSeconds: number;
  readonly workers: number;
  readonly partitions: number;
  readonly kills: KillCounts;
  /** Bytes of parameters, gradients or optimizer state that the driver touched between the first and the last iteration. */
  readonly driverParameterBytes: number;
  /** Bytes of records that crossed between driver and workers between the first and the last iteration. */
  readonly sampleBytesCrossed: number;
  /** Calls of reference kernels (not WebAssembly) on workers while training. */
  readonly referenceKernelCalls: number;
  readonly phasesMs: PhaseTimes;
  /** Whether the same seed, data, model and partitions give the same bits on any machine; false with the relaxed build of the kernels. */
  readonly reproducible: boolean;
}

/** Everything that `fit` yields. */
export type TrainEvent =
  | StartEvent
  | IterationEvent
  | WarningEvent
  | ValidationEvent
  | CheckpointEvent
  | WorkerLostEvent
  | WorkerStartedEvent
  | InterruptedEvent
  | DoneEvent;
