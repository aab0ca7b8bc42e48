/**
 * @file Steps on the pairs of one partition, on the worker. Groups come in the order in which their keys first appear, values of a key in the
 * order of their records. What has to see all records before it gives the first one reads them all when it is opened, so that the steps behind
 * it are synchronous again.
 */
import { functionKind, type ResolvedFunction } from '../engine/functions.ts';
import { isSync, type Records, refusePromise } from './iterate.ts';
import { asPair, compareKeys, keyIdentity } from './keys.ts';

/** Pairs `[fn(record), record]`. */
export function keyRecords(records: Records, fn: ResolvedFunction): Records {
  if (isSync(records) && functionKind(fn) !== 'async') {
    return (function* () {
      for (const record of records) yield [refusePromise('keyBy', fn(record)), record];
    })();
  }
  return (async function* () {
    for await (const record of records) yield [await fn(record), record];
  })();
}

/** Pairs `[key, fn(value)]`. */
export function mapPairValues(records: Records, fn: ResolvedFunction): Records {
  if (isSync(records) && functionKind(fn) !== 'async') {
    return (function* () {
      for (const record of records) {
        const [key, value] = asPair('mapValues', record);
        yield [key, refusePromise('mapValues', fn(value))];
      }
    })();
  }
  return (async function* () {
    for await (const record of records) {
      const [key, value] = asPair('mapValues', record);
      yield [key, await fn(value)];
    }
  })();
}

/** One pair a key, with the values combined by `fn` in their order. Holds one value of each key. */
export async function reducePairs(records: Records, fn: ResolvedFunction): Promise<Iterable<unknown>> {
  const pairs = new Map<unknown, [key: unknown, value: unknown]>();
  const place = (record: unknown): { readonly known: [unknown, unknown] | undefined; readonly value: unknown } => {
    const [key, value] = asPair('reduceByKey', record);
    const identity = keyIdentity('reduceByKey', key);
    const known = pairs.get(identity);
    if (known === undefined) pairs.set(identity, [key, value]);
    return { known, value };
  };
  if (isSync(records) && functionKind(fn) !== 'async') {
    for (const record of records) {
      const { known, value } = place(record);
      if (known !== undefined) known[1] = refusePromise('reduceByKey', fn(known[1], value));
    }
  } else {
    for await (const record of records) {
      const { known, value } = place(record);
      if (known !== undefined) known[1] = await fn(known[1], value);
    }
  }
  return pairs.values();
}

/** One pair a key, with all values in their order. Holds the partition. */
export async function groupPairs(records: Records): Promise<Iterable<unknown>> {
  return (await groupsOf('groupByKey', records)).values();
}

/** The records of pairs `[key, record]` in the order of the keys; those of one key stay in their order. Holds the partition. */
export async function sortPairs(records: Records, ascending: boolean): Promise<Iterable<unknown>> {
  const pairs: (readonly [unknown, unknown])[] = [];
  const add = (record: unknown): void => void pairs.push(asPair('sortBy', record));
  if (isSync(records)) for (const record of records) add(record);
  else for await (const record of records) add(record);
  const sign = ascending ? 1 : -1;
  // A single pair is compared with nothing: its key is checked here.
  if (pairs.length === 1) compareKeys('sortBy', pairs[0]![0], pairs[0]![0]);
  pairs.sort((a, b) => sign * compareKeys('sortBy', a[0], b[0]));
  return pairs.map(([, record]) => record);
}

/**
 * For each pair of `records` in turn, pairs `[key, [value, other]]` with each value that `others` has for the key, in their order; with `outer`,
 * `[key, [value, undefined]]` where it has none. Holds the others' partition.
 */
export async function joinPairs(records: Records, others: Records, outer: boolean): Promise<Records> {
  const groups = await groupsOf('join', others);
  const joined = function* (record: unknown): Generator<unknown> {
    const [key, value] = asPair('join', record);
    const group = groups.get(keyIdentity('join', key));
    if (group !== undefined) for (const other of group[1]) yield [key, [value, other]];
    else if (outer) yield [key, [value, undefined]];
  };
  if (isSync(records)) {
    return (function* () {
      for (const record of records) yield* joined(record);
    })();
  }
  return (async function* () {
    for await (const record of records) yield* joined(record);
  })();
}

async function groupsOf(op: string, records: Records): Promise<Map<unknown, [key: unknown, values: unknown[]]>> {
  const groups = new Map<unknown, [key: unknown, values: unknown[]]>();
  const add = (record: unknown): void => {
    const [key, value] = asPair(op, record);
    const identity = keyIdentity(op, key);
    const group = groups.get(identity);
    if (group === undefined) groups.set(identity, [key, [value]]);
    else group[1].push(value);
  };
  if (isSync(records)) for (const record of records) add(record);
  else for await (const record of records) add(record);
  return groups;
}
