/**
 * Our side of a row: the kernel calls of the built package that do a case's work, with its flops and bytes. Arguments go by the names of the kernels'
 * contracts, so a kernel that is not there yet is a row that says so, and one that got another parameter is an error that names it.
 */
import { digest, lookups, seeds, wave } from './data.mjs';
import { inProcess } from './race.mjs';

/** A parameter that most rows leave alone. */
const defaults = {
  alpha: 1,
  beta: 0,
  strideH: 1,
  strideW: 1,
  dilationH: 1,
  dilationW: 1,
  groups: 1,
  tile: 4,
  activation: 0,
  epsilon: 1e-5,
  countIncludePad: 1,
  paddingIndex: -1,
  ldr: 0,
  low: Number.NEGATIVE_INFINITY,
  high: Number.POSITIVE_INFINITY,
};

const convolution = ({ n = 1, c, h, o, kernel = 3, stride = 1, padding = 1, groups = 1 }) => {
  const ho = Math.floor((h + 2 * padding - kernel) / stride) + 1;
  const pairs = { kh: kernel, kw: kernel, strideH: stride, strideW: stride, paddingH: padding, paddingW: padding };
  const numbers = { n, c, h, w: h, o, groups, ...pairs };
  const flops = (2 * n * o * ho * ho * c * kernel * kernel) / groups;
  return { numbers, flops, floats: n * (c * h * h + o * ho * ho) };
};

const gradients = { forward: 'y', 'backward-data': 'gradX', 'backward-filter': 'gradWeight' };

/** Winograd's flops count as if it were direct. */
const conv2d = (family) => (shape) => {
  const { numbers, flops, floats } = convolution(shape);
  const depthwise = shape.groups > 1;
  const whats = shape.what === 'all' ? Object.keys(gradients) : [shape.what];
  const kernelOf = (what) => `${family}_${what.replace('-', '_')}`;
  return {
    calls: whats.map((what) => ({ kernel: kernelOf(what), numbers: { ...numbers, tile: shape.tile } })),
    output: gradients[whats[0]],
    flops: flops * whats.length,
    threads: shape.threads,
    stream: depthwise ? { reads: 1, writes: 1, bytes: 4 * floats } : undefined,
  };
};

const oneToOne = (elements) => ({ reads: 1, writes: 1, bytes: 8 * elements });

/** The kernel calls of every operation that rows ask for. `output` is the buffer whose digest is compared with the peers'. */
const operations = {
  gemm({ m, n, k, transposeA = 0, transposeB = 0, batch, threads }) {
    const leading = { lda: transposeA ? m : k, ldb: transposeB ? k : n, ldc: n };
    const numbers = { transposeA, transposeB, m, n, k, ...leading };
    const flops = 2 * m * n * k * (batch ?? 1);
    // A vector by a matrix reads every element once and uses it once: memory may be what limits it.
    const stream = Math.min(m, n) === 1 ? { reads: 1, writes: 0, bytes: 4 * (m * k + k * n + m * n) } : undefined;
    if (batch === undefined) return { calls: [{ kernel: 'gemm_f32', numbers }], output: 'c', flops, stream, threads };
    const strides = { batch, strideA: m * k, strideB: k * n, strideC: m * n };
    return { calls: [{ kernel: 'gemm_batched_f32', numbers: { ...numbers, ...strides } }], output: 'c', flops };
  },
  /** B does not change (weights at inference): it is laid out before the clock runs. */
  prepacked({ m, n, k }) {
    const numbers = { transposeA: 0, transposeB: 0, m, n, k, lda: k, ldb: n, ldc: n };
    const calls = [{ kernel: 'gemm_prepacked_f32', numbers }];
    return { before: [{ kernel: 'gemm_pack_b_f32', numbers }], calls, output: 'c', flops: 2 * m * n * k };
  },
  conv: conv2d('conv2d_f32'),
  winograd: conv2d('winograd_conv2d_f32'),
  unary({ name, length }) {
    return { calls: [{ kernel: `${name}_f32`, numbers: { length } }], output: 'y', stream: oneToOne(length) };
  },
  softmax({ rows, columns }) {
    return {
      calls: [{ kernel: 'softmax_f32', numbers: { rows, columns } }],
      output: 'y',
      stream: oneToOne(rows * columns),
    };
  },
  layerNorm({ rows, columns }) {
    return {
      calls: [{ kernel: 'layer_norm_f32', numbers: { rows, columns } }],
      output: 'y',
      stream: oneToOne(rows * columns),
    };
  },
  adam({ length }) {
    const numbers = {
      ...{ length, stepSize: 1e-3, beta1: 0.9, share1: 0.1, beta2: 0.999, share2: 0.001 },
      ...{ correctionRoot: 1, epsilon: 1e-8, weightDecay: 0, decoupled: 0 },
    };
    return {
      calls: [{ kernel: 'adam_f32', numbers, zero: ['mean', 'square'] }],
      stream: { reads: 4, writes: 3, bytes: 28 * length },
    };
  },
  // `places`: with the indices that a gradient needs (PyTorch has them in any case, the others in none).
  maxPool({ planes, h, kernel, stride, places }) {
    const windows = { kh: kernel, kw: kernel, strideH: stride, strideW: stride, paddingH: 0, paddingW: 0 };
    const bytes = 4 * planes * h * h * (places ? 1.5 : 1.25); // a value, and an index, for every four elements
    return {
      calls: [
        { kernel: places ? 'max_pool2d_f32' : 'max_pool2d_f32_values', numbers: { planes, h, w: h, ...windows } },
      ],
      output: 'y',
      stream: { reads: 2, writes: 1, bytes },
    };
  },
  averagePool({ planes, h, kernel, stride }) {
    const windows = { kh: kernel, kw: kernel, strideH: stride, strideW: stride, paddingH: 0, paddingW: 0 };
    const bytes = 4 * planes * h * h * 1.25;
    return {
      calls: [{ kernel: 'avg_pool2d_f32', numbers: { planes, h, w: h, ...windows } }],
      output: 'y',
      stream: { reads: 2, writes: 1, bytes },
    };
  },
  embedding({ vocabulary, count, columns }) {
    return {
      calls: [{ kernel: 'embedding_f32', numbers: { vocabulary, count, columns } }],
      indices: lookups(count, vocabulary),
      output: 'y',
      stream: oneToOne(count * columns),
    };
  },
  embeddingGradient({ vocabulary, count, columns }) {
    return {
      calls: [{ kernel: 'embedding_f32_gradient', numbers: { vocabulary, count, columns } }],
      indices: lookups(count, vocabulary),
      output: 'gradWeight',
      stream: { reads: 1, writes: 1, bytes: 4 * columns * (count + vocabulary) },
    };
  },
  /** y[n, m] = x[m, n] transposed: copy_strided over the layout [n, m] with strides [1, n]. */
  transpose({ m, n }) {
    const length = m * n;
    return {
      calls: [{ kernel: 'copy_strided_f32', numbers: { span: length, offset: 0, rank: 2, length, merged: 0 } }],
      layout: Int32Array.from([n, m, 1, n]),
      output: 'y',
      stream: oneToOne(length),
    };
  },
};

/** The runtime of the package: kernels by name, calls by pointer, memory. */
async function runtime() {
  const [{ kernels }, { callPointers, sizesOf }, memory, { setNumThreads }] = await Promise.all(
    ['kernels/index.js', 'kernels/runtime/call.js', 'kernels/runtime/memory.js', 'src/intra-op/index.js'].map(
      (file) => import(`../dist/${file}`),
    ),
  );
  return { kernels, setNumThreads, callPointers, sizesOf, ...memory };
}

/** What the work of a case is, without doing it. */
export function workOf({ op, ...shape }) {
  const { flops, stream, threads = 1 } = operations[op](shape);
  return { flops, stream, threads };
}

/**
 * Makes ready to run a case. `missing` names the kernels that do not exist yet.
 *
 * @returns {Promise<{ missing: string } | { runner: import('./race.mjs').Runner, digest: () => number[], close: () => void }>}
 */
export async function prepare({ op, ...shape }) {
  const { before = [], calls, output, indices, layout, threads = 1 } = operations[op](shape);
  const { kernels, setNumThreads, callPointers, sizesOf, allocate, free, f32, i32 } = await runtime();
  const missing = [...before, ...calls]
    .filter(({ kernel }) => kernels[kernel] === undefined)
    .map(({ kernel }) => kernel);
  if (missing.length > 0) return { missing: missing.join(', ') };
  const buffers = new Map();
  const given = { indices, layout };
  /** Parameters of one name in several calls are one buffer. */
  const bufferOf = (parameter, sizes, zero) => {
    const found = buffers.get(parameter.name);
    if (found) return found.pointer;
    const length = parameter.length(sizes);
    const pointer = allocate(Math.max(4, 4 * length));
    buffers.set(parameter.name, { pointer, length });
    const values = given[parameter.name];
    if (values) i32(pointer, length).set(values);
    else if (zero || seeds[parameter.name] === undefined) f32(pointer, length).fill(0);
    else f32(pointer, length).set(wave(length, seeds[parameter.name]));
    return pointer;
  };
  const bind = ({ kernel: name, numbers, zero = [] }) => {
    const kernel = kernels[name];
    const passed = kernel.parameters.filter(({ kind }) => kind !== 'scratch');
    const numberOf = (parameter) => {
      const value = numbers[parameter.name] ?? defaults[parameter.name];
      if (value === undefined)
        throw new Error(`bench: ${name} has a parameter "${parameter.name}" that rows do not set.`);
      return value;
    };
    const sizes = sizesOf(
      kernel,
      passed.map((parameter) => ('length' in parameter ? 0 : numberOf(parameter))),
    );
    const values = passed.map((parameter) => {
      if (!('length' in parameter)) return numberOf(parameter);
      return parameter.optional ? 0 : bufferOf(parameter, sizes, zero.includes(parameter.name));
    });
    return { kernel, values };
  };
  for (const { kernel, values } of before.map(bind)) callPointers(kernel, values);
  const bound = calls.map(bind);
  const once =
    bound.length === 1
      ? () => callPointers(bound[0].kernel, bound[0].values)
      : () => {
          for (const { kernel, values } of bound) callPointers(kernel, values);
        };
  const plain = inProcess('shoal', once);
  /** Only what is meant to run on several threads does. */
  const threaded = (repeats) => {
    setNumThreads(threads);
    try {
      return plain.run(repeats);
    } finally {
      setNumThreads(1);
    }
  };
  return {
    runner: threads > 1 ? { name: 'shoal', run: threaded } : plain,
    digest: () => {
      once();
      const { pointer, length } = buffers.get(output);
      return digest(f32(pointer, length));
    },
    hasDigest: output !== undefined,
    close: () => {
      for (const { pointer } of buffers.values()) free(pointer);
    },
  };
}
