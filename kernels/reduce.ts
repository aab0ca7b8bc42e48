/** @file Reductions along the middle dimension of a contiguous [outer, length, inner]. */
import { anyAlignment, defineKernel, input, of, output, type Round, size } from './define.ts';
import { columnOrder, rowOrder, sumColumn, sumRow } from './row.ts';

type Floats = Float32Array | Float64Array;

const sizes = [
  size('outer', 'product of the dimensions before'),
  size('length', 'the reduced dimension'),
  size('inner', 'product of the dimensions after'),
] as const;

/** Bytes of partial sums: 32 levels of pairing for 16 columns. */
const treeBytes = 32 * 16 * 4;

/** y[o, i] = sum over l of x[o, l, i]; 0 for length 0. A batch of one and a batch of many give the same bits per row. */
export const sum_f32 = defineKernel({
  name: 'sum_f32',
  summary: 'y[o, i] = sum over l of x[o, l, i]',
  parameters: [
    input('x', of('outer', 'length', 'inner'), '[outer, length, inner]'),
    output('y', of('outer', 'inner'), '[outer, inner]'),
    ...sizes,
    { name: 'partials', kind: 'scratch', bytes: () => treeBytes, doc: 'partial sums of the pairing' },
  ],
  rules: {
    order: `inner = 1: ${rowOrder} Otherwise, for each (o, i): ${columnOrder}`,
    aliasing: 'none.',
    alignment: anyAlignment,
    edges: 'length 0 gives +0; a sum of -0 is +0; outer 0 or inner 0 touches nothing.',
  },
  reference: (round: Round, x: Floats, y: Floats, outer: number, length: number, inner: number) => {
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        const start = o * length * inner + i;
        y[o * inner + i] = inner === 1 ? sumRow(round, x, start, length) : sumColumn(round, x, start, length, inner);
      }
    }
  },
});

/** y[o, i] = max over l of x[o, l, i], and where it is: the first NaN, else the first of the largest. */
export const max_f32 = defineKernel({
  name: 'max_f32',
  summary: 'y[o, i] = max over l of x[o, l, i], indices[o, i] = the first l that has it',
  parameters: [
    input('x', of('outer', 'length', 'inner'), '[outer, length, inner]'),
    output('y', of('outer', 'inner'), '[outer, inner]'),
    {
      name: 'indices',
      kind: 'output',
      type: 'i32',
      length: of('outer', 'inner'),
      optional: true,
      doc: '[outer, inner], positions along length',
    },
    ...sizes,
  ],
  rules: {
    order: 'Exact: y is one of the elements, the one at the index (which decides between -0 and +0).',
    aliasing: 'none.',
    alignment: anyAlignment,
    edges: 'NaN is larger than everything, the first one counts. length 0 gives -inf and index -1.',
  },
  reference: (
    _round: Round,
    x: Floats,
    y: Floats,
    indices: Int32Array,
    outer: number,
    length: number,
    inner: number,
  ) => {
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        let index = length === 0 ? -1 : 0;
        let best = length === 0 ? -Infinity : x[o * length * inner + i]!;
        for (let l = 1; l < length; l++) {
          const value = x[(o * length + l) * inner + i]!;
          if (best < value || (Number.isNaN(value) && !Number.isNaN(best))) {
            best = value;
            index = l;
          }
        }
        y[o * inner + i] = best;
        if (indices.length > 0) indices[o * inner + i] = index;
      }
    }
  },
});
