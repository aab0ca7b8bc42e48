// Max-pooling and average-pooling of planes. Contracts: kernels/pool.ts.
import { sumRow } from './row';

/** Windows along one dimension. */
// @ts-ignore: decorator
@inline
function windows(size: i32, kernel: i32, stride: i32, padding: i32): i32 {
  const room = size + 2 * padding - kernel;
  return room < 0 ? 0 : room / stride + 1;
}

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

/** Where four outputs follow on those from `i` on: the last four of at least four may begin before the others end, and are then computed twice. */
// @ts-ignore: decorator
@inline
function nextFour(i: i32, outputs: i32): i32 {
  return i + 4 < outputs ? min(i + 4, outputs - 4) : outputs;
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

/** Four floats `stride` (1 or 2) apart, from `at` on; nothing beyond the last of them is read. */
// @ts-ignore: decorator
@inline
function neighbours(stride: i32, at: usize): v128 {
  const a = v128.load(at);
  return stride == 1 ? a : i32x4.shuffle(a, v128.load(at, 12), 0, 2, 5, 7);
}

/** The first window that begins inside the row. */
// @ts-ignore: decorator
@inline
function firstInside(outputs: i32, stride: i32, padding: i32): i32 {
  return min(outputs, (padding + stride - 1) / stride);
}

/** The end of those that end inside it; not before `first`. */
// @ts-ignore: decorator
@inline
function endInside(first: i32, outputs: i32, stride: i32, padding: i32, kernel: i32, size: i32): i32 {
  const room = size + padding - kernel;
  return room < 0 ? first : max(first, min(outputs, room / stride + 1));
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

/** Adds `value` to `length` neighbours. */
// @ts-ignore: decorator
@inline
function addToRow(x: usize, length: i32, value: f32): void {
  const end = x + ((<usize>length) << 2);
  for (; x + 16 <= end; x += 16) v128.store(x, f32x4.add(v128.load(x), f32x4.splat(value)));
  for (; x < end; x += 4) store<f32>(x, load<f32>(x) + value);
}

/** Averages of `outputs` >= 4 windows as in insideWindows; `count`: what a sum is divided by. */
// @ts-ignore: decorator
@inline
function insideAverages(stride: i32, x: usize, w: i32, rows: i32, kw: i32, count: f32, y: usize, outputs: i32): void {
  const rowBytes = (<usize>w) << 2;
  for (let i = 0; i < outputs; ) {
    let from = x + ((<usize>(i * stride)) << 2), sum = f32x4.splat(0);
    for (let row = 0; row < rows; row++) {
      let at = from, k = 1;
      for (; k < kw; k += 2) {
        sum = f32x4.add(f32x4.add(sum, neighbours(stride, at)), neighbours(stride, at + 4));
        at += 8;
      }
      if (k == kw) sum = f32x4.add(sum, neighbours(stride, at));
      from += rowBytes;
    }
    v128.store(y + ((<usize>i) << 2), f32x4.div(sum, f32x4.splat(count)));
    i = nextFour(i, outputs);
  }
}

function neighbouringAverages(x: usize, w: i32, rows: i32, kw: i32, count: f32, y: usize, outputs: i32): void {
  insideAverages(1, x, w, rows, kw, count, y, outputs);
}

function everyOtherAverage(x: usize, w: i32, rows: i32, kw: i32, count: f32, y: usize, outputs: i32): void {
  insideAverages(2, x, w, rows, kw, count, y, outputs);
}

export function avg_pool2d_f32(
  x: usize, y: usize, planes: i32, h: i32, w: i32, kh: i32, kw: i32, strideH: i32, strideW: i32, paddingH: i32, paddingW: i32,
  countIncludePad: i32,
): void {
  const ho = windows(h, kh, strideH, paddingH), wo = windows(w, kw, strideW, paddingW);
  const inside = firstInside(wo, strideW, paddingW), outputs = endInside(inside, wo, strideW, paddingW, kw, w) - inside;
  for (let plane = 0; plane < planes; plane++) {
    for (let oy = 0; oy < ho; oy++) {
      const top = oy * strideH - paddingH;
      const firstRow = max(0, top), endRow = min(h, top + kh), rows = max(0, endRow - firstRow);
      for (let ox = 0; ox < wo; ) {
        const left = ox * strideW - paddingW, to = y + ((<usize>ox) << 2);
        if (ox == inside && outputs >= 4 && strideW <= 2) {
          const from = x + ((<usize>(firstRow * w + left)) << 2), count = kw * (countIncludePad ? kh : rows);
          if (strideW == 1) neighbouringAverages(from, w, rows, kw, <f32>count, to, outputs);
          else everyOtherAverage(from, w, rows, kw, <f32>count, to, outputs);
          ox += outputs;
        } else {
          const firstColumn = max(0, left), endColumn = min(w, left + kw);
          let sum: f32 = 0;
          for (let row = firstRow; row < endRow; row++) {
            for (let column = firstColumn; column < endColumn; column++) sum += load<f32>(x + ((<usize>(row * w + column)) << 2));
          }
          store<f32>(to, sum / <f32>(countIncludePad ? kh * kw : rows * max(0, endColumn - firstColumn)));
          ox++;
        }
      }
      y += (<usize>wo) << 2;
    }
    x += (<usize>(h * w)) << 2;
  }
}

/** Adds each of `count` gradients over `divisor` to two neighbours in each of `rows` rows: windows of two columns that touch. */
function spreadPairs(gradY: usize, count: i32, divisor: f32, gradX: usize, rows: i32, rowBytes: usize): void {
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const g = f32x4.div(v128.load(gradY), f32x4.splat(divisor));
    const low = i32x4.shuffle(g, g, 0, 0, 1, 1), high = i32x4.shuffle(g, g, 2, 2, 3, 3);
    for (let row = 0, to = gradX; row < rows; row++, to += rowBytes) {
      v128.store(to, f32x4.add(v128.load(to), low));
      v128.store(to, f32x4.add(v128.load(to, 16), high), 16);
    }
    gradY += 16;
    gradX += 32;
  }
  for (; i < count; i++) {
    const g = load<f32>(gradY) / divisor;
    for (let row = 0, to = gradX; row < rows; row++, to += rowBytes) addToRow(to, 2, g);
    gradY += 4;
    gradX += 8;
  }
}

export function avg_pool2d_f32_gradient(
  gradY: usize, gradX: usize, planes: i32, h: i32, w: i32, kh: i32, kw: i32, strideH: i32, strideW: i32, paddingH: i32, paddingW: i32,
  countIncludePad: i32,
): void {
  const ho = windows(h, kh, strideH, paddingH), wo = windows(w, kw, strideW, paddingW);
  const planeBytes = (<usize>(h * w)) << 2;
  const inside = firstInside(wo, strideW, paddingW);
  const pairs = kw == 2 && strideW == 2 ? endInside(inside, wo, strideW, paddingW, kw, w) - inside : 0;
  for (let plane = 0; plane < planes; plane++) {
    memory.fill(gradX, 0, planeBytes);
    for (let oy = 0; oy < ho; oy++) {
      const top = oy * strideH - paddingH;
      const firstRow = max(0, top), endRow = min(h, top + kh);
      for (let ox = 0; ox < wo; ox++) {
        const left = ox * strideW - paddingW;
        if (ox == inside && pairs > 0) {
          const rows = max(0, endRow - firstRow), count = 2 * (countIncludePad ? kh : rows);
          const to = gradX + ((<usize>(firstRow * w + left)) << 2);
          spreadPairs(gradY + ((<usize>ox) << 2), pairs, <f32>count, to, rows, (<usize>w) << 2);
          ox += pairs - 1;
          continue;
        }
        const firstColumn = max(0, left), columns = max(0, min(w, left + kw) - firstColumn);
        const count = countIncludePad ? kh * kw : max(0, endRow - firstRow) * columns;
        const g = load<f32>(gradY + ((<usize>ox) << 2)) / <f32>count;
        for (let row = firstRow; row < endRow; row++) addToRow(gradX + ((<usize>(row * w + firstColumn)) << 2), columns, g);
      }
      gradY += (<usize>wo) << 2;
    }
    gradX += planeBytes;
  }
}

/** Where window i of `count` over `size` elements starts: floor(i * size / count). */
// @ts-ignore: decorator
@inline
function adaptiveStart(i: i32, size: i32, count: i32): i32 {
  return i * size / count;
}

/** Where it ends: ceil((i + 1) * size / count). */
// @ts-ignore: decorator
@inline
function adaptiveEnd(i: i32, size: i32, count: i32): i32 {
  return ((i + 1) * size + count - 1) / count;
}

export function adaptive_avg_pool2d_f32(x: usize, y: usize, planes: i32, h: i32, w: i32, ho: i32, wo: i32, scratch: usize): void {
  for (let plane = 0; plane < planes; plane++) {
    for (let oy = 0; oy < ho; oy++) {
      const firstRow = adaptiveStart(oy, h, ho), endRow = adaptiveEnd(oy, h, ho);
      for (let ox = 0; ox < wo; ox++) {
        const firstColumn = adaptiveStart(ox, w, wo), columns = adaptiveEnd(ox, w, wo) - firstColumn;
        let sum: f32 = 0;
        for (let row = firstRow; row < endRow; row++) sum += sumRow(x + ((<usize>(row * w + firstColumn)) << 2), columns, scratch);
        store<f32>(y, sum / <f32>((endRow - firstRow) * columns));
        y += 4;
      }
    }
    x += (<usize>(h * w)) << 2;
  }
}

export function adaptive_avg_pool2d_f32_gradient(gradY: usize, gradX: usize, planes: i32, h: i32, w: i32, ho: i32, wo: i32): void {
  const planeBytes = (<usize>(h * w)) << 2;
  for (let plane = 0; plane < planes; plane++) {
    memory.fill(gradX, 0, planeBytes);
    for (let oy = 0; oy < ho; oy++) {
      const firstRow = adaptiveStart(oy, h, ho), endRow = adaptiveEnd(oy, h, ho);
      for (let ox = 0; ox < wo; ox++) {
        const firstColumn = adaptiveStart(ox, w, wo), columns = adaptiveEnd(ox, w, wo) - firstColumn;
        const g = load<f32>(gradY) / <f32>((endRow - firstRow) * columns);
        for (let row = firstRow; row < endRow; row++) addToRow(gradX + ((<usize>(row * w + firstColumn)) << 2), columns, g);
        gradY += 4;
      }
    }
    gradX += planeBytes;
  }
}
