/** @file Convolution over images, NCHW, and its two gradients, which are convolutions of one another. */

import * as convKernels from '../../kernels/conv.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { formatShape, type Shape } from '../shape.ts';
import type { Op } from '../tensor/graph.ts';
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

/** Steps of a convolution's window, the distance of its taps, and its groups of channels. */
export interface ConvWindow extends Window {
  readonly dilation: readonly [number, number];
  readonly groups: number;
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
function sizesOf(x: Tensor, weight: Tensor, { stride, padding, dilation, groups }: ConvWindow): ConvSizes {
  return { x: x.shape, weight: weight.shape, stride, padding, dilation, groups };
}

/** The numbers that all three kernels take behind their buffers. */
function sizeValues({ x, weight, stride, padding, dilation, groups }: ConvSizes): number[] {
  const images = [x[0]!, x[1]!, x[2]!, x[3]!, weight[0]!, weight[2]!, weight[3]!];
  return [...images, ...stride, ...padding, ...dilation, groups];
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
  shape: ([x, weight, bias], { stride, padding, dilation, groups }) => {
    if (x.length !== 4 || weight.length !== 4 || x[1] !== weight[1]! * groups || weight[0]! % groups !== 0) {
      throw new ShapeError(
        `conv2d: x must be [N, C, H, W] and weight [O, C / groups, kH, kW] with groups dividing O, got ${formatShape(x)}, ` +
          `${formatShape(weight)} and ${groups} groups. Check the channels.`,
        { x, weight, groups },
      );
    }
    checkNotEmpty(x, weight);
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
    const sizes = sizeValues(sizesOf(x, weight, attributes));
    run(convKernels.conv2d_f32_forward, [x, weight, inputs.length === 3 ? bias : undefined, output, ...sizes]);
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
    run(convKernels.conv2d_f32_backward_data, [gradient, weight, output, ...sizeValues(attributes)]),
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
    run(convKernels.conv2d_f32_backward_filter, [x, gradient, output, ...sizeValues(attributes)]),
  saves: [0, 1],
  backward: ({ saved: [x, gradient], attributes, needs }, outer) => [
    needs[0] ? apply(conv2dBackwardDataOp, [gradient, outer], attributes) : undefined,
    needs[1] ? apply(conv2dOp, [x, outer], windowOf(attributes)) : undefined,
  ],
});

function windowOf({ stride, padding, dilation, groups }: ConvWindow): ConvWindow {
  return { stride, padding, dilation, groups };
}

/**
 * Convolution (cross-correlation) of images with filters.
 *
 * Shapes: x [N, C, H, W], weight [O, C / groups, kH, kW], bias [O] -> [N, O, Ho, Wo], Ho = floor((H + 2 padding - dilation (kH - 1) - 1) /
 * stride) + 1. With `groups` = C each channel has filters of its own (a depthwise convolution).
 *
 * @throws ShapeError if channels differ or the window does not fit; @throws ArgumentError for a stride, dilation or groups below 1.
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
  };
  return apply(conv2dOp, bias === undefined ? [x, weight] : [x, weight, bias], window);
}
