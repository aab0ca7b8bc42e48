// Matrix multiplication in double precision: the canonical order of gemm.ts on two lanes a vector. Contract: kernels/gemm.ts. It serves gradient
// checks and float64 tensors, so it is kept simple: both operands are always packed, missing lanes are 0 and their sums are thrown away.
import { KC } from './tile';

/** Rows and columns of a tile, and its bytes. */
const MR: i32 = 4;
const NR: i32 = 4;
const TILE_BYTES: usize = 128;

/** Rows of A in a block: 128 x 256 doubles are a quarter of a megabyte of second cache. */
const MC: i32 = 128;

export function gemm_f64(
  transposeA: i32, transposeB: i32, m: i32, n: i32, k: i32, alpha: f64,
  a: usize, lda: i32, b: usize, ldb: i32, beta: f64, c: usize, ldc: i32, scratch: usize,
): void {
  const cRow = <usize>ldc << 3;
  if (alpha == 0 || k == 0) {
    scale(m, n, beta, c, cRow);
    return;
  }
  const aRow: usize = transposeA ? 8 : <usize>lda << 3, aStep: usize = transposeA ? <usize>lda << 3 : 8;
  const bColumn: usize = transposeB ? <usize>ldb << 3 : 8, bStep: usize = transposeB ? 8 : <usize>ldb << 3;
  const sums = scratch, panel = sums + TILE_BYTES, block = panel + (<usize>(KC * NR) << 3);
  for (let top = 0; top < m; top += MC) {
    const height = min(MC, m - top);
    for (let from = 0; from < k; from += KC) {
      const steps = min(KC, k - from);
      for (let row = 0; row < height; row += MR) {
        const rows = a + <usize>(top + row) * aRow + <usize>from * aStep;
        pack(rows, aRow, aStep, min(MR, height - row), steps, block + (<usize>(row * steps) << 3));
      }
      for (let left = 0; left < n; left += NR) {
        const width = min(NR, n - left);
        pack(b + <usize>left * bColumn + <usize>from * bStep, bColumn, bStep, width, steps, panel);
        for (let row = 0; row < height; row += MR) {
          tile(steps, block + (<usize>(row * steps) << 3), panel, sums);
          const at = c + <usize>(top + row) * cRow + (<usize>left << 3);
          merge(min(MR, height - row), width, from == 0, alpha, beta, at, cRow, sums);
        }
      }
    }
  }
}

export function gemm_batched_f64(
  transposeA: i32, transposeB: i32, batch: i32, m: i32, n: i32, k: i32, alpha: f64, a: usize, lda: i32, strideA: i32,
  b: usize, ldb: i32, strideB: i32, beta: f64, c: usize, ldc: i32, strideC: i32, scratch: usize,
): void {
  for (; batch > 0; batch--) {
    gemm_f64(transposeA, transposeB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, scratch);
    a += <usize>strideA << 3;
    b += <usize>strideB << 3;
    c += <usize>strideC << 3;
  }
}

/** Four lanes side by side at each step; missing lanes are 0. */
function pack(from: usize, lane: usize, step: usize, lanes: i32, steps: i32, to: usize): void {
  for (; steps > 0; steps--) {
    store<f64>(to, load<f64>(from));
    store<f64>(to, lanes > 1 ? load<f64>(from + lane) : 0, 8);
    store<f64>(to, lanes > 2 ? load<f64>(from + 2 * lane) : 0, 16);
    store<f64>(to, lanes > 3 ? load<f64>(from + 3 * lane) : 0, 24);
    from += step;
    to += 32;
  }
}

/** The sums of one block of k, from +0, for four rows and four columns. */
function tile(steps: i32, a: usize, b: usize, sums: usize): void {
  let c00 = f64x2.splat(0), c01 = f64x2.splat(0), c10 = f64x2.splat(0), c11 = f64x2.splat(0);
  let c20 = f64x2.splat(0), c21 = f64x2.splat(0), c30 = f64x2.splat(0), c31 = f64x2.splat(0);
  do {
    const b0 = v128.load(b), b1 = v128.load(b, 16);
    let x = v128.load64_splat(a);
    c00 = f64x2.add(c00, f64x2.mul(x, b0));
    c01 = f64x2.add(c01, f64x2.mul(x, b1));
    x = v128.load64_splat(a, 8);
    c10 = f64x2.add(c10, f64x2.mul(x, b0));
    c11 = f64x2.add(c11, f64x2.mul(x, b1));
    x = v128.load64_splat(a, 16);
    c20 = f64x2.add(c20, f64x2.mul(x, b0));
    c21 = f64x2.add(c21, f64x2.mul(x, b1));
    x = v128.load64_splat(a, 24);
    c30 = f64x2.add(c30, f64x2.mul(x, b0));
    c31 = f64x2.add(c31, f64x2.mul(x, b1));
    a += 32;
    b += 32;
  } while (--steps);
  v128.store(sums, c00);
  v128.store(sums, c01, 16);
  v128.store(sums, c10, 32);
  v128.store(sums, c11, 48);
  v128.store(sums, c20, 64);
  v128.store(sums, c21, 80);
  v128.store(sums, c30, 96);
  v128.store(sums, c31, 112);
}

/** C = (first block: beta * C, or +0 if beta is 0; else C) + alpha * sums. */
function merge(rows: i32, columns: i32, first: bool, alpha: f64, beta: f64, c: usize, cRow: usize, sums: usize): void {
  for (; rows > 0; rows--) {
    for (let j = 0; j < columns; j++) {
      const at = c + (<usize>j << 3);
      const start = !first ? load<f64>(at) : beta == 0 ? 0 : beta * load<f64>(at);
      store<f64>(at, start + alpha * load<f64>(sums + (<usize>j << 3)));
    }
    c += cRow;
    sums += 32;
  }
}

/** C = beta * C; zeros when beta is 0, and then C is not read. */
function scale(m: i32, n: i32, beta: f64, c: usize, cRow: usize): void {
  for (; m > 0; m--) {
    for (let j = 0; j < n; j++) {
      const at = c + (<usize>j << 3);
      store<f64>(at, beta == 0 ? 0 : beta * load<f64>(at));
    }
    c += cRow;
  }
}
