/** @file The dataset: a lazy, partitioned collection of records, with Spark's transformations and actions. */
import type { Engine } from '../engine/engine.ts';
import { describeFunction, type FunctionSpec, type ModuleTask, resolveFunction } from '../engine/functions.ts';
import { inline } from '../engine/inline.ts';
import { ArgumentError, EngineError } from '../errors.ts';
import { describeCache } from './caches.ts';
import { formatPlan } from './format-plan.ts';
import { type ActionOptions, runAction } from './jobs.ts';
import type { Plan } from './plan.ts';
import { shufflesOn } from './shuffles.ts';
import type { Action } from './stage.ts';
import { type Combine, type Later, type PartitionRecords, Transformations } from './transformations.ts';

/**
 * A lazy, partitioned collection of records. It has the five properties of Spark's RDD:
 *
 * 1. *Partitions*: a fixed number of parts (8 unless said otherwise, never the number of cores), each an ordered list of records.
 * 2. *Compute*: how to get the records of a partition, by iterating; a partition need not fit in memory.
 * 3. *Dependencies*: the datasets it was made from. Most transformations are narrow: partition p needs partition p of the parent, so a chain of
 *    them runs inside one task, record by record. Wide ones (`repartition`, `groupByKey`, ...) need all partitions of the parent: a shuffle.
 * 4. *Partitioner*: what says in which partition a key is, behind a shuffle by keys; records else stay where the source put them.
 * 5. *Preferred place*: the worker that keeps a cached partition in its heap; columns in shared memory are everywhere.
 *
 * Transformations (`map`, `filter`, ...) return a new dataset and run nothing; actions (`collect`, `count`, ...) run tasks on an engine. The engine
 * is the one given by {@link Dataset.on}, which derived datasets keep; without one, actions run on an inline engine in the calling thread.
 *
 * Functions run on workers: each is a `task(import.meta.url, 'name', args)` or an inline function that closes over nothing and gets its `values` as
 * the last argument. Functions that return promises must be declared `async`. They must be deterministic and must not change their inputs: a task
 * may run more than once, and records may be cached.
 *
 * @example
 * const total = await parallelize([1, 2, 3, 4], { partitions: 2 })
 *   .map((x, { k }) => x * k, { k: 10 })
 *   .filter((x) => x > 10)
 *   .reduce((a, b) => a + b); // => 90
 */
export class Dataset<T> extends Transformations<T> {
  /** Number of partitions. */
  get partitions(): number {
    return this.plan.partitions;
  }

  /**
   * The same dataset with its actions run on `engine`. Datasets made from it keep the engine.
   *
   * @example
   * await parallelize([1, 2, 3]).on(engine).count(); // => 3
   */
  on(engine: Engine): Dataset<T> {
    return new Dataset(this.plan, engine);
  }

  // ---- actions: run tasks ----

  /**
   * All records, partition after partition.
   *
   * @example
   * await parallelize([1, 2, 3]).collect(); // => [1, 2, 3]
   */
  async collect(options: ActionOptions = {}): Promise<T[]> {
    const parts = await this.run({ kind: 'collect' }, options);
    return parts.flatMap(recordsOf<T>);
  }

  /**
   * Number of records.
   *
   * @example
   * await parallelize([1, 2, 3]).count(); // => 3
   */
  async count(options: ActionOptions = {}): Promise<number> {
    const parts = (await this.run({ kind: 'count' }, options)) as number[];
    return parts.reduce((sum, part) => sum + part, 0);
  }

  /**
   * The first `count` records. Reads partitions one after the other, and no more of them than needed.
   *
   * @example
   * await parallelize([1, 2, 3]).take(2); // => [1, 2]
   */
  async take(count: number, options: ActionOptions = {}): Promise<T[]> {
    if (!Number.isInteger(count) || count < 0) {
      throw new ArgumentError(`take: the count must be an integer >= 0, got ${count}. Check the count.`, { count });
    }
    const taken: T[] = [];
    for (let partition = 0; partition < this.partitions && taken.length < count; partition++) {
      const action: Action = { kind: 'take', count: count - taken.length };
      const [part] = await runAction(this.engineOrInline(), this.plan, [partition], action, options);
      taken.push(...recordsOf<T>(part));
    }
    return taken;
  }

  /**
   * The first record. @throws EngineError `EMPTY_DATASET` (rejects)
   *
   * @example
   * await parallelize([1, 2, 3]).first(); // => 1
   */
  async first(options: ActionOptions = {}): Promise<T> {
    const taken = await this.take(1, options);
    if (taken.length === 0) throw emptyDataset('first', 'Check the filter, or use take(1).');
    return taken[0] as T;
  }

  /**
   * All records combined by `fn(a, b, values)`: inside each partition in order, then over the partitions in order.
   *
   * @throws EngineError `EMPTY_DATASET` (rejects)
   * @example
   * await parallelize([1, 2, 3]).reduce((a, b) => a + b); // => 6
   */
  async reduce<V = undefined>(fn: Combine<T, V> | ModuleTask, values?: V, options: ActionOptions = {}): Promise<T> {
    const spec = describeFunction(fn, values);
    const parts = (await this.run({ kind: 'reduce', fn: spec }, options)).flatMap(recordsOf<T>);
    if (parts.length === 0) throw emptyDataset('reduce', 'Use fold(zero, fn), which has a result for no records.');
    return combine(parts.slice(1), parts[0] as T, spec);
  }

  /**
   * As {@link reduce}, starting from `zero` in every partition and once more over the partitions: `zero` must be neutral for `fn`.
   *
   * @example
   * await parallelize([1, 2, 3]).fold(0, (a, b) => a + b); // => 6
   */
  async fold<V = undefined>(
    zero: T,
    fn: Combine<T, V> | ModuleTask,
    values?: V,
    options: ActionOptions = {},
  ): Promise<T> {
    return this.aggregate<T, V>(zero, fn, fn, values, options);
  }

  /**
   * A result of another type than the records: `add(result, record, values)` inside each partition, starting from a copy of `zero`;
   * `merge(result, other, values)` over the partitions in order, on the driver, starting from another copy.
   *
   * @example
   * const words = parallelize(['a', 'bc', 'def']);
   * await words.aggregate(0, (sum, word) => sum + word.length, (a, b) => a + b); // => 6
   */
  async aggregate<A, V = undefined>(
    zero: A,
    add: ((result: A, record: T, values: V) => Later<A>) | ModuleTask,
    merge: ((result: A, other: A, values: V) => Later<A>) | ModuleTask,
    values?: V,
    options: ActionOptions = {},
  ): Promise<A> {
    const mergeSpec = describeFunction(merge, values);
    const start = structuredClone(zero);
    const action: Action = { kind: 'aggregate', zero, fn: describeFunction(add, values) };
    const parts = (await this.run(action, options)).flatMap(recordsOf<A>);
    return combine(parts, start, mergeSpec);
  }

  /**
   * Runs `fn(records, values)` on each partition for its effects, such as writing a file. It may run more than once for a partition.
   *
   * @example
   * await parallelize([1, 2, 3]).foreachPartition((records) => {
   *   for (const record of records) console.log(record);
   * });
   */
  async foreachPartition<V = undefined>(
    fn: ((records: PartitionRecords<T>, values: V) => Later<void>) | ModuleTask,
    values?: V,
    options: ActionOptions = {},
  ): Promise<void> {
    await this.run({ kind: 'foreachPartition', fn: describeFunction(fn, values) }, options);
  }

  /**
   * The plan as text, last step first: partitions, steps with their functions, what is cached, and behind `+-` the stages that shuffles read from.
   *
   * @example
   * parallelize(['a', 'b'], { partitions: 2 }).repartition(1).toDebugString().split('\n');
   * // (1) repartition by turns [nothing yet]
   * //  +-(2) parallelize 2 records
   */
  toDebugString(): string {
    const engine = this.engine ?? implicitEngine;
    return formatPlan(this.plan, (kept, partitions) => {
      if (kept.kind === 'cache') return describeCache(engine, kept, partitions);
      return engine === null ? 'nothing yet' : shufflesOn(engine).describe(kept);
    });
  }

  protected derived<U>(plan: Plan, engine: Engine | null = this.engine): Dataset<U> {
    return new Dataset<U>(plan, engine);
  }

  private run(action: Action, options: ActionOptions): Promise<unknown[]> {
    const all = Array.from({ length: this.partitions }, (_, p) => p);
    return runAction(this.engineOrInline(), this.plan, all, action, options);
  }

  private engineOrInline(): Engine {
    if (this.engine !== null) return this.engine;
    implicitEngine ??= inline();
    return implicitEngine;
  }
}

/** For datasets without an engine: one inline engine for the whole program. It has no thread and nothing to close. */
let implicitEngine: Engine | null = null;

function recordsOf<T>(result: unknown): T[] {
  return (result as { records: T[] }).records;
}

async function combine<A>(parts: readonly A[], start: A, spec: FunctionSpec): Promise<A> {
  const fn = await resolveFunction(spec);
  let result = start;
  for (const part of parts) result = (await fn(result, part)) as A;
  return result;
}

function emptyDataset(op: string, next: string): EngineError {
  return new EngineError('EMPTY_DATASET', `${op}: the dataset must have a record, got none. ${next}`);
}
