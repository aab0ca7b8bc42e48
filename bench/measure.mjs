/**
 * How benchmarks here measure. The machines are shared and noisy: every row is timed in slices of a few milliseconds, the rows take turns, and
 * what is reported is the best slice (the quiet machine) and the median. Compare best with best, never one run with another run.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Compiles an AssemblyScript file with the options of the published binary, and instantiates it on `pages` pages of memory of its own. */
export function compile(file, pages = 1) {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-bench-'));
  try {
    const { options } = JSON.parse(readFileSync(join(root, 'asconfig.json'), 'utf8'));
    const flags = [
      '--runtime',
      options.runtime,
      '-O2',
      '--shrinkLevel',
      '0',
      '--importMemory',
      '--noExportMemory',
      '--noAssert',
    ];
    const output = join(folder, 'out.wasm');
    // A configuration that does not exist keeps asc from adding the project's entries.
    const tool = [join(root, 'node_modules/assemblyscript/bin/asc.js'), file, '--config', join(folder, 'none.json')];
    execFileSync(process.execPath, [...tool, ...flags, '--enable', 'simd', '--disable', 'gc', '-o', output], {
      cwd: root,
      stdio: ['ignore', 2, 2],
    });
    const memory = new WebAssembly.Memory({ initial: pages });
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(output)), { env: { memory } });
    return { exports, memory };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A row that runs `once` (of `work` units) as often as fills a slice of about `sliceMs`. */
export function row(name, work, once, sliceMs = 3) {
  once();
  let repeats = 1;
  for (;;) {
    const start = performance.now();
    for (let i = 0; i < repeats; i++) once();
    const elapsed = performance.now() - start;
    if (elapsed >= sliceMs / 2) {
      repeats = Math.max(1, Math.round((repeats * sliceMs) / elapsed));
      break;
    }
    repeats *= 2;
  }
  return { name, work, repeats, once, rates: [] };
}

/** Runs the rows in turn for `seconds` and gives best and median rate of each, in units of work per nanosecond. */
export function interleave(rows, seconds) {
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    for (const one of rows) {
      const start = performance.now();
      for (let i = 0; i < one.repeats; i++) one.once();
      one.rates.push((one.repeats * one.work) / ((performance.now() - start) * 1e6));
    }
  }
  return rows.map(({ name, rates }) => {
    const sorted = rates.slice().sort((a, b) => a - b);
    return { name, best: sorted.at(-1), median: sorted[sorted.length >> 1], slices: sorted.length };
  });
}
