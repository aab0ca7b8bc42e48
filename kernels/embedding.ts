/** @file Rows of a table by index (an embedding), and the gradient of the table: a scatter whose additions have one order, so that repeated
 * indices give the same bits on every run. */
import { anyAlignment, defineKernel, flag, input, of, output, type Round, size } from './define.ts';

type Floats = Float32Array | Float64Array;

const indices = {
  name: 'indices',
  kind: 'input',
  type: 'i32',
  length: of('count'),
  doc: '[count], which rows',
} as const;
const sizes = [
  size('vocabulary', 'rows of the table'),
  size('count', 'number of indices'),
  size('columns', 'elements of a row'),
] as const;

/** y[k] = weight[indices[k]]. */
export const embedding_f32 = defineKernel({
  name: 'embedding_f32',
  summary: 'y[k, c] = weight[indices[k], c]',
  parameters: [
    input('weight', of('vocabulary', 'columns'), '[vocabulary, columns], the table'),
    indices,
    output('y', of('count', 'columns'), '[count, columns]'),
    ...sizes,
  ],
  rules: {
    order: 'Exact copies.',
    aliasing: 'none.',
    alignment: anyAlignment,
    edges: 'An index outside 0 .. vocabulary - 1 gives NaN throughout; callers check indices before.',
  },
  reference: (
    _round: Round,
    weight: Floats,
    index: Int32Array,
    y: Floats,
    vocabulary: number,
    count: number,
    columns: number,
  ) => {
    for (let k = 0; k < count; k++) {
      const row = index[k]!;
      const inside = row >= 0 && row < vocabulary;
      for (let c = 0; c < columns; c++) y[k * columns + c] = inside ? weight[row * columns + c]! : Number.NaN;
    }
  },
});

/** gradWeight[v] = sum of gradY[k] over the k with indices[k] = v. */
export const embedding_f32_gradient = defineKernel({
  name: 'embedding_f32_gradient',
  summary: 'gradWeight[v, c] = sum over k with indices[k] = v of gradY[k, c]; 0 for v = paddingIndex',
  parameters: [
    input('gradY', of('count', 'columns'), '[count, columns]'),
    indices,
    output('gradWeight', of('vocabulary', 'columns'), '[vocabulary, columns]'),
    ...sizes,
    flag('paddingIndex', 'this row gets no gradient; -1 for none'),
  ],
  rules: {
    order: 'gradWeight starts at +0; rows of gradY are added in order of k.',
    aliasing: 'none.',
    alignment: anyAlignment,
    edges: 'An index outside the table adds nothing. A row that no index names is +0.',
  },
  reference: (
    round: Round,
    gradY: Floats,
    index: Int32Array,
    gradWeight: Floats,
    vocabulary: number,
    count: number,
    columns: number,
    paddingIndex: number,
  ) => {
    gradWeight.fill(0, 0, vocabulary * columns);
    for (let k = 0; k < count; k++) {
      const row = index[k]!;
      if (row < 0 || row >= vocabulary || row === paddingIndex) continue;
      for (let c = 0; c < columns; c++) {
        const at = row * columns + c;
        gradWeight[at] = round(gradWeight[at]! + gradY[k * columns + c]!);
      }
    }
  },
});
