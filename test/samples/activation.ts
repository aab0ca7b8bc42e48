import * as a from '../../src/ops/activation.ts';
import { apply } from '../../src/ops/define.ts';
import { ones } from '../../src/tensor/create.ts';
import { type OpSamples, type Sample, zipNd } from './define.ts';
import { binary, unary } from './elementwise.ts';

function pairOnly(domain: 'any' | 'kinked', call: Sample['call'], f: (g: number, y: number) => number): OpSamples {
  return {
    samples: [[], [0], [5], [3, 7]].map((shape) => ({
      name: `[${shape}]`,
      inputs: [
        { shape, domain: 'any' },
        { shape, domain },
      ],
      call,
      reference: zipNd(f),
      rtol: 4e-7,
      atol: 1e-6,
    })),
    errors: [{ name: 'dtypes', call: () => call(ones([2]), ones([2], { dtype: 'float64' })), code: 'DTYPE' }],
  };
}

export const activation: Record<string, OpSamples> = {
  tanh: unary('any', a.tanh, Math.tanh),
  tanhGradient: pairOnly(
    'any',
    (g, y) => apply(a.tanhGradientOp, [g!, y!], undefined),
    (g, y) => g * (1 - y * y),
  ),
  relu: unary('kinked', a.relu, (x) => Math.max(x, 0)),
  reluGradient: pairOnly(
    'kinked',
    (g, y) => apply(a.reluGradientOp, [g!, y!], undefined),
    (g, y) => (y > 0 ? g : 0),
  ),
  sigmoid: unary('any', a.sigmoid, (x) => 1 / (1 + Math.exp(-x))),
  abs: unary('kinked', a.abs, Math.abs),
  // Both inputs are drawn from one sequence of 2^24 values: ties do not happen.
  maximum: binary('any', a.maximum, Math.max),
};
