/** Workers that die while they write or read blocks of a shuffle, on the engines that have workers to kill. Runs on the built package. */
import * as data from 'shoal/data';
import { type Engine, type EngineEvent, type EngineOptions, type FaultPoint, inline } from 'shoal/engine';
import { describe, expect, it } from 'vitest';

const { parallelize, task } = data;
const fixture = new URL('../fixtures/data-tasks.mjs', import.meta.url).href;

export function shuffleKills(name: string, makeEngine: (options: EngineOptions) => Engine): void {
  describe.each(
    name === 'processes'
      ? ([['files', 0]] as const)
      : ([
          ['memory', 2 ** 20],
          ['files', 0],
        ] as const),
  )(`workers of ${name} killed in the middle of a shuffle through %s`, (_, shuffleMemoryBytes) => {
    const numbers = Array.from({ length: 3000 }, (_, i) => i);
    const make = (on: Engine): data.Dataset<[number, string[]]> =>
      parallelize(numbers, { partitions: 5 })
        .on(on)
        .keyBy((x) => x % 13)
        .mapValues((x) => `${x}`)
        .reduceByKey((a, b) => `${a},${b}`, 4)
        .keyBy(([key]) => key % 3)
        .mapValues(([, text]) => text)
        .groupByKey(3);
    const points = ['shuffleWrite', 'shuffleRead'].flatMap((phase) =>
      [0, 2].map((unit): FaultPoint => ({ phase, unit, iteration: 0, offset: phase === 'shuffleRead' ? 1 : 0 })),
    );

    it('a worker killed while it writes, or while it reads, changes nothing', async () => {
      const quiet = await make(inline()).collect();
      const shuffling = makeEngine({ workers: 2, shuffleMemoryBytes });
      const killed: EngineEvent[] = [];
      shuffling.subscribe((event) => event.event === 'killed' && killed.push(event));
      shuffling.setFaults(points);
      expect(await make(shuffling).collect()).toEqual(quiet);
      expect(killed).toHaveLength(4);
      await shuffling.close();
    });

    it.each([1, 2, 3])('workers killed again and again change nothing, seed %i', async (seed) => {
      const shuffling = makeEngine({ workers: 2, shuffleMemoryBytes, maxAttempts: 8 });
      const slow = (on: Engine): data.Dataset<string> =>
        parallelize(numbers.slice(0, 800), { partitions: 5 })
          .on(on)
          .map<{ v: number }>(task(fixture, 'slowly'))
          .keyBy(({ v }) => Math.trunc(v) % 17)
          .groupByKey(4)
          .map(([key, values]) => `${key}:${values.map(({ v }) => v).join()}`)
          .sortBy((text) => text, { partitions: 3 });
      const quiet = await slow(inline()).collect();
      const job = slow(shuffling).collect();
      let random = seed;
      for (let kill = 0; kill < 4; kill++) {
        random = (random * 48_271) % 2_147_483_647;
        await new Promise((resolve) => setTimeout(resolve, random % 60));
        const live = shuffling.liveWorkers();
        if (live.length > 0) shuffling.killWorker(live[random % live.length]!);
      }
      expect(await job).toEqual(quiet);
      await shuffling.close();
    });

    it('any number of workers gives the same', async () => {
      const results = [];
      for (const workers of [1, 3]) {
        const some = makeEngine({ workers, shuffleMemoryBytes });
        results.push(await make(some).collect());
        await some.close();
      }
      expect(results[0]).toEqual(results[1]);
    });
  });
}
