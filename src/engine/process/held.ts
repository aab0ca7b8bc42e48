/**
 * @file Which versions of which parts of a loop's blocks are whole in this process's memory. Parts that a worker computes or gets entirely are held;
 * those of which it gets only some bytes are not. Pure bookkeeping.
 */
import type { BlockSpecs } from '../blocks.ts';

/** The versions `from` to `to` are there; none if `to < from`. At most as many as the block has slots. */
interface Range {
  from: number;
  to: number;
}

/** See the file's head. */
export class HeldVersions {
  private readonly specs: BlockSpecs;
  private readonly ranges = new Map<string, Range[]>();

  constructor(units: number, specs: BlockSpecs) {
    this.specs = specs;
    for (const name of Object.keys(specs)) {
      const none = Array.from({ length: units }, () => ({ from: 0, to: -1 }));
      this.ranges.set(name, none);
    }
  }

  /** A version has come into its slot, over the one that was there. */
  add(block: string, unit: number, version: number): void {
    const range = this.range(block, unit);
    const { slots } = this.specs[block]!;
    const follows = range.to >= range.from && (version === range.to + 1 || version === range.to);
    range.from = follows ? Math.max(range.from, version - slots + 1) : version;
    range.to = version;
  }

  /** An older version has come into the other slot. */
  addOlder(block: string, unit: number, version: number): void {
    const range = this.range(block, unit);
    if (version === range.from - 1 && range.to === version + 1) range.from = version;
  }

  /** Nothing of the part is believed any more. */
  drop(block: string, unit: number): void {
    Object.assign(this.range(block, unit), { from: 0, to: -1 });
  }

  /** Whether a version is there. A block with one slot is written once: what is there is every version. */
  has(block: string, unit: number, version: number): boolean {
    const { from, to } = this.range(block, unit);
    return to >= from && (this.specs[block]!.slots === 1 || (version >= from && version <= to));
  }

  /** The newest version that is there, or -1. */
  newest(block: string, unit: number): number {
    const { from, to } = this.range(block, unit);
    return to >= from ? to : -1;
  }

  /** The oldest version that is there; above `newest` if there is none. */
  oldest(block: string, unit: number): number {
    const { from, to } = this.range(block, unit);
    return to >= from ? from : to + 1;
  }

  /** The newest version at which a unit's part of `main`, and of all blocks that go with it, is there, or -1. Parts without bytes need not come. */
  newestOfAll(main: string, others: readonly string[], unit: number): number {
    const some = others.filter((block) => this.specs[block]!.unitBytes[unit]! > 0);
    const ofSlots = some.filter((block) => this.specs[block]!.slots > 1);
    const version = Math.min(this.newest(main, unit), ...ofSlots.map((block) => this.newest(block, unit)));
    return [main, ...some].every((block) => this.has(block, unit, version)) ? version : -1;
  }

  private range(block: string, unit: number): Range {
    return this.ranges.get(block)![unit]!;
  }
}
