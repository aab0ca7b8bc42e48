// The tile of packed operands (packed.ts): of each step, four elements of A side by side and eight of B. For `v128.load32_splat` at an offset V8 adds the offset to
// the start of memory, not to the pointer, and these three sums are the same in all steps: so a step of A needs one addition, where rows that lie apart (tile.ts) need four.
import { mergeTile } from './tile';
import { addFirst, addSecond } from './vector';

/** Bytes of a step of four rows of A. */
// @ts-ignore: decorator
@inline
export const ROWS_STEP: usize = 16;

/**
 * One full tile: `steps` (at least 1) steps of four rows at `a` and eight columns at `b`, packed without gaps, merged into C as in tile.ts. Four steps a turn; the ways
 * out between them also keep the compiler of Node 20 from loading all four steps first, for which there are not enough registers.
 */
export function packedTile(steps: i32, a: usize, b: usize, mode: i32, alpha: f32, beta: f32, initial: usize, c: usize, cRow: usize): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0), c31 = f32x4.splat(0);
  // Loads whose results are not used: with them V8 makes the three sums before the loop, not in it.
  v128.load32_splat(a, 4);
  v128.load32_splat(a, 8);
  v128.load32_splat(a, 12);
  for (;;) {
    let b0 = v128.load(b), b1 = v128.load(b, 16);
    let x = v128.load32_splat(a);
    let low = f32x4.mul(x, b0);
    c01 = addSecond(c01, x, b1, low);
    c00 = addFirst(c00, x, b0, low);
    x = v128.load32_splat(a, 4);
    low = f32x4.mul(x, b0);
    c11 = addSecond(c11, x, b1, low);
    c10 = addFirst(c10, x, b0, low);
    x = v128.load32_splat(a, 8);
    low = f32x4.mul(x, b0);
    c21 = addSecond(c21, x, b1, low);
    c20 = addFirst(c20, x, b0, low);
    x = v128.load32_splat(a, 12);
    low = f32x4.mul(x, b0);
    c31 = addSecond(c31, x, b1, low);
    c30 = addFirst(c30, x, b0, low);
    if (steps == 1) break;
    a += 16;
    b0 = v128.load(b, 32);
    b1 = v128.load(b, 48);
    x = v128.load32_splat(a);
    low = f32x4.mul(x, b0);
    c01 = addSecond(c01, x, b1, low);
    c00 = addFirst(c00, x, b0, low);
    x = v128.load32_splat(a, 4);
    low = f32x4.mul(x, b0);
    c11 = addSecond(c11, x, b1, low);
    c10 = addFirst(c10, x, b0, low);
    x = v128.load32_splat(a, 8);
    low = f32x4.mul(x, b0);
    c21 = addSecond(c21, x, b1, low);
    c20 = addFirst(c20, x, b0, low);
    x = v128.load32_splat(a, 12);
    low = f32x4.mul(x, b0);
    c31 = addSecond(c31, x, b1, low);
    c30 = addFirst(c30, x, b0, low);
    if (steps == 2) break;
    a += 16;
    b0 = v128.load(b, 64);
    b1 = v128.load(b, 80);
    x = v128.load32_splat(a);
    low = f32x4.mul(x, b0);
    c01 = addSecond(c01, x, b1, low);
    c00 = addFirst(c00, x, b0, low);
    x = v128.load32_splat(a, 4);
    low = f32x4.mul(x, b0);
    c11 = addSecond(c11, x, b1, low);
    c10 = addFirst(c10, x, b0, low);
    x = v128.load32_splat(a, 8);
    low = f32x4.mul(x, b0);
    c21 = addSecond(c21, x, b1, low);
    c20 = addFirst(c20, x, b0, low);
    x = v128.load32_splat(a, 12);
    low = f32x4.mul(x, b0);
    c31 = addSecond(c31, x, b1, low);
    c30 = addFirst(c30, x, b0, low);
    if (steps == 3) break;
    a += 16;
    b0 = v128.load(b, 96);
    b1 = v128.load(b, 112);
    x = v128.load32_splat(a);
    low = f32x4.mul(x, b0);
    c01 = addSecond(c01, x, b1, low);
    c00 = addFirst(c00, x, b0, low);
    x = v128.load32_splat(a, 4);
    low = f32x4.mul(x, b0);
    c11 = addSecond(c11, x, b1, low);
    c10 = addFirst(c10, x, b0, low);
    x = v128.load32_splat(a, 8);
    low = f32x4.mul(x, b0);
    c21 = addSecond(c21, x, b1, low);
    c20 = addFirst(c20, x, b0, low);
    x = v128.load32_splat(a, 12);
    low = f32x4.mul(x, b0);
    c31 = addSecond(c31, x, b1, low);
    c30 = addFirst(c30, x, b0, low);
    a += 16;
    b += 128;
    steps -= 4;
    if (!steps) break;
  }
  mergeTile(mode, alpha, beta, initial, c, cRow, c00, c01, c10, c11, c20, c21, c30, c31);
}
