import { apply } from '../../src/ops/define.ts';
import * as e from '../../src/ops/elementwise.ts';
import { ones, tensor } from '../../src/tensor/create.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { type Domain, ins, mapNd, type Nd, type OpSamples, zipNd } from './define.ts';

/** One to three roundings of the kernels' 1 ulp functions. */
const rtol = 4e-7;

export function unary(domain: Domain, call: (x: Tensor) => Tensor, f: (x: number) => number): OpSamples {
  const shapes = [[], [0], [1], [7], [3, 5], [2, 0, 3], [2, 1, 19]];
  return {
    samples: shapes.map((shape) => ({
      name: `[${shape}]`,
      inputs: ins(domain, shape),
      call,
      reference: mapNd(f),
      rtol,
      atol: 1e-7,
    })),
    errors: [{ name: 'int32', call: () => call(ones([2], { dtype: 'int32' })), code: 'DTYPE' }],
  };
}

export function binary(
  domain: Domain,
  call: (a: Tensor, b: Tensor) => Tensor,
  f: (a: number, b: number) => number,
): OpSamples {
  const shapes = [
    [[], []],
    [[3], [3]],
    [[2, 3], [3]],
    [
      [2, 1],
      [1, 3],
    ],
    [
      [4, 1, 2],
      [3, 1],
    ],
    [[], [2, 2]],
    [[0], [1]],
    [
      [2, 0],
      [1, 1],
    ],
  ] as const;
  return {
    samples: shapes.map(([a, b]) => ({
      name: `[${a}] and [${b}]`,
      inputs: ins(domain, a, b),
      call,
      reference: zipNd(f),
      rtol,
      atol: 1e-7,
    })),
    errors: [
      { name: 'shapes', call: () => call(ones([2]), ones([3])), code: 'SHAPE' },
      { name: '1 against 0 is fine, 2 is not', call: () => call(ones([0]), ones([2])), code: 'SHAPE' },
      {
        name: 'whole numbers',
        call: () => call(tensor([1], { dtype: 'int32' }), tensor([1], { dtype: 'int32' })),
        code: 'DTYPE',
      },
    ],
  };
}

/** A binary operation that is also defined for a number. */
function withScalar(samples: OpSamples, call: (x: Tensor) => Tensor, f: (x: number) => number): OpSamples {
  return { ...samples, samples: [...unary('any', call, f).samples, ...samples.samples] };
}

const identity = (x: Nd): Nd => x;

export const elementwise: Record<string, OpSamples> = {
  neg: unary('any', e.neg, (x) => -x),
  exp: unary('any', e.exp, Math.exp),
  log: unary('positive', e.log, Math.log),
  sqrt: unary('positive', e.sqrt, Math.sqrt),
  square: unary('any', e.square, (x) => x * x),
  reciprocal: unary('positive', e.reciprocal, (x) => 1 / x),
  add: binary('any', e.add, (a, b) => a + b),
  sub: binary('any', e.sub, (a, b) => a - b),
  mul: binary('any', e.mul, (a, b) => a * b),
  div: withScalar(
    binary('kinked', e.div, (a, b) => a / b),
    (x) => e.div(x, 3),
    (x) => x / 3,
  ),
  addScalar: unary(
    'any',
    (x) => e.sub(e.add(x, 0.75), 0.5),
    (x) => x + 0.75 - 0.5,
  ),
  mulScalar: unary(
    'any',
    (x) => e.mul(x, -0.75),
    (x) => -0.75 * x,
  ),
  to: {
    samples: [
      {
        name: 'there and back',
        inputs: ins('any', [2, 3]),
        call: (x) => e.to(e.to(x, 'float64'), x.dtype),
        reference: identity,
      },
      {
        name: 'through the record',
        inputs: ins('any', [2, 3]),
        call: (x) => apply(e.toOp, [x], { from: x.dtype, to: x.dtype }),
        reference: identity,
      },
    ],
    errors: [{ name: 'unknown dtype', call: () => e.to(ones([1]), 'float16' as never), code: 'ARGUMENT' }],
  },
};
