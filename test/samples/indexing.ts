import { apply } from '../../src/ops/define.ts';
import * as x from '../../src/ops/indexing.ts';
import { fromTypedArray, ones, tensor } from '../../src/tensor/create.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { at, build, ins, type Nd, type OpSamples, type Sample, unit } from './define.ts';

const exact = { rtol: 0, atol: 0 };
const replace = (index: readonly number[], dim: number, value: number): number[] =>
  index.map((old, d) => (d === dim ? value : old));
const resized = (shape: readonly number[], dim: number, size: number): number[] => replace(shape, dim, size);
const int32 = (values: number[], shape: readonly number[] = [values.length]): Tensor =>
  fromTypedArray(values, shape, { dtype: 'int32' });

function narrowed(shape: readonly number[], dim: number, start: number, length: number): Sample {
  return {
    name: `[${shape}] dim ${dim} from ${start} take ${length}`,
    inputs: ins('any', shape),
    call: (a) => x.narrow(a, dim, start, length),
    reference: (a) => build(resized(shape, dim, length), (i) => at(a, replace(i, dim, i[dim]! + start))),
    ...exact,
  };
}

function joined(shapes: readonly (readonly number[])[], dim: number): Sample {
  const total = shapes.reduce((sum, shape) => sum + shape[dim]!, 0);
  return {
    name: `${shapes.length} along ${dim}`,
    inputs: ins('any', ...shapes),
    call: (...parts) => x.cat(parts, dim),
    reference: (...parts) =>
      build(resized(shapes[0]!, dim, total), (index) => {
        let i = index[dim]!;
        const part = parts.find((candidate) => {
          if (i < candidate.shape[dim]!) return true;
          i -= candidate.shape[dim]!;
          return false;
        });
        return at(part!, replace(index, dim, i));
      }),
    ...exact,
  };
}

function chosen(shape: readonly number[], dim: number, indices: readonly number[]): Sample {
  return {
    name: `[${shape}] dim ${dim} at [${indices}]`,
    inputs: ins('any', shape),
    call: (a) => x.indexSelect(a, dim, indices),
    reference: (a) => build(resized(shape, dim, indices.length), (i) => at(a, replace(i, dim, indices[i[dim]!]!))),
    ...exact,
  };
}

/** y[.., i, ..] = sum of x[.., j, ..] with indices[j] = i. */
function addedRows(a: Nd, dim: number, indices: readonly number[], length: number): Nd {
  return build(resized(a.shape, dim, length), (index) =>
    indices.reduce((sum, to, j) => (to === index[dim] ? sum + at(a, replace(index, dim, j)) : sum), 0),
  );
}

export const indexing: Record<string, OpSamples> = {
  narrow: {
    samples: [
      narrowed([5], 0, 1, 3),
      narrowed([3, 4], 0, 1, 2),
      narrowed([3, 4], 1, 2, 2),
      narrowed([2, 3, 4], 1, 0, 2),
      narrowed([3], 0, 3, 0),
      {
        ...narrowed([2, 3, 4], 1, 2, 1),
        name: 'select',
        call: (a) => x.select(a, 1, -1),
        reference: (a) => build([2, 4], ([i, k]) => at(a, [i!, 2, k!])),
      },
    ],
    errors: [
      { name: 'past the end', call: () => x.narrow(ones([3]), 0, 2, 2), code: 'INDEX_RANGE' },
      { name: 'fraction', call: () => x.narrow(ones([3]), 0, 0.5, 1), code: 'INDEX_RANGE' },
      { name: 'no such dimension', call: () => x.narrow(ones([3]), 1, 0, 1), code: 'INDEX_RANGE' },
      { name: 'select past the end', call: () => x.select(ones([3]), 0, 3), code: 'INDEX_RANGE' },
    ],
  },
  embed: {
    samples: [
      {
        name: 'between zeros',
        inputs: ins('any', [2, 2]),
        call: (a) => apply(x.embedOp, [a], { dim: 1, start: 1, length: 4 }),
        reference: (a) => build([2, 4], ([i, j]) => (j! >= 1 && j! < 3 ? at(a, [i!, j! - 1]) : 0)),
        ...exact,
      },
    ],
    errors: [],
  },
  cat: {
    samples: [
      joined([[2], [3]], 0),
      joined(
        [
          [2, 3],
          [1, 3],
          [0, 3],
        ],
        0,
      ),
      joined(
        [
          [2, 3],
          [2, 1],
        ],
        1,
      ),
      joined(
        [
          [2, 2, 2],
          [2, 1, 2],
        ],
        1,
      ),
      {
        name: 'stack',
        inputs: ins('any', [2, 3], [2, 3]),
        call: (a, b) => x.stack([a!, b!], 1),
        reference: (a, b) => build([2, 2, 3], ([i, j, k]) => at(j === 0 ? a! : b!, [i!, k!])),
        ...exact,
      },
    ],
    errors: [
      { name: 'none', call: () => x.cat([]), code: 'ARGUMENT' },
      { name: 'no tensors to stack', call: () => x.stack([]), code: 'ARGUMENT' },
      { name: 'scalars', call: () => x.cat([ones([])]), code: 'SHAPE' },
      { name: 'other sizes', call: () => x.cat([ones([2, 3]), ones([2, 2])]), code: 'SHAPE' },
      { name: 'other ranks', call: () => x.cat([ones([2]), ones([2, 2])]), code: 'SHAPE' },
      { name: 'dtypes', call: () => x.cat([ones([2]), ones([2], { dtype: 'int32' })]), code: 'DTYPE' },
    ],
  },
  indexSelect: {
    samples: [
      chosen([4], 0, [3, 0, 3]),
      chosen([3, 2], 0, [2, 1]),
      chosen([2, 3, 2], 1, [0, 2, 2, 1]),
      chosen([3], 0, []),
    ],
    errors: [
      { name: 'past the end', call: () => x.indexSelect(ones([3]), 0, [3]), code: 'INDEX_RANGE' },
      { name: 'negative', call: () => x.indexSelect(ones([3]), 0, [-1]), code: 'INDEX_RANGE' },
      { name: 'NaN', call: () => x.indexSelect(ones([3]), 0, [Number.NaN]), code: 'DTYPE' },
      { name: 'floats', call: () => x.indexSelect(ones([3]), 0, tensor([1])), code: 'DTYPE' },
      { name: 'scalar', call: () => x.indexSelect(ones([]), 0, [0]), code: 'SHAPE' },
    ],
  },
  indexAdd: {
    samples: [
      {
        name: 'with repeats',
        inputs: ins('any', [2, 3, 2]),
        call: (a) => apply(x.indexAddOp, [a], { dim: 1, indices: int32([1, 0, 1]), length: 4 }),
        reference: (a) => addedRows(a, 1, [1, 0, 1], 4),
        // One addition of numbers up to 2.
        rtol: 0,
        atol: 4 * unit,
      },
    ],
    errors: [],
  },
  gather: {
    samples: [
      {
        name: 'one per row',
        inputs: ins('any', [3, 4]),
        call: (a) => x.gatherAlong(a, 1, int32([3, 0, 2])),
        reference: (a) => build([3], ([i]) => at(a, [i!, [3, 0, 2][i!]!])),
        ...exact,
      },
      {
        name: 'several in the middle',
        inputs: ins('any', [2, 3, 2]),
        call: (a) => x.gatherAlong(a, 1, int32([0, 1, 2, 2, 1, 0, 0, 0], [2, 2, 2])),
        reference: (a) =>
          build([2, 2, 2], ([o, j, k]) => at(a, [o!, [0, 1, 2, 2, 1, 0, 0, 0][o! * 4 + j! * 2 + k!]!, k!])),
        ...exact,
      },
    ],
    errors: [{ name: 'past the end', call: () => x.gatherAlong(ones([1, 2]), 1, int32([2])), code: 'INDEX_RANGE' }],
  },
  scatter: {
    samples: [
      {
        name: 'one per row',
        inputs: ins('any', [3]),
        call: (a) => x.scatterAlong(a, 1, int32([3, 0, 2]), [3, 4]),
        reference: (a) => build([3, 4], ([i, j]) => ([3, 0, 2][i!] === j ? at(a, [i!]) : 0)),
        ...exact,
      },
      {
        name: 'with repeats',
        inputs: ins('any', [1, 3]),
        call: (a) => x.scatterAlong(a, 1, int32([1, 1, 0], [1, 3]), [1, 2]),
        reference: (a) => build([1, 2], ([, j]) => (j === 1 ? at(a, [0, 0]) + at(a, [0, 1]) : at(a, [0, 2]))),
        rtol: 0,
        atol: 4 * unit,
      },
    ],
    errors: [],
  },
};
