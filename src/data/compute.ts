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
import { openIdx } from './open-idx.ts';
import type { TaskPlan, TaskSource, TaskStep } from './plan.ts';

/** What computing needs of a task's context. */
export type ComputeContext = Pick<TaskContext, 'store' | 'progress'>;

/** The records of a partition, to be iterated once. */
export type Records = Iterable<unknown> | AsyncIterable<unknown>;

/** A partition on its way: its records, and their schema as far as the source knows it. */
export interface Stream {
  readonly records: Records;
  readonly schema: Schema | null;
}

/** The task tells that it is alive after this many records. */
export const RECORDS_PER_PROGRESS = 1024;

/** Keeps the order of `shuffle` apart from other uses of the same seed, such as the Trainer's order of an epoch. */
const SHUFFLE_STREAM = 0x53485546;

/** Opens the records of a task's plan. Nothing is read before the first record is asked for, except what a source must know to start. */
export async function compute(plan: TaskPlan, context: ComputeContext): Promise<Stream> {
  const { source, steps } = skipToRemembered(plan, context);
  let stream = await openSource(source, plan.partition);
  if (steps.length > 0) stream = { ...stream, records: withProgress(stream.records, context) };
  for (const step of steps) stream = await applyStep(step, stream, plan.partition, context);
  return { ...stream, records: withProgress(stream.records, context) };
}

/** All records of a stream in an array. */
export async function toArray(records: Records): Promise<unknown[]> {
  if (isSync(records)) return [...records];
  const all: unknown[] = [];
  for await (const record of records) all.push(record);
  return all;
}

/** Whether records can be iterated without awaiting. */
export function isSync(records: Records): records is Iterable<unknown> {
  return Symbol.iterator in records;
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

async function openSource(source: TaskSource, partition: number): Promise<Stream> {
  switch (source.kind) {
    case 'records':
      return { records: source.records, schema: null };
    case 'columns':
      return { records: columnRecords(source.columns), schema: schemaOf(source.columns) };
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

// ---- around the steps ----

function withProgress(records: Records, context: ComputeContext): Records {
  return isSync(records) ? counted(records, context) : countedLater(records, context);
}

function* counted(records: Iterable<unknown>, context: ComputeContext): Generator<unknown> {
  let count = 0;
  for (const record of records) {
    if (++count % RECORDS_PER_PROGRESS === 0) context.progress();
    yield record;
  }
}

async function* countedLater(records: Records, context: ComputeContext): AsyncGenerator<unknown> {
  let count = 0;
  for await (const record of records) {
    if (++count % RECORDS_PER_PROGRESS === 0) context.progress();
    yield record;
  }
}

/** What a function on a whole partition gets: iterable with `for` and `for await`, once; with `for await` only behind an `async` step. */
export function partitionRecords(records: Records): Iterable<unknown> & AsyncIterable<unknown> {
  if (!isSync(records)) {
    return {
      [Symbol.asyncIterator]: () => records[Symbol.asyncIterator](),
      [Symbol.iterator]: () => {
        throw new EngineError(
          'FUNCTION_NOT_ASYNC',
          'mapPartitions: the records come from an async step and must be awaited, got a synchronous loop. Use for await (const record of records).',
        );
      },
    };
  }
  const iterator = records[Symbol.iterator]();
  return {
    [Symbol.iterator]: () => iterator,
    [Symbol.asyncIterator]: async function* () {
      yield* { [Symbol.iterator]: () => iterator };
    },
  };
}

function refusePromise(op: string, value: unknown): unknown {
  if (value instanceof Promise) {
    // The promise is nobody's any more; its failure must not end the worker.
    value.catch(() => undefined);
    throw undeclaredAsync(op);
  }
  return value;
}

function undeclaredAsync(op: string): EngineError {
  return new EngineError(
    'FUNCTION_NOT_ASYNC',
    `${op}: a function that gives promises must be declared async, got one that is not. Write async (record) => ....`,
  );
}

function checkIterable(op: string, value: unknown): Records {
  if (value !== null && (typeof value === 'object' || typeof value === 'string')) {
    if (Symbol.iterator in Object(value) || Symbol.asyncIterator in Object(value)) return value as Records;
  }
  throw new EngineError(
    'FUNCTION_RESULT',
    `${op}: the function must give an iterable, got ${value === null ? 'null' : typeof value}. Return an array or write a generator.`,
  );
}

function zipError(count: number, shorter: 'first' | 'second'): EngineError {
  return new EngineError(
    'ZIP_LENGTH',
    `zip: partitions must have equally many records, got ${count} in the ${shorter} dataset and more in the other. Zip before filtering.`,
    { count, shorter },
  );
}
