/**
 * @file Finds tasks that take far longer than their like. The clock is the caller's, so that it can be tested without one; the scheduler decides what
 * to do about a slow task.
 */
import type { Speculation } from './engine-options.ts';

/** A task that runs for too long. */
export interface Straggler {
  readonly job: number;
  readonly task: number;
}

interface StageTimes {
  readonly tasks: number;
  /** When the running attempts began, by task; the first one of a task counts. */
  readonly begun: Map<number, number>;
  /** How long finished tasks took, in ascending order. */
  readonly durationsMs: number[];
  /** Tasks that have been reported. */
  readonly reported: Set<number>;
}

/** The times of the tasks of all stages. */
export class StragglerWatch {
  private readonly speculation: Speculation | null;
  private readonly stages = new Map<number, StageTimes>();

  /** @param speculation what is slow; null to watch nothing. */
  constructor(speculation: Speculation | null) {
    this.speculation = speculation;
  }

  /** An attempt of a task begins. @param tasks of its stage. */
  begin(job: number, tasks: number, task: number, nowMs: number): void {
    if (this.speculation === null) return;
    let stage = this.stages.get(job);
    if (stage === undefined) {
      stage = { tasks, begun: new Map(), durationsMs: [], reported: new Set() };
      this.stages.set(job, stage);
    }
    // After a failure the next attempt begins anew, and may be slow anew.
    if (!stage.reported.has(task)) stage.begun.set(task, nowMs);
  }

  /** An attempt of a task failed. */
  fail(job: number, task: number): void {
    const stage = this.stages.get(job);
    stage?.begun.delete(task);
    stage?.reported.delete(task);
  }

  /** A task has its result. */
  finish(job: number, task: number, nowMs: number): void {
    const stage = this.stages.get(job);
    const begun = stage?.begun.get(task);
    if (stage === undefined || begun === undefined) return;
    stage.begun.delete(task);
    const duration = nowMs - begun;
    const index = stage.durationsMs.findIndex((other) => other > duration);
    stage.durationsMs.splice(index < 0 ? stage.durationsMs.length : index, 0, duration);
  }

  /** A stage is over. */
  forget(job: number): void {
    this.stages.delete(job);
  }

  /** Tasks that have become stragglers since the last look. */
  look(nowMs: number): Straggler[] {
    const found: Straggler[] = [];
    if (this.speculation === null) return found;
    const { multiplier, quantile, minimumMs } = this.speculation;
    for (const [job, { tasks, begun, durationsMs, reported }] of this.stages) {
      if (durationsMs.length === 0 || durationsMs.length < quantile * tasks) continue;
      const limit = Math.max(minimumMs, multiplier * median(durationsMs));
      for (const [task, since] of begun) {
        if (nowMs - since <= limit || reported.has(task)) continue;
        reported.add(task);
        found.push({ job, task });
      }
    }
    return found;
  }
}

function median(ascending: readonly number[]): number {
  const middle = ascending.length >> 1;
  return ascending.length % 2 === 1 ? ascending[middle]! : (ascending[middle - 1]! + ascending[middle]!) / 2;
}
