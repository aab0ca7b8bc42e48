// The wide tile: 4 rows by 16 columns. The same sums as four-by-eight (tile.ts), for engines that fuse neighbouring 128-bit operations into 256-bit
// ones (V8's revectoriser, by flag); elsewhere its 16 accumulators do not fit into the registers.
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
function storeRow(c: usize, x: v128, y: v128, z: v128, w: v128, alpha: v128): void {
  const zero = f32x4.splat(0);
  v128.store(c, f32x4.add(zero, f32x4.mul(alpha, x)));
  v128.store(c, f32x4.add(zero, f32x4.mul(alpha, y)), 16);
  v128.store(c, f32x4.add(zero, f32x4.mul(alpha, z)), 32);
  v128.store(c, f32x4.add(zero, f32x4.mul(alpha, w)), 48);
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

/** One full tile, see `fourRows` in tile.ts; if `apart`, the last eight columns of B are not behind the first but at `other`. */
// @ts-ignore: decorator
@inline
function fourWideRows(
  apart: bool, steps: i32, a0: usize, a1: usize, a2: usize, a3: usize, aStep: usize, b: usize, other: usize, bStep: usize,
  mode: i32, alpha: f32, beta: f32, c: usize, cRow: usize,
): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0), c02 = f32x4.splat(0), c03 = f32x4.splat(0);
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0), c12 = f32x4.splat(0), c13 = f32x4.splat(0);
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0), c22 = f32x4.splat(0), c23 = f32x4.splat(0);
  let c30 = f32x4.splat(0), c31 = f32x4.splat(0), c32 = f32x4.splat(0), c33 = f32x4.splat(0);
  do {
    const b0 = v128.load(b), b1 = v128.load(b, 16);
    const b2 = apart ? v128.load(other) : v128.load(b, 32), b3 = apart ? v128.load(other, 16) : v128.load(b, 48);
    b += bStep;
    if (apart) other += bStep;
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
  const factor = f32x4.splat(alpha), old = f32x4.splat(beta);
  if (mode == STORE) {
    storeRow(c, c00, c01, c02, c03, factor);
    storeRow(c + cRow, c10, c11, c12, c13, factor);
    storeRow(c + 2 * cRow, c20, c21, c22, c23, factor);
    storeRow(c + 3 * cRow, c30, c31, c32, c33, factor);
  } else {
    updateRow(c, c00, c01, c02, c03, factor, old);
    updateRow(c + cRow, c10, c11, c12, c13, factor, old);
    updateRow(c + 2 * cRow, c20, c21, c22, c23, factor, old);
    updateRow(c + 3 * cRow, c30, c31, c32, c33, factor, old);
  }
}

/** One full tile; strides in bytes. */
export function wideTile(
  steps: i32, a0: usize, a1: usize, a2: usize, a3: usize, aStep: usize, b: usize, bStep: usize,
  mode: i32, alpha: f32, beta: f32, c: usize, cRow: usize,
): void {
  fourWideRows(false, steps, a0, a1, a2, a3, aStep, b, 0, bStep, mode, alpha, beta, c, cRow);
}

/** One full tile whose columns of B are two panels of gemm_pack_b_f32. */
export function wideTileApart(
  steps: i32, a0: usize, a1: usize, a2: usize, a3: usize, aStep: usize, b: usize, other: usize,
  mode: i32, alpha: f32, beta: f32, c: usize, cRow: usize,
): void {
  fourWideRows(true, steps, a0, a1, a2, a3, aStep, b, other, 32, mode, alpha, beta, c, cRow);
}
