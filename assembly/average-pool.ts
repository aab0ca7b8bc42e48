// Average-pooling of planes. Contracts: kernels/pool.ts.
import { endInside, firstInside, neighbours, windows } from './pool-windows';
import { sumRow } from './row';

/** Adds `value` to `length` neighbours. */
// @ts-ignore: decorator
@inline
function addToRow(x: usize, length: i32, value: f32): void {
  const end = x + ((<usize>length) << 2);
  for (; x + 16 <= end; x += 16) v128.store(x, f32x4.add(v128.load(x), f32x4.splat(value)));
  for (; x < end; x += 4) store<f32>(x, load<f32>(x) + value);
}

/** `sum`, and three neighbouring columns of four windows. */
// @ts-ignore: decorator
@inline
function addThree(sum: v128, stride: i32, at: usize): v128 {
  return f32x4.add(f32x4.add(f32x4.add(sum, neighbours(stride, at)), neighbours(stride, at + 4)), neighbours(stride, at + 8));
}

/**
 * Averages of `outputs` >= 4 neighbouring windows inside the row, `stride` (1 or 2) columns apart, the first at `x`: four at a time, the last four perhaps
 * for the second time. `count`: what a sum is divided by. `threes`: the windows are 3x3, and written out.
 */
// @ts-ignore: decorator
@inline
function insideAverages(threes: bool, stride: i32, x: usize, w: i32, rows: i32, kw: i32, count: f32, y: usize, outputs: i32): void {
  const rowBytes = (<usize>w) << 2;
  for (let i = 0, end = outputs - 4; ; i = min(i + 4, end)) {
    let from = x + ((<usize>(i * stride)) << 2), sum = f32x4.splat(0);
    if (threes) {
      sum = addThree(addThree(addThree(sum, stride, from), stride, from + rowBytes), stride, from + rowBytes + rowBytes);
    } else {
      for (let row = 0; row < rows; row++) {
        let at = from, k = 1;
        for (; k < kw; k += 2) {
          sum = f32x4.add(f32x4.add(sum, neighbours(stride, at)), neighbours(stride, at + 4));
          at += 8;
        }
        if (k == kw) sum = f32x4.add(sum, neighbours(stride, at));
        from += rowBytes;
      }
    }
    v128.store(y + ((<usize>i) << 2), f32x4.div(sum, f32x4.splat(count)));
    if (i == end) break;
  }
}

/** Averages of `outputs` >= 4 windows of 2x2 with stride 2: one load serves two columns, and a quarter is exactly what a division by 4 gives. */
function averagePairs(x: usize, rowBytes: usize, y: usize, outputs: i32): void {
  for (let i = 0, end = outputs - 4; ; i = min(i + 4, end)) {
    const upper = x + ((<usize>i) << 3), lower = upper + rowBytes;
    const a = v128.load(upper), b = v128.load(upper, 16), c = v128.load(lower), d = v128.load(lower, 16);
    const first = f32x4.add(f32x4.splat(0), i32x4.shuffle(a, b, 0, 2, 4, 6)), above = f32x4.add(first, i32x4.shuffle(a, b, 1, 3, 5, 7));
    const sum = f32x4.add(f32x4.add(above, i32x4.shuffle(c, d, 0, 2, 4, 6)), i32x4.shuffle(c, d, 1, 3, 5, 7));
    v128.store(y + ((<usize>i) << 2), f32x4.mul(sum, f32x4.splat(0.25)));
    if (i == end) break;
  }
}

function neighbouringAverages(x: usize, w: i32, rows: i32, kw: i32, count: f32, y: usize, outputs: i32): void {
  if (rows == 3 && kw == 3) insideAverages(true, 1, x, w, rows, kw, count, y, outputs);
  else insideAverages(false, 1, x, w, rows, kw, count, y, outputs);
}

function everyOtherAverage(x: usize, w: i32, rows: i32, kw: i32, count: f32, y: usize, outputs: i32): void {
  if (rows == 3 && kw == 3) insideAverages(true, 2, x, w, rows, kw, count, y, outputs);
  else insideAverages(false, 2, x, w, rows, kw, count, y, outputs);
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
          if (strideW == 2 && kw == 2 && rows == 2 && count == 4) averagePairs(from, (<usize>w) << 2, to, outputs);
          else if (strideW == 1) neighbouringAverages(from, w, rows, kw, <f32>count, to, outputs);
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
