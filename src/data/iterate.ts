/** @file Records as what they are iterated by: synchronously as long as nothing was asynchronous, else asynchronously. */
import { EngineError } from '../errors.ts';

/** The records of a partition, to be iterated once. */
export type Records = Iterable<unknown> | AsyncIterable<unknown>;

/** The task tells that it is alive after this many records. */
export const RECORDS_PER_PROGRESS = 1024;

/** Who is told that a task is alive. */
interface Alive {
  progress(): void;
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

/** The same records; tells now and then that the task is alive. */
export function withProgress(records: Records, context: Alive): Records {
  return isSync(records) ? counted(records, context) : countedLater(records, context);
}

function* counted(records: Iterable<unknown>, context: Alive): Generator<unknown> {
  let count = 0;
  for (const record of records) {
    if (++count % RECORDS_PER_PROGRESS === 0) context.progress();
    yield record;
  }
}

async function* countedLater(records: Records, context: Alive): AsyncGenerator<unknown> {
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

/** A function's result that must be a value. @throws EngineError `FUNCTION_NOT_ASYNC` for a promise */
export function refusePromise(op: string, value: unknown): unknown {
  if (value instanceof Promise) {
    // The promise is nobody's any more; its failure must not end the worker.
    value.catch(() => undefined);
    throw undeclaredAsync(op);
  }
  return value;
}

/** The error of a function that gives promises, or async iterables, without being declared so. */
export function undeclaredAsync(op: string): EngineError {
  return new EngineError(
    'FUNCTION_NOT_ASYNC',
    `${op}: a function that gives promises must be declared async, got one that is not. Write async (record) => ....`,
  );
}

/** A function's result that must be iterable. @throws EngineError `FUNCTION_RESULT` */
export function checkIterable(op: string, value: unknown): Records {
  if (value !== null && (typeof value === 'object' || typeof value === 'string')) {
    if (Symbol.iterator in Object(value) || Symbol.asyncIterator in Object(value)) return value as Records;
  }
  throw new EngineError(
    'FUNCTION_RESULT',
    `${op}: the function must give an iterable, got ${value === null ? 'null' : typeof value}. Return an array or write a generator.`,
  );
}
