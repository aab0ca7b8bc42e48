// Max-pooling of planes. Contracts: kernels/pool.ts. `Place` is i32 where indices are wanted too, and void where not, which takes half of the time.
import { endInside, firstInside, neighbours, windows } from './pool-windows';

/** Whether a sum of all that windows hold says that a NaN may be among it. (It is NaN, too, if infinities of both signs are.) */
// @ts-ignore: decorator
@inline
function mayHoldNaN(sum: v128): bool {
  return i32x4.bitmask(f32x4.ne(sum, sum)) != 0;
}

/** One window, element by element as the contract says: at borders, and where NaN must win. The window is cut to the plane. */
function oneWindow<Place>(x: usize, w: i32, firstRow: i32, endRow: i32, firstColumn: i32, endColumn: i32, y: usize, indices: usize): void {
  let best: f32 = -Infinity;
  let index = firstRow < endRow && firstColumn < endColumn ? firstRow * w + firstColumn : -1;
  for (let row = firstRow; row < endRow; row++) {
    for (let column = firstColumn; column < endColumn; column++) {
      const v = load<f32>(x + ((<usize>(row * w + column)) << 2));
      if (v > best || v != v) {
        best = v;
        index = row * w + column;
      }
    }
  }
  store<f32>(y, best);
  if (isInteger<Place>()) store<i32>(indices, index);
}

/** Neighbouring windows one by one, `stride` columns apart, the first from column `left` on. They are cut to the row. */
function oneByOne<Place>(stride: i32, x: usize, w: i32, firstRow: i32, endRow: i32, left: i32, kw: i32, y: usize, indices: usize, outputs: i32): void {
  for (let k = 0; k < outputs; k++) {
    const from = left + k * stride, at = (<usize>k) << 2;
    oneWindow<Place>(x, w, firstRow, endRow, max(0, from), min(w, from + kw), y + at, indices + at);
  }
}

/** A row of `outputs` >= 4 windows of 2x2 with stride 2 and no padding, from row `top` on: four at a time, the last four perhaps for the second time. */
function rowOfPairs<Place>(x: usize, w: i32, top: i32, y: usize, indices: usize, outputs: i32): void {
  const start = top * w, upper = x + ((<usize>start) << 2), rowBytes = (<usize>w) << 2, end = outputs - 4;
  const firstAbove = i32x4.add(i32x4.splat(start), i32x4(0, 2, 4, 6)), oneRow = i32x4.splat(w);
  let sum = f32x4.splat(0);
  for (let i = 0; ; i = min(i + 4, end)) {
    const above = upper + ((<usize>i) << 3), below = above + rowBytes, to = (<usize>i) << 2;
    const p = v128.load(above), q = v128.load(above, 16), a0 = i32x4.shuffle(p, q, 0, 2, 4, 6), a1 = i32x4.shuffle(p, q, 1, 3, 5, 7);
    const r = v128.load(below), s = v128.load(below, 16), b0 = i32x4.shuffle(r, s, 0, 2, 4, 6), b1 = i32x4.shuffle(r, s, 1, 3, 5, 7);
    const a = f32x4.pmax(a0, a1), b = f32x4.pmax(b0, b1);
    v128.store(y + to, f32x4.pmax(a, b));
    if (isInteger<Place>()) {
      // A mask is -1: taking it away moves on by one column.
      const place = i32x4.add(firstAbove, i32x4.splat(2 * i)), inA = i32x4.sub(place, f32x4.lt(a0, a1));
      const inB = i32x4.sub(i32x4.add(place, oneRow), f32x4.lt(b0, b1));
      v128.store(indices + to, v128.bitselect(inB, inA, f32x4.lt(a, b)));
    }
    sum = f32x4.add(sum, f32x4.add(f32x4.add(p, q), f32x4.add(r, s)));
    if (i == end) break;
  }
  if (mayHoldNaN(sum)) oneByOne<Place>(2, x, w, top, top + 2, 0, 2, y, indices, outputs);
}

/** Where the first of the largest of three is: 0, -1 or -2, as masks are negative: later elements win by being less. `v01`: the larger of the first two. */
// @ts-ignore: decorator
@inline
function placeOfThree(v0: v128, v1: v128, v01: v128, v2: v128): v128 {
  const third = f32x4.lt(v01, v2);
  return i32x4.min_s(f32x4.lt(v0, v1), i32x4.add(third, third));
}

/**
 * `outputs` >= 4 neighbouring windows inside the row, `stride` (1 or 2) columns apart, the first from column `left` on: four at a time, the last four
 * perhaps for the second time. Each row has a best of its own, which then wins or loses against those above: so rows need not wait for one another.
 */
// @ts-ignore: decorator
@inline
function insideWindows<Place>(stride: i32, x: usize, w: i32, firstRow: i32, endRow: i32, left: i32, kw: i32, y: usize, indices: usize, outputs: i32): void {
  const rowBytes = (<usize>w) << 2, rowStep = i32x4.splat(w), columns = stride == 1 ? i32x4(0, 1, 2, 3) : i32x4(0, 2, 4, 6);
  for (let i = 0, end = outputs - 4; ; i = min(i + 4, end)) {
    const column = left + i * stride;
    let at = x + ((<usize>(firstRow * w + column)) << 2);
    let first = i32x4.add(i32x4.splat(firstRow * w + column), columns);
    let best = f32x4.splat(-Infinity), index = first, sum = f32x4.splat(0);
    for (let row = firstRow; row < endRow; row++) {
      let rowBest = neighbours(stride, at), rowSum = rowBest;
      // The place of the row's best, negative as masks are: those of later elements win by being less.
      let place = i32x4.splat(0), k = 1;
      if (kw >= 3) {
        const v1 = neighbours(stride, at + 4), v2 = neighbours(stride, at + 8), pair = f32x4.pmax(rowBest, v1);
        if (isInteger<Place>()) place = placeOfThree(rowBest, v1, pair, v2);
        rowBest = f32x4.pmax(pair, v2);
        rowSum = f32x4.add(rowSum, f32x4.add(v1, v2));
        k = 3;
      }
      for (; k < kw; k++) {
        const v = neighbours(stride, at + ((<usize>k) << 2));
        if (isInteger<Place>()) place = i32x4.min_s(place, v128.and(f32x4.lt(rowBest, v), i32x4.splat(-k)));
        rowBest = f32x4.pmax(rowBest, v);
        rowSum = f32x4.add(rowSum, v);
      }
      // Places grow from row to row, so that of a later row wins by being larger.
      if (isInteger<Place>()) index = i32x4.max_s(index, v128.and(f32x4.lt(best, rowBest), i32x4.sub(first, place)));
      best = f32x4.pmax(best, rowBest);
      sum = f32x4.add(sum, rowSum);
      if (isInteger<Place>()) first = i32x4.add(first, rowStep);
      at += rowBytes;
    }
    const to = (<usize>i) << 2;
    if (mayHoldNaN(sum)) {
      oneByOne<Place>(stride, x, w, firstRow, endRow, column, kw, y + to, indices + to, 4);
    } else {
      v128.store(y + to, best);
      if (isInteger<Place>()) v128.store(indices + to, index);
    }
    if (i == end) break;
  }
}

function neighbouringWindows<Place>(x: usize, w: i32, firstRow: i32, endRow: i32, left: i32, kw: i32, y: usize, indices: usize, outputs: i32): void {
  insideWindows<Place>(1, x, w, firstRow, endRow, left, kw, y, indices, outputs);
}

function everyOtherWindow<Place>(x: usize, w: i32, firstRow: i32, endRow: i32, left: i32, kw: i32, y: usize, indices: usize, outputs: i32): void {
  insideWindows<Place>(2, x, w, firstRow, endRow, left, kw, y, indices, outputs);
}

/** What the first and second columns of four windows, `stride` (1 or 2) apart, are made of, beside the four floats at `at`. */
// @ts-ignore: decorator
@inline
function besideFour(stride: i32, at: usize): v128 {
  return stride == 1 ? v128.load(at, 4) : v128.load(at, 16);
}

/**
 * The first columns of four windows of three. If the first one's is outside the row (`cut` < 0), its second one stands there as well: what was read in its
 * place, the float before the row, does not count. (Before the first row of all that is no part of x; no buffer lies at the beginning of the memory.)
 */
// @ts-ignore: decorator
@inline
function firstColumns(stride: i32, cut: i32, four: v128, beside: v128): v128 {
  const columns = stride == 1 ? four : i32x4.shuffle(four, beside, 0, 2, 4, 6);
  return cut < 0 ? i32x4.shuffle(columns, secondColumns(stride, four, beside), 4, 1, 2, 3) : columns;
}

/** The second columns, which are inside wherever a window is cut by one column only. */
// @ts-ignore: decorator
@inline
function secondColumns(stride: i32, four: v128, beside: v128): v128 {
  return stride == 1 ? beside : i32x4.shuffle(four, beside, 1, 3, 5, 7);
}

/** The third columns. If the last one's is outside the row (`cut` > 0), its second one, which wins first, stands there as well. Nothing behind them is read. */
// @ts-ignore: decorator
@inline
function thirdColumns(stride: i32, cut: i32, at: usize, four: v128, beside: v128): v128 {
  if (cut > 0) return stride == 1 ? i32x4.shuffle(beside, beside, 1, 2, 3, 3) : i32x4.shuffle(four, beside, 2, 4, 6, 7);
  return stride == 1 ? v128.load(at, 8) : i32x4.shuffle(v128.load(at, 8), v128.load(at, 20), 0, 2, 5, 7);
}

/**
 * Four windows of 3x3, `stride` (1 or 2) columns apart, whose rows are all inside, the first from `upper` on; `places`: where each begins. `cut`: -1 if the
 * first column of the first window is outside the row, 1 if the last of the last is, 0 if none. Rows stand side by side: none waits for the one before.
 * Returns the sum of what they hold, without what the next four hold as well unless they are the `last`. Nothing is right if there is a NaN in it.
 */
// @ts-ignore: decorator
@inline
function fourThrees<Place>(stride: i32, cut: i32, last: bool, upper: usize, rowBytes: usize, places: v128, oneRow: v128, twoRows: v128, y: usize, indices: usize): v128 {
  const middle = upper + rowBytes, lower = middle + rowBytes;
  let p = v128.load(upper), q = besideFour(stride, upper);
  const a0 = firstColumns(stride, cut, p, q), a1 = secondColumns(stride, p, q), a2 = thirdColumns(stride, cut, upper, p, q);
  p = v128.load(middle), q = besideFour(stride, middle);
  const b0 = firstColumns(stride, cut, p, q), b1 = secondColumns(stride, p, q), b2 = thirdColumns(stride, cut, middle, p, q);
  p = v128.load(lower), q = besideFour(stride, lower);
  const c0 = firstColumns(stride, cut, p, q), c1 = secondColumns(stride, p, q), c2 = thirdColumns(stride, cut, lower, p, q);
  const a01 = f32x4.pmax(a0, a1), b01 = f32x4.pmax(b0, b1), c01 = f32x4.pmax(c0, c1);
  const a = f32x4.pmax(a01, a2), b = f32x4.pmax(b01, b2), c = f32x4.pmax(c01, c2), ab = f32x4.pmax(a, b);
  v128.store(y, f32x4.pmax(ab, c));
  if (isInteger<Place>()) {
    let inA = placeOfThree(a0, a1, a01, a2), inB = placeOfThree(b0, b1, b01, b2), inC = placeOfThree(c0, c1, c01, c2);
    if (cut < 0) {
      // What stands in the place of the first column is the second one.
      const inside = i32x4(-1, 0, 0, 0);
      inA = i32x4.min_s(inA, inside);
      inB = i32x4.min_s(inB, inside);
      inC = i32x4.min_s(inC, inside);
    }
    const inAB = i32x4.min_s(inA, v128.and(f32x4.lt(a, b), i32x4.sub(inB, oneRow)));
    v128.store(indices, i32x4.sub(places, i32x4.min_s(inAB, v128.and(f32x4.lt(ab, c), i32x4.sub(inC, twoRows)))));
  }
  const first = f32x4.add(f32x4.add(a0, b0), c0);
  if (stride == 1 && !last) return first;
  const second = f32x4.add(first, f32x4.add(f32x4.add(a1, b1), c1));
  return last ? f32x4.add(second, f32x4.add(f32x4.add(a2, b2), c2)) : second;
}

/** A row of `outputs` >= 5 windows of 3x3 whose rows are all inside, the first from column `left` (0 or -1) on: four at a time, as in insideWindows. */
// @ts-ignore: decorator
@inline
function rowOfThrees<Place>(stride: i32, x: usize, w: i32, top: i32, left: i32, y: usize, indices: usize, outputs: i32): void {
  const start = top * w + left, upper = x + ((<usize>start) << 2), rowBytes = (<usize>w) << 2, isCut = left + (outputs - 1) * stride + 3 > w;
  const columns = stride == 1 ? i32x4(0, 1, 2, 3) : i32x4(0, 2, 4, 6), first = i32x4.add(i32x4.splat(start), columns);
  const oneRow = i32x4.splat(w), twoRows = i32x4.splat(2 * w);
  let sum = left < 0
    ? fourThrees<Place>(stride, -1, false, upper, rowBytes, first, oneRow, twoRows, y, indices)
    : fourThrees<Place>(stride, 0, false, upper, rowBytes, first, oneRow, twoRows, y, indices);
  const end = outputs - 4;
  for (let i = 4; i < end; i += 4) {
    const column = i * stride, at = upper + ((<usize>column) << 2), places = i32x4.add(first, i32x4.splat(column)), to = (<usize>i) << 2;
    sum = f32x4.add(sum, fourThrees<Place>(stride, 0, false, at, rowBytes, places, oneRow, twoRows, y + to, indices + to));
  }
  const column = end * stride, at = upper + ((<usize>column) << 2), places = i32x4.add(first, i32x4.splat(column)), to = (<usize>end) << 2;
  if (isCut) sum = f32x4.add(sum, fourThrees<Place>(stride, 1, true, at, rowBytes, places, oneRow, twoRows, y + to, indices + to));
  else sum = f32x4.add(sum, fourThrees<Place>(stride, 0, true, at, rowBytes, places, oneRow, twoRows, y + to, indices + to));
  if (mayHoldNaN(sum)) oneByOne<Place>(stride, x, w, top, top + 3, left, 3, y, indices, outputs);
}

function neighbouringThrees<Place>(x: usize, w: i32, top: i32, left: i32, y: usize, indices: usize, outputs: i32): void {
  rowOfThrees<Place>(1, x, w, top, left, y, indices, outputs);
}

function everyOtherThree<Place>(x: usize, w: i32, top: i32, left: i32, y: usize, indices: usize, outputs: i32): void {
  rowOfThrees<Place>(2, x, w, top, left, y, indices, outputs);
}

// @ts-ignore: decorator
@inline
function maxPool<Place>(
  x: usize, y: usize, indices: usize, planes: i32, h: i32, w: i32, kh: i32, kw: i32, strideH: i32, strideW: i32, paddingH: i32, paddingW: i32,
): void {
  const ho = windows(h, kh, strideH, paddingH), wo = windows(w, kw, strideW, paddingW);
  const inside = firstInside(wo, strideW, paddingW), outputs = endInside(inside, wo, strideW, paddingW, kw, w) - inside;
  const inPairs = kh == 2 && kw == 2 && strideH == 2 && strideW == 2 && paddingH == 0 && paddingW == 0 && wo >= 4;
  const inThrees = kh == 3 && kw == 3 && strideW <= 2 && paddingW <= 1 && wo >= 5;
  for (let plane = 0; plane < planes; plane++) {
    for (let oy = 0; oy < ho; oy++) {
      const top = oy * strideH - paddingH;
      if (inPairs) {
        rowOfPairs<Place>(x, w, top, y, indices, wo);
      } else if (inThrees && top >= 0 && top + 3 <= h) {
        if (strideW == 1) neighbouringThrees<Place>(x, w, top, -paddingW, y, indices, wo);
        else everyOtherThree<Place>(x, w, top, -paddingW, y, indices, wo);
      } else {
        const firstRow = max(0, top), endRow = min(h, top + kh);
        for (let ox = 0; ox < wo; ) {
          const left = ox * strideW - paddingW, at = (<usize>ox) << 2;
          if (ox == inside && outputs >= 4 && strideW <= 2 && firstRow < endRow) {
            if (strideW == 1) neighbouringWindows<Place>(x, w, firstRow, endRow, left, kw, y + at, indices + at, outputs);
            else everyOtherWindow<Place>(x, w, firstRow, endRow, left, kw, y + at, indices + at, outputs);
            ox += outputs;
          } else {
            oneWindow<Place>(x, w, firstRow, endRow, max(0, left), min(w, left + kw), y + at, indices + at);
            ox++;
          }
        }
      }
      y += (<usize>wo) << 2;
      indices += (<usize>wo) << 2;
    }
    x += (<usize>(h * w)) << 2;
  }
}

export function max_pool2d_f32(
  x: usize, y: usize, indices: usize, planes: i32, h: i32, w: i32, kh: i32, kw: i32, strideH: i32, strideW: i32, paddingH: i32, paddingW: i32,
): void {
  maxPool<i32>(x, y, indices, planes, h, w, kh, kw, strideH, strideW, paddingH, paddingW);
}

export function max_pool2d_f32_values(
  x: usize, y: usize, planes: i32, h: i32, w: i32, kh: i32, kw: i32, strideH: i32, strideW: i32, paddingH: i32, paddingW: i32,
): void {
  maxPool<void>(x, y, 0, planes, h, w, kh, kw, strideH, strideW, paddingH, paddingW);
}

export function max_pool2d_f32_gradient(gradY: usize, indices: usize, gradX: usize, planes: i32, h: i32, w: i32, ho: i32, wo: i32): void {
  const inputs = h * w, outputs = (<usize>(ho * wo)) << 2;
  for (let plane = 0; plane < planes; plane++) {
    memory.fill(gradX, 0, (<usize>inputs) << 2);
    for (let at: usize = 0; at < outputs; at += 4) {
      const index = load<i32>(indices + at);
      if (<u32>index < <u32>inputs) {
        const to = gradX + ((<usize>index) << 2);
        store<f32>(to, load<f32>(to) + load<f32>(gradY + at));
      }
    }
    gradY += outputs;
    indices += outputs;
    gradX += (<usize>inputs) << 2;
  }
}
