/**
 * @file The stream of events of an engine: what happened to workers, jobs, tasks and blocks. Plain data, in the order in which it happened.
 * Every event has `event` and `elapsedMs`; ids count from 0. A task is a position in its stage, or a unit of its loop.
 */
import type { FaultPoint } from './engine.ts';

/** Why a task, a unit of a loop or a job ended. A closed set. */
export type EndReason =
  | 'success'
  | 'taskError'
  | 'workerLost'
  | 'silence'
  | 'cancelled'
  | 'closed'
  | 'stuck'
  | 'deadlock'
  | 'startFailed'
  | 'left'
  | 'excluded'
  | 'superseded'
  | 'memoryBudget';

interface Common {
  /** Milliseconds since the engine was created; never falls. */
  readonly elapsedMs: number;
}

/** A worker is ready; `startMs` is how long that took. */
export interface WorkerReadyEvent extends Common {
  readonly event: 'workerStarted';
  readonly worker: number;
  readonly startMs: number;
}

/** A worker is gone that should not be (it ended, was killed, or ran what was cancelled); what it had begun is done again elsewhere. */
export interface WorkerGoneEvent extends Common {
  readonly event: 'workerLost';
  readonly worker: number;
  readonly reason: string;
  /** What it was doing in a loop. */
  readonly running: RunningUnit | null;
}

/** A worker ended because the engine was made smaller, or closed. */
export interface WorkerLeftEvent extends Common {
  readonly event: 'workerLeft';
  readonly worker: number;
}

/** A worker is being killed: by a fault plan, or (`planned` is null) by `killWorker`. `workerLost` follows. */
export interface KilledEvent extends Common {
  readonly event: 'killed';
  readonly worker: number;
  readonly planned: FaultPoint | null;
  readonly running: RunningUnit | null;
}

/** A job was taken: a stage (independent tasks) or a loop (units that iterate over blocks). */
export interface JobStartedEvent extends Common {
  readonly event: 'jobStarted';
  readonly job: number;
  readonly kind: 'stage' | 'loop';
  readonly name: string;
  /** Tasks of the stage, or units of the loop. */
  readonly tasks: number;
}

/** A job is over, for one of the reasons. Nothing comes of it after this. */
export interface JobEndedEvent extends Common {
  readonly event: 'jobEnded';
  readonly job: number;
  readonly kind: 'stage' | 'loop';
  readonly name: string;
  readonly reason: EndReason;
  readonly durationMs: number;
}

/** An attempt of a task was sent to a worker. One `taskEnded` or `taskFailed` follows. */
export interface TaskStartedEvent extends Common {
  readonly event: 'taskStarted';
  readonly job: number;
  readonly task: number;
  readonly partition: number;
  /** 1 for the first try. */
  readonly attempt: number;
  readonly worker: number;
}

/** The result of an attempt arrived (`success`), or is not needed any more because the job ended for the reason. */
export interface TaskEndedEvent extends Common {
  readonly event: 'taskEnded';
  readonly job: number;
  readonly task: number;
  readonly partition: number;
  readonly attempt: number;
  readonly worker: number;
  readonly reason: EndReason;
  /** From sending the task to hearing of its end, on the driver's clock. */
  readonly durationMs: number;
}

/** An attempt failed: it threw, or its worker is gone. Another follows unless the job ends. In a loop `task` is -1: the message names phase and unit. */
export interface TaskFailedEvent extends Common {
  readonly event: 'taskFailed';
  readonly job: number;
  readonly task: number;
  readonly attempt: number;
  readonly reason: EndReason;
  readonly message: string;
  /** `null` in a loop, where a worker runs many units. */
  readonly worker: number | null;
  readonly durationMs: number | null;
}

/** The units of a loop have new owners: `owners[unit]` is a worker, -1 while there is none. */
export interface ReassignedEvent extends Common {
  readonly event: 'reassigned';
  readonly job: number;
  readonly epoch: number;
  readonly owners: readonly number[];
}

/** An advance of a loop is over: every unit has published the versions `from` + 1 to `to` of a block. Once an advance, not once an iteration. */
export interface BlockPublishedEvent extends Common {
  readonly event: 'blockPublished';
  readonly job: number;
  readonly block: string;
  readonly units: number;
  readonly from: number;
  readonly to: number;
}

/** What the engine has done so far; once a second while it works, and when it is closed. */
export interface MetricsEvent extends Common, EngineMetrics {
  readonly event: 'metrics';
}

/** Counters of an engine since it was created. */
export interface EngineMetrics {
  readonly workersAlive: number;
  readonly workersStarted: number;
  readonly workersLost: number;
  readonly jobsRunning: number;
  readonly tasksStarted: number;
  readonly tasksSucceeded: number;
  /** Attempts of tasks, and of phases of loops. */
  readonly tasksFailed: number;
  /** Bytes of records that crossed between driver and workers. */
  readonly recordBytes: number;
}

/** Something that happened in an engine. */
export type EngineEvent =
  | WorkerReadyEvent
  | WorkerGoneEvent
  | WorkerLeftEvent
  | KilledEvent
  | JobStartedEvent
  | JobEndedEvent
  | TaskStartedEvent
  | TaskEndedEvent
  | TaskFailedEvent
  | ReassignedEvent
  | BlockPublishedEvent
  | MetricsEvent;

/** What a worker was doing in a loop, read from its vital signs. */
export interface RunningUnit {
  readonly phase: string;
  readonly unit: number;
  readonly iteration: number;
}
