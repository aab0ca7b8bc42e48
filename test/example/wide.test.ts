/** `--wide` and the relaxed build, on the built example as users run it. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { eventsOf, runExample } from './child.ts';

vi.setConfig({ testTimeout: 120_000 });

const folder = mkdtempSync(join(tmpdir(), 'shoal-wide-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A Node of the runtime matrix; one that is not installed is said aloud. */
function nodeOf(version: number): string {
  const path = fileURLToPath(new URL(`../runtimes/node_modules/node${version}/bin/node`, import.meta.url));
  if (!existsSync(path))
    console.log(`skipped: Node ${version} is not installed (node test/runtimes/run.mjs installs it)`);
  return path;
}

let folders = 0;
const small = (): string[] => [
  ...['--limit', '640', '--batch', '64', '--epochs', '1', '--workers', '2', '--json'],
  ...['--checkpoint', join(folder, String(folders++))],
];

describe('--wide', () => {
  const [node20, node24] = [nodeOf(20), nodeOf(24)];
  const able = existsSync(node24) && process.arch === 'x64';

  it.runIf(able)('runs again with the flag, to the same weights', async () => {
    const [plain, wide] = await Promise.all([
      runExample(small(), undefined, { node: node24 }),
      runExample([...small(), '--wide'], undefined, { node: node24 }),
    ]);
    expect([plain.code, wide.code]).toEqual([0, 0]);
    const [expected, done] = [eventsOf(plain).at(-1)!, eventsOf(wide).at(-1)!];
    expect(done).toMatchObject({ event: 'done', reproducible: true, weightsSha256: expected.weightsSha256 });
  });

  it.runIf(able)('ends with 130 and a checkpoint when it is interrupted through the first process', async () => {
    let isSent = false;
    const interrupt = (stdout: string, signal: (name: NodeJS.Signals) => void) => {
      if (isSent || !stdout.includes('"event":"iteration"')) return;
      isSent = true;
      signal('SIGINT');
    };
    const outcome = await runExample([...small(), '--epochs', '50', '--wide'], interrupt, { node: node24 });
    expect(outcome.code).toBe(130);
    expect(eventsOf(outcome).at(-1)).toMatchObject({ event: 'interrupted' });
  });

  it.runIf(existsSync(node20))('is refused aloud by a Node that does not have it', async () => {
    const { code, stdout, stderr } = await runExample([...small(), '--wide'], undefined, { node: node20 });
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(
      /^--wide: Node must take --experimental-wasm-revectorize, got ".*bad option.*"\. Use Node 24/,
    );
  });

  it.runIf(able)('says why when the flag is there and the kernels are not wide', async () => {
    const env = { SHOAL_BUILD: 'strict' };
    const { code, stderr } = await runExample([...small(), '--wide'], undefined, { node: node24, env });
    expect([code, stderr]).toEqual([
      1,
      '--wide: the kernels must be wide, got strict (SHOAL_BUILD=strict). Use Node 24 or later on x64, or leave out --wide.\n',
    ]);
  });

  it.runIf(existsSync(node24))(
    'is not the relaxed build, whose training says that it is not reproducible',
    async () => {
      const env = { SHOAL_BUILD: 'relaxed' };
      const outcome = await runExample(small(), undefined, { node: node24, env });
      expect(outcome.code).toBe(0);
      expect(eventsOf(outcome).at(-1)).toMatchObject({ event: 'done', reproducible: false });
    },
  );
});
