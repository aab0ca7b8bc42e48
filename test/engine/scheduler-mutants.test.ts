/** Schedulers broken in one place, each of which the simulation must notice. */
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { balanceUnits } from '../../src/engine/owners.ts';
import type { Scheduler } from '../../src/engine/scheduler.ts';
import { StageState } from '../../src/engine/stages.ts';
import { loopHistories, stageHistories, tallied } from './histories.ts';

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
