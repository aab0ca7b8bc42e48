/** @file General matrix multiplication with leading dimensions, transposes, alpha and beta: one product, many at once, and with what follows it. */
import { blockLength } from './blocks.ts';
import { anyAlignment, defineKernel, input, of, output, type Round, type Sizes, scratch, size } from './define.ts';
import {
  endingBytes,
  endingParameters,
  endingRules,
  endProduct,
  type Floats,
  multiply,
  product,
  productRules,
  productScratch,
} from './product.ts';

export { activations } from './product.ts';

const { transposeA, transposeB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc } = product;

/** The record of one product, on matrices of either precision. */
function one<const A, const B, const C>(a: A, b: B, c: C, bytes: (sizes: Sizes) => number) {
  const blocks = scratch('blocks', bytes, 'packed blocks of A and B');
  return {
    summary: 'C = alpha * op(A) * op(B) + beta * C',
    parameters: [transposeA, transposeB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, blocks],
    rules: productRules,
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
    ) => multiply(round, { transposeA, transposeB, m, n, k, alpha, beta, lda, ldb, ldc }, a, b, c),
  } as const;
}

/** Elements of `batch` matrices of `one` elements, `stride` apart. */
function batchLength(batch: number, stride: number, one: number): number {
  return batch === 0 || one === 0 ? 0 : (batch - 1) * stride + one;
}

/** The record of a batch of products, on matrices of either precision. */
function many<const A extends Matrix, const B extends Matrix, const C extends Matrix>(
  a: A,
  b: B,
  c: C,
  bytes: (sizes: Sizes) => number,
) {
  return {
    summary: 'C[i] = alpha * op(A[i]) * op(B[i]) + beta * C[i] for each i of the batch',
    parameters: [
      transposeA,
      transposeB,
      size('batch', 'number of products'),
      m,
      n,
      k,
      alpha,
      { ...a, length: (sizes: Sizes) => batchLength(sizes.batch!, sizes.strideA!, a.length(sizes)) },
      lda,
      size('strideA', 'elements from one A to the next; 0: one A for all'),
      { ...b, length: (sizes: Sizes) => batchLength(sizes.batch!, sizes.strideB!, b.length(sizes)) },
      ldb,
      size('strideB', 'elements from one B to the next; 0: one B for all'),
      beta,
      { ...c, length: (sizes: Sizes) => batchLength(sizes.batch!, sizes.strideC!, c.length(sizes)) },
      ldc,
      size('strideC', 'elements from one C to the next, at least a whole C'),
      scratch('blocks', bytes, 'packed blocks of A and B'),
    ],
    rules: {
      ...productRules,
      aliasing: 'Matrices of c overlap neither a nor b nor each other; those of a and b may overlap.',
    },
    reference: (
      round: Round,
      transposeA: number,
      transposeB: number,
      batch: number,
      m: number,
      n: number,
      k: number,
      alpha: number,
      a: Floats,
      lda: number,
      strideA: number,
      b: Floats,
      ldb: number,
      strideB: number,
      beta: number,
      c: Floats,
      ldc: number,
      strideC: number,
    ) => {
      const product = { transposeA, transposeB, m, n, k, alpha, beta, lda, ldb, ldc };
      for (let i = 0; i < batch; i++) multiply(round, product, a, b, c, [i * strideA, i * strideB, i * strideC]);
    },
  } as const;
}

/** A matrix whose length follows from the sizes. */
interface Matrix {
  readonly length: (sizes: Sizes) => number;
}

const a64 = { ...a, type: 'f64' } as const;
const b64 = { ...b, type: 'f64' } as const;
const c64 = { ...c, type: 'f64' } as const;

/** One tile, one panel of four columns by a block of k, and the largest block of A (128 rows by a block of k), in doubles. */
function scratchBytes64(m: number, k: number): number {
  const rows = Math.ceil(Math.min(128, m) / 4) * 4;
  return 8 * (16 + 4 * blockLength + rows * Math.min(k, blockLength));
}

/**
 * `gemm_f32` in double precision: the same order of operations, so the bits are those of its float64 reference.
 *
 * @example
 * const c = new Float64Array(1);
 * callArrays(gemm_f64, {
 *   transposeA: 0, transposeB: 0, m: 1, n: 1, k: 2, alpha: 1, a: Float64Array.of(1, 2), lda: 2, b: Float64Array.of(3, 0.1), ldb: 1, beta: 0,
 *   c, ldc: 1,
 * });
 * c; // => [3.2]
 */
export const gemm_f64 = defineKernel({
  ...one(a64, b64, c64, ({ m, k }) => scratchBytes64(m!, k!)),
  name: 'gemm_f64',
});

/**
 * `gemm_batched_f32` in double precision.
 *
 * @example
 * const c = new Float64Array(2);
 * callArrays(gemm_batched_f64, {
 *   transposeA: 0, transposeB: 0, batch: 2, m: 1, n: 1, k: 1, alpha: 1, a: Float64Array.of(1, 2), lda: 1, strideA: 1,
 *   b: Float64Array.of(3), ldb: 1, strideB: 0, beta: 0, c, ldc: 1, strideC: 1,
 * });
 * c; // => [3, 6]
 */
export const gemm_batched_f64 = defineKernel({
  ...many(a64, b64, c64, ({ m, k }) => scratchBytes64(m!, k!)),
  name: 'gemm_batched_f64',
});

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
  ...one(a, b, c, ({ m, n, k }) => productScratch(m!, n!, k!)),
  name: 'gemm_f32',
  work: of('m', 'n', 'k'),
  double: gemm_f64,
});

/**
 * `batch` products at once: C[i] = alpha * op(A[i]) * op(B[i]) + beta * C[i], where matrix i begins `stride` elements after matrix i - 1. A
 * stride of 0 uses one A or B for all.
 *
 * Shapes: op(A[i]) [m, k], op(B[i]) [k, n], C[i] [m, n], as for `gemm_f32`; the bits are those of `batch` calls of it.
 *
 * @example
 * const c = new Float32Array(2);
 * callArrays(gemm_batched_f32, {
 *   transposeA: 0, transposeB: 0, batch: 2, m: 1, n: 1, k: 2, alpha: 1, a: Float32Array.of(1, 2, 3, 4), lda: 2, strideA: 2,
 *   b: Float32Array.of(10, 100), ldb: 1, strideB: 0, beta: 0, c, ldc: 1, strideC: 1,
 * });
 * c; // => [210, 430]
 */
export const gemm_batched_f32 = defineKernel({
  ...many(a, b, c, ({ batch, m, n, k }) => productScratch(batch! * m!, n!, k!)),
  name: 'gemm_batched_f32',
  work: of('batch', 'm', 'n', 'k'),
  double: gemm_batched_f64,
});

/**
 * A product and what follows it in one pass: C = activation(alpha * op(A) * op(B) + beta * C + bias + residual), the result still in cache. The
 * bits are those of the separate kernels, one after the other.
 *
 * Shapes: as for `gemm_f32`; bias [n], residual [m, n].
 *
 * @example
 * const c = new Float32Array(2);
 * callArrays(gemm_fused_f32, {
 *   transposeA: 0, transposeB: 0, m: 1, n: 2, k: 1, alpha: 1, a: Float32Array.of(3), lda: 1, b: Float32Array.of(1, -1), ldb: 2, beta: 0, c,
 *   ldc: 2, bias: Float32Array.of(1, 1), ldr: 2, activation: activations.clamp, low: 0, high: Infinity,
 * });
 * c; // => [4, 0]
 */
export const gemm_fused_f32 = defineKernel({
  name: 'gemm_fused_f32',
  summary: 'C = activation(alpha * op(A) * op(B) + beta * C + bias + residual)',
  work: of('m', 'n', 'k'),
  parameters: [
    transposeA,
    transposeB,
    m,
    n,
    k,
    alpha,
    a,
    lda,
    b,
    ldb,
    beta,
    c,
    ldc,
    ...endingParameters,
    scratch('blocks', ({ m, n, k }) => endingBytes + productScratch(m!, n!, k!), 'packed blocks of A and B'),
  ],
  rules: { ...productRules, ...endingRules },
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
    bias: Floats,
    residual: Floats,
    ldr: number,
    activation: number,
    low: number,
    high: number,
  ) => {
    multiply(round, { transposeA, transposeB, m, n, k, alpha, beta, lda, ldb, ldc }, a, b, c);
    endProduct(round, [m, n], c, ldc, bias, residual, ldr, [activation, low, high]);
  },
});

/**
 * Elements of a packed B [k, n]: whole panels of 8 columns.
 *
 * @example
 * packedLength(17, 10); // => 240
 */
export function packedLength(n: number, k: number): number {
  return Math.ceil(n / 8) * 8 * k;
}

/**
 * Lays out B for `gemm_prepacked_f32`, which then reads it from end to end: for weights that many products use.
 *
 * Shapes: op(B) [k, n]; packed holds ceil(n / 8) * 8 * k floats. The layout is the same in every build.
 *
 * @example
 * const packed = new Float32Array(packedLength(2, 1));
 * callArrays(gemm_pack_b_f32, { transposeB: 0, n: 2, k: 1, b: Float32Array.of(3, 4), ldb: 2, packed });
 * packed.subarray(0, 4); // => [3, 4, 0, 0]
 */
export const gemm_pack_b_f32 = defineKernel({
  name: 'gemm_pack_b_f32',
  summary: 'packed = panels of 8 columns of op(B)',
  parameters: [
    transposeB,
    n,
    k,
    b,
    ldb,
    output(
      'packed',
      ({ n, k }) => packedLength(n!, k!),
      'for each block of 256 steps of k: for each 8 columns: [steps, 8]',
    ),
  ],
  rules: {
    order: 'Moves elements only. Columns from n on are +0.',
    aliasing: 'packed does not overlap b.',
    alignment: anyAlignment,
    edges: 'n 0 or k 0 touches nothing.',
  },
  reference: (_round: Round, transposeB: number, n: number, k: number, b: Floats, ldb: number, packed: Floats) => {
    let at = 0;
    for (let from = 0; from < k; from += blockLength)
      for (let left = 0; left < n; left += 8)
        for (let p = from; p < Math.min(k, from + blockLength); p++)
          for (let j = left; j < left + 8; j++) packed[at++] = j < n ? b[transposeB ? j * ldb + p : p * ldb + j]! : 0;
  },
});

/** Element (p, j) of a packed B. */
function unpacked(packed: Floats, n: number, k: number, p: number, j: number): number {
  const columns = Math.ceil(n / 8) * 8;
  const from = p - (p % blockLength);
  const steps = Math.min(blockLength, k - from);
  return packed[from * columns + (j - (j % 8)) * steps + (p - from) * 8 + (j % 8)]!;
}

/**
 * `gemm_fused_f32` with a B that `gemm_pack_b_f32` has laid out; the same bits.
 *
 * Shapes: op(A) [m, k], packed for [k, n], C [m, n], bias [n], residual [m, n].
 *
 * @example
 * const packed = new Float32Array(packedLength(2, 1));
 * callArrays(gemm_pack_b_f32, { transposeB: 0, n: 2, k: 1, b: Float32Array.of(3, 4), ldb: 2, packed });
 * const c = new Float32Array(2);
 * callArrays(gemm_prepacked_f32, {
 *   transposeA: 0, m: 1, n: 2, k: 1, alpha: 1, a: Float32Array.of(2), lda: 1, packed, beta: 0, c, ldc: 2, ldr: 2,
 *   activation: activations.none, low: 0, high: 0,
 * });
 * c; // => [6, 8]
 */
export const gemm_prepacked_f32 = defineKernel({
  name: 'gemm_prepacked_f32',
  summary: 'C = activation(alpha * op(A) * B + beta * C + bias + residual) with a packed B',
  work: of('m', 'n', 'k'),
  parameters: [
    transposeA,
    m,
    n,
    k,
    alpha,
    a,
    lda,
    input('packed', ({ n, k }) => packedLength(n!, k!), 'B as gemm_pack_b_f32 leaves it'),
    beta,
    c,
    ldc,
    ...endingParameters,
    scratch('blocks', ({ m, n, k }) => endingBytes + productScratch(m!, n!, k!), 'packed blocks of A'),
  ],
  rules: { ...productRules, ...endingRules },
  reference: (
    round: Round,
    transposeA: number,
    m: number,
    n: number,
    k: number,
    alpha: number,
    a: Floats,
    lda: number,
    packed: Floats,
    beta: number,
    c: Floats,
    ldc: number,
    bias: Floats,
    residual: Floats,
    ldr: number,
    activation: number,
    low: number,
    high: number,
  ) => {
    const b = packed.slice(0, k * n).map((_, i) => unpacked(packed, n, k, Math.floor(i / n), i % n));
    multiply(round, { transposeA, transposeB: 0, m, n, k, alpha, beta, lda, ldb: n, ldc }, a, b, c);
    endProduct(round, [m, n], c, ldc, bias, residual, ldr, [activation, low, high]);
  },
});
