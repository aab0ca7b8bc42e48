import * as m from '../../src/ops/movement.ts';
import { ones } from '../../src/tensor/create.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { at, build, ins, nd, type OpSamples, type Sample } from './define.ts';

const exact = { rtol: 0, atol: 0 };

function reshaped(from: readonly number[], to: readonly number[], shape: readonly number[]): Sample {
  return {
    name: `[${from}] to [${to}]`,
    inputs: ins('any', from),
    call: (x) => m.reshape(x, to),
    reference: (x) => nd(shape, x.data),
    ...exact,
  };
}

function permuted(shape: readonly number[], dims: readonly number[], call: (x: Tensor) => Tensor): Sample {
  return {
    name: `[${shape}] by [${dims}]`,
    inputs: ins('any', shape),
    call,
    reference: (x) =>
      build(
        dims.map((dim) => shape[dim]!),
        (index) => {
          const source = new Array<number>(dims.length);
          dims.forEach((dim, i) => {
            source[dim] = index[i]!;
          });
          return at(x, source);
        },
      ),
    ...exact,
  };
}

function expanded(from: readonly number[], to: readonly number[]): Sample {
  const lead = to.length - from.length;
  return {
    name: `[${from}] to [${to}]`,
    inputs: ins('any', from),
    call: (x) => m.expand(x, to),
    reference: (x) =>
      build(to, (index) =>
        at(
          x,
          from.map((dim, i) => (dim === 1 ? 0 : index[i + lead]!)),
        ),
      ),
    ...exact,
  };
}

export const movement: Record<string, OpSamples> = {
  reshape: {
    samples: [
      reshaped([2, 6], [3, 4], [3, 4]),
      reshaped([2, 6], [-1], [12]),
      reshaped([4], [2, -1, 1], [2, 2, 1]),
      reshaped([1], [], []),
      reshaped([0, 3], [3, 0], [3, 0]),
      { ...reshaped([2, 3, 4], [2, 12], [2, 12]), call: (x) => m.flatten(x, 1) },
    ],
    errors: [
      { name: 'other size', call: () => m.reshape(ones([4]), [3]), code: 'SHAPE' },
      { name: 'two -1', call: () => m.reshape(ones([4]), [-1, -1]), code: 'SHAPE' },
      { name: '-1 that does not divide', call: () => m.reshape(ones([4]), [3, -1]), code: 'SHAPE' },
      { name: '-1 beside 0', call: () => m.reshape(ones([0]), [0, -1]), code: 'SHAPE' },
      { name: 'fraction', call: () => m.reshape(ones([4]), [2.5, 1.6]), code: 'SHAPE' },
    ],
  },
  permute: {
    samples: [
      permuted([2, 3], [1, 0], (x) => m.transpose(x)),
      permuted([2, 3, 4], [2, 0, 1], (x) => m.permute(x, [2, 0, 1])),
      permuted([2, 3, 4, 5], [0, 2, 3, 1], (x) => m.permute(x, [0, 2, 3, 1])),
      permuted([2, 1, 3, 2, 2, 3], [5, 4, 3, 2, 1, 0], (x) => m.permute(x, [5, 4, 3, 2, 1, 0])),
      permuted([0, 3], [1, 0], (x) => m.permute(x, [-1, 0])),
      permuted([9, 17], [1, 0], (x) => m.transpose(x, 0, 1)),
    ],
    errors: [
      { name: 'too few', call: () => m.permute(ones([2, 3]), [0]), code: 'ARGUMENT' },
      { name: 'twice', call: () => m.permute(ones([2, 3]), [0, 0]), code: 'ARGUMENT' },
      { name: 'outside', call: () => m.permute(ones([2, 3]), [0, 2]), code: 'INDEX_RANGE' },
      { name: 'rank 7', call: () => m.permute(ones([1, 1, 1, 1, 1, 1, 2]), [6, 1, 2, 3, 4, 5, 0]), code: 'SHAPE' },
    ],
  },
  expand: {
    samples: [
      expanded([], [3]),
      expanded([3], [2, 3]),
      expanded([2, 1], [2, 5]),
      expanded([1, 3, 1], [4, 2, 3, 2]),
      expanded([1], [0]),
      expanded([2, 1], [3, 2, 1]),
    ],
    errors: [
      { name: 'size 2 to 4', call: () => m.expand(ones([2]), [4]), code: 'SHAPE' },
      { name: 'fewer dimensions', call: () => m.expand(ones([2, 2]), [2]), code: 'SHAPE' },
    ],
  },
};
