import { apply } from '../../src/ops/define.ts';
import * as p from '../../src/ops/pool.ts';
import { storageOf } from '../../src/tensor/arena.ts';
import { ones } from '../../src/tensor/create.ts';
import { at, build, ins, type OpSamples, type Sample, unit } from './define.ts';

type Two = readonly [number, number];

function pooled(shape: readonly number[], kernel: Two, stride: Two, padding: Two): Sample {
  const count = (d: 0 | 1): number => Math.floor((shape[d + 2]! + 2 * padding[d] - kernel[d]) / stride[d]) + 1;
  return {
    name: `[${shape}] by ${kernel} step ${stride} padding ${padding}`,
    inputs: ins('distinct', shape),
    call: (x) => p.maxPool2d(x, kernel, { stride, padding }),
    reference: (x) =>
      build([shape[0]!, shape[1]!, count(0), count(1)], ([n, c, i, j]) => {
        let best = -Infinity;
        for (let a = 0; a < kernel[0]; a++) {
          for (let b = 0; b < kernel[1]; b++) {
            const row = i! * stride[0] + a - padding[0];
            const column = j! * stride[1] + b - padding[1];
            if (row >= 0 && row < shape[2]! && column >= 0 && column < shape[3]!)
              best = Math.max(best, at(x, [n!, c!, row, column]));
          }
        }
        return best;
      }),
    // The input is rounded to float32 once.
    rtol: unit,
    atol: 0,
  };
}

export const pool: Record<string, OpSamples> = {
  maxPool2d: {
    samples: [
      pooled([2, 1, 4, 4], [2, 2], [2, 2], [0, 0]),
      pooled([1, 2, 5, 6], [2, 3], [2, 2], [0, 1]),
      pooled([1, 1, 5, 5], [3, 3], [1, 1], [1, 1]),
      pooled([0, 1, 4, 4], [2, 2], [2, 2], [0, 0]),
      {
        ...pooled([1, 1, 4, 6], [2, 2], [2, 2], [0, 0]),
        name: 'the stride is the window',
        call: (x) => p.maxPool2d(x, 2),
      },
    ],
    errors: [
      { name: 'rank', call: () => p.maxPool2d(ones([4, 4]), 2), code: 'SHAPE' },
      { name: 'window larger than the image', call: () => p.maxPool2d(ones([1, 1, 2, 2]), 3), code: 'SHAPE' },
      { name: 'padding more than half', call: () => p.maxPool2d(ones([1, 1, 4, 4]), 2, { padding: 2 }), code: 'SHAPE' },
      { name: 'stride 0', call: () => p.maxPool2d(ones([1, 1, 4, 4]), 2, { stride: 0 }), code: 'ARGUMENT' },
    ],
  },
  maxPool2dGradient: {
    samples: [
      {
        name: 'overlapping windows',
        inputs: ins('any', [1, 1, 2, 2]),
        call: (g) =>
          apply(p.maxPool2dGradientOp, [g], { indices: storageOf('int32', [4, 4, 5, 4], 'test'), to: [1, 1, 3, 3] }),
        reference: (g) =>
          build([1, 1, 3, 3], ([, , i, j]) => {
            const flat = i! * 3 + j!;
            return flat === 4 ? g.data[0]! + g.data[1]! + g.data[3]! : flat === 5 ? g.data[2]! : 0;
          }),
        // Two additions of numbers up to 2.
        rtol: 0,
        atol: 12 * unit,
      },
    ],
    errors: [],
  },
};
