/** @file Non-linearities, element by element. */

import * as map from '../../kernels/map.ts';
import type { Op } from '../tensor/graph.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { apply, defineOp, sameAsFirst } from './define.ts';
import { add, binaryOp, broadcast, mul, neg, sub, unaryOp } from './elementwise.ts';

export const tanhOp = unaryOp('tanh', map.tanh_f32, ['output'], (gradient, y) =>
  apply(tanhGradientOp, [gradient, y], undefined),
);

/** gradient * (1 - y^2). */
export const tanhGradientOp: Op<undefined> = defineOp({
  name: 'tanhGradient',
  shape: sameAsFirst,
  forward: ({ run, inputs: [gradient, y], output }) => run(map.tanh_f32_gradient, [gradient, y, output, output.length]),
  saves: [0, 1],
  backward: ({ saved: [gradient, y] }, outer) => [
    apply(tanhGradientOp, [outer, y], undefined),
    mul(mul(outer, gradient), mul(y, -2)),
  ],
});

export const reluOp = unaryOp('relu', map.relu_f32, ['output'], (gradient, y) => where(gradient, y));

/** gradient where y > 0, else 0. */
export const reluGradientOp = defineOp({
  name: 'reluGradient',
  shape: sameAsFirst,
  forward: ({ run, inputs: [gradient, y], output }) => run(map.relu_f32_gradient, [gradient, y, output, output.length]),
  saves: [1],
  backward: ({ saved: [y] }, outer) => [where(outer, y), undefined],
});

function where(gradient: Tensor, y: Tensor): Tensor {
  return apply(reluGradientOp, [gradient, y], undefined);
}

export const sigmoidOp = unaryOp('sigmoid', map.sigmoid_f32, ['output'], (gradient, y) =>
  mul(gradient, mul(y, add(neg(y), 1))),
);

export const absOp = unaryOp('abs', map.abs_f32, [0], (gradient, x) =>
  sub(where(gradient, x), where(gradient, neg(x))),
);

export const maximumOp = binaryOp('maximum', map.maximum_f32, [0, 1], (gradient, [a, b]) => {
  const toA = where(gradient, sub(a, b));
  return [toA, sub(gradient, toA)];
});

/**
 * Hyperbolic tangent, by the library's own kernel: the same bits everywhere.
 *
 * @example
 * tanh(tensor([0, 100])); // => tensor([0, 1], float32)
 */
export function tanh(x: Tensor): Tensor {
  return apply(tanhOp, [x], undefined);
}

/**
 * max(x, 0). Gradient: 0 at 0. NaN stays NaN.
 *
 * @example
 * relu(tensor([-1, 2])); // => tensor([0, 2], float32)
 */
export function relu(x: Tensor): Tensor {
  return apply(reluOp, [x], undefined);
}

/**
 * 1 / (1 + e^-x), exactly 0 or 1 far out.
 *
 * @example
 * sigmoid(tensor([-1000, 0])); // => tensor([0, 0.5], float32)
 */
export function sigmoid(x: Tensor): Tensor {
  return apply(sigmoidOp, [x], undefined);
}

/**
 * |x|. Gradient: 0 at 0.
 *
 * @example
 * abs(tensor([-1, 2])); // => tensor([1, 2], float32)
 */
export function abs(x: Tensor): Tensor {
  return apply(absOp, [x], undefined);
}

/**
 * The larger of a and b, element by element, broadcasting. Gradient: to b at ties.
 *
 * @example
 * maximum(tensor([1, 5]), tensor([4, 3])); // => tensor([4, 5], float32)
 */
export function maximum(a: Tensor, b: Tensor): Tensor {
  return broadcast(maximumOp, a, b);
}
