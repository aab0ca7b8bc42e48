/** @file General matrix multiplication with leading dimensions, transposes, alpha and beta: one product, many at once, and with what follows it. */
import { blockLength } from './blocks.ts';
import { defineKernel, type Round, type Sizes, scratch, size } from './define.ts';
import { endingParameters, endingRules, endProduct, type Floats, multiply, product, productRules } from './product.ts';

export { activations } from './product.ts';

const { transposeA, transposeB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc } = product;

/** One tile, one panel of sixteen columns by a block of k, and the largest block of A (512 rows by a block of k). */
function scratchBytes(m: number, n: number, k: number): number {
  const rows = Math.ceil(Math.min(512, Math.max(m, n)) / 4) * 4;
  return 4 * (32 + 16 * blockLength + rows * Math.min(k, blockLength));
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
    scratch('blocks', ({ m, n, k }) => scratchBytes(m!, n!, k!), 'packed blocks of A and B'),
  ],
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
});

/** Elements of `batch` matrices of `one` elements, `stride` apart. */
function batchLength(batch: number, stride: number, one: number): number {
  return batch === 0 || one === 0 ? 0 : (batch - 1) * stride + one;
}

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
  name: 'gemm_batched_f32',
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
    scratch('blocks', ({ batch, m, n, k }) => scratchBytes(batch! * m!, n!, k!), 'packed blocks of A and B'),
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
    scratch('blocks', ({ m, n, k }) => 32 + scratchBytes(m!, n!, k!), 'packed blocks of A and B'),
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
