/**
 * `node bench/report.mjs [--check]`: the tables and plots of docs/performance.md from the newest results of each kind in bench/results. The page's prose is
 * written by hand; what stands between `<!-- begin NAME -->` and `<!-- end -->` is generated. `--check` writes nothing, and exits with 1 if
 * the page or a plot is not what the results say.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { checkTargets } from './check.mjs';
import { barChart } from './svg.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = `${root}bench/results/`;
const page = `${root}docs/performance.md`;
const plots = `${root}docs/performance/`;
const peers = ['tfjs-wasm', 'onnxruntime-web', 'onnxruntime-node', 'pytorch'];

/** The newest report of each kind (`node24`, `node26-wide`, ...), by kind. */
function newest() {
  const files = existsSync(folder) ? readdirSync(folder).sort() : [];
  const found = new Map();
  for (const file of files) {
    const kind = /^\d{4}-\d\d-\d\d-(node\d+(?:-\w+)?)\.json$/.exec(file)?.[1];
    if (kind) found.set(kind, { kind, file, ...JSON.parse(readFileSync(folder + file, 'utf8')) });
  }
  return found;
}

const two = ({ ratio, medianRatio }) => `${ratio.toFixed(2)} (${medianRatio.toFixed(2)})`;
const time = (ms) => (ms >= 1 ? `${ms.toFixed(2)} ms` : `${(1000 * ms).toFixed(1)} us`);
const table = (head, rows) =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
const rowsOf = (report) =>
  Object.values(report.results)
    .flat()
    .filter((found) => found?.row);

/** A table of rows with roofline and peers. */
function kernelTable(report, bench) {
  const rows = (report.results[bench] ?? []).filter(({ row }) => row);
  const cells = rows.map((found) => {
    if (found.missing) return [found.row, `not there yet: ${found.missing}`, ...new Array(4 + peers.length).fill('')];
    if (found.failed) return [found.row, `failed: ${found.failed}`, ...new Array(4 + peers.length).fill('')];
    const { row, bestMs, medianMs, n, rate, medianRate, unit, roofline, against = {} } = found;
    const beside = Object.entries(against).map(([name, one]) => `${two(one)} of ${name}`);
    return [
      row,
      `${time(bestMs)} (${time(medianMs)}; ${n})`,
      `${rate.toFixed(1)} (${medianRate.toFixed(1)}) ${unit}`,
      roofline ? `${roofline.fraction.toFixed(2)} (${roofline.medianFraction.toFixed(2)})` : '',
      beside.join(', '),
      ...peers.map((name) => (found.peers[name] ? two(found.peers[name]) : '')),
    ];
  });
  return table(
    ['row', 'best (median; slices)', 'rate', 'of the roofline', 'beside ours', ...peers.map((name) => `x ${name}`)],
    cells,
  );
}

function engineTable(report) {
  const rows = (report.results.engine ?? []).filter(({ row }) => row);
  return table(
    ['row', 'best', 'median', 'n', 'of a copy', 'GB/s', 'of the probe, ms'],
    rows.map((found) => [
      found.row,
      `${found.value.toPrecision(3)} ${found.unit}`,
      `${found.medianValue.toPrecision(3)} ${found.unit}`,
      found.n,
      found.multipleOfCopy?.toFixed(2) ?? '',
      found.gigabytesPerSecond?.toFixed(2) ?? '',
      found['of the probe, ms'] ?? '',
    ]),
  );
}

function machines(reports) {
  const rows = [...reports.values()].map(({ file, machine, seconds, date }) => [
    `[${file}](../bench/results/${file})`,
    `${machine.node}, V8 ${machine.v8}`,
    machine.build,
    `${machine.cpu}, ${machine.cores} cores, ${machine.system}`,
    machine.load,
    machine.commit,
    `${seconds} s a row, ${date.slice(0, 16).replace('T', ' ')}`,
  ]);
  const [first] = reports.values();
  const versions = Object.entries(first?.peers ?? {}).map(([name, version]) => `${name} ${version}`);
  return `${table(['results', 'Node', 'build', 'machine', 'load', 'commit', 'run'], rows)}\n\nPeers: ${versions.join('; ')}.`;
}

const words = { stretch: 'stretch', met: 'met', missed: '**missed**', unknown: 'not measured' };

/** Every target on one line: the worst of its rows. */
function targetTable(reports) {
  const byTarget = new Map();
  for (const report of reports.values()) {
    for (const one of checkTargets(report)) {
      const { text, build = 'strict', must, stretch, atMost } = one.target;
      const key = `${text}|${report.kind}|${one.target.measure}|${must}`;
      const group = byTarget.get(key) ?? { text, kind: report.kind, build, must, stretch, atMost, all: [] };
      group.all.push(one);
      byTarget.set(key, group);
    }
  }
  // What one run left out and another measured is not missing.
  const isKnown = ({ all }) => all.some(({ best }) => best !== undefined);
  const measured = new Set([...byTarget.values()].filter(isKnown).map(({ text }) => text));
  const shown = [...byTarget.values()].filter((group) => isKnown(group) || !measured.has(group.text));
  const rows = shown.map(({ text, kind, must, stretch, atMost, all }) => {
    const known = all.filter(({ best }) => best !== undefined);
    if (known.length === 0) return [text, kind, '', `${must}`, `${stretch ?? ''}`, words.unknown, all[0].why];
    const worst = known.reduce((a, b) => ((atMost ? b.best > a.best : b.best < a.best) ? b : a));
    const met = known.filter(({ state }) => state !== 'missed').length;
    const bar = `${atMost ? '<= ' : ''}${must}`;
    const limit = worst.ceiling === undefined ? '' : `; at the roofline it would be ${worst.ceiling.toFixed(2)}`;
    const lowest = `${worst.best.toFixed(2)} (${worst.median.toFixed(2)})`;
    return [
      text,
      kind,
      lowest,
      bar,
      `${stretch ?? ''}`,
      words[worst.state],
      `${met} of ${all.length}; worst: ${worst.row}${limit}`,
    ];
  });
  return table(
    ['target', 'run', 'worst row, best (median)', 'must', 'stretch', 'state', 'rows that meet the must'],
    rows,
  );
}

/** Rows that some peer does faster. */
function losses(report) {
  const rows = rowsOf(report).flatMap(({ row, peers: found = {} }) => {
    const slower = Object.entries(found).filter(([, { ratio }]) => ratio < 1);
    return slower.length > 0 ? [[row, slower.map(([name, one]) => `${name} ${two(one)}`).join(', ')]] : [];
  });
  return table(['row', 'our speed as a fraction of the peer'], rows);
}

/** The plots of a report, by file name. */
function charts(report) {
  const { kind, machine } = report;
  const where = `${machine.cpu}, Node ${machine.node}, ${machine.build}, one thread unless the row says more; bar: best slice, white line: median`;
  const mustOf = new Map();
  for (const { target, row } of checkTargets(report)) if (target.measure === 'roofline') mustOf.set(row, target.must);
  const measured = rowsOf(report).filter(({ roofline }) => roofline);
  const roofline = measured.map(({ row, roofline: { fraction, medianFraction } }) => ({
    label: row,
    value: fraction,
    median: medianFraction,
    mark: mustOf.get(row),
  }));
  const found = new Map();
  if (roofline.length > 0) {
    const [title, subtitle] = ['Fraction of the probed roofline', `${where}; grey line: what is promised`];
    found.set(
      `${kind}-roofline.svg`,
      barChart({ title, subtitle, bars: roofline, ticks: [0, 0.25, 0.5, 0.75, 1], base: 0 }),
    );
  }
  for (const peer of peers) {
    const bars = rowsOf(report)
      .filter(({ peers: all }) => all?.[peer])
      .map(({ row, peers: all }) => ({ label: row, value: all[peer].ratio, median: all[peer].medianRatio }));
    if (bars.length === 0) continue;
    const title = `Speed as a multiple of ${peer}`;
    const options = { ticks: [0.1, 0.25, 0.5, 1, 2, 4, 10, 40, 100], base: 1, logarithmic: true };
    found.set(`${kind}-${peer}.svg`, barChart({ title, subtitle: `${where}; logarithmic`, bars, ...options }));
  }
  return found;
}

/** The generated parts by name: `machines`, `targets`, `plots:node24`, `gemm:node24`, ... */
function part(name, reports) {
  const [what, kind] = name.split(':');
  const report = reports.get(kind);
  if (what === 'machines') return machines(reports);
  if (what === 'targets') return targetTable(reports);
  if (report === undefined) return `No results of ${kind} yet: run \`npm run bench -- --all\`.`;
  if (what === 'losses') return losses(report);
  if (what === 'engine') return engineTable(report);
  if (what === 'plots') {
    return [...charts(report).keys()].map((file) => `![${file.replace('.svg', '')}](performance/${file})`).join('\n\n');
  }
  return kernelTable(report, what);
}

const isCheck = process.argv.includes('--check');
let stale = 0;
function write(path, content) {
  if (existsSync(path) && readFileSync(path, 'utf8') === content) return;
  stale++;
  if (isCheck)
    console.error(`report: ${path.slice(root.length)} is not what bench/results say. Run node bench/report.mjs.`);
  else writeFileSync(path, content);
}

const reports = newest();
const prose = readFileSync(page, 'utf8');
const generated = prose.replace(
  /<!-- begin (\S+) -->[\s\S]*?<!-- end -->/g,
  (_, name) => `<!-- begin ${name} -->\n${part(name, reports)}\n<!-- end -->`,
);
if (!isCheck) mkdirSync(plots, { recursive: true });
for (const report of reports.values()) for (const [file, svg] of charts(report)) write(plots + file, svg);
write(page, generated);
if (isCheck && stale > 0) process.exitCode = 1;
