// The tiles of products whose rows of A are spread out (spread.ts): a step of A is four vectors, each an element repeated. All loads of four steps fold
// their offsets, so there is no arithmetic on addresses but two additions in four steps (V8 folds none into `v128.load32_splat`: tile.ts adds to a pointer
// for each row and step, and so does the tile that spreads).
import { MR, mergeRows, mergeTile, NR, STORE, UPDATE, zeros } from './tile';
import { addFirst, addSecond } from './vector';

/** Bytes of a step of four rows that are spread out. */
// @ts-ignore: decorator
@inline
export const SPREAD_STEP: usize = 64;

/**
 * One full tile: `steps` (at least 1) steps of a spread panel at `a` by a panel of eight columns at `b`, merged into C as in tile.ts. If `spreading`, the panel is
 * not there yet: it is written, from four rows at `r0` to `r3` whose steps are `step` bytes apart; if `listed`, there is at `step` a list of how far the steps lie
 * from those four places. Four steps a turn; the ways out between them also keep the compiler of Node 20 from loading all four steps first, for which there are
 * not enough registers.
 */
// @ts-ignore: decorator
@inline
function fourSteps(
  spreading: bool, listed: bool, steps: i32, r0: usize, r1: usize, r2: usize, r3: usize, step: usize, a: usize, b: usize,
  mode: i32, alpha: f32, beta: f32, initial: usize, c: usize, cRow: usize,
): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0), c31 = f32x4.splat(0);
  let at: usize = 0;
  for (;;) {
    if (listed) at = load<usize>(step);
    let b0 = v128.load(b), b1 = v128.load(b, 16);
    let x = spreading ? v128.load32_splat(r0 + at) : v128.load(a);
    if (spreading) v128.store(a, x);
    let low = f32x4.mul(x, b0);
    c01 = addSecond(c01, x, b1, low);
    c00 = addFirst(c00, x, b0, low);
    x = spreading ? v128.load32_splat(r1 + at) : v128.load(a, 16);
    if (spreading) v128.store(a, x, 16);
    low = f32x4.mul(x, b0);
    c11 = addSecond(c11, x, b1, low);
    c10 = addFirst(c10, x, b0, low);
    x = spreading ? v128.load32_splat(r2 + at) : v128.load(a, 32);
    if (spreading) v128.store(a, x, 32);
    low = f32x4.mul(x, b0);
    c21 = addSecond(c21, x, b1, low);
    c20 = addFirst(c20, x, b0, low);
    x = spreading ? v128.load32_splat(r3 + at) : v128.load(a, 48);
    if (spreading) v128.store(a, x, 48);
    low = f32x4.mul(x, b0);
    c31 = addSecond(c31, x, b1, low);
    c30 = addFirst(c30, x, b0, low);
    if (steps == 1) break;
    if (listed) at = load<usize>(step, 4);
    if (spreading && !listed) {
      r0 += step;
      r1 += step;
      r2 += step;
      r3 += step;
    }
    b0 = v128.load(b, 32);
    b1 = v128.load(b, 48);
    x = spreading ? v128.load32_splat(r0 + at) : v128.load(a, 64);
    if (spreading) v128.store(a, x, 64);
    low = f32x4.mul(x, b0);
    c01 = addSecond(c01, x, b1, low);
    c00 = addFirst(c00, x, b0, low);
    x = spreading ? v128.load32_splat(r1 + at) : v128.load(a, 80);
    if (spreading) v128.store(a, x, 80);
    low = f32x4.mul(x, b0);
    c11 = addSecond(c11, x, b1, low);
    c10 = addFirst(c10, x, b0, low);
    x = spreading ? v128.load32_splat(r2 + at) : v128.load(a, 96);
    if (spreading) v128.store(a, x, 96);
    low = f32x4.mul(x, b0);
    c21 = addSecond(c21, x, b1, low);
    c20 = addFirst(c20, x, b0, low);
    x = spreading ? v128.load32_splat(r3 + at) : v128.load(a, 112);
    if (spreading) v128.store(a, x, 112);
    low = f32x4.mul(x, b0);
    c31 = addSecond(c31, x, b1, low);
    c30 = addFirst(c30, x, b0, low);
    if (steps == 2) break;
    if (listed) at = load<usize>(step, 8);
    if (spreading && !listed) {
      r0 += step;
      r1 += step;
      r2 += step;
      r3 += step;
    }
    b0 = v128.load(b, 64);
    b1 = v128.load(b, 80);
    x = spreading ? v128.load32_splat(r0 + at) : v128.load(a, 128);
    if (spreading) v128.store(a, x, 128);
    low = f32x4.mul(x, b0);
    c01 = addSecond(c01, x, b1, low);
    c00 = addFirst(c00, x, b0, low);
    x = spreading ? v128.load32_splat(r1 + at) : v128.load(a, 144);
    if (spreading) v128.store(a, x, 144);
    low = f32x4.mul(x, b0);
    c11 = addSecond(c11, x, b1, low);
    c10 = addFirst(c10, x, b0, low);
    x = spreading ? v128.load32_splat(r2 + at) : v128.load(a, 160);
    if (spreading) v128.store(a, x, 160);
    low = f32x4.mul(x, b0);
    c21 = addSecond(c21, x, b1, low);
    c20 = addFirst(c20, x, b0, low);
    x = spreading ? v128.load32_splat(r3 + at) : v128.load(a, 176);
    if (spreading) v128.store(a, x, 176);
    low = f32x4.mul(x, b0);
    c31 = addSecond(c31, x, b1, low);
    c30 = addFirst(c30, x, b0, low);
    if (steps == 3) break;
    if (listed) at = load<usize>(step, 12);
    if (spreading && !listed) {
      r0 += step;
      r1 += step;
      r2 += step;
      r3 += step;
    }
    b0 = v128.load(b, 96);
    b1 = v128.load(b, 112);
    x = spreading ? v128.load32_splat(r0 + at) : v128.load(a, 192);
    if (spreading) v128.store(a, x, 192);
    low = f32x4.mul(x, b0);
    c01 = addSecond(c01, x, b1, low);
    c00 = addFirst(c00, x, b0, low);
    x = spreading ? v128.load32_splat(r1 + at) : v128.load(a, 208);
    if (spreading) v128.store(a, x, 208);
    low = f32x4.mul(x, b0);
    c11 = addSecond(c11, x, b1, low);
    c10 = addFirst(c10, x, b0, low);
    x = spreading ? v128.load32_splat(r2 + at) : v128.load(a, 224);
    if (spreading) v128.store(a, x, 224);
    low = f32x4.mul(x, b0);
    c21 = addSecond(c21, x, b1, low);
    c20 = addFirst(c20, x, b0, low);
    x = spreading ? v128.load32_splat(r3 + at) : v128.load(a, 240);
    if (spreading) v128.store(a, x, 240);
    low = f32x4.mul(x, b0);
    c31 = addSecond(c31, x, b1, low);
    c30 = addFirst(c30, x, b0, low);
    if (spreading && !listed) {
      r0 += step;
      r1 += step;
      r2 += step;
      r3 += step;
    }
    if (listed) step += 16;
    b += 128;
    a += 4 * SPREAD_STEP;
    steps -= 4;
    if (!steps) break;
  }
  mergeTile(mode, alpha, beta, initial, c, cRow, c00, c01, c10, c11, c20, c21, c30, c31);
}

/** One full tile of rows that are spread out at `a`. */
function spreadTile(steps: i32, a: usize, b: usize, mode: i32, alpha: f32, beta: f32, initial: usize, c: usize, cRow: usize): void {
  fourSteps(false, false, steps, 0, 0, 0, 0, 0, a, b, mode, alpha, beta, initial, c, cRow);
}

/** One full tile of four rows, `row` bytes apart from `from` on, which it leaves spread out at `a`. */
export function spreadingTile(
  steps: i32, from: usize, row: usize, step: usize, a: usize, b: usize, mode: i32, alpha: f32, beta: f32, initial: usize, c: usize, cRow: usize,
): void {
  const r2 = from + 2 * row;
  fourSteps(true, false, steps, from, from + row, r2, r2 + row, step, a, b, mode, alpha, beta, initial, c, cRow);
}

/** One full tile of four rows from `r0` to `r3` on, whose steps lie where `list` says. It leaves them spread out at `a`, and adds its sums to C. */
export function spreadingTapTile(steps: i32, r0: usize, r1: usize, r2: usize, r3: usize, list: usize, a: usize, b: usize, c: usize, cRow: usize): void {
  fourSteps(true, true, steps, r0, r1, r2, r3, list, a, b, UPDATE, 1, 1, zeros, c, cRow);
}

/** `spreadTile`, cut to `rows` of 4 and `columns` of 8; what is cut off is computed, goes to `spare`, and stays there. */
export function anySpreadTile(
  rows: i32, columns: i32, steps: i32, a: usize, b: usize, mode: i32, alpha: f32, beta: f32, initial: usize, c: usize, cRow: usize,
  spare: usize,
): void {
  if (rows == MR && columns == NR) {
    spreadTile(steps, a, b, mode, alpha, beta, initial, c, cRow);
  } else {
    spreadTile(steps, a, b, STORE, 1, 0, zeros, spare, 32);
    mergeRows(rows, columns, mode, alpha, beta, initial, c, cRow, spare);
  }
}
