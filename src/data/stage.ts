/** @file What workers run for datasets: one exported stage function, which computes a partition and does with it what the action says. */
import type { RecordsPayload, TaskContext } from '../engine/engine.ts';
import { type FunctionSpec, functionKind, resolveFunction } from '../engine/functions.ts';
import { Random } from '../random.ts';
import { type Columns, ColumnsBuilder, inferSchema, type Schema } from './columns.ts';
import { compute, type Stream } from './compute.ts';
import { isSync, partitionRecords, type Records, toArray } from './iterate.ts';
import { asPair, compareKeys, type Key } from './keys.ts';
import type { KeySample } from './partitioner.ts';
import { heapKey, type TaskPlan } from './plan.ts';
import { type LostBlocks, type ShuffleWrite, writeShuffle } from './shuffle-io.ts';

/** URL of this module, for the stages of the driver. */
export const stageModule: string = import.meta.url;

/** What to do with the records of a partition. */
export type Action =
  | { readonly kind: 'collect' }
  | { readonly kind: 'count' }
  | { readonly kind: 'take'; readonly count: number }
  | { readonly kind: 'reduce'; readonly fn: FunctionSpec }
  | { readonly kind: 'aggregate'; readonly zero: unknown; readonly fn: FunctionSpec }
  | { readonly kind: 'foreachPartition'; readonly fn: FunctionSpec }
  | {
      readonly kind: 'cache';
      readonly op: string;
      readonly id: string;
      readonly storage: 'auto' | 'records';
      readonly schema: Schema | null;
    }
  | ({ readonly kind: 'shuffle' } & ShuffleWrite)
  | { readonly kind: 'sampleKeys'; readonly size: number };

/** What the action `cache` gives: the columns, or null when the records stay in this worker's store. */
export interface CacheResult {
  readonly columns: Columns | null;
}

/** What a task gives that found blocks of shuffles lost, whatever its action: it is to be run again when they are there again. */
export interface LostResult {
  readonly lost: readonly LostBlocks[];
}

/**
 * A stage function: computes the partition of `plan` and applies `action`. Records go back as {@link RecordsPayload}. A task that meets lost blocks
 * does not fail: it says so with a {@link LostResult}, even if a function on its way swallowed the error.
 */
export async function runPartition(context: TaskContext, plan: TaskPlan, action: Action): Promise<unknown> {
  const lost: LostBlocks[] = [];
  try {
    const result = await applyAction(await compute(plan, { ...context, lost }), plan, action, context);
    return lost.length === 0 ? result : ({ lost } satisfies LostResult);
  } catch (thrown) {
    if (lost.length > 0) return { lost } satisfies LostResult;
    throw thrown;
  }
}

/** The lost blocks that a task's result tells of; none for any other result. */
export function lostBlocksOf(result: unknown): readonly LostBlocks[] {
  return typeof result === 'object' && result !== null && 'lost' in result ? (result as LostResult).lost : [];
}

async function applyAction(stream: Stream, plan: TaskPlan, action: Action, context: TaskContext): Promise<unknown> {
  const { records } = stream;
  switch (action.kind) {
    case 'collect':
      return payload(await toArray(records));
    case 'count':
      return countRecords(records);
    case 'take':
      return payload(await takeRecords(records, action.count));
    case 'reduce':
      return payload(await reduceRecords(records, action.fn));
    case 'aggregate':
      return payload([await aggregateRecords(records, action.zero, action.fn)]);
    case 'foreachPartition': {
      const fn = await resolveFunction(action.fn);
      await fn(partitionRecords(records));
      return null;
    }
    case 'cache':
      return cachePartition(stream, action, heapKey(action.id, plan.partition), context);
    case 'shuffle':
      return writeShuffle(records, plan.partition, action, context);
    case 'sampleKeys':
      return sampleKeys(records, plan.partition, action.size);
  }
}

async function countRecords(records: Records): Promise<number> {
  let count = 0;
  if (isSync(records)) for (const _ of records) count++;
  else for await (const _ of records) count++;
  return count;
}

async function takeRecords(records: Records, count: number): Promise<unknown[]> {
  const taken: unknown[] = [];
  if (count === 0) return taken;
  if (isSync(records)) {
    for (const record of records) if (taken.push(record) === count) break;
  } else {
    for await (const record of records) if (taken.push(record) === count) break;
  }
  return taken;
}

/** One value, or none when there are no records. */
async function reduceRecords(records: Records, spec: FunctionSpec): Promise<unknown[]> {
  const fn = await resolveFunction(spec);
  let some = false;
  let result: unknown;
  if (isSync(records) && functionKind(fn) === 'sync') {
    for (const record of records) {
      result = some ? fn(result, record) : record;
      some = true;
    }
  } else {
    for await (const record of records) {
      result = some ? await fn(result, record) : record;
      some = true;
    }
  }
  return some ? [result] : [];
}

async function aggregateRecords(records: Records, zero: unknown, spec: FunctionSpec): Promise<unknown> {
  const fn = await resolveFunction(spec);
  let result = zero;
  if (isSync(records) && functionKind(fn) === 'sync') for (const record of records) result = fn(result, record);
  else for await (const record of records) result = await fn(result, record);
  return result;
}

/**
 * Keys of pairs, `size` at most, each record being as likely as any other, drawn by the partition's index: a reservoir (Vitter's algorithm R), as
 * Spark's.
 */
async function sampleKeys(records: Records, partition: number, size: number): Promise<KeySample> {
  const random = new Random(0, [partition, SAMPLE_STREAM]);
  const keys: Key[] = [];
  let count = 0;
  const add = (record: unknown): void => {
    const key = asPair('sortBy', record)[0] as Key;
    compareKeys('sortBy', key, key); // refuses what cannot be ordered
    count++;
    if (keys.length < size) keys.push(key);
    else {
      const place = random.below(count);
      if (place < size) keys[place] = key;
    }
  };
  if (isSync(records)) for (const record of records) add(record);
  else for await (const record of records) add(record);
  return { count, keys };
}

/** Keeps this use of the random numbers apart from others. */
const SAMPLE_STREAM = 0x53414d50;

type CacheAction = Extract<Action, { kind: 'cache' }>;

/**
 * Columns when the schema is known (given, or by the source) or the first record shows one; else the records as they are, in the worker's store.
 * A partition without records and schema is columns without fields.
 */
async function cachePartition(
  stream: Stream,
  action: CacheAction,
  key: string,
  context: TaskContext,
): Promise<CacheResult> {
  if (action.storage === 'records') {
    context.store.set(key, await toArray(stream.records));
    return { columns: null };
  }
  let builder: ColumnsBuilder | null = null;
  let kept: unknown[] | null = null;
  const add = (record: unknown): void => {
    if (builder === null && kept === null) {
      const schema = action.schema ?? stream.schema ?? inferSchema(record);
      if (schema === null) kept = [];
      else builder = new ColumnsBuilder(action.op, schema);
    }
    if (kept === null) builder!.add(record);
    else kept.push(record);
  };
  if (isSync(stream.records)) for (const record of stream.records) add(record);
  else for await (const record of stream.records) add(record);
  if (kept !== null) {
    context.store.set(key, kept);
    return { columns: null };
  }
  builder ??= new ColumnsBuilder(action.op, action.schema ?? stream.schema ?? {});
  return { columns: (builder as ColumnsBuilder).finish() };
}

/** Records on their way to the driver. Views of larger buffers are copied out: a clone would take the whole buffer along. */
function payload(records: unknown[]): RecordsPayload {
  return { records: records.map((record) => compact(record, 3)) };
}

function compact(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null || depth === 0) return value;
  if (ArrayBuffer.isView(value)) {
    const { buffer, byteLength } = value;
    const partial = byteLength < buffer.byteLength || buffer instanceof SharedArrayBuffer;
    return partial && !(value instanceof DataView) ? (value as Uint8Array).slice() : value;
  }
  if (Array.isArray(value)) {
    // Most arrays hold nothing to copy out; they stay as they are.
    return value.some((item) => typeof item === 'object' && item !== null)
      ? value.map((item) => compact(item, depth - 1))
      : value;
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, compact(item, depth - 1)]));
}
