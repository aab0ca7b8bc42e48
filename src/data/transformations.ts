/** @file The transformations of a dataset. They are lazy: each gives a dataset with a longer plan, and runs nothing. */
import type { Engine } from '../engine/engine.ts';
import { describeFunction, type ModuleTask } from '../engine/functions.ts';
import { ArgumentError } from '../errors.ts';
import { newCacheStep } from './caches.ts';
import { checkSchema, type Schema } from './columns.ts';
import type { Dataset } from './dataset.ts';
import type { Key } from './keys.ts';
import type { Partitioning } from './partitioner.ts';
import type { Plan, Step } from './plan.ts';
import {
  groupByKeyPlan,
  joinPlan,
  partitionByPlan,
  reduceByKeyPlan,
  repartitionPlan,
  sortByPlan,
  withStep,
} from './wide.ts';

/** A value, or a promise of it. */
export type Later<T> = T | PromiseLike<T>;

/** What a function of `mapPartitions` may return: anything iterable, now or later. */
type Produces<T> = Later<Iterable<T> | AsyncIterable<T>>;

/** Two records as one. Of the form of a method, so that a dataset of a narrower type is one of the wider type, as with arrays. */
export type Combine<T, V> = { combine(a: T, b: T, values: V): Later<T> }['combine'];

/** The type that a literal is of: sums of `1`s are numbers. */
type Widened<T> = T extends number
  ? number
  : T extends string
    ? string
    : T extends bigint
      ? bigint
      : T extends boolean
        ? boolean
        : T;

/** The records of a partition, to be gone through once: with `for`, or with `for await` (always possible; needed behind an async step). */
export type PartitionRecords<T> = Iterable<T> & AsyncIterable<T>;

/** What datasets are made of, and how others are made from them. */
export abstract class Transformations<T> {
  /** The dataset as plain data. */
  readonly plan: Plan;
  protected readonly engine: Engine | null;

  /** Use `parallelize` or a source; `new` is for code that makes plans. */
  constructor(plan: Plan, engine: Engine | null = null) {
    this.plan = plan;
    this.engine = engine;
  }

  // ---- narrow ----

  /**
   * Each record replaced by `fn(record, values)`.
   *
   * @example
   * await parallelize([1, 2, 3]).map((x, { k }) => x * k, { k: 10 }).collect(); // => [10, 20, 30]
   */
  map<U, V = undefined>(fn: ((record: T, values: V) => Later<U>) | ModuleTask, values?: V): Dataset<U> {
    return this.with({ kind: 'map', fn: describeFunction(fn, values) });
  }

  /**
   * The records for which `fn(record, values)` is true.
   *
   * @example
   * await parallelize([1, 2, 3]).filter((x) => x % 2 === 1).collect(); // => [1, 3]
   */
  filter<V = undefined>(fn: ((record: T, values: V) => Later<boolean>) | ModuleTask, values?: V): Dataset<T> {
    return this.with({ kind: 'filter', fn: describeFunction(fn, values) });
  }

  /**
   * Each record replaced by any number of records: what `fn(record, values)` iterates over.
   *
   * @example
   * await parallelize(['a b', 'c']).flatMap((line) => line.split(' ')).collect(); // => ['a', 'b', 'c']
   */
  flatMap<U, V = undefined>(fn: ((record: T, values: V) => Produces<U>) | ModuleTask, values?: V): Dataset<U> {
    return this.with({ kind: 'flatMap', fn: describeFunction(fn, values) });
  }

  /**
   * A whole partition at a time: `fn(records, values)` iterates over the records and gives an iterable, usually by being a generator.
   *
   * @example
   * const distinct = parallelize(['a', 'b', 'a'], { partitions: 1 }).mapPartitions(function* (words) {
   *   const seen = new Set<string>();
   *   for (const word of words) {
   *     if (!seen.has(word)) yield word;
   *     seen.add(word);
   *   }
   * });
   * await distinct.collect(); // => ['a', 'b']
   */
  mapPartitions<U, V = undefined>(
    fn: ((records: PartitionRecords<T>, values: V) => Produces<U>) | ModuleTask,
    values?: V,
  ): Dataset<U> {
    return this.with({ kind: 'mapPartitions', fn: describeFunction(fn, values), withIndex: false });
  }

  /**
   * As {@link mapPartitions}, with the index of the partition first: `fn(partition, records, values)`.
   *
   * @example
   * await parallelize([1, 2, 3, 4], { partitions: 2 })
   *   .mapPartitionsWithIndex((partition, records) => [...records].map((x) => [partition, x] as const))
   *   .collect(); // => [[0, 1], [0, 2], [1, 3], [1, 4]]
   */
  mapPartitionsWithIndex<U, V = undefined>(
    fn: ((partition: number, records: PartitionRecords<T>, values: V) => Produces<U>) | ModuleTask,
    values?: V,
  ): Dataset<U> {
    return this.with({ kind: 'mapPartitions', fn: describeFunction(fn, values), withIndex: true });
  }

  /**
   * Pairs `[record, other record]`, position by position. Both must have equally many partitions, and records in each of them (checked when it
   * runs: `ZIP_LENGTH`).
   *
   * @throws ArgumentError
   * @example
   * await parallelize([1, 2]).zip(parallelize(['a', 'b'])).collect(); // => [[1, 'a'], [2, 'b']]
   */
  zip<U>(other: Dataset<U>): Dataset<[T, U]> {
    if (other.partitions !== this.plan.partitions) {
      throw new ArgumentError(
        `zip: both datasets must have equally many partitions, got ${this.plan.partitions} and ${other.partitions}. Make them with the same number.`,
      );
    }
    return this.derived<[T, U]>(withStep(this.plan, { kind: 'zip', other: other.plan }), this.engineWith('zip', other));
  }

  /**
   * Arrays of `size` consecutive records of a partition; the last of a partition may be smaller, or is left out with `dropLast`.
   *
   * @example
   * await parallelize([1, 2, 3], { partitions: 1 }).batch(2).collect(); // => [[1, 2], [3]]
   */
  batch(size: number, options: { readonly dropLast?: boolean } = {}): Dataset<T[]> {
    if (!Number.isInteger(size) || size < 1) {
      throw new ArgumentError(`batch: the size must be an integer >= 1, got ${size}. Check the size.`, { size });
    }
    return this.with({ kind: 'batch', size, dropLast: options.dropLast ?? false });
  }

  /**
   * The records of each partition in a random order that depends on (seed, partition, number of records) only, not on engine or workers. Records
   * stay in their partition, and a partition must fit in memory.
   *
   * @example
   * await parallelize([1, 2, 3, 4], { partitions: 1 }).shuffle(7).count(); // => 4
   */
  shuffle(seed: number): Dataset<T> {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new ArgumentError(`shuffle: the seed must be an integer >= 0 and < 2^53, got ${seed}. Check the seed.`, {
        seed,
      });
    }
    return this.with({ kind: 'shuffle', seed });
  }

  /**
   * Keeps each partition once it is computed. Records of numbers, booleans and typed arrays become columns in shared memory, which every worker
   * reads and which survive the worker; other records stay in the heap of the worker that made them and are computed again if it is lost.
   * `schema` says dtype and shape of every field; without it the first record of a partition decides (numbers are float64). `'records'` keeps any
   * records as they are. The memory goes when the dataset is no longer held (heap caches: when the engine closes).
   *
   * @throws EngineError `SCHEMA` from the action, when a record does not fit
   * @example
   * const images = idx({ image: 'train-images-idx3-ubyte', label: 'train-labels-idx1-ubyte' }).cache();
   * await images.count(); // => 6
   */
  cache(schema?: Schema | 'records'): Dataset<T> {
    if (schema === undefined || schema === 'records') return this.with(newCacheStep(null, schema ?? 'auto'));
    checkSchema('cache', schema);
    return this.with(newCacheStep(schema, 'auto'));
  }

  // ---- by keys and wide: records move between partitions, through blocks that later actions use again ----

  /**
   * The records dealt out to `partitions` partitions in turn: record i of input partition p goes to partition (p + i) modulo `partitions`. A
   * partition has them in the order of (input partition, position), as behind every shuffle.
   *
   * @throws ArgumentError
   * @example
   * const three = parallelize([1, 2, 3, 4, 5], { partitions: 1 }).repartition(3);
   * await three.mapPartitions((records) => [[...records]]).collect(); // => [[1, 4], [2, 5], [3]]
   */
  repartition(partitions: number): Dataset<T> {
    return this.derived(repartitionPlan(this.plan, partitions));
  }

  /**
   * Pairs `[fn(record, values), record]`. A {@link Key} is a string, number, boolean, or another value that can be told by its content.
   *
   * @example
   * await parallelize(['apple', 'fig']).keyBy((word) => word.length).collect(); // => [[5, 'apple'], [3, 'fig']]
   */
  keyBy<K extends Key, V = undefined>(
    fn: ((record: T, values: V) => Later<K>) | ModuleTask,
    values?: V,
  ): Dataset<[K, T]> {
    return this.with({ kind: 'keyBy', fn: describeFunction(fn, values) });
  }

  /**
   * Pairs with `fn(value, values)` for their value. Pairs stay in the partitions of their keys, unlike with `map`.
   *
   * @example
   * await parallelize([['a', 1], ['b', 2]] as const).mapValues((x) => x * 10).collect(); // => [['a', 10], ['b', 20]]
   */
  mapValues<K, W, U, V = undefined>(
    this: Dataset<readonly [K, W]>,
    fn: ((value: W, values: V) => Later<U>) | ModuleTask,
    values?: V,
  ): Dataset<[K, U]> {
    return this.with({ kind: 'mapValues', fn: describeFunction(fn, values) });
  }

  /**
   * The pairs in the partitions of their keys. `by` is a number of partitions, over which keys are spread by a hash, or a partitioner. Pairs that lie
   * so already stay where they are; that is so for all transformations by key.
   *
   * @throws ArgumentError; from actions EngineError `KEY_TYPE`, `PAIR_EXPECTED`
   * @example
   * const people = parallelize([[70, 'Ada'], [12, 'Bo'], [30, 'Cy']] as const, { partitions: 2 });
   * const byAge = people.partitionBy(rangePartitioner([17, 64]));
   * await byAge.mapPartitions((pairs) => [[...pairs].length]).collect(); // => [1, 1, 1]
   */
  partitionBy<K extends Key, W>(this: Dataset<readonly [K, W]>, by: Partitioning): Dataset<[K, W]> {
    return this.derived(partitionByPlan('partitionBy', this.plan, by));
  }

  /**
   * A pair for each key, with all its values. Keys are in the order in which they first appear, and values in the order of their pairs, by (input
   * partition, position). A partition of the result must fit in memory: use {@link reduceByKey} where values can be combined.
   *
   * @param by number of partitions or partitioner; as the pairs lie if absent, else as many partitions as there are.
   * @example
   * const pairs = parallelize([['a', 1], ['b', 2], ['a', 3]] as const, { partitions: 2 });
   * await pairs.groupByKey(1).collect(); // => [['a', [1, 3]], ['b', [2]]]
   */
  groupByKey<K extends Key, W>(this: Dataset<readonly [K, W]>, by?: Partitioning): Dataset<[K, W[]]> {
    return this.derived(groupByKeyPlan(this.plan, by));
  }

  /**
   * A pair for each key, with its values combined by `fn(a, b, values)`: inside each partition in order, then over the partitions in order, as
   * {@link reduce} does. `fn` must be associative. Keys are in the order in which they first appear.
   *
   * @param by as of {@link groupByKey}
   * @example
   * const words = parallelize('to be or not to be'.split(' '), { partitions: 2 });
   * await words.map((word) => [word, 1] as const).reduceByKey((a, b) => a + b, 1).collect(); // => [['to', 2], ['be', 2], ['or', 1], ['not', 1]]
   */
  reduceByKey<K extends Key, W, V = undefined>(
    this: Dataset<readonly [K, W]>,
    fn: Combine<Widened<W>, V> | ModuleTask,
    by?: Partitioning,
    values?: V,
  ): Dataset<[K, Widened<W>]> {
    return this.derived(reduceByKeyPlan(this.plan, describeFunction(fn, values), by));
  }

  /**
   * For each key that both datasets have, a pair `[key, [value, other value]]` for every two of its values: in the order of this dataset's pairs, and
   * for one of these in the order of the other's. A partition of the other dataset must fit in memory.
   *
   * @param by as of {@link groupByKey}; as either dataset lies if absent
   * @throws ArgumentError
   * @example
   * const ages = parallelize([['Ada', 36], ['Bo', 12]] as const);
   * const towns = parallelize([['Ada', 'London'], ['Cy', 'Rome']] as const);
   * await ages.join(towns).collect(); // => [['Ada', [36, 'London']]]
   */
  join<K extends Key, W, U>(
    this: Dataset<readonly [K, W]>,
    other: Dataset<readonly [K, U]>,
    by?: Partitioning,
  ): Dataset<[K, [W, U]]> {
    return this.derived(joinPlan(this.plan, other.plan, false, by), this.engineWith('join', other));
  }

  /**
   * As {@link join}; pairs of this dataset whose key the other one does not have stay, with undefined.
   *
   * @example
   * const ages = parallelize([['Ada', 36], ['Bo', 12]] as const);
   * await ages.leftOuterJoin(parallelize([['Ada', 'London']] as const), 1).collect(); // => [['Ada', [36, 'London']], ['Bo', [12, undefined]]]
   */
  leftOuterJoin<K extends Key, W, U>(
    this: Dataset<readonly [K, W]>,
    other: Dataset<readonly [K, U]>,
    by?: Partitioning,
  ): Dataset<[K, [W, U | undefined]]> {
    return this.derived(joinPlan(this.plan, other.plan, true, by), this.engineWith('leftOuterJoin', other));
  }

  /**
   * The records in the order of `fn(record, values)`, over all partitions; those with the same key stay in their order, also in descending order.
   * Numbers go by value with NaN last, strings by UTF-16 units, arrays item by item. Where one partition ends is found from a sample of the keys, for
   * which the dataset is computed once more unless it is cached. A partition must fit in memory.
   *
   * @throws ArgumentError; from actions EngineError `KEY_TYPE`
   * @example
   * await parallelize(['pear', 'fig', 'apple']).sortBy((word) => word.length).collect(); // => ['fig', 'pear', 'apple']
   */
  sortBy<K extends Key, V = undefined>(
    fn: ((record: T, values: V) => Later<K>) | ModuleTask,
    options: { readonly ascending?: boolean; readonly partitions?: number; readonly values?: V } = {},
  ): Dataset<T> {
    const { ascending = true, partitions, values } = options;
    return this.derived(sortByPlan(this.plan, describeFunction(fn, values), ascending, partitions));
  }

  /**
   * Each record once, in the order in which they first appear in a partition. Records must be what keys may be.
   *
   * @param by as of {@link groupByKey}
   * @example
   * await parallelize([3, 1, 3, 2, 1], { partitions: 2 }).distinct(1).collect(); // => [3, 1, 2]
   */
  distinct<K extends Key>(this: Dataset<K>, by?: Partitioning): Dataset<K> {
    const pairs = this.keyBy((record) => record).mapValues(() => null);
    return pairs.reduceByKey((first) => first, by).map(([record]) => record);
  }

  // ---- how datasets are made ----

  /** The dataset of a plan, on the same engine unless another is given. */
  protected abstract derived<U>(plan: Plan, engine?: Engine | null): Dataset<U>;

  private with<U>(step: Step): Dataset<U> {
    return this.derived(withStep(this.plan, step));
  }

  /** The engine of a dataset made from this one and another. */
  private engineWith(op: string, other: Transformations<unknown>): Engine | null {
    if (this.engine !== null && other.engine !== null && this.engine !== other.engine) {
      throw new ArgumentError(`${op}: both datasets must be on the same engine, got two. Use on(engine) behind it.`);
    }
    return this.engine ?? other.engine;
  }
}
