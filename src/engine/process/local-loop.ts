/**
 * @file A loop as one worker process has it: the blocks in its own memory, kept in step with those of the others. The thread that computes sees a
 * table of blocks as if memory were shared; this is what is behind it.
 */
import { type BlockHandles, type BlockTable, createBlocks, NOBODY } from '../blocks.ts';
import type { ByteRange, Phase } from '../engine.ts';
import { nextWork, tracksOf } from '../loop-runner.ts';
import { LINE_NUMBERS, ReportRing, reportBlock } from '../report-ring.ts';
import type { Holdings, LoopStatus } from './control.ts';
import { HeldVersions } from './held.ts';

/** What a worker wants of another one's part, from which version on. */
export interface Want {
  readonly block: string;
  readonly unit: number;
  readonly owner: number;
  readonly ranges: readonly ByteRange[];
  readonly from: number;
}

/** See the file's head. */
export class LocalLoop {
  readonly job: number;
  readonly blocks: BlockTable;
  readonly held: HeldVersions;
  readonly phases: readonly Phase[];
  readonly startIteration: number;
  /** The block that an iteration ends with. Its version is that of a unit's whole state. */
  readonly main: string;
  /** What a unit consists of: the main block, and those that are published with it. */
  readonly stateBlocks: readonly string[];
  private readonly reports: ReportRing;
  private readonly partial = new Map<string, string>();
  private reportedLine: number;

  /** @param given the driver's handles, without bytes. */
  constructor(given: BlockHandles, phases: readonly Phase[], startIteration: number) {
    const { id, units, specs } = given;
    this.job = id;
    this.blocks = createBlocks({ id, units, specs, startVersion: startIteration, hasData: true });
    this.held = new HeldVersions(units, specs);
    this.phases = phases;
    this.startIteration = startIteration;
    this.main = phases[phases.length - 1]!.writes;
    this.stateBlocks = Object.keys(specs).filter((name) => (specs[name]!.versionOf ?? name) === this.main);
    this.reports = new ReportRing(this.blocks.handles.reports);
    this.reportedLine = startIteration;
  }

  /** The computing thread has published a part: what was published with it is there too. */
  published(block: string, unit: number, version: number): void {
    for (const name of this.publishedWith(block)) this.held.add(name, unit, version);
  }

  /** The blocks that are given on when a block is published, in the order in which they must arrive: a unit's private state first. */
  publishedWith(block: string): readonly string[] {
    const { specs } = this.blocks.handles;
    const companions = Object.keys(specs).filter((name) => specs[name]!.versionOf === block);
    return [...companions, block];
  }

  /** Bytes of a version of a part have arrived. */
  received({ block, unit, ranges }: Pick<Want, 'block' | 'unit' | 'ranges'>, version: number): void {
    if (this.isWhole(block, unit, ranges)) this.held.add(block, unit, version);
    if (block === reportBlock && unit === 0) this.reports.write(version - 1, this.reportLine(version));
    const isVersioned = this.blocks.handles.specs[block]!.versionOf === undefined;
    if (isVersioned && version > this.blocks.version(block, unit)) this.blocks.publish(block, unit, version);
  }

  /** What this worker has of a unit; for unit 0 also what iterations from `firstLine` on have reported. */
  holdings(unit: number, firstLine: number): Holdings {
    const state = this.held.newestOfAll(this.main, this.stateBlocks, unit);
    const lines: number[][] = [];
    if (unit === 0)
      for (let iteration = firstLine; iteration < state; iteration++) lines.push(this.reports.read(iteration));
    return { state, seen: this.blocks.version(this.main, unit), lines };
  }

  /**
   * Makes this worker's tables say that a unit's whole state is there at `version`; what phases write besides is not: they go on from `from`.
   */
  takeOver(unit: number, version: number, from: number): void {
    this.forgetRanges(unit);
    for (const { writes } of this.phases) {
      if (writes === this.main) {
        this.blocks.setVersion(writes, unit, version);
      } else {
        this.blocks.setVersion(writes, unit, from);
        this.held.drop(writes, unit);
      }
    }
  }

  /** Nobody has anything of the unit: the computing thread writes its first version. */
  startAnew(unit: number): void {
    this.forgetRanges(unit);
    for (const { writes } of this.phases) {
      this.blocks.setVersion(writes, unit, this.startIteration - 1);
      this.held.drop(writes, unit);
    }
  }

  /**
   * What this worker's units need of others' parts, and of which units it keeps a copy. Parts of which other bytes are wanted than before are
   * forgotten: their versions go back to what the units have used.
   */
  wants(owners: readonly number[], worker: number): Want[] {
    const tracks = tracksOf(this.blocks, this.phases);
    const mine = owners.flatMap((owner, unit) => (owner === worker ? [unit] : []));
    const wants: Want[] = [];
    const { specs } = this.blocks.handles;
    for (const [name, { isPrivate, unitBytes }] of Object.entries(specs)) {
      if (!isPrivate) continue;
      owners.forEach((owner, unit) => {
        if (owner === NOBODY || owner === worker || unitBytes[unit] === 0) return;
        if (mirrorOf(owners, owner) !== worker) return;
        const ranges = [{ offsetBytes: 0, lengthBytes: unitBytes[unit]! }];
        wants.push({ block: name, unit, owner, ranges, from: this.held.newest(name, unit) + 1 });
      });
    }
    if (mine.length === 0) return wants;
    const iteration = Math.min(...mine.map((unit) => Math.max(nextWork(tracks, unit).iteration, this.startIteration)));
    for (const { needs, lag, reads } of this.phases) {
      const { unitBytes } = specs[needs]!;
      owners.forEach((owner, unit) => {
        if (owner === NOBODY || owner === worker) return;
        const ranges = reads === undefined ? [{ offsetBytes: 0, lengthBytes: unitBytes[unit]! }] : union(reads, mine);
        const key = JSON.stringify(ranges);
        const needed = iteration + lag;
        const place = `${needs} ${unit}`;
        const isKnown = this.partial.get(place) === key || this.held.has(needs, unit, needed);
        if (!isKnown && this.blocks.version(needs, unit) >= needed) this.blocks.setVersion(needs, unit, needed - 1);
        this.partial.set(place, key);
        wants.push({
          block: needs,
          unit,
          owner,
          ranges,
          from: Math.max(needed, this.blocks.version(needs, unit) + 1),
        });
      });
    }
    return wants;
  }

  /** The driver has been told of what unit 0 reported up to here; `lines` come from who had it before. */
  reportFrom(firstLine: number, lines: readonly (readonly number[])[]): void {
    this.reportedLine = firstLine;
    lines.forEach((line, i) => void this.reports.write(firstLine + i, line));
  }

  /** How far the units that this worker has are, and what iterations have reported since the last time. */
  status(mine: readonly number[]): LoopStatus {
    const { blocks } = this;
    const versions: Record<string, number[]> = {};
    // No version of unit 0 is told before the lines up to it.
    const reported = mine.includes(0) ? blocks.version(this.main, 0) : this.reportedLine;
    for (const { writes } of this.phases) {
      const told = (unit: number): number =>
        unit === 0 && writes === this.main ? reported : blocks.version(writes, unit);
      versions[writes] = mine.flatMap((unit) => [unit, told(unit)]);
    }
    const firstLine = this.reportedLine;
    const lines: number[][] = [];
    for (; this.reportedLine < reported; this.reportedLine++) lines.push(this.reports.read(this.reportedLine));
    return { job: this.job, versions, firstLine, lines };
  }

  private reportLine(version: number): number[] {
    const { buffer, byteOffset } = this.blocks.part(reportBlock, 0, version);
    return [...new Float64Array(buffer, byteOffset, LINE_NUMBERS)];
  }

  /** What is in memory of the unit is no longer what some epoch has asked for. */
  private forgetRanges(unit: number): void {
    for (const { needs } of this.phases) this.partial.delete(`${needs} ${unit}`);
  }

  private isWhole(block: string, unit: number, ranges: readonly ByteRange[]): boolean {
    const [range] = ranges;
    const bytes = this.blocks.handles.specs[block]!.unitBytes[unit]!;
    return ranges.length === 1 && range!.offsetBytes === 0 && range!.lengthBytes === bytes;
  }
}

/** The worker that keeps a copy of what only `owner` has: the next one of those that own units, -1 if there is no other. */
export function mirrorOf(owners: readonly number[], owner: number): number {
  const distinct = [...new Set(owners)].filter((other) => other !== NOBODY).sort((a, b) => a - b);
  const next = distinct[(distinct.indexOf(owner) + 1) % distinct.length]!;
  return next === owner ? NOBODY : next;
}

/** All ranges that some of the units read, sorted, those that touch as one. */
function union(reads: readonly (readonly ByteRange[])[], units: readonly number[]): ByteRange[] {
  const sorted = units.flatMap((unit) => reads[unit]!).sort((a, b) => a.offsetBytes - b.offsetBytes);
  const merged: ByteRange[] = [];
  for (const range of sorted) {
    const last = merged[merged.length - 1];
    const end = range.offsetBytes + range.lengthBytes;
    if (last === undefined || range.offsetBytes > last.offsetBytes + last.lengthBytes) merged.push(range);
    else if (end > last.offsetBytes + last.lengthBytes) {
      merged[merged.length - 1] = { offsetBytes: last.offsetBytes, lengthBytes: end - last.offsetBytes };
    }
  }
  return merged;
}
