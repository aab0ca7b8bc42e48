import { describe, expect, it } from 'vitest';
import {
  type ColumnRecord,
  ColumnsBuilder,
  formatSchema,
  gather,
  inferSchema,
  recordAt,
  sameSchema,
} from '../../src/data/columns.ts';
import { type ComputeContext, compute } from '../../src/data/compute.ts';
import { isSync, RECORDS_PER_PROGRESS } from '../../src/data/iterate.ts';
import type { KeySample } from '../../src/data/partitioner.ts';
import type { TaskPlan, TaskStep } from '../../src/data/plan.ts';
import { runPartition } from '../../src/data/stage.ts';
import type { RecordsPayload, TaskContext } from '../../src/engine/engine.ts';
import { describeFunction } from '../../src/engine/functions.ts';
import { LocalShuffleStore } from '../../src/engine/shuffle-store.ts';

const coded = (code: string): unknown => expect.objectContaining({ code });
const plan = (records: readonly unknown[], ...steps: TaskStep[]): TaskPlan => ({
  partition: 0,
  source: { kind: 'records', records },
  steps,
});
const map = (fn: unknown): TaskStep => ({ kind: 'map', fn: describeFunction(fn) });

function fakeContext(): TaskContext & ComputeContext & { beats: number } {
  const context = {
    beats: 0,
    partition: 0,
    attempt: 1,
    worker: 0,
    store: new Map<string, unknown>(),
    shuffles: new LocalShuffleStore('nowhere', 0),
    lost: [],
    progress: () => {
      context.beats++;
    },
    faultPoint: () => undefined,
    openBlocks: () => Promise.reject(new Error('no blocks here')),
  };
  return context;
}

describe('a partition on a worker', () => {
  it('is synchronous from end to end while its functions are', async () => {
    const sync = await compute(
      plan(
        [1, 2],
        map((x: number) => x),
        { kind: 'batch', size: 2, dropLast: false },
      ),
      fakeContext(),
    );
    expect(isSync(sync.records)).toBe(true);
    const later = await compute(
      plan(
        [1, 2],
        map(async (x: number) => x),
        { kind: 'batch', size: 2, dropLast: false },
      ),
      fakeContext(),
    );
    expect(isSync(later.records)).toBe(false);
  });

  it('tells that it is alive, also when a filter lets nothing through', async () => {
    const context = fakeContext();
    const records = Array.from({ length: 5 * RECORDS_PER_PROGRESS }, (_, i) => i);
    await runPartition(context, plan(records, { kind: 'filter', fn: describeFunction(() => false) }), {
      kind: 'count',
    });
    expect(context.beats).toBe(5);
    const exploding = fakeContext();
    const explode: TaskStep = { kind: 'flatMap', fn: describeFunction((n: number) => new Array(n).fill(0)) };
    await runPartition(exploding, plan([3 * RECORDS_PER_PROGRESS], explode), { kind: 'count' });
    expect(exploding.beats).toBe(3);
  });

  it('gives back views without the buffers they look into', async () => {
    const slices = map((n: number) => ({ n, deep: [new Float32Array(1000).subarray(n, n + 2)] }));
    const result = (await runPartition(fakeContext(), plan([1, 2], slices), { kind: 'collect' })) as RecordsPayload;
    const [first] = result.records as { deep: [Float32Array] }[];
    expect(first!.deep[0].buffer.byteLength).toBe(8);
    const whole = new Float32Array(4);
    const kept = (await runPartition(fakeContext(), plan([whole]), { kind: 'collect' })) as { records: unknown[] };
    expect(kept.records[0]).toBe(whole);
  });

  it('refuses to be looped over synchronously behind an async step', async () => {
    const listed: TaskStep = {
      kind: 'mapPartitions',
      fn: describeFunction((r: Iterable<number>) => [...r]),
      withIndex: false,
    };
    await expect(
      compute(
        plan(
          [1],
          map(async (x: number) => x),
          listed,
        ),
        fakeContext(),
      ),
    ).rejects.toEqual(coded('FUNCTION_NOT_ASYNC'));
  });

  it('ends the generators of its steps when no more records are wanted', async () => {
    const store = globalThis as { ended?: number };
    store.ended = 0;
    const counted: TaskStep = {
      kind: 'mapPartitions',
      fn: describeFunction(function* (records: Iterable<number>) {
        try {
          for (const record of records) yield record;
        } finally {
          (globalThis as { ended?: number }).ended = 1;
        }
      }),
      withIndex: false,
    };
    const taken = await runPartition(fakeContext(), plan([1, 2, 3], counted), { kind: 'take', count: 2 });
    expect([taken, store.ended]).toEqual([{ records: [1, 2] }, 1]);
  });
});

describe('keys drawn for a sort', () => {
  const draw = async (count: number, size: number, partition = 0): Promise<KeySample> => {
    const records = Array.from({ length: count }, (_, i) => [i, null]);
    const action = { kind: 'sampleKeys', size } as const;
    return (await runPartition(fakeContext(), { ...plan(records), partition }, action)) as KeySample;
  };

  it('are all there are, or as many as wanted, each once; the same each time, others in another partition', async () => {
    expect(await draw(5, 5)).toEqual({ count: 5, keys: [0, 1, 2, 3, 4] });
    expect(await draw(0, 5)).toEqual({ count: 0, keys: [] });
    const some = await draw(1000, 20);
    expect([some.count, new Set(some.keys).size]).toEqual([1000, 20]);
    expect(await draw(1000, 20)).toEqual(some);
    expect((await draw(1000, 20, 1)).keys).not.toEqual(some.keys);
  });

  it('come from everywhere alike', async () => {
    let sum = 0;
    for (let partition = 0; partition < 50; partition++)
      for (const key of (await draw(1000, 20, partition)).keys) sum += key as number;
    // 1000 draws of mean 499.5 and standard deviation 289: that of the mean is 9.1; 5 of them.
    expect(Math.abs(sum / 1000 - 499.5)).toBeLessThan(46);
  });
});

describe('columns', () => {
  const build = (records: readonly ColumnRecord[]) => {
    const builder = new ColumnsBuilder('test', inferSchema(records[0])!);
    for (const record of records) builder.add(record);
    return builder.finish();
  };
  const records = Array.from({ length: 200 }, (_, i) => ({ i, v: Int32Array.of(i, -i), b: i % 3 === 0 }));

  it('grow, end in exactly their size, and give the records back', () => {
    const columns = build(records);
    expect(columns.fields.v!.data.length).toBe(400);
    expect(records.map((_, i) => recordAt(columns, i))).toEqual(records);
    expect(() => recordAt(columns, 200)).toThrow(coded('INDEX_RANGE') as Error);
    expect(() => recordAt(columns, 0.5)).toThrow(coded('INDEX_RANGE') as Error);
  });

  it('gather rows, also into the arrays of an earlier batch', () => {
    const columns = build(records);
    const batch = gather(columns, Int32Array.of(199, 0));
    expect([...batch.fields.v!.data]).toEqual([199, -199, 0, 0]);
    const again = gather(columns, Int32Array.of(3, 4), batch);
    expect(again.fields.v!.data).toBe(batch.fields.v!.data);
    expect([...again.fields.v!.data, ...again.fields.i!.data, ...again.fields.b!.data]).toEqual([
      3, -3, 4, -4, 3, 4, 1, 0,
    ]);
    expect(() => gather(columns, Int32Array.of(1), batch)).toThrow(coded('SHAPE') as Error);
    expect(() => gather(columns, Int32Array.of(200))).toThrow(coded('INDEX_RANGE') as Error);
    expect(() => gather(columns, Int32Array.of(-1))).toThrow(coded('INDEX_RANGE') as Error);
    expect(gather(columns, new Int32Array(0)).count).toBe(0);
  });

  it('infer a schema from numbers, booleans and typed arrays only', () => {
    expect(formatSchema(inferSchema(records[0])!)).toBe('{i: float64[], v: int32[2], b: bool[]}');
    for (const other of [
      1,
      'a',
      null,
      [1],
      new Float32Array(2),
      {},
      { s: 'a' },
      { d: new Date() },
      { n: { x: 1 } },
      { l: [1] },
      { w: new Int8Array(1) },
    ]) {
      expect(inferSchema(other)).toBeNull();
    }
  });

  it('convert what fits the schema, refuse what does not', () => {
    const schema = {
      a: { dtype: 'int32', shape: [2] },
      s: { dtype: 'uint8', shape: [] },
      f: { dtype: 'float32', shape: [] },
    } as const;
    const good = { a: [1, -2], s: 255, f: 0.1 };
    const builder = new ColumnsBuilder('test', schema);
    builder.add(good);
    builder.add({ ...good, a: Float64Array.of(3, 4), f: Number.NaN });
    const columns = builder.finish();
    expect([...columns.fields.a!.data, columns.fields.f!.data[0]]).toEqual([1, -2, 3, 4, Math.fround(0.1)]);
    for (const bad of [
      { ...good, a: [1] },
      { ...good, a: [1, 0.5] },
      { ...good, a: [1, 2 ** 31] },
      { ...good, a: 1 },
      { ...good, a: ['1', '2'] },
      { ...good, s: 256 },
      { ...good, s: -1 },
      { ...good, s: '1' },
      { ...good, s: undefined },
      { a: good.a, s: 1 },
      { ...good, extra: 1 },
      null,
      7,
    ]) {
      expect(() => new ColumnsBuilder('test', schema).add(bad)).toThrow(coded('SCHEMA') as Error);
    }
    expect(sameSchema(schema, { ...schema, s: { dtype: 'bool', shape: [] } })).toBe(false);
    expect(sameSchema(schema, { f: schema.f, s: schema.s, a: schema.a })).toBe(true);
  });
});
