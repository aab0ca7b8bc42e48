/**
 * TensorFlow.js on its WASM backend, one thread (it has none in Node). Layout NHWC, its own. Operations are called on tensors that lie in its
 * memory already, and results are disposed of at once, as its users must.
 */
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { digest, lookups, permute, seeds, wave } from '../data.mjs';
import { inProcess } from '../race.mjs';

const require = createRequire(import.meta.url);

export async function open() {
  const tf = require('@tensorflow/tfjs-core');
  const wasm = require('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(`${dirname(require.resolve('@tensorflow/tfjs-backend-wasm'))}/`);
  await tf.setBackend('wasm');
  await tf.ready();
  const version = `${tf.version_core}, SIMD ${tf.env().get('WASM_HAS_SIMD_SUPPORT')}`;
  return { version, prepare: async (shape) => prepare(tf, shape), close() {} };
}

function prepare(tf, { op, ...shape }) {
  const make = operations[op]?.(tf, shape);
  if (make === undefined) return undefined;
  const { inputs, call } = make;
  const once = () => call().dispose();
  return {
    runner: inProcess('tfjs-wasm', once),
    digest: () => {
      const result = call();
      const found = digest(result.dataSync());
      result.dispose();
      return found;
    },
    close: () => tf.dispose(inputs),
  };
}

/** An image [n, c, h, w] of our formula, laid out [n, h, w, c]. */
const image = (tf, n, c, h, seed) =>
  tf.tensor4d(permute(wave(n * c * h * h, seed), [n, c, h, h], [0, 2, 3, 1]), [n, h, h, c]);

const unary = (tf, { name, length }) => {
  if (tf[name] === undefined) return undefined;
  const x = tf.tensor1d(wave(length, seeds.x));
  return { inputs: [x], call: () => tf[name](x) };
};

const pool =
  (name) =>
  (tf, { planes, h, kernel, stride }) => {
    const x = image(tf, 1, planes, h, seeds.x);
    return { inputs: [x], call: () => tf[name](x, kernel, stride, 'valid') };
  };

const product = (tf, { m, n, k, transposeA = 0, transposeB = 0, batch, threads = 1 }) => {
  if (threads > 1) return undefined;
  const lead = batch ? [batch] : [];
  const [rows, columns] = [transposeA ? [k, m] : [m, k], transposeB ? [n, k] : [k, n]];
  const a = tf.tensor(wave(m * k * (batch ?? 1), seeds.a), [...lead, ...rows]);
  const b = tf.tensor(wave(k * n * (batch ?? 1), seeds.b), [...lead, ...columns]);
  return { inputs: [a, b], call: () => tf.matMul(a, b, transposeA === 1, transposeB === 1) };
};

const convolution = (tf, { what, n = 1, c, h, o, kernel = 3, stride = 1, padding = 1, groups = 1 }) => {
  const ho = Math.floor((h + 2 * padding - kernel) / stride) + 1;
  const filter = wave((o * c * kernel * kernel) / groups, seeds.weight);
  if (groups > 1) {
    if (what !== 'forward') return undefined;
    const x = image(tf, n, c, h, seeds.x);
    const depthwise = permute(filter, [c, 1, kernel, kernel], [2, 3, 0, 1]);
    const weight = tf.tensor4d(depthwise, [kernel, kernel, c, 1]);
    return { inputs: [x, weight], call: () => tf.depthwiseConv2d(x, weight, stride, padding) };
  }
  const weight = tf.tensor4d(permute(filter, [o, c, kernel, kernel], [2, 3, 1, 0]), [kernel, kernel, c, o]);
  if (what === 'forward') {
    const x = image(tf, n, c, h, seeds.x);
    return { inputs: [x, weight], call: () => tf.conv2d(x, weight, stride, padding) };
  }
  if (what === 'backward-data') {
    const gradient = image(tf, n, o, ho, seeds.gradY);
    const call = () => tf.conv2dTranspose(gradient, weight, [n, h, h, c], stride, padding);
    return { inputs: [gradient, weight], call };
  }
  return undefined; // Conv2DBackpropFilter: no kernel
};

/** For each operation its inputs and the call; undefined where this backend has no kernel. */
const operations = {
  gemm: product,
  prepacked: product,
  conv: convolution,
  winograd: convolution,
  unary,
  softmax(tf, { rows, columns }) {
    const x = tf.tensor2d(wave(rows * columns, seeds.x), [rows, columns]);
    return { inputs: [x], call: () => tf.softmax(x) };
  },
  maxPool: pool('maxPool'),
  averagePool: pool('avgPool'),
  embedding(tf, { vocabulary, count, columns }) {
    const weight = tf.tensor2d(wave(vocabulary * columns, seeds.weight), [vocabulary, columns]);
    const indices = tf.tensor1d(lookups(count, vocabulary), 'int32');
    return { inputs: [weight, indices], call: () => tf.gather(weight, indices) };
  },
  transpose(tf, { m, n }) {
    const x = tf.tensor2d(wave(m * n, seeds.x), [m, n]);
    return { inputs: [x], call: () => tf.transpose(x) };
  },
};
