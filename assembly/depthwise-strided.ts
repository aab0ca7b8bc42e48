// Planes of a depthwise convolution with 3x3 filters, stride 2 and dilation 1, read where they lie as those of depthwise-dense.ts. Contract: kernels/conv.ts.
import { FIRST, LAST, MIDDLE } from './depthwise-dense';
import { multiplyAdd, storePart } from './vector';

/** A vector that is the first and the last of its row. */
const BOTH: i32 = FIRST | LAST;

/** Whether the planes of a convolution with stride 2 suit `stridedPlane`. */
export function suitsStrideTwo(paddingH: i32, paddingW: i32, ho: i32, wo: i32): bool {
  return max(paddingH, paddingW) <= 1 && wo >= 4 && ho >= 2;
}

// Nine columns of the source give four results: e(ven), o(dd) and n(ext even) ones are vectors of every other column.

/** The first four columns; in the first vector of a padded row, a zero and three. */
// @ts-ignore: decorator
@inline
function lowOf(place: i32, r: usize): v128 {
  return (place & FIRST) != 0 ? v128.shuffle<f32>(f32x4.splat(0), v128.load(r, 4), 3, 4, 5, 6) : v128.load(r);
}

/** Columns 2, 4, 6, 8: the even ones, moved by one. The ninth column of the last vector may be a zero. */
// @ts-ignore: decorator
@inline
function nextOf(place: i32, r: usize, even: v128): v128 {
  const ninth = (place & LAST) != 0 ? f32x4.splat(0) : v128.load32_splat(r, 32);
  return v128.shuffle<f32>(even, ninth, 1, 2, 3, 4);
}

/** Four results of each of two rows with stride 2: rows `r0` to `r2` give those at `to`, `r2` to `r4` those at `other`. */
// @ts-ignore: decorator
@inline
function twoStrided(
  place: i32, w0: v128, w1: v128, w2: v128, w3: v128, w4: v128, w5: v128, w6: v128, w7: v128, w8: v128,
  r0: usize, r1: usize, r2: usize, r3: usize, r4: usize, start: v128, to: usize, other: usize,
): void {
  let low = lowOf(place, r0), high = v128.load(r0, 16);
  let x = v128.shuffle<f32>(low, high, 0, 2, 4, 6);
  let a = f32x4.mul(w0, x);
  a = multiplyAdd(a, w1, v128.shuffle<f32>(low, high, 1, 3, 5, 7));
  a = multiplyAdd(a, w2, nextOf(place, r0, x));
  low = lowOf(place, r1);
  high = v128.load(r1, 16);
  x = v128.shuffle<f32>(low, high, 0, 2, 4, 6);
  a = multiplyAdd(a, w3, x);
  a = multiplyAdd(a, w4, v128.shuffle<f32>(low, high, 1, 3, 5, 7));
  a = multiplyAdd(a, w5, nextOf(place, r1, x));
  low = lowOf(place, r2);
  high = v128.load(r2, 16);
  x = v128.shuffle<f32>(low, high, 0, 2, 4, 6);
  a = multiplyAdd(a, w6, x);
  let b = f32x4.mul(w0, x);
  low = v128.shuffle<f32>(low, high, 1, 3, 5, 7);
  a = multiplyAdd(a, w7, low);
  b = multiplyAdd(b, w1, low);
  x = nextOf(place, r2, x);
  a = multiplyAdd(a, w8, x);
  b = multiplyAdd(b, w2, x);
  v128.store(to, f32x4.add(start, a));
  low = lowOf(place, r3);
  high = v128.load(r3, 16);
  x = v128.shuffle<f32>(low, high, 0, 2, 4, 6);
  b = multiplyAdd(b, w3, x);
  b = multiplyAdd(b, w4, v128.shuffle<f32>(low, high, 1, 3, 5, 7));
  b = multiplyAdd(b, w5, nextOf(place, r3, x));
  low = lowOf(place, r4);
  high = v128.load(r4, 16);
  x = v128.shuffle<f32>(low, high, 0, 2, 4, 6);
  b = multiplyAdd(b, w6, x);
  b = multiplyAdd(b, w7, v128.shuffle<f32>(low, high, 1, 3, 5, 7));
  b = multiplyAdd(b, w8, nextOf(place, r4, x));
  v128.store(other, f32x4.add(start, b));
}

/** A plane of ho x wo results of stride 2 from a plane of h x w at `x`; `zeroRow`: w + 8 floats +0. Paddings are 0 or 1. */
export function stridedPlane(
  x: usize, h: i32, w: i32, paddingH: i32, paddingW: i32, weight: usize, initial: usize, y: usize, ho: i32, wo: i32, zeroRow: usize,
): void {
  const w0 = v128.load32_splat(weight), w1 = v128.load32_splat(weight, 4), w2 = v128.load32_splat(weight, 8);
  const w3 = v128.load32_splat(weight, 12), w4 = v128.load32_splat(weight, 16), w5 = v128.load32_splat(weight, 20);
  const w6 = v128.load32_splat(weight, 24), w7 = v128.load32_splat(weight, 28), w8 = v128.load32_splat(weight, 32);
  const start = f32x4.add(v128.load32_splat(initial), f32x4.splat(0));
  const xRow = <usize>w << 2, yRow = <usize>wo << 2, before = <usize>paddingW << 2, zeros = zeroRow - before;
  const padded = paddingW != 0, cut = 2 * wo - paddingW >= w;
  for (let p = 0; p < ho; p += 2) {
    const first = min(p, ho - 2), row = 2 * first - paddingH, to = y + <usize>first * yRow, other = to + yRow;
    // Only the first and the last row of the source may be none of the plane.
    let r0 = x + <usize>row * xRow - before, r1 = r0 + xRow, r2 = r1 + xRow, r3 = r2 + xRow, r4 = r3 + xRow;
    if (row < 0) r0 = zeros;
    if (row + 4 >= h) r4 = zeros;
    if (wo == 4 && padded && cut) {
      twoStrided(BOTH, w0, w1, w2, w3, w4, w5, w6, w7, w8, r0, r1, r2, r3, r4, start, to, other);
      continue;
    }
    // Pointers move on instead of being added up: each vector would need seven sums, and the processor has too few registers for all.
    let left = wo, here = to, below = other;
    if (padded) {
      twoStrided(FIRST, w0, w1, w2, w3, w4, w5, w6, w7, w8, r0, r1, r2, r3, r4, start, here, below);
      left -= 4;
      r0 += 32;
      r1 += 32;
      r2 += 32;
      r3 += 32;
      r4 += 32;
      here += 16;
      below += 16;
    }
    for (; left > 4; left -= 4) {
      twoStrided(MIDDLE, w0, w1, w2, w3, w4, w5, w6, w7, w8, r0, r1, r2, r3, r4, start, here, below);
      r0 += 32;
      r1 += 32;
      r2 += 32;
      r3 += 32;
      r4 += 32;
      here += 16;
      below += 16;
    }
    if (left == 0) continue;
    // The last vector starts earlier, and computes some results again.
    const back = <usize>(4 - left) << 2, by: usize = 2 * back;
    if (cut) {
      twoStrided(
        LAST, w0, w1, w2, w3, w4, w5, w6, w7, w8, r0 - by, r1 - by, r2 - by, r3 - by, r4 - by, start, here - back, below - back,
      );
    } else {
      twoStrided(
        MIDDLE, w0, w1, w2, w3, w4, w5, w6, w7, w8, r0 - by, r1 - by, r2 - by, r3 - by, r4 - by, start, here - back, below - back,
      );
    }
  }
}

/**
 * Pixels 2 q to 2 q + 7 of two rows, from positions q to q + 4 of gradY in row `g` and in row `below`: the upper row meets the taps of the middle row of the
 * filter, the lower one those of the first and the last. `count` pixels are stored; no lower row if `lower` is 0.
 */
// @ts-ignore: decorator
@inline
function twoPixelRows(
  place: i32, w0: v128, w1: v128, w2: v128, w3: v128, w4: v128, w5: v128, w6: v128, w7: v128, w8: v128,
  g: usize, below: usize, count: i32, upper: usize, lower: usize,
): void {
  const zero = f32x4.splat(0), here = v128.load(g);
  const right = place == LAST ? v128.shuffle<f32>(here, zero, 1, 2, 3, 4) : v128.load(g, 4);
  let even = multiplyAdd(zero, w4, here), odd = multiplyAdd(multiplyAdd(zero, w3, right), w5, here);
  storePixels(count, upper, even, odd);
  if (lower) {
    const down = v128.load(below);
    const corner = place == LAST ? v128.shuffle<f32>(down, zero, 1, 2, 3, 4) : v128.load(below, 4);
    even = multiplyAdd(multiplyAdd(zero, w1, down), w7, here);
    odd = multiplyAdd(multiplyAdd(zero, w0, corner), w2, down);
    odd = multiplyAdd(multiplyAdd(odd, w6, right), w8, here);
    storePixels(count, lower, even, odd);
  }
}

/** Even and odd pixels by turns: eight, or seven. */
// @ts-ignore: decorator
@inline
function storePixels(count: i32, to: usize, even: v128, odd: v128): void {
  v128.store(to, v128.shuffle<f32>(even, odd, 0, 4, 1, 5));
  const high = v128.shuffle<f32>(even, odd, 2, 6, 3, 7);
  if (count == 8) v128.store(to, high, 16);
  else storePart(to + 16, high, 3);
}

/** The gradient of `stridedPlane` with padding 1: a plane of h x w from a gradient of ho x wo; `zeroRow`: wo + 8 floats +0. */
export function stridedPixels(gradient: usize, ho: i32, wo: i32, weight: usize, h: i32, w: i32, to: usize, zeroRow: usize): void {
  const w0 = v128.load32_splat(weight), w1 = v128.load32_splat(weight, 4), w2 = v128.load32_splat(weight, 8);
  const w3 = v128.load32_splat(weight, 12), w4 = v128.load32_splat(weight, 16), w5 = v128.load32_splat(weight, 20);
  const w6 = v128.load32_splat(weight, 24), w7 = v128.load32_splat(weight, 28), w8 = v128.load32_splat(weight, 32);
  const row = <usize>wo << 2, toRow = <usize>w << 2, last = <usize>(wo - 4) << 2, count = 8 - (w & 1);
  for (let m = 0; m < ho; m++) {
    const g = gradient + <usize>m * row, below = m + 1 < ho ? g + row : zeroRow;
    const upper = to + <usize>(2 * m) * toRow, lower = 2 * m + 1 < h ? upper + toRow : 0;
    for (let at: usize = 0; at < last; at += 16) {
      twoPixelRows(
        MIDDLE, w0, w1, w2, w3, w4, w5, w6, w7, w8, g + at, below + at, 8, upper + 2 * at, lower ? lower + 2 * at : 0,
      );
    }
    twoPixelRows(
      LAST, w0, w1, w2, w3, w4, w5, w6, w7, w8, g + last, below + last, count, upper + 2 * last, lower ? lower + 2 * last : 0,
    );
  }
}
