// Wide tiles: 4 rows by 16 columns. The same sums as four-by-eight (tile.ts), for engines that fuse neighbouring 128-bit operations into 256-bit
// ones (V8's revectoriser, by flag); elsewhere their 16 accumulators do not fit into the registers.
import { STORE } from './tile';
import { multiplyAdd } from './vector';

/** Whether sixteen-column tiles are used. */
let wide: bool = false;

/** Switches sixteen-column tiles on or off: kernels/runtime/build.ts decides, before the first product. */
export function useWideTiles(use: i32): void {
  wide = use != 0;
}

// @ts-ignore: decorator
@inline
export function wideTiles(): bool {
  return wide;
}

// All loads before all stores: only then are neighbours fused.

// @ts-ignore: decorator
@inline
function storeRow(c: usize, initial: usize, x: v128, y: v128, z: v128, w: v128, alpha: v128): void {
  const start = v128.load32_splat(initial);
  v128.store(c, f32x4.add(start, f32x4.mul(alpha, x)));
  v128.store(c, f32x4.add(start, f32x4.mul(alpha, y)), 16);
  v128.store(c, f32x4.add(start, f32x4.mul(alpha, z)), 32);
  v128.store(c, f32x4.add(start, f32x4.mul(alpha, w)), 48);
}

// @ts-ignore: decorator
@inline
function updateRow(c: usize, x: v128, y: v128, z: v128, w: v128, alpha: v128, beta: v128): void {
  const c0 = v128.load(c), c1 = v128.load(c, 16), c2 = v128.load(c, 32), c3 = v128.load(c, 48);
  v128.store(c, f32x4.add(f32x4.mul(beta, c0), f32x4.mul(alpha, x)));
  v128.store(c, f32x4.add(f32x4.mul(beta, c1), f32x4.mul(alpha, y)), 16);
  v128.store(c, f32x4.add(f32x4.mul(beta, c2), f32x4.mul(alpha, z)), 32);
  v128.store(c, f32x4.add(f32x4.mul(beta, c3), f32x4.mul(alpha, w)), 48);
}

/** Four rows of sixteen sums into C, as `mergeTile` in tile.ts. */
// @ts-ignore: decorator
@inline
function mergeWideTile(
  mode: i32, alpha: f32, beta: f32, initial: usize, c: usize, cRow: usize,
  c00: v128, c01: v128, c02: v128, c03: v128, c10: v128, c11: v128, c12: v128, c13: v128,
  c20: v128, c21: v128, c22: v128, c23: v128, c30: v128, c31: v128, c32: v128, c33: v128,
): void {
  const factor = f32x4.splat(alpha);
  if (mode == STORE) {
    storeRow(c, initial, c00, c01, c02, c03, factor);
    storeRow(c + cRow, initial + 4, c10, c11, c12, c13, factor);
    storeRow(c + 2 * cRow, initial + 8, c20, c21, c22, c23, factor);
    storeRow(c + 3 * cRow, initial + 12, c30, c31, c32, c33, factor);
  } else {
    const old = f32x4.splat(beta);
    updateRow(c, c00, c01, c02, c03, factor, old);
    updateRow(c + cRow, c10, c11, c12, c13, factor, old);
    updateRow(c + 2 * cRow, c20, c21, c22, c23, factor, old);
    updateRow(c + 3 * cRow, c30, c31, c32, c33, factor, old);
  }
}

/** One full tile, see `fourRows` in tile.ts: rows of A anywhere, `aStep` from step to step, sixteen columns of B side by side. */
export function wideTile(
  steps: i32, a0: usize, a1: usize, a2: usize, a3: usize, aStep: usize, b: usize, bStep: usize,
  mode: i32, alpha: f32, beta: f32, initial: usize, c: usize, cRow: usize,
): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0), c02 = f32x4.splat(0), c03 = f32x4.splat(0);
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0), c12 = f32x4.splat(0), c13 = f32x4.splat(0);
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0), c22 = f32x4.splat(0), c23 = f32x4.splat(0);
  let c30 = f32x4.splat(0), c31 = f32x4.splat(0), c32 = f32x4.splat(0), c33 = f32x4.splat(0);
  do {
    const b0 = v128.load(b), b1 = v128.load(b, 16), b2 = v128.load(b, 32), b3 = v128.load(b, 48);
    b += bStep;
    let x = v128.load32_splat(a0);
    a0 += aStep;
    c00 = multiplyAdd(c00, x, b0);
    c01 = multiplyAdd(c01, x, b1);
    c02 = multiplyAdd(c02, x, b2);
    c03 = multiplyAdd(c03, x, b3);
    x = v128.load32_splat(a1);
    a1 += aStep;
    c10 = multiplyAdd(c10, x, b0);
    c11 = multiplyAdd(c11, x, b1);
    c12 = multiplyAdd(c12, x, b2);
    c13 = multiplyAdd(c13, x, b3);
    x = v128.load32_splat(a2);
    a2 += aStep;
    c20 = multiplyAdd(c20, x, b0);
    c21 = multiplyAdd(c21, x, b1);
    c22 = multiplyAdd(c22, x, b2);
    c23 = multiplyAdd(c23, x, b3);
    x = v128.load32_splat(a3);
    a3 += aStep;
    c30 = multiplyAdd(c30, x, b0);
    c31 = multiplyAdd(c31, x, b1);
    c32 = multiplyAdd(c32, x, b2);
    c33 = multiplyAdd(c33, x, b3);
  } while (--steps);
  mergeWideTile(mode, alpha, beta, initial, c, cRow, c00, c01, c02, c03, c10, c11, c12, c13, c20, c21, c22, c23, c30, c31, c32, c33);
}

/**
 * One full tile of packed operands: at `a`, four elements of each step of four rows side by side, as packRows leaves them; at `b` and `other`, eight columns
 * each, as gemm_pack_b_f32 leaves them. For `v128.load32_splat` at an offset V8 adds the offset to the start of memory, not to the pointer; those sums are the same
 * in all steps, so it computes them once for the four steps that are written out, and a step needs one addition instead of five.
 */
export function widePackedTile(
  steps: i32, a: usize, b: usize, other: usize, mode: i32, alpha: f32, beta: f32, initial: usize, c: usize, cRow: usize,
): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0), c02 = f32x4.splat(0), c03 = f32x4.splat(0);
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0), c12 = f32x4.splat(0), c13 = f32x4.splat(0);
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0), c22 = f32x4.splat(0), c23 = f32x4.splat(0);
  let c30 = f32x4.splat(0), c31 = f32x4.splat(0), c32 = f32x4.splat(0), c33 = f32x4.splat(0);
  let x: v128, b0: v128, b1: v128, b2: v128, b3: v128;
  for (; steps >= 4; steps -= 4) {
    b0 = v128.load(b);
    b1 = v128.load(b, 16);
    b2 = v128.load(other);
    b3 = v128.load(other, 16);
    x = v128.load32_splat(a);
    c00 = multiplyAdd(c00, x, b0);
    c01 = multiplyAdd(c01, x, b1);
    c02 = multiplyAdd(c02, x, b2);
    c03 = multiplyAdd(c03, x, b3);
    x = v128.load32_splat(a, 4);
    c10 = multiplyAdd(c10, x, b0);
    c11 = multiplyAdd(c11, x, b1);
    c12 = multiplyAdd(c12, x, b2);
    c13 = multiplyAdd(c13, x, b3);
    x = v128.load32_splat(a, 8);
    c20 = multiplyAdd(c20, x, b0);
    c21 = multiplyAdd(c21, x, b1);
    c22 = multiplyAdd(c22, x, b2);
    c23 = multiplyAdd(c23, x, b3);
    x = v128.load32_splat(a, 12);
    c30 = multiplyAdd(c30, x, b0);
    c31 = multiplyAdd(c31, x, b1);
    c32 = multiplyAdd(c32, x, b2);
    c33 = multiplyAdd(c33, x, b3);
    a += 16;
    b0 = v128.load(b, 32);
    b1 = v128.load(b, 48);
    b2 = v128.load(other, 32);
    b3 = v128.load(other, 48);
    x = v128.load32_splat(a);
    c00 = multiplyAdd(c00, x, b0);
    c01 = multiplyAdd(c01, x, b1);
    c02 = multiplyAdd(c02, x, b2);
    c03 = multiplyAdd(c03, x, b3);
    x = v128.load32_splat(a, 4);
    c10 = multiplyAdd(c10, x, b0);
    c11 = multiplyAdd(c11, x, b1);
    c12 = multiplyAdd(c12, x, b2);
    c13 = multiplyAdd(c13, x, b3);
    x = v128.load32_splat(a, 8);
    c20 = multiplyAdd(c20, x, b0);
    c21 = multiplyAdd(c21, x, b1);
    c22 = multiplyAdd(c22, x, b2);
    c23 = multiplyAdd(c23, x, b3);
    x = v128.load32_splat(a, 12);
    c30 = multiplyAdd(c30, x, b0);
    c31 = multiplyAdd(c31, x, b1);
    c32 = multiplyAdd(c32, x, b2);
    c33 = multiplyAdd(c33, x, b3);
    a += 16;
    b0 = v128.load(b, 64);
    b1 = v128.load(b, 80);
    b2 = v128.load(other, 64);
    b3 = v128.load(other, 80);
    x = v128.load32_splat(a);
    c00 = multiplyAdd(c00, x, b0);
    c01 = multiplyAdd(c01, x, b1);
    c02 = multiplyAdd(c02, x, b2);
    c03 = multiplyAdd(c03, x, b3);
    x = v128.load32_splat(a, 4);
    c10 = multiplyAdd(c10, x, b0);
    c11 = multiplyAdd(c11, x, b1);
    c12 = multiplyAdd(c12, x, b2);
    c13 = multiplyAdd(c13, x, b3);
    x = v128.load32_splat(a, 8);
    c20 = multiplyAdd(c20, x, b0);
    c21 = multiplyAdd(c21, x, b1);
    c22 = multiplyAdd(c22, x, b2);
    c23 = multiplyAdd(c23, x, b3);
    x = v128.load32_splat(a, 12);
    c30 = multiplyAdd(c30, x, b0);
    c31 = multiplyAdd(c31, x, b1);
    c32 = multiplyAdd(c32, x, b2);
    c33 = multiplyAdd(c33, x, b3);
    a += 16;
    b0 = v128.load(b, 96);
    b1 = v128.load(b, 112);
    b2 = v128.load(other, 96);
    b3 = v128.load(other, 112);
    x = v128.load32_splat(a);
    c00 = multiplyAdd(c00, x, b0);
    c01 = multiplyAdd(c01, x, b1);
    c02 = multiplyAdd(c02, x, b2);
    c03 = multiplyAdd(c03, x, b3);
    x = v128.load32_splat(a, 4);
    c10 = multiplyAdd(c10, x, b0);
    c11 = multiplyAdd(c11, x, b1);
    c12 = multiplyAdd(c12, x, b2);
    c13 = multiplyAdd(c13, x, b3);
    x = v128.load32_splat(a, 8);
    c20 = multiplyAdd(c20, x, b0);
    c21 = multiplyAdd(c21, x, b1);
    c22 = multiplyAdd(c22, x, b2);
    c23 = multiplyAdd(c23, x, b3);
    x = v128.load32_splat(a, 12);
    c30 = multiplyAdd(c30, x, b0);
    c31 = multiplyAdd(c31, x, b1);
    c32 = multiplyAdd(c32, x, b2);
    c33 = multiplyAdd(c33, x, b3);
    a += 16;
    b += 128;
    other += 128;
  }
  for (; steps > 0; steps--) {
    b0 = v128.load(b);
    b1 = v128.load(b, 16);
    b2 = v128.load(other);
    b3 = v128.load(other, 16);
    x = v128.load32_splat(a);
    c00 = multiplyAdd(c00, x, b0);
    c01 = multiplyAdd(c01, x, b1);
    c02 = multiplyAdd(c02, x, b2);
    c03 = multiplyAdd(c03, x, b3);
    x = v128.load32_splat(a, 4);
    c10 = multiplyAdd(c10, x, b0);
    c11 = multiplyAdd(c11, x, b1);
    c12 = multiplyAdd(c12, x, b2);
    c13 = multiplyAdd(c13, x, b3);
    x = v128.load32_splat(a, 8);
    c20 = multiplyAdd(c20, x, b0);
    c21 = multiplyAdd(c21, x, b1);
    c22 = multiplyAdd(c22, x, b2);
    c23 = multiplyAdd(c23, x, b3);
    x = v128.load32_splat(a, 12);
    c30 = multiplyAdd(c30, x, b0);
    c31 = multiplyAdd(c31, x, b1);
    c32 = multiplyAdd(c32, x, b2);
    c33 = multiplyAdd(c33, x, b3);
    a += 16;
    b += 32;
    other += 32;
  }
  mergeWideTile(mode, alpha, beta, initial, c, cRow, c00, c01, c02, c03, c10, c11, c12, c13, c20, c21, c22, c23, c30, c31, c32, c33);
}
