/** @file Transposed convolution: the gradient of a convolution with respect to its images, as a layer. */
import { ArgumentError, ShapeError } from '../errors.ts';
import { formatShape } from '../shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type Conv2dOptions, conv2dBackwardDataOp, groupCount, type Pair, pair } from './conv.ts';
import { apply } from './define.ts';
import { add } from './elementwise.ts';
import { reshape } from './movement.ts';

/** Options of `convTranspose2d`. */
export interface ConvTranspose2dOptions extends Conv2dOptions {
  /** Rows and columns more at the end, each less than the stride; default 0. */
  readonly outputPadding?: Pair;
}

/**
 * Transposed convolution: the map whose gradient with respect to its images is `conv2d`, and the other way round.
 *
 * Shapes: x [N, C, H, W], weight [C, O / groups, kH, kW], bias [O] -> [N, O, Ho, Wo], Ho = (H - 1) stride - 2 padding + dilation (kH - 1) +
 * outputPadding + 1.
 *
 * @throws ShapeError if channels differ or nothing is left of the output; @throws ArgumentError for an outputPadding that is not below the
 * stride (PyTorch also takes one below the dilation), or a stride, dilation or groups below 1.
 * @see https://pytorch.org/docs/stable/generated/torch.nn.functional.conv_transpose2d.html
 * @example
 * const weight = randn([6, 3, 2, 2]);
 * nn.functional.convTranspose2d(ones([8, 6, 14, 14]), weight, undefined, { stride: 2 }).shape; // => [8, 3, 28, 28]
 */
export function convTranspose2d(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  options: ConvTranspose2dOptions = {},
): Tensor {
  const op = 'convTranspose2d';
  const stride = pair(op, 'stride', options.stride ?? 1, 1);
  const padding = pair(op, 'padding', options.padding ?? 0, 0);
  const dilation = pair(op, 'dilation', options.dilation ?? 1, 1);
  const outputPadding = pair(op, 'outputPadding', options.outputPadding ?? 0, 0);
  const groups = groupCount(op, options.groups ?? 1);
  const [from, filter] = [x.shape, weight.shape];
  if (from.length !== 4 || filter.length !== 4 || from[1] !== filter[0] || from[1]! % groups !== 0) {
    throw new ShapeError(
      `${op}: x must be [N, C, H, W] and weight [C, O / groups, kH, kW] with groups dividing C, got ${formatShape(from)}, ` +
        `${formatShape(filter)} and ${groups} groups. Check the channels.`,
      { x: from, weight: filter, groups },
    );
  }
  if (outputPadding[0] >= stride[0] || outputPadding[1] >= stride[1]) {
    throw new ArgumentError(
      `${op}: outputPadding must be less than the stride, got ${formatShape(outputPadding)} and ${formatShape(stride)}. Reduce it.`,
      { outputPadding, stride },
    );
  }
  const channels = filter[1]! * groups;
  const length = (d: 0 | 1): number =>
    (from[d + 2]! - 1) * stride[d] - 2 * padding[d] + dilation[d] * (filter[d + 2]! - 1) + outputPadding[d] + 1;
  const to = [from[0]!, channels, length(0), length(1)];
  if ([...from.slice(1), ...filter, ...to.slice(1)].some((size) => size < 1)) {
    throw new ShapeError(
      `${op}: channels, images and window must not be empty, got ${formatShape(from)} and ${formatShape(filter)} to ${formatShape(to)}. ` +
        'Check sizes and padding.',
      { x: from, weight: filter, to },
    );
  }
  if (bias !== undefined && (bias.shape.length !== 1 || bias.shape[0] !== channels)) {
    throw new ShapeError(
      `${op}: bias must be [O], got ${formatShape(bias.shape)} for ${channels} channels. Check the bias.`,
      { bias: bias.shape, channels },
    );
  }
  const sizes = { x: to, weight: filter, stride, padding, dilation, groups, winograd: 0 } as const;
  const y = apply(conv2dBackwardDataOp, [x, weight], sizes);
  return bias === undefined ? y : add(y, reshape(bias, [channels, 1, 1]));
}
