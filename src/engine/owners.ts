/** @file Who owns which unit of a loop. Pure functions on the table of owners: owner of each unit by index, {@link NOBODY} for none. */
import { NOBODY } from './blocks.ts';

/**
 * Gives the units that nobody owns to the `workers` with the fewest units. A unit of an owner in `staying` stays where it is, also if that one
 * is being ended and takes no new units: until it is gone it may still write. Used while a loop runs.
 */
export function coverUnits(
  owners: readonly number[],
  workers: readonly number[],
  staying: readonly number[] = workers,
): number[] {
  const load = new Map(workers.map((worker) => [worker, 0]));
  for (const owner of owners) if (load.has(owner)) load.set(owner, load.get(owner)! + 1);
  return owners.map((owner) => {
    if (staying.includes(owner)) return owner;
    const least = leastLoaded(load);
    if (least !== NOBODY) load.set(least, load.get(least)! + 1);
    return least;
  });
}

/**
 * Covers all units and evens out the load (counts differ by at most one), moving as few units as possible. Used at group boundaries, when
 * every owner has come back from the loop.
 */
export function balanceUnits(owners: readonly number[], workers: readonly number[]): number[] {
  if (workers.length === 0) return owners.map(() => NOBODY);
  const most = Math.ceil(owners.length / workers.length);
  const full = owners.length - workers.length * (most - 1); // so many workers may hold `most` units, the others one less
  const load = new Map(workers.map((worker) => [worker, 0]));
  let holdersOfMost = 0;
  const kept = owners.map((owner) => {
    const count = load.get(owner);
    if (count === undefined || count === most || (count === most - 1 && holdersOfMost === full)) return NOBODY;
    if (count === most - 1) holdersOfMost++;
    load.set(owner, count + 1);
    return owner;
  });
  return coverUnits(kept, workers);
}

function leastLoaded(load: ReadonlyMap<number, number>): number {
  let least = NOBODY;
  for (const [worker, count] of load) if (least === NOBODY || count < load.get(least)!) least = worker;
  return least;
}
