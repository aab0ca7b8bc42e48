/**
 * The contract of datasets (E1-E5 of the test list), for any engine: the same cases run on the sources with the inline engine and on the built
 * package with threads.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type * as Data from '../../src/data/index.ts';
import type { Engine, EngineEvent, EngineOptions } from '../../src/engine/index.ts';
import { shuffleContract } from './shuffle-contract.ts';

/** The parts of the public API that the cases use, so that they run on sources and on the built package alike. */
export interface Subject {
  readonly data: typeof Data;
  readonly encodeIdx: (dtype: 'uint8' | 'float32', shape: readonly number[], values: ArrayLike<number>) => Uint8Array;
  readonly engine: (options?: EngineOptions) => Engine;
}

const fixture = new URL('../fixtures/data-tasks.mjs', import.meta.url).href;
const coded = (code: string): unknown => expect.objectContaining({ code });

/** The error that a job failed with, or its cause. */
export async function failure(job: Promise<unknown>): Promise<{ code: string; message: string }> {
  try {
    await job;
  } catch (error) {
    let inner = error as { code?: string; message: string; cause?: unknown };
    while (inner.cause instanceof Error && inner.code === 'TASK_FAILED') inner = inner.cause as typeof inner;
    return { code: String(inner.code), message: inner.message };
  }
  throw new Error('the job did not fail');
}

export function datasetContract(name: string, subject: Subject): void {
  shuffleContract(name, subject);
  const { data, encodeIdx, engine: makeEngine } = subject;
  const { parallelize, idx, fromColumns, materialize, task, gather, recordAt, schemaOf } = data;
  describe(`datasets on ${name}`, () => {
    let engine: Engine;
    let folder: string;
    let jobs: EngineEvent[] = [];
    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), 'shoal data '));
      engine = makeEngine();
      engine.subscribe((event) => void jobs.push(event));
    });
    afterAll(async () => {
      await engine.close();
      rmSync(folder, { recursive: true });
    });
    const tasksOf = async (action: () => Promise<unknown>): Promise<number[]> => {
      jobs = [];
      await action();
      return jobs.flatMap((event) => (event.event === 'jobStarted' ? [event.tasks] : []));
    };
    /** A file to which tasks append a character each time they run: counts executions across threads. */
    let marks = 0;
    const newMark = (): string => {
      const path = join(folder, `mark-${marks++}`);
      writeFileSync(path, '');
      return path;
    };
    const runs = (path: string): string => readFileSync(path, 'utf8');

    describe('E1: sizes at the edge', () => {
      it.each([0, 1, 3, 8])('%i partitions', async (partitions) => {
        const numbers = [5, 3, 1, 4, 2];
        const ds = parallelize(partitions === 0 ? [] : numbers, { partitions }).on(engine);
        expect(ds.partitions).toBe(partitions);
        const expected = partitions === 0 ? [] : numbers;
        expect(await ds.collect()).toEqual(expected);
        expect(await ds.count()).toBe(expected.length);
        expect(await ds.fold(0, (a, b) => a + b)).toBe(partitions === 0 ? 0 : 15);
        expect(
          await ds
            .cache()
            .map((x) => x)
            .collect(),
        ).toEqual(expected);
      });

      it('no records at all', async () => {
        const ds = parallelize<number>([], { partitions: 3 }).on(engine);
        expect(await ds.map((x) => x + 1).collect()).toEqual([]);
        expect(await ds.count()).toBe(0);
        expect(await ds.take(2)).toEqual([]);
        await expect(ds.first()).rejects.toEqual(coded('EMPTY_DATASET'));
        await expect(ds.reduce((a, b) => a + b)).rejects.toEqual(coded('EMPTY_DATASET'));
        await expect(ds.reduce((a, b) => a + b)).rejects.toThrow(/Use fold/);
        expect(await ds.fold(7, (a, b) => Math.min(a, b))).toBe(7);
        expect(await ds.batch(2).collect()).toEqual([]);
        expect(await ds.shuffle(1).zip(ds).collect()).toEqual([]);
      });

      it('an empty partition among others', async () => {
        const ds = parallelize([1, 2, 3, 4, 5, 6], { partitions: 3 })
          .on(engine)
          .filter((x) => x < 3 || x > 4);
        expect(await ds.collect()).toEqual([1, 2, 5, 6]);
        expect(await ds.reduce((a, b) => a * 10 + b)).toBe(12 * 10 + 56);
        expect(await ds.cache().collect()).toEqual([1, 2, 5, 6]);
      });

      it('the default number of partitions is the constant 8', async () => {
        expect(parallelize([1]).partitions).toBe(8);
        expect(await tasksOf(() => parallelize([1]).on(engine).count())).toEqual([8]);
      });
    });

    describe('E2: order', () => {
      const letters = 'abcdefghijk'.split('');
      it('of partitions and records is kept by all narrow steps', async () => {
        const ds = parallelize(letters, { partitions: 4 }).on(engine);
        expect(await ds.collect()).toEqual(letters);
        expect(await ds.map((x) => x.toUpperCase()).collect()).toEqual(letters.map((x) => x.toUpperCase()));
        expect(await ds.flatMap((x) => [x, x + x]).collect()).toEqual(letters.flatMap((x) => [x, x + x]));
        const indexed = await ds
          .mapPartitionsWithIndex((partition, records) => [[partition, ...records].join('')])
          .collect();
        expect(indexed).toEqual(['0ab', '1cde', '2fgh', '3ijk']);
        expect(await ds.batch(2).collect()).toEqual([
          ['a', 'b'],
          ['c', 'd'],
          ['e'],
          ['f', 'g'],
          ['h'],
          ['i', 'j'],
          ['k'],
        ]);
        expect((await ds.batch(2, { dropLast: true }).collect()).flat().join('')).toBe('abcdfgij');
        expect(await ds.zip(ds.map((x) => x.charCodeAt(0))).first()).toEqual(['a', 97]);
        expect(await ds.reduce((a, b) => a + b)).toBe(letters.join(''));
        expect(
          await ds.aggregate(
            '',
            (a, b) => `${a}${b}`,
            (a, b) => `${a}|${b}`,
          ),
        ).toBe('|ab|cde|fgh|ijk');
      });

      it('take reads no more partitions than needed', async () => {
        const mark = newMark();
        const ds = parallelize(letters, { partitions: 4 })
          .on(engine)
          .mapPartitions<string>(task(fixture, 'markPartition', { path: mark }));
        expect(await ds.take(0)).toEqual([]);
        expect(runs(mark)).toBe('');
        expect(await ds.take(2)).toEqual(['a', 'b']);
        expect(runs(mark)).toBe('P');
        expect(await ds.take(3)).toEqual(['a', 'b', 'c']);
        expect(runs(mark)).toBe('PPP');
        expect(await ds.take(100)).toEqual(letters);
        expect(runs(mark)).toBe('PPPPPPP');
        await expect(ds.take(-1)).rejects.toEqual(coded('ARGUMENT'));
      });

      it('take stops a partition at the last record it needs, and ends its generators', async () => {
        const mark = newMark();
        const ds = parallelize([1, 2, 3, 4], { partitions: 1 })
          .on(engine)
          .map<number>(task(fixture, 'markRecord', { path: mark }));
        expect(await ds.take(2)).toEqual([1, 2]);
        expect(runs(mark)).toBe('12');
      });
    });

    describe('E3: laziness', () => {
      it('no task runs before an action; each action computes again', async () => {
        const mark = newMark();
        const ds = parallelize([1, 2], { partitions: 1 })
          .on(engine)
          .map<number>(task(fixture, 'markRecord', { path: mark }))
          .filter((x) => x > 0)
          .batch(2);
        expect(runs(mark)).toBe('');
        await ds.count();
        await ds.collect();
        expect(runs(mark)).toBe('1212');
      });

      it.each([
        ['columns', { x: 1 }, undefined],
        ['records', 1, undefined],
        ['records as asked', { x: 1 }, 'records' as const],
      ])('unless cached, as %s', async (_, record, storage) => {
        const mark = newMark();
        const ds = parallelize([record, record], { partitions: 2 })
          .on(engine)
          .mapPartitions<unknown>(task(fixture, 'markPartition', { path: mark }))
          .cache(storage);
        expect(runs(mark)).toBe('');
        expect(await ds.take(1)).toEqual([record]);
        expect(runs(mark)).toBe('P');
        expect(await ds.count()).toBe(2);
        expect(runs(mark)).toBe('PP');
        expect(await ds.map((x) => x).collect()).toEqual([record, record]);
        expect(await ds.zip(ds).count()).toBe(2);
        expect(runs(mark)).toBe('PP');
        expect(await tasksOf(() => ds.count())).toEqual([2]);
      });

      it('a record goes through the whole chain before the next one starts', async () => {
        const mark = newMark();
        await parallelize([1, 2, 3], { partitions: 1 })
          .on(engine)
          .map<number>(task(fixture, 'markRecord', { path: mark }))
          .map((x) => x * 10)
          .map<number>(task(fixture, 'markRecord', { path: mark }))
          .count();
        expect(runs(mark)).toBe('110220330');
      });
    });

    describe('E4: seeded shuffle', () => {
      const numbers = Array.from({ length: 40 }, (_, i) => i);
      it('is the same for a seed, stays inside partitions, and differs by seed and partition', async () => {
        const ds = parallelize(numbers, { partitions: 2 }).on(engine);
        const one = await ds.shuffle(1).collect();
        expect(await ds.shuffle(1).collect()).toEqual(one);
        expect(one).not.toEqual(numbers);
        expect([...one.slice(0, 20)].sort((a, b) => a - b)).toEqual(numbers.slice(0, 20));
        expect(await ds.shuffle(2).collect()).not.toEqual(one);
        expect(one.slice(20).map((x) => x - 20)).not.toEqual(one.slice(0, 20));
        // Pins the order for all engines and releases.
        expect(await parallelize(numbers.slice(0, 8), { partitions: 1 }).on(engine).shuffle(42).collect()).toEqual(
          SHUFFLED_42,
        );
      });
      it('refuses seeds that are not integers', () => {
        expect(() => parallelize(numbers).shuffle(0.5)).toThrow(coded('ARGUMENT') as Error);
      });
    });

    describe('E5: what changes after submission is not seen', () => {
      it('values', async () => {
        const values = { k: [10] };
        const ds = parallelize([1, 2])
          .on(engine)
          .map((x, { k }) => x * k[0]!, values);
        values.k[0] = 99;
        expect(await ds.collect()).toEqual([10, 20]);
        const running = ds.collect();
        values.k[0] = 77;
        expect(await running).toEqual([10, 20]);
      });
      it('records', async () => {
        const records = [{ x: 1 }, { x: 2 }];
        const ds = parallelize(records, { partitions: 1 }).on(engine);
        records[0]!.x = 99;
        records.push({ x: 3 });
        expect(await ds.collect()).toEqual([{ x: 1 }, { x: 2 }]);
      });
      it('the zero of an aggregate, which tasks may change', async () => {
        const zero: number[] = [];
        const result = await parallelize([1, 2, 3], { partitions: 2 })
          .on(engine)
          .aggregate(
            zero,
            (list, x) => {
              list.push(x);
              return list;
            },
            (a, b) => {
              a.push(...b);
              return a;
            },
          );
        expect([result, zero]).toEqual([[1, 2, 3], []]);
      });
    });

    describe('functions', () => {
      it('async ones and generators', async () => {
        const ds = parallelize([1, 2, 3], { partitions: 2 }).on(engine);
        expect(
          await ds
            .map(async (x) => x + 1)
            .filter(async (x) => x !== 3)
            .collect(),
        ).toEqual([2, 4]);
        expect(
          await ds
            .flatMap(async function* (x) {
              yield x;
              yield -x;
            })
            .collect(),
        ).toEqual([1, -1, 2, -2, 3, -3]);
        const behindAsync = ds.map(async (x) => x);
        expect(
          await behindAsync
            .mapPartitions(async function* (records) {
              for await (const x of records) yield x * 2;
            })
            .collect(),
        ).toEqual([2, 4, 6]);
        expect(await behindAsync.batch(2).zip(ds.batch(2)).collect()).toEqual([
          [[1], [1]],
          [
            [2, 3],
            [2, 3],
          ],
        ]);
        expect((await behindAsync.shuffle(3).collect()).length).toBe(3);
        expect(await behindAsync.reduce(async (a, b) => a + b)).toBe(6);
        expect(await behindAsync.flatMap((x) => [x]).fold(0, async (a, b) => a + b)).toBe(6);
        expect(await behindAsync.take(1)).toEqual([1]);
        expect(await behindAsync.cache().count()).toBe(3);
      });

      it('errors in functions have codes and say what to do', async () => {
        const ds = parallelize([1], { partitions: 1 }).on(engine);
        const outside = 3;
        expect(await failure(ds.map((x) => x * outside).collect())).toMatchObject({ code: 'FREE_VARIABLE' });
        expect(await failure(ds.map((x) => Promise.resolve(x)).collect())).toMatchObject({
          code: 'FUNCTION_NOT_ASYNC',
        });
        expect(await failure(ds.filter((x) => Promise.resolve(x > 3)).collect())).toMatchObject({
          code: 'FUNCTION_NOT_ASYNC',
        });
        expect(
          await failure(
            ds
              .map(async (x) => x)
              .mapPartitions((r) => [...r])
              .collect(),
          ),
        ).toMatchObject({ code: 'FUNCTION_NOT_ASYNC' });
        expect(await failure(ds.flatMap(((x: number) => x) as never).collect())).toMatchObject({
          code: 'FUNCTION_RESULT',
        });
        expect(await failure(ds.map(task(fixture, 'nowhere')).collect())).toMatchObject({ code: 'EXPORT_NOT_FOUND' });
        expect(() => ds.map(Math.abs)).toThrow(coded('FUNCTION_NATIVE') as Error);
        expect(() => parallelize([() => 1])).toThrow(coded('RECORDS_NOT_CLONEABLE') as Error);
        expect(() => parallelize([1], { partitions: 1.5 })).toThrow(coded('ARGUMENT') as Error);
        expect(() => ds.batch(0)).toThrow(coded('ARGUMENT') as Error);
      });

      it('foreachPartition runs for its effects', async () => {
        const mark = newMark();
        await parallelize([1, 2, 3], { partitions: 2 })
          .on(engine)
          .foreachPartition(task(fixture, 'markAll', { path: mark }));
        expect([...runs(mark)].sort().join('')).toBe('123');
      });
    });

    describe('zip', () => {
      it('needs as many partitions, and records in each', async () => {
        const four = parallelize([1, 2, 3, 4], { partitions: 2 }).on(engine);
        expect(() => four.zip(parallelize([1], { partitions: 3 }))).toThrow(coded('ARGUMENT') as Error);
        expect(await failure(four.zip(four.filter((x) => x !== 4)).collect())).toMatchObject({ code: 'ZIP_LENGTH' });
        expect(
          await failure(
            four
              .filter((x) => x !== 4)
              .zip(four)
              .collect(),
          ),
        ).toMatchObject({ code: 'ZIP_LENGTH' });
      });
    });

    describe('columns', () => {
      const records = [0, 1, 2, 3, 4].map((i) => ({ x: new Float32Array([i, i + 0.5]), label: i, ok: i % 2 === 0 }));
      it('give back the records that they were made of', async () => {
        const ds = parallelize(records, { partitions: 2 }).on(engine).cache();
        expect(await ds.collect()).toEqual(records);
        expect(await ds.collect()).toEqual(records);
        expect(ds.toDebugString()).toContain('2 of 2 partitions as columns');
      });

      it('materialize: one schema, shared memory, through filter and map', async () => {
        const ds = parallelize(records, { partitions: 3 })
          .on(engine)
          .filter((r) => r.label !== 0)
          .map((r) => ({ x: r.x, label: r.label + 1 }));
        const parts = await materialize(ds, engine, {
          schema: { x: { dtype: 'float32', shape: [2] }, label: { dtype: 'int32', shape: [] } },
        });
        expect(parts.map((part) => part.count)).toEqual([0, 2, 2]);
        expect(parts.map(schemaOf)).toEqual(
          Array(3).fill({ x: { dtype: 'float32', shape: [2] }, label: { dtype: 'int32', shape: [] } }),
        );
        const { x, label } = parts[2]!.fields;
        if (engine.carrier !== 'process') expect(x!.data.buffer).toBeInstanceOf(SharedArrayBuffer);
        expect([...x!.data, ...label!.data]).toEqual([3, 3.5, 4, 4.5, 4, 5]);
        const batch = gather(parts[2]!, Int32Array.of(1, 0, 1));
        expect([...batch.fields.label!.data, ...batch.fields.x!.data]).toEqual([5, 4, 5, 4, 4.5, 3, 3.5, 4, 4.5]);
        expect(recordAt(parts[1]!, 0)).toEqual({ x: new Float32Array([1, 1.5]), label: 2 });
        expect(
          await fromColumns<{ label: number }>(parts)
            .on(engine)
            .map((r) => r.label)
            .collect(),
        ).toEqual([2, 3, 4, 5]);
      });

      it('materialize: a cached dataset is not computed again', async () => {
        const mark = newMark();
        const ds = parallelize(records, { partitions: 2 })
          .on(engine)
          .mapPartitions<unknown>(task(fixture, 'markPartition', { path: mark }))
          .cache();
        const parts = await materialize(ds, engine);
        expect((await materialize(ds, engine))[0]!.fields.x!.data.buffer).toBe(parts[0]!.fields.x!.data.buffer);
        await ds.collect();
        expect(runs(mark)).toBe('PP');
      });

      it('an empty partition takes the schema of the others', async () => {
        const ds = parallelize(records, { partitions: 5 })
          .on(engine)
          .filter((r) => r.label > 2);
        const parts = await materialize(ds, engine);
        expect(parts.map((part) => part.count)).toEqual([0, 0, 0, 1, 1]);
        expect(schemaOf(parts[0]!)).toEqual(schemaOf(parts[4]!));
      });

      it('records that break the schema fail with a code, where and why', async () => {
        const ragged = parallelize([{ x: Float32Array.of(1) }, { x: Float32Array.of(1, 2) }], { partitions: 1 }).on(
          engine,
        );
        expect(await failure(ragged.cache().collect())).toMatchObject({
          code: 'SCHEMA',
          message: expect.stringMatching(/x must be 1 elements.*Float32Array of 2 in record 1/),
        });
        expect(await ragged.cache('records').count()).toBe(2);
        const half = parallelize([{ y: 1.5 }], { partitions: 1 }).on(engine);
        expect(await failure(half.cache({ y: { dtype: 'int32', shape: [] } }).count())).toMatchObject({
          code: 'SCHEMA',
        });
        expect(await failure(materialize(parallelize(['a']).on(engine), engine))).toMatchObject({ code: 'SCHEMA' });
        const between = parallelize<object>([{ x: 1 }, { y: 1 }], { partitions: 2 }).on(engine);
        expect(await failure(materialize(between, engine))).toMatchObject({ code: 'SCHEMA' });
        expect(await between.cache().collect()).toEqual([{ x: 1 }, { y: 1 }]);
        expect(() => half.cache({})).toThrow(coded('SCHEMA') as Error);
      });

      it('do not cross: only collected records are counted', async () => {
        const ds = parallelize(records, { partitions: 2 }).on(engine).cache();
        await ds.count();
        const before = engine.sampleBytesCrossed();
        await ds.filter((r) => r.ok).count();
        await materialize(ds, engine);
        expect(engine.sampleBytesCrossed()).toBe(before);
        await ds.map((r) => r.x).collect();
        expect(engine.sampleBytesCrossed()).toBe(before + 5 * 2 * 4);
      });

      it('a function that changes its record does not change the cache', async () => {
        const ds = parallelize(records, { partitions: 1 }).on(engine).cache();
        const spoil = ds.map((r) => {
          r.x.fill(-1);
          return r.x[0];
        });
        expect(await spoil.first()).toBe(-1);
        expect(await ds.first()).toEqual(records[0]);
      });
    });

    describe('idx', () => {
      const images = Array.from({ length: 10 * 4 }, (_, i) => i);
      const write = (file: string, bytes: Uint8Array): string => {
        const path = join(folder, file);
        writeFileSync(path, bytes);
        return path;
      };
      it('reads each partition from its own bytes', async () => {
        const image = write('images', encodeIdx('uint8', [10, 2, 2], images));
        const label = write('labels', encodeIdx('uint8', [10], images.slice(0, 10)));
        const ds = idx({ image, label }, { partitions: 3 }).on(engine);
        const all = await ds.collect();
        expect(all.length).toBe(10);
        expect(all[7]).toEqual({ image: Uint8Array.of(28, 29, 30, 31), label: 7 });
        expect(await ds.mapPartitions((records) => [[...records].length]).collect()).toEqual([3, 3, 4]);
        expect(await idx({ image, label }, { limit: 4, partitions: 8 }).on(engine).count()).toBe(4);
        expect(await idx({ image, label }, { limit: 400 }).on(engine).count()).toBe(10);
        const parts = await materialize(
          ds.filter((r) => r.label > 1),
          engine,
        );
        expect(parts.map((part) => part.count)).toEqual([1, 3, 4]);
        expect(schemaOf(parts[0]!)).toEqual({
          image: { dtype: 'uint8', shape: [2, 2] },
          label: { dtype: 'uint8', shape: [] },
        });
        expect(parts[0]!.fields.image!.data.length).toBe(4);
      });

      it('other element types and field names', async () => {
        const value = write('floats', encodeIdx('float32', [3], [0.5, -1, 2]));
        expect(await idx<{ value: number }>({ value }, { partitions: 1 }).on(engine).collect()).toEqual([
          { value: 0.5 },
          { value: -1 },
          { value: 2 },
        ]);
      });

      it('files that do not fit fail with codes', async () => {
        const image = write('images2', encodeIdx('uint8', [2, 2, 2], images.slice(0, 8)));
        const label = write('labels2', encodeIdx('uint8', [3], [1, 2, 3]));
        const cut = write('cut', encodeIdx('uint8', [3], [1, 2, 3]).slice(0, 9));
        const options = { partitions: 1 };
        expect(await failure(idx({ image, label }, options).on(engine).count())).toMatchObject({ code: 'FORMAT' });
        expect(await failure(idx<{ cut: number }>({ cut }, options).on(engine).count())).toMatchObject({
          code: 'FORMAT',
        });
        expect(
          await failure(
            idx<{ a: number }>({ a: join(folder, 'absent') }, options)
              .on(engine)
              .count(),
          ),
        ).toMatchObject({ code: 'FILE_NOT_FOUND' });
        expect(() => idx({ image, label }, { limit: -1 })).toThrow(coded('ARGUMENT') as Error);
        expect(() => idx<{ a: number }>({ a: 'https://example.org/a' })).toThrow(coded('ARGUMENT') as Error);
      });
    });

    it('toDebugString shows the plan', () => {
      const ds = parallelize([1, 2, 3], { partitions: 2 })
        .map((x, { k }) => x * k, { k: 2 })
        .filter(task(fixture, 'isEven'))
        .cache('records')
        .shuffle(7)
        .zip(parallelize([1], { partitions: 2 }))
        .batch(4);
      const lines = ds.toDebugString().split('\n');
      expect(lines.length).toBe(8);
      expect(lines[0]).toBe('(2) batch 4');
      expect(lines[1]).toBe(' |  zip');
      expect(lines[2]).toBe(' |    (2) parallelize 1 records');
      expect(lines[3]).toBe(' |  shuffle seed 7');
      expect(lines[4]).toBe(' |  cache [nothing yet]');
      expect(lines[5]).toBe(' |  filter isEven');
      expect(lines[6]).toMatch(/^ \| {2}map \(x, \{ k \}\) => x \* k/);
      expect(lines[7]).toBe(' |  parallelize 3 records');
    });

    it('an aborted action rejects with CANCELLED', async () => {
      const controller = new AbortController();
      controller.abort();
      await expect(parallelize([1]).on(engine).count({ signal: controller.signal })).rejects.toEqual(
        coded('CANCELLED'),
      );
    });
  });
}

/** permutation(42, [0, 'SHUF'], 8), committed when it was first computed. */
const SHUFFLED_42 = [0, 5, 3, 6, 4, 1, 7, 2];
