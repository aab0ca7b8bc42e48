/**
 * The exchange of an iteration alone, without forward and backward (docs/adr/0006-block-copies.md): gradients to the owners of slices, ordered
 * sum, SGD with momentum, new weights to everybody. Two workers, at 61 k, 11 M and 30 M parameters; milliseconds per iteration, and as a multiple
 * of a plain copy of the same bytes (each gradient written once and read once by its worker) probed in turns with the rest.
 *
 * All ways must give the same weights, bit for bit, before they are timed.
 */
import { loadavg } from 'node:os';
import { performance } from 'node:perf_hooks';
import { MessageChannel, Worker } from 'node:worker_threads';

const ways = {
  copy: 'plain copy, out and in',
  blocks: '(a) private memories + blocks',
  inPlace: '(b) shared memory, in place',
  cloned: '(c) postMessage, cloned',
  transferred: '(d) postMessage, transferred',
};

/** With large models a partition per worker: what one would choose, and it keeps the benchmark within 3 GB. */
const sizes = [
  { name: '61 k', parameters: 61_706, partitions: 8, iterations: 10 },
  { name: '11 M', parameters: 11_000_000, partitions: 2, iterations: 1 },
  { name: '30 M', parameters: 30_000_000, partitions: 2, iterations: 1 },
];

function readLeb(bytes, at) {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++];
    value |= (byte & 127) << shift;
    if (byte < 128) return [value >>> 0, at];
  }
}

function leb(value) {
  const low = value & 127;
  return value < 128 ? [low] : [low | 128, ...leb(value >>> 7)];
}

/** The binary with its memory import declared shared: another limits flag (and the maximum that goes with it), no other change. */
function withSharedMemory(bytes, maximumPages) {
  for (let at = 8; at < bytes.length; ) {
    const id = bytes[at];
    const [size, start] = readLeb(bytes, at + 1);
    if (id === 2) {
      const [count, firstImport] = readLeb(bytes, start);
      const [moduleLength, moduleStart] = readLeb(bytes, firstImport);
      const [nameLength, nameStart] = readLeb(bytes, moduleStart + moduleLength);
      const kindAt = nameStart + nameLength;
      if (count !== 1 || bytes[kindAt] !== 2)
        throw new Error('exchange: the binary must import a memory and nothing else.');
      const [minimum] = readLeb(bytes, kindAt + 2);
      const section = [...bytes.slice(start, kindAt + 1), 3, ...leb(minimum), ...leb(maximumPages)];
      return Uint8Array.from([
        ...bytes.slice(0, at),
        2,
        ...leb(section.length),
        ...section,
        ...bytes.slice(start + size),
      ]);
    }
    at = start + size;
  }
  throw new Error('exchange: the binary has no import section.');
}

/** One memory for both workers: a gradient per partition, weights, moments, and a slice's sum for each worker. */
function sharedMemory(bytes, length, partitions) {
  let top = 65_536;
  const take = (floats) => (top += 4 * floats) - 4 * floats;
  const gradients = Array.from({ length: partitions }, () => take(length));
  const [weights, moments] = [take(length), take(length)];
  const sums = [take(length), take(length)];
  const pages = Math.ceil(top / 65_536);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  return { memory, module: new WebAssembly.Module(withSharedMemory(bytes, pages)), gradients, weights, moments, sums };
}

async function open(bytes, { parameters, partitions }) {
  const { createBlocks } = await import('../dist/src/engine/blocks.js');
  const { trainingBlocks } = await import('../dist/src/train/blocks.js');
  const length = 16 * partitions * Math.ceil(parameters / (16 * partitions)); // slices of one length
  const layout = { entries: [], weightsLength: length, constantsLength: 0 };
  const specs = trainingBlocks(layout, partitions, 1);
  const { handles } = createBlocks({ id: 0, units: partitions, specs, startVersion: 0, hasData: true });
  const shared = sharedMemory(bytes, length, partitions);
  const { port1, port2 } = new MessageChannel();
  const common = { length, partitions, handles, shared, barrierWords: new SharedArrayBuffer(8) };
  const workers = [port1, port2].map(
    (port, worker) =>
      new Worker(new URL('exchange-worker.mjs', import.meta.url), {
        workerData: { ...common, worker, port },
        transferList: [port],
      }),
  );
  const answerOf = (worker) =>
    new Promise((resolve, reject) => {
      worker.once('error', reject);
      worker.once('message', (message) => {
        worker.off('error', reject);
        resolve(message);
      });
    });
  /** Runs iterations of a way on both workers; the first one's clock counts. */
  const run = async (order) => {
    const answers = workers.map(answerOf);
    for (const worker of workers) worker.postMessage(order);
    return (await Promise.all(answers))[0];
  };
  return { length, run, close: () => Promise.all(workers.map((worker) => worker.terminate())) };
}

/** @param {{ seconds: number }} options seconds per size */
export default async function exchange({ seconds }) {
  const { strict } = await import('../dist/build/embedded.js');
  const bytes = new Uint8Array(Buffer.from(strict, 'base64'));
  const names = Object.keys(ways);
  const results = [];
  console.log(`load average ${loadavg()[0].toFixed(1)}`);
  for (const size of sizes) {
    const { length, run, close } = await open(bytes, size);
    try {
      const digests = new Map();
      for (const way of names) digests.set(way, (await run({ way, iterations: 3, reset: true })).digest);
      digests.delete('copy');
      if (new Set(digests.values()).size !== 1) {
        throw new Error(`exchange: the ways differ in their bits at ${size.name}: ${JSON.stringify([...digests])}`);
      }
      const slices = new Map(names.map((way) => [way, []]));
      const end = performance.now() + 1000 * seconds;
      while (performance.now() < end || slices.get('copy').length < 3) {
        for (const way of names) slices.get(way).push((await run({ way, iterations: size.iterations })).times);
      }
      const rows = names.map((way) => {
        const sorted = slices.get(way).sort((a, b) => a.total - b.total);
        const { total, ...phases } = sorted[0];
        return {
          way,
          bestMs: total,
          medianMs: sorted[sorted.length >> 1].total,
          phasesMs: phases,
          slices: sorted.length,
        };
      });
      const [copy] = rows;
      const mebibytes = (8 * length * size.partitions) / 2 ** 20;
      console.log(
        `${size.name}: ${length} floats, P = ${size.partitions}; plain copy moves ${mebibytes.toFixed(1)} MiB at ` +
          `${((8 * length * size.partitions) / 1e6 / copy.bestMs).toFixed(1)} GB/s; ${copy.slices} slices`,
      );
      for (const { way, bestMs, medianMs, phasesMs } of rows) {
        const { publish, update, load } = phasesMs;
        console.log(
          `  ${ways[way].padEnd(30)} best ${bestMs.toFixed(3).padStart(8)} ms  median ${medianMs.toFixed(3).padStart(8)} ms  ` +
            `${(bestMs / copy.bestMs).toFixed(2).padStart(5)} x copy   publish ${publish.toFixed(3)}, update ${update.toFixed(3)}, load ${load.toFixed(3)}`,
        );
      }
      const ofCopy = ({ bestMs, medianMs }) => ({
        multipleOfCopy: bestMs / copy.bestMs,
        medianMultipleOfCopy: medianMs / copy.medianMs,
      });
      const trainer = rows.find(({ way }) => way === 'blocks');
      results.push({
        row: `exchange ${size.name}, threads`,
        ...{ unit: 'ms', value: trainer.bestMs, medianValue: trainer.medianMs, n: trainer.slices, ...ofCopy(trainer) },
        ...{ ...size, length, ways: rows.map((row) => ({ ...row, ...ofCopy(row) })) },
      });
    } finally {
      await close();
    }
  }
  return results;
}
