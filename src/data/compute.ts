/**
 * @file Computes a partition, on the worker: a task's plan becomes a chain of iterators, and a record goes through all steps before the next one
 * starts. A chain of synchronous functions is synchronous from end to end (no promise per record); from the first `async` step on it is
 * asynchronous.
 */
import type { TaskContext } from '../engine/engine.ts';
import { functionKind, type ResolvedFunction, resolveFunction } from '../engine/functions.ts';
import { EngineError } from '../errors.ts';
import { permutation } from '../random.ts';
import { type Columns, recordAt, type Schema, schemaOf } from './columns.ts';
import {
  checkIterable,
  isSync,
  partitionRecords,
  type Records,
  refusePromise,
  toArray,
  undeclaredAsync,
  withProgress,
} from './iterate.ts';
import { openIdx } from './open-idx.ts';
import { groupPairs, joinPairs, keyRecords, mapPairValues, reducePairs, sortPairs } from './pair-steps.ts';
import type { TaskPlan, TaskSource, TaskStep } from './plan.ts';
import { type LostBlocks, openShuffle } from './shuffle-io.ts';

/** What computing needs of a task's context, and where it says which blocks of shuffles are lost. */
export type ComputeContext = Pick<TaskContext, 'store' | 'shuffles' | 'progress' | 'faultPoint'> & {
  readonly lost: LostBlocks[];
};

/** A partition on its way: its records, and their schema as far as the source knows it. */
export interface Stream {
  readonly records: Records;
  readonly schema: Schema | null;
}

/** Keeps the order of `shuffle` apart from other uses of the same seed, such as the Trainer's order of an epoch. */
const SHUFFLE_STREAM = 0x53485546;

/** Opens the records of a task's plan. Nothing is read before the first record is asked for, except what a source must know to start. */
export async function compute(plan: TaskPlan, context: ComputeContext): Promise<Stream> {
  const { source, steps } = skipToRemembered(plan, context);
  let stream = await openSource(source, plan.partition, context);
  if (steps.length > 0) stream = { ...stream, records: withProgress(stream.records, context) };
  for (const step of steps) stream = await applyStep(step, stream, plan.partition, context);
  return { ...stream, records: withProgress(stream.records, context) };
}

// ---- sources ----

/** Starts from the last step whose result this worker still has in its store. */
function skipToRemembered(plan: TaskPlan, { store }: ComputeContext): Pick<TaskPlan, 'source' | 'steps'> {
  const at = plan.steps.findLastIndex((step) => step.kind === 'remember' && store.has(step.key));
  const step = plan.steps[at];
  if (step?.kind !== 'remember') return plan;
  const records = store.get(step.key) as readonly unknown[];
  return { source: { kind: 'records', records }, steps: plan.steps.slice(at + 1) };
}

async function openSource(source: TaskSource, partition: number, context: ComputeContext): Promise<Stream> {
  switch (source.kind) {
    case 'records':
      return { records: source.records, schema: null };
    case 'columns':
      return { records: columnRecords(source.columns), schema: schemaOf(source.columns) };
    case 'shuffle':
      return { records: await openShuffle(source, partition, context), schema: null };
    case 'idx': {
      const columns = await openIdx(source, partition);
      return { records: columnRecords(columns), schema: schemaOf(columns) };
    }
  }
}

function* columnRecords(columns: Columns): Generator<unknown> {
  for (let row = 0; row < columns.count; row++) yield recordAt(columns, row);
}

// ---- steps ----

async function applyStep(
  step: TaskStep,
  { records, schema }: Stream,
  partition: number,
  context: ComputeContext,
): Promise<Stream> {
  switch (step.kind) {
    case 'map': {
      const fn = await resolveFunction(step.fn);
      const sync = isSync(records) && functionKind(fn) !== 'async';
      return { records: sync ? mapRecords(records, fn) : mapRecordsLater(records, fn), schema: null };
    }
    case 'filter': {
      const fn = await resolveFunction(step.fn);
      const sync = isSync(records) && functionKind(fn) !== 'async';
      return { records: sync ? filterRecords(records, fn) : filterRecordsLater(records, fn), schema };
    }
    case 'flatMap': {
      const fn = await resolveFunction(step.fn);
      const kind = functionKind(fn);
      const sync = isSync(records) && kind !== 'async' && kind !== 'asyncGenerator';
      return { records: sync ? flatMapRecords(records, fn) : flatMapRecordsLater(records, fn), schema: null };
    }
    case 'mapPartitions': {
      const fn = await resolveFunction(step.fn);
      const input = partitionRecords(records);
      const result = await (step.withIndex ? fn(partition, input) : fn(input));
      return { records: checkIterable('mapPartitions', result), schema: null };
    }
    case 'batch':
      return {
        records: isSync(records) ? batchRecords(records, step) : batchRecordsLater(records, step),
        schema: null,
      };
    case 'shuffle':
      return {
        records: isSync(records)
          ? shuffled(records, step.seed, partition)
          : shuffledLater(records, step.seed, partition),
        schema,
      };
    case 'zip': {
      const other = (await compute(step.other, context)).records;
      const sync = isSync(records) && isSync(other);
      return { records: sync ? zipRecords(records, other) : zipRecordsLater(records, other), schema: null };
    }
    case 'keyBy':
      return { records: keyRecords(records, await resolveFunction(step.fn)), schema: null };
    case 'mapValues':
      return { records: mapPairValues(records, await resolveFunction(step.fn)), schema: null };
    case 'reduceByKey':
      return { records: await reducePairs(records, await resolveFunction(step.fn)), schema: null };
    case 'groupByKey':
      return { records: await groupPairs(records), schema: null };
    case 'sortByKey':
      return { records: await sortPairs(records, step.ascending), schema: null };
    case 'join': {
      const other = (await compute(step.other, context)).records;
      return { records: await joinPairs(records, other, step.outer), schema: null };
    }
    case 'remember': {
      const all = await toArray(records);
      context.store.set(step.key, all);
      return { records: all, schema };
    }
  }
}

function* mapRecords(records: Iterable<unknown>, fn: ResolvedFunction): Generator<unknown> {
  for (const record of records) yield refusePromise('map', fn(record));
}

async function* mapRecordsLater(records: Records, fn: ResolvedFunction): AsyncGenerator<unknown> {
  for await (const record of records) yield await fn(record);
}

function* filterRecords(records: Iterable<unknown>, fn: ResolvedFunction): Generator<unknown> {
  for (const record of records) if (refusePromise('filter', fn(record))) yield record;
}

async function* filterRecordsLater(records: Records, fn: ResolvedFunction): AsyncGenerator<unknown> {
  for await (const record of records) if (await fn(record)) yield record;
}

function* flatMapRecords(records: Iterable<unknown>, fn: ResolvedFunction): Generator<unknown> {
  for (const record of records) {
    const items = checkIterable('flatMap', refusePromise('flatMap', fn(record)));
    if (!isSync(items)) throw undeclaredAsync('flatMap');
    yield* items;
  }
}

async function* flatMapRecordsLater(records: Records, fn: ResolvedFunction): AsyncGenerator<unknown> {
  for await (const record of records) yield* checkIterable('flatMap', await fn(record));
}

interface BatchStep {
  readonly size: number;
  readonly dropLast: boolean;
}

function* batchRecords(records: Iterable<unknown>, { size, dropLast }: BatchStep): Generator<unknown> {
  let batch: unknown[] = [];
  for (const record of records) {
    if (batch.push(record) < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0 && !dropLast) yield batch;
}

async function* batchRecordsLater(records: Records, { size, dropLast }: BatchStep): AsyncGenerator<unknown> {
  let batch: unknown[] = [];
  for await (const record of records) {
    if (batch.push(record) < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0 && !dropLast) yield batch;
}

function* shuffled(records: Iterable<unknown>, seed: number, partition: number): Generator<unknown> {
  const all = [...records];
  for (const index of permutation(seed, [partition, SHUFFLE_STREAM], all.length)) yield all[index];
}

async function* shuffledLater(records: Records, seed: number, partition: number): AsyncGenerator<unknown> {
  yield* shuffled(await toArray(records), seed, partition);
}

function* zipRecords(left: Iterable<unknown>, right: Iterable<unknown>): Generator<unknown> {
  const others = right[Symbol.iterator]();
  let count = 0;
  for (const record of left) {
    const other = others.next();
    if (other.done) throw zipError(count, 'second');
    yield [record, other.value];
    count++;
  }
  if (!others.next().done) throw zipError(count, 'first');
}

async function* zipRecordsLater(left: Records, right: Records): AsyncGenerator<unknown> {
  const others = isSync(right) ? right[Symbol.iterator]() : right[Symbol.asyncIterator]();
  let count = 0;
  for await (const record of left) {
    const other = await others.next();
    if (other.done) throw zipError(count, 'second');
    yield [record, other.value];
    count++;
  }
  if (!(await others.next()).done) throw zipError(count, 'first');
}

function zipError(count: number, shorter: 'first' | 'second'): EngineError {
  return new EngineError(
    'ZIP_LENGTH',
    `zip: partitions must have equally many records, got ${count} in the ${shorter} dataset and more in the other. Zip before filtering.`,
    { count, shorter },
  );
}
