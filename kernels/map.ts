/** @file Element-wise kernels: one operation per element, no order to keep. */
import { anyAlignment, defineKernel, input, of, output, type Round, size } from './define.ts';

type Floats = Float32Array | Float64Array;

const elementwise = {
  order: 'Each element on its own; every operation rounds once.',
  aliasing: 'y may be an input itself (same pointer); other overlaps are not allowed.',
  alignment: anyAlignment,
  edges: 'length 0 touches nothing. NaN in, NaN out.',
};

/** y = f(x): `f` rounds after each operation. */
function unary<const N extends string>(name: N, summary: string, f: (x: number, round: Round) => number) {
  return defineKernel({
    name,
    summary,
    parameters: [input('x', of('length'), 'argument'), output('y', of('length'), 'result'), size('length', 'elements')],
    rules: elementwise,
    reference: (round: Round, x: Floats, y: Floats, length: number) => {
      for (let i = 0; i < length; i++) y[i] = f(x[i]!, round);
    },
  });
}

/** y = -x (the sign bit flips, also of zeros). */
export const neg_f32 = unary('neg_f32', 'y = -x', (x) => -x);

/** y = max(x, 0); NaN stays NaN, -0 becomes 0. */
export const relu_f32 = unary('relu_f32', 'y = max(x, 0)', (x) => Math.max(x, 0));
