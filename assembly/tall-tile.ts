// The tile of the relaxed build: 6 rows by 8 columns, twelve accumulators of fused multiply-adds. Without fusing, a product needs a register of its own
// and two accumulators spill; V8 before 13 hoists the six broadcasts and spills anyway, so the caller switches it off there.
import { STORE } from './tile';
import { multiplyAdd } from './vector';

/** Whether six-row tiles are used: never in the strict binary. */
let tall: bool = false;

/** Switches six-row tiles on or off: kernels/runtime/build.ts decides, before the first product. */
export function useTallTiles(use: i32): void {
  tall = use != 0;
}

// @ts-ignore: decorator
@inline
export function tallTiles(): bool {
  return ASC_FEATURE_RELAXED_SIMD ? tall : false;
}

// @ts-ignore: decorator
@inline
function putRow(mode: i32, c: usize, low: v128, high: v128, alpha: v128, beta: v128): void {
  const zero = f32x4.splat(0);
  const c0 = mode == STORE ? zero : f32x4.mul(beta, v128.load(c));
  const c1 = mode == STORE ? zero : f32x4.mul(beta, v128.load(c, 16));
  v128.store(c, f32x4.add(c0, f32x4.mul(alpha, low)));
  v128.store(c, f32x4.add(c1, f32x4.mul(alpha, high)), 16);
}

/** One full tile; strides in bytes, see `tile` in tile.ts. */
export function tallTile(
  steps: i32, a0: usize, a1: usize, a2: usize, a3: usize, a4: usize, a5: usize, aStep: usize, b: usize, bStep: usize,
  mode: i32, alpha: f32, beta: f32, c: usize, cRow: usize,
): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0), c10 = f32x4.splat(0), c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0), c30 = f32x4.splat(0), c31 = f32x4.splat(0);
  let c40 = f32x4.splat(0), c41 = f32x4.splat(0), c50 = f32x4.splat(0), c51 = f32x4.splat(0);
  do {
    const b0 = v128.load(b), b1 = v128.load(b, 16);
    b += bStep;
    let x = v128.load32_splat(a0);
    a0 += aStep;
    c00 = multiplyAdd(c00, x, b0);
    c01 = multiplyAdd(c01, x, b1);
    x = v128.load32_splat(a1);
    a1 += aStep;
    c10 = multiplyAdd(c10, x, b0);
    c11 = multiplyAdd(c11, x, b1);
    x = v128.load32_splat(a2);
    a2 += aStep;
    c20 = multiplyAdd(c20, x, b0);
    c21 = multiplyAdd(c21, x, b1);
    x = v128.load32_splat(a3);
    a3 += aStep;
    c30 = multiplyAdd(c30, x, b0);
    c31 = multiplyAdd(c31, x, b1);
    x = v128.load32_splat(a4);
    a4 += aStep;
    c40 = multiplyAdd(c40, x, b0);
    c41 = multiplyAdd(c41, x, b1);
    x = v128.load32_splat(a5);
    a5 += aStep;
    c50 = multiplyAdd(c50, x, b0);
    c51 = multiplyAdd(c51, x, b1);
  } while (--steps);
  const factor = f32x4.splat(alpha), old = f32x4.splat(beta);
  putRow(mode, c, c00, c01, factor, old);
  putRow(mode, c + cRow, c10, c11, factor, old);
  putRow(mode, c + 2 * cRow, c20, c21, factor, old);
  putRow(mode, c + 3 * cRow, c30, c31, factor, old);
  putRow(mode, c + 4 * cRow, c40, c41, factor, old);
  putRow(mode, c + 5 * cRow, c50, c51, factor, old);
}
