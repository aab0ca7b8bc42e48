/** `setNumThreads` as a program sees it. The crew itself: test/kernels/crew.test.ts. */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { matmul, numThreads, ones, setNumThreads } from 'shoal';
import { afterEach, describe, expect, it } from 'vitest';
import { engineCases, withEngine } from '../engine/engines.ts';
import { until } from '../kernels/crew-helpers.ts';

const program = fileURLToPath(new URL('./fixtures/program.mjs', import.meta.url));
const cores = availableParallelism();

interface Report {
  readonly sha256: string;
  readonly threads: number;
  readonly helped: number;
  readonly reason: string;
}

function run(threads: number): Report {
  const { stdout, stderr, status } = spawnSync(process.execPath, [program, String(threads)], {
    encoding: 'utf8',
    timeout: 50_000,
  });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Report;
}

/** Large products until helpers have taken part, or for two seconds. */
async function helpedWithin(ms = 2000): Promise<boolean> {
  const before = numThreads().helped;
  const a = ones([256, 256]);
  const end = performance.now() + ms;
  while (numThreads().helped === before && performance.now() < end) {
    expect(matmul(a, a).amax().item()).toBe(256);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return numThreads().helped > before;
}

afterEach(() => setNumThreads(1));

describe('setNumThreads', () => {
  it('refuses what is no number of threads', () => {
    for (const threads of [0, -1, 1.5, 33, Number.NaN]) {
      expect(() => setNumThreads(threads)).toThrow(/^setNumThreads: threads must be a whole number from 1 to 32, got /);
    }
    expect(numThreads()).toEqual({ threads: 1, reason: 'the default', helped: 0 });
  });

  it('gives gradients of a network the same bits, and lets the program end', { timeout: 120_000 }, () => {
    const one = run(1);
    expect(one).toMatchObject({ threads: 1, helped: 0, reason: 'the default' });
    const two = run(2);
    expect(two.sha256).toBe(one.sha256);
    if (cores > 1) expect(two).toMatchObject({ threads: 2, reason: 'setNumThreads(2)' });
    if (cores > 1) expect(two.helped).toBeGreaterThan(0);
  });

  it.runIf(cores > 1)('starts helpers once, and lets them sleep', async () => {
    setNumThreads(2);
    expect(await helpedWithin(20_000)).toBe(true);
    setNumThreads(1);
    expect(await helpedWithin(50)).toBe(false);
    setNumThreads(2);
    expect(await helpedWithin(20_000)).toBe(true);
  });

  it('runs no more threads than there are cores, and says so', () => {
    setNumThreads(32);
    if (cores < 32)
      expect(numThreads()).toMatchObject({ threads: cores, reason: `setNumThreads(32), but there are ${cores} cores` });
  });
});

describe.each(engineCases.filter(({ name }) => name !== 'inline'))('with the engine $name', ({ create }) => {
  const stage = {
    name: 'ask',
    run: {
      kind: 'module' as const,
      module: new URL('./fixtures/tasks.mjs', import.meta.url).href,
      export: 'askForTwo',
      args: undefined,
    },
    inputs: [0, 1].map((partition) => ({ partition, input: null })),
  };

  it('leaves the cores to its workers while they work', async () => {
    setNumThreads(2);
    await withEngine(create({ workers: 2 }), async (engine) => {
      const running = engine.run(stage);
      expect(numThreads()).toMatchObject({
        threads: 1,
        reason: 'setNumThreads(2), but the workers of an engine are at work',
      });
      const answers = await running;
      expect(answers).toMatchObject([
        { threads: 1, reason: 'setNumThreads(2), but this is a worker of an engine' },
        { threads: 1 },
      ]);
      await until(() => numThreads().threads === Math.min(2, cores));
    });
    expect(numThreads().threads).toBe(Math.min(2, cores));
  });
});
