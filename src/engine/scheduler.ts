/**
 * @file The scheduler: a pure state machine. Events go in, commands come out; no clock, no thread, no randomness, no bytes. The live driver
 * executes the commands and reports what happened; a log of a real run, replayed through a new scheduler, gives the same commands.
 */
import { invariant } from '../errors.ts';
import { NOBODY } from './blocks.ts';
import type { EndReason, RunningUnit } from './events.ts';
import type { LoopOutcome, PlainError } from './messages.ts';
import { balanceUnits, coverUnits } from './owners.ts';
import type { Command, SchedulerEvent } from './scheduler-types.ts';

export type { Command, SchedulerEvent } from './scheduler-types.ts';

/** Limits of patience, as data. */
export interface SchedulerPolicy {
  /** Attempts of one task, or of one unit at one phase and iteration, before its job fails. */
  readonly maxAttempts: number;
  /** Workers in a row that ended before they were ready, after which jobs fail. */
  readonly maxStartFailures: number;
}

interface WorkerState {
  readonly id: number;
  /** A leaving worker ends what it has begun, gives its units away at the next group's end, and is stopped then. */
  phase: 'starting' | 'ready' | 'leaving' | 'stopping';
  /** Why it is being stopped. */
  stopReason: EndReason | null;
  running: { job: number; task: number; attempt: number } | null;
  /** Loops that it was told to enter and has not come back from: how often per job. */
  readonly entered: Map<number, number>;
}

interface StageState {
  readonly kind: 'stage';
  readonly id: number;
  readonly preferred: readonly (number | null)[];
  readonly attempts: number[];
  readonly pending: number[];
  unfinished: number;
}

interface LoopState {
  readonly kind: 'loop';
  readonly id: number;
  owners: number[];
  epoch: number;
  advancing: boolean;
  /** Workers that finished their units in the present epoch. */
  readonly done: Set<number>;
  /** How often something failed at each place since the loop last stood. */
  readonly failures: Map<string, number>;
}

type JobState = StageState | LoopState;

/** See the file's head. */
export class Scheduler {
  private readonly policy: SchedulerPolicy;
  private readonly workers = new Map<number, WorkerState>();
  private readonly jobs = new Map<number, JobState>();
  private nextWorker = 0;
  /** How many workers to keep alive. */
  private target = 0;
  private startFailures = 0;
  /** Loops that wait to advance. */
  private readonly queue: LoopState[] = [];
  private closing = false;
  private commands: Command[] = [];

  constructor(policy: SchedulerPolicy) {
    this.policy = policy;
  }

  /** Takes an event; returns the commands that follow from it, in order. */
  step(event: SchedulerEvent): Command[] {
    this.commands = [];
    this.apply(event);
    this.stopLeaving();
    this.assignTasks();
    return this.commands;
  }

  private apply(event: SchedulerEvent): void {
    switch (event.type) {
      case 'start':
        this.target = event.workers;
        return this.startWorkers();
      case 'resize':
        return this.resize(event.workers);
      case 'workerReady':
        return this.workerReady(event.worker);
      case 'workerExited':
        return this.workerExited(event.worker, event.running, event.detail);
      case 'silence':
        return this.stopWorker(event.worker, 'silence');
      case 'kill':
        return this.stopWorker(event.worker, 'workerLost');
      case 'stuck':
        return this.failAll('stuck', `worker ${event.worker} did not end after terminate()`);
      case 'submitStage':
        return this.submitStage(event.job, event.preferred);
      case 'taskSucceeded':
        return this.taskSucceeded(event.worker, event.job, event.task, event.attempt);
      case 'taskFailed':
        return this.taskFailed(event.worker, event.job, event.task, event.attempt, event.error);
      case 'cancel':
        return this.cancel(event.job);
      case 'openLoop':
        this.jobs.set(event.job, {
          kind: 'loop',
          id: event.job,
          owners: new Array<number>(event.units).fill(NOBODY),
          epoch: 0,
          advancing: false,
          done: new Set(),
          failures: new Map(),
        });
        return;
      case 'advance':
        return this.advance(this.loop(event.job));
      case 'loopReturned':
        return this.loopReturned(event.worker, event.job, event.epoch, event.outcome);
      case 'loopFailed':
        return this.loopFailed(event.worker, event.job, event.epoch, event.at, event.error);
      case 'deadlock':
        return this.failJob(event.job, 'deadlock', -1, null);
      case 'closeLoop':
        return this.closeLoop(event.job);
      case 'close':
        this.closing = true;
        this.failAll('closed', 'the engine was closed');
        for (const worker of this.workers.values()) this.stopWorker(worker.id, 'closed');
        return;
    }
  }

  // Workers.

  private startWorkers(): void {
    while (!this.closing && this.staying().length < this.target) {
      const id = this.nextWorker++;
      this.workers.set(id, { id, phase: 'starting', stopReason: null, running: null, entered: new Map() });
      this.commands.push({ type: 'startWorker', worker: id });
    }
  }

  private workerReady(id: number): void {
    const worker = this.workers.get(id);
    if (worker?.phase !== 'starting') return;
    worker.phase = 'ready';
    this.startFailures = 0;
    for (const loop of this.loops()) {
      if (!loop.advancing) continue;
      if (loop.owners.includes(NOBODY)) this.coverLoop(loop);
      else if (loop.owners.length > new Set(loop.owners).size) this.commands.push({ type: 'regroup', job: loop.id });
    }
  }

  private resize(workers: number): void {
    this.target = workers;
    this.startWorkers();
    for (const worker of this.staying().slice(workers)) {
      if (worker.phase === 'starting') this.stopWorker(worker.id, 'left');
      else worker.phase = 'leaving';
    }
    for (const loop of this.loops()) {
      const leaves = (owner: number): boolean => this.workers.get(owner)?.phase === 'leaving';
      if (loop.advancing && loop.owners.some(leaves)) this.commands.push({ type: 'regroup', job: loop.id });
    }
  }

  /** Stops leaving workers that have nothing to do any more and hold no unit of a loop that runs. */
  private stopLeaving(): void {
    for (const { id, phase, running, entered } of [...this.workers.values()]) {
      if (phase !== 'leaving' || running !== null || entered.size > 0) continue;
      if (!this.loops().some((loop) => loop.advancing && loop.owners.includes(id))) this.stopWorker(id, 'left');
    }
  }

  private stopWorker(id: number, reason: EndReason): void {
    const worker = this.workers.get(id);
    if (worker === undefined || worker.phase === 'stopping') return;
    worker.phase = 'stopping';
    worker.stopReason = reason;
    this.commands.push({ type: 'terminate', worker: id, reason });
  }

  private workerExited(id: number, running: RunningUnit | null, detail: string): void {
    const worker = this.workers.get(id);
    if (worker === undefined) return;
    this.workers.delete(id);
    const reason = worker.stopReason ?? 'workerLost';
    const error: PlainError = {
      name: 'WorkerLost',
      message: detail,
      code: reason === 'silence' ? 'SILENCE' : 'WORKER_LOST',
    };
    if (worker.phase === 'starting' && ++this.startFailures >= this.policy.maxStartFailures) {
      // Give up until the next job asks for workers, instead of starting them for ever.
      this.startFailures = 0;
      this.failAll('startFailed', detail);
    } else {
      this.startWorkers();
    }
    if (worker.running !== null) {
      const { job, task, attempt } = worker.running;
      this.attemptFailed(job, task, attempt, reason, error);
    }
    for (const loop of this.loops()) {
      if (!loop.owners.includes(id)) continue;
      if (running !== null && worker.entered.has(loop.id)) {
        const at = `${running.phase} of unit ${running.unit} in iteration ${running.iteration}`;
        if (this.countFailure(loop, at) >= this.policy.maxAttempts) {
          this.failJob(loop.id, reason, running.unit, error);
          continue;
        }
      }
      loop.owners = loop.owners.map((owner) => (owner === id ? NOBODY : owner));
      if (loop.advancing) this.coverLoop(loop);
    }
  }

  // Stages.

  private submitStage(job: number, preferred: readonly (number | null)[]): void {
    this.startWorkers();
    const tasks = preferred.map((_, task) => task);
    const stage: StageState = {
      kind: 'stage',
      id: job,
      preferred,
      attempts: tasks.map(() => 0),
      pending: tasks,
      unfinished: tasks.length,
    };
    this.jobs.set(job, stage);
    if (stage.unfinished === 0) this.endJob(job, 'success', -1, null);
  }

  private assignTasks(): void {
    for (const worker of this.workers.values()) {
      if (worker.phase !== 'ready' || worker.running !== null || worker.entered.size > 0) continue;
      const next = this.nextTask(worker.id);
      if (next === null) continue;
      const { stage, task } = next;
      stage.pending.splice(stage.pending.indexOf(task), 1);
      const attempt = ++stage.attempts[task]!;
      worker.running = { job: stage.id, task, attempt };
      this.commands.push({ type: 'runTask', worker: worker.id, job: stage.id, task, attempt });
    }
  }

  /** The first pending task that this worker may take: one that prefers it, or nobody, or a worker that is gone. */
  private nextTask(worker: number): { stage: StageState; task: number } | null {
    for (const stage of this.jobs.values()) {
      if (stage.kind !== 'stage') continue;
      for (const task of stage.pending) {
        const preferred = stage.preferred[task] ?? null;
        if (preferred === null || preferred === worker || !this.workers.has(preferred)) return { stage, task };
      }
    }
    return null;
  }

  private taskSucceeded(worker: number, job: number, task: number, attempt: number): void {
    if (!this.releaseTask(worker, job, task, attempt)) return;
    const stage = this.jobs.get(job);
    if (stage?.kind !== 'stage') return;
    this.commands.push({ type: 'deliver', job, task, worker });
    if (--stage.unfinished === 0) this.endJob(job, 'success', -1, null);
  }

  private taskFailed(worker: number, job: number, task: number, attempt: number, error: PlainError): void {
    if (this.releaseTask(worker, job, task, attempt)) this.attemptFailed(job, task, attempt, 'taskError', error);
  }

  /** Whether the worker was indeed running this attempt; a late word of a superseded attempt is ignored. */
  private releaseTask(id: number, job: number, task: number, attempt: number): boolean {
    const worker = this.workers.get(id);
    const running = worker?.running;
    if (!worker || !running || running.job !== job || running.task !== task || running.attempt !== attempt)
      return false;
    worker.running = null;
    return true;
  }

  private attemptFailed(job: number, task: number, attempt: number, reason: EndReason, error: PlainError): void {
    const stage = this.jobs.get(job);
    if (stage?.kind !== 'stage') return;
    this.commands.push({ type: 'attemptFailed', job, task, attempt, reason, message: error.message });
    if (error.final || attempt >= this.policy.maxAttempts) this.failJob(job, reason, task, error);
    else stage.pending.unshift(task);
  }

  private cancel(job: number): void {
    if (!this.jobs.has(job)) return;
    for (const worker of this.workers.values()) {
      if (worker.running?.job === job || worker.entered.has(job)) this.stopWorker(worker.id, 'cancelled');
    }
    this.failJob(job, 'cancelled', -1, null);
  }

  // Loops.

  private advance(loop: LoopState): void {
    invariant(!loop.advancing, 'a loop advances once at a time');
    if (this.loops().some(({ advancing }) => advancing)) {
      this.queue.push(loop);
      return;
    }
    this.startWorkers();
    loop.advancing = true;
    loop.owners = balanceUnits(loop.owners, this.readyWorkers());
    this.enterAll(loop);
  }

  /** Gives units whose owner is gone to the workers that are ready; those that hold units keep them until they are gone themselves. */
  private coverLoop(loop: LoopState): void {
    loop.owners = coverUnits(loop.owners, this.readyWorkers(), [...this.workers.keys()]);
    this.enterAll(loop);
  }

  private enterAll(loop: LoopState): void {
    loop.epoch++;
    loop.done.clear();
    this.commands.push({ type: 'setOwners', job: loop.id, owners: [...loop.owners] });
    for (const { id, phase } of this.workers.values())
      if (phase === 'ready' || phase === 'leaving') this.enter(loop, id);
  }

  /** Tells a worker to work on its units; one that is being stopped is told nothing more. */
  private enter(loop: LoopState, id: number): void {
    const worker = this.workers.get(id);
    if (worker === undefined || worker.phase === 'stopping') return;
    const units = loop.owners.flatMap((owner, unit) => (owner === id ? [unit] : []));
    if (units.length === 0) return;
    worker.entered.set(loop.id, (worker.entered.get(loop.id) ?? 0) + 1);
    this.commands.push({ type: 'enterLoop', worker: id, job: loop.id, units });
  }

  /** Counts one return of a worker from a loop. */
  private leave(id: number, job: number): void {
    const entered = this.workers.get(id)?.entered;
    const count = entered?.get(job) ?? 0;
    if (count > 1) entered!.set(job, count - 1);
    else entered?.delete(job);
  }

  private loopReturned(worker: number, job: number, epoch: number, outcome: LoopOutcome): void {
    this.leave(worker, job);
    const loop = this.jobs.get(job);
    if (loop?.kind !== 'loop' || !loop.advancing || epoch !== loop.epoch || outcome === 'reassigned') return;
    if (outcome === 'early') return this.enter(loop, worker);
    loop.done.add(worker);
    if (loop.owners.every((owner) => loop.done.has(owner))) {
      loop.failures.clear();
      this.commands.push({ type: 'advanced', job });
      this.endAdvance(loop);
    }
  }

  private loopFailed(worker: number, job: number, epoch: number, at: string, error: PlainError): void {
    this.leave(worker, job);
    const loop = this.jobs.get(job);
    if (loop?.kind !== 'loop') return;
    const count = this.countFailure(loop, at);
    this.commands.push({
      type: 'attemptFailed',
      job,
      task: -1,
      attempt: count,
      reason: 'taskError',
      message: `${at}: ${error.message}`,
    });
    if (error.final || count >= this.policy.maxAttempts) this.failJob(job, 'taskError', -1, error);
    // In a newer epoch it has already been told to enter again.
    else if (epoch === loop.epoch) this.enter(loop, worker);
  }

  private countFailure(loop: LoopState, at: string): number {
    const count = (loop.failures.get(at) ?? 0) + 1;
    loop.failures.set(at, count);
    return count;
  }

  private closeLoop(job: number): void {
    const loop = this.jobs.get(job);
    if (loop?.kind !== 'loop') return;
    this.releaseLoop(loop);
    this.endJob(job, 'success', -1, null);
    this.endAdvance(loop);
  }

  /** Calls the workers back and lets them forget the loop. */
  private releaseLoop(loop: LoopState): void {
    // A new epoch without owners makes the workers that wait in the loop come back.
    if (loop.advancing) this.commands.push({ type: 'setOwners', job: loop.id, owners: loop.owners.map(() => NOBODY) });
    for (const worker of this.workers.keys()) this.commands.push({ type: 'leaveLoop', worker, job: loop.id });
  }

  /** One loop advances at a time: two that share workers would wait for units of each other's. */
  private endAdvance(loop: LoopState): void {
    this.queue.splice(0, this.queue.length, ...this.queue.filter((waiting) => waiting !== loop));
    if (!loop.advancing) return;
    loop.advancing = false;
    const next = this.queue.shift();
    if (next !== undefined) this.advance(next);
  }

  // Ends.

  private failJob(job: number, reason: EndReason, task: number, error: PlainError | null): void {
    const state = this.jobs.get(job);
    if (state === undefined) return;
    if (state.kind === 'loop') this.releaseLoop(state);
    this.endJob(job, reason, task, error);
    if (state.kind === 'loop') this.endAdvance(state);
  }

  private failAll(reason: EndReason, message: string): void {
    for (const job of [...this.jobs.keys()]) this.failJob(job, reason, -1, { name: 'EngineError', message });
  }

  private endJob(job: number, reason: EndReason, task: number, error: PlainError | null): void {
    this.jobs.delete(job);
    this.commands.push({ type: 'endJob', job, reason, task, error });
  }

  // Views.

  /** Workers that are there, or about to be, to stay; oldest first. */
  private staying(): WorkerState[] {
    return [...this.workers.values()].filter(({ phase }) => phase !== 'leaving' && phase !== 'stopping');
  }

  private readyWorkers(): number[] {
    return [...this.workers.values()].filter((worker) => worker.phase === 'ready').map((worker) => worker.id);
  }

  private loops(): LoopState[] {
    return [...this.jobs.values()].filter((job) => job.kind === 'loop');
  }

  private loop(job: number): LoopState {
    const loop = this.jobs.get(job);
    invariant(loop?.kind === 'loop', `job ${job} is an open loop`);
    return loop;
  }
}
