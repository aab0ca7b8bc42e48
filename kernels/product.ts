/** @file What the kernels of matrix products share: parameters, rules, and the definition of a product and of what follows it. */
import { blockLength } from './blocks.ts';
import { anyAlignment, flag, input, type Round, type Sizes, scalar, size } from './define.ts';
import { gelu32 } from './f32-double.ts';
import { sigmoid32, tanh32 } from './f32-math.ts';
import { sigmoid64, tanh64 } from './f64-math.ts';
import { gelu64 } from './f64-special.ts';

export type Floats = Float32Array | Float64Array;

/** Elements of a matrix of `rows` rows of `columns`, whose rows begin `leading` elements apart. */
export function matrixLength(rows: number, columns: number, leading: number): number {
  return rows === 0 || columns === 0 ? 0 : (rows - 1) * leading + columns;
}

const a = input(
  'a',
  ({ transposeA, m, k, lda }) => (transposeA ? matrixLength(k!, m!, lda!) : matrixLength(m!, k!, lda!)),
  '[m, k] or [k, m]',
);
const lda = size('lda', 'elements from one stored row of A to the next');
const b = input(
  'b',
  ({ transposeB, n, k, ldb }) => (transposeB ? matrixLength(n!, k!, ldb!) : matrixLength(k!, n!, ldb!)),
  '[k, n] or [n, k]',
);
const ldb = size('ldb', 'elements from one stored row of B to the next');
const c = {
  name: 'c',
  kind: 'inout',
  type: 'float',
  length: ({ m, n, ldc }: Sizes) => matrixLength(m!, n!, ldc!),
  doc: '[m, n]; elements between its rows are not touched',
} as const;
const ldc = size('ldc', 'elements from one row of C to the next, at least n');
const transposeA = flag('transposeA', '1: A is stored [k, m]');
const transposeB = flag('transposeB', '1: B is stored [n, k]');
const m = size('m', 'rows of C');
const n = size('n', 'columns of C');
const k = size('k', 'length of the sums');
const alpha = scalar('alpha', 'factor of the product');
const beta = scalar('beta', 'factor of the old C');

/** The parameters of a product, by name. */
export const product = { transposeA, transposeB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc } as const;

/** The rules of a product. */
export const productRules = {
  order:
    'C[i,j]: start with beta * C[i,j] (+0 if beta is 0). For each block of 256 steps of k, in order: sum = +0, then sum = sum + A[i,p] * B[p,j] ' +
    'for each p in order, product and sum each rounded (no fused multiply-add); then C[i,j] = C[i,j] + alpha * sum, product and sum each ' +
    'rounded. An element depends on its own row of A and column of B only: not on m, n or its place.',
  beta: 'beta 0: C is not read, and may hold anything, NaN too.',
  aliasing: 'c overlaps neither a nor b; a and b may overlap.',
  alignment: anyAlignment,
  edges:
    'm 0 or n 0 touches nothing. k 0 or alpha 0: neither A nor B is read, C = beta * C (+0 if beta is 0). NaN and infinities go through as ' +
    'in the formula.',
};

/** A product as the references see it: element (i, p) of op(A) at `a[aOffset + i * aRow + p * aStep]`, B likewise. */
export interface Product {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly alpha: number;
  readonly beta: number;
  readonly ldc: number;
  readonly transposeA: number;
  readonly transposeB: number;
  readonly lda: number;
  readonly ldb: number;
}

/** The definition of all products, from the given first elements on. */
export function multiply(
  round: Round,
  { transposeA, transposeB, m, n, k, alpha, beta, lda, ldb, ldc }: Product,
  a: Floats,
  b: Floats,
  c: Floats,
  [firstA, firstB, firstC]: readonly [number, number, number] = [0, 0, 0],
): void {
  const [aRow, aStep] = transposeA ? [1, lda] : [lda, 1];
  const [bStep, bColumn] = transposeB ? [1, ldb] : [ldb, 1];
  const depth = alpha === 0 ? 0 : k;
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      const at = firstC + i * ldc + j;
      let result = beta === 0 ? 0 : round(beta * c[at]!);
      for (let from = 0; from < depth; from += blockLength) {
        const end = Math.min(depth, from + blockLength);
        let sum = 0;
        for (let p = from; p < end; p++) {
          sum = round(sum + round(a[firstA + i * aRow + p * aStep]! * b[firstB + p * bStep + j * bColumn]!));
        }
        result = round(result + round(alpha * sum));
      }
      c[at] = result;
    }
  }
}

/** Bytes of the record of an ending. */
export const endingBytes = 32;

/** What `activation` of the fused kernels may be. */
export const activations = { none: 0, clamp: 1, tanh: 2, sigmoid: 3, gelu: 4 } as const;

/** The activation of a fused product, as a function. */
function activationOf(round: Round, activation: number, low: number, high: number): (x: number) => number {
  const single = round === Math.fround;
  if (activation === activations.clamp) {
    return (x) => {
      // biome-ignore lint/complexity/useMathMinMax: Math.max and Math.min would turn -0 into 0.
      const raised = x < low ? low : x;
      // biome-ignore lint/complexity/useMathMinMax: as above.
      return raised > high ? high : raised;
    };
  }
  if (activation === activations.tanh) return single ? tanh32 : tanh64;
  if (activation === activations.sigmoid) return single ? sigmoid32 : sigmoid64;
  if (activation === activations.gelu) return single ? gelu32 : gelu64;
  return (x) => x;
}

/** The definition of what follows a product. */
export function endProduct(
  round: Round,
  [m, n]: readonly [number, number],
  c: Floats,
  ldc: number,
  bias: Floats,
  residual: Floats,
  ldr: number,
  [activation, low, high]: readonly [number, number, number],
): void {
  const activate = activationOf(round, activation, low, high);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let x = c[i * ldc + j]!;
      if (bias.length > 0) x = round(x + bias[j]!);
      if (residual.length > 0) x = round(x + residual[i * ldr + j]!);
      c[i * ldc + j] = activate(x);
    }
  }
}

/** The parameters of an activation that follows. */
export const activationParameters = [
  flag('activation', '0 none, 1 clamp to [low, high] (0 and infinity: ReLU), 2 tanh, 3 sigmoid, 4 GELU; last'),
  scalar('low', 'lower end of the clamp'),
  scalar('high', 'upper end of the clamp'),
] as const;

/** The parameters of what follows a product. */
export const endingParameters = [
  { ...input('bias', ({ n }) => n!, '[n], added to each row'), optional: true },
  {
    ...input('residual', ({ m, n, ldr }) => matrixLength(m!, n!, ldr!), '[m, n], added after the bias'),
    optional: true,
  },
  size('ldr', 'elements from one row of the residual to the next'),
  ...activationParameters,
] as const;

/** What a clamp does at the edges. */
export const clampRule =
  'The clamp is x = x < low ? low : x, then x > high ? high : x, so NaN passes, and -0 where an end is 0.';

/** The rules of what follows a product. */
export const endingRules = {
  order: `${productRules.order} Then C[i,j] + bias[j] (rounded) + residual[i,j] (rounded), and the activation: the bits of add_bias_f32, add_f32 and the activation's kernel.`,
  aliasing: 'c overlaps no other buffer.',
  edges: `${productRules.edges} The ending follows also then. ${clampRule}`,
};

/** One tile, and what is packed of a block of k: sixteen columns and 512 rows or columns, or 512 rows and 256 columns. */
export function productScratch(m: number, n: number, k: number): number {
  const lanes = (size: number, most: number) => Math.ceil(Math.min(most, size) / 8) * 8;
  const steps = Math.min(k, blockLength);
  return (
    4 * (32 + Math.max(16 * blockLength + lanes(Math.max(m, n), 512) * steps, (lanes(m, 512) + lanes(n, 256)) * steps))
  );
}
