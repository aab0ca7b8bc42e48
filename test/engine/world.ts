/**
 * A world without clocks and threads in which a scheduler lives: executes its commands the way the live driver and its workers do, one drawn step
 * at a time, and checks after each one what must hold at any moment. What it checks it knows from the events and commands alone, not from the
 * scheduler's own state.
 */
import { NOBODY } from '../../src/engine/blocks.ts';
import type { EndReason } from '../../src/engine/events.ts';
import { type Command, Scheduler, type SchedulerEvent, type SchedulerPolicy } from '../../src/engine/scheduler.ts';

/** The id of the world's one loop; stages have smaller ones. */
export const LOOP = 1000;

const error = { name: 'Error', message: 'drawn failure' };

interface SimulatedWorker {
  readonly id: number;
  ready: boolean;
  /** Does nothing any more until it is ended. */
  hung: boolean;
  terminated: EndReason | null;
  task: { job: number; task: number; attempt: number } | null;
  /** Entries into the loop that it has been told and has not answered, oldest first. */
  entries: { epoch: number; units: readonly number[] }[];
  /** What it has said and the driver has not heard yet, oldest first. */
  said: SchedulerEvent[];
  /** Attempts in a row whose failure was heard. */
  failures: number;
}

/** What the world knows of a stage that has not ended. */
interface SimulatedStage {
  readonly preferred: readonly (number | null)[];
  /** Attempts begun, by task. */
  readonly attempts: number[];
  readonly delivered: boolean[];
  /** Workers that attempts of a task failed on or died with. */
  readonly failedOn: Set<number>[];
  /** Tasks that were called slow. */
  readonly slow: Set<number>;
  servedAt: number;
}

/** What a world is drawn from. */
export interface WorldOptions {
  readonly workers: number;
  readonly units?: number;
  readonly policy?: Partial<SchedulerPolicy>;
  /** Share of tasks that fail. */
  readonly failureRate?: number;
  /** Breaks the scheduler, to see that the world notices. */
  readonly sabotage?: ((scheduler: Scheduler) => void) | undefined;
}

/** See the file's head. */
export class World {
  readonly policy: SchedulerPolicy;
  readonly scheduler: Scheduler;
  readonly workers = new Map<number, SimulatedWorker>();
  readonly ended = new Map<number, EndReason>();
  readonly log: [SchedulerEvent, Command[]][] = [];
  readonly iterations: number[];
  owners: readonly number[];
  epoch = 0;
  limit = 0;
  advanced = 0;
  regroups = 0;
  /** Second attempts of tasks whose first one still ran. */
  copies = 0;
  exclusions = 0;
  closed = false;
  /** Stages submitted. */
  submitted = 0;
  private readonly stages = new Map<number, SimulatedStage>();
  /** Attempts whose results are welcome, and the worker of each. */
  private readonly live = new Map<string, number>();
  /** Attempts that still run although their job has ended: what they say counts for their worker only. */
  private readonly abandoned = new Map<string, number>();
  private readonly late: SchedulerEvent[] = [];
  private readonly failureRate: number;
  private readonly sabotage: WorldOptions['sabotage'];
  private target: number;
  private served = 0;
  /** The attempt whose success is being told. */
  private told = '';

  constructor({ workers, units = 0, policy = {}, failureRate = 0.25, sabotage }: WorldOptions) {
    this.policy = { maxAttempts: 4, excludeAfter: 3, maxStartFailures: 4, ...policy };
    this.scheduler = new Scheduler(this.policy);
    this.sabotage = sabotage;
    sabotage?.(this.scheduler);
    this.failureRate = failureRate;
    this.target = workers;
    this.owners = new Array<number>(units).fill(NOBODY);
    this.iterations = new Array<number>(units).fill(0);
    this.send({ type: 'start', workers });
  }

  /** Tells the scheduler an event and does what it says. */
  send(event: SchedulerEvent): void {
    this.hear(event);
    const commands = this.scheduler.step(event);
    this.log.push([event, structuredClone(commands)]);
    for (const command of commands) this.execute(command);
    this.told = '';
    if (event.type === 'overBudget') this.checkGone([event.worker], 'a worker beyond its budget is ended');
    this.checkNobodyIdles();
  }

  submit(job: number, preferred: readonly (number | null)[]): void {
    this.stages.set(job, {
      preferred,
      attempts: preferred.map(() => 0),
      delivered: preferred.map(() => false),
      failedOn: preferred.map(() => new Set()),
      slow: new Set(),
      servedAt: -1,
    });
    this.submitted++;
    this.send({ type: 'submitStage', job, preferred });
  }

  /** Results that were delivered of a stage. */
  deliveredOf(job: number): number {
    return this.stages.get(job)!.delivered.filter(Boolean).length;
  }

  resize(workers: number): void {
    if (this.closed) return;
    this.target = workers;
    this.send({ type: 'resize', workers });
  }

  close(): void {
    this.closed = true;
    this.send({ type: 'close' });
    this.checkGone([...this.workers.keys()], 'close ends all workers');
  }

  /** Calls a running task slow. */
  straggle(pick: number): void {
    const running = [...this.live.keys()];
    if (running.length === 0) return;
    const [job, task] = running[pick % running.length]!.split(':').map(Number) as [number, number];
    this.stages.get(job)!.slow.add(task);
    this.send({ type: 'straggler', job, task });
  }

  // What the world takes note of before the scheduler hears an event.

  private hear(event: SchedulerEvent): void {
    if (event.type === 'workerExited') {
      for (const [key, worker] of [...this.live]) if (worker === event.worker) this.fail(key, worker);
    }
    if (event.type !== 'taskSucceeded' && event.type !== 'taskFailed') return;
    const key = keyOf(event);
    const worker = this.workers.get(event.worker);
    const isAbandoned = this.abandoned.get(key) === event.worker;
    if (worker === undefined || !(isAbandoned || this.live.get(key) === event.worker)) return;
    this.abandoned.delete(key);
    if (event.type === 'taskFailed') {
      if (!event.error.final) worker.failures++; // what fails everywhere says nothing about the worker
      if (worker.failures === this.policy.excludeAfter) this.exclusions++;
      if (!isAbandoned) this.fail(key, event.worker);
    } else {
      worker.failures = 0;
      if (isAbandoned) return;
      this.live.delete(key);
      this.told = `${key}@${event.worker}`;
    }
  }

  private fail(key: string, worker: number): void {
    const [job, task] = key.split(':').map(Number) as [number, number];
    this.live.delete(key);
    this.stages.get(job)!.failedOn[task]!.add(worker);
  }

  // Commands.

  private execute(command: Command): void {
    switch (command.type) {
      case 'startWorker':
        check(!this.closed, 'no worker starts after close');
        return void this.workers.set(command.worker, {
          id: command.worker,
          ready: false,
          hung: false,
          terminated: null,
          task: null,
          entries: [],
          said: [],
          failures: 0,
        });
      case 'terminate': {
        const worker = this.workers.get(command.worker)!;
        check(worker.terminated === null, 'a worker is ended once');
        worker.terminated = command.reason;
        return;
      }
      case 'runTask':
        return this.runTask(command);
      case 'deliver': {
        const stage = this.stages.get(command.job)!;
        check(!this.ended.has(command.job), 'no result after the end');
        check(!stage.delivered[command.task], 'a result is delivered once');
        const [attempt, worker] = this.told.split('@');
        const isHeard = attempt?.startsWith(`${command.job}:${command.task}:`) && worker === String(command.worker);
        check(isHeard === true, 'a result comes from the attempt that was heard, and from none that is fenced');
        stage.delivered[command.task] = true;
        // Another attempt of the task, if there is one, is fenced from now on.
        for (const key of [...this.live.keys()])
          if (key.startsWith(`${command.job}:${command.task}:`)) this.live.delete(key);
        return;
      }
      case 'setOwners':
        return this.setOwners(command.owners);
      case 'enterLoop': {
        const worker = this.workers.get(command.worker)!;
        check(worker.ready && worker.terminated === null, 'a loop is entered by workers that live');
        return void worker.entries.push({ epoch: this.epoch, units: command.units });
      }
      case 'regroup':
        this.regroups++;
        return this.lowerLimit();
      case 'advanced':
        check(
          this.iterations.every((iteration) => iteration === this.limit),
          'all units stand at the limit',
        );
        this.advanced++;
        return;
      case 'endJob':
        return this.endJob(command.job, command.reason);
      default:
        return;
    }
  }

  private runTask({ worker: id, job, task, attempt }: Extract<Command, { type: 'runTask' }>): void {
    const worker = this.workers.get(id);
    const stage = this.stages.get(job)!;
    check(worker?.ready === true && worker.terminated === null, 'no task on a dead worker');
    check(worker.task === null && worker.entries.length === 0, 'one task at a time');
    check(worker.failures < this.policy.excludeAfter, 'no task for a worker that is excluded');
    check(!this.ended.has(job) && !stage.delivered[task], 'no task that is done');
    check(attempt === stage.attempts[task]! + 1, 'attempts are counted from 1');
    check(attempt <= this.policy.maxAttempts, 'attempts are bounded');
    const others = [...this.live.keys()].filter((key) => key.startsWith(`${job}:${task}:`)).length;
    check(others === 0 || (others === 1 && stage.slow.has(task)), 'a second live attempt only of a slow task');
    if (others === 1) {
      this.copies++;
      const waiting = [...this.stages].some(([id, other]) => !this.ended.has(id) && this.hasFreeTask(other));
      check(!waiting, 'second attempts come after tasks that wait');
    }
    this.checkFairness(job);
    stage.attempts[task]! += 1;
    stage.servedAt = this.served++;
    this.live.set(keyOf({ job, task, attempt }), id);
    worker.task = { job, task, attempt };
  }

  private setOwners(owners: readonly number[]): void {
    for (const [unit, owner] of owners.entries()) {
      const before = this.owners[unit]!;
      const moved = before !== NOBODY && owner !== NOBODY && before !== owner;
      check(!moved || !this.isInside(before), 'a unit moves away only from a worker that is gone or outside');
    }
    this.owners = owners;
    this.epoch++;
  }

  private endJob(job: number, reason: EndReason): void {
    check(!this.ended.has(job), 'a job ends once');
    this.ended.set(job, reason);
    const runners = [...this.live].flatMap(([key, worker]) => (key.startsWith(`${job}:`) ? [worker] : []));
    if (reason === 'cancelled') this.checkGone(runners, 'cancelling ends the workers of a job');
    if (reason === 'success' && job !== LOOP)
      check(this.stages.get(job)!.delivered.every(Boolean), 'a job succeeds with all its results');
    for (const [key, worker] of [...this.live]) {
      if (!key.startsWith(`${job}:`)) continue;
      this.live.delete(key);
      this.abandoned.set(key, worker);
    }
  }

  // What must hold at any moment.

  private checkGone(workers: readonly number[], rule: string): void {
    for (const worker of workers) check(this.workers.get(worker)?.terminated !== null, rule);
  }

  /** Tasks that any worker may take: nobody is preferred, nothing has failed. */
  private hasFreeTask({ preferred, attempts }: SimulatedStage): boolean {
    return attempts.some((count, task) => count === 0 && preferred[task] === null);
  }

  private checkFairness(job: number): void {
    const chosen = this.stages.get(job)!;
    const running = (id: number): number => [...this.live.keys()].filter((key) => key.startsWith(`${id}:`)).length;
    for (const [other, stage] of this.stages) {
      if (other === job || this.ended.has(other) || !this.hasFreeTask(stage)) continue;
      const ahead = running(other) - running(job) || stage.servedAt - chosen.servedAt || other - job;
      check(ahead >= 0, 'the stage with the fewest running tasks comes first, and the one that waits longest');
    }
  }

  private checkNobodyIdles(): void {
    if (this.closed || this.workers.size > this.target) return; // some may leave, and take no tasks
    const isWaiting = [...this.stages].some(([job, stage]) => !this.ended.has(job) && this.hasFreeTask(stage));
    for (const { ready, terminated, task, entries, said } of this.workers.values()) {
      const idles = ready && terminated === null && task === null && entries.length === 0 && said.length === 0;
      check(!(idles && isWaiting), 'no worker idles while a task waits');
    }
  }

  /** As the driver does: low at first, then raised when a unit is seen beyond. Who is done in between has come back too early. */
  private lowerLimit(): void {
    const limit = Math.min(this.limit, Math.max(...this.iterations) + 1);
    for (const worker of this.workers.values()) {
      const entry = worker.entries[0];
      if (entry?.epoch !== this.epoch || !entry.units.every((unit) => this.iterations[unit]! >= limit - 1)) continue;
      worker.entries.shift();
      worker.said.push({ type: 'loopReturned', worker: worker.id, job: LOOP, epoch: entry.epoch, outcome: 'early' });
    }
    this.limit = limit;
  }

  private isInside(id: number): boolean {
    const worker = this.workers.get(id);
    return worker?.entries.some(({ epoch }) => epoch === this.epoch) ?? false;
  }

  // Steps of workers.

  /** Takes one step of one worker; `luck` in [0, 1) decides what happens to it. */
  step(pick: number, luck: number): void {
    const busy = [...this.workers.values()].filter(isBusy);
    const worker = busy[pick % Math.max(busy.length, 1)];
    if (worker === undefined) return;
    const { id } = worker;
    if (worker.said.length > 0 && luck >= 0.4) return this.send(worker.said.shift()!); // the driver hears what was said before
    if (worker.terminated !== null || luck < 0.02) return this.exit(worker);
    if (worker.hung || luck < 0.025) return this.send({ type: 'silence', worker: id });
    if (luck < 0.03) return this.send({ type: 'kill', worker: id });
    if (luck < 0.031) return this.send({ type: 'overBudget', worker: id, bytes: 2, budgetBytes: 1 });
    if (!worker.ready) {
      worker.ready = true;
      return this.send({ type: 'workerReady', worker: id });
    }
    if (luck < 0.04) worker.hung = true;
    else if (worker.task !== null) this.finishTask(worker, luck);
    else if (worker.entries.length > 0) this.stepLoop(worker, luck);
    else if (worker.said.length > 0) this.send(worker.said.shift()!);
  }

  /** The worker is gone. Some of what it said arrives before that, the rest never. */
  exit(worker: SimulatedWorker): void {
    this.workers.delete(worker.id);
    this.send({ type: 'workerExited', worker: worker.id, running: null, detail: 'drawn death' });
  }

  private finishTask(worker: SimulatedWorker, luck: number): void {
    const finished = worker.task!;
    worker.task = null;
    const { id } = worker;
    const fails = luck < this.failureRate;
    const final = luck < this.failureRate / 20;
    if (fails) worker.said.push({ type: 'taskFailed', worker: id, ...finished, error: { ...error, final } });
    else worker.said.push({ type: 'taskSucceeded', worker: id, ...finished });
    // A word said twice, the second time late: it must be ignored.
    const digits = Math.floor(luck * 10_000) % 100;
    if (digits > 70) this.late.push({ type: 'taskSucceeded', worker: id, ...finished });
    else if (digits > 60) this.late.push({ type: 'taskFailed', worker: id, ...finished, error });
    if (this.late.length > 2) this.send(this.late.shift()!);
  }

  /** The worker works on its oldest entry: returns if the epoch is over, runs a unit, or is done. */
  private stepLoop(worker: SimulatedWorker, luck: number): void {
    const { epoch, units } = worker.entries[0]!;
    const answer = (outcome: 'done' | 'reassigned'): void => {
      worker.entries.shift();
      worker.said.push({ type: 'loopReturned', worker: worker.id, job: LOOP, epoch, outcome });
    };
    if (epoch !== this.epoch) return answer('reassigned');
    const open = units.filter((unit) => this.iterations[unit]! < this.limit);
    if (open.length === 0) return answer('done');
    // Data flow: a unit runs when no other one is behind it; else the worker waits.
    const slowest = Math.min(...this.iterations);
    const runnable = open.filter((candidate) => this.iterations[candidate] === slowest);
    const unit = runnable[Math.floor(luck * runnable.length)];
    if (unit === undefined) return;
    if (luck < 0.12) {
      worker.entries.shift();
      const at = `unit ${unit} in iteration ${this.iterations[unit]}`;
      worker.said.push({ type: 'loopFailed', worker: worker.id, job: LOOP, epoch, at, error });
      return;
    }
    check(this.owners[unit] === worker.id, 'only the owner works on a unit');
    this.iterations[unit]! += 1;
  }

  /** After the drawn history nothing bad happens any more: what is left must end. */
  settle(isOver: () => boolean, between: () => void = () => {}): void {
    for (let turn = 0; turn < 20_000 && !isOver(); turn++) {
      this.step(turn, turn % 2 === 0 ? 0.39 : 0.5);
      between();
    }
    check(isOver(), 'everything ends');
  }

  /** The log, given to another scheduler, must give the same commands. */
  checkReplay(): void {
    const replay = new Scheduler(this.policy);
    this.sabotage?.(replay);
    for (const [event, commands] of this.log)
      check(JSON.stringify(replay.step(event)) === JSON.stringify(commands), 'a replay gives the same commands');
  }
}

function isBusy({ ready, hung, terminated, task, entries, said }: SimulatedWorker): boolean {
  return !ready || hung || terminated !== null || task !== null || entries.length > 0 || said.length > 0;
}

function keyOf({ job, task, attempt }: { job: number; task: number; attempt: number }): string {
  return `${job}:${task}:${attempt}`;
}

function check(condition: boolean, rule: string): asserts condition {
  if (!condition) throw new Error(`the simulation found a broken rule: ${rule}`);
}
