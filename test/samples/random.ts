import { apply } from '../../src/ops/define.ts';
import { dropout, maskOp } from '../../src/ops/random.ts';
import { Random } from '../../src/random.ts';
import { storageOf } from '../../src/tensor/arena.ts';
import { ones } from '../../src/tensor/create.ts';
import { withRandomKey } from '../../src/tensor/randomness.ts';
import { ins, nd, type OpSamples } from './define.ts';

const key = { seed: 7, stream: 3 };

export const random: Record<string, OpSamples> = {
  dropout: {
    samples: [0.5, 0.25, 0, 1].map((p) => ({
      name: `p = ${p}`,
      inputs: ins('any', [4, 5]),
      call: (x) => withRandomKey(key, () => dropout(x, { p })),
      reference: (x) => {
        const numbers = new Random(key.seed, key.stream);
        return nd(
          x.shape,
          x.data.map((value) => (p > 0 && numbers.float32() < p ? 0 : value / (1 - p))),
        );
      },
      // Scale and product are rounded once each.
      rtol: 2.5e-7,
      atol: 0,
    })),
    errors: [
      { name: 'p above 1', call: () => dropout(ones([1]), { p: 1.5 }), code: 'ARGUMENT' },
      { name: 'p NaN', call: () => dropout(ones([1]), { p: Number.NaN }), code: 'ARGUMENT' },
    ],
  },
  mask: {
    samples: [
      {
        name: 'every other',
        inputs: ins('any', [4]),
        call: (x) => apply(maskOp, [x], { mask: storageOf('uint8', [1, 0, 1, 0], 'test'), scale: 2 }),
        reference: (x) =>
          nd(
            [4],
            x.data.map((value, i) => (i % 2 === 0 ? 2 * value : 0)),
          ),
        rtol: 0,
        atol: 0,
      },
    ],
    errors: [],
  },
};
