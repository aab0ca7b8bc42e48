import { execFile, execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { rolldown } from 'rolldown';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const consumer = fileURLToPath(new URL('./consumer', import.meta.url));
const project = mkdtempSync(join(tmpdir(), 'shoal-package-'));
afterAll(() => rmSync(project, { recursive: true, force: true }));

interface Packed {
  readonly filename: string;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string }[];
}

interface Manifest {
  readonly exports: Readonly<Record<string, { readonly types: string; readonly default: string } | string>>;
  readonly scripts: Readonly<Record<string, string>>;
  readonly [key: string]: unknown;
}

const npm = (args: readonly string[], cwd: string): string =>
  execFileSync('npm', [...args], { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** Runs a program of the project; resolves with what it printed, also when it fails. */
async function program(name: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [name, ...args], { cwd: project });
    return { code: 0, stdout, stderr };
  } catch (thrown) {
    return thrown as { code: number; stdout: string; stderr: string };
  }
}

let packed: Packed;
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;

beforeAll(() => {
  const said = npm(['pack', '--json', '--ignore-scripts', '--pack-destination', project], root);
  packed = (JSON.parse(said) as Packed[])[0]!;
  writeFileSync(join(project, 'package.json'), '{ "name": "consumer", "private": true, "type": "module" }\n');
  npm(['install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', `./${packed.filename}`], project);
  cpSync(consumer, project, { recursive: true });
});

describe('the tarball', () => {
  it('has no dependencies and no install scripts', () => {
    for (const kind of ['dependencies', 'peerDependencies', 'optionalDependencies', 'bundleDependencies']) {
      expect(manifest[kind]).toBeUndefined();
    }
    for (const script of ['preinstall', 'install', 'postinstall']) expect(manifest.scripts[script]).toBeUndefined();
  });

  it('takes less than 2 MB unpacked', () => {
    expect(packed.unpackedSize).toBeLessThan(2e6);
  });

  it('holds built JavaScript with its types, README, LICENSE and package.json, and nothing else', () => {
    const paths = packed.files.map(({ path }) => path);
    const built = /^dist\/(?:src|kernels|build)\/[\w./-]+\.(?:js|d\.ts)$/;
    const others = paths.filter((path) => !built.test(path)).sort();
    expect(others).toEqual(['LICENSE', 'README.md', 'package.json']);
    for (const path of paths.filter((name) => name.endsWith('.js'))) {
      expect(paths).toContain(path.replace(/js$/, 'd.ts'));
    }
    expect(paths.filter((path) => /test|bench|example|loader/.test(path))).toEqual([]);
  });

  it('names files that exist in exports and imports', () => {
    const paths = new Set(packed.files.map(({ path }) => `./${path}`));
    for (const target of Object.values(manifest.exports)) {
      if (typeof target === 'string') expect(paths).toContain(target);
      else for (const path of Object.values(target)) expect(paths).toContain(path);
    }
  });
});

describe('in an empty project', () => {
  it('every entry can be imported', async () => {
    const entries = Object.keys(manifest.exports).filter((name) => name !== './package.json');
    expect(entries.length).toBeGreaterThanOrEqual(8);
    const { stdout, stderr } = await program('entries.mjs', ...entries.map((name) => `shoal${name.slice(1)}`));
    expect(stderr).toBe('');
    const exported = JSON.parse(stdout) as Record<string, string[]>;
    expect(exported.shoal).toEqual(expect.arrayContaining(['Tensor', 'tensor', 'noGrad', 'nn', 'optim']));
    for (const [entry, names] of Object.entries(exported)) expect([entry, names.length > 0]).toEqual([entry, true]);
  });

  it('what is not exported cannot be imported', async () => {
    const { stdout } = await program('entries.mjs', 'shoal/dist/src/tensor/tensor.js');
    expect(stdout).toBe('ERR_PACKAGE_PATH_NOT_EXPORTED\n');
  });

  it('types resolve under nodenext and strict', () => {
    const compiler = join(root, 'node_modules/typescript/bin/tsc');
    const types = dirname(join(root, 'node_modules/@types/node'));
    execFileSync(process.execPath, [compiler, '-p', project, '--typeRoots', types], { encoding: 'utf8' });
  });

  it('a small net and a custom module by URL train on two workers, with one Tensor class, and give the same bits inline', async () => {
    const { code, stdout, stderr } = await program('train.mjs');
    expect([code, stderr]).toEqual([0, '']);
    const { builtin, custom } = JSON.parse(stdout) as Record<string, Record<string, unknown>>;
    for (const result of [builtin!, custom!]) {
      expect(result.threads).toMatch(/^[0-9a-f]{64}$/);
      expect(result.inline).toBe(result.threads);
      expect(result.accuracy).toBeGreaterThan(0.9);
    }
    expect(custom).toMatchObject({ isNet: true, classes: 1 });
  });

  it('a main module that a worker imports gets a coded error instead of starting its job again', async () => {
    const { code, stdout } = await program('main-in-worker.mjs');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      code: 'MAIN_IN_WORKER',
      message: expect.stringContaining('module of their own'),
    });
  });

  it.each([
    ['bundle-tensors', '3'],
    ['bundle-modules', 'Linear'],
  ])('a bundler that drops unused code keeps what %s needs', async (name, printed) => {
    const bundle = await rolldown({ input: join(project, `${name}.mjs`), platform: 'node', logLevel: 'silent' });
    await bundle.write({ file: join(project, `bundled/${name}.mjs`), format: 'esm' });
    await bundle.close();
    expect(await program(`bundled/${name}.mjs`)).toMatchObject({ code: 0, stdout: `${printed}\n` });
  });
});
