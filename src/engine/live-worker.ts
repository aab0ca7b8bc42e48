/** @file A live worker: what the driver knows of it, and what its vital signs say. */
import type { CarriedWorker } from './carrier.ts';
import type { RunningUnit } from './events.ts';
import type { LiveLoop } from './live-loop.ts';
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
  /** It was told to end because the engine was made smaller, or closed. */
  leaving: boolean;
}

/** Whether it computes: it runs a task or a phase, and does not wait for others. */
export function isComputing({ vitals }: LiveWorker): boolean {
  return vitals.state === vitalState.task || vitals.state === vitalState.phase;
}

/** How long it has given no sign of life although it has something to do. Remembers the signs it sees. */
export function silenceMs(worker: LiveWorker, now: number): number {
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
