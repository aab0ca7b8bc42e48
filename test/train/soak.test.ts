/**
 * The reference run while everything goes wrong at once, again and again: workers are killed at random, hang in the middle of a batch, run out of
 * memory, join and leave. Every run ends with the hash of the quiet one. In `npm test` one run on threads and one on processes; `npm run test:long`
 * goes on for SHOAL_SOAK_MINUTES.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Engine, processes, threads } from 'shoal/engine';
import { afterAll, describe, expect, it } from 'vitest';
import { Random } from '../../src/random.ts';
import { withEngine } from '../engine/engines.ts';
import { golden, referenceRun } from './reference.ts';

const minutes = Number(process.env.SHOAL_SOAK_MINUTES ?? 0);
const folder = mkdtempSync(join(tmpdir(), 'shoal-soak-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What has gone wrong so far. */
const counts = { kill: 0, hang: 0, memory: 0, resize: 0, lost: 0, runs: 0 };

/** Makes something go wrong after every few iterations. Returns what is told of each iteration. */
function disturber(engine: Engine, random: Random): () => void {
  let left = 10;
  return () => {
    if (--left > 0) return;
    left = 10 + random.below(30);
    const live = engine.liveWorkers();
    const what = (['kill', 'hang', 'memory', 'resize'] as const)[random.below(4)]!;
    counts[what]++;
    if (what === 'kill' && live.length > 0) engine.killWorker(live[random.below(live.length)]!);
    else if (what === 'resize') engine.resize(1 + random.below(4));
    // The worker that finds the file first does what it says, in the middle of its next batch.
    else writeFileSync(join(folder, what), '');
  };
}

async function troubledRun(create: typeof threads, seed: number): Promise<void> {
  await withEngine(
    create({ workers: 3, silenceTimeoutMs: 2000, maxAttempts: 50, memoryBudgetBytes: 256 * 2 ** 20 }),
    async (engine) => {
      engine.subscribe((event) => void (event.event === 'workerLost' && counts.lost++));
      const disturb = disturber(engine, new Random(seed, [1, 2]));
      const { last } = await referenceRun(engine, {
        checkpoint: { directory: join(folder, `checkpoint-${counts.runs}`), everyIterations: 20 },
        prepare: { module: new URL('./soak-prepare.mjs', import.meta.url), args: { folder } },
        onEvent: ({ event }) => event === 'iteration' && disturb(),
      });
      expect(last).toMatchObject({ event: 'done', weightsSha256: golden.weightsSha256 });
      counts.runs++;
    },
  );
}

describe('a run in which everything goes wrong', () => {
  const endMs = performance.now() + minutes * 60_000;
  const engines = { threads, processes };

  it.each(['threads', 'processes'] as const)(
    'has the golden hash on %s',
    { timeout: minutes * 60_000 + 240_000 },
    async (name) => {
      const before = { ...counts };
      const share = name === 'threads' ? minutes * 30_000 : 0;
      for (let seed = 1; ; seed++) {
        await troubledRun(engines[name], seed);
        if (performance.now() > endMs - share) break;
      }
      expect(counts.lost).toBeGreaterThan(before.lost);
      if (minutes > 0) console.log(name, JSON.stringify(counts));
    },
  );
});
