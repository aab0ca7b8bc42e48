/** @file How the end of a job becomes the error that its caller catches. */
import { EngineError } from '../errors.ts';
import type { RunOptions, Stage } from './engine.ts';
import type { EndReason } from './events.ts';
import { fromPlainError } from './plain-error.ts';
import type { Command } from './scheduler-types.ts';

const codes: Readonly<Record<EndReason, string>> = {
  success: 'SUCCESS',
  taskError: 'TASK_FAILED',
  workerLost: 'WORKER_LOST',
  silence: 'SILENCE',
  cancelled: 'CANCELLED',
  closed: 'ENGINE_CLOSED',
  stuck: 'WORKER_STUCK',
  deadlock: 'DEADLOCK',
  startFailed: 'WORKER_START_FAILED',
  left: 'WORKER_LOST',
  excluded: 'WORKER_LOST',
  superseded: 'WORKER_LOST',
  memoryBudget: 'MEMORY_BUDGET',
};

/** How a job ended, as the scheduler says it. */
export type JobEnd = Extract<Command, { type: 'endJob' }>;

/** The error of a job that ended with `reason`: names the partition and the attempt, and carries the last failure as `cause`. */
export function jobError(
  name: string,
  stage: { readonly spec: Stage; readonly options: RunOptions } | undefined,
  { job: id, reason, task, attempt, error }: JobEnd,
): EngineError {
  const partition = stage?.spec.inputs[task]?.partition ?? task;
  const fields = {
    ...(reason === 'memoryBudget' ? error?.fields : {}),
    ...{ job: id, name, partition, reason, attempt },
    ...(error?.code ? { causeCode: error.code } : {}),
  };
  const cause = error === null ? stage?.options.signal?.reason : fromPlainError(error);
  const what = error === null ? reason : error.message;
  const where = (task < 0 ? '' : ` in partition ${partition}`) + (attempt === 0 ? '' : `, attempt ${attempt}`);
  const next = nextSteps[reason];
  return new EngineError(
    codes[reason],
    `${name}: the job ended with ${reason}${where}: ${what}${next === '' ? '' : ` ${next}`}`,
    fields,
    cause,
  );
}

const nextSteps: Readonly<Record<EndReason, string>> = {
  success: '',
  taskError: '(last failure; see `cause` for its stack.)',
  workerLost:
    '(the worker ended while it ran this task, at each attempt: look for process.exit, memory limits, native crashes.)',
  silence: '(no sign of life: raise silenceTimeoutMs or call context.progress() in long loops.)',
  cancelled: '',
  closed: '',
  stuck: '(the runtime cannot end a running WebAssembly loop: restart the process.)',
  deadlock: '(all workers wait for versions that nobody will write. Please report this.)',
  left: '',
  excluded: '',
  superseded: '',
  memoryBudget:
    '(make partitions or batches smaller, keep fewer results in workers, start fewer workers, or raise memoryBudgetBytes.)',
  startFailed: '(workers end before they are ready: see the detail above.)',
};

/** The error of a job whose inputs cannot travel. */
export function inputError(name: string, thrown: unknown): EngineError {
  const message = `${name}: inputs and args must survive a structured clone, got some that do not (${String(thrown)}). Pass plain data.`;
  return new EngineError('INPUT_NOT_CLONEABLE', message, { name }, thrown);
}
