/** @file Where the events of an engine come together: adds the clock, times attempts, counts, and calls the listeners. */
import type { EndReason, EngineEvent, EngineMetrics } from './events.ts';

/** How often `metrics` is told while the engine works, in milliseconds. */
const METRICS_MS = 1000;

/** An attempt of a task that is running. */
interface Attempt {
  readonly job: number;
  readonly task: number;
  readonly partition: number;
  readonly attempt: number;
  readonly worker: number;
}

type WithoutClock<T> = T extends unknown ? Omit<T, 'elapsedMs'> : never;

/**
 * The stream of an engine. While nobody listens it counts, remembers what is running, and does nothing else. The clock is read once for an
 * event, so a duration is the difference of the `elapsedMs` of two events, however long the process is held up between two statements.
 */
export class EventStream {
  private readonly listeners = new Set<(event: EngineEvent) => void>();
  private readonly startMs = performance.now();
  /** When each running attempt was sent, on the clock of `elapsedMs`, as are the times below. A few: a worker has one. */
  private readonly running = new Map<Attempt, number>();
  private readonly jobs = new Map<number, { readonly kind: 'stage' | 'loop'; readonly name: string; ms: number }>();
  private readonly counts = { workersStarted: 0, workersLost: 0, tasksStarted: 0, tasksSucceeded: 0, tasksFailed: 0 };
  private metricsMs = -METRICS_MS;

  subscribe(listener: (event: EngineEvent) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** Tells an event that happens now, or at `elapsedMs`, to all listeners. */
  emit(event: WithoutClock<EngineEvent>, elapsedMs = this.elapsedMs()): void {
    if (event.event === 'workerStarted') this.counts.workersStarted++;
    else if (event.event === 'workerLost') this.counts.workersLost++;
    if (this.listeners.size === 0) return;
    const { event: name, ...fields } = event;
    const full = { event: name, elapsedMs, ...fields } as EngineEvent;
    for (const listener of this.listeners) callUser(() => listener(full));
  }

  jobStarted(job: number, kind: 'stage' | 'loop', name: string, tasks: number): void {
    const ms = this.elapsedMs();
    this.jobs.set(job, { kind, name, ms });
    this.emit({ event: 'jobStarted', job, kind, name, tasks }, ms);
  }

  /** Ends the job's attempts that are still running, too: nothing is heard of them again. */
  jobEnded(job: number, reason: EndReason): void {
    for (const attempt of this.running.keys()) if (attempt.job === job) this.attemptEnded(attempt, reason);
    const { kind, name, ms } = this.jobs.get(job)!;
    this.jobs.delete(job);
    const endMs = this.elapsedMs();
    this.emit({ event: 'jobEnded', job, kind, name, reason, durationMs: endMs - ms }, endMs);
  }

  taskStarted(attempt: Attempt): void {
    this.counts.tasksStarted++;
    const ms = this.elapsedMs();
    this.running.set(attempt, ms);
    this.emit({ event: 'taskStarted', ...attempt }, ms);
  }

  /** The worker's result of the task was accepted. A second attempt that still runs was slower. */
  taskSucceeded(job: number, task: number, worker: number): void {
    this.counts.tasksSucceeded++;
    for (const attempt of [...this.running.keys()]) {
      if (attempt.job !== job || attempt.task !== task) continue;
      this.attemptEnded(attempt, attempt.worker === worker ? 'success' : 'superseded');
    }
  }

  taskFailed(job: number, task: number, attempt: number, reason: EndReason, message: string): void {
    this.counts.tasksFailed++;
    const failed = this.find((running) => running.job === job && running.task === task && running.attempt === attempt);
    const worker = failed?.worker ?? null;
    const ms = this.elapsedMs();
    const durationMs = failed === undefined ? null : this.forget(failed, ms);
    this.emit({ event: 'taskFailed', job, task, attempt, reason, message, worker, durationMs }, ms);
  }

  /** Tells the counters, unless that was less than a second ago and `now` is false. */
  metrics(alive: () => Pick<EngineMetrics, 'workersAlive' | 'recordBytes'>, now = false): void {
    const ms = this.elapsedMs();
    if (this.listeners.size === 0 || (!now && ms - this.metricsMs < METRICS_MS)) return;
    this.metricsMs = ms;
    this.emit({ event: 'metrics', ...alive(), jobsRunning: this.jobs.size, ...this.counts }, ms);
  }

  private attemptEnded(attempt: Attempt, reason: EndReason): void {
    const ms = this.elapsedMs();
    this.emit({ event: 'taskEnded', ...attempt, reason, durationMs: this.forget(attempt, ms) }, ms);
  }

  /** Milliseconds since the engine was created. */
  private elapsedMs(): number {
    return performance.now() - this.startMs;
  }

  private find(isIt: (attempt: Attempt) => boolean): Attempt | undefined {
    for (const attempt of this.running.keys()) if (isIt(attempt)) return attempt;
    return undefined;
  }

  /** Milliseconds that the attempt took, if it ends at `endMs`. */
  private forget(attempt: Attempt, endMs: number): number {
    const durationMs = endMs - this.running.get(attempt)!;
    this.running.delete(attempt);
    return durationMs;
  }
}

/** Calls back into the program that uses the engine. What it throws is thrown outside, where it cannot confuse the engine. */
export function callUser(callback: () => void): void {
  try {
    callback();
  } catch (thrown) {
    queueMicrotask(() => {
      throw thrown;
    });
  }
}
