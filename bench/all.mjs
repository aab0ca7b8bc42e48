/**
 * `node bench/all.mjs [--seconds N] [--only NAME,...]`: every benchmark that targets or docs/performance.md speak of, on Node 20, 24 and 26 from npm
 * (test/runtimes/node_modules: `npm ci` there), the wide build on 26, the relaxed one
 * on 24. Writes bench/results/<machine>/<date>-<node>[-<build>].json with machine and commit,
 * checks each against bench/targets.json, and draws docs/performance.md anew. Takes about an hour with the default of 10 s a row. Exits with 1
 * if a "must" was missed or a run failed; a run that fails does not keep the others from running.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { machineName } from './machine.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({ options: { seconds: { type: 'string', default: '10' }, only: { type: 'string' } } });

/** What runs where. Trainings and the engine do not depend on the version so much that they would be worth the time on all. */
const runs = [
  { node: 'node24', benches: ['gemm', 'conv', 'maps', 'threads', 'lenet', 'mlp', 'engine'] },
  { node: 'node26', benches: ['gemm', 'conv'], build: 'wide', targets: true },
  { node: 'node20', benches: ['gemm'], targets: true },
  { node: 'node24', benches: ['gemm'], build: 'relaxed' },
  { node: 'node26', benches: ['gemm'] },
];
const only = values.only?.split(',');
const nameOf = ({ node, build }) => (build ? `${node}-${build}` : node);
const chosen = runs.filter((run) => only === undefined || only.includes(nameOf(run)));
if (chosen.length === 0) {
  console.error(`all: --only must be some of ${runs.map(nameOf).join(', ')}, got ${values.only}.`);
  process.exit(1);
}

const results = `${root}bench/results/${machineName()}`;
mkdirSync(results, { recursive: true });
const day = new Date().toISOString().slice(0, 10);
let failed = false;
for (const run of chosen) {
  const name = nameOf(run);
  const binary = `${root}test/runtimes/node_modules/${run.node}/bin/node`;
  if (!existsSync(binary)) {
    console.error(`all: ${run.node} is not installed. Run npm ci in test/runtimes.`);
    failed = true;
    continue;
  }
  console.log(`\n=== ${name}`);
  const options = [...(run.build ? ['--build', run.build] : []), ...(run.targets ? ['--targets'] : [])];
  const file = `${results}/${day}-${name}.json`;
  const words = ['bench/run.mjs', ...run.benches, ...options, '--seconds', values.seconds, '--json', file, '--check'];
  const { status } = spawnSync(binary, words, { cwd: root, stdio: 'inherit' });
  failed ||= status !== 0;
}
const { status } = spawnSync(process.execPath, ['bench/report.mjs'], { cwd: root, stdio: 'inherit' });
process.exitCode = failed || status !== 0 ? 1 : 0;
