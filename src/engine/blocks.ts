/**
 * @file Named, versioned blocks: all that workers of a loop share. A block has one part per unit; a part has one writer (the unit's owner) and one
 * version word. A writer fills the slot of the next version and then publishes it with one atomic store; a reader that has seen version v may
 * read the slot of v. With two slots (version & 1) version v stays readable while v + 1 is written, so that an interrupted write is simply
 * done again; with one slot the loop's phases must guarantee that nobody still reads the old version.
 */
import { invariant } from '../errors.ts';
import { ReportRing } from './report-ring.ts';

/** The form of a block. */
export interface BlockSpec {
  /** Bytes of each unit's part. Parts lie one behind the other, so a whole version is one contiguous run of bytes. */
  readonly unitBytes: readonly number[];
  readonly slots: 1 | 2;
  /** A block that is published together with another one, by the same writer, has no version word of its own. */
  readonly versionOf?: string;
  /** Only the owner of a unit reads its part. Where memory is not shared, one other worker keeps a copy, so that no worker's loss loses it. */
  readonly isPrivate?: boolean;
}

/** Blocks by name. */
export type BlockSpecs = Readonly<Record<string, BlockSpec>>;

/** What another thread needs to open the same blocks: plain data and shared buffers. */
export interface BlockHandles {
  /** Identity of the loop's blocks within their engine. */
  readonly id: number;
  readonly units: number;
  readonly specs: BlockSpecs;
  /** Int32 words: epoch, limit, owner of each unit, then the version words of each versioned block. */
  readonly control: SharedArrayBuffer;
  /** The lines that iterations report: a ReportRing. */
  readonly reports: SharedArrayBuffer;
  /** One buffer per slot. Blocks that are elsewhere are left out. */
  readonly data: Readonly<Record<string, readonly SharedArrayBuffer[]>>;
}

/** A version of some of a loop's blocks, as a task asks for it. */
export interface PinnedBlocks {
  readonly blocks: BlockHandles;
  readonly version: number;
}

const EPOCH = 0;
const LIMIT = 1;
const OWNERS = 2;
/** Owner of a unit that nobody owns. */
export const NOBODY = -1;

/** What createBlocks needs. */
export interface BlocksOptions {
  readonly id: number;
  readonly units: number;
  readonly specs: BlockSpecs;
  /** The version that a unit has when it is initialised. */
  readonly startVersion: number;
  /** Whether to make room for the bytes, or only for the versions. */
  readonly hasData: boolean;
}

/** Makes the blocks of a loop. All versions are one before `startVersion`, all owners {@link NOBODY}; the bytes are zero. */
export function createBlocks({ id, units, specs, startVersion, hasData }: BlocksOptions): BlockTable {
  const versioned = Object.values(specs).filter((spec) => spec.versionOf === undefined).length;
  const control = new SharedArrayBuffer(4 * (OWNERS + units * (1 + versioned)));
  const words = new Int32Array(control);
  words.fill(NOBODY, OWNERS, OWNERS + units);
  words.fill(startVersion - 1, OWNERS + units);
  words[LIMIT] = startVersion;
  const data: Record<string, SharedArrayBuffer[]> = {};
  for (const [name, spec] of hasData ? Object.entries(specs) : []) {
    const bytes = spec.unitBytes.reduce((sum, part) => sum + part, 0);
    data[name] = Array.from({ length: spec.slots }, () => new SharedArrayBuffer(bytes));
  }
  return new BlockTable({ id, units, specs, control, reports: new ReportRing().buffer, data });
}

/** Handles of only the named blocks: what keeps them alive keeps nothing else. */
export function pickBlocks(handles: BlockHandles, names: readonly string[]): BlockHandles {
  return { ...handles, data: Object.fromEntries(names.map((name) => [name, handles.data[name]!])) };
}

/** Handles with the bytes of some blocks at a version, in this thread's memory. */
export function placeBlocks(handles: BlockHandles, version: number, bytes: Record<string, Uint8Array>): BlockHandles {
  const data: Record<string, SharedArrayBuffer[]> = {};
  for (const [name, whole] of Object.entries(bytes)) {
    const { slots } = handles.specs[name]!;
    const buffer = new SharedArrayBuffer(whole.length);
    new Uint8Array(buffer).set(whole);
    data[name] = Array.from({ length: slots }, (_, slot) =>
      slot === (version & (slots - 1)) ? buffer : new SharedArrayBuffer(0),
    );
  }
  return { ...handles, data };
}

/** The version words of a block, for who asks often. */
export class VersionTrack {
  private readonly words: Int32Array;
  private readonly first: number;
  private readonly units: number;

  constructor(words: Int32Array, first: number, units: number) {
    this.words = words;
    this.first = first;
    this.units = units;
  }

  /** The latest published version of a unit's part. */
  version(unit: number): number {
    return Atomics.load(this.words, this.first + unit);
  }

  /** The last unit whose version is below `least`, or -1 if there is none. */
  lastBelow(least: number): number {
    for (let unit = this.units - 1; unit >= 0; unit--) if (this.version(unit) < least) return unit;
    return -1;
  }
}

/** The blocks of a loop, as one thread sees them. */
export class BlockTable {
  readonly handles: BlockHandles;
  readonly units: number;
  private readonly words: Int32Array;
  private readonly firstWord = new Map<string, number>();
  private readonly offsets = new Map<string, number[]>();
  private viewed = 0;

  constructor(handles: BlockHandles) {
    this.handles = handles;
    this.units = handles.units;
    this.words = new Int32Array(handles.control);
    let word = OWNERS + handles.units;
    for (const [name, spec] of Object.entries(handles.specs)) {
      invariant(spec.unitBytes.length === handles.units, `block ${name} has a part for each unit`);
      if (spec.versionOf === undefined) {
        this.firstWord.set(name, word);
        word += handles.units;
      }
      let offset = 0;
      this.offsets.set(
        name,
        spec.unitBytes.map((bytes) => (offset += bytes) - bytes),
      );
    }
  }

  /** The version words of a block. */
  track(name: string): VersionTrack {
    return new VersionTrack(this.words, this.wordOf(name, 0), this.units);
  }

  /** The latest published version of a unit's part. */
  version(name: string, unit: number): number {
    return Atomics.load(this.words, this.wordOf(name, unit));
  }

  /** The oldest version among all parts. */
  minVersion(name: string): number {
    let min = Number.POSITIVE_INFINITY;
    for (let unit = 0; unit < this.units; unit++) min = Math.min(min, this.version(name, unit));
    return min;
  }

  /** Makes `version` of a unit's part visible to all, and wakes those that wait for it. */
  publish(name: string, unit: number, version: number): void {
    const word = this.wordOf(name, unit);
    Atomics.store(this.words, word, version);
    Atomics.notify(this.words, word);
  }

  /** Blocks this thread until the part's version may have changed from `seen`, at most `timeoutMs`. */
  wait(name: string, unit: number, seen: number, timeoutMs: number): void {
    Atomics.wait(this.words, this.wordOf(name, unit), seen, timeoutMs);
  }

  /** The bytes of a unit's part in the slot of `version`. */
  part(name: string, unit: number, version: number): Uint8Array {
    const bytes = this.handles.specs[name]!.unitBytes[unit]!;
    this.viewed += bytes;
    return new Uint8Array(this.slot(name, version), this.offsets.get(name)![unit]!, bytes);
  }

  /** The bytes of all parts in the slot of `version`. */
  whole(name: string, version: number): Uint8Array {
    const slot = this.slot(name, version);
    this.viewed += slot.byteLength;
    return new Uint8Array(slot);
  }

  /** Bytes of blocks that this thread has asked to see, by `part` or `whole`. */
  get viewedBytes(): number {
    return this.viewed;
  }

  /** Changes whenever an owner changes. */
  get epoch(): number {
    return Atomics.load(this.words, EPOCH);
  }

  /** Units do not start iterations >= limit. */
  get limit(): number {
    return Atomics.load(this.words, LIMIT);
  }

  set limit(value: number) {
    Atomics.store(this.words, LIMIT, value);
  }

  /** Sets the version of a unit's part, without the wake-up of {@link publish}: for who keeps a copy of the versions. */
  setVersion(name: string, unit: number, version: number): void {
    Atomics.store(this.words, this.wordOf(name, unit), version);
  }

  /** Owner of a unit: a worker's id, or {@link NOBODY}. */
  owner(unit: number): number {
    return Atomics.load(this.words, OWNERS + unit);
  }

  /** The owners of all units. */
  owners(): number[] {
    return Array.from({ length: this.units }, (_, unit) => this.owner(unit));
  }

  /** Writes the table of owners, starts a new epoch and wakes everybody who waits for any version. */
  reassign(owners: readonly number[], epoch = this.epoch + 1): void {
    owners.forEach((owner, unit) => void Atomics.store(this.words, OWNERS + unit, owner));
    Atomics.store(this.words, EPOCH, epoch);
    for (let word = 0; word < this.words.length; word++) Atomics.notify(this.words, word);
  }

  private wordOf(name: string, unit: number): number {
    return this.firstWord.get(this.handles.specs[name]!.versionOf ?? name)! + unit;
  }

  private slot(name: string, version: number): SharedArrayBuffer {
    const slots = this.handles.data[name]!;
    return slots[version & (slots.length - 1)]!;
  }
}
