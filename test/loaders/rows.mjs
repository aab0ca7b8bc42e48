/**
 * The rows of the table in docs/loaders.md: how each tool prepares the programs (in `folder`, a copy of programs/ with shoal installed), and what
 * is run. Bundlers leave shoal outside unless the row says otherwise.
 */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const here = fileURLToPath(new URL('.', import.meta.url));
const modules = join(here, 'node_modules');

/** The binary of a Node version, from the runtime matrix. */
export const nodeBinary = (version) => join(here, '../runtimes/node_modules', `node${version}`, 'bin/node');

const bin = {
  tsx: 'tsx/dist/cli.mjs',
  vite: 'vite/bin/vite.js',
  vitest: 'vitest/vitest.mjs',
  rollup: 'rollup/dist/bin/rollup',
};
const cli = (name) => join(modules, bin[name]);

const tool = (folder, script, ...args) => promisify(execFile)(process.execPath, [script, ...args], { cwd: folder });

/** Every program as a JavaScript file beside the TypeScript. */
async function compile(folder, target) {
  const { default: ts } = await import(join(modules, 'typescript/lib/typescript.js'));
  const names = readdirSync(folder).filter((name) => /^(?:main|ways|net|tasks|enum)\.ts$/.test(name));
  const options = {
    target: ts.ScriptTarget[target],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    rewriteRelativeImportExtensions: true,
    allowImportingTsExtensions: true,
    skipLibCheck: true,
    noCheck: true,
    outDir: join(folder, 'out'),
  };
  ts.createProgram(
    names.map((name) => join(folder, name)),
    options,
  ).emit();
  // For ES2015 tsc forgets the import in a function.
  const ways = join(folder, 'out/ways.js');
  writeFileSync(ways, readFileSync(ways, 'utf8').replace('./enum.ts', './enum.js'));
}

async function esbuild(folder, options, entries = ['main.ts']) {
  const { build } = await import(join(modules, 'esbuild/lib/main.js'));
  await build({
    absWorkingDir: folder,
    entryPoints: entries,
    bundle: true,
    splitting: options.format !== 'cjs',
    platform: 'node',
    format: 'esm',
    external: ['shoal'],
    outdir: 'out',
    logLevel: 'error',
    ...options,
  });
}

async function vite(folder, entries, ssr) {
  const { build } = await import(join(modules, 'vite/dist/node/index.js'));
  const input = Object.fromEntries(entries.map((name) => [name, join(folder, `${name}.ts`)]));
  const output = { entryFileNames: '[name].js', chunkFileNames: 'chunk-[hash].js' };
  await build({
    root: folder,
    logLevel: 'error',
    ssr,
    build: { ssr: true, outDir: 'out', target: 'es2022', rollupOptions: { input, output } },
  });
}

async function rolldown(folder, entries, options = {}) {
  const bundler = await import(join(modules, 'rolldown/dist/index.mjs'));
  const bundle = await bundler.rolldown({
    cwd: folder,
    input: entries.map((name) => `./${name}.ts`),
    platform: 'node',
    external: [/^shoal/],
    logLevel: 'silent',
    ...options,
  });
  await bundle.write({ dir: join(folder, 'out'), format: 'esm', entryFileNames: '[name].js' });
  await bundle.close();
}

async function rollup(folder, entries) {
  await compile(folder, 'ES2022');
  const inputs = entries.map((name) => `out/${name}.js`);
  await tool(
    folder,
    cli('rollup'),
    ...inputs,
    '--dir',
    'bundled',
    '--format',
    'es',
    '--silent',
    '--external',
    'shoal,shoal/data,shoal/nn,shoal/optim,shoal/train',
  );
}

/** The main program alone; or the modules of tasks as entries of their own too, as files beside it. */
const one = ['main'];
const three = ['main', 'tasks', 'net'];
const files = three.map((name) => `${name}.ts`);
const out = ['out/main.js'];
const vitest = [cli('vitest'), 'run', 'ways.test.ts'];
const coverage = (provider) => ['--coverage.enabled', '--coverage.provider', provider];
/** Old targets have neither `import.meta` nor `await` at the top level; what remains must be asked for. */
const old = (target) => ({ target, supported: { 'import-meta': true } });
const entries = { main: 'common.ts', tasks: 'tasks.ts', net: 'net.ts' };
const commonJs = { external: [], format: 'cjs', outExtension: { '.js': '.cjs' }, logLevel: 'silent' };

/** `node`: the version that runs `args`; `prepare` comes first, on this Node. */
export const rows = [
  ['tsc', 20, out, (folder) => compile(folder, 'ES2022')],
  ['tsc for ES2017', 20, out, (folder) => compile(folder, 'ES2017')],
  ['tsc for ES2015', 20, out, (folder) => compile(folder, 'ES2015')],
  ['TypeScript in Node 22', 22, ['main.ts']],
  ['TypeScript in Node 24', 24, ['main.ts']],
  ['TypeScript in Node 26', 26, ['main.ts']],
  ['tsx, Node 20', 20, [cli('tsx'), 'main.ts']],
  ['tsx, Node 22', 22, [cli('tsx'), 'main.ts']],
  ['tsx, Node 26', 26, [cli('tsx'), 'main.ts']],
  ['vitest, Node 20', 20, vitest],
  ['vitest, Node 24', 24, vitest],
  ['vitest, Node 24, threads, coverage by v8', 24, [...vitest, '--pool', 'threads', ...coverage('v8')]],
  ['vitest, Node 24, coverage by istanbul', 24, [...vitest, ...coverage('istanbul')]],
  ['Vite development server, Node 20', 20, ['vite-dev.mjs']],
  ['Vite development server, Node 24', 24, ['vite-dev.mjs']],
  ['Vite build', 20, out, (folder) => vite(folder, one)],
  ['Vite build, entries', 20, out, (folder) => vite(folder, three)],
  ['Vite build, shoal inside', 20, out, (folder) => vite(folder, one, { noExternal: true })],
  ['esbuild', 20, out, (folder) => esbuild(folder, {})],
  ['esbuild, entries', 20, out, (folder) => esbuild(folder, {}, files)],
  ['esbuild, entries, for ES2017', 20, out, (folder) => esbuild(folder, old('es2017'), entries)],
  ['esbuild, entries, for ES2015', 20, out, (folder) => esbuild(folder, old('es2015'), entries)],
  ['esbuild, entries, keepNames', 20, out, (folder) => esbuild(folder, { keepNames: true }, files)],
  ['esbuild, entries, minify', 20, out, (folder) => esbuild(folder, { minify: true }, files)],
  [
    'esbuild, entries, minify and keepNames',
    20,
    out,
    (folder) => esbuild(folder, { minify: true, keepNames: true }, files),
  ],
  ['esbuild, shoal inside', 20, out, (folder) => esbuild(folder, { external: [] })],
  ['esbuild, shoal inside, CommonJS', 20, ['out/common.cjs'], (folder) => esbuild(folder, commonJs, ['common.ts'])],
  ['Rolldown, entries', 20, out, (folder) => rolldown(folder, three)],
  ['Rolldown, shoal inside', 20, out, (folder) => rolldown(folder, one, { external: [] })],
  ['Rollup, entries', 20, ['bundled/main.js'], (folder) => rollup(folder, three)],
].map(([title, node, args, prepare]) => ({ title, node, args, prepare }));
