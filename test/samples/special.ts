import { apply } from '../../src/ops/define.ts';
import * as g from '../../src/ops/gelu.ts';
import * as s from '../../src/ops/special.ts';
import { ones } from '../../src/tensor/create.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { ins, mapNd, type OpSamples, zipNd } from './define.ts';
import { binary, unary } from './elementwise.ts';

/** The error function by its Taylor series, for |x| <= 2: terms up to 8, so 1e-14. */
function erf(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; n < 60; n++) {
    term *= -(x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const cdf = (x: number): number => 0.5 * (1 + erf(x / Math.SQRT2));
const density = (x: number): number => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
const inner = (x: number): number => Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3);
const geluTanh = (x: number): number => 0.5 * x * (1 + Math.tanh(inner(x)));
const innerSlope = (x: number): number => Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x);
const softplus = (x: number): number => Math.log1p(Math.exp(x));

/** gradient * f'(x) as an operation of its own. */
function slope(op: Parameters<typeof apply<undefined>>[0], f: (x: number) => number): OpSamples {
  const call = (gradient: Tensor, x: Tensor): Tensor => apply(op, [gradient, x], undefined);
  return {
    differentiable: false,
    samples: [[], [0], [7], [3, 5]].map((shape) => ({
      name: `[${shape}]`,
      inputs: ins('any', shape, shape),
      call,
      reference: zipNd((gradient, x) => gradient * f(x)),
      // Numbers up to 2, slopes up to 1.2 from terms that partly cancel.
      rtol: 0,
      atol: 2e-6,
    })),
    errors: [{ name: 'dtypes', call: () => call(ones([2]), ones([2], { dtype: 'float64' })), code: 'DTYPE' }],
  };
}

function withMore(samples: OpSamples, call: (x: Tensor) => Tensor, f: (x: number) => number, name: string): OpSamples {
  const more = { name, inputs: ins('any', [3, 5]), call, reference: mapNd(f), rtol: 1e-6, atol: 1e-6 };
  return { ...samples, samples: [...samples.samples, more] };
}

const softplusSamples = unary('any', g.softplus, softplus);

export const special: Record<string, OpSamples> = {
  erf: unary('any', s.erf, erf),
  sin: unary('any', s.sin, Math.sin),
  cos: unary('any', s.cos, Math.cos),
  expm1: unary('any', s.expm1, Math.expm1),
  log1p: unary('positive', s.log1p, Math.log1p),
  pow: binary('positive', s.pow, (a, b) => a ** b),
  powScalar: withMore(
    withMore(
      unary(
        'positive',
        (x) => s.pow(x, -1.5),
        (x) => x ** -1.5,
      ),
      (x) => s.pow(x, 3),
      (x) => x ** 3,
      'cubes of negative numbers',
    ),
    // Something else for the gradient of 0 to flow through.
    (x) => s.pow(x, 0).mul(x),
    (x) => x,
    'power 0',
  ),
  gelu: unary('any', g.gelu, (x) => x * cdf(x)),
  geluTanh: unary('any', (x) => g.gelu(x, { approximate: 'tanh' }), geluTanh),
  silu: unary('any', g.silu, (x) => x * sigmoid(x)),
  softplus: {
    samples: [
      ...softplusSamples.samples,
      ...withMore(
        softplusSamples,
        // Beyond the threshold the result is x itself, and the gradient 1.
        (x) => g.softplus(x, { beta: 3, threshold: 1.5 }),
        (x) => (3 * x > 1.5 ? x : softplus(3 * x) / 3),
        'a threshold within the range',
      ).samples.slice(-1),
    ],
    errors: [
      ...softplusSamples.errors,
      { name: 'beta 0', call: () => g.softplus(ones([1]), { beta: 0 }), code: 'ARGUMENT' },
    ],
  },
  geluGradient: slope(g.geluGradientOp, (x) => cdf(x) + x * density(x)),
  geluTanhGradient: slope(
    g.geluTanhGradientOp,
    (x) => 0.5 * (1 + Math.tanh(inner(x))) + 0.5 * x * (1 - Math.tanh(inner(x)) ** 2) * innerSlope(x),
  ),
  siluGradient: slope(g.siluGradientOp, (x) => sigmoid(x) * (1 + x * (1 - sigmoid(x)))),
};
