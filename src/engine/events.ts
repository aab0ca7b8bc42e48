/** @file The stream of events of an engine: what happened to workers, jobs and tasks. Plain data. */

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
  | 'left';

/** Something that happened in an engine. `worker`, `job`, `task` are ids; a task is a position in its stage or a unit of its loop. */
export type EngineEvent =
  /** A worker ended because the engine was made smaller. */
  | { readonly event: 'workerLeft'; readonly worker: number }
  | { readonly event: 'workerStarted'; readonly worker: number; readonly startMs: number }
  | {
      readonly event: 'workerLost';
      readonly worker: number;
      readonly reason: string;
      readonly running: RunningUnit | null;
    }
  | {
      readonly event: 'killed';
      readonly worker: number;
      readonly planned: FaultPoint | null;
      readonly running: RunningUnit | null;
    }
  | { readonly event: 'jobStarted'; readonly job: number; readonly name: string; readonly tasks: number }
  | {
      readonly event: 'taskFailed';
      readonly job: number;
      readonly task: number;
      readonly attempt: number;
      readonly reason: EndReason;
      readonly message: string;
    }
  | { readonly event: 'reassigned'; readonly job: number; readonly epoch: number; readonly owners: readonly number[] }
  | { readonly event: 'jobEnded'; readonly job: number; readonly name: string; readonly reason: EndReason };

/** What a worker was doing in a loop, read from its vital signs. */
export interface RunningUnit {
  readonly phase: string;
  readonly unit: number;
  readonly iteration: number;
}
