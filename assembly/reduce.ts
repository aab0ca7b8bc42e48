// Reductions along the middle of [outer, length, inner]. Contracts and canonical orders: kernels/reduce.ts.
import { maxRow, sumRow } from './row';
import { loadPart, storePart } from './vector';

/** Rows that are added one after the other before the sums are paired, where the summed dimension is strided. */
const COLUMN_BLOCK: i32 = 64;

/** Sums `vectors` (1 or 4) neighbouring vectors of columns over `length` rows; `part` > 0 says how many lanes of the only one exist. */
// @ts-ignore: decorator
@inline
function sumColumns(vectors: i32, part: i32, x: usize, y: usize, length: i32, stride: usize, tree: usize): void {
  let total0 = f32x4.splat(0), total1 = total0, total2 = total0, total3 = total0;
  let block = 0;
  for (let start = 0; start < length; start += COLUMN_BLOCK) {
    let a = f32x4.splat(0), b = a, c = a, d = a;
    for (let row = min(length - start, COLUMN_BLOCK); row > 0; row--) {
      a = f32x4.add(a, part ? loadPart(x, part) : v128.load(x));
      if (vectors == 4) {
        b = f32x4.add(b, v128.load(x, 16));
        c = f32x4.add(c, v128.load(x, 32));
        d = f32x4.add(d, v128.load(x, 48));
      }
      x += stride;
    }
    let level = tree;
    for (let bits = block; bits & 1; bits >>= 1) {
      a = f32x4.add(v128.load(level), a);
      if (vectors == 4) {
        b = f32x4.add(v128.load(level, 16), b);
        c = f32x4.add(v128.load(level, 32), c);
        d = f32x4.add(v128.load(level, 48), d);
      }
      level += 64;
    }
    v128.store(level, a);
    if (vectors == 4) {
      v128.store(level, b, 16);
      v128.store(level, c, 32);
      v128.store(level, d, 48);
    }
    block++;
  }
  let level = tree;
  let started = false;
  for (let bits = block; bits; bits >>= 1) {
    if (bits & 1) {
      total0 = started ? f32x4.add(v128.load(level), total0) : v128.load(level);
      if (vectors == 4) {
        total1 = started ? f32x4.add(v128.load(level, 16), total1) : v128.load(level, 16);
        total2 = started ? f32x4.add(v128.load(level, 32), total2) : v128.load(level, 32);
        total3 = started ? f32x4.add(v128.load(level, 48), total3) : v128.load(level, 48);
      }
      started = true;
    }
    level += 64;
  }
  if (part) {
    storePart(y, total0, part);
    return;
  }
  v128.store(y, total0);
  if (vectors == 4) {
    v128.store(y, total1, 16);
    v128.store(y, total2, 32);
    v128.store(y, total3, 48);
  }
}

export function sum_f32(x: usize, y: usize, outer: i32, length: i32, inner: i32, scratch: usize): void {
  const stride = (<usize>inner) << 2;
  for (let o = 0; o < outer; o++) {
    if (inner == 1) {
      store<f32>(y, sumRow(x, length, scratch));
    } else {
      let column = 0;
      for (; column + 16 <= inner; column += 16) {
        const at = (<usize>column) << 2;
        sumColumns(4, 0, x + at, y + at, length, stride, scratch);
      }
      for (; column + 4 <= inner; column += 4) {
        const at = (<usize>column) << 2;
        sumColumns(1, 0, x + at, y + at, length, stride, scratch);
      }
      const at = (<usize>column) << 2;
      if (column < inner) sumColumns(1, inner - column, x + at, y + at, length, stride, scratch);
    }
    x += stride * length;
    y += stride;
  }
}

/** Whether a lane is NaN or equal to the value. */
// @ts-ignore: decorator
@inline
function isCandidate(v: v128, value: v128): v128 {
  return v128.or(f32x4.ne(v, v), f32x4.eq(v, value));
}

/** The index of the first NaN of a contiguous row, or else of its first largest element; `length` >= 1. */
function indexOfMax(x: usize, length: i32): i32 {
  const largest = f32x4.splat(maxRow(x, length));
  const value = f32x4.extract_lane(largest, 0);
  let i = 0;
  let found = -1;
  while (i < length) {
    // Whole stretches without a candidate, 16 at a time; once the largest is found, only a NaN can still replace it.
    const wanted = found < 0 ? largest : f32x4.splat(NaN);
    for (; i + 16 <= length; i += 16) {
      const at = x + ((<usize>i) << 2);
      const ab = v128.or(isCandidate(v128.load(at), wanted), isCandidate(v128.load(at, 16), wanted));
      const cd = v128.or(isCandidate(v128.load(at, 32), wanted), isCandidate(v128.load(at, 48), wanted));
      if (v128.any_true(v128.or(ab, cd))) break;
    }
    const end = min(i + 16, length);
    for (; i < end; i++) {
      const v = load<f32>(x + ((<usize>i) << 2));
      if (v != v) return i;
      if (found < 0 && v == value) found = i;
    }
  }
  return found;
}

/** Four (or `part`) columns: a later element wins if it is larger, or if it is the first NaN. */
// @ts-ignore: decorator
@inline
function maxColumns(part: i32, x: usize, y: usize, indices: usize, length: i32, stride: usize): void {
  let best = part ? loadPart(x, part) : v128.load(x);
  let index = i32x4.splat(0);
  for (let row = 1; row < length; row++) {
    x += stride;
    const v = part ? loadPart(x, part) : v128.load(x);
    const better = v128.or(f32x4.lt(best, v), v128.and(f32x4.ne(v, v), f32x4.eq(best, best)));
    best = v128.bitselect(v, best, better);
    index = v128.bitselect(i32x4.splat(row), index, better);
  }
  if (part) {
    storePart(y, best, part);
    if (indices) storePart(indices, index, part);
  } else {
    v128.store(y, best);
    if (indices) v128.store(indices, index);
  }
}

export function max_f32(x: usize, y: usize, indices: usize, outer: i32, length: i32, inner: i32): void {
  const stride = (<usize>inner) << 2;
  for (let o = 0; o < outer; o++) {
    if (length == 0) {
      for (let column: usize = 0; column < stride; column += 4) {
        store<f32>(y + column, -Infinity);
        if (indices) store<i32>(indices + column, -1);
      }
    } else if (inner == 1) {
      const index = indexOfMax(x, length);
      store<f32>(y, load<f32>(x + ((<usize>index) << 2)));
      if (indices) store<i32>(indices, index);
    } else {
      let column = 0;
      for (; column + 4 <= inner; column += 4) {
        const at = (<usize>column) << 2;
        maxColumns(0, x + at, y + at, indices ? indices + at : 0, length, stride);
      }
      const at = (<usize>column) << 2;
      if (column < inner) maxColumns(inner - column, x + at, y + at, indices ? indices + at : 0, length, stride);
    }
    x += stride * length;
    y += stride;
    if (indices) indices += stride;
  }
}
