/** The builds beside strict: which one runs and why, and that wide has the bits of the references. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { type Build, useBuild } from '../../kernels/runtime/build.ts';
import { config } from '../../kernels/runtime/config.ts';
import { productsAreExact } from '../../kernels/runtime/exact-products.ts';
import { type CompiledModule, compiledModule, wasm } from '../../kernels/runtime/instance.ts';
import { webAssembly } from '../../kernels/runtime/webassembly.ts';

const child = fileURLToPath(new URL('builds-child.ts', import.meta.url));
/** Programs of their own take a while on a busy machine. */
vi.setConfig({ testTimeout: 120_000 });

const flag = '--experimental-wasm-revectorize';

interface Report {
  readonly build: Build;
  readonly reason: string;
  readonly reproducible: boolean;
  readonly calls: number;
  readonly helped: number;
  readonly differences: readonly string[];
  readonly fused: readonly number[];
}

/** The Node of the runtime matrix (test/runtimes), or undefined, said aloud, where it is not installed. */
function nodeOf(version: number): string | undefined {
  const path = fileURLToPath(new URL(`../runtimes/node_modules/node${version}/bin/node`, import.meta.url));
  if (existsSync(path)) return path;
  console.log(`skipped: Node ${version} is not installed (node test/runtimes/run.mjs installs it)`);
  return undefined;
}

function run(node: string, options: readonly string[], kernels: string, build?: Build, threads = 1): Report {
  const env = { ...process.env, NODE_OPTIONS: '', SHOAL_BUILD: build ?? '' };
  const { stdout, stderr, status } = spawnSync(node, [...options, child, kernels, String(threads)], {
    encoding: 'utf8',
    env,
  });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Report;
}

describe.each([24, 26])('Node %i with the flag', (version) => {
  const node = nodeOf(version);

  it.runIf(node !== undefined && process.arch === 'x64')('runs wide, with the bits of every reference', () => {
    const report = run(node!, [flag], '');
    expect(report.differences).toEqual([]);
    expect(report).toMatchObject({ build: 'wide', reproducible: true, fused: [0] });
    expect(report.reason).toContain(flag);
    expect(report.calls).toBeGreaterThan(1000);
  });
});

describe('Node 26 with the flag, on three threads', () => {
  const node = nodeOf(26);

  it.runIf(node !== undefined && process.arch === 'x64')('runs wide, with the bits of every reference', () => {
    const report = run(node!, [flag], 'gemm|conv2d|winograd', undefined, 3);
    expect(report).toMatchObject({ build: 'wide', differences: [] });
    expect(report.helped).toBeGreaterThan(0);
  });
});

describe('the revectoriser', () => {
  it('meets no function with a vector as parameter or result, at which V8 14.6 (Node 26) ends the process', () => {
    const text = readFileSync(new URL('../../build/strict.wat', import.meta.url), 'utf8');
    const signatures = text.split('\n').filter((line) => line.startsWith(' (func '));
    expect(signatures.length).toBeGreaterThan(100);
    expect(signatures.filter((line) => line.includes('v128'))).toEqual([]);
  });
});

describe('a build', () => {
  const node = nodeOf(24);

  it.runIf(node !== undefined)('that is relaxed is asked for, fuses, and says that it is not reproducible', () => {
    expect(run(node!, [], 'relu', 'relaxed')).toMatchObject({
      ...{ build: 'relaxed', reproducible: false, reason: 'SHOAL_BUILD=relaxed' },
      ...{ differences: [], fused: [2 ** -24] },
    });
  });

  it.runIf(node !== undefined)('is strict by default, and when wide is asked for without the flag', () => {
    expect(run(node!, [], 'relu')).toMatchObject({ build: 'strict', reason: 'the default', fused: [0] });
    const { build, reason } = run(node!, [], 'relu', 'wide');
    expect([build, reason]).toEqual(['strict', `SHOAL_BUILD=wide, but Node was started without ${flag}`]);
  });

  it('that is relaxed has its static data behind that of strict', () => {
    const { targets } = JSON.parse(readFileSync(new URL('../../asconfig.json', import.meta.url), 'utf8'));
    expect(wasm().heapBase).toBeLessThanOrEqual(targets.relaxed.memoryBase);
  });

  it('that is unknown or comes too late is refused', () => {
    expect(() => useBuild('fast' as Build)).toThrow(/^useBuild: the build must be strict, wide or relaxed, got "fast"/);
    expect(config().build).toBe('strict');
    useBuild('strict');
    expect(() => useBuild('relaxed')).toThrow(
      /must be called before the first kernel, got "relaxed" with strict in use/,
    );
  });
});

describe('the self-test of wide', () => {
  it('passes here, and sees one wrong bit in a late call', () => {
    expect(productsAreExact(webAssembly(), compiledModule())).toBe(true);
    const api = webAssembly();
    class Broken {
      readonly exports: Record<string, (...values: number[]) => number | undefined>;
      constructor(module: CompiledModule, imports: { env: { memory: { buffer: ArrayBuffer } } }) {
        const { exports } = new api.Instance(module, imports);
        let calls = 0;
        const gemm = (...values: number[]): undefined => {
          exports.gemm_f32!(...values);
          if (++calls === 300) new Uint8Array(imports.env.memory.buffer, values[11]!, 1)[0]! ^= 1;
        };
        this.exports = { ...exports, gemm_f32: gemm };
      }
    }
    expect(
      productsAreExact({ Module: api.Module, Memory: api.Memory, Instance: Broken as never }, compiledModule()),
    ).toBe(false);
  });
});
