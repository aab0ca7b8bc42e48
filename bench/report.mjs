/**
 * `node bench/report.mjs [--check]`: docs/performance.md and a page of tables and plots for each machine (docs/performance/<machine>.md), from the newest
 * results of each kind in bench/results/<machine>. The first page's prose is written by hand; what stands between `<!-- begin NAME -->` and
 * `<!-- end -->` is generated, and so are the other pages. `--check` writes nothing, and exits with 1 if a page or a plot is not what the results say.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { checkTargets } from './check.mjs';
import { barChart } from './svg.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = `${root}bench/results/`;
const page = `${root}docs/performance.md`;
const pages = `${root}docs/performance/`;
const peers = ['tfjs-wasm', 'onnxruntime-web', 'onnxruntime-node', 'pytorch'];

/**
 * Results of before 27 November 2026 have a probe called "copy, ...", which read pages that nobody had written: one page of zeros, twice as fast as
 * memory. What was compared with it is left out.
 */
function withoutZeroPages(report) {
  for (const found of rowsOf(report)) if (found.roofline?.limit.startsWith('copy, ')) found.roofline = undefined;
  return report;
}

/** The newest report of each kind (`node24`, `node26-wide`, ...) from one machine, by kind. */
function newest(machine) {
  const found = new Map();
  for (const file of readdirSync(folder + machine).sort()) {
    const kind = /^\d{4}-\d\d-\d\d-(node\d+(?:-\w+)?)\.json$/.exec(file)?.[1];
    if (kind === undefined) continue;
    const report = withoutZeroPages(JSON.parse(readFileSync(`${folder}${machine}/${file}`, 'utf8')));
    found.set(kind, { kind, file, ...report });
  }
  return found;
}

/** What every machine reported, by the name of its folder. */
function everything() {
  const machines = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return new Map(machines.map(({ name }) => [name, newest(name)]));
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

/** Every run of every machine; links are relative to docs/. */
function runTable(all) {
  const rows = [...all].flatMap(([name, reports]) =>
    [...reports.values()].map(({ file, machine, seconds, date }) => [
      `[${name}](performance/${name}.md)`,
      `[${file}](../bench/results/${name}/${file})`,
      `${machine.node}, V8 ${machine.v8}`,
      machine.build,
      `${machine.cpu}, ${machine.cores} cores, ${machine.system}`,
      machine.load,
      machine.commit,
      `${seconds} s a row, ${date.slice(0, 16).replace('T', ' ')}`,
    ]),
  );
  const runs = [...all.values()].flatMap((reports) => [...reports.values()]);
  const versions = new Set(runs.flatMap(({ peers }) => Object.entries(peers ?? {}).map((peer) => peer.join(' '))));
  const head = ['machine', 'results', 'Node', 'build', 'processor', 'load', 'commit', 'run'];
  return `${table(head, rows)}\n\nPeers: ${[...versions].sort().join('; ')}.`;
}

const words = { stretch: 'stretch', met: 'met', missed: '**missed**' };

/** The targets of a machine's runs, each with its rows: those that were measured, and how many were not. */
function targetsOf(reports) {
  const groups = new Map();
  for (const report of reports.values()) {
    for (const one of checkTargets(report)) {
      const { text, measure, must, stretch, atMost } = one.target;
      const key = `${text}|${report.kind}|${measure}|${must}`;
      const group = groups.get(key) ?? { text, kind: report.kind, must, stretch, atMost, rows: [], unknown: 0 };
      if (one.best === undefined) group.unknown++;
      else group.rows.push(one);
      groups.set(key, group);
    }
  }
  return groups;
}

/** The worst of the rows of a target, on one machine. */
function verdict({ atMost, rows, unknown }) {
  if (rows.length === 0) return 'not measured';
  const worst = rows.reduce((a, b) => ((atMost ? b.best > a.best : b.best < a.best) ? b : a));
  const met = rows.filter(({ state }) => state !== 'missed').length;
  const limit = worst.ceiling === undefined ? '' : `; ${worst.ceiling.toFixed(2)} at the roofline`;
  const where = rows.length > 1 ? `; ${met} of ${rows.length}, worst ${worst.row}` : '';
  const missing = unknown > 0 ? `; ${unknown} not measured` : '';
  return `${words[worst.state]} ${worst.best.toFixed(2)} (${worst.median.toFixed(2)})${where}${missing}${limit}`;
}

/** Every target on one line, with every machine's worst row. */
function targetTable(all) {
  const found = [...all].map(([name, reports]) => ({ name, targets: targetsOf(reports) }));
  const lines = new Map(found.flatMap(({ targets }) => [...targets]));
  // What one run left out and another measured is not missing.
  const isKnown = (key) => found.some(({ targets }) => (targets.get(key)?.rows.length ?? 0) > 0);
  const known = new Set([...lines].filter(([key]) => isKnown(key)).map(([, { text }]) => text));
  for (const [key, { text }] of lines) if (known.has(text) && !isKnown(key)) lines.delete(key);
  const rows = [...lines].map(([key, { text, kind, must, stretch, atMost }]) => [
    text,
    kind,
    `${atMost ? '<= ' : ''}${must}`,
    `${stretch ?? ''}`,
    ...found.map(({ targets }) => (targets.has(key) ? verdict(targets.get(key)) : 'not measured')),
  ]);
  return table(['target', 'run', 'must', 'stretch', ...found.map(({ name }) => name)], rows);
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

/** Titles of the runs, in the order of a machine's page; a kind without one stands at the end, under its own name. */
const runTitles = {
  node24: 'Node 24, the strict build, one thread',
  'node26-wide': 'The wide build, Node 26',
  'node24-relaxed': 'The relaxed build, Node 24',
  node20: 'Node 20, strict',
  node26: 'Node 26, strict',
};

/** Benchmarks with a roofline or peers, by name. */
const kernelTitles = {
  gemm: 'Matrix products',
  conv: 'Convolution ("of gemm NN 512": of the rate of our own product in the same row)',
  maps: 'What goes over its data once',
  threads: 'Two threads inside one operation',
  lenet: 'Training LeNet-5',
  mlp: 'Training a perceptron',
};

/** A machine's page: every table and plot. */
function machinePage(name, reports) {
  const parts = [
    `# Performance on ${name}\n\nGenerated by \`node bench/report.mjs\`. What is measured and how, and what the machine is: [performance](../performance.md).`,
  ];
  const kinds = new Set([...Object.keys(runTitles).filter((kind) => reports.has(kind)), ...reports.keys()]);
  for (const kind of kinds) {
    const report = reports.get(kind);
    parts.push(`## ${runTitles[kind] ?? kind}`);
    parts.push(...[...charts(report).keys()].map((file) => `![${file.replace('.svg', '')}](${name}/${file})`));
    for (const [bench, what] of Object.entries(kernelTitles)) {
      const isThere = (report.results[bench] ?? []).some(({ row }) => row);
      if (isThere) parts.push(`### ${what}\n${kernelTable(report, bench)}`);
    }
    if (report.results.engine) parts.push(`### The engine\n${engineTable(report)}`);
    parts.push(`### Where we lose\n${losses(report)}`);
  }
  return `${parts.join('\n\n')}\n`;
}

/** The plots of the first page: of each machine, Node 24 beside the roofline and beside PyTorch. */
function plots(all) {
  const shown = ['node24-roofline.svg', 'node24-pytorch.svg'];
  const files = [...all].flatMap(([name, reports]) =>
    [...reports.values()]
      .flatMap((report) => [...charts(report).keys()])
      .filter((file) => shown.includes(file))
      .map((file) => `![${file.replace('.svg', '')} on ${name}](performance/${name}/${file})`),
  );
  return files.join('\n\n');
}

/** The generated parts of the first page. */
const generatedParts = { machines: runTable, targets: targetTable, plots };
function part(name, all) {
  if (generatedParts[name]) return generatedParts[name](all);
  const known = Object.keys(generatedParts).join(', ');
  throw new Error(`report: a part must be one of ${known}, got ${name}. Name one of them in docs/performance.md.`);
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

const all = everything();
for (const [name, reports] of all) {
  if (!isCheck) mkdirSync(pages + name, { recursive: true });
  for (const report of reports.values()) {
    for (const [file, svg] of charts(report)) write(`${pages}${name}/${file}`, svg);
  }
  write(`${pages}${name}.md`, machinePage(name, reports));
}
const prose = readFileSync(page, 'utf8');
const generated = prose.replace(
  /<!-- begin (\S+) -->[\s\S]*?<!-- end -->/g,
  (_, name) => `<!-- begin ${name} -->\n${part(name, all)}\n<!-- end -->`,
);
write(page, generated);
if (isCheck && stale > 0) process.exitCode = 1;
