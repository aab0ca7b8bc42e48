// The transforms of Winograd's minimal filtering F(2x2, 3x3) and F(4x4, 3x3): formulas in kernels/winograd.ts. Lanes of a vector are four tiles of a row,
// or four filters. A tile has m + 2 rows and columns of the image, or m of results; each dimension is transformed by itself, columns first.
import { copyRow } from './image';
import { storeSome } from './vector';

/** Bytes of working memory that the transforms take. */
// @ts-ignore: decorator
@inline
export const WORK_BYTES: usize = 2 * 36 * 16;

/** Vectors of a tile at `at`, `step` bytes apart. */
// @ts-ignore: decorator
@inline
function get(at: usize, step: usize, i: i32): v128 {
  return v128.load(at + <usize>i * step);
}

// @ts-ignore: decorator
@inline
function put(at: usize, step: usize, i: i32, value: v128): void {
  v128.store(at + <usize>i * step, value);
}

/** The factors of the transforms: V8 makes a constant anew at each use, in three instructions, and loads it in one. */
const factors: usize = memory.data<f32>([
  2, 4, 5, 8, 0.5, 0.25, <f32>(1.0 / 6.0), <f32>(-1.0 / 6.0), <f32>(1.0 / 12.0), <f32>(1.0 / 24.0),
], 16);
const TWO: usize = 0;
const FOUR: usize = 4;
const FIVE: usize = 8;
const EIGHT: usize = 12;
const HALF: usize = 16;
const QUARTER: usize = 20;
const SIXTH: usize = 24;
const MINUS_SIXTH: usize = 28;
const TWELFTH: usize = 32;
const TWENTY_FOURTH: usize = 36;

// @ts-ignore: decorator
@inline
function factor(which: usize): v128 {
  return v128.load32_splat(factors + which);
}

// @ts-ignore: decorator
@inline
function times(which: usize, x: v128): v128 {
  return f32x4.mul(factor(which), x);
}

/** 4 x - 5 y + z. */
// @ts-ignore: decorator
@inline
function outer(four: v128, five: v128, x: v128, y: v128, z: v128): v128 {
  return f32x4.add(f32x4.sub(f32x4.mul(four, x), f32x4.mul(five, y)), z);
}

/** x - 4 y. */
// @ts-ignore: decorator
@inline
function inner(four: v128, x: v128, y: v128): v128 {
  return f32x4.sub(x, f32x4.mul(four, y));
}

/** One dimension of a tile of the image, m + 2 elements. May be in place. */
// @ts-ignore: decorator
@inline
function transformImage(m: i32, from: usize, step: usize, to: usize, toStep: usize): void {
  const d0 = get(from, step, 0), d1 = get(from, step, 1), d2 = get(from, step, 2), d3 = get(from, step, 3);
  if (m == 2) {
    put(to, toStep, 0, f32x4.sub(d0, d2));
    put(to, toStep, 1, f32x4.add(d1, d2));
    put(to, toStep, 2, f32x4.sub(d2, d1));
    put(to, toStep, 3, f32x4.sub(d1, d3));
    return;
  }
  const d4 = get(from, step, 4), d5 = get(from, step, 5), two = factor(TWO), four = factor(FOUR), five = factor(FIVE);
  put(to, toStep, 0, f32x4.add(f32x4.sub(f32x4.mul(four, d0), f32x4.mul(five, d2)), d4));
  const d14 = f32x4.mul(four, d1), p = f32x4.sub(d4, f32x4.mul(four, d2)), q = f32x4.sub(d3, d14);
  put(to, toStep, 1, f32x4.add(p, q));
  put(to, toStep, 2, f32x4.sub(p, q));
  const r = f32x4.sub(d4, d2), s = f32x4.mul(two, f32x4.sub(d3, d1));
  put(to, toStep, 3, f32x4.add(r, s));
  put(to, toStep, 4, f32x4.sub(r, s));
  put(to, toStep, 5, f32x4.add(f32x4.sub(d14, f32x4.mul(five, d3)), d5));
}

/** One dimension of a filter: three elements become m + 2. */
// @ts-ignore: decorator
@inline
function transformFilter(m: i32, from: usize, step: usize, to: usize, toStep: usize): void {
  const g0 = get(from, step, 0), g1 = get(from, step, 1), g2 = get(from, step, 2);
  const sum = f32x4.add(g0, g2);
  if (m == 2) {
    const half = times(HALF, sum), middle = times(HALF, g1);
    put(to, toStep, 0, g0);
    put(to, toStep, 1, f32x4.add(half, middle));
    put(to, toStep, 2, f32x4.sub(half, middle));
    put(to, toStep, 3, g2);
    return;
  }
  put(to, toStep, 0, times(QUARTER, g0));
  put(to, toStep, 1, times(MINUS_SIXTH, f32x4.add(sum, g1)));
  put(to, toStep, 2, times(MINUS_SIXTH, f32x4.sub(sum, g1)));
  const even = f32x4.add(times(TWENTY_FOURTH, g0), times(SIXTH, g2)), odd = times(TWELFTH, g1);
  put(to, toStep, 3, f32x4.add(even, odd));
  put(to, toStep, 4, f32x4.sub(even, odd));
  put(to, toStep, 5, g2);
}

/** One dimension of a tile of results: m + 2 elements become m. */
// @ts-ignore: decorator
@inline
function transformResult(m: i32, from: usize, step: usize, to: usize, toStep: usize): void {
  const m0 = get(from, step, 0), m1 = get(from, step, 1), m2 = get(from, step, 2), m3 = get(from, step, 3);
  const s12 = f32x4.add(m1, m2), d12 = f32x4.sub(m1, m2);
  if (m == 2) {
    put(to, toStep, 0, f32x4.add(f32x4.add(m0, m1), m2));
    put(to, toStep, 1, f32x4.sub(d12, m3));
    return;
  }
  const m4 = get(from, step, 4), m5 = get(from, step, 5), two = factor(TWO), four = factor(FOUR), eight = factor(EIGHT);
  const s34 = f32x4.add(m3, m4), d34 = f32x4.sub(m3, m4);
  put(to, toStep, 0, f32x4.add(f32x4.add(m0, s12), s34));
  put(to, toStep, 1, f32x4.add(d12, f32x4.mul(two, d34)));
  put(to, toStep, 2, f32x4.add(s12, f32x4.mul(four, s34)));
  put(to, toStep, 3, f32x4.add(f32x4.add(d12, f32x4.mul(eight, d34)), m5));
}

/**
 * Filters of `rows` x `channels`, transformed: element e of (row, channel) at `to + e * rows * stride + row * stride + channel`, `stride` a multiple of
 * four. Filter (row, channel) starts at row * rowStep + channel * channelStep, and is read from its end if `mirrored`.
 */
export function transformFilters(
  m: i32, weight: usize, rows: i32, channels: i32, rowStep: i32, channelStep: i32, mirrored: bool, to: usize, stride: i32, tile: usize,
): void {
  const size = m + 2, wide = tile + 9 * 16, element = <usize>(rows * stride) << 2;
  for (let row = 0; row < rows; row++) {
    for (let first = 0; first < channels; first += 4) {
      for (let lane = 0; lane < 4; lane++) {
        const from = weight + (<usize>(row * rowStep + min(first + lane, channels - 1) * channelStep) << 2);
        for (let i = 0; i < 9; i++) {
          store<f32>(tile + (<usize>i << 4) + (<usize>lane << 2), load<f32>(from + (<usize>(mirrored ? 8 - i : i) << 2)));
        }
      }
      for (let j = 0; j < 3; j++) transformFilter(m, tile + (<usize>j << 4), 48, wide + (<usize>j << 4), 48);
      const at = to + (<usize>(row * stride + first) << 2);
      for (let i = 0; i < size; i++) transformFilter(m, wide + <usize>i * 48, 16, at + <usize>(i * size) * element, element);
    }
  }
}

/** One dimension of a tile of the results' gradient, m elements: they become m + 2 (the transpose of `transformResult`). */
// @ts-ignore: decorator
@inline
function transformGradient(m: i32, from: usize, step: usize, to: usize, toStep: usize): void {
  const y0 = get(from, step, 0), y1 = get(from, step, 1);
  if (m == 2) {
    put(to, toStep, 0, y0);
    put(to, toStep, 1, f32x4.add(y0, y1));
    put(to, toStep, 2, f32x4.sub(y0, y1));
    put(to, toStep, 3, f32x4.neg(y1));
    return;
  }
  const y2 = get(from, step, 2), y3 = get(from, step, 3), two = factor(TWO), four = factor(FOUR), eight = factor(EIGHT);
  const even = f32x4.add(y0, y2), odd = f32x4.add(y1, y3);
  put(to, toStep, 0, y0);
  put(to, toStep, 1, f32x4.add(even, odd));
  put(to, toStep, 2, f32x4.sub(even, odd));
  const even4 = f32x4.add(y0, f32x4.mul(four, y2)), odd8 = f32x4.add(f32x4.mul(two, y1), f32x4.mul(eight, y3));
  put(to, toStep, 3, f32x4.add(even4, odd8));
  put(to, toStep, 4, f32x4.sub(even4, odd8));
  put(to, toStep, 5, y3);
}

/** One dimension of the sums of a filter's gradient: m + 2 elements become three (the transpose of `transformFilter`). */
// @ts-ignore: decorator
@inline
function transformSums(m: i32, from: usize, step: usize, to: usize, toStep: usize): void {
  const m0 = get(from, step, 0), m1 = get(from, step, 1), m2 = get(from, step, 2), m3 = get(from, step, 3);
  const sum = f32x4.add(m1, m2);
  if (m == 2) {
    const half = times(HALF, sum);
    put(to, toStep, 0, f32x4.add(m0, half));
    put(to, toStep, 1, times(HALF, f32x4.sub(m1, m2)));
    put(to, toStep, 2, f32x4.add(half, m3));
    return;
  }
  const m4 = get(from, step, 4), m5 = get(from, step, 5);
  const sixth = times(MINUS_SIXTH, sum), sum34 = f32x4.add(m3, m4);
  put(to, toStep, 0, f32x4.add(f32x4.add(times(QUARTER, m0), sixth), times(TWENTY_FOURTH, sum34)));
  put(to, toStep, 1, f32x4.add(times(SIXTH, f32x4.sub(m2, m1)), times(TWELFTH, f32x4.sub(m3, m4))));
  put(to, toStep, 2, f32x4.add(f32x4.add(sixth, times(SIXTH, sum34)), m5));
}

/** Floats from one row of a strip to the next: four tiles at least, and what is read behind them. */
// @ts-ignore: decorator
@inline
export function stripPitch(m: i32, across: i32): i32 {
  return max(across, 4) * m + 4;
}

/**
 * A strip of a plane of h x w: `rows` rows from row `first` on (rows outside are zeros), each `left` floats into a row of the strip. What lies around
 * them in the strip was cleared before and stays so.
 */
function copyStrip(plane: usize, h: i32, w: i32, first: i32, rows: i32, left: i32, strip: usize, pitch: i32): void {
  for (let y = first; y < first + rows; y++) {
    if (<u32>y < <u32>h) copyRow(plane + (<usize>(y * w) << 2), strip + (<usize>left << 2), w);
    else memory.fill(strip, 0, <usize>pitch << 2);
    strip += <usize>pitch << 2;
  }
}

/** Four rows of four, transposed, at `to`, `to` + 16, ... */
// @ts-ignore: decorator
@inline
function storeTransposed(r0: v128, r1: v128, r2: v128, r3: v128, to: usize): void {
  const a = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5), b = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
  const c = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7), d = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<f64>(a, b, 0, 2));
  v128.store(to, v128.shuffle<f64>(a, b, 1, 3), 16);
  v128.store(to, v128.shuffle<f64>(c, d, 0, 2), 32);
  v128.store(to, v128.shuffle<f64>(c, d, 1, 3), 48);
}

/** A row of four neighbouring tiles, side by side: its columns at `to`, 16 bytes apart. Tiles are `m` columns apart, and `m` or m + 2 wide. */
// @ts-ignore: decorator
@inline
function gatherRow(m: i32, overlap: bool, from: usize, to: usize): void {
  const a = v128.load(from), b = v128.load(from, 16);
  if (m == 2) {
    const even = v128.shuffle<f32>(a, b, 0, 2, 4, 6), odd = v128.shuffle<f32>(a, b, 1, 3, 5, 7);
    v128.store(to, even);
    v128.store(to, odd, 16);
    if (overlap) {
      const c = v128.load(from, 32);
      v128.store(to, v128.shuffle<f32>(even, c, 1, 2, 3, 4), 32);
      v128.store(to, v128.shuffle<f32>(odd, c, 1, 2, 3, 5), 48);
    }
    return;
  }
  const c = v128.load(from, 32), d = v128.load(from, 48);
  storeTransposed(a, b, c, d, to);
  if (overlap) {
    const e = v128.load(from, 64);
    v128.store(to, v128.shuffle<f32>(v128.load(to), e, 1, 2, 3, 4), 64);
    v128.store(to, v128.shuffle<f32>(v128.load(to, 16), e, 1, 2, 3, 5), 80);
  }
}

/** The first of four tiles: the last four of a row start earlier, and some tiles are done again. */
// @ts-ignore: decorator
@inline
function fourFrom(tile: i32, across: i32): i32 {
  return max(0, min(tile, across - 4));
}

/**
 * One row of tiles of an image, from its row `top` on: element e of tile t goes to `to + e * element + 4 t`. With fewer than four tiles, what lies behind
 * them is overwritten.
 */
export function transformImageRow(
  m: i32, plane: usize, h: i32, w: i32, top: i32, left: i32, across: i32, strip: usize, to: usize, element: usize, work: usize,
): void {
  copyStrip(plane, h, w, top, m + 2, left, strip, stripPitch(m, across));
  if (m == 2) imageRow(2, across, strip, to, element, work);
  else imageRow(4, across, strip, to, element, work);
}

// @ts-ignore: decorator
@inline
function imageRow(m: i32, across: i32, strip: usize, to: usize, element: usize, work: usize): void {
  const size = m + 2, column = <usize>size << 4, pitch = <usize>stripPitch(m, across) << 2;
  for (let first = 0; first < across; first += 4) {
    const tile = fourFrom(first, across);
    let from = strip + (<usize>(tile * m) << 2);
    for (let i = 0; i < size; i++) {
      gatherRow(m, true, from, work + <usize>i * column);
      from += pitch;
    }
    for (let j = 0; j < size; j++) transformImage(m, work + (<usize>j << 4), column, work + (<usize>j << 4), column);
    for (let i = 0; i < size; i++) {
      transformImage(m, work + <usize>i * column, 16, to + (<usize>tile << 2) + <usize>(i * size) * element, element);
    }
  }
}

/** As `transformImageRow`, for the results' gradient, a plane of h x w. */
export function transformGradientRow(
  m: i32, plane: usize, h: i32, w: i32, top: i32, across: i32, strip: usize, to: usize, element: usize, work: usize,
): void {
  copyStrip(plane, h, w, top, m, 0, strip, stripPitch(m, across));
  if (m == 2) gradientRow(2, across, strip, to, element, work);
  else gradientRow(4, across, strip, to, element, work);
}

// @ts-ignore: decorator
@inline
function gradientRow(m: i32, across: i32, strip: usize, to: usize, element: usize, work: usize): void {
  const size = m + 2, small = <usize>m << 4, tall = work + 36 * 16, pitch = <usize>stripPitch(m, across) << 2;
  for (let first = 0; first < across; first += 4) {
    const tile = fourFrom(first, across);
    let from = strip + (<usize>(tile * m) << 2);
    for (let i = 0; i < m; i++) {
      gatherRow(m, false, from, work + <usize>i * small);
      from += pitch;
    }
    for (let j = 0; j < m; j++) transformGradient(m, work + (<usize>j << 4), small, tall + (<usize>j << 4), small);
    for (let i = 0; i < size; i++) {
      transformGradient(m, tall + <usize>i * small, 16, to + (<usize>tile << 2) + <usize>(i * size) * element, element);
    }
  }
}

/** The way back: one row of tiles of sums at `from`, plus the bias, become rows of results from row `top` on of a plane of h x w at `to`. */
export function transformResultRow(
  m: i32, from: usize, element: usize, bias: f32, across: i32, to: usize, h: i32, w: i32, top: i32, work: usize,
): void {
  if (m == 2) resultRow(2, from, element, bias, across, to, h, w, top, work);
  else resultRow(4, from, element, bias, across, to, h, w, top, work);
}

// @ts-ignore: decorator
@inline
function resultRow(m: i32, from: usize, element: usize, bias: f32, across: i32, to: usize, h: i32, w: i32, top: i32, work: usize): void {
  const size = m + 2, column = <usize>size << 4, small = work + 36 * 16, rows = min(m, h - top);
  for (let first = 0; first < across; first += 4) {
    const tile = fourFrom(first, across), at = from + (<usize>tile << 2), left = tile * m;
    for (let j = 0; j < size; j++) {
      transformResult(m, at + <usize>j * element, <usize>size * element, work + (<usize>j << 4), column);
    }
    for (let i = 0; i < rows; i++) {
      transformResult(m, work + <usize>i * column, 16, small, 16);
      spread(m, small, bias, to + (<usize>((top + i) * w + left) << 2), w - left);
    }
  }
}

/** One row of results of four tiles, side by side in `m` vectors at `from`, plus the bias, to the first `room` columns at `to`. */
// @ts-ignore: decorator
@inline
function spread(m: i32, from: usize, bias: f32, to: usize, room: i32): void {
  const start = f32x4.splat(bias), a = f32x4.add(start, v128.load(from)), b = f32x4.add(start, v128.load(from, 16));
  if (m == 2) {
    storeWithin(to, v128.shuffle<f32>(a, b, 0, 4, 1, 5), room);
    storeWithin(to + 16, v128.shuffle<f32>(a, b, 2, 6, 3, 7), room - 4);
    return;
  }
  const c = f32x4.add(start, v128.load(from, 32)), d = f32x4.add(start, v128.load(from, 48));
  if (room >= 16) {
    storeTransposed(a, b, c, d, to);
    return;
  }
  storeTransposed(a, b, c, d, from);
  for (let tile = 0; tile < 4; tile++) storeWithin(to + (<usize>tile << 4), v128.load(from + (<usize>tile << 4)), room - 4 * tile);
}

/** Stores the lanes before column `room`. */
// @ts-ignore: decorator
@inline
function storeWithin(to: usize, x: v128, room: i32): void {
  if (room >= 4) v128.store(to, x);
  else if (room > 0) storeSome(to, x, room);
}

/**
 * The sums of `rows` x `channels` filters' gradients, transformed back: element e of (row, channel) at `from + e * element + row * stride + channel`,
 * nine weights of each at `to`, in the order of the filters.
 */
export function transformSumsBack(
  m: i32, from: usize, element: usize, stride: i32, rows: i32, channels: i32, to: usize, work: usize,
): void {
  const size = m + 2, wide = work + 36 * 16;
  for (let row = 0; row < rows; row++) {
    for (let first = 0; first < channels; first += 4) {
      const at = from + (<usize>(row * stride + first) << 2);
      for (let j = 0; j < size; j++) transformSums(m, at + <usize>j * element, <usize>size * element, work + (<usize>j << 4), <usize>size << 4);
      for (let i = 0; i < 3; i++) transformSums(m, work + (<usize>(i * size) << 4), 16, wide + <usize>(i * 3) * 16, 16);
      for (let lane = 0; lane < min(4, channels - first); lane++) {
        for (let i = 0; i < 9; i++) {
          store<f32>(to, load<f32>(wide + (<usize>i << 4) + (<usize>lane << 2)));
          to += 4;
        }
      }
    }
  }
}
