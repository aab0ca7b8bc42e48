// Planes of a depthwise convolution with 3x3 filters, stride 1 and dilation 1, read where they lie: nothing is padded or packed. Vectors are four neighbouring
// results of a row (stride 2: depthwise-strided.ts). Rows outside the plane are a row of zeros; columns outside are zeros shifted in at the ends of a row. Contract: kernels/conv.ts.
import { multiplyAdd } from './vector';

/** Whether the planes of a plain forward or mirrored convolution with stride 1 suit `densePlane`: `w` columns read, `wo` written. */
export function suitsDense(padding: i32, w: i32, ho: i32, wo: i32): bool {
  return padding <= 1 && w >= 5 && wo >= 4 && ho >= 2;
}

/** From this many results in a row on, four vectors at a time pay (and the first and the last of them are not the same). */
const LONG_ROW: i32 = 9;

// Where a vector lies in its row: the columns left of the first and right of the last one are zeros.
export const MIDDLE: i32 = 0;
export const FIRST: i32 = 1;
export const LAST: i32 = 2;

/** The vector of columns one to the left of `r` + 4 bytes, whose own vector is `middle`. */
// @ts-ignore: decorator
@inline
function leftOf(place: i32, r: usize, middle: v128): v128 {
  return place == FIRST ? v128.shuffle<f32>(f32x4.splat(0), middle, 3, 4, 5, 6) : v128.load(r);
}

// @ts-ignore: decorator
@inline
function rightOf(place: i32, r: usize, middle: v128): v128 {
  return place == LAST ? v128.shuffle<f32>(middle, f32x4.splat(0), 1, 2, 3, 4) : v128.load(r, 8);
}

/**
 * Four results of each of two rows. Rows `r0` to `r3` of the source follow one another in the order of the taps: `r0` to `r2` give those at `to`, `r1` to
 * `r3` those at `other`; each points to the column left of the first result. `mirrored`: taps go from the right.
 */
// @ts-ignore: decorator
@inline
function twoVectors(
  mirrored: bool, place: i32, w0: v128, w1: v128, w2: v128, w3: v128, w4: v128, w5: v128, w6: v128, w7: v128, w8: v128,
  r0: usize, r1: usize, r2: usize, r3: usize, start: v128, to: usize, other: usize,
): void {
  let middle = v128.load(r0, 4);
  let a = f32x4.mul(w0, mirrored ? rightOf(place, r0, middle) : leftOf(place, r0, middle));
  a = multiplyAdd(a, w1, middle);
  a = multiplyAdd(a, w2, mirrored ? leftOf(place, r0, middle) : rightOf(place, r0, middle));
  middle = v128.load(r1, 4);
  let x = mirrored ? rightOf(place, r1, middle) : leftOf(place, r1, middle);
  a = multiplyAdd(a, w3, x);
  let b = f32x4.mul(w0, x);
  a = multiplyAdd(a, w4, middle);
  b = multiplyAdd(b, w1, middle);
  x = mirrored ? leftOf(place, r1, middle) : rightOf(place, r1, middle);
  a = multiplyAdd(a, w5, x);
  b = multiplyAdd(b, w2, x);
  middle = v128.load(r2, 4);
  x = mirrored ? rightOf(place, r2, middle) : leftOf(place, r2, middle);
  a = multiplyAdd(a, w6, x);
  b = multiplyAdd(b, w3, x);
  a = multiplyAdd(a, w7, middle);
  b = multiplyAdd(b, w4, middle);
  x = mirrored ? leftOf(place, r2, middle) : rightOf(place, r2, middle);
  a = multiplyAdd(a, w8, x);
  b = multiplyAdd(b, w5, x);
  v128.store(to, f32x4.add(start, a));
  middle = v128.load(r3, 4);
  b = multiplyAdd(b, w6, mirrored ? rightOf(place, r3, middle) : leftOf(place, r3, middle));
  b = multiplyAdd(b, w7, middle);
  b = multiplyAdd(b, w8, mirrored ? leftOf(place, r3, middle) : rightOf(place, r3, middle));
  v128.store(other, f32x4.add(start, b));
}

/** Two rows of `wo` results; `padded`: with a column of zeros at either end. `starts`: what the sums are added to, four times. */
// @ts-ignore: decorator
@inline
function twoRows(
  mirrored: bool, w0: v128, w1: v128, w2: v128, w3: v128, w4: v128, w5: v128, w6: v128, w7: v128, w8: v128,
  r0: usize, r1: usize, r2: usize, r3: usize, wo: i32, padded: bool, starts: usize, to: usize, other: usize,
): void {
  // Pointers move on instead of being added up: each vector would need six sums, and the processor has too few registers for all.
  const start = v128.load(starts);
  let left = wo;
  if (padded) {
    twoVectors(mirrored, FIRST, w0, w1, w2, w3, w4, w5, w6, w7, w8, r0, r1, r2, r3, start, to, other);
    left -= 4;
    r0 += 16;
    r1 += 16;
    r2 += 16;
    r3 += 16;
    to += 16;
    other += 16;
  }
  for (; left > 4; left -= 4) {
    twoVectors(mirrored, MIDDLE, w0, w1, w2, w3, w4, w5, w6, w7, w8, r0, r1, r2, r3, start, to, other);
    r0 += 16;
    r1 += 16;
    r2 += 16;
    r3 += 16;
    to += 16;
    other += 16;
  }
  // The last vector starts earlier, and computes some results again.
  const back = <usize>(4 - left) << 2;
  if (padded) twoVectors(mirrored, LAST, w0, w1, w2, w3, w4, w5, w6, w7, w8, r0 - back, r1 - back, r2 - back, r3 - back, start, to - back, other - back);
  else twoVectors(mirrored, MIDDLE, w0, w1, w2, w3, w4, w5, w6, w7, w8, r0 - back, r1 - back, r2 - back, r3 - back, start, to - back, other - back);
}

/** Columns `by` to the right of `r`, those of vector 0 or, four columns on, vector 1 of two. */
// @ts-ignore: decorator
@inline
function columns(place: i32, vector: i32, by: i32, r: usize): v128 {
  if (place == FIRST && vector == 0 && by == 0) return v128.shuffle<f32>(f32x4.splat(0), v128.load(r, 4), 3, 4, 5, 6);
  if (place == LAST && vector == 1 && by == 2) return v128.shuffle<f32>(v128.load(r, 20), f32x4.splat(0), 1, 2, 3, 4);
  if (vector == 0) return by == 0 ? v128.load(r) : by == 1 ? v128.load(r, 4) : v128.load(r, 8);
  return by == 0 ? v128.load(r, 16) : by == 1 ? v128.load(r, 20) : v128.load(r, 24);
}

/**
 * As twoVectors, of eight results each: four sums take turns. A sum waits for the one before, and Zen's registers hold what comes between for two and a half
 * turns of twoVectors; here there is more to do meanwhile (64 channels of 56x56 on Zen 3: 134 -> 120 us).
 */
// @ts-ignore: decorator
@inline
function fourVectors(
  mirrored: bool, place: i32, w0: v128, w1: v128, w2: v128, w3: v128, w4: v128, w5: v128, w6: v128, w7: v128, w8: v128,
  r0: usize, r1: usize, r2: usize, r3: usize, starts: usize, to: usize, other: usize,
): void {
  const first = mirrored ? 2 : 0, last = 2 - first;
  let a = f32x4.mul(w0, columns(place, 0, first, r0));
  let c = f32x4.mul(w0, columns(place, 1, first, r0));
  a = multiplyAdd(a, w1, columns(place, 0, 1, r0));
  c = multiplyAdd(c, w1, columns(place, 1, 1, r0));
  a = multiplyAdd(a, w2, columns(place, 0, last, r0));
  c = multiplyAdd(c, w2, columns(place, 1, last, r0));
  let x = columns(place, 0, first, r1);
  a = multiplyAdd(a, w3, x);
  let b = f32x4.mul(w0, x);
  x = columns(place, 1, first, r1);
  c = multiplyAdd(c, w3, x);
  let d = f32x4.mul(w0, x);
  x = columns(place, 0, 1, r1);
  a = multiplyAdd(a, w4, x);
  b = multiplyAdd(b, w1, x);
  x = columns(place, 1, 1, r1);
  c = multiplyAdd(c, w4, x);
  d = multiplyAdd(d, w1, x);
  x = columns(place, 0, last, r1);
  a = multiplyAdd(a, w5, x);
  b = multiplyAdd(b, w2, x);
  x = columns(place, 1, last, r1);
  c = multiplyAdd(c, w5, x);
  d = multiplyAdd(d, w2, x);
  x = columns(place, 0, first, r2);
  a = multiplyAdd(a, w6, x);
  b = multiplyAdd(b, w3, x);
  x = columns(place, 1, first, r2);
  c = multiplyAdd(c, w6, x);
  d = multiplyAdd(d, w3, x);
  x = columns(place, 0, 1, r2);
  a = multiplyAdd(a, w7, x);
  b = multiplyAdd(b, w4, x);
  x = columns(place, 1, 1, r2);
  c = multiplyAdd(c, w7, x);
  d = multiplyAdd(d, w4, x);
  x = columns(place, 0, last, r2);
  a = multiplyAdd(a, w8, x);
  b = multiplyAdd(b, w5, x);
  x = columns(place, 1, last, r2);
  c = multiplyAdd(c, w8, x);
  d = multiplyAdd(d, w5, x);
  x = v128.load(starts);
  v128.store(to, f32x4.add(x, a));
  v128.store(to, f32x4.add(x, c), 16);
  b = multiplyAdd(b, w6, columns(place, 0, first, r3));
  d = multiplyAdd(d, w6, columns(place, 1, first, r3));
  b = multiplyAdd(b, w7, columns(place, 0, 1, r3));
  d = multiplyAdd(d, w7, columns(place, 1, 1, r3));
  b = multiplyAdd(b, w8, columns(place, 0, last, r3));
  d = multiplyAdd(d, w8, columns(place, 1, last, r3));
  x = v128.load(starts);
  v128.store(other, f32x4.add(x, b));
  v128.store(other, f32x4.add(x, d), 16);
}

/** As twoRows, where rows are long: nine results or more. */
// @ts-ignore: decorator
@inline
function twoLongRows(
  mirrored: bool, w0: v128, w1: v128, w2: v128, w3: v128, w4: v128, w5: v128, w6: v128, w7: v128, w8: v128,
  r0: usize, r1: usize, r2: usize, r3: usize, wo: i32, padded: bool, starts: usize, to: usize, other: usize,
): void {
  let left = wo;
  if (padded) {
    fourVectors(mirrored, FIRST, w0, w1, w2, w3, w4, w5, w6, w7, w8, r0, r1, r2, r3, starts, to, other);
    left -= 8;
    r0 += 32;
    r1 += 32;
    r2 += 32;
    r3 += 32;
    to += 32;
    other += 32;
  }
  for (; left > 8; left -= 8) {
    fourVectors(mirrored, MIDDLE, w0, w1, w2, w3, w4, w5, w6, w7, w8, r0, r1, r2, r3, starts, to, other);
    r0 += 32;
    r1 += 32;
    r2 += 32;
    r3 += 32;
    to += 32;
    other += 32;
  }
  const back = <usize>((left > 4 ? 8 : 4) - left) << 2;
  r0 -= back;
  r1 -= back;
  r2 -= back;
  r3 -= back;
  to -= back;
  other -= back;
  if (left > 4) {
    if (padded) fourVectors(mirrored, LAST, w0, w1, w2, w3, w4, w5, w6, w7, w8, r0, r1, r2, r3, starts, to, other);
    else fourVectors(mirrored, MIDDLE, w0, w1, w2, w3, w4, w5, w6, w7, w8, r0, r1, r2, r3, starts, to, other);
  } else if (padded) twoVectors(mirrored, LAST, w0, w1, w2, w3, w4, w5, w6, w7, w8, r0, r1, r2, r3, v128.load(starts), to, other);
  else twoVectors(mirrored, MIDDLE, w0, w1, w2, w3, w4, w5, w6, w7, w8, r0, r1, r2, r3, v128.load(starts), to, other);
}

/** See `densePlane`. */
// @ts-ignore: decorator
@inline
function forwardPlane(
  long: bool, x: usize, h: i32, w: i32, paddingH: i32, paddingW: i32, weight: usize, initial: usize, y: usize, ho: i32, wo: i32, zeroRow: usize, starts: usize,
): void {
  const w0 = v128.load32_splat(weight), w1 = v128.load32_splat(weight, 4), w2 = v128.load32_splat(weight, 8);
  const w3 = v128.load32_splat(weight, 12), w4 = v128.load32_splat(weight, 16), w5 = v128.load32_splat(weight, 20);
  const w6 = v128.load32_splat(weight, 24), w7 = v128.load32_splat(weight, 28), w8 = v128.load32_splat(weight, 32);
  // The sum that starts at +0 is never -0. Here it starts at the first product, and may be: to a start that is not -0 that makes no difference.
  v128.store(starts, f32x4.add(v128.load32_splat(initial), f32x4.splat(0)));
  const xRow = <usize>w << 2, yRow = <usize>wo << 2, before = <usize>paddingW << 2, zeros = zeroRow - before, padded = paddingW != 0;
  for (let p = 0; p < ho; p += 2) {
    // Of an odd number of rows, the last but one is computed twice. Of four rows of the source, only the first and the last may be none of the plane.
    const first = min(p, ho - 2), row = first - paddingH, to = y + <usize>first * yRow, other = to + yRow;
    let r0 = x + <usize>row * xRow - before, r1 = r0 + xRow, r2 = r1 + xRow, r3 = r2 + xRow;
    if (row < 0) r0 = zeros;
    if (row + 3 >= h) r3 = zeros;
    if (long) twoLongRows(false, w0, w1, w2, w3, w4, w5, w6, w7, w8, r0, r1, r2, r3, wo, padded, starts, to, other);
    else twoRows(false, w0, w1, w2, w3, w4, w5, w6, w7, w8, r0, r1, r2, r3, wo, padded, starts, to, other);
  }
}

// Short and long rows are functions of their own: in one, they would share too few registers.
function shortPlane(
  x: usize, h: i32, w: i32, paddingH: i32, paddingW: i32, weight: usize, initial: usize, y: usize, ho: i32, wo: i32, zeroRow: usize, starts: usize,
): void {
  forwardPlane(false, x, h, w, paddingH, paddingW, weight, initial, y, ho, wo, zeroRow, starts);
}

function longPlane(
  x: usize, h: i32, w: i32, paddingH: i32, paddingW: i32, weight: usize, initial: usize, y: usize, ho: i32, wo: i32, zeroRow: usize, starts: usize,
): void {
  forwardPlane(true, x, h, w, paddingH, paddingW, weight, initial, y, ho, wo, zeroRow, starts);
}

/** A plane of ho x wo results of stride 1 from a plane of h x w at `x`; `zeroRow`: w + 8 floats +0; `starts`: 16 bytes to work with. Paddings are 0 or 1. */
export function densePlane(
  x: usize, h: i32, w: i32, paddingH: i32, paddingW: i32, weight: usize, initial: usize, y: usize, ho: i32, wo: i32, zeroRow: usize, starts: usize,
): void {
  if (wo >= LONG_ROW) longPlane(x, h, w, paddingH, paddingW, weight, initial, y, ho, wo, zeroRow, starts);
  else shortPlane(x, h, w, paddingH, paddingW, weight, initial, y, ho, wo, zeroRow, starts);
}

/** See `mirroredPlane`. */
// @ts-ignore: decorator
@inline
function backwardPlane(long: bool, gradient: usize, h: i32, w: i32, weight: usize, to: usize, zeroRow: usize): void {
  const w0 = v128.load32_splat(weight), w1 = v128.load32_splat(weight, 4), w2 = v128.load32_splat(weight, 8);
  const w3 = v128.load32_splat(weight, 12), w4 = v128.load32_splat(weight, 16), w5 = v128.load32_splat(weight, 20);
  const w6 = v128.load32_splat(weight, 24), w7 = v128.load32_splat(weight, 28), w8 = v128.load32_splat(weight, 32);
  const row = <usize>w << 2, zeros = zeroRow - 4;
  for (let y = 0; y < h; y += 2) {
    // As above: only the first and the last of the four rows may be none of the plane.
    const first = min(y, h - 2), upper = to + <usize>first * row;
    let r0 = gradient + <usize>(first - 1) * row - 4, r1 = r0 + row, r2 = r1 + row, r3 = r2 + row;
    if (first + 2 >= h) r3 = zeros;
    if (first == 0) r0 = zeros;
    if (long) twoLongRows(true, w0, w1, w2, w3, w4, w5, w6, w7, w8, r3, r2, r1, r0, w, true, zeroRow, upper + row, upper);
    else twoRows(true, w0, w1, w2, w3, w4, w5, w6, w7, w8, r3, r2, r1, r0, w, true, zeroRow, upper + row, upper);
  }
}

function mirroredShortPlane(gradient: usize, h: i32, w: i32, weight: usize, to: usize, zeroRow: usize): void {
  backwardPlane(false, gradient, h, w, weight, to, zeroRow);
}

function mirroredLongPlane(gradient: usize, h: i32, w: i32, weight: usize, to: usize, zeroRow: usize): void {
  backwardPlane(true, gradient, h, w, weight, to, zeroRow);
}

/** The gradient of `densePlane` with padding 1: a plane of h x w from a gradient of the same size. */
export function mirroredPlane(gradient: usize, h: i32, w: i32, weight: usize, to: usize, zeroRow: usize): void {
  if (w >= LONG_ROW) mirroredLongPlane(gradient, h, w, weight, to, zeroRow);
  else mirroredShortPlane(gradient, h, w, weight, to, zeroRow);
}
