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

/** At most 1024 contiguous floats: element i goes to lane i mod 16, in order; then ((a0 + a1) + (a2 + a3)), then lanes (0 + 2) + (1 + 3). */
function sumBlock(x: usize, length: i32): f32 {
  let a = f32x4.splat(0), b = f32x4.splat(0), c = f32x4.splat(0), d = f32x4.splat(0);
  const end = x + ((<usize>length) << 2);
  while (x + 64 <= end) {
    a = f32x4.add(a, v128.load(x));
    b = f32x4.add(b, v128.load(x, 16));
    c = f32x4.add(c, v128.load(x, 32));
    d = f32x4.add(d, v128.load(x, 48));
    x += 64;
  }
  const rest = <i32>(end - x) >> 2;
  if (rest >= 4) a = f32x4.add(a, v128.load(x));
  if (rest >= 8) b = f32x4.add(b, v128.load(x, 16));
  if (rest >= 12) c = f32x4.add(c, v128.load(x, 32));
  const part = rest & 3;
  if (part) {
    const v = loadPart(x + ((<usize>(rest & 12)) << 2), part);
    if (rest < 4) a = f32x4.add(a, v);
    else if (rest < 8) b = f32x4.add(b, v);
    else if (rest < 12) c = f32x4.add(c, v);
    else d = f32x4.add(d, v);
  }
  return sumLanes(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)));
}

/** The sum of a contiguous row in canonical order. `tree` holds 32 floats of working memory, touched only beyond 1024 elements. */
export function sumRow(x: usize, length: i32, tree: usize): f32 {
  if (length <= ROW_BLOCK) return sumBlock(x, length);
  let block = 0;
  while (length > 0) {
    let sum = sumBlock(x, min(length, ROW_BLOCK));
    // A binary counter: two sums of the same number of blocks become one.
    let level = tree;
    for (let bits = block; bits & 1; bits >>= 1) {
      sum = load<f32>(level) + sum;
      level += 4;
    }
    store<f32>(level, sum);
    x += <usize>ROW_BLOCK << 2;
    length -= ROW_BLOCK;
    block++;
  }
  let sum: f32 = 0;
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

/** The largest of a contiguous row, ignoring NaN behind the first element; `length` >= 1. The sign of a zero is not specified. */
export function maxRow(x: usize, length: i32): f32 {
  const end = x + ((<usize>length) << 2);
  let m = v128.load32_splat(x);
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
