/**
 * @file The scheduler: a pure state machine. Events go in, commands come out; no clock, no thread, no randomness, no bytes. The live driver
 * executes the commands and reports what happened; a log of a real run, replayed through a new scheduler, gives the same commands.
 */
import { invariant } from '../errors.ts';
import { NOBODY } from './blocks.ts';
import type { EndReason, RunningUnit } from './events.ts';
import { LoopState } from './loop-state.ts';
import type { LoopOutcome, PlainError } from './messages.ts';
import { balanceUnits, coverUnits } from './owners.ts';
import type { Command, SchedulerEvent } from './scheduler-types.ts';
import { chooseTask, StageState, type WorkerView } from './stages.ts';

export type { Command, SchedulerEvent } from './scheduler-types.ts';

/** Limits of patience, as data. */
export interface SchedulerPolicy {
  /** Attempts of one task, or of one unit at one phase and iteration, before its job fails. */
  readonly maxAttempts: number;
  /** Attempts in a row that fail on one worker before it is replaced. */
  readonly excludeAfter: number;
  /** Workers in a row that ended before they were ready, after which jobs fail. */
  readonly maxStartFailures: number;
  /** Whether what a worker of a loop has written survives it. If not, who leaves stays until others have taken its units over. Default true. */
  readonly sharesMemory?: boolean;
}

interface TaskRun {
  readonly job: number;
  readonly task: number;
  readonly attempt: number;
}

interface WorkerState {
  readonly id: number;
  /** A leaving worker ends what it has begun, gives its units away at the next group's end, and is stopped then. */
  phase: 'starting' | 'ready' | 'leaving' | 'stopping';
  /** Why it leaves or is being stopped. */
  stopReason: EndReason | null;
  /** Attempts that failed on it since the last one that did not. */
  failures: number;
  running: TaskRun | null;
  /** Loops that it was told to enter and has not come back from: how often per job. */
  readonly entered: Map<number, number>;
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
  /** Tasks given out so far. */
  private served = 0;
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
      case 'straggler':
        return this.straggler(event.job, event.task);
      case 'overBudget':
        return this.overBudget(event.worker, event.bytes, event.budgetBytes);
      case 'cancel':
        return this.cancel(event.job);
      case 'openLoop':
        return void this.jobs.set(event.job, new LoopState(event.job, event.units));
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
      this.workers.set(id, { id, phase: 'starting', stopReason: null, failures: 0, running: null, entered: new Map() });
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
    this.drain(this.staying().slice(workers), 'left');
  }

  /** Lets workers end what they have begun, and then end themselves. */
  private drain(workers: readonly WorkerState[], reason: EndReason): void {
    for (const worker of workers) {
      if (worker.phase === 'starting') this.stopWorker(worker.id, reason);
      if (worker.phase !== 'ready') continue;
      worker.phase = 'leaving';
      worker.stopReason = reason;
    }
    for (const loop of this.loops()) {
      const leaves = (owner: number): boolean => this.workers.get(owner)?.phase === 'leaving';
      if (loop.advancing && loop.owners.some(leaves)) this.commands.push({ type: 'regroup', job: loop.id });
    }
  }

  /** Stops leaving workers that have nothing to do any more and are not needed for what they hold. */
  private stopLeaving(): void {
    for (const { id, phase, stopReason, running, entered } of [...this.workers.values()]) {
      if (phase !== 'leaving' || running !== null || entered.size > 0) continue;
      if (!this.loops().some((loop) => this.needs(loop, id))) this.stopWorker(id, stopReason!);
    }
  }

  /** Whether a loop needs a worker that is to leave: as an owner while it runs, or for the state of units, which only their last owner may have. */
  private needs({ advancing, owners, givers }: LoopState, id: number): boolean {
    const sharesMemory = this.policy.sharesMemory ?? true;
    return sharesMemory ? advancing && owners.includes(id) : owners.includes(id) || givers.has(id);
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
    const reason = worker.phase === 'stopping' ? worker.stopReason! : 'workerLost';
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
      this.attemptFailed(id, worker.running, reason, error);
    }
    for (const loop of this.loops()) {
      if (!loop.owners.includes(id)) continue;
      // The failure for which a worker is excluded has been counted already.
      if (running !== null && reason !== 'excluded' && worker.entered.has(loop.id)) {
        const at = `${running.phase} of unit ${running.unit} in iteration ${running.iteration}`;
        if (loop.countFailure(at) >= this.policy.maxAttempts) {
          this.failJob(loop.id, reason, running.unit, error);
          continue;
        }
      }
      loop.orphan(id);
      if (loop.advancing) this.coverLoop(loop);
    }
  }

  // Stages.

  private submitStage(job: number, preferred: readonly (number | null)[]): void {
    this.startWorkers();
    const stage = new StageState(job, preferred, this.policy.maxAttempts);
    this.jobs.set(job, stage);
    if (stage.isDone) this.endJob(job, 'success', -1, null);
  }

  /** Gives tasks to free workers until no free worker may take one. */
  private assignTasks(): void {
    const isFree = ({ phase, running, entered }: WorkerState): boolean =>
      phase === 'ready' && running === null && entered.size === 0;
    for (let given = true; given; ) {
      given = false;
      const stages = this.stages();
      if (stages.length === 0) return;
      for (const worker of this.workers.values()) {
        if (!isFree(worker)) continue;
        const free = this.staying().filter((other) => other.phase === 'starting' || isFree(other));
        const next = chooseTask(stages, worker.id, this.view(free));
        if (next === null) continue;
        const { stage, task, attempt } = next;
        given = true;
        stage.servedAt = this.served++;
        worker.running = { job: stage.id, task, attempt };
        this.commands.push({ type: 'runTask', worker: worker.id, job: stage.id, task, attempt });
      }
    }
  }

  private view(free: readonly WorkerState[]): WorkerView {
    return {
      stays: (id) => ['starting', 'ready'].includes(this.workers.get(id)?.phase ?? ''),
      free: free.map(({ id }) => id),
    };
  }

  private taskSucceeded(id: number, job: number, task: number, attempt: number): void {
    const worker = this.releaseTask(id, job, task, attempt);
    if (worker === null) return;
    worker.failures = 0;
    const stage = this.stage(job);
    stage?.end(task, id);
    if (!stage?.succeed(task)) return;
    this.commands.push({ type: 'deliver', job, task, worker: id });
    for (const other of [...stage.runnersOf(task)]) {
      // The attempt that came second: nobody waits for it any more.
      stage.end(task, other);
      this.workers.get(other)!.running = null;
      this.stopWorker(other, 'superseded');
    }
    if (stage.isDone) this.endJob(job, 'success', -1, null);
  }

  private taskFailed(id: number, job: number, task: number, attempt: number, error: PlainError): void {
    const worker = this.releaseTask(id, job, task, attempt);
    if (worker === null) return;
    // An error that the same input gives everywhere says nothing about the worker.
    if (!error.final && ++worker.failures >= this.policy.excludeAfter) {
      this.drain([worker], 'excluded');
      this.startWorkers();
    }
    this.attemptFailed(id, { job, task, attempt }, 'taskError', error);
  }

  /** The worker, if it was indeed running this attempt; a late word of a superseded attempt is ignored. */
  private releaseTask(id: number, job: number, task: number, attempt: number): WorkerState | null {
    const worker = this.workers.get(id);
    const running = worker?.running;
    if (!worker || !running || running.job !== job || running.task !== task || running.attempt !== attempt) return null;
    worker.running = null;
    return worker;
  }

  private attemptFailed(worker: number, run: TaskRun, reason: EndReason, error: PlainError): void {
    const { job, task, attempt } = run;
    const stage = this.stage(job);
    if (stage === null) return;
    stage.end(task, worker);
    this.commands.push({ type: 'attemptFailed', job, task, attempt, reason, message: error.message });
    const outcome = stage.fail(task, worker);
    if (error.final || outcome === 'exhausted') this.failJob(job, reason, task, error, attempt);
  }

  private straggler(job: number, task: number): void {
    this.stage(job)?.wantCopy(task);
  }

  /** Ends a worker that holds too much, with the jobs that it works for: run again, they would hold as much again. */
  private overBudget(id: number, bytes: number, budgetBytes: number): void {
    const worker = this.workers.get(id);
    if (worker === undefined || worker.phase === 'stopping') return;
    const { running, entered } = worker;
    const message = `worker ${id} holds ${bytes} bytes, more than its budget of ${budgetBytes}`;
    const error: PlainError = {
      name: 'MemoryBudget',
      message,
      code: 'MEMORY_BUDGET',
      fields: { worker: id, bytes, budgetBytes },
    };
    worker.running = null;
    this.stopWorker(id, 'memoryBudget');
    if (running !== null) this.failJob(running.job, 'memoryBudget', running.task, error, running.attempt);
    for (const job of [...entered.keys()]) this.failJob(job, 'memoryBudget', -1, error);
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
    this.enterAll(loop, balanceUnits(loop.owners, this.readyWorkers()));
  }

  /** Gives units whose owner is gone to the workers that are ready; those that hold units keep them until they are gone themselves. */
  private coverLoop(loop: LoopState): void {
    this.enterAll(loop, coverUnits(loop.owners, this.readyWorkers(), [...this.workers.keys()]));
  }

  private enterAll(loop: LoopState, owners: readonly number[]): void {
    loop.reassign(owners);
    this.commands.push({ type: 'setOwners', job: loop.id, owners: [...loop.owners] });
    for (const { id, phase } of this.workers.values())
      if (phase === 'ready' || phase === 'leaving') this.enter(loop, id);
  }

  /** Tells a worker to work on its units; one that is being stopped is told nothing more. */
  private enter(loop: LoopState, id: number): void {
    const worker = this.workers.get(id);
    if (worker === undefined || worker.phase === 'stopping') return;
    const units = loop.unitsOf(id);
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
    if (!loop.finish(worker)) return;
    this.commands.push({ type: 'advanced', job });
    this.endAdvance(loop);
  }

  private loopFailed(worker: number, job: number, epoch: number, at: string, error: PlainError): void {
    this.leave(worker, job);
    const loop = this.jobs.get(job);
    if (loop?.kind !== 'loop') return;
    const count = loop.countFailure(at);
    this.commands.push({
      type: 'attemptFailed',
      job,
      task: -1,
      attempt: count,
      reason: 'taskError',
      message: `${at}: ${error.message}`,
    });
    if (error.final || count >= this.policy.maxAttempts) return this.failJob(job, 'taskError', -1, error, count);
    // It cannot get past this place itself, so it cannot be drained: its units go to others as if it were lost.
    if (count % this.policy.excludeAfter === 0 && this.canLose(loop, worker)) this.stopWorker(worker, 'excluded');
    // In a newer epoch it has already been told to enter again.
    else if (epoch === loop.epoch) this.enter(loop, worker);
  }

  /** Whether a loop can go on without a worker: where memory is not shared, somebody else must have a copy of what it has. */
  private canLose(loop: LoopState, worker: number): boolean {
    return this.policy.sharesMemory !== false || loop.owners.some((owner) => owner !== worker && owner !== NOBODY);
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

  private failJob(job: number, reason: EndReason, task: number, error: PlainError | null, attempt = 0): void {
    const state = this.jobs.get(job);
    if (state === undefined) return;
    if (state.kind === 'loop') this.releaseLoop(state);
    this.endJob(job, reason, task, error, attempt);
    if (state.kind === 'loop') this.endAdvance(state);
  }

  private failAll(reason: EndReason, message: string): void {
    for (const job of [...this.jobs.keys()]) this.failJob(job, reason, -1, { name: 'EngineError', message });
  }

  private endJob(job: number, reason: EndReason, task: number, error: PlainError | null, attempt = 0): void {
    this.jobs.delete(job);
    this.commands.push({ type: 'endJob', job, reason, task, attempt, error });
  }

  // Views.

  /** Workers that are there, or about to be, to stay; oldest first. */
  private staying(): WorkerState[] {
    return [...this.workers.values()].filter(({ phase }) => phase !== 'leaving' && phase !== 'stopping');
  }

  private readyWorkers(): number[] {
    return [...this.workers.values()].filter((worker) => worker.phase === 'ready').map((worker) => worker.id);
  }

  private stages(): StageState[] {
    return [...this.jobs.values()].filter((job) => job.kind === 'stage');
  }

  private stage(job: number): StageState | null {
    const state = this.jobs.get(job);
    return state?.kind === 'stage' ? state : null;
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
