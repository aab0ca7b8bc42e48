/** What the pure scheduler decides: who gets the next worker, where a task is tried again, who is replaced, when a task runs twice. */
import { describe, expect, it } from 'vitest';
import { type Command, Scheduler, type SchedulerEvent } from '../../src/engine/scheduler.ts';

const MAX_ATTEMPTS = 4;

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
