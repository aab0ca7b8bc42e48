/**
 * The runtime matrix, on this Node and every runtime of package.json:
 * - the reference run of the built example must give the committed hash;
 * - the gradients of a network must have the same bits everywhere, on one and on two threads (test/intra-op/fixtures/program.mjs);
 * - where TypeScript runs as it is, every kernel must equal its reference, in shared memory and on two threads (test/kernels/builds-child.ts; on Node 20
 *   `npm test` does that).
 * A runtime that is missing, fails or takes too long counts as failed. The last line is `N passed, N failed`.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const TIMEOUT_MS = 180_000;
const here = fileURLToPath(new URL('.', import.meta.url));
const example = join(here, '../../build/examples/lenet-mnist.js');
const gradients = join(here, '../intra-op/fixtures/program.mjs');
const kernels = join(here, '../kernels/builds-child.ts');
const golden = JSON.parse(readFileSync(join(here, '../golden/reference.json'), 'utf8'));
const binary = (name, file) => join(here, 'node_modules', name, 'bin', file);

const runtimes = [
  { name: 'this Node', path: process.execPath },
  ...['node20', 'node22', 'node24', 'node26'].map((name) => ({ name, path: binary(name, 'node') })),
  { name: 'bun', path: binary('bun', 'bun') },
];

function install() {
  if (runtimes.every(({ path }) => existsSync(path))) return;
  try {
    execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: here, stdio: ['ignore', 2, 2] });
  } catch {
    console.log('npm ci failed: runtimes that are missing are counted as failed');
  }
}

/** The last line that a program prints, as JSON; or why there is none. */
function report(path, ...args) {
  if (!existsSync(path)) return { problem: `missing: ${path}` };
  const { status, stdout, stderr, error } = spawnSync(path, args, { encoding: 'utf8', timeout: TIMEOUT_MS });
  if (error !== undefined) return { problem: error.message };
  // What was thrown stands before its stack; the last line only names the runtime.
  const thrown = /^(?:Uncaught )?\w*Error\b.*/m.exec(stderr)?.[0] ?? stderr.trim().split('\n').at(-1);
  if (status !== 0) return { problem: `exit code ${status}: ${thrown}` };
  return JSON.parse(stdout.trim().split('\n').at(-1));
}

install();
const folder = mkdtempSync(join(tmpdir(), 'shoal-runtimes-'));
let passed = 0;
let failed = 0;
function count(isRight, runtime, what) {
  if (isRight) passed++;
  else failed++;
  console.log(`${isRight ? 'passed' : 'FAILED'}  ${runtime}: ${what}`);
}

let expected;
for (const { name, path } of runtimes) {
  const version = existsSync(path) ? execFileSync(path, ['--version'], { encoding: 'utf8' }).trim() : '-';
  const runtime = `${name} ${version}`;
  const words = [...golden.run.split(' '), '--json', '--checkpoint', join(folder, name.replace(' ', '-'))];
  const { problem, weightsSha256, recordsPerSecond } = report(path, example, ...words);
  const isEqual = weightsSha256 === golden.weightsSha256;
  count(isEqual, runtime, problem ?? `${weightsSha256}, ${Math.round(recordsPerSecond)} records/s`);
  for (const threads of [1, 2]) {
    const { problem, sha256, helped, ...is } = report(path, gradients, String(threads));
    expected ??= sha256;
    const took = is.threads === 1 || helped > 0;
    const found = problem ?? `gradients ${sha256}, threads ${is.threads}, shares of helpers ${helped} (${is.reason})`;
    count(sha256 !== undefined && sha256 === expected && took, runtime, found);
  }
  const [, major] = /^v(\d+)/.exec(version) ?? [];
  if (name !== 'bun' && Number(major) < 22) continue;
  const { problem: refused, calls, helped, differences = [] } = report(path, kernels, '', '2');
  const outcome = `${calls} calls of kernels, ${differences.length} differ from the references, shares of helpers ${helped}`;
  count(
    differences.length === 0 && calls > 1000 && helped > 0,
    runtime,
    refused ?? `${outcome} ${differences[0] ?? ''}`,
  );
}
rmSync(folder, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
