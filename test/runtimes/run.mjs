/**
 * The runtime matrix: the reference run of the built example must give the committed hash on this Node and on every runtime of package.json. A
 * runtime that is missing, fails or takes too long counts as failed. The last line is `N passed, N failed`.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const TIMEOUT_MS = 180_000;
const here = fileURLToPath(new URL('.', import.meta.url));
const example = join(here, '../../build/examples/lenet-mnist.js');
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

/** What a runtime gives for the reference run, or why it gives nothing. */
function referenceRun(path, checkpoint) {
  if (!existsSync(path)) return { problem: `missing: ${path}` };
  const args = [example, ...golden.run.split(' '), '--json', '--checkpoint', checkpoint];
  const { status, stdout, stderr, error } = spawnSync(path, args, { encoding: 'utf8', timeout: TIMEOUT_MS });
  if (error !== undefined) return { problem: error.message };
  if (status !== 0) return { problem: `exit code ${status}: ${stderr.trim().split('\n').at(-1)}` };
  return JSON.parse(stdout.trim().split('\n').at(-1));
}

install();
const folder = mkdtempSync(join(tmpdir(), 'shoal-runtimes-'));
let failed = 0;
for (const { name, path } of runtimes) {
  const { problem, weightsSha256, recordsPerSecond } = referenceRun(path, join(folder, name.replace(' ', '-')));
  const isEqual = weightsSha256 === golden.weightsSha256;
  if (!isEqual) failed++;
  const version = existsSync(path) ? execFileSync(path, ['--version'], { encoding: 'utf8' }).trim() : '-';
  const found = problem ?? `${weightsSha256}, ${Math.round(recordsPerSecond)} records/s`;
  console.log(`${isEqual ? 'passed' : 'FAILED'}  ${name} ${version}: ${found}`);
}
rmSync(folder, { recursive: true, force: true });
console.log(`${runtimes.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
