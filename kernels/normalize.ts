/**
 * @file Layer normalisation of rows [rows, columns] and batch normalisation of channels [images, channels, inner] (inner = height * width, 1 after
 * a linear layer), forward and backward. Statistics take two passes, the mean first: no difference of large sums.
 */
import {
  anyAlignment,
  defineKernel,
  flag,
  input,
  of,
  output,
  type Round,
  type Sizes,
  scalar,
  scratch,
  size,
} from './define.ts';
import { arrayLike, columnOrder, rowOrder, sumColumn, sumRow } from './row.ts';

type Floats = Float32Array | Float64Array;

/** A buffer that may be absent. */
function optional<const K extends 'input' | 'output', const N extends string>(
  kind: K,
  name: N,
  length: (sizes: Sizes) => number,
  doc: string,
) {
  return { name, kind, type: 'float', length, optional: true, doc } as const;
}

/** Bytes of partial sums: 32 levels of pairing. */
const treeBytes = 128;
const paddedBytes = (length: number): number => 16 * Math.ceil(length / 4);

const matrix = of('rows', 'columns');
const [ofRows, ofColumns] = [of('rows'), of('columns')];
const rows = size('rows', 'number of rows');
const columns = size('columns', 'elements of a row, the normalised ones');
const epsilon = scalar('epsilon', 'added to the variance, inside the root');

/** (x - mean) * rstd. */
function normalOf(round: Round, x: number, mean: number, rstd: number): number {
  return round(round(x - mean) * rstd);
}

function rstdOf(round: Round, variance: number, eps: number): number {
  return round(1 / round(Math.sqrt(round(variance + eps))));
}

/** y = normal * weight[at] + bias[at], without what is absent. */
function affine(round: Round, normal: number, weight: Floats, bias: Floats, at: number): number {
  const scaled = weight.length > 0 ? round(normal * weight[at]!) : normal;
  return bias.length > 0 ? scaled + bias[at]! : scaled;
}

/** y = (x - mean) / sqrt(variance + epsilon) * weight + bias, with each row's own mean and variance. */
export const layer_norm_f32 = defineKernel({
  name: 'layer_norm_f32',
  summary:
    'y[r, c] = (x[r, c] - mean[r]) * rstd[r] * weight[c] + bias[c]; mean of x[r], rstd = 1 / sqrt(variance of x[r] + epsilon)',
  parameters: [
    input('x', matrix, '[rows, columns]'),
    optional('input', 'weight', ofColumns, '[columns], factor; absent means none'),
    optional('input', 'bias', ofColumns, '[columns], addend; absent means none'),
    output('y', matrix, '[rows, columns]'),
    optional('output', 'mean', ofRows, '[rows], for the gradient'),
    optional('output', 'rstd', ofRows, '[rows], reciprocal standard deviation, for the gradient'),
    rows,
    columns,
    epsilon,
    scratch('workspace', () => treeBytes, 'partial sums'),
  ],
  rules: {
    order: `mean = sum of x / columns; variance = sum of (x - mean)^2 / columns; rstd = 1 / sqrt(variance + epsilon); y = (((x - mean) * rstd) * weight) + bias, each operation rounded. Sums: ${rowOrder}`,
    aliasing: 'y may be x.',
    alignment: anyAlignment,
    edges:
      'The variance is divided by columns, not columns - 1. A row with NaN or inf is NaN. columns 0 gives mean and rstd NaN. A row in a batch has the bits that it has alone.',
  },
  reference: (
    round: Round,
    x: Floats,
    weight: Floats,
    bias: Floats,
    y: Floats,
    mean: Floats,
    rstd: Floats,
    rowCount: number,
    columnCount: number,
    eps: number,
  ) => {
    const n = round(columnCount);
    const squares = arrayLike(x, columnCount);
    for (let r = 0; r < rowCount; r++) {
      const start = r * columnCount;
      const m = round(sumRow(round, x, start, columnCount) / n);
      for (let c = 0; c < columnCount; c++) squares[c] = round(x[start + c]! - m) * round(x[start + c]! - m);
      const s = rstdOf(round, round(sumRow(round, squares, 0, columnCount) / n), eps);
      for (let c = 0; c < columnCount; c++)
        y[start + c] = affine(round, normalOf(round, x[start + c]!, m, s), weight, bias, c);
      if (mean.length > 0) mean[r] = m;
      if (rstd.length > 0) rstd[r] = s;
    }
  },
});

/** All gradients of layer_norm_f32 in one pass over the rows. */
export const layer_norm_f32_gradient = defineKernel({
  name: 'layer_norm_f32_gradient',
  summary:
    'g = gradY * weight, n = (x - mean) * rstd: gradX = (g - mean of g - n * mean of (g n)) * rstd, per row; gradWeight = sum over rows of gradY n; ' +
    'gradBias = sum over rows of gradY',
  parameters: [
    input('gradY', matrix, 'gradient of y'),
    input('x', matrix, '[rows, columns]'),
    optional('input', 'weight', ofColumns, '[columns]; absent means none'),
    input('mean', ofRows, 'as layer_norm_f32 left them'),
    input('rstd', ofRows, 'as layer_norm_f32 left them'),
    output('gradX', matrix, 'gradient of x'),
    optional('output', 'gradWeight', ofColumns, '[columns], gradient of weight'),
    optional('output', 'gradBias', ofColumns, '[columns], gradient of bias'),
    rows,
    columns,
    scratch(
      'workspace',
      ({ rows, columns }) => treeBytes + 2 * paddedBytes(columns!) + 2 * columnBytes(rows!, columns!),
      'partial sums of a row, two rows, two rows of column sums and the pairing of both',
    ),
  ],
  rules: {
    order: `n = (x - mean) * rstd; g = gradY * weight; a = sum of g / columns; b = sum of g * n / columns; gradX = ((g - a) - n * b) * rstd, each operation rounded. Sums over a row: ${rowOrder} Sums over the rows, of gradY * n and of gradY: ${columnOrder}`,
    aliasing: 'gradX may be gradY or x.',
    alignment: anyAlignment,
    edges: 'rows 0 gives gradWeight and gradBias +0. columns 0 touches nothing.',
  },
  reference: (
    round: Round,
    gradY: Floats,
    x: Floats,
    weight: Floats,
    mean: Floats,
    rstd: Floats,
    gradX: Floats,
    gradWeight: Floats,
    gradBias: Floats,
    rowCount: number,
    columnCount: number,
  ) => {
    const n = round(columnCount);
    const normals = arrayLike(x, rowCount * columnCount);
    normals.forEach((_, i) => {
      const r = Math.floor(i / columnCount);
      normals[i] = normalOf(round, x[i]!, mean[r]!, rstd[r]!);
    });
    // Before gradX, which may replace gradY.
    const products = multiplied(gradY, normals);
    for (let c = 0; c < gradWeight.length; c++) gradWeight[c] = sumColumn(round, products, c, rowCount, columnCount);
    for (let c = 0; c < gradBias.length; c++) gradBias[c] = sumColumn(round, gradY, c, rowCount, columnCount);
    const g = arrayLike(x, columnCount);
    for (let r = 0; r < rowCount; r++) {
      const start = r * columnCount;
      const normal = normals.subarray(start, start + columnCount);
      for (let c = 0; c < columnCount; c++)
        g[c] = weight.length > 0 ? gradY[start + c]! * weight[c]! : gradY[start + c]!;
      const a = round(sumRow(round, g, 0, columnCount) / n);
      const b = round(sumRow(round, multiplied(g, normal), 0, columnCount) / n);
      for (let c = 0; c < columnCount; c++)
        gradX[start + c] = round(round(g[c]! - a) - round(normal[c]! * b)) * rstd[r]!;
    }
  },
});

/** Products of the elements of `b` with those of `a`, rounded by storing. */
function multiplied(a: Floats, b: Floats): Floats {
  const products = arrayLike(b, b.length);
  for (let i = 0; i < b.length; i++) products[i] = a[i]! * b[i]!;
  return products;
}

const images3 = of('images', 'channels', 'inner');
const ofChannels = of('channels');
const batchSizes = [
  size('images', 'images in the batch'),
  size('channels', 'number of channels'),
  size('inner', 'elements of a plane: height times width'),
] as const;
const channelOrder = `The sum over a channel, inner = 1: over the images: ${columnOrder} Otherwise the sum of each image's plane, and the sum of these, both so: ${rowOrder}`;

/** Bytes of a row of sums and of the levels of its pairing. */
function columnBytes(rowCount: number, columnCount: number): number {
  return (1 + 32 - Math.clz32(Math.ceil(rowCount / 64))) * paddedBytes(columnCount);
}

/** The sum over images and planes of one channel, of f(element). */
function sumChannel(
  round: Round,
  like: Floats,
  [imageCount, channelCount, inner]: readonly [number, number, number],
  channel: number,
  f: (at: number) => number,
): number {
  const [plane, sums] = [arrayLike(like, inner), arrayLike(like, imageCount)];
  if (inner === 1) {
    for (let image = 0; image < imageCount; image++) sums[image] = f(image * channelCount + channel);
    return sumColumn(round, sums, 0, imageCount, 1);
  }
  for (let image = 0; image < imageCount; image++) {
    const start = (image * channelCount + channel) * inner;
    for (let i = 0; i < inner; i++) plane[i] = f(start + i);
    sums[image] = sumRow(round, plane, 0, inner);
  }
  return sumRow(round, sums, 0, imageCount);
}

/** Calls `use` with every position of one channel. */
function eachOfChannel(
  [imageCount, channelCount, inner]: readonly [number, number, number],
  channel: number,
  use: (at: number) => void,
): void {
  for (let image = 0; image < imageCount; image++) {
    const start = (image * channelCount + channel) * inner;
    for (let i = 0; i < inner; i++) use(start + i);
  }
}

/**
 * Batch normalisation in training: each channel with its own mean and variance over the batch. Running statistics are the caller's: with
 * n = images * inner, runningMean = (1 - momentum) * runningMean + momentum * mean, and the same with variance * n / (n - 1) for the variance.
 *
 * @see https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html
 */
export const batch_norm_f32 = defineKernel({
  name: 'batch_norm_f32',
  summary:
    'y[n, c, i] = (x[n, c, i] - mean[c]) * rstd[c] * weight[c] + bias[c]; mean and variance of x[:, c, :], rstd = 1 / sqrt(variance + epsilon)',
  parameters: [
    input('x', images3, '[images, channels, inner]'),
    optional('input', 'weight', ofChannels, '[channels], factor; absent means none'),
    optional('input', 'bias', ofChannels, '[channels], addend; absent means none'),
    output('y', images3, '[images, channels, inner]'),
    output('mean', ofChannels, '[channels]'),
    output('variance', ofChannels, '[channels], divided by images * inner (biased)'),
    output('rstd', ofChannels, '[channels], reciprocal standard deviation, for the gradient'),
    ...batchSizes,
    epsilon,
    scratch(
      'workspace',
      ({ images, channels, inner }) =>
        inner === 1 ? columnBytes(images!, channels!) : treeBytes + paddedBytes(images!),
      'partial sums, and one sum an image; inner = 1: a row of sums and its pairing',
    ),
  ],
  rules: {
    order: `mean = sum of x / n; variance = sum of (x - mean)^2 / n, n = images * inner; rstd = 1 / sqrt(variance + epsilon); y = (((x - mean) * rstd) * weight) + bias, each operation rounded. ${channelOrder}`,
    aliasing: 'y may be x.',
    alignment: anyAlignment,
    edges: 'A channel with NaN or inf is NaN. images 0 or inner 0 gives statistics NaN.',
  },
  reference: (
    round: Round,
    x: Floats,
    weight: Floats,
    bias: Floats,
    y: Floats,
    mean: Floats,
    variance: Floats,
    rstd: Floats,
    imageCount: number,
    channelCount: number,
    inner: number,
    eps: number,
  ) => {
    const shape = [imageCount, channelCount, inner] as const;
    const n = round(imageCount * inner);
    for (let c = 0; c < channelCount; c++) {
      const m = round(sumChannel(round, x, shape, c, (at) => x[at]!) / n);
      const squares = sumChannel(round, x, shape, c, (at) => round(x[at]! - m) * round(x[at]! - m));
      const v = round(squares / n);
      const s = rstdOf(round, v, eps);
      eachOfChannel(shape, c, (at) => {
        y[at] = affine(round, normalOf(round, x[at]!, m, s), weight, bias, c);
      });
      mean[c] = m;
      variance[c] = v;
      rstd[c] = s;
    }
  },
});

/** Batch normalisation with given (running) statistics. */
export const batch_norm_f32_inference = defineKernel({
  name: 'batch_norm_f32_inference',
  summary: 'y[n, c, i] = (x[n, c, i] - mean[c]) / sqrt(variance[c] + epsilon) * weight[c] + bias[c]',
  parameters: [
    input('x', images3, '[images, channels, inner]'),
    optional('input', 'weight', ofChannels, '[channels], factor; absent means none'),
    optional('input', 'bias', ofChannels, '[channels], addend; absent means none'),
    input('mean', ofChannels, '[channels]'),
    input('variance', ofChannels, '[channels], >= 0'),
    output('y', images3, '[images, channels, inner]'),
    ...batchSizes,
    epsilon,
    scratch('workspace', ({ channels, inner }) => (inner === 1 ? 4 * channels! : 0), 'rstd, where inner = 1'),
  ],
  rules: {
    order:
      'rstd = 1 / sqrt(variance + epsilon); y = (((x - mean) * rstd) * weight) + bias, each operation rounded, as in training.',
    aliasing: 'y may be x.',
    alignment: anyAlignment,
    edges: 'An image in a batch has the bits that it has alone.',
  },
  reference: (
    round: Round,
    x: Floats,
    weight: Floats,
    bias: Floats,
    mean: Floats,
    variance: Floats,
    y: Floats,
    imageCount: number,
    channelCount: number,
    inner: number,
    eps: number,
  ) => {
    for (let c = 0; c < channelCount; c++) {
      const s = rstdOf(round, variance[c]!, eps);
      eachOfChannel([imageCount, channelCount, inner], c, (at) => {
        y[at] = affine(round, normalOf(round, x[at]!, mean[c]!, s), weight, bias, c);
      });
    }
  },
});

/** All gradients of batch normalisation, of both forms. */
export const batch_norm_f32_gradient = defineKernel({
  name: 'batch_norm_f32_gradient',
  summary:
    'n = (x - mean) * rstd: gradBias = sum of gradY, gradWeight = sum of gradY n, over images and planes; ' +
    'gradX = (gradY - (training ? mean of gradY + n * mean of (gradY n) : 0)) * (weight * rstd)',
  parameters: [
    input('gradY', images3, 'gradient of y'),
    input('x', images3, '[images, channels, inner]'),
    optional('input', 'weight', ofChannels, '[channels]; absent means none'),
    input('mean', ofChannels, 'that the forward pass used'),
    input('rstd', ofChannels, '1 / sqrt(variance + epsilon) that the forward pass used'),
    output('gradX', images3, 'gradient of x'),
    optional('output', 'gradWeight', ofChannels, '[channels], gradient of weight'),
    optional('output', 'gradBias', ofChannels, '[channels], gradient of bias'),
    ...batchSizes,
    flag('training', '1: mean and rstd are functions of x; 0: they are constants'),
    scratch(
      'workspace',
      ({ images, channels, inner }) =>
        inner === 1
          ? 2 * paddedBytes(channels!) + columnBytes(images!, channels!)
          : treeBytes + 2 * paddedBytes(images!),
      'partial sums, and two sums an image; inner = 1: three rows of sums and the pairing of one',
    ),
  ],
  rules: {
    order: `n = (x - mean) * rstd; b = sum of gradY; w = sum of gradY * n; gradX = ((gradY - b / count) - n * (w / count)) * (weight * rstd), or gradY * (weight * rstd), each operation rounded, count = images * inner. ${channelOrder}`,
    aliasing: 'gradX may be gradY or x.',
    alignment: anyAlignment,
    edges: 'images 0 or inner 0 gives gradWeight and gradBias +0.',
  },
  reference: (
    round: Round,
    gradY: Floats,
    x: Floats,
    weight: Floats,
    mean: Floats,
    rstd: Floats,
    gradX: Floats,
    gradWeight: Floats,
    gradBias: Floats,
    imageCount: number,
    channelCount: number,
    inner: number,
    training: number,
  ) => {
    const shape = [imageCount, channelCount, inner] as const;
    const count = round(imageCount * inner);
    for (let c = 0; c < channelCount; c++) {
      const normal = (at: number): number => normalOf(round, x[at]!, mean[c]!, rstd[c]!);
      const biasSum = sumChannel(round, x, shape, c, (at) => gradY[at]!);
      const weightSum = sumChannel(round, x, shape, c, (at) => gradY[at]! * normal(at));
      const [a, b] = [round(biasSum / count), round(weightSum / count)];
      const scale = weight.length > 0 ? round(weight[c]! * rstd[c]!) : rstd[c]!;
      eachOfChannel(shape, c, (at) => {
        const d = gradY[at]!;
        gradX[at] = (training === 0 ? d : round(round(d - a) - round(normal(at) * b))) * scale;
      });
      if (gradWeight.length > 0) gradWeight[c] = weightSum;
      if (gradBias.length > 0) gradBias[c] = biasSum;
    }
  },
});
