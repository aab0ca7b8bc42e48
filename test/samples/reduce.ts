import * as r from '../../src/ops/reduce.ts';
import { ones } from '../../src/tensor/create.ts';
import { at, build, ins, type Nd, type OpSamples, type Sample, unit } from './define.ts';

/** All indices of x that agree with `index` outside the reduced dims, as values. */
function over(x: Nd, dims: readonly number[], index: readonly number[]): number[] {
  const values: number[] = [];
  const walk = (d: number, at_: number[]): void => {
    if (d === x.shape.length) values.push(at(x, at_));
    else if (dims.includes(d)) for (let i = 0; i < x.shape[d]!; i++) walk(d + 1, [...at_, i]);
    else walk(d + 1, [...at_, index[at_.filter((_, k) => !dims.includes(k)).length]!]);
  };
  walk(0, []);
  return values;
}

function reduced(dims: readonly number[], f: (values: readonly number[]) => number): (x: Nd) => Nd {
  return (x) =>
    build(
      x.shape.filter((_, d) => !dims.includes(d)),
      (index) => f(over(x, dims, index)),
    );
}

const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

function summed(shape: readonly number[], dims: readonly number[]): Sample {
  const count = dims.reduce((n, d) => n * shape[d]!, 1);
  return {
    name: `[${shape}] over [${dims}]`,
    inputs: ins('any', shape),
    call: (x) => r.sum(x, dims),
    reference: reduced(dims, total),
    // Higham's bound: any order of n additions errs by at most n u sum|x|, and |x| <= 2.
    atol: 2 * count * count * unit,
    rtol: 0,
  };
}

function maxed(shape: readonly number[], dim: number): Sample {
  return {
    name: `[${shape}] over ${dim}`,
    inputs: ins('distinct', shape),
    call: (x) => r.amax(x, dim),
    reference: reduced([dim], (values) => Math.max(...values)),
    rtol: unit,
    atol: 0,
  };
}

export const reduce: Record<string, OpSamples> = {
  sum: {
    samples: [
      summed([5], [0]),
      summed([3, 4], [0]),
      summed([3, 4], [1]),
      summed([2, 3, 4], [0, 2]),
      summed([2, 3, 4], [0, 1]),
      summed([2, 0, 3], [1]),
      summed([0], [0]),
      summed([2, 37], [1]),
      { ...summed([2, 3], [0, 1]), name: 'all', call: (x) => r.sum(x) },
      {
        ...summed([2, 3], [1]),
        name: 'keepdim',
        call: (x) => r.sum(x, -1, { keepdim: true }),
        reference: (x) => ({ ...reduced([1], total)(x), shape: [2, 1] }),
      },
      {
        ...summed([3, 4], [1]),
        name: 'mean',
        call: (x) => r.mean(x, 1),
        reference: reduced([1], (values) => total(values) / values.length),
      },
      { ...summed([], []), name: 'scalar', call: (x) => r.sum(x) },
    ],
    errors: [
      { name: 'no such dimension', call: () => r.sum(ones([2]), 1), code: 'INDEX_RANGE' },
      { name: 'twice', call: () => r.sum(ones([2, 2]), [0, -2]), code: 'ARGUMENT' },
    ],
  },
  max: {
    samples: [
      maxed([5], 0),
      maxed([3, 4], 0),
      maxed([3, 4], 1),
      maxed([2, 3, 4], 1),
      maxed([1, 3, 0], 1),
      { ...maxed([2, 3], 0), name: 'all', call: (x) => r.amax(x), reference: reduced([0, 1], (v) => Math.max(...v)) },
      {
        ...maxed([2, 3], 1),
        name: 'keepdim',
        call: (x) => r.max(x, 1, { keepdim: true }).values,
        reference: (x) => ({ ...reduced([1], (v) => Math.max(...v))(x), shape: [2, 1] }),
      },
    ],
    errors: [
      { name: 'empty', call: () => r.amax(ones([0])), code: 'SHAPE' },
      { name: 'empty dimension', call: () => r.max(ones([2, 0]), 1), code: 'SHAPE' },
      { name: 'no such dimension', call: () => r.max(ones([2]), -2), code: 'INDEX_RANGE' },
      { name: 'int32', call: () => r.amax(ones([2], { dtype: 'int32' })), code: 'DTYPE' },
    ],
  },
};
