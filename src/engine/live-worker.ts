/** @file A live worker: what the driver knows of it, and what its vital signs say. */
import type { CarriedWorker } from './carrier.ts';
import type { EnginePolicy } from './engine-options.ts';
import type { EndReason, RunningUnit } from './events.ts';
import type { LiveLoop } from './live-loop.ts';
import type { SchedulerEvent } from './scheduler-types.ts';
import { type Vitals, vitalState } from './vitals.ts';

/** A worker, as the driver holds it. */
export interface LiveWorker {
  readonly id: number;
  readonly carried: CarriedWorker;
  readonly vitals: Vitals;
  readonly startedMs: number;
  ready: boolean;
  /** Messages that it has not answered. */
  busy: number;
  /** Loops opened on it, and the units of each that it has been given inputs for. */
  readonly loops: Map<number, Set<number>>;
  /** The last count of its signs of life, and when that was new. */
  seenProgress: number;
  seenMs: number;
  /** When it was told to end. */
  terminatedMs: number | null;
  /** Why it was told to end. */
  endReason: EndReason | null;
}

/** Whether it computes: it runs a task or a phase, and does not wait for others. */
export function isComputing({ vitals }: LiveWorker): boolean {
  return vitals.state === vitalState.task || vitals.state === vitalState.phase;
}

/** A worker that is not ready so long after its start is ended: it gives no sign of life before. */
const START_TIMEOUT_MS = 30_000;

/** What is wrong with a worker now, as the scheduler is to be told: it does not go, holds too much memory, or gives no sign of life. */
export function troubleOf(
  worker: LiveWorker,
  now: number,
  { stuckTimeoutMs, memoryBudgetBytes, silenceTimeoutMs }: EnginePolicy,
): Extract<SchedulerEvent, { type: 'stuck' | 'overBudget' | 'silence' }> | null {
  const { id, vitals, ready, terminatedMs } = worker;
  if (terminatedMs !== null) return now - terminatedMs > stuckTimeoutMs ? { type: 'stuck', worker: id } : null;
  const { memoryBytes } = vitals;
  if (memoryBytes > memoryBudgetBytes) {
    return { type: 'overBudget', worker: id, bytes: memoryBytes, budgetBytes: memoryBudgetBytes };
  }
  const patienceMs = ready ? silenceTimeoutMs : Math.max(silenceTimeoutMs, START_TIMEOUT_MS);
  return silenceMs(worker, now) > patienceMs ? { type: 'silence', worker: id } : null;
}

/** How long it has given no sign of life although it has something to do. Remembers the signs it sees. */
function silenceMs(worker: LiveWorker, now: number): number {
  const { progressCount, state } = worker.vitals;
  const owes = worker.busy > 0 || !worker.ready;
  if (!owes || progressCount !== worker.seenProgress || state === vitalState.waiting) worker.seenMs = now;
  worker.seenProgress = progressCount;
  return now - worker.seenMs;
}

/** The phase that it runs now, if it is in one of the loops. */
export function runningUnit({ vitals }: LiveWorker, loops: readonly LiveLoop[]): RunningUnit | null {
  if (vitals.state !== vitalState.phase) return null;
  const { phase, unit, iteration } = vitals.position;
  const name = loops.map(({ spec }) => spec.phases[phase]?.name).find((found) => found !== undefined);
  return name === undefined ? null : { phase: name, unit, iteration };
}

/** Why a worker is gone, in words: what the engine wanted, or how the carrier saw it go. */
export function lossReason(endReason: EndReason | null, detail: string): string {
  return endReason === null ? detail : (engineReasons[endReason] ?? detail);
}

const engineReasons: Partial<Record<EndReason, string>> = {
  silence: 'it gave no sign of life (silenceTimeoutMs)',
  excluded: 'attempts failed on it again and again (excludeAfter)',
  superseded: 'another attempt of its task was faster (speculation)',
  memoryBudget: 'it held more memory than it may (memoryBudgetBytes)',
};
