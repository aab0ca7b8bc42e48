// Max-pooling and average-pooling of planes. Contracts: kernels/pool.ts.
import { sumRow } from './row';

// @ts-ignore: decorator
@inline
function better(best: v128, x: v128): v128 {
  return v128.or(f32x4.lt(best, x), f32x4.ne(x, x));
}

/** Windows along one dimension. */
// @ts-ignore: decorator
@inline
function windows(size: i32, kernel: i32, stride: i32, padding: i32): i32 {
  const room = size + 2 * padding - kernel;
  return room < 0 ? 0 : room / stride + 1;
}

/** 2x2 windows with stride 2 and no padding: four outputs at a time from two rows of eight. */
function poolPairs(x: usize, y: usize, indices: usize, w: i32, firstIndex: i32, outputs: i32): void {
  const rowBytes = (<usize>w) << 2;
  let even = i32x4.add(i32x4.splat(firstIndex), i32x4(0, 2, 4, 6));
  const one = i32x4.splat(1), row = i32x4.splat(w), step = i32x4.splat(8);
  let i = 0;
  for (; i + 4 <= outputs; i += 4) {
    const a = v128.load(x), b = v128.load(x, 16), c = v128.load(x + rowBytes), d = v128.load(x + rowBytes, 16);
    let best = f32x4.splat(-Infinity);
    let index = even;
    let v = i32x4.shuffle(a, b, 0, 2, 4, 6);
    best = v128.bitselect(v, best, better(best, v));
    v = i32x4.shuffle(a, b, 1, 3, 5, 7);
    let wins = better(best, v);
    best = v128.bitselect(v, best, wins);
    index = v128.bitselect(i32x4.add(even, one), index, wins);
    v = i32x4.shuffle(c, d, 0, 2, 4, 6);
    wins = better(best, v);
    best = v128.bitselect(v, best, wins);
    index = v128.bitselect(i32x4.add(even, row), index, wins);
    v = i32x4.shuffle(c, d, 1, 3, 5, 7);
    wins = better(best, v);
    best = v128.bitselect(v, best, wins);
    index = v128.bitselect(i32x4.add(i32x4.add(even, row), one), index, wins);
    v128.store(y, best);
    v128.store(indices, index);
    even = i32x4.add(even, step);
    x += 32;
    y += 16;
    indices += 16;
  }
  let column = firstIndex + i * 2;
  for (; i < outputs; i++) {
    let best: f32 = -Infinity;
    let index = column;
    const a = load<f32>(x), b = load<f32>(x, 4), c = load<f32>(x + rowBytes), d = load<f32>(x + rowBytes, 4);
    if (a > best || a != a) best = a;
    if (b > best || b != b) { best = b; index = column + 1; }
    if (c > best || c != c) { best = c; index = column + w; }
    if (d > best || d != d) { best = d; index = column + w + 1; }
    store<f32>(y, best);
    store<i32>(indices, index);
    column += 2;
    x += 8;
    y += 4;
    indices += 4;
  }
}

/** Every other of eight floats at `at`; `short`: of seven, because the eighth may lie outside. */
// @ts-ignore: decorator
@inline
function everyOther(short: bool, at: usize): v128 {
  const a = v128.load(at);
  return short ? i32x4.shuffle(a, v128.load(at, 12), 0, 2, 5, 7) : i32x4.shuffle(a, v128.load(at, 16), 0, 2, 4, 6);
}

/**
 * Four neighbouring windows that lie inside the rows, `stride` (1 or 2) columns apart, the first from column `left` on. Each row has a best of its own,
 * which then wins or loses against those above: so rows need not wait for one another.
 */
// @ts-ignore: decorator
@inline
function fourWindows(
  stride: i32, short: bool, x: usize, w: i32, firstRow: i32, endRow: i32, left: i32, kw: i32, y: usize, indices: usize,
): void {
  const one = i32x4.splat(1), columns = stride == 1 ? i32x4(0, 1, 2, 3) : i32x4(0, 2, 4, 6);
  let best = f32x4.splat(-Infinity), index = best;
  let from = x + ((<usize>(firstRow * w + left)) << 2);
  for (let row = firstRow; row < endRow; row++) {
    let candidate = i32x4.add(i32x4.splat(row * w + left), columns), at = from;
    let rowBest = stride == 1 ? v128.load(at) : everyOther(short, at), rowIndex = candidate;
    for (let k = 1; k < kw; k++) {
      at += 4;
      candidate = i32x4.add(candidate, one);
      const v = stride == 1 ? v128.load(at) : everyOther(short, at), wins = better(rowBest, v);
      rowBest = v128.bitselect(v, rowBest, wins);
      rowIndex = v128.bitselect(candidate, rowIndex, wins);
    }
    if (row == firstRow) {
      best = rowBest;
      index = rowIndex;
    } else {
      const wins = better(best, rowBest);
      best = v128.bitselect(rowBest, best, wins);
      index = v128.bitselect(rowIndex, index, wins);
    }
    from += (<usize>w) << 2;
  }
  v128.store(y, best);
  v128.store(indices, index);
}

export function max_pool2d_f32(
  x: usize, y: usize, indices: usize, planes: i32, h: i32, w: i32, kh: i32, kw: i32, strideH: i32, strideW: i32, paddingH: i32, paddingW: i32,
): void {
  const ho = windows(h, kh, strideH, paddingH), wo = windows(w, kw, strideW, paddingW);
  const inPairs = kh == 2 && kw == 2 && strideH == 2 && strideW == 2 && paddingH == 0 && paddingW == 0;
  for (let plane = 0; plane < planes; plane++) {
    for (let oy = 0; oy < ho; oy++) {
      if (inPairs) {
        poolPairs(x + ((<usize>(2 * oy * w)) << 2), y, indices, w, 2 * oy * w, wo);
      } else {
        const top = oy * strideH - paddingH, firstRow = max(0, top), endRow = min(h, top + kh);
        for (let ox = 0; ox < wo; ) {
          const left = ox * strideW - paddingW, at = (<usize>ox) << 2;
          if (strideW <= 2 && firstRow < endRow && left >= 0 && ox + 4 <= wo && left + 3 * strideW + kw <= w) {
            if (strideW == 1) fourWindows(1, false, x, w, firstRow, endRow, left, kw, y + at, indices + at);
            else if (left + 7 + kw <= w) fourWindows(2, false, x, w, firstRow, endRow, left, kw, y + at, indices + at);
            else fourWindows(2, true, x, w, firstRow, endRow, left, kw, y + at, indices + at);
            ox += 4;
            continue;
          }
          const firstColumn = max(0, left), endColumn = min(w, left + kw);
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
          store<f32>(y + at, best);
          store<i32>(indices + at, index);
          ox++;
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

export function avg_pool2d_f32(
  x: usize, y: usize, planes: i32, h: i32, w: i32, kh: i32, kw: i32, strideH: i32, strideW: i32, paddingH: i32, paddingW: i32,
  countIncludePad: i32,
): void {
  const ho = windows(h, kh, strideH, paddingH), wo = windows(w, kw, strideW, paddingW);
  for (let plane = 0; plane < planes; plane++) {
    for (let oy = 0; oy < ho; oy++) {
      const top = oy * strideH - paddingH;
      const firstRow = max(0, top), endRow = min(h, top + kh);
      for (let ox = 0; ox < wo; ) {
        const left = ox * strideW - paddingW;
        // Four windows of whole rows: neighbouring floats, or every other one.
        if (strideW <= 2 && left >= 0 && ox + 4 <= wo && left + 3 * strideW + kw <= w) {
          let sum = f32x4.splat(0);
          for (let row = firstRow; row < endRow; row++) {
            const from = x + ((<usize>(row * w + left)) << 2);
            for (let k = 0; k < kw; k++) {
              const at = from + ((<usize>k) << 2);
              sum = f32x4.add(sum, strideW == 1 ? v128.load(at) : everyOther(true, at));
            }
          }
          const count = kw * (countIncludePad ? kh : max(0, endRow - firstRow));
          v128.store(y + ((<usize>ox) << 2), f32x4.div(sum, f32x4.splat(<f32>count)));
          ox += 4;
          continue;
        }
        const firstColumn = max(0, left), endColumn = min(w, left + kw);
        let sum: f32 = 0;
        for (let row = firstRow; row < endRow; row++) {
          for (let column = firstColumn; column < endColumn; column++) sum += load<f32>(x + ((<usize>(row * w + column)) << 2));
        }
        const count = countIncludePad ? kh * kw : max(0, endRow - firstRow) * max(0, endColumn - firstColumn);
        store<f32>(y + ((<usize>ox) << 2), sum / <f32>count);
        ox++;
      }
      y += (<usize>wo) << 2;
    }
    x += (<usize>(h * w)) << 2;
  }
}

export function avg_pool2d_f32_gradient(
  gradY: usize, gradX: usize, planes: i32, h: i32, w: i32, kh: i32, kw: i32, strideH: i32, strideW: i32, paddingH: i32, paddingW: i32,
  countIncludePad: i32,
): void {
  const ho = windows(h, kh, strideH, paddingH), wo = windows(w, kw, strideW, paddingW);
  const planeBytes = (<usize>(h * w)) << 2;
  for (let plane = 0; plane < planes; plane++) {
    memory.fill(gradX, 0, planeBytes);
    for (let oy = 0; oy < ho; oy++) {
      const top = oy * strideH - paddingH;
      const firstRow = max(0, top), endRow = min(h, top + kh);
      for (let ox = 0; ox < wo; ox++) {
        const left = ox * strideW - paddingW;
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
