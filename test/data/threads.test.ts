/** The dataset contract on worker threads, and what only they have: workers that die. Runs on the built package, because workers load it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as data from 'shoal/data';
import { type EngineEvent, inline, threads } from 'shoal/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeIdx } from '../../src/codec/idx.ts';
import { datasetContract } from './contract.ts';
import { shuffleKills } from './shuffle-kills.ts';

datasetContract('threads', { data, encodeIdx, engine: (options) => threads({ workers: 2, ...options }) });
datasetContract('the built inline engine', { data, encodeIdx, engine: (options) => inline(options) });
shuffleKills('threads', threads);

const { parallelize, materialize, task } = data;
const fixture = new URL('../fixtures/data-tasks.mjs', import.meta.url).href;

describe('workers that die', () => {
  const engine = threads({ workers: 2 });
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'shoal-data-'));
  });
  afterAll(async () => {
    await engine.close();
    rmSync(folder, { recursive: true });
  });
  const marked = (name: string): string => {
    const path = join(folder, name);
    writeFileSync(path, '');
    return path;
  };
  const allLost = async (): Promise<void> => {
    const old = [...engine.liveWorkers()];
    for (const worker of old) engine.killWorker(worker);
    while (engine.liveWorkers().length < 2 || engine.liveWorkers().some((worker) => old.includes(worker))) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };

  it('columns survive the workers that made them', async () => {
    const path = marked('columns');
    const records = Array.from({ length: 40 }, (_, i) => ({ x: i, v: Float32Array.of(i) }));
    const ds = parallelize(records, { partitions: 4 })
      .on(engine)
      .mapPartitions<(typeof records)[0]>(task(fixture, 'markPartition', { path }))
      .cache();
    expect(await ds.count()).toBe(40);
    await allLost();
    expect(await ds.collect()).toEqual(records);
    expect(readFileSync(path, 'utf8')).toBe('PPPP');
  });

  it('records in a heap are used where they are, and made again from their lineage when lost', async () => {
    const path = marked('heap');
    const words = 'the quick brown fox jumps over the lazy dog'.split(' ');
    const ds = parallelize(words, { partitions: 4 })
      .on(engine)
      .mapPartitions<string>(task(fixture, 'markPartition', { path }))
      .cache();
    expect(await ds.collect()).toEqual(words);
    expect(await ds.map((w) => w.length).reduce((a, b) => a + b)).toBe(35);
    expect(readFileSync(path, 'utf8')).toBe('PPPP');
    await allLost();
    expect(await ds.collect()).toEqual(words);
    expect(readFileSync(path, 'utf8').length).toBe(8);
    expect(await ds.collect()).toEqual(words);
    expect(readFileSync(path, 'utf8').length).toBe(8);
  });

  it('a worker killed while a filter and a map run changes nothing', async () => {
    const numbers = Array.from({ length: 4000 }, (_, i) => i);
    const ds = parallelize(numbers, { partitions: 4 })
      .filter((x) => x % 3 !== 0)
      .map<{ v: number }>(task(fixture, 'slowly'));
    const bytes = (parts: data.Columns[]): string =>
      parts.map((part) => `${part.count}:${part.fields.v!.data.join()}`).join(';');
    const quiet = bytes(await materialize(ds, engine));
    const events: EngineEvent[] = [];
    const stop = engine.subscribe((event) => void events.push(event));
    const job = materialize(ds, engine);
    await new Promise((resolve) => setTimeout(resolve, 30));
    engine.killWorker(engine.liveWorkers()[0]!);
    expect(bytes(await job)).toBe(quiet);
    stop();
    expect(events.map((event) => event.event)).toContain('workerLost');
  });

  it.each([1, 2, 3])('workers killed again and again change nothing, seed %i', async (seed) => {
    const numbers = Array.from({ length: 3000 }, (_, i) => i);
    const make = () =>
      parallelize(numbers, { partitions: 5 })
        .on(engine)
        .filter((x) => x % 7 !== 0)
        .map<{ v: number }>(task(fixture, 'slowly'))
        .cache()
        .shuffle(seed)
        .map((r) => `${r.v}`)
        .cache('records')
        .batch(3);
    const quiet = await make().collect();
    const job = make().collect();
    let random = seed;
    for (let kill = 0; kill < 3; kill++) {
      random = (random * 48_271) % 2_147_483_647;
      await new Promise((resolve) => setTimeout(resolve, random % 40));
      const live = engine.liveWorkers();
      if (live.length > 0) engine.killWorker(live[random % live.length]!);
    }
    expect(await job).toEqual(quiet);
  });

  it('idle workers share the columns: no bytes cross', async () => {
    const before = engine.sampleBytesCrossed();
    const parts = await materialize(parallelize([{ x: 1 }], { partitions: 1 }), engine);
    const crossed = engine.sampleBytesCrossed();
    expect(crossed - before).toBe(8);
    expect(await data.fromColumns<{ x: number }>(parts).on(engine).count()).toBe(1);
    expect(engine.sampleBytesCrossed()).toBe(crossed);
  });

  it('what was shuffled survives the workers that wrote it', async () => {
    const path = marked('shuffled');
    const grouped = parallelize([1, 2, 3, 4], { partitions: 2 })
      .on(engine)
      .mapPartitions<number>(task(fixture, 'markPartition', { path }))
      .keyBy((x) => x % 2)
      .groupByKey(2);
    const expected = await grouped.collect();
    await allLost();
    expect(await grouped.collect()).toEqual(expected);
    expect(readFileSync(path, 'utf8')).toBe('PP');
  });
});
