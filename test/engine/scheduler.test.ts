/**
 * The scheduler as a deterministic simulation: fast-check draws what happens next in a {@link World}: which worker takes a step, fails, hangs, is
 * slow or dies, which message arrives late or twice, who joins and leaves. A failure prints the seed that replays it.
 */
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { NOBODY } from '../../src/engine/blocks.ts';
import { balanceUnits, coverUnits } from '../../src/engine/owners.ts';
import { type Command, Scheduler, type SchedulerEvent } from '../../src/engine/scheduler.ts';
import { StageState } from '../../src/engine/stages.ts';
import { LOOP, World, type WorldOptions } from './world.ts';

const MAX_ATTEMPTS = 4;
const runs = Number(process.env.SHOAL_HISTORIES ?? 300);

// Without fast-check's bias to small values, which would make nearly every step a death.
const drawn = fc.noBias(fc.nat(9999));
const steps = fc.array(
  fc.tuple(
    drawn,
    drawn.map((value) => value / 10_000),
  ),
  { minLength: 100, maxLength: 400 },
);
/** Numbers of tasks of some stages, and the turns at which they are submitted. */
const stages = fc.array(fc.record({ tasks: fc.nat(6), turn: fc.nat(99) }), { minLength: 1, maxLength: 4 });
const policies = fc.record({ excludeAfter: fc.constantFrom(1, 2, 3, Number.POSITIVE_INFINITY) });

/** What happened in all histories together: a simulation in which it never happens proves nothing. */
interface Tally {
  copies: number;
  exclusions: number;
  regroups: number;
  readonly reasons: Set<string>;
}

type Sabotage = WorldOptions['sabotage'];

/** Histories of several stages, with resizes, slow tasks, a cancelled job and a close. */
function stageHistories(tally: Tally, sabotage?: Sabotage) {
  return fc.property(fc.integer({ min: 1, max: 4 }), fc.nat(0), policies, stages, steps, (...drawnValues) => {
    const [workers, , policy, given, history] = drawnValues;
    const world = new World({ workers, policy, sabotage });
    history.forEach(([pick, luck], turn) => {
      for (const [job, { tasks, turn: at }] of given.entries())
        if (at === turn && !world.closed) submit(world, job, tasks, workers);
      world.step(pick, luck);
      if (turn % 9 === 0) world.straggle(pick);
      if (turn === given[0]!.turn + 12 && pick % 3 === 0) world.send({ type: 'cancel', job: 0 });
      if (turn % 50 === 49) world.resize(1 + (pick % 4));
      if (turn === given[0]!.turn + 20 && pick % 5 === 0) world.close();
    });
    world.settle(() => world.ended.size === world.submitted);
    world.checkReplay();
    tally.copies += world.copies;
    tally.exclusions += world.exclusions;
    for (const reason of world.ended.values()) tally.reasons.add(reason);
  });
}

function submit(world: World, job: number, tasks: number, workers: number): void {
  world.submit(
    job,
    Array.from({ length: tasks }, (_, task) => (task % 3 === 0 ? task % workers : null)),
  );
}

/** Histories of a loop of 6 groups, with resizes and some stages beside it. */
function loopHistories(tally: Tally, sabotage?: Sabotage) {
  const units = fc.integer({ min: 1, max: 7 });
  return fc.property(fc.integer({ min: 1, max: 4 }), units, policies, stages, steps, (...drawnValues) => {
    const [workers, unitCount, policy, given, history] = drawnValues;
    const world = new World({
      workers,
      units: unitCount,
      policy: { ...policy, sharesMemory: unitCount % 2 === 0 },
      sabotage,
    });
    world.send({ type: 'openLoop', job: LOOP, units: unitCount });
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
      for (const [job, { tasks, turn: at }] of given.entries()) if (at === turn) submit(world, job, tasks, workers);
      world.step(pick, luck);
      if (turn % 40 === 39) world.resize(1 + (pick % 4));
      advance();
    });
    const stagesEnded = (): number => world.ended.size - (world.ended.has(LOOP) ? 1 : 0);
    world.settle(() => over() && stagesEnded() === given.length, advance);
    if (!world.ended.has(LOOP)) expect(world.iterations).toEqual(new Array(unitCount).fill(15));
    world.checkReplay();
    tally.regroups += world.regroups;
    tally.exclusions += world.exclusions;
    tally.reasons.add(world.ended.get(LOOP) ?? 'success');
  });
}

const tallied = (): Tally => ({ copies: 0, exclusions: 0, regroups: 0, reasons: new Set() });

/**
 * Checks `property`, histories by the `runs`, until jobs have ended for each of `reasons`: nine loops in a thousand end by a task's errors, so 300 histories
 * may hold none, but 3000, the most, hold one in all but five of a trillion cases. Returns the number of histories.
 */
function explore<T>(property: fc.IProperty<T>, tally: Tally, reasons: readonly string[]): number {
  let histories = 0;
  do {
    fc.assert(property, { numRuns: runs, endOnFailure: true });
    histories += runs;
  } while (histories < 10 * runs && !reasons.every((reason) => tally.reasons.has(reason)));
  expect([...tally.reasons]).toEqual(expect.arrayContaining([...reasons]));
  return histories;
}

describe('Scheduler', () => {
  it('delivers every result exactly once, or fails its job, in every history', () => {
    const tally = tallied();
    const reasons = ['success', 'taskError', 'cancelled', 'closed', 'memoryBudget'];
    const histories = explore(stageHistories(tally), tally, reasons);
    expect(tally.copies).toBeGreaterThan(histories / 10);
    expect(tally.exclusions).toBeGreaterThan(histories / 10);
  });

  it('brings every loop to its limit, or fails it, with one owner a unit, in every history', () => {
    const tally = tallied();
    const histories = explore(loopHistories(tally), tally, ['success', 'taskError', 'memoryBudget']);
    expect(tally.regroups).toBeGreaterThan(histories / 10);
    expect(tally.exclusions).toBeGreaterThan(histories / 10);
  });

  it('bounds attempts also when two places fail in turn', () => {
    const world = new World({ workers: 1, units: 2 });
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
    const world = new World({ workers: 2 });
    world.submit(0, [null]);
    for (let i = 0; i < 4; i++) {
      const [worker] = world.workers.values();
      world.exit(worker!);
    }
    expect(world.ended.get(0)).toBe('startFailed');
    world.submit(1, [null]);
    world.settle(() => world.ended.get(1) === 'success');
  });
});

describe('Scheduler policy', () => {
  /** A scheduler with `workers` ready workers. */
  function ready(workers: number, excludeAfter = 3): Scheduler {
    const scheduler = new Scheduler({ maxAttempts: MAX_ATTEMPTS, excludeAfter, maxStartFailures: 4 });
    scheduler.step({ type: 'start', workers });
    for (let worker = 0; worker < workers; worker++) scheduler.step({ type: 'workerReady', worker });
    return scheduler;
  }
  const error = { name: 'Error', message: 'no' };
  const isRun = (command: Command) => command.type === 'runTask';

  it('shares workers fairly: a small job ends long before a big one that came first', () => {
    const scheduler = ready(1);
    const order: number[] = [];
    let commands = scheduler.step({ type: 'submitStage', job: 0, preferred: new Array<null>(100).fill(null) });
    commands.push(...scheduler.step({ type: 'submitStage', job: 1, preferred: [null, null, null] }));
    while (commands.length > 0) {
      const ran = commands.find((command) => command.type === 'runTask')!;
      order.push(ran.job);
      commands = scheduler.step({ ...ran, type: 'taskSucceeded' });
      if (!commands.some((command) => command.type === 'runTask')) break;
    }
    expect(order).toHaveLength(103);
    expect(order.slice(0, 7)).toEqual([0, 1, 0, 1, 0, 1, 0]);
  });

  it('gives half of the workers to each of two jobs', () => {
    const scheduler = ready(4);
    scheduler.step({ type: 'submitStage', job: 0, preferred: new Array<null>(100).fill(null) });
    scheduler.step({ type: 'submitStage', job: 1, preferred: new Array<null>(100).fill(null) });
    const jobs = [0, 1].map((worker) =>
      scheduler.step({ type: 'taskSucceeded', worker, job: 0, task: worker, attempt: 1 }),
    );
    expect(jobs.flat().flatMap((command) => (command.type === 'runTask' ? [command.job] : []))).toEqual([1, 1]);
  });

  it('tries a task again where it has not failed, if such a worker is free', () => {
    const scheduler = ready(2);
    scheduler.step({ type: 'submitStage', job: 0, preferred: [null] });
    const commands = scheduler.step({ type: 'taskFailed', worker: 0, job: 0, task: 0, attempt: 1, error });
    expect(commands).toContainEqual({ type: 'runTask', worker: 1, job: 0, task: 0, attempt: 2 });
  });

  it.each([true, false])(
    'a worker whose unit fails again and again is replaced, if nothing is lost (shared memory: %s)',
    (sharesMemory) => {
      for (const workers of [1, 2]) {
        const policy = { maxAttempts: MAX_ATTEMPTS, excludeAfter: 2, maxStartFailures: 4, sharesMemory };
        const scheduler = new Scheduler(policy);
        scheduler.step({ type: 'start', workers });
        for (let worker = 0; worker < workers; worker++) scheduler.step({ type: 'workerReady', worker });
        scheduler.step({ type: 'openLoop', job: 0, units: 2 });
        scheduler.step({ type: 'advance', job: 0 });
        const failed = {
          type: 'loopFailed',
          worker: 0,
          job: 0,
          epoch: 1,
          at: 'task of unit 0 in iteration 3',
          error,
        } as const;
        const commands = [...scheduler.step(failed), ...scheduler.step(failed)];
        const isReplaced = commands.some(({ type }) => type === 'terminate');
        expect(isReplaced).toBe(sharesMemory || workers === 2);
        if (!isReplaced) expect(commands.filter(({ type }) => type === 'enterLoop')).toHaveLength(2);
      }
    },
  );

  it('replaces a worker on which attempts failed in a row, of whatever task, and goes on with the new one', () => {
    const scheduler = ready(1, 2);
    const tasks: number[] = [];
    let ran = scheduler.step({ type: 'submitStage', job: 0, preferred: [null] }).find(isRun)!;
    scheduler.step({ type: 'submitStage', job: 1, preferred: [null] });
    for (let failure = 0; failure < 2; failure++) {
      tasks.push(ran.job);
      const commands = scheduler.step({ ...ran, type: 'taskFailed', error });
      if (failure === 0) ran = commands.find(isRun)!;
      else expect(commands).toContainEqual({ type: 'terminate', worker: 0, reason: 'excluded' });
      if (failure === 1) expect(commands).toContainEqual({ type: 'startWorker', worker: 1 });
    }
    expect(tasks).toEqual([0, 1]);
    scheduler.step({ type: 'workerExited', worker: 0, running: null, detail: '' });
    const next = scheduler.step({ type: 'workerReady', worker: 1 });
    expect(next).toEqual([{ type: 'runTask', worker: 1, job: 0, task: 0, attempt: 2 }]);
  });

  it('does not blame a worker for errors that the same input gives everywhere, nor after a success', () => {
    const scheduler = ready(1, 2);
    let [ran] = scheduler.step({ type: 'submitStage', job: 0, preferred: [null, null] }).filter(isRun);
    [ran] = scheduler.step({ ...ran!, type: 'taskFailed', error }).filter(isRun);
    [ran] = scheduler.step({ ...ran!, type: 'taskSucceeded' }).filter(isRun);
    const final = { ...error, final: true };
    const first = scheduler.step({ ...ran!, type: 'taskFailed', error: final });
    expect(first.map(({ type }) => type)).toEqual(['attemptFailed', 'endJob']);
    [ran] = scheduler.step({ type: 'submitStage', job: 1, preferred: [null] }).filter(isRun);
    const second = scheduler.step({ ...ran!, type: 'taskFailed', error });
    expect(second.map(({ type }) => type)).toEqual(['attemptFailed', 'runTask']);
  });

  it('runs a slow task a second time; the first result wins and the other attempt is ended', () => {
    const scheduler = ready(2);
    scheduler.step({ type: 'submitStage', job: 0, preferred: [null] });
    const copy = scheduler.step({ type: 'straggler', job: 0, task: 0 });
    expect(copy).toEqual([{ type: 'runTask', worker: 1, job: 0, task: 0, attempt: 2 }]);
    expect(scheduler.step({ type: 'straggler', job: 0, task: 0 })).toEqual([]);
    expect(scheduler.step({ type: 'taskSucceeded', worker: 1, job: 0, task: 0, attempt: 2 })).toEqual([
      { type: 'deliver', job: 0, task: 0, worker: 1 },
      { type: 'terminate', worker: 0, reason: 'superseded' },
      { type: 'endJob', job: 0, reason: 'success', task: -1, attempt: 0, error: null },
    ]);
    expect(scheduler.step({ type: 'taskSucceeded', worker: 0, job: 0, task: 0, attempt: 1 })).toEqual([]);
  });

  it.each([true, false])('lets a worker leave when nobody needs what it holds (shared memory: %s)', (sharesMemory) => {
    const scheduler = new Scheduler({ maxAttempts: MAX_ATTEMPTS, excludeAfter: 3, maxStartFailures: 4, sharesMemory });
    scheduler.step({ type: 'start', workers: 2 });
    for (const worker of [0, 1]) scheduler.step({ type: 'workerReady', worker });
    scheduler.step({ type: 'openLoop', job: 0, units: 2 });
    const leaves = (event: SchedulerEvent): boolean => scheduler.step(event).some(({ type }) => type === 'terminate');
    const back = (worker: number, epoch: number): boolean =>
      leaves({ type: 'loopReturned', worker, job: 0, epoch, outcome: 'done' });
    scheduler.step({ type: 'advance', job: 0 });
    expect(leaves({ type: 'resize', workers: 1 })).toBe(false);
    expect([back(0, 1), back(1, 1)]).toEqual([false, sharesMemory]);
    // The one that stays takes over what the other one has, and is done with that when it comes back.
    expect(leaves({ type: 'advance', job: 0 })).toBe(false);
    expect(back(0, 2)).toBe(!sharesMemory);
  });

  it('a failure of one of two attempts costs nothing while the other runs', () => {
    const scheduler = ready(2);
    scheduler.step({ type: 'submitStage', job: 0, preferred: [null] });
    scheduler.step({ type: 'straggler', job: 0, task: 0 });
    const failed = scheduler.step({ type: 'taskFailed', worker: 1, job: 0, task: 0, attempt: 2, error });
    expect(failed.map(({ type }) => type)).toEqual(['attemptFailed']);
    const ended = scheduler.step({ type: 'taskSucceeded', worker: 0, job: 0, task: 0, attempt: 1 });
    expect(ended.map(({ type }) => type)).toEqual(['deliver', 'endJob']);
  });
});

describe('the simulation can fail', () => {
  /** Replaces a method of a scheduler by one that gets the original. */
  function replace(
    scheduler: Scheduler,
    method: string,
    by: (original: (...args: never[]) => unknown) => unknown,
  ): void {
    const original = Reflect.get(scheduler, method) as (...args: never[]) => unknown;
    Reflect.set(scheduler, method, by(original.bind(scheduler)));
  }
  const nothing = (): void => {};

  /** Ways to break the scheduler, and the rule that must catch each. */
  const mutants: readonly {
    readonly name: string;
    readonly rule: RegExp;
    readonly histories: typeof stageHistories;
    readonly sabotage?: (scheduler: Scheduler) => void;
    readonly patch?: () => void;
  }[] = [
    {
      name: 'believes words of attempts that are over',
      rule: /one task at a time|comes from the attempt that was heard/,
      histories: stageHistories,
      sabotage: (scheduler) =>
        replace(scheduler, 'releaseTask', () => (id: number) => {
          const workers = Reflect.get(scheduler, 'workers') as Map<number, { running: unknown }>;
          const worker = workers.get(id) ?? null;
          if (worker !== null) worker.running = null;
          return worker;
        }),
    },
    {
      name: 'tries for ever',
      rule: /attempts are bounded/,
      histories: stageHistories,
      patch: () => {
        const fail = StageState.prototype.fail;
        vi.spyOn(StageState.prototype, 'fail').mockImplementation(function (this: StageState, task, worker) {
          const outcome = fail.call(this, task, worker);
          if (outcome !== 'exhausted') return outcome;
          (Reflect.get(this, 'pending') as number[]).unshift(task);
          return 'again';
        });
      },
    },
    {
      name: 'forgets the task of a worker that died',
      rule: /everything ends/,
      histories: stageHistories,
      sabotage: (scheduler) =>
        replace(scheduler, 'attemptFailed', (original) => (...args: never[]) => {
          const [, , reason] = args as readonly unknown[];
          if (reason === 'taskError') original(...args);
        }),
    },
    {
      name: 'gives tasks to workers that are being ended',
      rule: /no task on a dead worker|a worker is ended once/,
      histories: stageHistories,
      sabotage: (scheduler) =>
        replace(scheduler, 'stopWorker', (original) => (id: number, reason: string) => {
          original(id as never, reason as never);
          const workers = Reflect.get(scheduler, 'workers') as Map<number, { phase: string }>;
          const worker = workers.get(id);
          if (worker !== undefined) worker.phase = 'ready';
        }),
    },
    {
      name: 'runs a task on two workers',
      rule: /a second live attempt only of a slow task|no task that is done/,
      histories: stageHistories,
      patch: () => {
        const begin = StageState.prototype.begin;
        vi.spyOn(StageState.prototype, 'begin').mockImplementation(function (this: StageState, task, worker) {
          const attempt = begin.call(this, task, worker);
          if (attempt === 1) (Reflect.get(this, 'pending') as number[]).push(task);
          return attempt;
        });
      },
    },
    {
      name: 'serves the first job first',
      rule: /the stage with the fewest running tasks comes first/,
      histories: stageHistories,
      sabotage: (scheduler) =>
        replace(scheduler, 'stages', (original) => () => {
          const stages = original() as StageState[];
          for (const stage of stages) stage.servedAt = -1;
          return stages;
        }),
    },
    {
      name: 'keeps workers on which everything fails',
      rule: /no task for a worker that is excluded/,
      histories: stageHistories,
      sabotage: (scheduler) => replace(scheduler, 'drain', () => nothing),
    },
    {
      name: 'leaves cancelled tasks running',
      rule: /cancelling ends the workers of a job/,
      histories: stageHistories,
      sabotage: (scheduler) =>
        replace(
          scheduler,
          'cancel',
          () => (job: number) =>
            (Reflect.get(scheduler, 'failJob') as (...args: unknown[]) => void).call(
              scheduler,
              job,
              'cancelled',
              -1,
              null,
            ),
        ),
    },
    {
      name: 'starts workers after close',
      rule: /no worker starts after close/,
      histories: stageHistories,
      sabotage: (scheduler) =>
        replace(scheduler, 'startWorkers', (original) => () => {
          Reflect.set(scheduler, 'closing', false);
          original();
        }),
    },
    {
      name: 'loses a worker that is free',
      rule: /no worker idles while a task waits/,
      histories: stageHistories,
      sabotage: (scheduler) =>
        replace(scheduler, 'step', (original) => (event: never) => {
          const { type } = event as { type: string };
          if (type !== 'workerReady') return original(event);
          replace(scheduler, 'assignTasks', () => nothing);
          const commands = original(event);
          Reflect.deleteProperty(scheduler, 'assignTasks');
          return commands;
        }),
    },
    {
      name: 'gives units away from owners that still write',
      rule: /a unit moves away only from a worker that is gone or outside|only the owner works on a unit/,
      histories: loopHistories,
      sabotage: (scheduler) =>
        replace(scheduler, 'coverLoop', () => (loop: never) => {
          const { owners } = loop as { owners: readonly number[] };
          const readyWorkers = (Reflect.get(scheduler, 'readyWorkers') as () => number[]).call(scheduler);
          const enterAll = Reflect.get(scheduler, 'enterAll') as (...args: unknown[]) => void;
          enterAll.call(scheduler, loop, balanceUnits(owners, readyWorkers));
        }),
    },
    {
      name: 'takes late returns of an older epoch for done',
      rule: /all units stand at the limit/,
      histories: loopHistories,
      sabotage: (scheduler) =>
        replace(scheduler, 'loopReturned', (original) => (worker: never, job: never) => {
          const jobs = Reflect.get(scheduler, 'jobs') as Map<number, { epoch?: number }>;
          original(worker, job, jobs.get(job)?.epoch as never, 'done' as never);
        }),
    },
  ];

  it.each(mutants)('notices a scheduler that $name, and replays it from its seed', (mutant) => {
    const property = mutant.histories(tallied(), mutant.sabotage);
    try {
      mutant.patch?.();
      const found = fc.check(property, { numRuns: 300, seed: 1, endOnFailure: true });
      expect(found.failed).toBe(true);
      expect(String(found.errorInstance)).toMatch(mutant.rule);
      // What fast-check prints is enough to see the same failure again, and nothing else.
      const again = fc.check(property, { seed: found.seed, path: found.counterexamplePath!, endOnFailure: true });
      expect(String(again.errorInstance)).toBe(String(found.errorInstance));
    } finally {
      vi.restoreAllMocks();
    }
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
