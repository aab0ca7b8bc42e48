/** @file The error function, sine, cosine, powers, and logarithm and exponential near 1 and 0. All by the library's own kernels: the same bits everywhere. */
import * as map from '../../kernels/map.ts';
import type { Op } from '../tensor/graph.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { abs, reluGradientOp } from './activation.ts';
import { apply, defineOp, sameAsFirst } from './define.ts';
import { add, broadcast, div, exp, log, mul, neg, square, unaryOp } from './elementwise.ts';

const twoOverRootPi = 1.1283791670955126;

export const erfOp = unaryOp('erf', map.erf_f32, [0], (gradient, x) =>
  mul(gradient, mul(exp(neg(square(x))), twoOverRootPi)),
);
export const sinOp: Op<undefined> = unaryOp('sin', map.sin_f32, [0], (gradient, x) => mul(gradient, cos(x)));
export const cosOp: Op<undefined> = unaryOp('cos', map.cos_f32, [0], (gradient, x) => neg(mul(gradient, sin(x))));
export const expm1Op = unaryOp('expm1', map.expm1_f32, ['output'], (gradient, y) => mul(gradient, add(y, 1)));
export const log1pOp = unaryOp('log1p', map.log1p_f32, [0], (gradient, x) => div(gradient, add(x, 1)));

/** `value` where x is not 0, else 0, whatever value is there. */
function unlessZero(value: Tensor, x: Tensor): Tensor {
  return apply(reluGradientOp, [value, abs(x)], undefined);
}

export const powOp: Op<undefined> = defineOp({
  name: 'pow',
  shape: sameAsFirst,
  forward: ({ run, inputs: [a, b], output }) => run(map.pow_f32, [a, b, output, output.length]),
  saves: [0, 1, 'output'],
  backward: ({ saved: [a, b, y], needs }, gradient) => [
    needs[0] ? unlessZero(mul(gradient, mul(b, pow(a, add(b, -1)))), b) : undefined,
    needs[1] ? unlessZero(mul(gradient, mul(y, log(a))), a) : undefined,
  ],
});

export const powScalarOp: Op<number> = defineOp({
  name: 'powScalar',
  shape: sameAsFirst,
  forward: ({ run, inputs: [x], attributes, output }) =>
    run(map.pow_scalar_f32, [x, attributes, output, output.length]),
  saves: [0],
  backward: ({ saved: [x], attributes }, gradient) => [
    attributes === 0 ? mul(gradient, 0) : mul(gradient, mul(pow(x, attributes - 1), attributes)),
  ],
});

/**
 * The error function, 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x.
 *
 * @example
 * erf(tensor([0, 1])); // => tensor([0, 0.842701], float32)
 */
export function erf(x: Tensor): Tensor {
  return apply(erfOp, [x], undefined);
}

/**
 * Sine of radians, also of large ones; NaN at infinity.
 *
 * @example
 * sin(tensor([0, 1])); // => tensor([0, 0.841471], float32)
 */
export function sin(x: Tensor): Tensor {
  return apply(sinOp, [x], undefined);
}

/**
 * Cosine of radians, also of large ones; NaN at infinity.
 *
 * @example
 * cos(tensor([0, 1])); // => tensor([1, 0.540302], float32)
 */
export function cos(x: Tensor): Tensor {
  return apply(cosOp, [x], undefined);
}

/**
 * e^x - 1, exact near 0 too.
 *
 * @example
 * expm1(tensor([0, 1])); // => tensor([0, 1.71828], float32)
 */
export function expm1(x: Tensor): Tensor {
  return apply(expm1Op, [x], undefined);
}

/**
 * ln(1 + x), exact near 0 too; -Infinity at -1, NaN below.
 *
 * @example
 * log1p(tensor([0, 1])); // => tensor([0, 0.693147], float32)
 */
export function log1p(x: Tensor): Tensor {
  return apply(log1pOp, [x], undefined);
}

/**
 * x to the power of `exponent`, a number or a tensor that broadcasts: anything to the power of 0 is 1; negative numbers have only whole powers,
 * others are NaN. Gradient: 0 to x where the exponent is 0; 0 to the exponent where x is 0.
 *
 * @throws ShapeError if the shapes do not broadcast.
 * @see https://pytorch.org/docs/stable/generated/torch.pow.html
 * @example
 * pow(tensor([4, 9]), 0.5); // => tensor([2, 3], float32)
 * pow(tensor([2, 3]), tensor([3, 2])); // => tensor([8, 9], float32)
 */
export function pow(x: Tensor, exponent: Tensor | number): Tensor {
  if (typeof exponent !== 'number') return broadcast(powOp, x, exponent);
  return exponent === 2 ? square(x) : apply(powScalarOp, [x], exponent);
}
