/** @file Pooling over images, NCHW. */
import * as poolKernels from '../../kernels/pool.ts';
import { ShapeError } from '../errors.ts';
import { formatShape, type Shape } from '../shape.ts';
import type { Storage } from '../tensor/storage.ts';
import { Tensor } from '../tensor/tensor.ts';
import { type Pair, pair, type Window, windowCount } from './conv.ts';
import { apply, defineOp } from './define.ts';
import { gatherAlong } from './indexing.ts';
import { reshape } from './movement.ts';

/** Options of `maxPool2d`. */
export interface MaxPool2dOptions {
  /** Step of the window; default: its size. */
  readonly stride?: Pair;
  /** Border on each side that never wins; at most half of the window; default 0. */
  readonly padding?: Pair;
}

interface PoolWindow extends Window {
  readonly kernel: readonly [number, number];
}

export const maxPool2dOp = defineOp<PoolWindow>({
  name: 'maxPool2d',
  shape: ([x], { kernel, stride, padding }) => {
    if (x.length !== 4) {
      throw new ShapeError(`maxPool2d: x must be [N, C, H, W], got ${formatShape(x)}. Reshape it.`, { x });
    }
    if (padding[0] * 2 > kernel[0] || padding[1] * 2 > kernel[1]) {
      throw new ShapeError(
        `maxPool2d: padding must be at most half of the window, got ${formatShape(padding)} for ${formatShape(kernel)}. Reduce it.`,
        { padding, kernel },
      );
    }
    return [
      x[0]!,
      x[1]!,
      windowCount('maxPool2d', x[2]!, kernel[0], stride[0], padding[0]),
      windowCount('maxPool2d', x[3]!, kernel[1], stride[1], padding[1]),
    ];
  },
  forward: ({ run, recorded, hide, inputs: [x], attributes: { kernel, stride, padding }, output }) => {
    const [n, c, h, w] = x.shape;
    const numbers = [n! * c!, h!, w!, ...kernel, ...stride, ...padding];
    if (recorded) run(poolKernels.max_pool2d_f32, [x, output, hide('int32', output.length), ...numbers]);
    else run(poolKernels.max_pool2d_f32_values, [x, output, ...numbers]);
  },
  backward: ({ hidden: [indices], inputShapes: [shape] }, gradient) => [
    apply(maxPool2dGradientOp, [gradient], { indices: indices!, to: shape }),
  ],
});

/** The gradient of maxPool2d: each element goes to the position that won; where windows overlap they add. */
export const maxPool2dGradientOp = defineOp<{ readonly indices: Storage; readonly to: Shape }>({
  name: 'maxPool2dGradient',
  shape: (_, { to }) => to,
  forward: ({ run, inputs: [gradient], attributes: { indices, to }, output }) => {
    const [n, c, h, w] = to;
    run(poolKernels.max_pool2d_f32_gradient, [
      gradient,
      indices,
      output,
      n! * c!,
      h,
      w,
      gradient.shape[2],
      gradient.shape[3],
    ]);
  },
  backward: ({ attributes: { indices }, inputShapes: [shape] }, outer) => {
    const planes = shape[0]! * shape[1]!;
    const windows = shape[2]! * shape[3]!;
    const positions = new Tensor(indices, [planes, windows]);
    const flat = reshape(outer, [planes, outer.shape[2]! * outer.shape[3]!]);
    return [reshape(gatherAlong(flat, 1, positions), shape)];
  },
});

/**
 * The largest element of each window.
 *
 * Shapes: x [N, C, H, W] -> [N, C, Ho, Wo], Ho = floor((H + 2 padding - kH) / stride) + 1.
 * Gradient: to the first maximum in row-major order; where windows overlap, gradients add.
 *
 * @throws ShapeError if the window does not fit; @throws ArgumentError for a stride below 1.
 * @see https://pytorch.org/docs/stable/generated/torch.nn.functional.max_pool2d.html
 * @example
 * nn.functional.maxPool2d(images, 2).shape; // => [8, 1, 14, 14]
 */
export function maxPool2d(x: Tensor, kernelSize: Pair, options: MaxPool2dOptions = {}): Tensor {
  const kernel = pair('maxPool2d', 'kernelSize', kernelSize, 1);
  const stride = pair('maxPool2d', 'stride', options.stride ?? kernel, 1);
  const padding = pair('maxPool2d', 'padding', options.padding ?? 0, 0);
  return apply(maxPool2dOp, [x], { kernel, stride, padding });
}
