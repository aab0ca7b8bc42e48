/**
 * ONNX Runtime: `onnxruntime-web` (WASM, one thread) and `onnxruntime-node` (native). It runs graphs, so every row is a model of one node; weights of
 * convolutions, embeddings and norms are constants of the model, which it may lay out beforehand. Inputs are tensors made once; each run
 * gives a new output, as its users get it.
 */
import { createRequire } from 'node:module';
import { performance } from 'node:perf_hooks';
import { digest, lookups, seeds, wave } from '../data.mjs';
import { singleNode } from './onnx.mjs';

const require = createRequire(import.meta.url);

const kinds = {
  'onnxruntime-web': { provider: 'wasm', manyThreads: false },
  'onnxruntime-node': { provider: 'cpu', manyThreads: true },
};

/** @param {keyof typeof kinds} name */
export async function open(name) {
  // Both register a backend called "cpu", and the first one stays: the native one must come first, or it would never run.
  try {
    require('onnxruntime-node');
  } catch (error) {
    if (name === 'onnxruntime-node') throw error;
  }
  const ort = require(name);
  ort.env.logLevel = 'error';
  if (ort.env.wasm) ort.env.wasm.numThreads = 1;
  const { provider, manyThreads } = kinds[name];
  return {
    version: ort.env.versions[name === 'onnxruntime-web' ? 'web' : 'node'],
    close() {},
    async prepare({ op, threads = 1, ...shape }) {
      const model = operations[op]?.(shape);
      if (model === undefined || (threads > 1 && !manyThreads)) return undefined;
      const options = { executionProviders: [provider], intraOpNumThreads: threads, interOpNumThreads: 1 };
      const session = await ort.InferenceSession.create(singleNode(model), options);
      const feeds = Object.fromEntries(
        model.inputs.map(({ name: input, shape: sizes, values, type = 'float' }) => {
          const kind = type === 'float' ? 'float32' : type;
          return [input, new ort.Tensor(kind, values, sizes)];
        }),
      );
      const run = async (repeats) => {
        const start = performance.now();
        for (let i = 0; i < repeats; i++) await session.run(feeds);
        return performance.now() - start;
      };
      return {
        runner: { name, run },
        digest: async () => digest((await session.run(feeds)).y.data),
        close: () => session.release(),
      };
    },
  };
}

const product = (shape) => shape.reduce((a, b) => a * b, 1);
const given = (name, shape, seed = seeds[name]) => ({ name, shape, values: wave(product(shape), seed) });

const pool =
  (type) =>
  ({ planes, h, kernel, stride }) => {
    const ho = Math.floor((h - kernel) / stride) + 1;
    const attributes = { kernel_shape: [kernel, kernel], strides: [stride, stride] };
    return { type, attributes, inputs: [given('x', [1, planes, h, h])], output: [1, planes, ho, ho] };
  };

const convolution = ({ what, n = 1, c, h, o, kernel = 3, stride = 1, padding = 1, groups = 1 }) => {
  const ho = Math.floor((h + 2 * padding - kernel) / stride) + 1;
  const attributes = {
    kernel_shape: [kernel, kernel],
    ...{ strides: [stride, stride], pads: new Array(4).fill(padding), group: groups },
  };
  const constants = [given('weight', [o, c / groups, kernel, kernel])];
  if (what === 'forward') {
    return { type: 'Conv', attributes, inputs: [given('x', [n, c, h, h])], constants, output: [n, o, ho, ho] };
  }
  if (what !== 'backward-data' || stride > 1) return undefined;
  const inputs = [given('gradY', [n, o, ho, ho])];
  return { type: 'ConvTranspose', attributes, inputs, constants, output: [n, c, h, h] };
};

/** The node of each operation; undefined where ONNX (inference) has none. */
const operations = {
  gemm({ m, n, k, transposeA = 0, transposeB = 0, batch }) {
    const lead = batch ? [batch] : [];
    const a = given('a', [...lead, ...(transposeA ? [k, m] : [m, k])]);
    const b = given('b', [...lead, ...(transposeB ? [n, k] : [k, n])]);
    const plain = !transposeA && !transposeB;
    if (!plain && batch) return undefined;
    const attributes = plain ? {} : { transA: transposeA, transB: transposeB };
    return { type: plain ? 'MatMul' : 'Gemm', attributes, inputs: [a, b], output: [...lead, m, n] };
  },
  prepacked({ m, n, k }) {
    return { type: 'MatMul', inputs: [given('a', [m, k])], constants: [given('b', [k, n])], output: [m, n] };
  },
  conv: convolution,
  winograd: convolution,
  unary({ name, length }) {
    const type = { exp: 'Exp', sigmoid: 'Sigmoid', tanh: 'Tanh', log: 'Log' }[name];
    return type && { type, inputs: [given('x', [length])], output: [length] };
  },
  softmax({ rows, columns }) {
    return { type: 'Softmax', inputs: [given('x', [rows, columns])], output: [rows, columns] };
  },
  layerNorm({ rows, columns }) {
    const constants = [{ name: 'weight', shape: [columns], values: new Float32Array(columns).fill(1) }];
    return { type: 'LayerNormalization', inputs: [given('x', [rows, columns])], constants, output: [rows, columns] };
  },
  maxPool: pool('MaxPool'),
  averagePool: pool('AveragePool'),
  embedding({ vocabulary, count, columns }) {
    const indices = BigInt64Array.from(lookups(count, vocabulary), BigInt);
    return {
      type: 'Gather',
      inputs: [{ name: 'indices', type: 'int64', shape: [count], values: indices }],
      constants: [given('weight', [vocabulary, columns])],
      order: ['weight', 'indices'],
      output: [count, columns],
    };
  },
  transpose({ m, n }) {
    return { type: 'Transpose', inputs: [given('x', [m, n])], output: [n, m] };
  },
};
