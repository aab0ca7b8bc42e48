/** @file A loop, as the scheduler sees it: who owns which unit in which epoch, who is done, and what failed where. Pure data. */
import { NOBODY } from './blocks.ts';

/** A loop. One that advances has workers inside; one that stands has none. */
export class LoopState {
  readonly kind = 'loop';
  readonly id: number;
  /** Owner of each unit, or {@link NOBODY}. */
  owners: readonly number[];
  /** Counts the tables of owners: what a worker says of an older one is late. */
  epoch = 0;
  advancing = false;
  /** Workers that finished their units in the present epoch. */
  readonly done = new Set<number>();
  /** Workers whose units others own since, and may not have taken over yet: all have when the group ends. */
  readonly givers = new Set<number>();
  /** How often something failed at each place since the loop last stood. */
  private readonly failures = new Map<string, number>();

  constructor(id: number, units: number) {
    this.id = id;
    this.owners = new Array<number>(units).fill(NOBODY);
  }

  /** Units of an owner. */
  unitsOf(worker: number): number[] {
    return this.owners.flatMap((owner, unit) => (owner === worker ? [unit] : []));
  }

  /** Takes the units of a worker that is gone. */
  orphan(worker: number): void {
    this.owners = this.owners.map((owner) => (owner === worker ? NOBODY : owner));
  }

  /** Begins an epoch with new owners. */
  reassign(owners: readonly number[]): void {
    for (const owner of this.owners) if (owner !== NOBODY && !owners.includes(owner)) this.givers.add(owner);
    this.owners = owners;
    this.epoch++;
    this.done.clear();
  }

  /** Takes note that a worker finished its units. Returns whether all have: then failures are forgotten, because the next group is another place. */
  finish(worker: number): boolean {
    this.done.add(worker);
    if (!this.owners.every((owner) => this.done.has(owner))) return false;
    this.failures.clear();
    this.givers.clear();
    return true;
  }

  /** Counts a failure at a place. Returns how many there were at it. */
  countFailure(at: string): number {
    const count = (this.failures.get(at) ?? 0) + 1;
    this.failures.set(at, count);
    return count;
  }
}
