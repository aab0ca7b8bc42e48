/** The main promise: the same bits however a run runs. Every case is the reference run against the committed hash. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inline, processes, threads } from 'shoal/engine';
import type { KillCounts } from 'shoal/train';
import { afterAll, describe, expect, it } from 'vitest';
import { withEngine } from '../engine/engines.ts';
import { golden, referenceRun } from './reference.ts';

const folders: string[] = [];
const folder = (): string => {
  folders.push(mkdtempSync(join(tmpdir(), 'shoal-')));
  return folders[folders.length - 1]!;
};
afterAll(() => {
  for (const path of folders) rmSync(path, { recursive: true, force: true });
});

describe('the reference run has the golden hash', () => {
  it('inline, and counts what it promises', () =>
    withEngine(inline(), async (engine) => {
      const { last } = await referenceRun(engine);
      expect(last).toMatchObject({
        event: 'done',
        iteration: 200,
        weightsSha256: golden.weightsSha256,
        reproducible: true,
      });
      expect(last).toMatchObject({ driverParameterBytes: 0, sampleBytesCrossed: 0, referenceKernelCalls: 0 });
    }));

  it.each([1, 2, 3, 7])('on %i threads', (workers) =>
    withEngine(threads({ workers }), async (engine) => {
      const { last, events } = await referenceRun(engine);
      expect(last).toMatchObject({ event: 'done', weightsSha256: golden.weightsSha256, workers });
      expect(last).toMatchObject({ driverParameterBytes: 0, sampleBytesCrossed: 0, referenceKernelCalls: 0 });
      const iterations = events.filter(({ event }) => event === 'iteration').map(({ iteration }) => iteration);
      expect(iterations).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
    }),
  );

  it.each([1, 2, 3, 7])('on %i processes', (workers) =>
    withEngine(processes({ workers }), async (engine) => {
      const { last, events } = await referenceRun(engine);
      expect(last).toMatchObject({ event: 'done', weightsSha256: golden.weightsSha256, workers });
      expect(last).toMatchObject({ driverParameterBytes: 0, sampleBytesCrossed: 0, referenceKernelCalls: 0 });
      const iterations = events.filter(({ event }) => event === 'iteration').map(({ iteration }) => iteration);
      expect(iterations).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
    }),
  );

  it.each([1, 2])('with kills of processes drawn from seed %i', (chaos) =>
    withEngine(processes({ workers: 2 }), async (engine) => {
      const { last } = await referenceRun(engine, { chaos, checkpoint: { directory: folder(), everyIterations: 50 } });
      expect(last).toMatchObject({ event: 'done', weightsSha256: golden.weightsSha256 });
    }),
  );

  it.each([threads, processes])('on an engine that is resized all the time: %o', (create) =>
    withEngine(create({ workers: 2 }), async (engine) => {
      let workers = 2;
      const { last } = await referenceRun(engine, {
        onEvent: ({ event, iteration }) => {
          if (event !== 'iteration' || iteration % 20 !== 0) return;
          workers = (workers % 4) + 1;
          engine.resize(workers);
        },
      });
      expect(last).toMatchObject({ event: 'done', weightsSha256: golden.weightsSha256 });
    }),
  );

  const total: KillCounts = { forward: 0, backward: 0, publish: 0, update: 0, checkpoint: 0, random: 0 };
  it.each(Array.from({ length: 20 }, (_, seed) => seed + 1))('with kills drawn from seed %i', (chaos) =>
    withEngine(threads({ workers: 2 }), async (engine) => {
      const { last } = await referenceRun(engine, { chaos, checkpoint: { directory: folder(), everyIterations: 50 } });
      expect(last).toMatchObject({ event: 'done', weightsSha256: golden.weightsSha256 });
      for (const phase of Object.keys(total) as (keyof KillCounts)[]) total[phase] += last.kills[phase];
    }),
  );

  it('and those 20 runs have hit each phase at least 3 times', () => {
    for (const count of Object.values(total)) expect(count).toBeGreaterThanOrEqual(3);
  });

  it.each([30, 100, 155])('interrupted near iteration %i and resumed', (iteration) =>
    withEngine(threads({ workers: 2 }), async (engine) => {
      const checkpoint = { directory: folder() };
      const abort = new AbortController();
      const first = await referenceRun(engine, {
        checkpoint,
        signal: abort.signal,
        onEvent: (event) => {
          if (event.event === 'iteration' && event.iteration === iteration) abort.abort();
        },
      });
      expect(first.last.event).toBe('interrupted');
      expect(first.last.iteration).toBeGreaterThanOrEqual(iteration);
      expect(first.last.iteration).toBeLessThan(200);
      const second = await referenceRun(engine, { checkpoint, resume: true });
      expect(second.events.find(({ event }) => event === 'start')).toMatchObject({
        iteration: first.last.iteration,
        resumedFrom: (first.last as { checkpoint: string }).checkpoint,
      });
      expect(second.last).toMatchObject({ event: 'done', weightsSha256: golden.weightsSha256 });
    }),
  );

  it('resumed on another engine and number of workers', async () => {
    const checkpoint = { directory: folder(), everyIterations: 70 };
    const abort = new AbortController();
    await withEngine(threads({ workers: 3 }), (engine) =>
      referenceRun(engine, {
        checkpoint,
        signal: abort.signal,
        onEvent: (event) => event.iteration >= 75 && abort.abort(),
      }),
    );
    await withEngine(inline(), async (engine) => {
      const { last } = await referenceRun(engine, { checkpoint, resume: true });
      expect(last).toMatchObject({ event: 'done', weightsSha256: golden.weightsSha256 });
    });
  });
});

describe('negative controls change the hash', () => {
  it.each([
    ['another seed', { seed: 2 }],
    ['another number of partitions', { partitions: 7 }],
    ['summation in order of arrival', { arrivalOrder: true }],
  ])('%s', (_, options) =>
    withEngine(threads({ workers: 2 }), async (engine) => {
      const { last } = await referenceRun(engine, options);
      expect(last.event).toBe('done');
      expect(last.weightsSha256).not.toBe(golden.weightsSha256);
    }),
  );
});
