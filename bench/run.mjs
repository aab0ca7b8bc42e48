/**
 * `npm run bench -- [word ...] [--seconds N] [--json FILE] [--check] [--peers a,b]
 * [--build wide|relaxed] [--targets] [--all]`: runs benchmarks, one after the other.
 *
 * A word that is the name of a benchmark (bench/<name>.bench.mjs), or part of some names, means those; any other word means the rows whose
 * names contain it. A benchmark has `rows` (bench/suite.mjs), or a default export that takes `{ seconds, peers }`, prints its own lines and returns
 * plain results, in which objects with a `row` count as rows. `--seconds` is per row; rows without a target take a quarter. `--check` compares
 * with bench/targets.json, and exits with 1 if a "must" is missed. `--json` writes the results with machine, versions and commit.
 * `--build wide` starts Node again with V8's revectoriser, `--build relaxed` asks for fused multiply-adds. `--peers` names the peers to use (`--peers
 * none`: without). `--targets` leaves out rows that no target of this Node and build speaks of. `--all` is bench/all.mjs.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { checkTargets, hasTarget, printCheck } from './check.mjs';
import { describeMachine } from './machine.mjs';
import { createPeers, peerNames, usualPeers } from './peers/index.mjs';
import { isWide } from './roofline.mjs';
import { runRows } from './suite.mjs';

const wideFlag = '--experimental-wasm-revectorize';
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '10' },
    json: { type: 'string' },
    check: { type: 'boolean', default: false },
    peers: { type: 'string' },
    build: { type: 'string', default: 'strict' },
    targets: { type: 'boolean', default: false },
    all: { type: 'boolean', default: false },
  },
});

function fail(message) {
  console.error(`bench: ${message}`);
  process.exit(1);
}

const seconds = Number(values.seconds);
if (!(seconds > 0)) fail(`--seconds must be a number > 0, got ${values.seconds}. Try --seconds 10.`);
const wanted = values.peers === undefined ? usualPeers : values.peers.split(',').filter((name) => name !== 'none');
for (const name of wanted) {
  if (!peerNames.includes(name)) fail(`--peers must be some of ${peerNames.join(', ')}, got ${name}. Or say none.`);
}
/** Goes on as another program. */
function become(...words) {
  process.exit(spawnSync(process.execPath, words, { stdio: 'inherit' }).status ?? 1);
}
if (values.all) become(fileURLToPath(new URL('all.mjs', import.meta.url)), '--seconds', values.seconds);
if (!['strict', 'wide', 'relaxed'].includes(values.build))
  fail(`--build must be strict, wide or relaxed, got ${values.build}.`);
if (values.build === 'relaxed') process.env.SHOAL_BUILD = 'relaxed';
if (values.build === 'wide' && !isWide) {
  become(...process.execArgv, wideFlag, fileURLToPath(import.meta.url), ...process.argv.slice(2));
}

const suffix = '.bench.mjs';
const names = readdirSync(new URL('.', import.meta.url))
  .filter((file) => file.endsWith(suffix))
  .map((file) => file.slice(0, -suffix.length));

/** Words that name benchmarks; the rest are parts of rows' names. */
const benchesOf = (word) => (names.includes(word) ? [word] : names.filter((name) => name.includes(word)));
const chosen = new Set(positionals.flatMap(benchesOf));
const parts = positionals.filter((word) => benchesOf(word).length === 0);

/** What to run of a benchmark: all of it, some rows, or nothing. */
function selection(name, rows) {
  const isChosen = positionals.length === 0 || chosen.has(name);
  if (rows === undefined) return isChosen ? 'all' : undefined;
  const named = isChosen ? rows : rows.filter((row) => parts.some((part) => row.name.includes(part)));
  const some = values.targets ? named.filter((row) => hasTarget(row.name, machine)) : named;
  return some.length > 0 ? some : undefined;
}

const machine = await describeMachine();
console.log(
  `${machine.cpu}, ${machine.cores} cores, ${machine.system}, Node ${machine.node}, V8 ${machine.v8}, ` +
    `kernels ${machine.build}, commit ${machine.commit}, load ${machine.load}`,
);
console.log('best (median): rates, fractions of the probed roofline, and ratios of times > 1 where we are faster\n');
const peers = createPeers(wanted);
const secondsOf = (name) => (hasTarget(name, machine) ? seconds : seconds / 4);
const results = {};

/** A benchmark without rows; one that throws does not keep the next from running. */
async function runWhole(name, run) {
  try {
    return await run({ seconds, peers });
  } catch (error) {
    console.error(error);
    return [{ row: name, failed: error instanceof Error ? error.message : String(error) }];
  }
}

/** What there is so far, written after every benchmark. */
async function store() {
  const report = { date: new Date().toISOString(), machine, peers: await peers.versions(), seconds, results };
  if (values.json) writeFileSync(values.json, `${JSON.stringify(report, null, 1)}\n`);
  return report;
}

try {
  for (const name of names) {
    const { rows, default: run } = await import(`./${name}${suffix}`);
    const what = selection(name, rows);
    if (what === undefined) continue;
    console.log(name);
    results[name] = rows ? await runRows(what, { seconds: secondsOf, peers }) : await runWhole(name, run);
    console.log('');
    await store();
  }
} finally {
  await peers.close();
}
if (Object.keys(results).length === 0) {
  fail(`no benchmark and no row is named like ${positionals.join(', ')}. Benchmarks: ${names.join(', ')}.`);
}
const report = await store();
console.log(
  Object.entries(report.peers)
    .map(([name, version]) => `${name} ${version}`)
    .join('; '),
);
const failed = Object.values(results)
  .flat()
  .filter((row) => row?.failed);
for (const { row, failed: why } of failed) console.error(`bench: ${row} failed: ${why}`);
if (failed.length > 0) process.exitCode = 1;
if (values.check) {
  const checked = checkTargets(report);
  printCheck(checked);
  if (checked.some(({ state }) => state === 'missed')) process.exitCode = 1;
}
