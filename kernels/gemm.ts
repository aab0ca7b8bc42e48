/** @file General matrix multiplication with leading dimensions, transposes, alpha and beta. */
import { blockLength } from './blocks.ts';
import { anyAlignment, defineKernel, flag, input, type Round, scalar, scratch, size } from './define.ts';

type Floats = Float32Array | Float64Array;

/** Elements of a matrix of `rows` rows of `columns`, whose rows begin `leading` elements apart. */
function matrixLength(rows: number, columns: number, leading: number): number {
  return rows === 0 || columns === 0 ? 0 : (rows - 1) * leading + columns;
}

/** One tile, one panel of eight columns by a block of k, and the largest block of A (512 rows by a block of k). */
function scratchBytes(m: number, n: number, k: number): number {
  const rows = Math.ceil(Math.min(512, Math.max(m, n)) / 4) * 4;
  return 4 * (32 + 8 * blockLength + rows * Math.min(k, blockLength));
}

/**
 * C = alpha * op(A) * op(B) + beta * C, where op transposes or not.
 *
 * Shapes: op(A) [m, k], op(B) [k, n], C [m, n], each row-major with rows `lda`, `ldb`, `ldc` elements apart: A is stored [m, k], or [k, m] if
 * transposed; B [k, n], or [n, k].
 *
 * @see the contract follows BLAS (netlib.org/blas, SGEMM), row-major.
 * @example
 * const c = new Float32Array(4);
 * callArrays(gemm_f32, {
 *   transposeA: 0, transposeB: 0, m: 2, n: 2, k: 2, alpha: 1, a: Float32Array.of(1, 2, 3, 4), lda: 2,
 *   b: Float32Array.of(5, 6, 7, 8), ldb: 2, beta: 0, c, ldc: 2,
 * });
 * c; // => [19, 22, 43, 50]
 */
export const gemm_f32 = defineKernel({
  name: 'gemm_f32',
  summary: 'C = alpha * op(A) * op(B) + beta * C',
  parameters: [
    flag('transposeA', '1: A is stored [k, m]'),
    flag('transposeB', '1: B is stored [n, k]'),
    size('m', 'rows of C'),
    size('n', 'columns of C'),
    size('k', 'length of the sums'),
    scalar('alpha', 'factor of the product'),
    input(
      'a',
      ({ transposeA, m, k, lda }) => (transposeA ? matrixLength(k!, m!, lda!) : matrixLength(m!, k!, lda!)),
      '[m, k] or [k, m]',
    ),
    size('lda', 'elements from one stored row of A to the next'),
    input(
      'b',
      ({ transposeB, n, k, ldb }) => (transposeB ? matrixLength(n!, k!, ldb!) : matrixLength(k!, n!, ldb!)),
      '[k, n] or [n, k]',
    ),
    size('ldb', 'elements from one stored row of B to the next'),
    scalar('beta', 'factor of the old C'),
    {
      name: 'c',
      kind: 'inout',
      type: 'float',
      length: ({ m, n, ldc }) => matrixLength(m!, n!, ldc!),
      doc: '[m, n]; elements between its rows are not touched',
    },
    size('ldc', 'elements from one row of C to the next, at least n'),
    scratch('blocks', ({ m, n, k }) => scratchBytes(m!, n!, k!), 'packed blocks of A and B'),
  ],
  rules: {
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
  },
  reference: (
    round: Round,
    transposeA: number,
    transposeB: number,
    m: number,
    n: number,
    k: number,
    alpha: number,
    a: Floats,
    lda: number,
    b: Floats,
    ldb: number,
    beta: number,
    c: Floats,
    ldc: number,
  ) => {
    const [aRow, aStep] = transposeA ? [1, lda] : [lda, 1];
    const [bStep, bColumn] = transposeB ? [1, ldb] : [ldb, 1];
    const depth = alpha === 0 ? 0 : k;
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let result = beta === 0 ? 0 : round(beta * c[i * ldc + j]!);
        for (let from = 0; from < depth; from += blockLength) {
          const end = Math.min(depth, from + blockLength);
          let sum = 0;
          for (let p = from; p < end; p++) {
            sum = round(sum + round(a[i * aRow + p * aStep]! * b[p * bStep + j * bColumn]!));
          }
          result = round(result + round(alpha * sum));
        }
        c[i * ldc + j] = result;
      }
    }
  },
});
