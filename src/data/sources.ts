/** @file Where datasets come from. Making one reads nothing. */
import { toPath } from '#platform';
import { ArgumentError, EngineError } from '../errors.ts';
import type { ColumnRecord, Columns } from './columns.ts';
import { Dataset } from './dataset.ts';
import { partitionStart } from './plan.ts';

/** Partitions of a source when none are asked for. A constant, because results depend on it: never the number of cores. */
export const DEFAULT_PARTITIONS = 8;

/** Options of sources. */
export interface SourceOptions {
  /** Number of partitions; 8 if absent. */
  readonly partitions?: number;
}

/**
 * A dataset of values in memory, dealt out in even, consecutive parts. The records are copied now, by structured clone (classes become plain
 * objects), so that every attempt of a task sees the same.
 *
 * @throws ArgumentError; EngineError `RECORDS_NOT_CLONEABLE`
 * @example
 * await parallelize([1, 2, 3], { partitions: 2 }).collect(); // => [1, 2, 3]
 */
export function parallelize<T>(records: Iterable<T>, options: SourceOptions = {}): Dataset<T> {
  const partitions = checkPartitions('parallelize', options.partitions);
  let all: T[];
  try {
    all = structuredClone([...records]);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new EngineError(
      'RECORDS_NOT_CLONEABLE',
      `parallelize: records must survive a structured clone, got ${reason}. Make them plain data.`,
      {},
      cause,
    );
  }
  const parts = Array.from({ length: partitions }, (_, p) =>
    all.slice(partitionStart(all.length, partitions, p), partitionStart(all.length, partitions, p + 1)),
  );
  return new Dataset<T>({ partitions, source: { kind: 'records', partitions: parts }, steps: [] });
}

/**
 * A dataset whose partitions are columns that exist already, one each.
 *
 * @example
 * const columns: Columns = { count: 3, fields: { age: { dtype: 'int32', shape: [], data: Int32Array.of(30, 40, 50) } } };
 * await fromColumns([columns]).collect(); // => [{ age: 30 }, { age: 40 }, { age: 50 }]
 */
export function fromColumns<T = ColumnRecord>(partitions: readonly Columns[]): Dataset<T> {
  return new Dataset<T>({ partitions: partitions.length, source: { kind: 'columns', partitions }, steps: [] });
}

/** Options of {@link idx}. */
export interface IdxOptions extends SourceOptions {
  /** Use the first `limit` records only. */
  readonly limit?: number;
}

/**
 * A dataset of files in the idx format (MNIST's), one file a field. Workers read their own byte range of each file. Record: a number for fields of
 * rank 1 in the file, else a typed array, flat and row-major (uint8, int32, float32 or float64).
 *
 * @param files path (relative to the working directory) or `file:` URL by field name; all with equally many records.
 * @throws ArgumentError; from actions FormatError, or ShoalError `FILE_NOT_FOUND` | `FILE_READ`
 * @see http://yann.lecun.com/exdb/mnist/
 * @example
 * const train = idx({ image: 'train-images-idx3-ubyte', label: 'train-labels-idx1-ubyte' }, { limit: 6400 });
 * @example
 * const other = idx<{ pixels: Uint8Array; angle: number }>({ pixels: 'a.idx', angle: 'b.idx' });
 */
export function idx<R extends object = { image: Uint8Array; label: number }>(
  files: Readonly<Record<NoInfer<keyof R & string>, string | URL>>,
  options: IdxOptions = {},
): Dataset<R> {
  const partitions = checkPartitions('idx', options.partitions);
  const entries = Object.entries<string | URL>(files);
  if (entries.length === 0)
    throw new ArgumentError('idx: at least one file is needed, got none. Pass { image: path, label: path }.');
  const { limit = null } = options;
  if (limit !== null && (!Number.isInteger(limit) || limit < 0)) {
    throw new ArgumentError(`idx: the limit must be an integer >= 0, got ${limit}. Leave it out to use all records.`, {
      limit,
    });
  }
  const paths = Object.fromEntries(entries.map(([name, file]) => [name, toPath(file)]));
  return new Dataset({ partitions, source: { kind: 'idx', files: paths, partitions, limit }, steps: [] });
}

function checkPartitions(op: string, partitions: number = DEFAULT_PARTITIONS): number {
  if (!Number.isInteger(partitions) || partitions < 0 || partitions > 65_536) {
    throw new ArgumentError(
      `${op}: partitions must be an integer in 0..65536, got ${partitions}. Leave it out for ${DEFAULT_PARTITIONS}.`,
      {
        partitions,
      },
    );
  }
  return partitions;
}
