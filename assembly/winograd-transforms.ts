// The transforms of Winograd's minimal filtering F(2x2, 3x3) and F(4x4, 3x3): formulas in kernels/winograd.ts. Lanes of a transformed vector are four
// channels (what is missing of four repeats the last one). A tile has m + 2 rows and columns of the image, or m of results; each dimension is transformed by
// itself, columns first: those of a whole row of tiles at once, where lanes are neighbouring columns, into a strip of m + 2 rows for each channel.
import { copyRow } from './image';
import { packedPanel } from './packing';
import { KC, NR } from './tile';
import { loadSome, storeSome } from './vector';

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

/** One dimension of a tile of the image, m + 2 elements (the last two are not used if m is 2). */
// @ts-ignore: decorator
@inline
function transformImage(m: i32, d0: v128, d1: v128, d2: v128, d3: v128, d4: v128, d5: v128, to: usize, toStep: usize): void {
  if (m == 2) {
    put(to, toStep, 0, f32x4.sub(d0, d2));
    put(to, toStep, 1, f32x4.add(d1, d2));
    put(to, toStep, 2, f32x4.sub(d2, d1));
    put(to, toStep, 3, f32x4.sub(d1, d3));
    return;
  }
  const two = factor(TWO), four = factor(FOUR), five = factor(FIVE);
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
function transformFilter(m: i32, g0: v128, g1: v128, g2: v128, to: usize, toStep: usize): void {
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
 * One dimension of a tile of the results' gradient, m elements (the last two are not used if m is 2): they become m + 2. The
 * transpose of `transformResult`.
 */
// @ts-ignore: decorator
@inline
function transformGradient(m: i32, y0: v128, y1: v128, y2: v128, y3: v128, to: usize, toStep: usize): void {
  if (m == 2) {
    put(to, toStep, 0, y0);
    put(to, toStep, 1, f32x4.add(y0, y1));
    put(to, toStep, 2, f32x4.sub(y0, y1));
    put(to, toStep, 3, f32x4.neg(y1));
    return;
  }
  const two = factor(TWO), four = factor(FOUR), eight = factor(EIGHT);
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

/** Four rows of four, transposed, to `to`, `to` + step, ... */
// @ts-ignore: decorator
@inline
function storeTransposed(r0: v128, r1: v128, r2: v128, r3: v128, to: usize, step: usize): void {
  const a = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5), b = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
  const c = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7), d = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
  put(to, step, 0, v128.shuffle<f64>(a, b, 0, 2));
  put(to, step, 1, v128.shuffle<f64>(a, b, 1, 3));
  put(to, step, 2, v128.shuffle<f64>(c, d, 0, 2));
  put(to, step, 3, v128.shuffle<f64>(c, d, 1, 3));
}

/**
 * Filters of `rows` x `channels`, transformed: element e of all at `to + e * element`, as gemm_pack_b_f32 leaves a matrix of `channels` rows and `rows`
 * columns. Filter (row, channel) starts at row * rowStep + channel * channelStep, and is read from its end if `mirrored`.
 */
export function transformFilters(
  m: i32, weight: usize, rows: i32, channels: i32, rowStep: i32, channelStep: i32, mirrored: bool, to: usize, element: usize, work: usize,
): void {
  const rowBytes = <usize>rowStep << 2;
  for (let left = 0; left < rows; left += NR) {
    for (let channel = 0; channel < channels; channel++) {
      const from = channel & -KC, steps = min(KC, channels - from);
      let at = packedPanel(to, rows, from, left, steps) + (<usize>(channel - from) << 5);
      for (let row = left; row < min(rows, left + NR); row += 4) {
        const filter = weight + <usize>row * rowBytes + (<usize>(channel * channelStep) << 2);
        gatherFilters(filter, rowBytes, rows - row - 1, mirrored, work);
        if (m == 2) filters(2, work, at, element);
        else filters(4, work, at, element);
        at += 16;
      }
    }
  }
}

/** Nine vectors at `to`: the weights of filters that are `step` bytes apart, at most four and `last` behind the first. */
// @ts-ignore: decorator
@inline
function gatherFilters(from: usize, step: usize, last: usize, mirrored: bool, to: usize): void {
  const f1 = from + min(1, last) * step, f2 = from + min(2, last) * step, f3 = from + min(3, last) * step;
  const by: usize = mirrored ? 0 - <usize>16 : 16;
  if (mirrored) to += 128;
  storeTransposed(v128.load(from), v128.load(f1), v128.load(f2), v128.load(f3), to, by);
  storeTransposed(v128.load(from, 16), v128.load(f1, 16), v128.load(f2, 16), v128.load(f3, 16), to + 4 * by, by);
  let end = v128.load32_zero(from, 32);
  end = v128.load_lane<f32>(f1, end, 1, 32);
  end = v128.load_lane<f32>(f2, end, 2, 32);
  v128.store(to + 8 * by, v128.load_lane<f32>(f3, end, 3, 32));
}

// @ts-ignore: decorator
@inline
function filters(m: i32, work: usize, to: usize, element: usize): void {
  const size = m + 2, tall = work + 9 * 16;
  for (let j = 0; j < 3; j++) {
    const at = work + (<usize>j << 4);
    transformFilter(m, v128.load(at), v128.load(at, 48), v128.load(at, 96), tall + (<usize>j << 4), 48);
  }
  for (let i = 0; i < size; i++) {
    const at = tall + <usize>i * 48;
    transformFilter(m, v128.load(at), v128.load(at, 16), v128.load(at, 32), to + <usize>(i * size) * element, element);
  }
}

/** Floats from one row of a strip to the next: what a row of tiles reads, and what is read behind it. */
// @ts-ignore: decorator
@inline
function stripPitch(m: i32, across: i32): i32 {
  return across * m + 4;
}

/** Floats of the strips of four channels, and of a row of zeros behind them. */
// @ts-ignore: decorator
@inline
export function stripsLength(m: i32, across: i32): i32 {
  return (4 * (m + 2) + 1) * stripPitch(m, across);
}

/** Where row `y` of a plane of h x w is: zeros if outside, and if it is shorter than a vector a copy at `copy`, with zeros behind it. */
function rowOf(plane: usize, h: i32, w: i32, y: i32, zeros: usize, copy: usize): usize {
  if (<u32>y >= <u32>h) return zeros;
  const row = plane + (<usize>(y * w) << 2);
  if (w >= 4) return row;
  v128.store(copy, f32x4.splat(0));
  copyRow(row, copy, w);
  return copy;
}

/**
 * One row of tiles of four channels of an image (`last` + 1, if there are fewer), from its row `top` on: element e of tile t goes to
 * `to + e * element + t * tileBytes`. What lies around a row of the image in the strips was cleared before and stays so.
 */
export function transformImageRow(
  m: i32, planes: usize, planeBytes: usize, last: usize, h: i32, w: i32, top: i32, left: i32, across: i32, strips: usize, to: usize, tileBytes: usize,
  element: usize, work: usize,
): void {
  const pitch = <usize>stripPitch(m, across) << 2, stripBytes = <usize>(m + 2) * pitch, zeros = strips + 4 * stripBytes;
  let strip = strips + (<usize>left << 2);
  for (let lane: usize = 0; lane < 4; lane++) {
    const plane = planes + min(lane, last) * planeBytes;
    if (m == 2) imageColumns(2, plane, h, w, top, strip, pitch, zeros, work);
    else imageColumns(4, plane, h, w, top, strip, pitch, zeros, work);
    strip += stripBytes;
  }
  if (m == 2) imageRows(2, across, strips, pitch, stripBytes, to, tileBytes, element);
  else imageRows(4, across, strips, pitch, stripBytes, to, tileBytes, element);
}

// @ts-ignore: decorator
@inline
function imageColumns(m: i32, plane: usize, h: i32, w: i32, top: i32, strip: usize, pitch: usize, zeros: usize, work: usize): void {
  const r0 = rowOf(plane, h, w, top, zeros, work), r1 = rowOf(plane, h, w, top + 1, zeros, work + 16);
  const r2 = rowOf(plane, h, w, top + 2, zeros, work + 32), r3 = rowOf(plane, h, w, top + 3, zeros, work + 48);
  const r4 = m == 2 ? r3 : rowOf(plane, h, w, top + 4, zeros, work + 64), r5 = m == 2 ? r3 : rowOf(plane, h, w, top + 5, zeros, work + 80);
  const end = <usize>max(w - 4, 0) << 2;
  // The last four columns may be partly those before: once more.
  for (let at: usize = 0; ; at = min(at + 16, end)) {
    transformImage(
      m, v128.load(r0 + at), v128.load(r1 + at), v128.load(r2 + at), v128.load(r3 + at), v128.load(r4 + at), v128.load(r5 + at), strip + at, pitch,
    );
    if (at == end) break;
  }
}

// @ts-ignore: decorator
@inline
function imageRows(m: i32, across: i32, strips: usize, pitch: usize, stripBytes: usize, to: usize, tileBytes: usize, element: usize): void {
  const size = m + 2;
  for (let i = 0; i < size; i++) {
    // From the right, so that the first two columns of a tile are at hand as the last two of the next one.
    let s0 = strips + <usize>i * pitch + (<usize>(across * m) << 2), s1 = s0 + stripBytes, s2 = s1 + stripBytes, s3 = s2 + stripBytes;
    let at = to + <usize>(i * size) * element + <usize>across * tileBytes;
    let low = v128.shuffle<f32>(v128.load64_zero(s0), v128.load64_zero(s1), 0, 4, 1, 5);
    let high = v128.shuffle<f32>(v128.load64_zero(s2), v128.load64_zero(s3), 0, 4, 1, 5);
    let next0 = v128.shuffle<f64>(low, high, 0, 2), next1 = v128.shuffle<f64>(low, high, 1, 3);
    for (let tile = across; tile > 0; tile--) {
      at -= tileBytes;
      s0 -= <usize>m << 2;
      s1 -= <usize>m << 2;
      s2 -= <usize>m << 2;
      s3 -= <usize>m << 2;
      if (m == 2) {
        low = v128.shuffle<f32>(v128.load64_zero(s0), v128.load64_zero(s1), 0, 4, 1, 5);
        high = v128.shuffle<f32>(v128.load64_zero(s2), v128.load64_zero(s3), 0, 4, 1, 5);
        const d0 = v128.shuffle<f64>(low, high, 0, 2), d1 = v128.shuffle<f64>(low, high, 1, 3);
        transformImage(2, d0, d1, next0, next1, next1, next1, at, element);
        next0 = d0;
        next1 = d1;
      } else {
        const r0 = v128.load(s0), r1 = v128.load(s1), r2 = v128.load(s2), r3 = v128.load(s3);
        low = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
        high = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
        const d0 = v128.shuffle<f64>(low, high, 0, 2), d1 = v128.shuffle<f64>(low, high, 1, 3);
        low = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
        high = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
        const d2 = v128.shuffle<f64>(low, high, 0, 2), d3 = v128.shuffle<f64>(low, high, 1, 3);
        transformImage(4, d0, d1, d2, d3, next0, next1, at, element);
        next0 = d0;
        next1 = d1;
      }
    }
  }
}

/** As `transformImageRow`, for the results' gradient, planes of h x w. */
export function transformGradientRow(
  m: i32, planes: usize, planeBytes: usize, last: usize, h: i32, w: i32, top: i32, across: i32, strips: usize, to: usize, tileBytes: usize,
  element: usize, work: usize,
): void {
  const pitch = <usize>stripPitch(m, across) << 2, stripBytes = <usize>(m + 2) * pitch, zeros = strips + 4 * stripBytes;
  let strip = strips;
  for (let lane: usize = 0; lane < 4; lane++) {
    const plane = planes + min(lane, last) * planeBytes;
    if (m == 2) gradientColumns(2, plane, h, w, top, strip, pitch, zeros, work);
    else gradientColumns(4, plane, h, w, top, strip, pitch, zeros, work);
    strip += stripBytes;
  }
  if (m == 2) gradientRows(2, across, strips, pitch, stripBytes, to, tileBytes, element);
  else gradientRows(4, across, strips, pitch, stripBytes, to, tileBytes, element);
}

// @ts-ignore: decorator
@inline
function gradientColumns(m: i32, plane: usize, h: i32, w: i32, top: i32, strip: usize, pitch: usize, zeros: usize, work: usize): void {
  const r0 = rowOf(plane, h, w, top, zeros, work), r1 = rowOf(plane, h, w, top + 1, zeros, work + 16);
  const r2 = m == 2 ? r1 : rowOf(plane, h, w, top + 2, zeros, work + 32), r3 = m == 2 ? r1 : rowOf(plane, h, w, top + 3, zeros, work + 48);
  const end = <usize>max(w - 4, 0) << 2;
  for (let at: usize = 0; ; at = min(at + 16, end)) {
    transformGradient(m, v128.load(r0 + at), v128.load(r1 + at), v128.load(r2 + at), v128.load(r3 + at), strip + at, pitch);
    if (at == end) break;
  }
}

// @ts-ignore: decorator
@inline
function gradientRows(m: i32, across: i32, strips: usize, pitch: usize, stripBytes: usize, to: usize, tileBytes: usize, element: usize): void {
  const size = m + 2;
  for (let i = 0; i < size; i++) {
    let s0 = strips + <usize>i * pitch, s1 = s0 + stripBytes, s2 = s1 + stripBytes, s3 = s2 + stripBytes;
    let at = to + <usize>(i * size) * element;
    for (let tile = 0; tile < across; tile++) {
      if (m == 2) {
        const low = v128.shuffle<f32>(v128.load64_zero(s0), v128.load64_zero(s1), 0, 4, 1, 5);
        const high = v128.shuffle<f32>(v128.load64_zero(s2), v128.load64_zero(s3), 0, 4, 1, 5);
        const y0 = v128.shuffle<f64>(low, high, 0, 2), y1 = v128.shuffle<f64>(low, high, 1, 3);
        transformGradient(2, y0, y1, y1, y1, at, element);
      } else {
        const r0 = v128.load(s0), r1 = v128.load(s1), r2 = v128.load(s2), r3 = v128.load(s3);
        const a = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5), b = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
        const c = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7), d = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
        transformGradient(
          4, v128.shuffle<f64>(a, b, 0, 2), v128.shuffle<f64>(a, b, 1, 3), v128.shuffle<f64>(c, d, 0, 2), v128.shuffle<f64>(c, d, 1, 3), at, element,
        );
      }
      at += tileBytes;
      s0 += <usize>m << 2;
      s1 += <usize>m << 2;
      s2 += <usize>m << 2;
      s3 += <usize>m << 2;
    }
  }
}

/**
 * The way back: sums of one row of tiles of `count` (1 to 4) channels, laid out as images are, plus the bias (`count` floats at `bias`, or +0 if that is 0),
 * become rows of results from row `top` on of the planes of h x w at `to`.
 */
export function transformResultRow(
  m: i32, from: usize, tileBytes: usize, element: usize, bias: usize, count: i32, across: i32, to: usize, h: i32, w: i32, top: i32, work: usize,
): void {
  const start = bias ? loadSome(bias, count & 3) : f32x4.splat(0);
  if (m == 2) resultRow(2, from, tileBytes, element, start, count, across, to, h, w, top, work);
  else resultRow(4, from, tileBytes, element, start, count, across, to, h, w, top, work);
}

// @ts-ignore: decorator
@inline
function resultRow(
  m: i32, from: usize, tileBytes: usize, element: usize, bias: v128, count: i32, across: i32, to: usize, h: i32, w: i32, top: i32, work: usize,
): void {
  const size = m + 2, column = <usize>size << 4, small = work + 36 * 16, rows = min(m, h - top), planeBytes = <usize>(h * w) << 2;
  for (let tile = 0; tile < across; tile++) {
    for (let j = 0; j < size; j++) {
      transformResult(m, from + <usize>j * element, <usize>size * element, work + (<usize>j << 4), column);
    }
    let row = to + (<usize>(top * w + tile * m) << 2);
    for (let i = 0; i < rows; i++) {
      transformResult(m, work + <usize>i * column, 16, small, 16);
      spread(m, small, bias, row, planeBytes, count, w - tile * m);
      row += <usize>w << 2;
    }
    from += tileBytes;
  }
}

/** One row of results of four channels, a pixel in each of the `m` vectors at `from`, plus the bias, to `room` columns at `to` in `count` planes. */
// @ts-ignore: decorator
@inline
function spread(m: i32, from: usize, bias: v128, to: usize, planeBytes: usize, count: i32, room: i32): void {
  const a = f32x4.add(bias, v128.load(from)), b = f32x4.add(bias, v128.load(from, 16));
  const c = m == 2 ? a : f32x4.add(bias, v128.load(from, 32)), d = m == 2 ? b : f32x4.add(bias, v128.load(from, 48));
  if (m == 4 && count == 4 && room >= 4) {
    storeTransposed(a, b, c, d, to, planeBytes);
    return;
  }
  storeTransposed(a, b, c, d, from, 16);
  for (let lane = 0; lane < count; lane++) {
    storeSome(to, v128.load(from + (<usize>lane << 4)), min(m, room) & 3);
    to += planeBytes;
  }
}

/**
 * The sums of `rows` x `channels` filters' gradients, transformed back: element e of (row, channel) at `from + e * element` + channel * stride + row,
 * nine weights of each at `to`, in the order of the filters.
 */
export function transformSumsBack(
  m: i32, from: usize, element: usize, stride: i32, rows: i32, channels: i32, to: usize, work: usize,
): void {
  const rowBytes = <usize>(9 * channels) << 2;
  for (let row = 0; row < rows; row += 4) {
    const count = min(4, rows - row);
    for (let channel = 0; channel < channels; channel++) {
      const at = from + (<usize>(channel * stride + row) << 2), filter = to + <usize>row * rowBytes + <usize>(9 * channel << 2);
      if (m == 2) sumsBack(2, at, element, count, filter, rowBytes, work);
      else sumsBack(4, at, element, count, filter, rowBytes, work);
    }
  }
}

// @ts-ignore: decorator
@inline
function sumsBack(m: i32, from: usize, element: usize, count: i32, to: usize, rowBytes: usize, work: usize): void {
  const size = m + 2, wide = work + 36 * 16;
  for (let j = 0; j < size; j++) transformSums(m, from + <usize>j * element, <usize>size * element, work + (<usize>j << 4), <usize>size << 4);
  for (let i = 0; i < 3; i++) transformSums(m, work + (<usize>(i * size) << 4), 16, wide + <usize>(i * 3) * 16, 16);
  // Weights 0 to 3, 4 to 7 and 8 of each filter: as rows of four at `work`, the last one from its lane.
  storeTransposed(v128.load(wide), v128.load(wide, 16), v128.load(wide, 32), v128.load(wide, 48), work, 32);
  storeTransposed(v128.load(wide, 64), v128.load(wide, 80), v128.load(wide, 96), v128.load(wide, 112), work + 16, 32);
  for (let lane = 0; lane < count; lane++) {
    const at = work + (<usize>lane << 5);
    v128.store(to, v128.load(at));
    v128.store(to, v128.load(at, 16), 16);
    store<f32>(to, load<f32>(wide + 128 + (<usize>lane << 2)), 32);
    to += rowBytes;
  }
}
