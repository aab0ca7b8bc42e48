import { apply } from '../../src/ops/define.ts';
import * as l from '../../src/ops/linalg.ts';
import { broadcastShapes } from '../../src/shape.ts';
import { ones } from '../../src/tensor/create.ts';
import { at, build, ins, type Nd, type OpSamples, type Sample, unit } from './define.ts';

/** k products and additions of numbers up to 2: error at most (k + 1) u sum |a b| <= (k + 1) u 4 k. */
const bound = (k: number): number => 4 * (k + 1) * (k + 1) * unit;

function dot(k: number, f: (i: number) => number): number {
  let sum = 0;
  for (let i = 0; i < k; i++) sum += f(i);
  return sum;
}

function product(a: Nd, b: Nd): Nd {
  return build([a.shape[0]!, b.shape[1]!], ([i, j]) => dot(a.shape[1]!, (p) => at(a, [i!, p]) * at(b, [p, j!])));
}

const flip = (x: Nd): Nd => build([x.shape[1]!, x.shape[0]!], ([i, j]) => at(x, [j!, i!]));

function multiplied(m: number, k: number, n: number): Sample {
  return {
    name: `[${m},${k}] × [${k},${n}]`,
    inputs: ins('any', [m, k], [k, n]),
    call: (a, b) => l.matmul(a!, b!),
    reference: (a, b) => product(a!, b!),
    rtol: 0,
    atol: bound(k),
  };
}

function transposed(a: boolean, b: boolean): Sample {
  return {
    name: `transposed: ${a}, ${b}`,
    inputs: ins('any', a ? [4, 3] : [3, 4], b ? [5, 4] : [4, 5]),
    call: (x, y) => apply(l.matmulOp, [x!, y!], { a, b }),
    reference: (x, y) => product(a ? flip(x!) : x!, b ? flip(y!) : y!),
    rtol: 0,
    atol: bound(4),
  };
}

/** Products of matrices, whose leading dimensions broadcast; a vector on the left is a row. */
function batched(from: readonly number[], to: readonly number[]): Sample {
  const rows = from.length === 1 ? [1, ...from] : from;
  const lead = broadcastShapes('test', rows.slice(0, -2), to.slice(0, -2));
  const [m, k, n] = [rows.at(-2)!, rows.at(-1)!, to.at(-1)!];
  const own = (shape: readonly number[], index: readonly number[]) =>
    shape.slice(0, -2).map((size, i) => (size === 1 ? 0 : index[lead.length - (shape.length - 2) + i]!));
  return {
    name: `[${from}] × [${to}]`,
    inputs: ins('any', from, to),
    call: (a, b) => l.matmul(a!, b!),
    reference: (a, b) =>
      build(from.length === 1 ? [...lead, n] : [...lead, m, n], (index) => {
        const i = from.length === 1 ? 0 : index[lead.length]!;
        const left = { ...a!, shape: rows };
        return dot(k, (p) => at(left, [...own(rows, index), i, p]) * at(b!, [...own(to, index), p, index.at(-1)!]));
      }),
    rtol: 0,
    atol: bound(k),
  };
}

function batchedTransposed(a: boolean, b: boolean): Sample {
  return {
    name: `batch, transposed: ${a}, ${b}`,
    inputs: ins('any', a ? [2, 4, 3] : [2, 3, 4], b ? [2, 5, 4] : [2, 4, 5]),
    call: (x, y) => apply(l.batchedMatmulOp, [x!, y!], { a, b }),
    reference: (x, y) =>
      build([2, 3, 5], ([q, i, j]) =>
        dot(4, (p) => at(x!, a ? [q!, p, i!] : [q!, i!, p]) * at(y!, b ? [q!, j!, p] : [q!, p, j!])),
      ),
    rtol: 0,
    atol: bound(4),
  };
}

function affine(lead: readonly number[], from: number, to: number, bias: boolean): Sample {
  return {
    name: `[${[...lead, from]}] to ${to}${bias ? ' with bias' : ''}`,
    inputs: ins('any', [...lead, from], [to, from], ...(bias ? [[to]] : [])),
    call: (x, w, b) => l.linear(x!, w!, b),
    reference: (x, w, b) =>
      build([...lead, to], (index) => {
        const o = index.at(-1)!;
        const row = index.slice(0, -1);
        return dot(from, (i) => at(x!, [...row, i]) * at(w!, [o, i])) + (b === undefined ? 0 : at(b, [o]));
      }),
    rtol: 0,
    atol: bound(from + 1),
  };
}

export const linalg: Record<string, OpSamples> = {
  matmul: {
    samples: [
      multiplied(2, 3, 4),
      multiplied(1, 1, 1),
      multiplied(5, 9, 8),
      multiplied(0, 3, 2),
      multiplied(2, 0, 3),
      multiplied(2, 3, 0),
      transposed(false, false),
      transposed(true, false),
      transposed(false, true),
      transposed(true, true),
      {
        name: '[2,2,3] × [3,2]',
        inputs: ins('any', [2, 2, 3], [3, 2]),
        call: (a, b) => l.matmul(a!, b!),
        reference: (a, b) => ({ ...product({ ...a!, shape: [4, 3] }, b!), shape: [2, 2, 2] }),
        rtol: 0,
        atol: bound(3),
      },
      {
        name: '[3] × [3]',
        inputs: ins('any', [3], [3]),
        call: (a, b) => l.matmul(a!, b!),
        reference: (a, b) => ({ ...product({ ...a!, shape: [1, 3] }, { ...b!, shape: [3, 1] }), shape: [] }),
        rtol: 0,
        atol: bound(3),
      },
    ],
    errors: [
      { name: 'inner dimensions', call: () => l.matmul(ones([2, 3]), ones([4, 5])), code: 'SHAPE' },
      { name: 'scalar', call: () => l.matmul(ones([]), ones([1])), code: 'SHAPE' },
      { name: 'inner dimensions of a batch', call: () => l.matmul(ones([2, 2, 3]), ones([2, 2, 3])), code: 'SHAPE' },
      { name: 'batches', call: () => l.matmul(ones([2, 2, 2]), ones([3, 2, 2])), code: 'SHAPE' },
      { name: 'dtypes', call: () => l.matmul(ones([1, 1]), ones([1, 1], { dtype: 'float64' })), code: 'DTYPE' },
    ],
  },
  batchedMatmul: {
    samples: [
      batched([2, 3, 4], [2, 4, 5]),
      batched([3, 4], [2, 4, 5]),
      batched([2, 3, 4], [1, 4, 2]),
      batched([2, 1, 3, 2], [3, 2, 2]),
      batched([2, 1, 1, 3], [2, 2, 3, 4]),
      batched([3], [2, 3, 2]),
      batched([2, 0, 3], [2, 3, 2]),
      batched([2, 2, 0], [2, 0, 3]),
      batched([0, 2, 3], [0, 3, 2]),
      ...[false, true].flatMap((a) => [batchedTransposed(a, false), batchedTransposed(a, true)]),
    ],
    errors: [
      {
        name: 'batches',
        call: () => apply(l.batchedMatmulOp, [ones([2, 1, 1]), ones([3, 1, 1])], { a: false, b: false }),
        code: 'SHAPE',
      },
    ],
  },
  linear: {
    samples: [
      affine([2], 3, 4, true),
      affine([2], 3, 4, false),
      affine([], 3, 2, true),
      affine([2, 2], 3, 5, true),
      affine([0], 2, 3, true),
    ],
    errors: [
      { name: 'features', call: () => l.linear(ones([2, 3]), ones([4, 5])), code: 'SHAPE' },
      { name: 'bias', call: () => l.linear(ones([2, 3]), ones([4, 3]), ones([3])), code: 'SHAPE' },
      { name: 'scalar', call: () => l.linear(ones([]), ones([4, 1])), code: 'SHAPE' },
    ],
  },
};
