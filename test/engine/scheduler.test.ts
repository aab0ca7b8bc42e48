/** The scheduler as a deterministic simulation: what must hold in every history, and at the bounds of attempts. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loopHistories, stageHistories, type Tally, tallied } from './histories.ts';
import { LOOP, World } from './world.ts';

const MAX_ATTEMPTS = 4;
const runs = Number(process.env.SHOAL_HISTORIES ?? 300);

/**
 * Checks `property`, histories by the `runs`, until jobs have ended for each of `reasons`: nine loops in a thousand end by a task's errors, so 300 histories
 * may hold none, but 3000, the most, hold one in all but five of a trillion cases. Returns the number of histories.
 */
function explore(property: fc.IRawProperty<unknown, false>, tally: Tally, reasons: readonly string[]): number {
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
