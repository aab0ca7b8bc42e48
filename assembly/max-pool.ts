// Max-pooling of planes. Contracts: kernels/pool.ts.
import { endInside, firstInside, neighbours, nextFour, windows } from './pool-windows';

/** Whether a sum of all that windows hold says that a NaN may be among it. (It is NaN, too, if infinities of both signs are.) */
// @ts-ignore: decorator
@inline
function mayHoldNaN(sum: v128): bool {
  return v128.any_true(f32x4.ne(sum, sum));
}

/** One window, element by element as the contract says: at borders, and where NaN must win. The window is cut to the plane. */
function oneWindow(x: usize, w: i32, firstRow: i32, endRow: i32, firstColumn: i32, endColumn: i32, y: usize, indices: usize): void {
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
  store<i32>(indices, index);
}

/** Four neighbouring windows one by one, `stride` columns apart, the first from column `left` on. */
// @ts-ignore: decorator
@inline
function oneByOne(stride: i32, x: usize, w: i32, firstRow: i32, endRow: i32, left: i32, kw: i32, y: usize, indices: usize): void {
  for (let k = 0; k < 4; k++) {
    const from = left + k * stride, at = (<usize>k) << 2;
    oneWindow(x, w, firstRow, endRow, from, from + kw, y + at, indices + at);
  }
}

/** A row of 2x2 windows with stride 2 and no padding, from rows `top` and `top + 1`: four at a time, the last four perhaps for the second time. */
function poolPairs(x: usize, w: i32, top: i32, y: usize, indices: usize, outputs: i32): void {
  const start = x + ((<usize>(top * w)) << 2), rowBytes = (<usize>w) << 2, columns = i32x4(0, 2, 4, 6), below = i32x4.splat(w);
  for (let i = 0; i < outputs; ) {
    const at = start + ((<usize>i) << 3), to = (<usize>i) << 2;
    const a = v128.load(at), b = v128.load(at, 16), c = v128.load(at + rowBytes), d = v128.load(at + rowBytes, 16);
    const v0 = i32x4.shuffle(a, b, 0, 2, 4, 6), v1 = i32x4.shuffle(a, b, 1, 3, 5, 7);
    const v2 = i32x4.shuffle(c, d, 0, 2, 4, 6), v3 = i32x4.shuffle(c, d, 1, 3, 5, 7);
    if (mayHoldNaN(f32x4.add(f32x4.add(v0, v1), f32x4.add(v2, v3)))) {
      oneByOne(2, x, w, top, top + 2, 2 * i, 2, y + to, indices + to);
    } else {
      // A mask is -1: taking it away moves on by one column.
      const first = i32x4.add(i32x4.splat(top * w + 2 * i), columns);
      const bestAbove = f32x4.pmax(v0, v1), indexAbove = i32x4.sub(first, f32x4.lt(v0, v1));
      const bestBelow = f32x4.pmax(v2, v3), indexBelow = i32x4.sub(i32x4.add(first, below), f32x4.lt(v2, v3));
      v128.store(y + to, f32x4.pmax(bestAbove, bestBelow));
      v128.store(indices + to, v128.bitselect(indexBelow, indexAbove, f32x4.lt(bestAbove, bestBelow)));
    }
    i = nextFour(i, outputs);
  }
}

/**
 * `outputs` >= 4 neighbouring windows inside the row, `stride` (1 or 2) columns apart, the first from column `left` on: four at a time, the last four
 * perhaps for the second time. Each row has a best of its own, which then wins or loses against those above: so rows need not wait for one another.
 */
// @ts-ignore: decorator
@inline
function insideWindows(stride: i32, x: usize, w: i32, firstRow: i32, endRow: i32, left: i32, kw: i32, y: usize, indices: usize, outputs: i32): void {
  const rowBytes = (<usize>w) << 2, rowStep = i32x4.splat(w), columns = stride == 1 ? i32x4(0, 1, 2, 3) : i32x4(0, 2, 4, 6);
  for (let i = 0; i < outputs; ) {
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
        const third = f32x4.lt(pair, v2);
        place = i32x4.min_s(f32x4.lt(rowBest, v1), i32x4.add(third, third));
        rowBest = f32x4.pmax(pair, v2);
        rowSum = f32x4.add(rowSum, f32x4.add(v1, v2));
        k = 3;
      }
      for (; k < kw; k++) {
        const v = neighbours(stride, at + ((<usize>k) << 2));
        place = i32x4.min_s(place, v128.and(f32x4.lt(rowBest, v), i32x4.splat(-k)));
        rowBest = f32x4.pmax(rowBest, v);
        rowSum = f32x4.add(rowSum, v);
      }
      index = v128.bitselect(i32x4.sub(first, place), index, f32x4.lt(best, rowBest));
      best = f32x4.pmax(best, rowBest);
      sum = f32x4.add(sum, rowSum);
      first = i32x4.add(first, rowStep);
      at += rowBytes;
    }
    const to = (<usize>i) << 2;
    if (mayHoldNaN(sum)) {
      oneByOne(stride, x, w, firstRow, endRow, column, kw, y + to, indices + to);
    } else {
      v128.store(y + to, best);
      v128.store(indices + to, index);
    }
    i = nextFour(i, outputs);
  }
}

function neighbouringWindows(x: usize, w: i32, firstRow: i32, endRow: i32, left: i32, kw: i32, y: usize, indices: usize, outputs: i32): void {
  insideWindows(1, x, w, firstRow, endRow, left, kw, y, indices, outputs);
}

function everyOtherWindow(x: usize, w: i32, firstRow: i32, endRow: i32, left: i32, kw: i32, y: usize, indices: usize, outputs: i32): void {
  insideWindows(2, x, w, firstRow, endRow, left, kw, y, indices, outputs);
}

export function max_pool2d_f32(
  x: usize, y: usize, indices: usize, planes: i32, h: i32, w: i32, kh: i32, kw: i32, strideH: i32, strideW: i32, paddingH: i32, paddingW: i32,
): void {
  const ho = windows(h, kh, strideH, paddingH), wo = windows(w, kw, strideW, paddingW);
  const inside = firstInside(wo, strideW, paddingW), outputs = endInside(inside, wo, strideW, paddingW, kw, w) - inside;
  const inPairs = kh == 2 && kw == 2 && strideH == 2 && strideW == 2 && paddingH == 0 && paddingW == 0 && wo >= 4;
  for (let plane = 0; plane < planes; plane++) {
    for (let oy = 0; oy < ho; oy++) {
      if (inPairs) {
        poolPairs(x, w, 2 * oy, y, indices, wo);
      } else {
        const top = oy * strideH - paddingH, firstRow = max(0, top), endRow = min(h, top + kh);
        for (let ox = 0; ox < wo; ) {
          const left = ox * strideW - paddingW, at = (<usize>ox) << 2;
          if (ox == inside && outputs >= 4 && strideW <= 2 && firstRow < endRow) {
            if (strideW == 1) neighbouringWindows(x, w, firstRow, endRow, left, kw, y + at, indices + at, outputs);
            else everyOtherWindow(x, w, firstRow, endRow, left, kw, y + at, indices + at, outputs);
            ox += outputs;
          } else {
            oneWindow(x, w, firstRow, endRow, max(0, left), min(w, left + kw), y + at, indices + at);
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
