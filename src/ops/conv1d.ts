/** @file Convolutions over sequences: those over images of height 1, on the same memory. */
import { ShapeError } from '../errors.ts';
import { formatShape } from '../shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { conv2d } from './conv.ts';
import { convTranspose2d } from './conv-transpose.ts';
import { reshape } from './movement.ts';

/** Options of `conv1d`. */
export interface Conv1dOptions {
  /** Step of the window; default 1. */
  readonly stride?: number;
  /** Zeros on each side; default 0. */
  readonly padding?: number;
  /** Distance of neighbouring taps; default 1. */
  readonly dilation?: number;
  /** Groups of channels that do not see each other; default 1. */
  readonly groups?: number;
}

/** Options of `convTranspose1d`. */
export interface ConvTranspose1dOptions extends Conv1dOptions {
  /** Elements more at the end, less than the stride; default 0. */
  readonly outputPadding?: number;
}

/** [A, B, L] as [A, B, 1, L]. */
function asImages(op: string, name: string, x: Tensor): Tensor {
  const [a, b, length] = x.shape;
  if (x.shape.length === 3) return reshape(x, [a!, b!, 1, length!]);
  throw new ShapeError(`${op}: ${name} must have three dimensions, got ${formatShape(x.shape)}. Reshape it.`, {
    [name]: x.shape,
  });
}

function asSequences(y: Tensor): Tensor {
  const [n, channels, , length] = y.shape;
  return reshape(y, [n!, channels!, length!]);
}

function alongWidth(options: Conv1dOptions) {
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  return { stride: [1, stride], padding: [0, padding], dilation: [1, dilation], groups } as const;
}

/**
 * Convolution (cross-correlation) of sequences with filters.
 *
 * Shapes: x [N, C, L], weight [O, C / groups, k], bias [O] -> [N, O, Lo], Lo = floor((L + 2 padding - dilation (k - 1) - 1) / stride) + 1.
 *
 * @throws ShapeError, ArgumentError as conv2d, whose special case of height 1 this is.
 * @see https://pytorch.org/docs/stable/generated/torch.nn.functional.conv1d.html
 * @example
 * const x = tensor([[[1, 2, 3, 4]]]);
 * nn.functional.conv1d(x, tensor([[[1, -1]]])); // => tensor([[[-1, -1, -1]]], float32)
 */
export function conv1d(x: Tensor, weight: Tensor, bias?: Tensor, options: Conv1dOptions = {}): Tensor {
  const [images, filters] = [asImages('conv1d', 'x', x), asImages('conv1d', 'weight', weight)];
  return asSequences(conv2d(images, filters, bias, alongWidth(options)));
}

/**
 * Transposed convolution of sequences.
 *
 * Shapes: x [N, C, L], weight [C, O / groups, k], bias [O] -> [N, O, Lo], Lo = (L - 1) stride - 2 padding + dilation (k - 1) + outputPadding + 1.
 *
 * @throws ShapeError, ArgumentError as convTranspose2d, whose special case of height 1 this is.
 * @see https://pytorch.org/docs/stable/generated/torch.nn.functional.conv_transpose1d.html
 * @example
 * const x = tensor([[[1, 2]]]);
 * nn.functional.convTranspose1d(x, tensor([[[1, 10]]]), undefined, { stride: 2 }); // => tensor([[[1, 10, 2, 20]]], float32)
 */
export function convTranspose1d(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  options: ConvTranspose1dOptions = {},
): Tensor {
  const [images, filters] = [asImages('convTranspose1d', 'x', x), asImages('convTranspose1d', 'weight', weight)];
  const outputPadding = [0, options.outputPadding ?? 0] as const;
  return asSequences(convTranspose2d(images, filters, bias, { ...alongWidth(options), outputPadding }));
}
