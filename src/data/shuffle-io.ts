/**
 * @file Records of a shuffle on their way through blocks, on the worker. A piece is a row of groups: length (4 bytes, little-endian), then that many
 * bytes of a serialised array of records. Groups hold about 64 KB, so that readers need little memory at a time and records keep little of it
 * alive; a writer hands its groups over whenever it has a run of 16 MB.
 */
import { deserialize, serialize } from '#platform';
import type { TaskContext } from '../engine/engine.ts';
import { memoryBytes, type ShuffleBlock, type ShuffleOutput } from '../engine/shuffle-store.ts';
import { EngineError } from '../errors.ts';
import { isSync, type Records } from './iterate.ts';
import { asPair } from './keys.ts';
import { type Partitioner, partitionOf } from './partitioner.ts';
import type { TaskShuffle } from './plan.ts';

/** How records find their partitions, with nothing left to find out. */
export type TaskRoute =
  | { readonly kind: 'deal'; readonly partitions: number }
  | { readonly kind: 'key'; readonly partitions: number; readonly partitioner: Partitioner };

/** What a task is to write. */
export interface ShuffleWrite {
  readonly id: string;
  /** For messages. */
  readonly op: string;
  readonly route: TaskRoute;
  /** Bytes that may stay in memory. */
  readonly memoryBytes: number;
}

/** What a task of a shuffle's parent wrote: its runs in order, each with a piece for every output partition. */
export type MapOutput = readonly ShuffleOutput[];

/** Blocks that could not be read, and whose producers have to run again. */
export interface LostBlocks {
  readonly shuffle: string;
  /** Input partitions. */
  readonly producers: readonly number[];
  /** What was wrong with the first one. */
  readonly message: string;
}

const GROUP_BYTES = 65_536;
const RUN_BYTES = 2 ** 24;

// ---- writing ----

/** Writes the records of input partition `input` to blocks. @throws EngineError (rejects) `RECORDS_NOT_CLONEABLE`, `SHUFFLE_SPILL_FAILED`, and those of keys */
export async function writeShuffle(
  records: Records,
  input: number,
  write: ShuffleWrite,
  context: Pick<TaskContext, 'shuffles' | 'faultPoint' | 'progress'>,
): Promise<MapOutput> {
  const outputs: ShuffleOutput[] = [];
  const run = new Run(write.op, write.route.partitions);
  const target = router(write, input);
  let memory = write.memoryBytes;
  const put = async (): Promise<void> => {
    context.faultPoint('shuffleWrite', input, 0, outputs.length);
    const { pieces, bytes } = run.take();
    const output = await context.shuffles.put(write.id, pieces, bytes <= memory);
    memory -= memoryBytes(output);
    outputs.push(output);
    context.progress();
  };
  if (isSync(records)) {
    for (const record of records) if (run.add(target(record), record) >= RUN_BYTES) await put();
  } else {
    for await (const record of records) if (run.add(target(record), record) >= RUN_BYTES) await put();
  }
  if (run.finish() > 0) await put();
  return outputs;
}

/** The function that gives each record its partition, called once for each in their order. */
function router({ op, route }: ShuffleWrite, input: number): (record: unknown) => number {
  if (route.kind === 'key') return (record) => partitionOf(route.partitioner, asPair(op, record)[0], op);
  let next = input;
  return () => next++ % route.partitions;
}

/** Records that wait to be put, by output partition: as they are until there are enough for a group, then as bytes. */
class Run {
  private readonly op: string;
  private readonly groups: unknown[][];
  private chunks: Uint8Array[][];
  private bytes = 0;
  /** Learnt from the last groups. The first group has 16 records. */
  private bytesPerRecord = GROUP_BYTES / 16;

  constructor(op: string, partitions: number) {
    this.op = op;
    this.groups = Array.from({ length: partitions }, () => []);
    this.chunks = this.groups.map(() => []);
  }

  /** Adds a record; returns the bytes of the run so far. */
  add(partition: number, record: unknown): number {
    const group = this.groups[partition]!;
    if (group.push(record) * this.bytesPerRecord >= GROUP_BYTES) this.close(partition);
    return this.bytes;
  }

  /** Turns all records into bytes; returns how many these are. */
  finish(): number {
    for (const [partition, group] of this.groups.entries()) if (group.length > 0) this.close(partition);
    return this.bytes;
  }

  /** The chunks of each piece; the run starts anew. */
  take(): { readonly pieces: readonly (readonly Uint8Array[])[]; readonly bytes: number } {
    const { chunks, bytes } = this;
    this.chunks = chunks.map(() => []);
    this.bytes = 0;
    return { pieces: chunks, bytes };
  }

  private close(partition: number): void {
    const group = this.groups[partition]!;
    const body = this.encode(group);
    const head = new Uint8Array(4);
    new DataView(head.buffer).setUint32(0, body.length, true);
    this.chunks[partition]!.push(head, body);
    this.bytes += head.length + body.length;
    this.bytesPerRecord = (this.bytesPerRecord + body.length / group.length) / 2;
    this.groups[partition] = [];
  }

  private encode(group: readonly unknown[]): Uint8Array {
    try {
      return serialize(group);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new EngineError(
        'RECORDS_NOT_CLONEABLE',
        `${this.op}: records must survive a structured clone, got ${reason}. Make them plain data before they are shuffled.`,
        {},
        cause,
      );
    }
  }
}

// ---- reading ----

/**
 * The records of a partition of a shuffle, producer by producer, as they were written. Blocks that cannot be read end the iteration with an error,
 * after their producers were added to `lost`.
 */
export async function openShuffle(
  { id, producers }: TaskShuffle,
  partition: number,
  { shuffles, faultPoint, lost }: Pick<TaskContext, 'shuffles' | 'faultPoint'> & { readonly lost: LostBlocks[] },
): Promise<Iterable<unknown>> {
  const fail = (failed: readonly number[], cause: unknown): never => {
    const message = cause instanceof Error ? cause.message : String(cause);
    lost.push({ shuffle: id, producers: failed, message });
    throw cause;
  };
  const read = (block: ShuffleBlock): Uint8Array => {
    try {
      return shuffles.read(block);
    } catch (cause) {
      if (!isLost(cause)) throw cause;
      // What took one block may have taken more: all are looked at, so that they are made again at once.
      const failed = producers.flatMap((blocks, producer) => (blocks.every(canRead) ? [] : [producer]));
      return fail(failed, cause);
    }
  };
  const canRead = (block: ShuffleBlock): boolean => {
    try {
      shuffles.read(block);
      return true;
    } catch (thrown) {
      return !isLost(thrown);
    }
  };
  const fetched = await Promise.allSettled(producers.map((blocks) => shuffles.fetch(blocks)));
  const gone = fetched.flatMap((outcome, producer) => (outcome.status === 'rejected' ? [{ producer, outcome }] : []));
  const other = gone.find(({ outcome }) => !isLost(outcome.reason));
  if (other !== undefined) throw other.outcome.reason;
  if (gone.length > 0) {
    const failed = gone.map(({ producer }) => producer);
    return fail(failed, gone[0]!.outcome.reason);
  }
  return (function* () {
    for (const [producer, blocks] of producers.entries()) {
      faultPoint('shuffleRead', partition, 0, producer);
      for (const block of blocks) yield* decode(read(block));
    }
  })();
}

function* decode(bytes: Uint8Array): Generator<unknown> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length; ) {
    const start = at + 4;
    at = start + view.getUint32(at, true);
    // Nothing of the values looks into the bytes: each typed array has a buffer of its own.
    yield* deserialize(bytes.subarray(start, at)) as unknown[];
  }
}

function isLost(thrown: unknown): boolean {
  return thrown instanceof EngineError && thrown.code === 'SHUFFLE_BLOCK_LOST';
}
