/**
 * The scheduler as a deterministic simulation: a world without clocks and threads executes its commands, and fast-check draws what happens next:
 * which worker takes a step, fails, hangs or dies, which message arrives late. A failure prints the seed that replays it.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NOBODY } from '../../src/engine/blocks.ts';
import { balanceUnits, coverUnits } from '../../src/engine/owners.ts';
import { type Command, Scheduler, type SchedulerEvent } from '../../src/engine/scheduler.ts';

const MAX_ATTEMPTS = 4;
const error = { name: 'Error', message: 'drawn failure' };

interface SimulatedWorker {
  readonly id: number;
  ready: boolean;
  terminated: boolean;
  task: { job: number; task: number; attempt: number } | null;
  /** Entries into the loop that it has been told and has not answered, oldest first. */
  entries: { epoch: number; units: readonly number[] }[];
  /** What it has said and the driver has not heard yet, oldest first. */
  said: SchedulerEvent[];
}

/** Executes commands the way the live driver and its workers do, one drawn step at a time. */
class World {
  readonly scheduler = new Scheduler({ maxAttempts: MAX_ATTEMPTS, maxStartFailures: 4 });
  readonly workers = new Map<number, SimulatedWorker>();
  readonly delivered: string[] = [];
  readonly ended = new Map<number, string>();
  readonly log: [SchedulerEvent, Command[]][] = [];
  readonly iterations: number[];
  owners: readonly number[];
  epoch = 0;
  limit = 0;
  advanced = 0;
  regroups = 0;
  private readonly late: SchedulerEvent[] = [];
  private readonly failureRate: number;

  constructor(workers: number, units: number, failureRate = 0.25) {
    this.failureRate = failureRate;
    this.owners = new Array<number>(units).fill(NOBODY);
    this.iterations = new Array<number>(units).fill(0);
    this.send({ type: 'start', workers });
  }

  send(event: SchedulerEvent): void {
    const commands = this.scheduler.step(event);
    this.log.push([event, structuredClone(commands)]);
    for (const command of commands) this.execute(command);
  }

  private execute(command: Command): void {
    switch (command.type) {
      case 'startWorker':
        this.workers.set(command.worker, {
          id: command.worker,
          ready: false,
          terminated: false,
          task: null,
          entries: [],
          said: [],
        });
        return;
      case 'terminate':
        this.workers.get(command.worker)!.terminated = true;
        return;
      case 'runTask': {
        const worker = this.workers.get(command.worker)!;
        expect(worker, 'no task on a dead worker').toMatchObject({
          ready: true,
          terminated: false,
          task: null,
          entries: [],
        });
        expect(command.attempt).toBeLessThanOrEqual(MAX_ATTEMPTS);
        expect(worker.task, 'one task at a time').toBeNull();
        worker.task = { job: command.job, task: command.task, attempt: command.attempt };
        return;
      }
      case 'deliver':
        expect(this.ended.has(command.job), 'no result after the end').toBe(false);
        this.delivered.push(`${command.job}:${command.task}`);
        return;
      case 'setOwners':
        for (const [unit, owner] of command.owners.entries()) {
          const before = this.owners[unit]!;
          const moved = before !== NOBODY && owner !== NOBODY && before !== owner;
          if (moved)
            expect(this.isInside(before), 'a unit moves away only from a worker that is gone or outside').toBe(false);
        }
        this.owners = command.owners;
        this.epoch++;
        return;
      case 'enterLoop': {
        const worker = this.workers.get(command.worker)!;
        expect(worker.ready && !worker.terminated).toBe(true);
        worker.entries.push({ epoch: this.epoch, units: command.units });
        return;
      }
      case 'regroup':
        this.regroups++;
        this.lowerLimit();
        return;
      case 'advanced':
        expect(this.iterations.every((iteration) => iteration === this.limit)).toBe(true);
        this.advanced++;
        return;
      case 'endJob':
        expect(this.ended.has(command.job), 'a job ends once').toBe(false);
        this.ended.set(command.job, command.reason);
        return;
      default:
        return;
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

  /** Takes one step of one worker; `luck` in [0, 1) decides what happens to it. Returns whether anything could happen. */
  step(pick: number, luck: number): boolean {
    const busy = [...this.workers.values()].filter(isBusy);
    const worker = busy[pick % Math.max(busy.length, 1)];
    if (worker === undefined) return false;
    const hears = worker.said.length > 0 && luck >= 0.4; // the driver hears what was said before
    if (hears) this.send(worker.said.shift()!);
    else if (worker.terminated || luck < 0.02) this.exit(worker);
    else if (!worker.ready) {
      worker.ready = true;
      this.send({ type: 'workerReady', worker: worker.id });
    } else if (luck < 0.03) this.send({ type: 'silence', worker: worker.id });
    else if (worker.task !== null) this.finishTask(worker, luck);
    else if (worker.entries.length > 0) this.stepLoop(worker, luck);
    else if (worker.said.length > 0) this.send(worker.said.shift()!);
    return true;
  }

  private exit(worker: SimulatedWorker): void {
    this.workers.delete(worker.id);
    this.send({ type: 'workerExited', worker: worker.id, running: null, detail: 'drawn death' });
  }

  private finishTask(worker: SimulatedWorker, luck: number): void {
    const finished = worker.task!;
    worker.task = null;
    const { id } = worker;
    if (luck < this.failureRate) worker.said.push({ type: 'taskFailed', worker: id, ...finished, error });
    else worker.said.push({ type: 'taskSucceeded', worker: id, ...finished });
    // A word said twice, the second time late: it must be ignored.
    if (luck * 100 - Math.floor(luck * 100) > 0.7) this.late.push({ type: 'taskSucceeded', worker: id, ...finished });
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
    expect(this.owners[unit], 'only the owner works on a unit').toBe(worker.id);
    this.iterations[unit]! += 1;
  }
}

function isBusy({ ready, terminated, task, entries, said }: SimulatedWorker): boolean {
  return !ready || terminated || task !== null || entries.length > 0 || said.length > 0;
}

const LOOP = 1000;
// Without fast-check's bias to small values, which would make nearly every step a death.
const drawn = fc.noBias(fc.nat(9999));
const steps = fc.array(
  fc.tuple(
    drawn,
    drawn.map((value) => value / 10_000),
  ),
  { minLength: 100, maxLength: 400 },
);

/** After the drawn history nothing bad happens any more: what is left must end. */
function settle(world: World, isOver: () => boolean): void {
  for (let turn = 0; turn < 5000 && !isOver(); turn++) world.step(turn, turn % 2 === 0 ? 0.39 : 0.5);
  expect(isOver(), 'everything ends').toBe(true);
}

const runs = Number(process.env.SHOAL_HISTORIES ?? 300);

describe('Scheduler', () => {
  it('delivers every result exactly once, or fails its job, in every history', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.nat(6), { minLength: 1, maxLength: 4 }),
        steps,
        (workers, sizes, history) => {
          const world = new World(workers, 0);
          sizes.forEach((tasks, job) => {
            world.send({
              type: 'submitStage',
              job,
              preferred: Array.from({ length: tasks }, (_, task) => (task % 3 === 0 ? task % workers : null)),
            });
          });
          history.forEach(([pick, luck], turn) => {
            world.step(pick, luck);
            if (turn === 40 && pick % 5 === 0) world.send({ type: 'cancel', job: 0 });
            if (turn % 50 === 49) world.send({ type: 'resize', workers: 1 + (pick % 4) });
          });
          settle(world, () => world.ended.size === sizes.length);
          sizes.forEach((tasks, job) => {
            const delivered = world.delivered.filter((key) => key.startsWith(`${job}:`));
            expect(new Set(delivered).size).toBe(delivered.length);
            if (world.ended.get(job) === 'success') expect(delivered).toHaveLength(tasks);
          });
          const replay = new Scheduler({ maxAttempts: MAX_ATTEMPTS, maxStartFailures: 4 });
          for (const [event, commands] of world.log) expect(replay.step(event)).toEqual(commands);
        },
      ),
      { numRuns: runs },
    );
  });

  it('brings every loop to its limit, or fails it, with one owner a unit, in every history', () => {
    let regroups = 0;
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 7 }), steps, (workers, units, history) => {
        const world = new World(workers, units);
        world.send({ type: 'openLoop', job: LOOP, units });
        let groups = 0;
        let told = 0;
        const over = (): boolean => world.ended.has(LOOP) || groups === 6;
        const advance = (): void => {
          if (over() || world.advanced < told) return;
          // A group that ended early to move units goes on before the next one.
          if (world.limit === 3 * groups && ++groups === 6) return;
          world.limit = 3 * groups;
          told++;
          world.send({ type: 'advance', job: LOOP });
        };
        advance();
        history.forEach(([pick, luck], turn) => {
          world.step(pick, luck);
          if (turn % 40 === 39) world.send({ type: 'resize', workers: 1 + (pick % 4) });
          advance();
        });
        for (let turn = 0; turn < 20_000 && !over(); turn++) {
          world.step(turn, turn % 2 === 0 ? 0.39 : 0.5);
          advance();
        }
        expect(over()).toBe(true);
        if (!world.ended.has(LOOP)) expect(world.iterations).toEqual(new Array(units).fill(15));
        regroups += world.regroups;
      }),
      { numRuns: runs },
    );
    expect(regroups).toBeGreaterThan(runs / 10);
  });

  it('bounds attempts also when two places fail in turn', () => {
    const world = new World(1, 2);
    world.send({ type: 'openLoop', job: LOOP, units: 2 });
    world.limit = 1;
    world.send({ type: 'advance', job: LOOP });
    let exits = 0;
    for (let turn = 0; !world.ended.has(LOOP) && turn < 100; turn++) {
      const [worker] = world.workers.values();
      if (!worker!.ready) {
        worker!.ready = true;
        world.send({ type: 'workerReady', worker: worker!.id });
      }
      world.workers.delete(worker!.id);
      const running = { phase: 'task', unit: exits++ % 2, iteration: 0 };
      world.send({ type: 'workerExited', worker: worker!.id, running, detail: 'exit in a phase' });
    }
    expect(world.ended.get(LOOP)).toBe('workerLost');
    expect(exits).toBe(2 * MAX_ATTEMPTS - 1);
  });

  it('gives up on workers that never start, and tries again for the next job', () => {
    const world = new World(2, 0);
    world.send({ type: 'submitStage', job: 0, preferred: [null] });
    for (let i = 0; i < 4; i++) {
      const [worker] = world.workers.keys();
      world.workers.delete(worker!);
      world.send({ type: 'workerExited', worker: worker!, running: null, detail: 'cannot start' });
    }
    expect(world.ended.get(0)).toBe('startFailed');
    world.send({ type: 'submitStage', job: 1, preferred: [null] });
    settle(world, () => world.ended.get(1) === 'success');
  });
});

describe('owners', () => {
  const tables = fc.record({
    owners: fc.array(fc.integer({ min: -1, max: 5 }), { maxLength: 12 }),
    workers: fc.uniqueArray(fc.nat(5), { maxLength: 5 }),
  });
  const load = (owners: readonly number[], worker: number): number => owners.filter((owner) => owner === worker).length;

  it('cover: nobody alive loses a unit, every unit has a living owner', () => {
    fc.assert(
      fc.property(tables, ({ owners, workers }) => {
        const covered = coverUnits(owners, workers);
        covered.forEach((owner, unit) => {
          if (workers.includes(owners[unit]!)) expect(owner).toBe(owners[unit]);
          else if (workers.length > 0) expect(workers).toContain(owner);
          else expect(owner).toBe(NOBODY);
        });
      }),
    );
  });

  it('cover: an owner that is being ended keeps its units, and gets no others', () => {
    expect(coverUnits([0, 1, NOBODY, 0], [1], [0, 1])).toEqual([0, 1, 1, 0]);
    expect(coverUnits([0, 1, NOBODY, 0], [], [0, 1])).toEqual([0, 1, NOBODY, 0]);
  });

  it('balance: loads differ by at most one, and a balanced table does not move', () => {
    fc.assert(
      fc.property(tables, ({ owners, workers }) => {
        const balanced = balanceUnits(owners, workers);
        if (workers.length === 0) return;
        const loads = workers.map((worker) => load(balanced, worker));
        expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(1);
        expect(loads.reduce((a, b) => a + b, 0)).toBe(owners.length);
        expect(balanceUnits(balanced, workers)).toEqual(balanced);
      }),
    );
  });
});
