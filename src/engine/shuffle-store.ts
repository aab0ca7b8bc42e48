/**
 * @file Where the blocks of a shuffle are between the tasks that write them and those that read them: in shared memory, which survives the worker
 * that wrote it, or in files, which every process of the machine can read. What a task gets back from `put` is plain data that says where the
 * bytes are; it goes to the driver as the task's result, and from there to the readers.
 */
import { joinPath, readRangeSync, writeScratch } from '#platform';
import { crc32c } from '../codec/checksum.ts';
import { EngineError, ShoalError } from '../errors.ts';

/** What one `put` wrote: a piece for each output partition, one behind the other. */
export interface ShuffleOutput {
  /** Shared memory, or the absolute path of a file. */
  readonly place: SharedArrayBuffer | string;
  /** Where each piece starts, and behind them where the last one ends, in bytes. */
  readonly offsets: readonly number[];
  /** CRC-32C of each piece. Of files only: shared memory is not checked. */
  readonly checksums: readonly number[];
}

/** Where one piece is. */
export interface ShuffleBlock {
  readonly place: SharedArrayBuffer | string;
  readonly offset: number;
  readonly length: number;
  readonly checksum: number;
}

/** A worker's door to the blocks of shuffles. */
export interface ShuffleStore {
  /**
   * Keeps pieces, one for each output partition (a piece is the bytes of its chunks), under the name of a shuffle.
   *
   * @param inMemory whether they may stay in memory that outlives the worker. A store that has none writes them elsewhere.
   * @throws EngineError (rejects) `SHUFFLE_SPILL_FAILED`
   */
  put(shuffle: string, pieces: readonly (readonly Uint8Array[])[], inMemory: boolean): Promise<ShuffleOutput>;
  /** Brings blocks near that {@link read} will be asked for. @throws EngineError (rejects) `SHUFFLE_BLOCK_LOST` */
  fetch(blocks: readonly ShuffleBlock[]): Promise<void>;
  /**
   * The bytes of a block. Synchronous, so that loops over records can be; not to be changed, as others may read them too.
   *
   * @throws EngineError `SHUFFLE_BLOCK_LOST` for bytes that are gone, cut short or damaged
   */
  read(block: ShuffleBlock): Uint8Array;
}

/** The block of an output partition; null for one without bytes. */
export function blockOf({ place, offsets, checksums }: ShuffleOutput, partition: number): ShuffleBlock | null {
  const offset = offsets[partition]!;
  const length = offsets[partition + 1]! - offset;
  return length === 0 ? null : { place, offset, length, checksum: checksums[partition] ?? 0 };
}

/** Bytes that an output holds in memory. */
export function memoryBytes({ place }: ShuffleOutput): number {
  return typeof place === 'string' ? 0 : place.byteLength;
}

/** Blocks in the memory of this process and in files of this machine. Files are all that other processes need. */
export class LocalShuffleStore implements ShuffleStore {
  private readonly folder: string;
  private readonly worker: number;
  private files = 0;

  /** @param folder the engine's folder for files; made when the first one is written. */
  constructor(folder: string, worker: number) {
    this.folder = folder;
    this.worker = worker;
  }

  async put(shuffle: string, pieces: readonly (readonly Uint8Array[])[], inMemory: boolean): Promise<ShuffleOutput> {
    const offsets = [0];
    for (const chunks of pieces) offsets.push(chunks.reduce((end, { length }) => end + length, offsets.at(-1)!));
    const size = offsets.at(-1)!;
    const bytes = inMemory ? new Uint8Array(new SharedArrayBuffer(size)) : new Uint8Array(size);
    let at = 0;
    for (const chunk of pieces.flat()) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    if (bytes.buffer instanceof SharedArrayBuffer) return { place: bytes.buffer, offsets, checksums: [] };
    const checksums = pieces.map((_, p) => crc32c(bytes.subarray(offsets[p], offsets[p + 1])));
    // Every attempt writes a file of its own: nothing is ever overwritten.
    const place = joinPath(this.folder, shuffle, `worker-${this.worker}-${this.files++}`);
    try {
      await writeScratch(place, bytes);
    } catch (cause) {
      const system = cause instanceof ShoalError ? String(cause.fields.system) : String(cause);
      throw new EngineError(
        'SHUFFLE_SPILL_FAILED',
        `shuffle: ${size} bytes beyond the memory for shuffles must go to ${place}, got ${system}. ` +
          'Free space there, or set spillFolder or shuffleMemoryBytes of the engine.',
        { path: place, bytes: size, system },
        cause,
      );
    }
    return { place, offsets, checksums };
  }

  async fetch(): Promise<void> {} // everything is near

  read({ place, offset, length, checksum }: ShuffleBlock): Uint8Array {
    if (typeof place !== 'string') return new Uint8Array(place, offset, length);
    let bytes: Uint8Array;
    try {
      bytes = readRangeSync(place, offset, length);
    } catch (cause) {
      // Out of file handles: the block is there, and writing it again would not help.
      const { system } = cause instanceof ShoalError ? cause.fields : {};
      if (system === 'EMFILE' || system === 'ENFILE') throw cause;
      throw lost(place, offset, length, `${system ?? 'no file'}`, cause);
    }
    if (bytes.length < length) throw lost(place, offset, length, `${bytes.length} of them`);
    if (crc32c(bytes) !== checksum) throw lost(place, offset, length, 'others (their checksum is wrong)');
    return bytes;
  }
}

function lost(path: string, offset: number, length: number, got: string, cause?: unknown): EngineError {
  return new EngineError(
    'SHUFFLE_BLOCK_LOST',
    `shuffle: ${length} bytes from byte ${offset} that were written to ${path} must be there, got ${got}. ` +
      'They are made again; if this goes on, look for what removes or damages files there.',
    { path, offset, length },
    cause,
  );
}
