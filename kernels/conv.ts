/** @file Two-dimensional convolution (cross-correlation, as PyTorch's Conv2d) on NCHW, and its gradients. */
import { BlockedSum, blockLength } from './blocks.ts';
import { anyAlignment, defineKernel, input, of, output, type Round, type Sizes, scratch, size } from './define.ts';

type Floats = Float32Array | Float64Array;

const sizes = [
  size('n', 'images, may be 0'),
  size('c', 'input channels, at least 1'),
  size('h', 'input height, at least 1'),
  size('w', 'input width, at least 1'),
  size('o', 'output channels, at least 1'),
  size('kh', 'kernel height, 1 to h + 2 * paddingH'),
  size('kw', 'kernel width, 1 to w + 2 * paddingW'),
  size('strideH', 'rows from one output to the next, at least 1'),
  size('strideW', 'columns from one output to the next, at least 1'),
  size('paddingH', 'rows of zeros above and below'),
  size('paddingW', 'columns of zeros left and right'),
] as const;

/** The eleven sizes by name. */
type ConvSizes = Readonly<Record<(typeof sizes)[number]['name'], number>>;

type NumberEach<T extends readonly unknown[]> = { readonly [I in keyof T]: number };

/** The eleven sizes in contract order. */
type SizeValues = NumberEach<typeof sizes>;

const all = (values: Sizes): ConvSizes => values as unknown as ConvSizes;

/**
 * Outputs along one dimension: floor((size + 2 * padding - kernel) / stride) + 1.
 *
 * @example
 * convolutionOutputs(28, 5, 1, 2); // => 28
 */
export function convolutionOutputs(size: number, kernel: number, stride: number, padding: number): number {
  return Math.floor((size + 2 * padding - kernel) / stride) + 1;
}

function outputSizes({ h, w, kh, kw, strideH, strideW, paddingH, paddingW }: ConvSizes): readonly [number, number] {
  return [convolutionOutputs(h, kh, strideH, paddingH), convolutionOutputs(w, kw, strideW, paddingW)];
}

/** Elements of y and gradY. */
function outputLength(values: Sizes): number {
  const [ho, wo] = outputSizes(all(values));
  return all(values).n * all(values).o * ho * wo;
}

const imageLength = of('n', 'c', 'h', 'w');
const weightLength = of('o', 'c', 'kh', 'kw');

/** Bytes of `count` floats, rounded up to a vector, as assembly/conv.ts lays its regions out. */
const floatBytes = (count: number): number => Math.ceil(count / 4) * 16;
const tileBytes = 128;
const panelBytes = 32 * blockLength;

/** One padded image, its rows rounded up to a multiple of the stride. */
function paddedBytes({ c, h, w, strideW, paddingH, paddingW }: ConvSizes): number {
  return floatBytes(c * (h + 2 * paddingH) * Math.ceil((w + 2 * paddingW) / strideW) * strideW);
}

/** What assembly/conv-lanes.ts needs for a convolution of `channels` source planes to `rows` result planes; 0 where it is not used. */
function laneBytes(
  s: ConvSizes,
  channels: number,
  [hs, ws]: readonly [number, number],
  rows: number,
  [h, w]: readonly [number, number],
): number {
  const taps = channels * s.kh * s.kw;
  const quads = Math.ceil(rows / 4);
  const rowBound = Math.min(h, 2 * s.kh + s.strideH);
  const columnBound = Math.min(w, 2 * s.kw + s.strideW);
  const pairs = rowBound * columnBound;
  const lists = pairs * (4 + 8 * Math.ceil(taps / blockLength)) + 8 * pairs * taps + 16;
  const weights = taps * quads * 64;
  const pixels = channels * hs * ws * 32;
  if (s.n < 4 || weights > 2 ** 18 || pixels > 2 ** 18 || lists > 2 ** 19) return 0;
  const lines = 8 * (h + w) + 16 * (rowBound + columnBound);
  const sums = 128 * w * Math.min(h, Math.max(1, Math.floor(2 ** 15 / (128 * w))));
  return weights + quads * 64 + lines + floatBytes(pairs) + Math.ceil(lists / 16) * 16 + pixels + sums;
}

function forwardScratch(values: Sizes): number {
  const s = all(values);
  return Math.max(positionBytes(s), laneBytes(s, s.c, [s.h, s.w], s.o, outputSizes(s)));
}

function positionBytes(s: ConvSizes): number {
  return tileBytes + panelBytes + floatBytes(s.o + 4) + floatBytes(s.c * s.kh * s.kw) + paddedBytes(s);
}

function dataScratch(values: Sizes): number {
  const s = all(values);
  const [ho, wo] = outputSizes(s);
  const top = Math.floor((s.kh - 1) / s.strideH);
  const left = Math.floor((s.kw - 1) / s.strideW);
  const rows = top + Math.max(ho, Math.floor((s.h - 1 + s.paddingH) / s.strideH) + 1);
  const columns = left + Math.max(wo, Math.floor((s.w - 1 + s.paddingW) / s.strideW) + 1);
  const taps = s.o * (top + 1) * (left + 1);
  const positions =
    tileBytes + panelBytes + floatBytes(taps) + floatBytes(taps * (s.c + 4)) + floatBytes(s.o * rows * columns);
  return Math.max(positions, laneBytes(s, s.o, [ho, wo], s.c, [s.h, s.w]));
}

function filterScratch(values: Sizes): number {
  const s = all(values);
  const [ho, wo] = outputSizes(s);
  const taps = s.c * s.kh * s.kw;
  const sums = Math.ceil(taps / 4) * Math.ceil(s.o / 8) * tileBytes;
  return Math.max(floatBytes(taps + 4) + sums + ho * wo * 32 + paddedBytes(s), filterLaneBytes(s));
}

function filterLaneBytes(s: ConvSizes): number {
  const [ho, wo] = outputSizes(s);
  const blocks = Math.ceil(ho / Math.max(1, Math.floor(blockLength / wo)));
  const sums = blocks * s.o * s.c * s.kh * s.kw * 16;
  const pixels = s.c * (s.h + 2 * s.paddingH) * (s.w + 2 * s.paddingW) * 16;
  if (s.n < 3 || sums > 2 ** 18 || pixels > 2 ** 18) return 0;
  return ho * wo * 32 + sums + pixels;
}

const sharedRules = {
  aliasing: 'The output overlaps no input.',
  alignment: anyAlignment,
};

/** Why kernels may leave out taps in the padding. */
const leftOut =
  'While all weights are finite that is +0 or -0, which changes no sum, because a sum that starts at +0 is never -0 (and a NaN stays a NaN): ' +
  'then a kernel may leave such taps out. They count where blocks end.';

const block =
  'in blocks of 256: for each block, sum = +0, then sum = sum + product in order, product and sum each rounded (no fused multiply-add); then the ' +
  'block sums are added to the result in order.';

/** Element (row, column) of a plane that starts at `plane`, or the zero of the padding around it. */
function at(x: Floats, plane: number, h: number, w: number, row: number, column: number): number {
  return row < 0 || row >= h || column < 0 || column >= w ? 0 : x[plane + row * w + column]!;
}

/**
 * y[n,o,p,q] = bias[o] + sum over c, i, j of weight[o,c,i,j] * x[n, c, p * strideH + i - paddingH, q * strideW + j - paddingW].
 *
 * Shapes: x [n, c, h, w], weight [o, c, kh, kw], bias [o] or absent, y [n, o, ho, wo], ho = floor((h + 2 * paddingH - kh) / strideH) + 1.
 *
 * @see https://pytorch.org/docs/stable/generated/torch.nn.Conv2d.html (groups 1, dilation 1)
 * @example
 * const y = new Float32Array(4);
 * callArrays(conv2d_f32_forward, {
 *   x: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9), weight: Float32Array.of(1, 1, 1, 1), bias: Float32Array.of(0), y, n: 1, c: 1, h: 3,
 *   w: 3, o: 1, kh: 2, kw: 2, strideH: 1, strideW: 1, paddingH: 0, paddingW: 0,
 * });
 * y; // => [12, 16, 24, 28]
 */
export const conv2d_f32_forward = defineKernel({
  name: 'conv2d_f32_forward',
  summary: 'y = conv(x, weight) + bias',
  parameters: [
    input('x', imageLength, '[n, c, h, w]'),
    input('weight', weightLength, '[o, c, kh, kw]'),
    { name: 'bias', kind: 'input', type: 'float', length: of('o'), optional: true, doc: '[o]' },
    output('y', outputLength, '[n, o, ho, wo]'),
    ...sizes,
    scratch('workspace', forwardScratch, 'tap offsets, one padded image, one panel of patches'),
  ],
  rules: {
    ...sharedRules,
    order: `Each element starts with its bias (+0 if absent); its taps (c, i, j), in the order of the weights, are summed ${block}`,
    edges:
      `n 0 touches nothing. A tap in the padding contributes weight * 0 (so an infinite weight gives NaN there, as in PyTorch). ${leftOut} ` +
      'No element depends on other images.',
  },
  reference: (round: Round, x: Floats, weight: Floats, bias: Floats, y: Floats, ...given: SizeValues) => {
    const [n, c, h, w, o, kh, kw, strideH, strideW, paddingH, paddingW] = given;
    const ho = convolutionOutputs(h, kh, strideH, paddingH);
    const wo = convolutionOutputs(w, kw, strideW, paddingW);
    let to = 0;
    for (let image = 0; image < n; image++)
      for (let out = 0; out < o; out++)
        for (let p = 0; p < ho; p++)
          for (let q = 0; q < wo; q++) {
            const total = new BlockedSum(round, bias.length === 0 ? 0 : bias[out]!);
            let tap = out * c * kh * kw;
            for (let channel = 0; channel < c; channel++)
              for (let i = 0; i < kh; i++)
                for (let j = 0; j < kw; j++) {
                  const plane = (image * c + channel) * h * w;
                  const value = at(x, plane, h, w, p * strideH + i - paddingH, q * strideW + j - paddingW);
                  total.add(round(weight[tap++]! * value));
                }
            total.endBlock();
            y[to++] = total.result;
          }
  },
});

/**
 * gradX[n,c,y,x] = sum over o, i, j of weight[o,c,i,j] * gradY[n, o, (y + paddingH - i) / strideH, (x + paddingW - j) / strideW], over the taps
 * where both divisions leave no remainder: the gradient of conv2d_f32_forward with respect to x.
 *
 * Shapes as in conv2d_f32_forward; gradY like y, gradX like x.
 */
export const conv2d_f32_backward_data = defineKernel({
  name: 'conv2d_f32_backward_data',
  summary: 'gradX = the transpose of conv(., weight), applied to gradY',
  parameters: [
    input('gradY', outputLength, '[n, o, ho, wo]'),
    input('weight', weightLength, '[o, c, kh, kw]'),
    output('gradX', imageLength, '[n, c, h, w]'),
    ...sizes,
    scratch('workspace', dataScratch, 'tap offsets, packed weights, one padded gradient, one panel of patches'),
  ],
  rules: {
    ...sharedRules,
    order:
      'Each pixel starts with +0; the taps (o, i, j) whose row and column it meets (i = y + paddingH mod strideH, j likewise), in the order of ' +
      `the weights, are summed ${block}`,
    edges:
      'n 0 touches nothing. A tap that meets its pixel from outside gradY contributes weight * 0 (so an infinite weight gives NaN there). ' +
      `${leftOut} A pixel that no tap meets is +0. No element depends on other images.`,
  },
  reference: (round: Round, gradY: Floats, weight: Floats, gradX: Floats, ...given: SizeValues) => {
    const [n, c, h, w, o, kh, kw, strideH, strideW, paddingH, paddingW] = given;
    const ho = convolutionOutputs(h, kh, strideH, paddingH);
    const wo = convolutionOutputs(w, kw, strideW, paddingW);
    let to = 0;
    for (let image = 0; image < n; image++)
      for (let channel = 0; channel < c; channel++)
        for (let y = 0; y < h; y++)
          for (let x = 0; x < w; x++) {
            const total = new BlockedSum(round, 0);
            for (let out = 0; out < o; out++)
              for (let i = (y + paddingH) % strideH; i < kh; i += strideH)
                for (let j = (x + paddingW) % strideW; j < kw; j += strideW) {
                  const plane = (image * o + out) * ho * wo;
                  const value = at(gradY, plane, ho, wo, (y + paddingH - i) / strideH, (x + paddingW - j) / strideW);
                  total.add(round(weight[((out * c + channel) * kh + i) * kw + j]! * value));
                }
            total.endBlock();
            gradX[to++] = total.result;
          }
  },
});

/**
 * gradWeight[o,c,i,j] = sum over n, p, q of gradY[n,o,p,q] * x[n, c, p * strideH + i - paddingH, q * strideW + j - paddingW]: the gradient of
 * conv2d_f32_forward with respect to the weight, summed over the images.
 *
 * Shapes as in conv2d_f32_forward; gradY like y, gradWeight like weight.
 */
export const conv2d_f32_backward_filter = defineKernel({
  name: 'conv2d_f32_backward_filter',
  summary: 'gradWeight = sum over images and positions of gradY * patches of x',
  parameters: [
    input('x', imageLength, '[n, c, h, w]'),
    input('gradY', outputLength, '[n, o, ho, wo]'),
    output('gradWeight', weightLength, '[o, c, kh, kw]'),
    ...sizes,
    scratch('workspace', filterScratch, 'tap offsets, running sums, one padded image, one panel of gradients'),
  ],
  rules: {
    ...sharedRules,
    order:
      'Each element starts with +0. Output rows are taken max(1, floor(256 / wo)) at a time, within one image, images in order. For each such ' +
      'block: sum = +0, then sum = sum + gradY * x for its positions (p, q) in order, product and sum each rounded (no fused multiply-add); then ' +
      'the block sums are added to the result in order.',
    edges: 'n 0 gives +0. A position whose tap lies in the padding contributes gradY * 0.',
  },
  reference: (round: Round, x: Floats, gradY: Floats, gradWeight: Floats, ...given: SizeValues) => {
    const [n, c, h, w, o, kh, kw, strideH, strideW, paddingH, paddingW] = given;
    const ho = convolutionOutputs(h, kh, strideH, paddingH);
    const wo = convolutionOutputs(w, kw, strideW, paddingW);
    const blockRows = Math.max(1, Math.floor(blockLength / wo));
    let to = 0;
    for (let out = 0; out < o; out++)
      for (let channel = 0; channel < c; channel++)
        for (let i = 0; i < kh; i++)
          for (let j = 0; j < kw; j++) {
            let result = 0;
            for (let image = 0; image < n; image++)
              for (let first = 0; first < ho; first += blockRows) {
                let sum = 0;
                for (let p = first; p < Math.min(ho, first + blockRows); p++)
                  for (let q = 0; q < wo; q++) {
                    const plane = (image * c + channel) * h * w;
                    const value = at(x, plane, h, w, p * strideH + i - paddingH, q * strideW + j - paddingW);
                    sum = round(sum + round(gradY[((image * o + out) * ho + p) * wo + q]! * value));
                  }
                result = round(result + sum);
              }
            gradWeight[to++] = result;
          }
  },
});
