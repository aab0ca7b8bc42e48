/** The benchmark suite's own logic: targets and what they name, digests, race. No timed assertions. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

interface Target {
  readonly rows: string;
  readonly measure: string;
  readonly must: number;
  readonly stretch?: number;
}
interface Checked {
  readonly row: string;
  readonly state: string;
}
interface Runner {
  readonly name: string;
  readonly run: (repeats: number) => number | Promise<number>;
}
interface Check {
  checkTargets(report: object): Checked[];
  hasTarget(row: string, machine: object): boolean;
}
interface Data {
  digest(values: Float32Array): number[];
  permute(values: Float32Array, sizes: readonly number[], order: readonly number[]): Float32Array;
  sameDigest(a: readonly number[], b: readonly number[]): boolean;
  wave(length: number, seed: number): Float32Array;
}
interface Roofline {
  openRoofline(work: { readonly stream: { reads: number; writes: number; bytes: number } }): Runner[];
}
interface Race {
  race(runners: readonly Runner[], seconds: number, sliceMs: number): Promise<Map<string, { readonly n: number }>>;
}
const folder = new URL('../../bench/', import.meta.url);
const report = fileURLToPath(new URL('report.mjs', folder));
const load = (file: string): Promise<unknown> => import(/* @vite-ignore */ new URL(file, folder).href);
const { checkTargets, hasTarget } = (await load('check.mjs')) as Check;
const { digest, permute, sameDigest, wave } = (await load('data.mjs')) as Data;
const { race } = (await load('race.mjs')) as Race;
const { openRoofline } = (await load('roofline.mjs')) as Roofline;
const targets = JSON.parse(readFileSync(new URL('targets.json', folder), 'utf8')) as Target[];

/** Rows of benchmarks that make their own, which no list declares. */
const ownRows = [
  ...['lenet batch 512, 1 thread', 'lenet batch 512, 2 threads', 'mlp step batch 32'],
  ...['61 k', '11 M', '30 M'].map((parameters) => `exchange ${parameters}, threads`),
  ...['threads', 'processes'].flatMap((carrier) => [
    `engine task, ${carrier}`,
    `engine iteration beyond compute, 2 units, ${carrier}`,
    `engine lost per kill beyond an iteration, ${carrier}`,
    ...[1, 1024, 25_600].map((kilobytes) => `engine exchange ${kilobytes} KB, ${carrier}`),
  ]),
];

async function declaredRows(): Promise<string[]> {
  const files = readdirSync(folder).filter((file) => file.endsWith('.bench.mjs'));
  const found = (await Promise.all(files.map(load))) as { rows?: readonly { name: string }[] }[];
  return found.flatMap(({ rows = [] }) => rows.map(({ name }) => name));
}

describe('targets', () => {
  it('name rows that exist, and rows have names of their own', async () => {
    const rows = [...(await declaredRows()), ...ownRows];
    expect(new Set(rows).size).toBe(rows.length);
    for (const target of targets) {
      expect(
        rows.filter((row) => new RegExp(`^(?:${target.rows})$`).test(row)),
        target.rows,
      ).not.toEqual([]);
      if (target.stretch !== undefined) expect(target.stretch, target.rows).toBeGreaterThanOrEqual(target.must);
    }
  });

  const result = (fraction: number) => ({
    row: 'gemm NN 512',
    roofline: { limit: 'mul+add, 128 bits', fraction, medianFraction: fraction },
    against: {},
    peers: {},
  });
  const report = (node: string, build: string, found: object) => ({
    machine: { node, build },
    results: { gemm: [found] },
  });
  const stateOf = (node: string, build: string, found: object) =>
    checkTargets(report(node, build, found))
      .filter(({ row }) => row === 'gemm NN 512')
      .map(({ state }) => state);

  it('may say "at most"', () => {
    const row = (value: number) => ({ row: 'engine task, threads', value, medianValue: value });
    const states = [99, 101].map(
      (us) =>
        checkTargets(report('v24.21.0', 'strict', row(us))).find((one) => one.row === 'engine task, threads')?.state,
    );
    expect(states).toEqual(['met', 'missed']);
  });

  it('are met, missed or not measured, for their Node and build only', () => {
    expect(stateOf('v24.21.0', 'strict', result(0.95))).toEqual(['stretch']);
    expect(stateOf('v24.21.0', 'strict', result(0.85))).toEqual(['met']);
    expect(stateOf('v24.21.0', 'strict', result(1.2))).toEqual(['unknown']); // nobody is faster than the machine
    expect(stateOf('v24.21.0', 'strict', result(0.79))).toEqual(['missed']);
    expect(stateOf('v20.20.2', 'strict', result(0.7))).toEqual(['met']);
    expect(stateOf('v26.1.0', 'wide', result(0.7))).toEqual(['met']);
    expect(stateOf('v22.1.0', 'strict', result(0.1))).toEqual([]);
    expect(stateOf('v24.21.0', 'strict', { row: 'gemm NN 512', missing: 'gemm_f32' })).toEqual(['unknown']);
    expect(hasTarget('gemm NN 512', { node: 'v24.0.0', build: 'strict' })).toBe(true);
    expect(hasTarget('gemm NN 513', { node: 'v24.0.0', build: 'strict' })).toBe(false);
  });
});

describe('docs/performance.md', () => {
  it('is what bench/results say', () => {
    expect(() => execFileSync(process.execPath, [report, '--check'], { stdio: 'pipe' })).not.toThrow();
  });
});

describe('roofline', () => {
  const residentBytes = (): number => process.memoryUsage.rss();

  it.skipIf(process.platform !== 'linux')(
    'its copy reads memory of its own, not the one page of zeros that stands for all unwritten',
    async () => {
      openRoofline({ stream: { reads: 1, writes: 0, bytes: 1 << 20 } });
      const [before, bytes] = [residentBytes(), 1 << 28];
      const [probe] = openRoofline({ stream: { reads: 1, writes: 0, bytes } });
      await probe?.run(1);
      // Pages that are only read cost no memory. A tenth is left to what the rest of the process gives back meanwhile.
      expect(residentBytes() - before).toBeGreaterThan(0.9 * bytes);
    },
  );
});

describe('digest', () => {
  it('is the same for another layout, and not for another result', () => {
    const values = wave(2 * 3 * 4 * 5, 1);
    const moved = permute(values, [2, 3, 4, 5], [0, 2, 3, 1]);
    expect(moved).not.toEqual(values);
    expect(sameDigest(digest(values), digest(moved))).toBe(true);
    expect(sameDigest(digest(values), digest(values.map((value) => value + 0.1)))).toBe(false);
    expect(sameDigest(digest(values), digest(values.map((value, i) => (i === 0 ? Number.NaN : value))))).toBe(false);
  });
});

describe('race', () => {
  it('gives every runner the same number of slices, fewer to one that is slower, and one to one that is much slower', async () => {
    const taking = (name: string, ms: number): Runner => ({ name, run: async (repeats) => repeats * ms });
    const runners = [taking('now', 0.1), taking('as long', 0.1), taking('slower', 0.7), taking('much slower', 50)];
    const results = await race(runners, 0.05, 0.1);
    const slices = (name: string): number => results.get(name)?.n ?? 0;
    expect([...results.keys()]).toEqual(['now', 'as long', 'slower', 'much slower']);
    expect(slices('as long')).toBe(slices('now'));
    // At most three times the first one's time, and the turn in which it has used that.
    expect(0.7 * slices('slower')).toBeLessThanOrEqual(3 * 0.1 * slices('now') + 0.7);
    expect(slices('much slower')).toBe(1);
    // The one slice of 50 ms did not use up the 50 ms of the others.
    expect(slices('now')).toBeGreaterThan(70);
  });

  it('gives long slices often enough that a best means something', async () => {
    for (const [runMs, slices] of [
      [300, 32],
      [2000, 12],
    ] as const) {
      const long: Runner = { name: 'long', run: async (repeats) => repeats * runMs };
      expect((await race([long], 0.05, 0.1)).get('long')?.n).toBe(slices);
    }
  });
});
