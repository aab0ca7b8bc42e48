import { describe, expect, it } from 'vitest';
import type { ShuffleSource } from '../../src/data/plan.ts';
import { EngineShuffles, shufflePlan } from '../../src/data/shuffles.ts';
import type { Engine } from '../../src/engine/engine.ts';

const engine = { shuffleMemoryBytes: 1000, dropShuffle: () => undefined } as unknown as Engine;
const source = (): ShuffleSource => {
  const parent = { partitions: 3, source: { kind: 'columns', partitions: [] }, steps: [] } as const;
  return shufflePlan('test', parent, 2, { kind: 'deal' }).source as ShuffleSource;
};
const inMemory = (
  ...pieces: [number, number]
): { place: SharedArrayBuffer; offsets: number[]; checksums: number[] } => {
  const [a, b] = pieces;
  return { place: new SharedArrayBuffer(a + b), offsets: [0, a, a + b], checksums: [] };
};
const inFile = (...[a, b]: [number, number]): { place: string; offsets: number[]; checksums: number[] } => ({
  place: '/a',
  offsets: [0, a, a + b],
  checksums: [1, 2],
});

describe('what the driver remembers of shuffles', () => {
  it('shares the memory that is free among the tasks of one stage, and gives it to nobody else meanwhile', async () => {
    const shuffles = new EngineShuffles(engine);
    const share = (tasks: number): Promise<number> => shuffles.withMemory(tasks, async (bytes) => bytes);
    expect([await share(3), await share(1)]).toEqual([333, 1000]);
    await shuffles.withMemory(2, async (bytes) => expect([bytes, await share(2)]).toEqual([500, 0]));
    await expect(shuffles.withMemory(2, () => Promise.reject(new Error('x')))).rejects.toThrow('x');
    const shuffle = source();
    shuffles.keep(shuffle, 0, [inMemory(100, 200), inFile(5000, 0)]);
    expect(await share(1)).toBe(700);
    shuffles.keep(shuffle, 0, [inMemory(50, 50)]);
    expect(await share(1)).toBe(900);
    // More than there is: by tasks of which the driver did not know.
    shuffles.keep(shuffle, 1, [inMemory(2000, 0)]);
    expect(await share(1)).toBe(0);
    shuffles.forget(shuffle, 1);
    shuffles.forget(shuffle, 1);
    expect(await share(1)).toBe(900);
  });

  it('gives readers the blocks of each producer in order, without empty ones', () => {
    const shuffles = new EngineShuffles(engine);
    const shuffle = source();
    expect([shuffles.missing(shuffle), shuffles.describe(shuffle)]).toEqual([[0, 1, 2], 'nothing yet']);
    const first = inMemory(3, 4);
    shuffles.keep(shuffle, 0, [first, inFile(5, 6)]);
    shuffles.keep(shuffle, 2, []);
    expect(shuffles.missing(shuffle)).toEqual([1]);
    expect(() => shuffles.blocks(shuffle, 0)).toThrow(/INVARIANT|invariant/);
    shuffles.keep(shuffle, 1, [inFile(0, 7)]);
    expect(shuffles.blocks(shuffle, 0)).toEqual([
      [
        { place: first.place, offset: 0, length: 3, checksum: 0 },
        { place: '/a', offset: 0, length: 5, checksum: 1 },
      ],
      [],
      [],
    ]);
    expect(shuffles.blocks(shuffle, 1).map((blocks) => blocks.length)).toEqual([2, 1, 0]);
    expect(shuffles.describe(shuffle)).toBe('3 of 3 partitions written, 0.0 MB in memory, 0.0 MB in files');
  });
});
