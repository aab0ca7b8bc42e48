/** The contract of wide transformations, for any engine: part of the dataset contract. Definitions on plain arrays say what is right. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Dataset, Key } from '../../src/data/index.ts';
import type { Engine, EngineEvent } from '../../src/engine/index.ts';
import { failure, type Subject } from './contract.ts';

const fixture = new URL('../fixtures/data-tasks.mjs', import.meta.url).href;
const coded = (code: string): Error => expect.objectContaining({ code }) as Error;

/** Records dealt out as `parallelize` does. */
function deal<T>(records: readonly T[], partitions: number): T[][] {
  const start = (p: number): number => Math.floor((records.length * p) / partitions);
  return Array.from({ length: partitions }, (_, p) => records.slice(start(p), start(p + 1)));
}

/** Groups of pairs in the order in which their keys appear; for keys that a Map tells apart. */
function groups<K, V>(pairs: readonly (readonly [K, V])[]): Map<K, V[]> {
  const found = new Map<K, V[]>();
  for (const [key, value] of pairs) {
    const known = found.get(key);
    if (known === undefined) found.set(key, [value]);
    else known.push(value);
  }
  return found;
}

export function shuffleContract(name: string, { data, engine: makeEngine }: Subject): void {
  const { parallelize, partitionOf, hashPartitioner, rangePartitioner, task, materialize } = data;

  /** The records of each partition. */
  const parts = <T>(dataset: Dataset<T>): Promise<T[][]> =>
    dataset.mapPartitions((records) => [[...records]]).collect() as Promise<T[][]>;
  const folder = mkdtempSync(join(tmpdir(), 'shoal shuffle '));
  afterAll(() => rmSync(folder, { recursive: true }));
  /** A file to which tasks append a character each time they run. */
  let marks = 0;
  const newMark = (): string => {
    const path = join(folder, `mark-${marks++}`);
    writeFileSync(path, '');
    return path;
  };
  const runs = (path: string): string => readFileSync(path, 'utf8');
  const marked = <T>(dataset: Dataset<T>, path: string): Dataset<T> =>
    dataset.mapPartitions<T>(task(fixture, 'markPartition', { path }));
  const filesIn = (path: string): string[] =>
    (
      readdirSync(path, { recursive: true, withFileTypes: true }) as {
        name: string;
        parentPath: string;
        isFile(): boolean;
      }[]
    )
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));

  describe.each([
    ['in memory', undefined],
    ['in files', 0],
    ['in both', 600],
  ])(`wide transformations on ${name}, blocks %s`, (_, shuffleMemoryBytes) => {
    let engine: Engine;
    let events: EngineEvent[] = [];
    beforeAll(() => {
      engine = makeEngine(shuffleMemoryBytes === undefined ? {} : { shuffleMemoryBytes });
      engine.subscribe((event) => void events.push(event));
    });
    afterAll(() => engine.close());
    const make = <T>(records: readonly T[], partitions: number): Dataset<T> =>
      parallelize(records, { partitions }).on(engine);
    const jobsOf = async (action: () => Promise<unknown>): Promise<string[]> => {
      events = [];
      await action();
      return events.flatMap((event) => (event.event === 'jobStarted' ? [event.name] : []));
    };

    it('repartition deals records out in turn, from where the input partition says', async () => {
      const numbers = [0, 1, 2, 3, 4, 5, 6];
      expect(await parts(make(numbers, 2).repartition(3))).toEqual([
        [0, 5],
        [1, 3, 6],
        [2, 4],
      ]);
      expect(await parts(make(numbers, 3).repartition(1))).toEqual([numbers]);
      expect(await parts(make([1], 1).repartition(4))).toEqual([[1], [], [], []]);
      expect(await parts(make([], 3).repartition(2))).toEqual([[], []]);
      expect(await make([], 0).repartition(2).count()).toBe(0);
      expect(make(numbers, 2).repartition(5).partitions).toBe(5);
    });

    it('partitionBy puts pairs where their keys belong, in the order of (input partition, position)', async () => {
      const pairs = Array.from({ length: 60 }, (_, i) => [`k${i % 7}`, i] as const);
      const expected = [0, 1, 2, 3].map((p) => pairs.filter(([key]) => partitionOf(hashPartitioner(4), key) === p));
      expect(await parts(make(pairs, 5).partitionBy(4))).toEqual(expected);
      const byRange = make(pairs, 5).partitionBy(rangePartitioner(['k1', 'k4']));
      expect((await parts(byRange)).map((part) => [...new Set(part.map(([key]) => key))].sort().join())).toEqual([
        'k0,k1',
        'k2,k3,k4',
        'k5,k6',
      ]);
    });

    it('groupByKey keeps the order of keys and of values', async () => {
      const pairs = [
        ['b', 1],
        ['a', 2],
        ['b', 3],
        ['c', 4],
        ['a', 5],
        ['b', 6],
      ] as const;
      expect(await make(pairs, 3).groupByKey(1).collect()).toEqual([
        ['b', [1, 3, 6]],
        ['a', [2, 5]],
        ['c', [4]],
      ]);
      expect(await make(pairs, 3).groupByKey().collect()).toHaveLength(3);
      expect(make(pairs, 3).groupByKey().partitions).toBe(3);
      expect(await make<readonly [string, number]>([], 3).groupByKey(2).collect()).toEqual([]);
      expect(await make<readonly [string, number]>([], 0).groupByKey().collect()).toEqual([]);
    });

    it('keys of all kinds are told apart by type and value', async () => {
      const keys: readonly Key[] = [
        0,
        -0,
        Number.NaN,
        Number.NaN,
        1,
        1n,
        '1',
        true,
        null,
        undefined,
        '',
        [],
        [1],
        ['1'],
        [1, [2]],
      ];
      const pairs = [...keys, ...keys].map((key, i) => [key, i] as const);
      const grouped = await make(pairs, 4).groupByKey(3).collect();
      expect(grouped).toHaveLength(keys.length - 2);
      const values = (key: Key): number[] | undefined => grouped.find(([k]) => Object.is(k, key))?.[1];
      expect([values(0), values(Number.NaN), values(1n)]).toEqual([
        [0, 1, 15, 16],
        [2, 3, 17, 18],
        [5, 20],
      ]);
      expect(grouped.find(([k]) => Array.isArray(k) && k.length === 2)).toEqual([
        [1, [2]],
        [14, 29],
      ]);
    });

    it('huge keys and values, and one key for all', async () => {
      const long = 'x'.repeat(300_000);
      const pairs = Array.from(
        { length: 12 },
        (_, i) => [i % 2 === 0 ? long : `${long}y`, new Float64Array(9000).fill(i)] as const,
      );
      const sums = await make(pairs, 3)
        .mapValues((v) => v.reduce((a, b) => a + b))
        .reduceByKey((a, b) => a + b, 2)
        .collect();
      expect(sums.map(([key, sum]) => [key.length, sum]).sort()).toEqual([
        [300_000, 270_000],
        [300_001, 324_000],
      ]);
      const skewed = Array.from({ length: 5000 }, (_, i) => ['k', i] as const);
      expect(await make(skewed, 4).groupByKey(4).collect()).toEqual([['k', skewed.map(([, i]) => i)]]);
      expect(await parts(make(skewed, 4).sortBy(([k]) => k, { partitions: 3 }))).toEqual([skewed, [], []]);
    });

    it('reduceByKey combines inside partitions, then over them, in order', async () => {
      const pairs = 'abcabcabab'.split('').map((letter, i) => [letter, `${i}`] as const);
      const combine = (a: string, b: string): string => `(${a}${b})`;
      expect(await make(pairs, 2).reduceByKey(combine, 1).collect()).toEqual([
        ['a', '((03)(68))'],
        ['b', '((14)(79))'],
        ['c', '(25)'],
      ]);
      const later = make(pairs, 2).reduceByKey(async (a, b) => a + b, 1);
      expect(await later.collect()).toEqual([
        ['a', '0368'],
        ['b', '1479'],
        ['c', '25'],
      ]);
      const valued = make(
        [
          ['a', 1],
          ['a', 2],
        ] as const,
        2,
      ).reduceByKey((a, b, { k }) => a + b + k, 1, { k: 10 });
      expect(await valued.collect()).toEqual([['a', 13]]);
    });

    it('join and leftOuterJoin pair the values of equal keys in order', async () => {
      const left = [
        ['a', 1],
        ['b', 2],
        ['a', 3],
        ['z', 4],
      ] as const;
      const right = [
        ['b', 'x'],
        ['a', 'y'],
        ['a', 'w'],
        ['q', 'v'],
      ] as const;
      const joined = make(left, 2).join(make(right, 3), 1);
      expect(await joined.collect()).toEqual([
        ['a', [1, 'y']],
        ['a', [1, 'w']],
        ['b', [2, 'x']],
        ['a', [3, 'y']],
        ['a', [3, 'w']],
      ]);
      expect(make(left, 2).join(make(right, 3)).partitions).toBe(3);
      expect((await make(left, 2).leftOuterJoin(make(right, 3)).collect()).map(([, v]) => v)).toContainEqual([
        4,
        undefined,
      ]);
      expect(await make(left, 2).join(make<readonly [string, number]>([], 3)).collect()).toEqual([]);
      expect(
        await make(left, 2)
          .mapValues(async (v) => v)
          .leftOuterJoin(make<readonly [string, number]>([], 0))
          .count(),
      ).toBe(4);
    });

    it('sortBy is stable, in both directions, and partitions are ranges', async () => {
      const words = 'the quick brown fox jumps over a lazy dog and runs away'.split(' ');
      const byLength = [...words].sort((a, b) => a.length - b.length);
      expect(
        await make(words, 4)
          .sortBy((w) => w.length)
          .collect(),
      ).toEqual(byLength);
      expect(
        await make(words, 4)
          .sortBy((w) => w.length, { ascending: false, partitions: 2 })
          .collect(),
      ).toEqual([...words].sort((a, b) => b.length - a.length));
      expect(
        await make(words, 4)
          .sortBy((w, { at }) => w[at] ?? '', { values: { at: 1 }, partitions: 7 })
          .collect(),
      ).toEqual([...words].sort((a, b) => ((a[1] ?? '') < (b[1] ?? '') ? -1 : (a[1] ?? '') > (b[1] ?? '') ? 1 : 0)));
      const numbers = Array.from({ length: 1000 }, (_, i) => (i * 7919) % 1000);
      const sorted = await parts(make(numbers, 3).sortBy(async (x) => x, { partitions: 4 }));
      expect(sorted.flat()).toEqual(Array.from({ length: 1000 }, (_, i) => i));
      // From 240 of 1000 keys. The share of a quarter has a standard deviation of about 28 records: 5 of them.
      for (const part of sorted) expect(Math.abs(part.length - 250)).toBeLessThan(140);
      expect(
        await make([], 2)
          .sortBy((x) => x)
          .collect(),
      ).toEqual([]);
      expect(
        await make([2, 1], 2)
          .sortBy((x) => x, { partitions: 9 })
          .collect(),
      ).toEqual([1, 2]);
    });

    it('distinct keeps the first of equal records', async () => {
      expect(await make(['b', 'a', 'b', 'c', 'a'], 2).distinct(1).collect()).toEqual(['b', 'a', 'c']);
      expect(
        await make(
          [
            [1, 2],
            [1, 2],
            [2, 1],
          ],
          3,
        )
          .distinct()
          .count(),
      ).toBe(2);
    });

    it('equal the definitions on plain arrays', async () => {
      const pair = fc.tuple(fc.oneof(fc.integer({ min: 0, max: 5 }), fc.constantFrom('a', 'b', '5')), fc.nat(9));
      const lists = fc.array(pair, { maxLength: 40 });
      const counts = fc.integer({ min: 1, max: 5 });
      await fc.assert(
        fc.asyncProperty(lists, lists, counts, counts, counts, async (left, right, p, q, n) => {
          const [a, b] = [make(left, p), make(right, q)];
          const byPartition = <V>(pairs: readonly (readonly [Key, V])[]): (readonly [Key, V])[][] =>
            Array.from({ length: n }, (_, at) => pairs.filter(([key]) => partitionOf(hashPartitioner(n), key) === at));
          expect(await parts(a.groupByKey(n))).toEqual(byPartition([...groups(left)]));
          const reduced = [...groups(left)].map(([key, values]) => [key, values.reduce((x, y) => x * 10 + y)] as const);
          // x * 10 + y is not associative: only within one partition is it what the plain array gives.
          expect(await parts(make(left, 1).reduceByKey((x, y) => x * 10 + y, n))).toEqual(byPartition(reduced));
          const pairsOf = (key: Key): (readonly [Key, number])[] => right.filter(([other]) => other === key);
          const joined = left.flatMap(([key, v]) => pairsOf(key).map(([, w]) => [key, [v, w]] as const));
          expect(await parts(a.join(b, n))).toEqual(byPartition(joined));
          const sorted = left
            .map((record, i) => ({ record, i }))
            .sort((x, y) => x.record[1] - y.record[1] || x.i - y.i);
          expect(await a.sortBy(([, v]) => v, { partitions: n }).collect()).toEqual(sorted.map(({ record }) => record));
          const dealt = deal(left, p).map((part, from) => part.map((record, i) => ({ record, to: (from + i) % n })));
          expect(await parts(a.repartition(n))).toEqual(
            Array.from({ length: n }, (_, to) =>
              dealt
                .flat()
                .filter((r) => r.to === to)
                .map((r) => r.record),
            ),
          );
        }),
        { numRuns: 15 },
      );
    });

    it('several in one plan, with caches, zips and narrow steps between', async () => {
      const numbers = Array.from({ length: 200 }, (_, i) => i);
      const counted = make(numbers, 4)
        .keyBy((x) => x % 10)
        .mapValues((x) => ({ sum: x }))
        .reduceByKey((a, b) => ({ sum: a.sum + b.sum }), 3)
        .cache()
        .filter(([key]) => key % 2 === 0)
        .repartition(5)
        .sortBy(([, { sum }]) => -sum, { partitions: 2 })
        .cache('records');
      const expected = [8, 6, 4, 2, 0].map((key) => [key, { sum: 20 * key + 1900 }]);
      expect(await counted.collect()).toEqual(expected);
      expect(await counted.collect()).toEqual(expected);
      const zipped = counted
        .zip(counted.map(([key]) => key))
        .map(([[key, { sum }], same]) => [key === same, sum] as const);
      expect(await zipped.groupByKey(1).collect()).toEqual([
        [true, expected.map(([, v]) => (v as { sum: number }).sum)],
      ]);
      const columns = await materialize(
        counted.map(([key]) => ({ key })),
        engine,
      );
      expect(columns.flatMap((part) => [...part.fields.key!.data])).toEqual([8, 6, 4, 2, 0]);
    });

    it('steps behind a group or a sort may loop synchronously, also behind async ones', async () => {
      const later = make([3, 1, 2], 2).map(async (x) => [x % 2, x] as const);
      expect(await parts(later.groupByKey(1))).toEqual([
        [
          [1, [3, 1]],
          [0, [2]],
        ],
      ]);
      expect(await parts(later.sortBy(([, x]) => x, { partitions: 1 }))).toEqual([
        [
          [1, 1],
          [0, 2],
          [1, 3],
        ],
      ]);
      expect(await parts(later.repartition(1))).toEqual([
        [
          [1, 3],
          [1, 1],
          [0, 2],
        ],
      ]);
    });

    it('records survive as a structured clone, and changing one changes no other action', async () => {
      const records = [1, 2, 3].map((i) => ({
        i,
        v: Float32Array.of(i, -i),
        map: new Map([[i, new Date(i)]]),
        s: new Set(['é', '\ud800']),
      }));
      const moved = make(records, 2).repartition(1);
      expect(await moved.collect()).toEqual([records[0], records[1], records[2]]);
      const spoil = moved.map((r) => {
        r.v.fill(9);
        return r.v.length;
      });
      expect(await spoil.collect()).toEqual([2, 2, 2]);
      expect(await moved.collect()).toEqual(records);
    });

    it('what a shuffle wrote is used again by later actions, and by none before the first', async () => {
      const mark = newMark();
      const grouped = marked(make([1, 2, 3, 4], 2), mark)
        .keyBy((x) => x % 2)
        .groupByKey(2);
      expect([runs(mark), grouped.toDebugString().includes('[nothing yet]')]).toEqual(['', true]);
      expect(await grouped.take(1)).toHaveLength(1);
      expect(runs(mark)).toBe('PP');
      expect(await jobsOf(() => grouped.collect())).toEqual(['collect']);
      expect(
        await jobsOf(() =>
          grouped
            .mapValues((v) => v.length)
            .reduceByKey((a, b) => a + b)
            .count(),
        ),
      ).toEqual(['count']);
      expect(runs(mark)).toBe('PP');
      expect(grouped.toDebugString()).toContain('2 of 2 partitions written');
    });

    it('pairs that lie right are not shuffled again', async () => {
      const pairs = make(
        Array.from({ length: 40 }, (_, i) => [i % 5, i] as const),
        3,
      );
      const byKey = pairs.partitionBy(4);
      const expected = [0, 1, 2, 3, 4].map((key) => [key, 140 + 8 * key]);
      const sums = byKey
        .filter(() => true)
        .mapValues((x) => x)
        .reduceByKey((a, b) => a + b);
      expect(await jobsOf(() => sums.collect())).toEqual(['partitionBy', 'collect']);
      expect((await sums.collect()).sort(([a], [b]) => a - b)).toEqual(expected);
      expect(await jobsOf(() => byKey.groupByKey().join(sums).groupByKey().collect())).toEqual(['collect']);
      expect(await jobsOf(() => byKey.join(pairs).count())).toEqual(['join', 'count']);
      expect(await jobsOf(() => byKey.groupByKey(3).count())).toEqual(['groupByKey', 'count']);
      // map may change keys.
      expect(
        await jobsOf(() =>
          byKey
            .map(([k, v]) => [k + 1, v] as const)
            .groupByKey()
            .count(),
        ),
      ).toEqual(['groupByKey', 'count']);
      // Ten times as many partitions on the other side: that side stays.
      expect(byKey.join(make([[1, 1]] as const, 40)).partitions).toBe(40);
    });

    it('refuses what cannot be shuffled, at once', async () => {
      const objects = make<unknown>([{ a: 1 }, { a: 2 }], 2);
      const asPairs = objects as unknown as Dataset<readonly [string, number]>;
      expect(await failure(asPairs.groupByKey().collect())).toMatchObject({ code: 'PAIR_EXPECTED' });
      const keyed = objects.map((x) => [x, 1] as const) as unknown as Dataset<readonly [string, number]>;
      events = [];
      expect(await failure(keyed.reduceByKey((a) => a).collect())).toMatchObject({ code: 'KEY_TYPE' });
      expect(events.filter(({ event }) => event === 'taskFailed')).toHaveLength(1);
      expect(
        await failure(
          make([1], 1)
            .sortBy((() => ({})) as never)
            .collect(),
        ),
      ).toMatchObject({ code: 'KEY_TYPE' });
      const functions = make([1], 1).map((x) => [x, () => x] as const);
      expect(await failure(functions.groupByKey().collect())).toMatchObject({ code: 'RECORDS_NOT_CLONEABLE' });
      expect(
        await failure(
          make([1], 1)
            .keyBy((x) => Promise.resolve(x))
            .collect(),
        ),
      ).toMatchObject({ code: 'FUNCTION_NOT_ASYNC' });
      const pairs = make([['a', 1]] as const, 1);
      for (const n of [0, -1, 1.5, 70_000]) {
        expect(() => pairs.repartition(n)).toThrow(coded('ARGUMENT'));
        expect(() => pairs.groupByKey(n)).toThrow(coded('ARGUMENT'));
        expect(() => pairs.sortBy(([k]) => k, { partitions: n })).toThrow(coded('ARGUMENT'));
      }
      const other = makeEngine();
      expect(() => pairs.join(pairs.on(other))).toThrow(coded('ARGUMENT'));
      await other.close();
    });

    it('a failed task is tried again; a job that fails leaves the others whole', async () => {
      const mark = newMark();
      const flaky = make([1, 2, 3, 4], 2).map<number>(task(fixture, 'failOnce', { path: mark }));
      expect(
        await flaky
          .repartition(3)
          .sortBy((x) => x)
          .collect(),
      ).toEqual([1, 2, 3, 4]);
      const broken = make([1, 2], 2)
        .keyBy((x) => x)
        .groupByKey(2)
        .map((): number => {
          throw new Error('no');
        });
      await expect(broken.collect()).rejects.toEqual(coded('TASK_FAILED'));
      await expect(broken.collect()).rejects.toThrow(/no/);
    });

    it('a cancelled action ends, and can be run again', async () => {
      const slow = make(
        Array.from({ length: 2000 }, (_, i) => i),
        4,
      )
        .map<{ v: number }>(task(fixture, 'slowly'))
        .repartition(2);
      const controller = new AbortController();
      const job = slow.count({ signal: controller.signal });
      controller.abort();
      await expect(job).rejects.toEqual(coded('CANCELLED'));
      expect(await slow.count()).toBe(2000);
    });

    it('two actions at once on one shuffle give the same', async () => {
      const grouped = make(
        Array.from({ length: 100 }, (_, i) => [i % 3, i] as const),
        4,
      ).groupByKey(2);
      const [a, b] = await Promise.all([grouped.collect(), grouped.collect()]);
      expect(a).toEqual(b);
    });
  });

  describe(`blocks in files on ${name}`, () => {
    const spilling = async (
      body: (engine: Engine, spillFolder: string) => Promise<void>,
      options = {},
    ): Promise<void> => {
      const spillFolder = mkdtempSync(join(folder, 'spill '));
      const engine = makeEngine({ shuffleMemoryBytes: 0, spillFolder, ...options });
      try {
        await body(engine, spillFolder);
      } finally {
        await engine.close();
        expect(readdirSync(spillFolder)).toEqual([]);
      }
    };
    const numbers = Array.from({ length: 300 }, (_, i) => i);

    it.each([
      ['removed', (path: string) => rmSync(path)],
      ['cut short', (path: string) => truncateSync(path, 10)],
      [
        'changed by a bit',
        (path: string) => {
          const bytes = readFileSync(path);
          bytes[bytes.length >> 1]! ^= 4;
          writeFileSync(path, bytes);
        },
      ],
    ])('a file that is %s: its producer runs again, and no other', (_, damage) =>
      spilling(async (engine, spillFolder) => {
        const mark = newMark();
        const events: EngineEvent[] = [];
        engine.subscribe((event) => void events.push(event));
        const grouped = marked(parallelize(numbers, { partitions: 4 }).on(engine), mark)
          .keyBy((x) => x % 11)
          .groupByKey(3);
        const expected = await grouped.collect();
        expect(runs(mark)).toBe('PPPP');
        const files = filesIn(spillFolder);
        expect(files).toHaveLength(4);
        damage(files[2]!);
        expect(await grouped.collect()).toEqual(expected);
        expect(runs(mark)).toBe('PPPPP');
        // Nobody failed: the readers only came too early.
        expect(events.filter(({ event }) => event === 'taskFailed')).toEqual([]);
        expect(await grouped.collect()).toEqual(expected);
        expect(runs(mark)).toBe('PPPPP');
      }),
    );

    it("all files of two shuffles, one behind the other; workers' heap caches stay", () =>
      spilling(async (engine, spillFolder) => {
        const mark = newMark();
        const sums = marked(parallelize(numbers, { partitions: 3 }).on(engine), mark)
          .keyBy((x) => x % 5)
          .reduceByKey((a, b) => a + b, 2)
          .cache('records')
          .sortBy(([, sum]) => sum, { partitions: 2 });
        const expected = await sums.collect();
        expect(runs(mark)).toBe('PPP');
        // Twice: all files, and then the folder that they were in.
        for (const file of filesIn(spillFolder)) rmSync(file);
        expect(await sums.collect()).toEqual(expected);
        for (const folder of readdirSync(spillFolder)) rmSync(join(spillFolder, folder), { recursive: true });
        expect(await sums.map(([key]) => key).collect()).toEqual(expected.map(([key]) => key));
        expect(runs(mark)).toBe('PPP');
      }));

    it('a function that swallows the error of a lost block changes nothing', () =>
      spilling(async (engine, spillFolder) => {
        const moved = parallelize(numbers, { partitions: 2 })
          .on(engine)
          .repartition(2)
          .mapPartitions(function* (records) {
            try {
              for (const record of records) yield record;
            } catch {
              yield -1;
            }
          });
        const expected = await moved.collect();
        rmSync(filesIn(spillFolder)[0]!);
        expect(await moved.collect()).toEqual(expected);
      }));

    it('files that go again and again end the job with a code, after as many tries as a task has', () =>
      spilling(
        async (engine, spillFolder) => {
          const mark = newMark();
          const moved = marked(parallelize(numbers, { partitions: 2 }).on(engine), mark).repartition(2);
          engine.subscribe((event) => {
            if (event.event !== 'jobStarted' || event.name !== 'collect') return;
            for (const file of filesIn(spillFolder)) rmSync(file);
          });
          await expect(moved.collect()).rejects.toEqual(coded('SHUFFLE_BLOCK_LOST'));
          expect(runs(mark)).toBe('PPPPPP');
          expect(await moved.count()).toBe(300);
        },
        { maxAttempts: 3 },
      ));

    it('no place for files: a coded error, once; in memory it goes on', async () => {
      const file = join(folder, 'not a folder');
      writeFileSync(file, '');
      const engine = makeEngine({ shuffleMemoryBytes: 0, spillFolder: file });
      const failed: EngineEvent[] = [];
      engine.subscribe((event) => event.event === 'taskFailed' && failed.push(event));
      const moved = parallelize(numbers, { partitions: 1 }).repartition(2);
      expect(await failure(moved.on(engine).count())).toMatchObject({
        code: 'SHUFFLE_SPILL_FAILED',
        message: expect.stringMatching(/Free space there, or set spillFolder or shuffleMemoryBytes/),
      });
      expect(failed).toHaveLength(1);
      expect(await parallelize([1]).on(engine).count()).toBe(1);
      await engine.close();
      const roomy = makeEngine({ spillFolder: file });
      // Workers that share no memory have nowhere else to go.
      if (roomy.shuffleMemoryBytes > 0) expect(await moved.on(roomy).count()).toBe(300);
      await roomy.close();
    });

    it('refuses a budget that is none', () => {
      for (const shuffleMemoryBytes of [-1, 0.5, Number.NaN])
        expect(() => makeEngine({ shuffleMemoryBytes })).toThrow(coded('ARGUMENT'));
    });
  });

  it(`toDebugString shows where stages end, on ${name}`, () => {
    const pairs = parallelize([['a', 1]] as const, { partitions: 2 });
    const plan = pairs
      .reduceByKey((a, b) => a + b, 3)
      .leftOuterJoin(pairs.groupByKey(3))
      .sortBy(([key]) => key, { ascending: false, partitions: 1 });
    expect(plan.toDebugString().split('\n')).toEqual([
      '(1) sort, descending',
      ' |  sortBy by order [nothing yet]',
      ' +-(3) keyBy ([key]) => key',
      '    |  leftOuterJoin',
      '    |    (3) groupByKey',
      '    |     |  groupByKey by hash [nothing yet]',
      '    |     +-(2) parallelize 1 records',
      '    |  reduceByKey (a, b) => a + b',
      '    |  reduceByKey by hash [nothing yet]',
      '    +-(2) reduceByKey (a, b) => a + b',
      '       |  parallelize 1 records',
    ]);
    expect(pairs.repartition(4).toDebugString()).toBe(
      '(4) repartition by turns [nothing yet]\n +-(2) parallelize 1 records',
    );
  });
}
