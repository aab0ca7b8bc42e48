/** @file The language of the scheduler: what it is told and what it tells. Plain data, so that a run can be logged and replayed. */
import type { EndReason, RunningUnit } from './events.ts';
import type { LoopOutcome, PlainError } from './messages.ts';

/** What happened. */
export type SchedulerEvent =
  | { readonly type: 'start'; readonly workers: number }
  | { readonly type: 'resize'; readonly workers: number }
  | { readonly type: 'workerReady'; readonly worker: number }
  | {
      readonly type: 'workerExited';
      readonly worker: number;
      readonly running: RunningUnit | null;
      readonly detail: string;
    }
  | { readonly type: 'silence'; readonly worker: number }
  | { readonly type: 'kill'; readonly worker: number }
  | { readonly type: 'stuck'; readonly worker: number }
  | { readonly type: 'submitStage'; readonly job: number; readonly preferred: readonly (number | null)[] }
  | {
      readonly type: 'taskSucceeded';
      readonly worker: number;
      readonly job: number;
      readonly task: number;
      readonly attempt: number;
    }
  | {
      readonly type: 'taskFailed';
      readonly worker: number;
      readonly job: number;
      readonly task: number;
      readonly attempt: number;
      readonly error: PlainError;
    }
  /** A task takes far longer than its like. */
  | { readonly type: 'straggler'; readonly job: number; readonly task: number }
  /** A worker holds more memory than it may. */
  | {
      readonly type: 'overBudget';
      readonly worker: number;
      readonly bytes: number;
      readonly budgetBytes: number;
    }
  | { readonly type: 'cancel'; readonly job: number }
  | { readonly type: 'openLoop'; readonly job: number; readonly units: number }
  | { readonly type: 'advance'; readonly job: number }
  | {
      readonly type: 'loopReturned';
      readonly worker: number;
      readonly job: number;
      readonly epoch: number;
      readonly outcome: LoopOutcome;
    }
  | {
      readonly type: 'loopFailed';
      readonly worker: number;
      readonly job: number;
      readonly epoch: number;
      readonly at: string;
      readonly error: PlainError;
    }
  | { readonly type: 'deadlock'; readonly job: number }
  | { readonly type: 'closeLoop'; readonly job: number }
  | { readonly type: 'close' };

/** What the driver has to do. */
export type Command =
  | { readonly type: 'startWorker'; readonly worker: number }
  | { readonly type: 'terminate'; readonly worker: number; readonly reason: EndReason }
  | {
      readonly type: 'runTask';
      readonly worker: number;
      readonly job: number;
      readonly task: number;
      readonly attempt: number;
    }
  | { readonly type: 'deliver'; readonly job: number; readonly task: number; readonly worker: number }
  | {
      readonly type: 'attemptFailed';
      readonly job: number;
      readonly task: number;
      readonly attempt: number;
      readonly reason: EndReason;
      readonly message: string;
    }
  | { readonly type: 'setOwners'; readonly job: number; readonly owners: readonly number[] }
  | { readonly type: 'enterLoop'; readonly worker: number; readonly job: number; readonly units: readonly number[] }
  | { readonly type: 'leaveLoop'; readonly worker: number; readonly job: number }
  /** Ask the loop to meet at the next iteration, so that units can move to a worker that has none. */
  | { readonly type: 'regroup'; readonly job: number }
  | { readonly type: 'advanced'; readonly job: number }
  | {
      readonly type: 'endJob';
      readonly job: number;
      readonly reason: EndReason;
      /** The task that failed, and its attempt; -1 and 0 if the job did not end with a task. */
      readonly task: number;
      readonly attempt: number;
      readonly error: PlainError | null;
    };
