/**
 * `node test/mutants/run.mjs [--only TEXT]`: puts one fault after the other into a copy of the tree, runs the tests that look at that code, and says which
 * were found. Exit code 1 if one survived, no longer applies, or does not compile, or if the tests fail without a fault. Some twenty minutes.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gradientMutants } from './gradient-mutants.mjs';
import { kernelMutants } from './kernel-mutants.mjs';
import { productMutants } from './product-mutants.mjs';

const TIMEOUT_MS = 300_000;
const { values } = parseArgs({ options: { only: { type: 'string', default: '' } } });
const root = fileURLToPath(new URL('../../', import.meta.url));
const tree = mkdtempSync(join(tmpdir(), 'shoal-mutants-'));
const isWanted = ({ name, file }) => `${file} ${name}`.includes(values.only);
const kernelTests = ['contract', 'math', 'pool', 'shares', 'wide', 'winograd'].map(
  (name) => `test/kernels/${name}.test.ts`,
);
const gradientTests = ['test/ops/generic.test.ts'];

function copyTree() {
  const parts = ['assembly', 'build', 'kernels', 'src', 'test', 'package.json', 'asconfig.json', 'tsconfig.json'];
  const filter = (path) => !path.includes('node_modules');
  for (const part of [...parts, 'vitest.config.ts'])
    cpSync(join(root, part), join(tree, part), { recursive: true, filter });
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'));
}

/** Compiles the kernels without optimisation (the bits are the same) and embeds them; false if they do not compile. */
function buildKernels() {
  const asc = [join(tree, 'node_modules/assemblyscript/bin/asc.js'), 'assembly/index.ts', '--config', 'asconfig.json'];
  const { status } = spawnSync(process.execPath, [...asc, '--target', 'strict', '--optimizeLevel', '0'], { cwd: tree });
  if (status !== 0) return false;
  const path = join(tree, 'build/embedded.ts');
  const base64 = readFileSync(join(tree, 'build/strict.wasm')).toString('base64');
  writeFileSync(path, readFileSync(path, 'utf8').replace(/(export const strict: string =\s*')[^']*'/, `$1${base64}'`));
  return true;
}

/** Whether the tests whose names match pass, fail, or hang. A run without such tests, or that breaks off for other reasons, is an error of ours. */
function verdict(files, only) {
  const vitest = join(tree, 'node_modules/vitest/vitest.mjs');
  const args = [vitest, 'run', ...files, '-t', only, '--bail', '1', '--reporter', 'json'];
  const { status, stdout, error } = spawnSync(process.execPath, args, {
    cwd: tree,
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
    maxBuffer: 2 ** 28,
  });
  if (error?.code === 'ETIMEDOUT') return 'hang';
  const start = stdout.indexOf('{');
  const { numPassedTests = 0, numFailedTests = 0 } = start < 0 ? {} : JSON.parse(stdout.slice(start));
  if (numFailedTests > 0) return 'fail';
  if (status === 0 && numPassedTests > 0) return 'pass';
  throw new Error(`tests called like ${only}: exit code ${status}, ${numPassedTests} passed, none failed`);
}

/** What became of a mutant: 'killed', 'survived', or why it is none. */
function outcomeOf({ file, from, to, only }, files, isKernel) {
  const path = join(tree, file);
  const original = readFileSync(path, 'utf8');
  if (!original.includes(from)) return 'does not apply';
  writeFileSync(
    path,
    original.replace(from, () => to),
  );
  try {
    if (isKernel && !buildKernels()) return 'does not compile';
    return verdict(files, only) === 'pass' ? 'survived' : 'killed';
  } finally {
    writeFileSync(path, original);
  }
}

let failed = 0;
function runAll(mutants, files, isKernel) {
  const wanted = mutants.filter(isWanted);
  if (wanted.length === 0) return;
  if (isKernel) buildKernels();
  // Without a fault all of them pass: otherwise a kill would mean nothing.
  if (verdict(files, wanted.map(({ only }) => only).join('|')) !== 'pass') {
    console.log(`FAILED    ${files.join(', ')} without a fault`);
    failed++;
    return;
  }
  for (const mutant of wanted) {
    const outcome = outcomeOf(mutant, files, isKernel);
    if (outcome !== 'killed') failed++;
    console.log(`${(outcome === 'killed' ? outcome : outcome.toUpperCase()).padEnd(10)}${mutant.file}  ${mutant.name}`);
  }
  if (isKernel) buildKernels();
}

execFileSync(process.execPath, [join(root, 'scripts/build.mjs'), '--if-stale'], { cwd: root, stdio: 'inherit' });
try {
  copyTree();
  runAll(gradientMutants, gradientTests, false);
  runAll([...kernelMutants, ...productMutants], kernelTests, true);
} finally {
  rmSync(tree, { recursive: true, force: true });
}
const count = [...gradientMutants, ...kernelMutants, ...productMutants].filter(isWanted).length;
console.log(`${count - failed} killed, ${failed} not`);
process.exitCode = failed === 0 ? 0 : 1;
