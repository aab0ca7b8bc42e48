/** Files of shuffles, seen from outside of the process that writes them: they are gone when nobody needs them any more. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';

const program = fileURLToPath(new URL('programs/spill.mjs', import.meta.url));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shoal-spill-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function run(command: string, ...args: string[]): Promise<string> {
  return (await promisify(execFile)(command, args, { timeout: 30_000 })).stdout.trim();
}

it('a process that exits without closing its engine leaves no files', async () => {
  expect(await run(process.execPath, program, 'exit', folder)).toBe('3');
  expect(readdirSync(folder)).toEqual([]);
});

it('the files of a dataset that nobody holds any more are removed, those of others are not', async () => {
  expect(await run(process.execPath, '--expose-gc', program, 'drop', folder)).toBe('6\n3 6 3');
  expect(readdirSync(folder)).toEqual([]);
});

// Node ignores the signal that goes with the limit, so that a write beyond it fails as one on a full disk does.
it.skipIf(process.platform === 'win32')(
  'a disk that is full ends the job with a code, and leaves no piece of a file',
  async () => {
    const limited = `ulimit -f 100 && exec "${process.execPath}" "${program}" big "${folder}"`;
    expect(await run('/bin/sh', '-c', limited)).toMatch(/^SHUFFLE_SPILL_FAILED (EFBIG|ENOSPC) 5$/);
    expect(readdirSync(folder)).toEqual([]);
  },
);
