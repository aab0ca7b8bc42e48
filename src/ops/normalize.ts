/** @file Softmax and its logarithm along a dimension. */
import * as softmaxKernels from '../../kernels/softmax.ts';
import { resolveDim } from '../shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { apply, defineOp, noGrad, sameAsFirst } from './define.ts';
import { exp, log, sub } from './elementwise.ts';
import { reshape, transpose } from './movement.ts';
import { amax, sum } from './reduce.ts';

/** Along the last dimension of [rows, columns]. */
export const logSoftmaxOp = defineOp({
  name: 'logSoftmax',
  shape: sameAsFirst,
  forward: ({ run, inputs: [x], shape: [rows, columns], output }) =>
    run(softmaxKernels.log_softmax_f32, [x, output, rows, columns]),
  saves: ['output'],
  backward: ({ saved: [y] }, gradient) => [apply(logSoftmaxGradientOp, [gradient, y], undefined)],
  composed: ([x]) => {
    // The maximum is a constant shift: it cancels, so no gradient needs to flow through it.
    const shifted =
      x.size === 0
        ? x
        : sub(
            x,
            noGrad(() => amax(x, 1, { keepdim: true })),
          );
    return sub(shifted, log(sum(exp(shifted), 1, { keepdim: true })));
  },
});

/** gradient - e^y sum(gradient), row by row: only in backward passes that leave no graph. */
export const logSoftmaxGradientOp = defineOp({
  name: 'logSoftmaxGradient',
  shape: sameAsFirst,
  forward: ({ run, inputs: [gradient, y], shape: [rows, columns], output }) =>
    run(softmaxKernels.log_softmax_f32_gradient, [gradient, y, output, rows, columns]),
});

/**
 * log(e^x / sum e^x) along a dimension, without overflow.
 *
 * @throws IndexRangeError if the dimension does not exist.
 * @see https://pytorch.org/docs/stable/generated/torch.nn.functional.log_softmax.html
 * @example
 * nn.functional.logSoftmax(tensor([1000, 0])); // => tensor([0, -1000], float32)
 */
export function logSoftmax(x: Tensor, dim = -1): Tensor {
  const d = resolveDim('logSoftmax', dim, x.rank);
  if (x.rank > 0 && d !== x.rank - 1) return transpose(logSoftmax(transpose(x, d, -1)), d, -1);
  const columns = x.shape[x.rank - 1] ?? 1;
  const rows = x.shape.slice(0, -1).reduce((a, b) => a * b, 1);
  return reshape(apply(logSoftmaxOp, [reshape(x, [rows, columns])], undefined), x.shape);
}

/**
 * e^x / sum e^x along a dimension. @throws IndexRangeError if the dimension does not exist.
 *
 * @example
 * softmax(tensor([0, 0])); // => tensor([0.5, 0.5], float32)
 */
export function softmax(x: Tensor, dim = -1): Tensor {
  return exp(logSoftmax(x, dim));
}
