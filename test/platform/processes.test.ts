import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { type StartedProcess, startProcess } from '../../src/platform/node-processes.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A process that runs `source`, and what comes when it has ended. */
function started(source: string): { child: StartedProcess; exit: Promise<string> } {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-process-'));
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  const module = join(folder, 'child.mjs');
  writeFileSync(module, source);
  let child: StartedProcess | undefined;
  const exit = new Promise<string>((resolve) => {
    child = startProcess(pathToFileURL(module), { onOutput: () => {}, onError: () => {}, onExit: resolve });
  });
  cleanups.push(() => {
    child?.kill();
    return exit;
  });
  return { child: child!, exit };
}

/** The warnings of this process while `work` runs. */
async function warningsOf(work: () => Promise<unknown>): Promise<string[]> {
  const names: string[] = [];
  const listener = (warning: Error): void => void names.push(warning.name);
  process.on('warning', listener);
  try {
    await work();
    await new Promise((resolve) => setTimeout(resolve, 10)); // a warning comes a tick later
  } finally {
    process.off('warning', listener);
  }
  return names;
}

const megabyte = new Uint8Array(1 << 20);

it('a stdin that is full again and again is waited for without a listener left behind', async () => {
  const { child } = started('process.stdin.resume();');
  let waits = 0;
  const warnings = await warningsOf(async () => {
    while (waits < 30) {
      if (!child.write([megabyte])) waits++;
      await child.drained();
    }
  });
  expect(warnings).toEqual([]);
});

it('many wait for one stdin, and all go on when its process ends', async () => {
  const { child, exit } = started('setTimeout(() => {}, 60_000);'); // never reads
  while (child.write([megabyte])) {}
  const warnings = await warningsOf(async () => {
    const waiting = Array.from({ length: 30 }, () => child.drained());
    child.kill();
    await Promise.all([...waiting, exit]);
  });
  expect(warnings).toEqual([]);
  await child.drained();
});
