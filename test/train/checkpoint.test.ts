import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { findCheckpoint, writeCheckpoint } from '../../src/train/checkpoint.ts';
import { layoutOf } from '../../src/train/plan.ts';

const directory = mkdtempSync(join(tmpdir(), 'shoal-checkpoint-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function write(iteration: number): Promise<string> {
  const identity = { seed: 1, partitions: 1, batchSize: 1, specSha256: 'a', dataSha256: 'b', totalIterations: 0 };
  const layout = layoutOf([{ name: 'w', shape: [2], trained: true }]);
  const values = { weights: new Float32Array(16), constants: new Float32Array(), moments: new Float32Array(16) };
  const flat = { layout, ...values, stateNames: ['momentum'], slices: 1 };
  return writeCheckpoint(directory, { ...identity, iteration, epoch: 0 }, flat);
}

it('keeps the last two of a run, and never removes the one just written because another run got further', async () => {
  for (const iteration of [10, 20, 30]) await write(iteration);
  expect(readdirSync(directory).sort()).toEqual(['step-00000020', 'step-00000030']);
  const path = await write(5);
  expect(path).toBe(join(directory, 'step-00000005'));
  expect(readdirSync(directory).sort()).toEqual(['step-00000005', 'step-00000020', 'step-00000030']);
  await write(7);
  await write(9);
  expect(readdirSync(directory).sort()).toEqual(['step-00000007', 'step-00000009', 'step-00000020', 'step-00000030']);
  expect((await findCheckpoint(directory)).found?.state.iteration).toBe(30);
});
