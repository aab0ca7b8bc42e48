/** @file Programs that must simply work in plain `node` (DESIGN 5): each file in programs/ asserts for itself. They use the built package. */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const folder = fileURLToPath(new URL('./programs/', import.meta.url));
const programs = readdirSync(folder).filter((name) => name !== 'check.mjs');

it.each(programs)('%s', { timeout: 120_000 }, async (name) => {
  const run = promisify(execFile)(process.execPath, [folder + name], { env: { ...process.env, NODE_OPTIONS: '' } });
  await expect(run).resolves.toBeDefined();
});
