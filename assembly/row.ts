// The sum and the largest of one contiguous row. Canonical order: kernels/row.ts.
import { loadPart } from './vector';

/** Elements of a row that are summed in 16 lanes before the sums are paired. */
const ROW_BLOCK: i32 = 1024;

// @ts-ignore: decorator
@inline
function sumLanes(x: v128): f32 {
  const pairs = f32x4.add(x, i32x4.shuffle(x, x, 2, 3, 0, 1));
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
}

/** What is summed: x; (x - m)^2; x y; x ((y - m) r). */
const PLAIN: i32 = 0;
const SQUARED: i32 = 1;
const PRODUCT: i32 = 2;
const TIMES_NORMAL: i32 = 3;

// @ts-ignore: decorator
@inline
function term(kind: i32, v: v128, y: v128, m: v128, r: v128): v128 {
  if (kind == SQUARED) {
    v = f32x4.sub(v, m);
    return f32x4.mul(v, v);
  }
  if (kind == PRODUCT) return f32x4.mul(v, y);
  if (kind == TIMES_NORMAL) return f32x4.mul(v, f32x4.mul(f32x4.sub(y, m), r));
  return v;
}

/** At most 1024 contiguous floats: element i goes to lane i mod 16, in order; then ((a0 + a1) + (a2 + a3)), then lanes (0 + 2) + (1 + 3). */
// @ts-ignore: decorator
@inline
function sumBlock(kind: i32, x: usize, y: usize, length: i32, m: v128, r: v128): f32 {
  let a = f32x4.splat(0), b = f32x4.splat(0), c = f32x4.splat(0), d = f32x4.splat(0);
  const end = x + ((<usize>length) << 2);
  while (x + 64 <= end) {
    a = f32x4.add(a, term(kind, v128.load(x), kind >= PRODUCT ? v128.load(y) : m, m, r));
    b = f32x4.add(b, term(kind, v128.load(x, 16), kind >= PRODUCT ? v128.load(y, 16) : m, m, r));
    c = f32x4.add(c, term(kind, v128.load(x, 32), kind >= PRODUCT ? v128.load(y, 32) : m, m, r));
    d = f32x4.add(d, term(kind, v128.load(x, 48), kind >= PRODUCT ? v128.load(y, 48) : m, m, r));
    x += 64;
    if (kind >= PRODUCT) y += 64;
  }
  const rest = <i32>(end - x) >> 2;
  if (rest >= 4) a = f32x4.add(a, term(kind, v128.load(x), kind >= PRODUCT ? v128.load(y) : m, m, r));
  if (rest >= 8) b = f32x4.add(b, term(kind, v128.load(x, 16), kind >= PRODUCT ? v128.load(y, 16) : m, m, r));
  if (rest >= 12) c = f32x4.add(c, term(kind, v128.load(x, 32), kind >= PRODUCT ? v128.load(y, 32) : m, m, r));
  const part = rest & 3;
  if (part) {
    const at = (<usize>(rest & 12)) << 2;
    const lanes = i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(part));
    const v = v128.and(term(kind, loadPart(x + at, part), kind >= PRODUCT ? loadPart(y + at, part) : m, m, r), lanes);
    if (rest < 4) a = f32x4.add(a, v);
    else if (rest < 8) b = f32x4.add(b, v);
    else if (rest < 12) c = f32x4.add(c, v);
    else d = f32x4.add(d, v);
  }
  return sumLanes(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)));
}

// @ts-ignore: decorator
@inline
function sumTerms(kind: i32, x: usize, y: usize, length: i32, m: v128, r: v128, tree: usize): f32 {
  let block = 0;
  let sum: f32 = 0;
  while (length > 0) {
    sum = sumBlock(kind, x, y, min(length, ROW_BLOCK), m, r);
    length -= ROW_BLOCK;
    if (block == 0 && length <= 0) return sum;
    // A binary counter: two sums of the same number of blocks become one.
    let level = tree;
    for (let bits = block; bits & 1; bits >>= 1) {
      sum = load<f32>(level) + sum;
      level += 4;
    }
    store<f32>(level, sum);
    x += <usize>ROW_BLOCK << 2;
    y += <usize>ROW_BLOCK << 2;
    block++;
  }
  let level = tree;
  let started = false;
  for (let bits = block; bits; bits >>= 1) {
    if (bits & 1) {
      sum = started ? load<f32>(level) + sum : load<f32>(level);
      started = true;
    }
    level += 4;
  }
  return sum;
}

/** The sum of a contiguous row in canonical order. `tree` holds 32 floats of working memory, touched only beyond 1024 elements. */
export function sumRow(x: usize, length: i32, tree: usize): f32 {
  return sumTerms(PLAIN, x, x, length, f32x4.splat(0), f32x4.splat(0), tree);
}

/** As sumRow, of (x - m)^2. */
export function sumSquaredRow(x: usize, m: f32, length: i32, tree: usize): f32 {
  return sumTerms(SQUARED, x, x, length, f32x4.splat(m), f32x4.splat(0), tree);
}

/** As sumRow, of x y. */
export function sumProductRow(x: usize, y: usize, length: i32, tree: usize): f32 {
  return sumTerms(PRODUCT, x, y, length, f32x4.splat(0), f32x4.splat(0), tree);
}

/** As sumRow, of x ((y - m) r). */
export function sumTimesNormalRow(x: usize, y: usize, m: f32, r: f32, length: i32, tree: usize): f32 {
  return sumTerms(TIMES_NORMAL, x, y, length, f32x4.splat(m), f32x4.splat(r), tree);
}

/** The largest of a contiguous row, ignoring NaN behind the first element; `length` >= 1. The sign of a zero is not specified. */
export function maxRow(x: usize, length: i32): f32 {
  const end = x + ((<usize>length) << 2);
  let m = v128.load32_splat(x), b = m, c = m, d = m;
  while (x + 64 <= end) {
    m = f32x4.pmax(m, v128.load(x));
    b = f32x4.pmax(b, v128.load(x, 16));
    c = f32x4.pmax(c, v128.load(x, 32));
    d = f32x4.pmax(d, v128.load(x, 48));
    x += 64;
  }
  m = f32x4.pmax(f32x4.pmax(m, b), f32x4.pmax(c, d));
  while (x + 16 <= end) {
    m = f32x4.pmax(m, v128.load(x));
    x += 16;
  }
  let result = f32x4.extract_lane(m, 0);
  const m1 = f32x4.extract_lane(m, 1), m2 = f32x4.extract_lane(m, 2), m3 = f32x4.extract_lane(m, 3);
  if (result < m1) result = m1;
  if (result < m2) result = m2;
  if (result < m3) result = m3;
  for (; x < end; x += 4) {
    const v = load<f32>(x);
    if (result < v) result = v;
  }
  return result;
}
