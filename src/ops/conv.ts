/** @file Convolution over images, NCHW, and its two gradients, which are convolutions of one another. */

import * as convKernels from '../../kernels/conv.ts';
import type { Kernel } from '../../kernels/define.ts';
import * as winogradKernels from '../../kernels/winograd.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { formatShape, type Shape } from '../shape.ts';
import type { Op, Operand } from '../tensor/graph.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { apply, defineOp } from './define.ts';
import { sum } from './reduce.ts';

/** A height and a width; a single number stands for both. */
export type Pair = number | readonly [height: number, width: number];

/** Steps of a window over an image. */
export interface Window {
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
}

/** Steps of a convolution's window, the distance of its taps, its groups of channels, and how it is computed. */
export interface ConvWindow extends Window {
  readonly dilation: readonly [number, number];
  readonly groups: number;
  /** Rows and columns of Winograd's tiles; 0: directly. */
  readonly winograd: 0 | 2 | 4;
}

/** Options of `conv2d`. */
export interface Conv2dOptions {
  /** Step of the window; default 1. */
  readonly stride?: Pair;
  /** Zeros around the image, on each side; default 0. */
  readonly padding?: Pair;
  /** Distance of neighbouring taps; default 1. */
  readonly dilation?: Pair;
  /** Groups of channels that do not see each other; divides both numbers of channels; default 1. */
  readonly groups?: number;
  /**
   * Computes a 3x3 convolution with stride 1 (dilation 1, one group, padding up to 2), and its gradients, by Winograd's minimal filtering in tiles of
   * 2x2 or 4x4 results, with 2.25 or 4 times fewer multiplications: faster from some 16 channels on (3x3, 64 channels: 1.6 and 2.5 times or more). As
   * reproducible as the direct way, but with other bits and a larger error: in units of 2^-24 of the sum of absolute products, on normal data at
   * most 2 and 35 instead of 2. Default: directly.
   */
  readonly winograd?: 2 | 4;
}

/** Both numbers of a pair, checked to be whole and at least `least`. */
export function pair(op: string, name: string, value: Pair, least: number): readonly [number, number] {
  const both = typeof value === 'number' ? ([value, value] as const) : value;
  if (both.length !== 2 || !both.every((one) => Number.isInteger(one) && one >= least)) {
    throw new ArgumentError(
      `${op}: ${name} must be a whole number >= ${least} or two of them, got ${JSON.stringify(value)}. Check ${name}.`,
      { [name]: value },
    );
  }
  return both;
}

/** A number of groups, checked. */
export function groupCount(op: string, groups: number): number {
  if (Number.isInteger(groups) && groups >= 1) return groups;
  throw new ArgumentError(`${op}: groups must be a whole number >= 1, got ${groups}. Check groups.`, { groups });
}

/** Positions of a window in a padded length: floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1. */
export function windowCount(
  op: string,
  size: number,
  kernel: number,
  stride: number,
  padding: number,
  dilation = 1,
): number {
  const reach = dilation * (kernel - 1) + 1;
  const room = size + 2 * padding - reach;
  if (room < 0) {
    throw new ShapeError(
      `${op}: the window must fit into the padded image, got a window of ${reach} for ${size} + 2 * ${padding}. Add padding.`,
      { size, kernel, padding },
    );
  }
  return Math.floor(room / stride) + 1;
}

/** Attributes of the two gradients: what their inputs' shapes do not say. */
export interface ConvSizes extends ConvWindow {
  /** Of the image. */
  readonly x: Shape;
  /** Of the filters. */
  readonly weight: Shape;
}

// Written out: spreading an object into a literal cost a new hidden class each time, 360 bytes a step until V8's next full collection.
function sizesOf(x: Tensor, weight: Tensor, { stride, padding, dilation, groups, winograd }: ConvWindow): ConvSizes {
  return { x: x.shape, weight: weight.shape, stride, padding, dilation, groups, winograd };
}

/** The kernels of a convolution and of its gradients, directly and by Winograd: they take the same buffers. */
const kernels = {
  forward: [convKernels.conv2d_f32_forward, winogradKernels.winograd_conv2d_f32_forward],
  data: [convKernels.conv2d_f32_backward_data, winogradKernels.winograd_conv2d_f32_backward_data],
  filter: [convKernels.conv2d_f32_backward_filter, winogradKernels.winograd_conv2d_f32_backward_filter],
} as const;

/** Runs one of them on its buffers. */
function runConvolution(
  run: (kernel: Kernel, values: readonly Operand[]) => void,
  [direct, winograd]: (typeof kernels)[keyof typeof kernels],
  buffers: readonly Operand[],
  sizes: ConvSizes,
): void {
  const { x, weight, stride, padding, dilation, groups } = sizes;
  const images = [x[0]!, x[1]!, x[2]!, x[3]!, weight[0]!];
  if (sizes.winograd === 0) {
    run(direct, [...buffers, ...images, weight[2]!, weight[3]!, ...stride, ...padding, ...dilation, groups]);
  } else run(winograd, [...buffers, ...images, ...padding, sizes.winograd]);
}

/** Winograd's way is for some convolutions only. */
function checkWinograd(weight: Shape, { stride, padding, dilation, groups, winograd }: ConvWindow): void {
  if (winograd === 0) return;
  const isSmall = weight[2] === 3 && weight[3] === 3 && Math.max(...padding) <= 2;
  if ((winograd === 2 || winograd === 4) && isSmall && Math.max(...stride, ...dilation, groups) === 1) return;
  throw new ArgumentError(
    `conv2d: winograd must be 2 or 4, for 3x3 filters with stride 1, dilation 1, one group and padding up to 2, got ${winograd} for ` +
      `${weight[2]}x${weight[3]}, stride ${stride}, dilation ${dilation}, ${groups} groups, padding ${padding}. Leave it out.`,
    { winograd, weight, stride, padding, dilation, groups },
  );
}

/** The kernels have no sums over nothing. */
function checkNotEmpty(x: Shape, weight: Shape): void {
  if ([...x.slice(1), ...weight].every((size) => size > 0)) return;
  throw new ShapeError(
    `conv2d: channels, image and window must not be empty, got ${formatShape(x)} and ${formatShape(weight)}. Check the sizes.`,
    { x, weight },
  );
}

export const conv2dOp: Op<ConvWindow> = defineOp({
  name: 'conv2d',
  shape: ([x, weight, bias], window) => {
    const { stride, padding, dilation, groups } = window;
    if (x.length !== 4 || weight.length !== 4 || x[1] !== weight[1]! * groups || weight[0]! % groups !== 0) {
      throw new ShapeError(
        `conv2d: x must be [N, C, H, W] and weight [O, C / groups, kH, kW] with groups dividing O, got ${formatShape(x)}, ` +
          `${formatShape(weight)} and ${groups} groups. Check the channels.`,
        { x, weight, groups },
      );
    }
    checkNotEmpty(x, weight);
    checkWinograd(weight, window);
    if (bias !== undefined && (bias.length !== 1 || bias[0] !== weight[0])) {
      throw new ShapeError(
        `conv2d: bias must be [O], got ${formatShape(bias)} for weight ${formatShape(weight)}. Check the bias.`,
        {
          bias,
          weight,
        },
      );
    }
    return [
      x[0]!,
      weight[0]!,
      windowCount('conv2d', x[2]!, weight[2]!, stride[0], padding[0], dilation[0]),
      windowCount('conv2d', x[3]!, weight[3]!, stride[1], padding[1], dilation[1]),
    ];
  },
  forward: ({ run, inputs, attributes, output }) => {
    const [x, weight, bias] = inputs;
    const buffers = [x, weight, inputs.length === 3 ? bias : undefined, output];
    runConvolution(run, kernels.forward, buffers, sizesOf(x, weight, attributes));
  },
  saves: [0, 1],
  backward: ({ saved: [x, weight], attributes, needs }, gradient) => {
    const sizes = sizesOf(x, weight, attributes);
    return [
      needs[0] ? apply(conv2dBackwardDataOp, [gradient, weight], sizes) : undefined,
      needs[1] ? apply(conv2dBackwardFilterOp, [x, gradient], sizes) : undefined,
      needs[2] ? sum(gradient, [0, 2, 3]) : undefined,
    ];
  },
});

/** The gradient of conv2d with respect to x: linear in the gradient and in the weight. */
export const conv2dBackwardDataOp: Op<ConvSizes> = defineOp({
  name: 'conv2dBackwardData',
  shape: (_, { x }) => x,
  forward: ({ run, inputs: [gradient, weight], attributes, output }) =>
    runConvolution(run, kernels.data, [gradient, weight, output], attributes),
  saves: [0, 1],
  backward: ({ saved: [gradient, weight], attributes, needs }, outer) => [
    needs[0] ? apply(conv2dOp, [outer, weight], windowOf(attributes)) : undefined,
    needs[1] ? apply(conv2dBackwardFilterOp, [outer, gradient], attributes) : undefined,
  ],
});

/** The gradient of conv2d with respect to the weight: linear in x and in the gradient. */
export const conv2dBackwardFilterOp: Op<ConvSizes> = defineOp({
  name: 'conv2dBackwardFilter',
  shape: (_, { weight }) => weight,
  forward: ({ run, inputs: [x, gradient], attributes, output }) =>
    runConvolution(run, kernels.filter, [x, gradient, output], attributes),
  saves: [0, 1],
  backward: ({ saved: [x, gradient], attributes, needs }, outer) => [
    needs[0] ? apply(conv2dBackwardDataOp, [gradient, outer], attributes) : undefined,
    needs[1] ? apply(conv2dOp, [x, outer], windowOf(attributes)) : undefined,
  ],
});

function windowOf({ stride, padding, dilation, groups, winograd }: ConvWindow): ConvWindow {
  return { stride, padding, dilation, groups, winograd };
}

/**
 * Convolution (cross-correlation) of images with filters.
 *
 * Shapes: x [N, C, H, W], weight [O, C / groups, kH, kW], bias [O] -> [N, O, Ho, Wo], Ho = floor((H + 2 padding - dilation (kH - 1) - 1) /
 * stride) + 1. With `groups` = C each channel has filters of its own (a depthwise convolution).
 *
 * @throws ShapeError if channels differ or the window does not fit; @throws ArgumentError for a stride, dilation or groups below 1, or `winograd` where it
 * does not apply.
 * @see https://pytorch.org/docs/stable/generated/torch.nn.functional.conv2d.html
 * @example
 * const weight = randn([6, 1, 5, 5]);
 * nn.functional.conv2d(images, weight, zeros([6]), { padding: 2 }).shape; // => [8, 6, 28, 28]
 */
export function conv2d(x: Tensor, weight: Tensor, bias?: Tensor, options: Conv2dOptions = {}): Tensor {
  const window = {
    stride: pair('conv2d', 'stride', options.stride ?? 1, 1),
    padding: pair('conv2d', 'padding', options.padding ?? 0, 0),
    dilation: pair('conv2d', 'dilation', options.dilation ?? 1, 1),
    groups: groupCount('conv2d', options.groups ?? 1),
    winograd: options.winograd ?? (0 as const),
  };
  return apply(conv2dOp, bias === undefined ? [x, weight] : [x, weight, bias], window);
}
