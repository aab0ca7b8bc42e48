/** @file Two-dimensional convolution (cross-correlation, as PyTorch's Conv2d) on NCHW, and its gradients. */
import { BlockedSum, blockLength } from './blocks.ts';
import {
  convolutionOutputs,
  convolutionWork,
  dataScratch,
  filterScratch,
  forwardScratch,
  outputLength,
  weightLength,
} from './conv-sizes.ts';
import { anyAlignment, defineKernel, input, of, output, type Round, scratch, size } from './define.ts';

import { activationParameters, clampRule, endingBytes, endProduct } from './product.ts';

export { convolutionOutputs };

type Floats = Float32Array | Float64Array;

const sizes = [
  size('n', 'images, may be 0'),
  size('c', 'input channels, at least 1'),
  size('h', 'input height, at least 1'),
  size('w', 'input width, at least 1'),
  size('o', 'output channels, at least 1'),
  size('kh', 'kernel height; dilationH * (kh - 1) + 1 is at most h + 2 * paddingH'),
  size('kw', 'kernel width; dilationW * (kw - 1) + 1 is at most w + 2 * paddingW'),
  size('strideH', 'rows from one output to the next, at least 1'),
  size('strideW', 'columns from one output to the next, at least 1'),
  size('paddingH', 'rows of zeros above and below'),
  size('paddingW', 'columns of zeros left and right'),
  size('dilationH', 'rows from one tap to the next, at least 1'),
  size('dilationW', 'columns from one tap to the next, at least 1'),
  size('groups', 'groups of channels that do not see each other; divides c and o'),
] as const;

type NumberEach<T extends readonly unknown[]> = { readonly [I in keyof T]: number };

/** The sizes in contract order. */
type SizeValues = NumberEach<typeof sizes>;

const imageLength = of('n', 'c', 'h', 'w');

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

/** The definition of the forward kernels, without an ending. */
function convolve(round: Round, x: Floats, weight: Floats, bias: Floats, y: Floats, ...given: SizeValues): void {
  const [n, c, h, w, o, kh, kw, strideH, strideW, paddingH, paddingW, dilationH, dilationW, groups] = given;
  const ho = convolutionOutputs(h, kh, strideH, paddingH, dilationH);
  const wo = convolutionOutputs(w, kw, strideW, paddingW, dilationW);
  const [each, outEach] = [c / groups, o / groups];
  let to = 0;
  for (let image = 0; image < n; image++)
    for (let out = 0; out < o; out++)
      for (let p = 0; p < ho; p++)
        for (let q = 0; q < wo; q++) {
          const total = new BlockedSum(round, bias.length === 0 ? 0 : bias[out]!);
          let tap = out * each * kh * kw;
          const first = Math.floor(out / outEach) * each;
          for (let channel = first; channel < first + each; channel++)
            for (let i = 0; i < kh; i++)
              for (let j = 0; j < kw; j++) {
                const plane = (image * c + channel) * h * w;
                const [row, column] = [p * strideH + i * dilationH - paddingH, q * strideW + j * dilationW - paddingW];
                total.add(round(weight[tap++]! * at(x, plane, h, w, row, column)));
              }
          total.endBlock();
          y[to++] = total.result;
        }
}

/**
 * y[n,o,p,q] = bias[o] + sum over c, i, j of weight[o,c,i,j] * x[n, g + c, p * strideH + i * dilationH - paddingH, q * strideW + j * dilationW -
 * paddingW], with c over the c / groups channels of o's group, which start at channel g.
 *
 * Shapes: x [n, c, h, w], weight [o, c / groups, kh, kw], bias [o] or absent, y [n, o, ho, wo], ho = floor((h + 2 * paddingH - dilationH *
 * (kh - 1) - 1) / strideH) + 1.
 *
 * @see https://pytorch.org/docs/stable/generated/torch.nn.Conv2d.html
 * @example
 * const y = new Float32Array(4);
 * callArrays(conv2d_f32_forward, {
 *   x: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9), weight: Float32Array.of(1, 1, 1, 1), bias: Float32Array.of(0), y, n: 1, c: 1, h: 3,
 *   w: 3, o: 1, kh: 2, kw: 2, strideH: 1, strideW: 1, paddingH: 0, paddingW: 0,
 *   dilationH: 1, dilationW: 1, groups: 1,
 * });
 * y; // => [12, 16, 24, 28]
 */
export const conv2d_f32_forward = defineKernel({
  name: 'conv2d_f32_forward',
  summary: 'y = conv(x, weight) + bias',
  work: convolutionWork,
  parameters: [
    input('x', imageLength, '[n, c, h, w]'),
    input('weight', weightLength, '[o, c / groups, kh, kw]'),
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
  reference: convolve,
});

/**
 * A convolution and what follows it in one pass: y = activation(conv2d(x, weight) + bias + residual), the results still in cache. The bits are those of the
 * separate kernels, one after the other.
 *
 * Shapes: as in conv2d_f32_forward; residual like y.
 *
 * @example
 * const y = new Float32Array(2);
 * callArrays(conv2d_fused_f32_forward, {
 *   x: Float32Array.of(1, -1), weight: Float32Array.of(3), bias: Float32Array.of(1), y, n: 1, c: 1, h: 1, w: 2, o: 1, kh: 1, kw: 1,
 *   strideH: 1, strideW: 1, paddingH: 0, paddingW: 0, dilationH: 1, dilationW: 1, groups: 1, activation: activations.clamp, low: 0, high: Infinity,
 * });
 * y; // => [4, 0]
 */
export const conv2d_fused_f32_forward = defineKernel({
  name: 'conv2d_fused_f32_forward',
  summary: 'y = activation(conv(x, weight) + bias + residual)',
  work: convolutionWork,
  parameters: [
    input('x', imageLength, '[n, c, h, w]'),
    input('weight', weightLength, '[o, c / groups, kh, kw]'),
    { name: 'bias', kind: 'input', type: 'float', length: of('o'), optional: true, doc: '[o]' },
    { name: 'residual', kind: 'input', type: 'float', length: outputLength, optional: true, doc: '[n, o, ho, wo]' },
    output('y', outputLength, '[n, o, ho, wo]'),
    ...sizes,
    ...activationParameters,
    scratch(
      'workspace',
      (values) => endingBytes + forwardScratch(values),
      'the ending, tap offsets, one padded image, one panel of patches',
    ),
  ],
  rules: {
    ...sharedRules,
    order:
      `${conv2d_f32_forward.rules.order} Then + residual (rounded), and the activation: the bits of conv2d_f32_forward, add_f32 and the ` +
      "activation's kernel.",
    edges: `${conv2d_f32_forward.rules.edges} ${clampRule}`,
  },
  reference: (
    round: Round,
    x: Floats,
    weight: Floats,
    bias: Floats,
    residual: Floats,
    y: Floats,
    ...given: readonly [...SizeValues, activation: number, low: number, high: number]
  ) => {
    const values = given.slice(0, sizes.length) as unknown as SizeValues;
    const [activation, low, high] = given.slice(sizes.length) as [number, number, number];
    convolve(round, x, weight, bias, y, ...values);
    const count = outputLength(Object.fromEntries(sizes.map(({ name }, index) => [name, values[index]!])));
    endProduct(round, [1, count], y, count, new Float32Array(0), residual, count, [activation, low, high]);
  },
});

/**
 * gradX[n,c,y,x] = sum over o, i, j of weight[o,c,i,j] * gradY[n, o, (y + paddingH - i * dilationH) / strideH, (x + paddingW - j * dilationW) /
 * strideW], over the outputs o of c's group and the taps where both divisions leave no remainder: the gradient of conv2d_f32_forward with
 * respect to x, and the forward pass of a transposed convolution.
 *
 * Shapes as in conv2d_f32_forward; gradY like y, gradX like x.
 */
export const conv2d_f32_backward_data = defineKernel({
  name: 'conv2d_f32_backward_data',
  summary: 'gradX = the transpose of conv(., weight), applied to gradY',
  work: convolutionWork,
  parameters: [
    input('gradY', outputLength, '[n, o, ho, wo]'),
    input('weight', weightLength, '[o, c / groups, kh, kw]'),
    output('gradX', imageLength, '[n, c, h, w]'),
    ...sizes,
    scratch('workspace', dataScratch, 'tap offsets, packed weights, one padded gradient, one panel of patches'),
  ],
  rules: {
    ...sharedRules,
    order:
      'Each pixel starts with +0; the taps (o, i, j) whose row and column it meets (i * dilationH = y + paddingH mod strideH, j likewise), in ' +
      `the order of the weights, are summed ${block}`,
    edges:
      'n 0 touches nothing. A tap that meets its pixel from outside gradY contributes weight * 0 (so an infinite weight gives NaN there). ' +
      `${leftOut} A pixel that no tap meets is +0. No element depends on other images.`,
  },
  reference: (round: Round, gradY: Floats, weight: Floats, gradX: Floats, ...given: SizeValues) => {
    const [n, c, h, w, o, kh, kw, strideH, strideW, paddingH, paddingW, dilationH, dilationW, groups] = given;
    const ho = convolutionOutputs(h, kh, strideH, paddingH, dilationH);
    const wo = convolutionOutputs(w, kw, strideW, paddingW, dilationW);
    const [each, outEach] = [c / groups, o / groups];
    let to = 0;
    for (let image = 0; image < n; image++)
      for (let channel = 0; channel < c; channel++)
        for (let y = 0; y < h; y++)
          for (let x = 0; x < w; x++) {
            const total = new BlockedSum(round, 0);
            const first = Math.floor(channel / each) * outEach;
            for (let out = first; out < first + outEach; out++)
              for (let i = 0; i < kh; i++)
                for (let j = 0; j < kw; j++) {
                  const row = (y + paddingH - i * dilationH) / strideH;
                  const column = (x + paddingW - j * dilationW) / strideW;
                  if (!Number.isInteger(row) || !Number.isInteger(column)) continue;
                  const plane = (image * o + out) * ho * wo;
                  const factor = weight[((out * each + (channel % each)) * kh + i) * kw + j]!;
                  total.add(round(factor * at(gradY, plane, ho, wo, row, column)));
                }
            total.endBlock();
            gradX[to++] = total.result;
          }
  },
});

/**
 * gradWeight[o,c,i,j] = sum over n, p, q of gradY[n,o,p,q] * x[n, g + c, p * strideH + i * dilationH - paddingH, q * strideW + j *
 * dilationW - paddingW], g the first channel of o's group: the gradient of
 * conv2d_f32_forward with respect to the weight, summed over the images.
 *
 * Shapes as in conv2d_f32_forward; gradY like y, gradWeight like weight.
 */
export const conv2d_f32_backward_filter = defineKernel({
  name: 'conv2d_f32_backward_filter',
  summary: 'gradWeight = sum over images and positions of gradY * patches of x',
  work: convolutionWork,
  parameters: [
    input('x', imageLength, '[n, c, h, w]'),
    input('gradY', outputLength, '[n, o, ho, wo]'),
    output('gradWeight', weightLength, '[o, c / groups, kh, kw]'),
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
    const [n, c, h, w, o, kh, kw, strideH, strideW, paddingH, paddingW, dilationH, dilationW, groups] = given;
    const ho = convolutionOutputs(h, kh, strideH, paddingH, dilationH);
    const wo = convolutionOutputs(w, kw, strideW, paddingW, dilationW);
    const [each, outEach] = [c / groups, o / groups];
    const blockRows = Math.max(1, Math.floor(blockLength / wo));
    let to = 0;
    for (let out = 0; out < o; out++)
      for (let channel = 0; channel < each; channel++)
        for (let i = 0; i < kh; i++)
          for (let j = 0; j < kw; j++) {
            const source = Math.floor(out / outEach) * each + channel;
            let result = 0;
            for (let image = 0; image < n; image++)
              for (let first = 0; first < ho; first += blockRows) {
                let sum = 0;
                for (let p = first; p < Math.min(ho, first + blockRows); p++)
                  for (let q = 0; q < wo; q++) {
                    const plane = (image * c + source) * h * w;
                    const [row, column] = [
                      p * strideH + i * dilationH - paddingH,
                      q * strideW + j * dilationW - paddingW,
                    ];
                    const factor = gradY[((image * o + out) * ho + p) * wo + q]!;
                    sum = round(sum + round(factor * at(x, plane, h, w, row, column)));
                  }
                result = round(result + sum);
              }
            gradWeight[to++] = result;
          }
  },
});
