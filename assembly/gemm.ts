// General matrix multiplication: the exported kernels. Contract: kernels/gemm.ts. How a product is computed: product.ts.
import { ENDING_BYTES, writeEnding } from './ending';
import { packTwoPanels } from './packing';
import { NOTHING, packedProduct, product } from './product';
import { shareEnd, shares, shareStart } from './shares';
import { KC, NR } from './tile';

export function gemm_f32(
  transposeA: i32, transposeB: i32, m: i32, n: i32, k: i32, alpha: f32,
  a: usize, lda: i32, b: usize, ldb: i32, beta: f32, c: usize, ldc: i32, scratch: usize,
): void {
  product(true, transposeA, transposeB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, NOTHING, scratch);
}

export function gemm_batched_f32(
  transposeA: i32, transposeB: i32, batch: i32, m: i32, n: i32, k: i32, alpha: f32, a: usize, lda: i32, strideA: i32,
  b: usize, ldb: i32, strideB: i32, beta: f32, c: usize, ldc: i32, strideC: i32, scratch: usize,
): void {
  // One B for all, and rows of A and C that go on from one product to the next: a single product of many rows.
  if (strideB == 0 && !transposeA && strideA == m * lda && strideC == m * ldc) {
    product(true, 0, transposeB, batch * m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, NOTHING, scratch);
    return;
  }
  // Shares are whole products, if there are enough of them.
  const whole = batch >= 4 * shares(), first = whole ? shareStart(batch) : 0, end = whole ? shareEnd(batch) : batch;
  for (let i = first; i < end; i++) {
    product(
      !whole, transposeA, transposeB, m, n, k, alpha, a + (<usize>i * strideA << 2), lda, b + (<usize>i * strideB << 2), ldb,
      beta, c + (<usize>i * strideC << 2), ldc, NOTHING, scratch,
    );
  }
}

export function gemm_fused_f32(
  transposeA: i32, transposeB: i32, m: i32, n: i32, k: i32, alpha: f32, a: usize, lda: i32, b: usize, ldb: i32,
  beta: f32, c: usize, ldc: i32, bias: usize, residual: usize, ldr: i32, activation: i32, low: f32, high: f32, scratch: usize,
): void {
  const ending = writeEnding(scratch, bias, residual, <usize>ldr << 2, activation, low, high);
  product(true, transposeA, transposeB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, ending, scratch + ENDING_BYTES);
}

/** Panels of eight columns, of one block of k after the other. */
export function gemm_pack_b_f32(transposeB: i32, n: i32, k: i32, b: usize, ldb: i32, packed: usize): void {
  const long = <usize>ldb << 2, column: usize = transposeB ? long : 4, step: usize = transposeB ? 4 : long;
  for (let from = 0; from < k; from += KC) {
    const steps = min(KC, k - from), panel = <usize>steps << 5;
    for (let left = 0; left < n; left += 2 * NR) {
      const at = b + <usize>left * column + <usize>from * step, width = min(2 * NR, n - left), rest = width & (NR - 1);
      packTwoPanels(at, column, step, width, steps, packed, packed + panel, 32);
      packed += <usize>((width + NR - 1) / NR) * panel;
      if (rest) clearColumns(packed - panel, rest, steps);
    }
  }
}

/** The columns of a panel from `width` on become +0. */
function clearColumns(panel: usize, width: i32, steps: i32): void {
  const bytes = <usize>(NR - width) << 2;
  panel += <usize>width << 2;
  for (; steps > 0; steps--) {
    memory.fill(panel, 0, bytes);
    panel += 32;
  }
}

export function gemm_prepacked_f32(
  transposeA: i32, m: i32, n: i32, k: i32, alpha: f32, a: usize, lda: i32, packed: usize, beta: f32, c: usize, ldc: i32,
  bias: usize, residual: usize, ldr: i32, activation: i32, low: f32, high: f32, scratch: usize,
): void {
  const ending = writeEnding(scratch, bias, residual, <usize>ldr << 2, activation, low, high);
  packedProduct(true, transposeA, m, n, k, alpha, a, lda, packed, beta, c, ldc, ending, scratch + ENDING_BYTES);
}
