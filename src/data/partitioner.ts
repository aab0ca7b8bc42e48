/** @file Which partition a key belongs to. Partitioners are plain data: they travel to workers, and two equal ones are the same. */
import { ArgumentError } from '../errors.ts';
import { compareKeys, hashKey, type Key } from './keys.ts';

/** Keys by their hash: `hash modulo partitions`. */
export interface HashPartitioner {
  readonly kind: 'hash';
  readonly partitions: number;
}

/** Keys by their place in the order of keys: partition p has the keys up to `bounds[p]`, and not those up to `bounds[p - 1]`. */
export interface RangePartitioner {
  readonly kind: 'range';
  readonly partitions: number;
  /** Sorted; one fewer than partitions. */
  readonly bounds: readonly Key[];
  readonly ascending: boolean;
}

/** A rule that gives every key a partition. */
export type Partitioner = HashPartitioner | RangePartitioner;

/** What wide transformations take to say where keys go: a partitioner, or a number of partitions for a {@link hashPartitioner}. */
export type Partitioning = number | Partitioner;

const MAX_PARTITIONS = 65_536;

/**
 * Spreads keys over partitions by a fixed 32-bit hash (MurmurHash3_x86_32 of the key's type and value): the same partitions on every engine and
 * platform.
 *
 * @throws ArgumentError
 * @example
 * partitionOf(hashPartitioner(4), 'shoal'); // => 0
 */
export function hashPartitioner(partitions: number): HashPartitioner {
  return { kind: 'hash', partitions: checkCount('hashPartitioner', partitions) };
}

/**
 * Puts keys into partitions by their order: those up to and including the first bound into the first one, and so on. There is one partition more
 * than bounds. With `ascending: false` the bounds go down, and so do the partitions.
 *
 * @throws ArgumentError unless the bounds are in order, each of them once
 * @example
 * const ages = rangePartitioner([17, 64]);
 * [3, 17, 18, 70].map((age) => partitionOf(ages, age)); // => [0, 0, 1, 2]
 */
export function rangePartitioner(
  bounds: readonly Key[],
  options: { readonly ascending?: boolean } = {},
): RangePartitioner {
  const { ascending = true } = options;
  const partitions = checkCount('rangePartitioner', bounds.length + 1);
  const sign = ascending ? 1 : -1;
  for (let i = 1; i < bounds.length; i++) {
    if (sign * compareKeys('rangePartitioner', bounds[i - 1], bounds[i]) < 0) continue;
    throw new ArgumentError(
      `rangePartitioner: bounds must be in ${ascending ? 'ascending' : 'descending'} order, each of them once, got two that are not at ${i - 1} and ${i}. Sort them.`,
      { index: i },
    );
  }
  return { kind: 'range', partitions, bounds: structuredClone(bounds), ascending };
}

/**
 * The partition of a key.
 *
 * @throws EngineError `KEY_TYPE` for values that cannot be keys
 * @example
 * partitionOf(hashPartitioner(4), ['a', 1]) === partitionOf(hashPartitioner(4), ['a', 1]); // => true
 */
export function partitionOf(partitioner: Partitioner, key: unknown, op: string = 'partitionOf'): number {
  if (partitioner.kind === 'hash') return hashKey(op, key) % partitioner.partitions;
  const { bounds, ascending } = partitioner;
  const sign = ascending ? 1 : -1;
  // The number of bounds before the key.
  let [low, high] = [0, bounds.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sign * compareKeys(op, bounds[middle], key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Whether two partitioners put every key into the same partition, as far as their form tells. */
export function samePartitioner(a: Partitioner, b: Partitioner): boolean {
  return a === b || (a.kind === 'hash' && b.kind === 'hash' && a.partitions === b.partitions);
}

/** The partitioner that an argument stands for. @throws ArgumentError */
export function toPartitioner(op: string, by: Partitioning): Partitioner {
  return typeof by === 'number' ? { kind: 'hash', partitions: checkCount(op, by) } : by;
}

/** Checks a number of partitions of a wide transformation. @throws ArgumentError */
export function checkCount(op: string, partitions: number): number {
  if (Number.isInteger(partitions) && partitions >= 1 && partitions <= MAX_PARTITIONS) return partitions;
  throw new ArgumentError(
    `${op}: partitions must be an integer in 1..${MAX_PARTITIONS}, got ${partitions}. Leave it out for as many as there are.`,
    { partitions },
  );
}

// ---- bounds from samples ----

/** Keys drawn from one partition. */
export interface KeySample {
  /** Records that the partition has. */
  readonly count: number;
  readonly keys: readonly Key[];
}

/** Keys to draw from each of `inputs` partitions to cut their records into `partitions` ranges: Spark's 20 a range, threefold for uneven inputs. */
export function sampleSize(partitions: number, inputs: number): number {
  return Math.ceil((3 * Math.min(20 * partitions, 1e6)) / Math.max(1, inputs));
}

/**
 * At most `partitions - 1` bounds that cut the sampled records into ranges of about equal size: each key weighs as many records as it stands for.
 * Keys that are frequent make fewer bounds.
 */
export function boundsOf(samples: readonly KeySample[], partitions: number, ascending: boolean): Key[] {
  const sign = ascending ? 1 : -1;
  const weighted = samples
    .flatMap(({ count, keys }) => keys.map((key) => ({ key, weight: count / keys.length })))
    .sort((a, b) => sign * compareKeys('sortBy', a.key, b.key));
  const total = weighted.reduce((sum, { weight }) => sum + weight, 0);
  const bounds: Key[] = [];
  let passed = 0;
  for (const { key, weight } of weighted) {
    passed += weight;
    if (bounds.length === partitions - 1) break;
    if (passed < (total * (bounds.length + 1)) / partitions) continue;
    if (bounds.length > 0 && compareKeys('sortBy', bounds.at(-1), key) === 0) continue;
    bounds.push(key);
  }
  return bounds;
}
