/** @file Smooth relatives of ReLU, element by element: GELU, SiLU, softplus. */
import type { Kernel } from '../../kernels/define.ts';
import * as map from '../../kernels/map.ts';
import { ArgumentError } from '../errors.ts';
import type { Op } from '../tensor/graph.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { reluGradientOp, sigmoid, tanh } from './activation.ts';
import { apply, defineOp, sameAsFirst } from './define.ts';
import { add, mul, square, sub } from './elementwise.ts';
import { erf } from './special.ts';

/** f(x) by one kernel, its gradient by another; `composed` is f in other operations. */
function fused(
  name: string,
  kernel: Kernel,
  gradientOp: Op<undefined>,
  composed: (x: Tensor) => Tensor,
): Op<undefined> {
  return defineOp({
    name,
    shape: sameAsFirst,
    forward: ({ run, inputs: [x], output }) => run(kernel, [x, output, output.length]),
    saves: [0],
    backward: ({ saved: [x] }, gradient) => [apply(gradientOp, [gradient, x], undefined)],
    composed: ([x]) => composed(x),
  });
}

/** gradient * f'(x): only in backward passes that leave no graph. */
function gradientOf(name: string, kernel: Kernel): Op<undefined> {
  return defineOp({
    name,
    shape: sameAsFirst,
    forward: ({ run, inputs: [gradient, x], output }) => run(kernel, [gradient, x, output, output.length]),
  });
}

export const geluGradientOp = gradientOf('geluGradient', map.gelu_f32_gradient);
export const geluTanhGradientOp = gradientOf('geluTanhGradient', map.gelu_tanh_f32_gradient);
export const siluGradientOp = gradientOf('siluGradient', map.silu_f32_gradient);

export const geluOp = fused('gelu', map.gelu_f32, geluGradientOp, (x) =>
  mul(x, mul(add(erf(mul(x, Math.SQRT1_2)), 1), 0.5)),
);
export const geluTanhOp = fused('geluTanh', map.gelu_tanh_f32, geluTanhGradientOp, (x) => {
  const u = mul(mul(x, add(mul(square(x), 0.044715), 1)), 0.7978845608028654);
  return mul(x, mul(add(tanh(u), 1), 0.5));
});
export const siluOp = fused('silu', map.silu_f32, siluGradientOp, (x) => mul(x, sigmoid(x)));

export const softplusOp = defineOp<{ readonly beta: number; readonly threshold: number }>({
  name: 'softplus',
  shape: sameAsFirst,
  forward: ({ run, inputs: [x], attributes: { beta, threshold }, output }) =>
    run(map.softplus_f32, [x, beta, threshold, output, output.length]),
  saves: [0],
  backward: ({ saved: [x], attributes: { beta, threshold } }, gradient) => {
    const z = mul(x, beta);
    const beyond = apply(reluGradientOp, [gradient, add(z, -threshold)], undefined);
    return [add(beyond, mul(sub(gradient, beyond), sigmoid(z)))];
  },
});

/** Options of `gelu`. */
export interface GeluOptions {
  /** `none` (default): by the error function; `tanh`: by its approximation with tanh. */
  readonly approximate?: 'none' | 'tanh';
}

/**
 * x Phi(x), Phi being the standard normal distribution function; with `approximate: 'tanh'`
 * x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2. A float32 is within 0.51 ulp, also where Phi is small; -inf gives -0, the limit (PyTorch: NaN).
 *
 * @throws ArgumentError if `approximate` is neither.
 * @see https://pytorch.org/docs/stable/generated/torch.nn.functional.gelu.html
 * @example
 * nn.functional.gelu(tensor([-1, 2])); // => tensor([-0.158655, 1.9545], float32)
 */
export function gelu(x: Tensor, options: GeluOptions = {}): Tensor {
  const { approximate = 'none' } = options;
  if (approximate !== 'none' && approximate !== 'tanh') {
    throw new ArgumentError(`gelu: approximate must be 'none' or 'tanh', got '${approximate}'. Pass one of them.`, {
      approximate,
    });
  }
  return apply(approximate === 'tanh' ? geluTanhOp : geluOp, [x], undefined);
}

/**
 * x / (1 + e^-x), also called swish.
 *
 * @see https://pytorch.org/docs/stable/generated/torch.nn.functional.silu.html
 * @example
 * nn.functional.silu(tensor([-1, 2])); // => tensor([-0.268941, 1.76159], float32)
 */
export function silu(x: Tensor): Tensor {
  return apply(siluOp, [x], undefined);
}

/** Options of `softplus`. */
export interface SoftplusOptions {
  /** Steepness, not 0; default 1. */
  readonly beta?: number;
  /** Where beta x is larger, the result is x; default 20. */
  readonly threshold?: number;
}

/**
 * ln(1 + e^(beta x)) / beta: a smooth form of max(x, 0).
 *
 * @throws ArgumentError if beta is 0 or NaN, or threshold NaN.
 * @see https://pytorch.org/docs/stable/generated/torch.nn.functional.softplus.html
 * @example
 * nn.functional.softplus(tensor([0, 30])); // => tensor([0.693147, 30], float32)
 */
export function softplus(x: Tensor, options: SoftplusOptions = {}): Tensor {
  const { beta = 1, threshold = 20 } = options;
  if (!(Math.abs(beta) > 0) || Number.isNaN(threshold)) {
    throw new ArgumentError(
      `softplus: beta must not be 0 and both numbers, got beta ${beta}, threshold ${threshold}. Pass numbers, or leave them out.`,
      { beta, threshold },
    );
  }
  return apply(softplusOp, [x], { beta, threshold });
}
