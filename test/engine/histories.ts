/**
 * Histories of the scheduler: fast-check draws what happens next in a {@link World}: which worker takes a step, fails, hangs, is slow or dies, which
 * message arrives late or twice, who joins and leaves. A failure prints the seed that replays it.
 */
import fc from 'fast-check';
import { expect } from 'vitest';
import { LOOP, World, type WorldOptions } from './world.ts';

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
export interface Tally {
  copies: number;
  exclusions: number;
  regroups: number;
  readonly reasons: Set<string>;
}

type Sabotage = WorldOptions['sabotage'];

/** Histories of several stages, with resizes, slow tasks, a cancelled job and a close. */
export function stageHistories(tally: Tally, sabotage?: Sabotage): fc.IRawProperty<unknown, false> {
  return fc.property(fc.integer({ min: 1, max: 4 }), policies, stages, steps, (workers, policy, given, history) => {
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
export function loopHistories(tally: Tally, sabotage?: Sabotage): fc.IRawProperty<unknown, false> {
  const units = fc.integer({ min: 1, max: 7 });
  return fc.property(fc.integer({ min: 1, max: 4 }), units, policies, stages, steps, (...drawn) => {
    const [workers, unitCount, policy, given, history] = drawn;
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

export function tallied(): Tally {
  return { copies: 0, exclusions: 0, regroups: 0, reasons: new Set() };
}
