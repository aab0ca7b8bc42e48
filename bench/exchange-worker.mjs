/**
 * One of the two workers of bench/exchange.bench.mjs. Every way of exchange gives `publish` (gradients leave), `update` (slices are summed and
 * stepped) and `load` (new weights arrive), with a barrier after each; the clock runs from the first to the last barrier. Before it, the
 * gradients are written anew (untimed), so that they lie in the writer's cache as after a backward pass.
 */
import { performance } from 'node:perf_hooks';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { mul_scalar_f32 } from '../dist/kernels/map.js';
import { callPointers } from '../dist/kernels/runtime/call.js';
import { allocate, f32 } from '../dist/kernels/runtime/memory.js';
import { BlockTable } from '../dist/src/engine/blocks.js';
import { optimizerFromSpec, sgd } from '../dist/src/optim/index.js';
import { floats, gradientFloats } from '../dist/src/train/blocks.js';
import { sliceStart } from '../dist/src/train/plan.js';
import { SliceUpdater } from '../dist/src/train/slice-updater.js';

const { worker, length, partitions, barrierWords, handles, shared, port } = workerData;
const half = length / 2;
/** Partitions and slices of this worker, and the floats that its slices cover. */
const own = Array.from({ length: partitions / 2 }, (_, i) => (worker * partitions) / 2 + i);
const all = Array.from({ length: partitions }, (_, p) => p);
const isOwn = (p) => own.includes(p);
const from = worker * half;
const slices = own.map((k) => ({
  k,
  start: sliceStart(length, partitions, k),
  end: sliceStart(length, partitions, k + 1),
}));
const { lr, momentum } = { lr: Math.fround(0.01), momentum: Math.fround(0.9) };
const totalWeight = 128;

// Barrier: a count and a generation; 100 us of spinning before the thread parks.

const words = new Int32Array(barrierWords);
function barrier() {
  const generation = Atomics.load(words, 1);
  if (Atomics.add(words, 0, 1) === 1) {
    Atomics.store(words, 0, 0);
    Atomics.add(words, 1, 1);
    Atomics.notify(words, 1);
    return;
  }
  const end = performance.now() + 0.1;
  while (Atomics.load(words, 1) === generation) {
    if (performance.now() > end) Atomics.wait(words, 1, generation, 20);
  }
}

// Private memory: a gradient of each own partition, the weights, and buffers of the update.

const gradients = new Map(own.map((p) => [p, allocate(4 * length)]));
const weights = allocate(4 * length);
const updater = new SliceUpdater(optimizerFromSpec(sgd({ lr, momentum })), slices[0].end - slices[0].start);
const moments = new Map(slices.map(({ k, start, end }) => [k, new Float32Array(end - start)]));
const gradient = (p) => f32(gradients.get(p), length);

function fillGradient(to, p) {
  for (let i = 0; i < length; i++) to[i] = Math.fround(((i * 31 + p * 17) % 1013) / 1013 - 0.5);
}
function fillWeights(to) {
  for (let i = 0; i < length; i++) to[i] = Math.fround((i % 97) / 97);
}

/** Ways that keep gradients and weights in private memory. */
const privateWay = {
  reset() {
    for (const p of own) fillGradient(gradient(p), p);
    fillWeights(f32(weights, length));
    for (const values of moments.values()) values.fill(0);
  },
  produce() {
    for (const pointer of gradients.values()) callPointers(mul_scalar_f32, [pointer, -1, pointer, length]);
  },
  weights: () => f32(weights, length),
};

/** (a) Blocks in SharedArrayBuffers, copied out and in: what the Trainer does (src/train/replica.ts). */
const table = new BlockTable(handles);
const blocks = {
  ...privateWay,
  reset() {
    privateWay.reset();
    fillWeights(floats(table.whole('weights', 0)));
    table.whole('moments', 0).fill(0);
  },
  publish(t) {
    for (const p of own) gradientFloats(table.part('gradient', p, t + 1)).set(gradient(p));
  },
  update(t) {
    const values = (k, version) => ({
      weights: floats(table.part('weights', k, version)),
      moments: floats(table.part('moments', k, version)),
    });
    for (const { k, start, end } of slices) {
      const gradients = all.map((p) => gradientFloats(table.part('gradient', p, t + 1), start, end));
      updater.update({ gradients, totalWeight, old: values(k, t), next: values(k, t + 1), step: { step: t, lr } });
    }
  },
  load(t) {
    f32(weights, length).set(floats(table.whole('weights', t + 1)));
  },
};

/** (c), (d) Messages between the workers: of each gradient the half that the other one sums, then the own half of the weights. */
function messages(post, done) {
  const received = new Map();
  const receive = () => {
    const { message } = receiveMessageOnPort(port);
    return message;
  };
  return {
    ...privateWay,
    publish() {
      for (const p of own) post(gradient(p).subarray(half - from, length - from));
    },
    update(t) {
      for (let p = 0; p < partitions; p++) if (!isOwn(p)) received.set(p, receive());
      for (const { k, start, end } of slices) {
        const gradients = all.map((p) =>
          isOwn(p) ? gradient(p).subarray(start, end) : received.get(p).subarray(start - from, end - from),
        );
        // In place: nothing here survives a kill, so there is no old version to keep.
        const values = { weights: f32(weights, length).subarray(start, end), moments: moments.get(k) };
        updater.update({ gradients, totalWeight, old: values, next: values, step: { step: t, lr } });
      }
      for (const values of received.values()) done(values);
      received.clear();
      post(f32(weights, length).subarray(from, from + half));
    },
    load() {
      const values = receive();
      f32(weights, length).set(values, half - from);
      done(values);
    },
  };
}

const cloned = messages(
  // A clone of a view would take all of the memory behind it, so the part is cut out first.
  (values) => port.postMessage(values.slice()),
  () => {},
);

const pool = [];
const transferred = messages(
  (values) => {
    const buffer = pool.pop() ?? new Float32Array(half);
    buffer.set(values);
    port.postMessage(buffer, [buffer.buffer]);
  },
  (values) => pool.push(values),
);

/** (b) Shared WebAssembly memory: all gradients, weights and moments in it, the sums made and the step taken in place. */
const sharedExports = new WebAssembly.Instance(shared.module, { env: { memory: shared.memory } }).exports;
const inShared = (offset, count) => new Float32Array(shared.memory.buffer, offset, count);
const inPlace = {
  reset() {
    for (const p of own) fillGradient(inShared(shared.gradients[p], length), p);
    if (worker === 1) return;
    fillWeights(inShared(shared.weights, length));
    inShared(shared.moments, length).fill(0);
  },
  produce() {
    for (const p of own) sharedExports.mul_scalar_f32(shared.gradients[p], -1, shared.gradients[p], length);
  },
  weights: () => inShared(shared.weights, length),
  publish() {},
  update(t) {
    const sum = shared.sums[worker];
    for (const { start, end } of slices) {
      const count = end - start;
      const [first, second, ...rest] = shared.gradients.map((pointer) => pointer + 4 * start);
      sharedExports.add_f32(first, second, sum, count);
      for (const pointer of rest) sharedExports.add_f32(sum, pointer, sum, count);
      sharedExports.mul_scalar_f32(sum, Math.fround(1 / totalWeight), sum, count);
      const [weight, moment] = [shared.weights + 4 * start, shared.moments + 4 * start];
      sharedExports.sgd_f32(weight, sum, moment, weight, moment, count, lr, momentum, 0, 0, 0, Number(t === 0));
    }
  },
  load() {},
};

/** The measure: every gradient written once to plain memory and read back once. */
const plain = new Map(own.map((p) => [p, new Float32Array(length)]));
const copy = {
  ...privateWay,
  publish() {
    for (const p of own) plain.get(p).set(gradient(p));
  },
  update() {
    for (const p of own) gradient(p).set(plain.get(p));
  },
  load() {},
};

const ways = { copy, blocks, inPlace, cloned, transferred };

/** Bits of the weights, folded into one number. */
function digest(values) {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  let hash = 0;
  for (let i = 0; i < bits.length; i++) hash = (Math.imul(hash, 31) + bits[i]) | 0;
  return hash;
}

parentPort.on('message', ({ way: name, iterations, reset }) => {
  const way = ways[name];
  if (reset) {
    way.reset();
    way.t = 0;
  }
  const times = { total: 0, publish: 0, update: 0, load: 0 };
  for (let i = 0; i < iterations; i++, way.t++) {
    way.produce();
    barrier();
    const start = performance.now();
    let last = start;
    for (const phase of ['publish', 'update', 'load']) {
      way[phase](way.t);
      barrier();
      const now = performance.now();
      times[phase] += now - last;
      last = now;
    }
    times.total += last - start;
  }
  for (const key of Object.keys(times)) times[key] /= iterations;
  parentPort.postMessage({ times, digest: reset ? digest(way.weights()) : undefined });
});
