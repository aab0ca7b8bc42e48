import { apply } from '../../src/ops/define.ts';
import * as n from '../../src/ops/normalize.ts';
import { ones } from '../../src/tensor/create.ts';
import { at, build, ins, type Nd, type OpSamples, type Sample } from './define.ts';

/** Values up to 2 in rows of up to 20: a subtraction, 20 additions, a logarithm, each within 1 ulp of numbers up to 8. */
const tolerance = { rtol: 0, atol: 2e-5 / 8 };

function logSoftmaxOf(x: Nd, dim: number): Nd {
  return build(x.shape, (index) => {
    let sum = 0;
    for (let i = 0; i < x.shape[dim]!; i++)
      sum += Math.exp(
        at(
          x,
          index.map((old, d) => (d === dim ? i : old)),
        ),
      );
    return at(x, index) - Math.log(sum);
  });
}

const along = (shape: readonly number[], dim: number): Sample => ({
  name: `[${shape}] along ${dim}`,
  inputs: ins('any', shape),
  call: (x) => n.logSoftmax(x, dim),
  reference: (x) => logSoftmaxOf(x, dim),
  ...tolerance,
});

export const normalize: Record<string, OpSamples> = {
  logSoftmax: {
    samples: [
      along([3, 4], 1),
      along([3, 4], 0),
      along([2, 3, 2], 1),
      along([5], 0),
      along([2, 20], 1),
      along([0, 3], 1),
      {
        ...along([2, 3], 1),
        name: 'softmax',
        call: (x) => n.softmax(x),
        reference: (x) => {
          const y = logSoftmaxOf(x, 1);
          return { ...y, data: y.data.map(Math.exp) };
        },
      },
    ],
    errors: [
      { name: 'no such dimension', call: () => n.logSoftmax(ones([2]), 1), code: 'INDEX_RANGE' },
      { name: 'int32', call: () => n.logSoftmax(ones([2], { dtype: 'int32' })), code: 'DTYPE' },
    ],
  },
  logSoftmaxGradient: {
    differentiable: false,
    samples: [
      {
        name: 'rows',
        inputs: ins('any', [2, 3], [2, 3]),
        call: (g, y) => apply(n.logSoftmaxGradientOp, [g!, y!], undefined),
        reference: (g, y) =>
          build([2, 3], ([i, j]) => {
            const sum = at(g!, [i!, 0]) + at(g!, [i!, 1]) + at(g!, [i!, 2]);
            return at(g!, [i!, j!]) - Math.exp(at(y!, [i!, j!])) * sum;
          }),
        // e^2 * 6 with a handful of roundings.
        rtol: 0,
        atol: 2e-5,
      },
    ],
    errors: [],
  },
};
