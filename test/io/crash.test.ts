/** A writer that is killed leaves folders that are whole. Runs the built package in processes of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const platform = new URL('../../dist/src/platform/node.js', import.meta.url).href;
const writer = `
import { writeFolderAtomic } from ${JSON.stringify(platform)};
for (let step = Number(process.argv[2]); ; step++) {
  const bytes = new Uint8Array(300_000).fill(step);
  await writeFolderAtomic(process.argv[1] + '/step-' + step, new Map([['a', [bytes, bytes]], ['b', bytes], ['manifest', bytes.subarray(0, 1)]]));
  process.stdout.write('.');
}`;

it('every folder that is there is whole, whenever the writer was killed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-crash-'));
  try {
    for (let kill = 0; kill < 10; kill++) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', writer, folder, String(kill * 20)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(child.stdout, 'data');
      await new Promise((resolve) => setTimeout(resolve, 3 * kill));
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    const steps = readdirSync(folder).filter((name) => !name.startsWith('.'));
    expect(steps.length).toBeGreaterThanOrEqual(10);
    for (const step of steps) {
      const value = Number(step.slice('step-'.length)) % 256;
      for (const [file, length] of [
        ['a', 600_000],
        ['b', 300_000],
        ['manifest', 1],
      ] as const) {
        const bytes = readFileSync(join(folder, step, file));
        expect([step, file, bytes.length, bytes.every((byte) => byte === value)]).toEqual([step, file, length, true]);
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
