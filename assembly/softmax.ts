// Softmax, log-softmax, negative log-likelihood and their gradients on rows. Contracts: kernels/softmax.ts.
// Scratch: 128 bytes for the tree of sumRow, then one row (log_softmax, softmax_gradient) or one float per row (losses).
import { storeExp16 } from './block';
import { exp4, log4 } from './math';
import { maxRow, sumProductRow, sumRow } from './row';
import { loadPart, storePart, touch } from './vector';

const TREE_BYTES: usize = 128;

/** The largest element as subtrahend: adding 0 makes both zeros +0, whose sign maxRow leaves open. */
// @ts-ignore: decorator
@inline
function shiftOf(x: usize, columns: i32): v128 {
  return f32x4.add(f32x4.splat(maxRow(x, columns)), f32x4.splat(0));
}

// @ts-ignore: decorator
@inline
function logOf(x: f32): f32 {
  return f32x4.extract_lane(log4(f32x4.splat(x)), 0);
}

/** y = exp(x - largest) on a row; `next` is where the next one will be read. The number is not handed over as a vector: V8's revectoriser (Node 26) ends the process at such a parameter. */
function storeExpRow(x: usize, y: usize, largest: f32, columns: i32, next: usize): void {
  const shift = f32x4.splat(largest);
  const end = x + ((<usize>columns) << 2);
  for (; x + 64 <= end; x += 64, y += 64, next += 64) {
    touch(next);
    const a = f32x4.sub(v128.load(x), shift), b = f32x4.sub(v128.load(x, 16), shift);
    const c = f32x4.sub(v128.load(x, 32), shift), d = f32x4.sub(v128.load(x, 48), shift);
    storeExp16(y, a, b, c, d);
  }
  for (; x + 16 <= end; x += 16, y += 16) v128.store(y, exp4(f32x4.sub(v128.load(x), shift)));
  const part = <i32>(end - x) >> 2;
  if (part) storePart(y, exp4(f32x4.sub(loadPart(x, part), shift)), part);
}

/** y = y * factor on a row. The factor is 1 / total: one division a row, since four take as long as ten products. */
function scaleRow(y: usize, factor: f32, columns: i32): void {
  const factors = f32x4.splat(factor);
  const end = y + ((<usize>columns) << 2);
  for (; y + 64 <= end; y += 64) {
    const a = f32x4.mul(v128.load(y), factors), b = f32x4.mul(v128.load(y, 16), factors);
    const c = f32x4.mul(v128.load(y, 32), factors), d = f32x4.mul(v128.load(y, 48), factors);
    v128.store(y, a);
    v128.store(y, b, 16);
    v128.store(y, c, 32);
    v128.store(y, d, 48);
  }
  for (; y + 16 <= end; y += 16) v128.store(y, f32x4.mul(v128.load(y), factors));
  const part = <i32>(end - y) >> 2;
  if (part) storePart(y, f32x4.mul(loadPart(y, part), factors), part);
}

export function softmax_f32(x: usize, y: usize, rows: i32, columns: i32, scratch: usize): void {
  if (columns == 0) return;
  const rowBytes = (<usize>columns) << 2;
  for (let row = 0; row < rows; row++) {
    storeExpRow(x, y, f32x4.extract_lane(shiftOf(x, columns), 0), columns, row + 1 < rows ? x + rowBytes : x);
    scaleRow(y, <f32>1 / sumRow(y, columns, scratch), columns);
    x += rowBytes;
    y += rowBytes;
  }
}

export function softmax_f32_gradient(gradY: usize, y: usize, gradX: usize, rows: i32, columns: i32, scratch: usize): void {
  const rowBytes = (<usize>columns) << 2;
  const whole = rowBytes & ~15;
  const part = columns & 3;
  for (let row = 0; row < rows; row++) {
    const sum = f32x4.splat(sumProductRow(gradY, y, columns, scratch));
    let at: usize = 0;
    for (; at < whole; at += 16) {
      v128.store(gradX + at, f32x4.mul(v128.load(y + at), f32x4.sub(v128.load(gradY + at), sum)));
    }
    if (part) storePart(gradX + at, f32x4.mul(loadPart(y + at, part), f32x4.sub(loadPart(gradY + at, part), sum)), part);
    gradY += rowBytes;
    y += rowBytes;
    gradX += rowBytes;
  }
}

export function log_softmax_f32(x: usize, y: usize, rows: i32, columns: i32, scratch: usize): void {
  if (columns == 0) return;
  const rowBytes = (<usize>columns) << 2;
  const whole = rowBytes & ~15;
  const part = columns & 3;
  const exps = scratch + TREE_BYTES;
  for (let row = 0; row < rows; row++) {
    const shift = shiftOf(x, columns);
    storeExpRow(x, exps, f32x4.extract_lane(shift, 0), columns, row + 1 < rows ? x + rowBytes : x);
    const logSum = f32x4.splat(logOf(sumRow(exps, columns, scratch)));
    let at: usize = 0;
    for (; at < whole; at += 16) v128.store(y + at, f32x4.sub(f32x4.sub(v128.load(x + at), shift), logSum));
    if (part) storePart(y + at, f32x4.sub(f32x4.sub(loadPart(x + at, part), shift), logSum), part);
    x += rowBytes;
    y += rowBytes;
  }
}

export function log_softmax_f32_gradient(gradY: usize, y: usize, gradX: usize, rows: i32, columns: i32, scratch: usize): void {
  const rowBytes = (<usize>columns) << 2;
  const whole = rowBytes & ~15;
  const part = columns & 3;
  for (let row = 0; row < rows; row++) {
    const sum = f32x4.splat(sumRow(gradY, columns, scratch));
    let at: usize = 0;
    for (; at < whole; at += 16) {
      v128.store(gradX + at, f32x4.sub(v128.load(gradY + at), f32x4.mul(exp4(v128.load(y + at)), sum)));
    }
    if (part) {
      storePart(gradX + at, f32x4.sub(loadPart(gradY + at, part), f32x4.mul(exp4(loadPart(y + at, part)), sum)), part);
    }
    gradY += rowBytes;
    y += rowBytes;
    gradX += rowBytes;
  }
}

export function nll_f32(
  logProbabilities: usize, targets: usize, sum: usize, count: usize, rows: i32, columns: i32, ignoreIndex: i32, scratch: usize,
): void {
  const losses = scratch + TREE_BYTES;
  let counted = 0;
  for (let row = 0; row < rows; row++) {
    const target = load<i32>(targets + ((<usize>row) << 2));
    let loss: f32 = 0;
    if (target != ignoreIndex) {
      loss = <u32>target < <u32>columns ? -load<f32>(logProbabilities + ((<usize>target) << 2)) : NaN;
      counted++;
    }
    store<f32>(losses + ((<usize>row) << 2), loss);
    logProbabilities += (<usize>columns) << 2;
  }
  store<f32>(sum, sumRow(losses, rows, scratch));
  store<f32>(count, <f32>counted);
}

// @ts-ignore: decorator
@inline
function fillRow(y: usize, columns: i32, value: f32): void {
  const end = y + ((<usize>columns) << 2);
  for (; y + 16 <= end; y += 16) v128.store(y, f32x4.splat(value));
  for (; y < end; y += 4) store<f32>(y, value);
}

export function nll_f32_gradient(gradSum: usize, targets: usize, gradX: usize, rows: i32, columns: i32, ignoreIndex: i32): void {
  const gradient = -load<f32>(gradSum);
  for (let row = 0; row < rows; row++) {
    const target = load<i32>(targets + ((<usize>row) << 2));
    const inside = <u32>target < <u32>columns;
    fillRow(gradX, columns, inside || target == ignoreIndex ? 0 : NaN);
    if (inside && target != ignoreIndex) store<f32>(gradX + ((<usize>target) << 2), gradient);
    gradX += (<usize>columns) << 2;
  }
}

export function cross_entropy_f32(
  logits: usize, targets: usize, probabilities: usize, sum: usize, count: usize, rows: i32, columns: i32, ignoreIndex: i32, scratch: usize,
): void {
  const rowBytes = (<usize>columns) << 2;
  const losses = scratch + TREE_BYTES;
  let counted = 0;
  for (let row = 0; row < rows; row++) {
    const target = load<i32>(targets + ((<usize>row) << 2));
    const inside = <u32>target < <u32>columns;
    let loss: f32 = NaN;
    if (columns) {
      const shift = shiftOf(logits, columns);
      // Read before the exponentials, which may replace the logits.
      const chosen = inside ? load<f32>(logits + ((<usize>target) << 2)) - f32x4.extract_lane(shift, 0) : <f32>NaN;
      storeExpRow(logits, probabilities, f32x4.extract_lane(shift, 0), columns, row + 1 < rows ? logits + rowBytes : logits);
      const total = sumRow(probabilities, columns, scratch);
      scaleRow(probabilities, <f32>1 / total, columns);
      loss = logOf(total) - chosen;
    }
    if (target == ignoreIndex) loss = 0;
    else counted++;
    store<f32>(losses + ((<usize>row) << 2), loss);
    logits += rowBytes;
    probabilities += rowBytes;
  }
  store<f32>(sum, sumRow(losses, rows, scratch));
  store<f32>(count, <f32>counted);
}

export function cross_entropy_f32_gradient(
  gradSum: usize, probabilities: usize, targets: usize, gradLogits: usize, rows: i32, columns: i32, ignoreIndex: i32,
): void {
  const rowBytes = (<usize>columns) << 2;
  const whole = rowBytes & ~15;
  const part = columns & 3;
  const factor = load<f32>(gradSum);
  const gradient = f32x4.splat(factor);
  for (let row = 0; row < rows; row++) {
    const target = load<i32>(targets + ((<usize>row) << 2));
    if (target == ignoreIndex) {
      fillRow(gradLogits, columns, 0);
    } else if (<u32>target >= <u32>columns) {
      fillRow(gradLogits, columns, NaN);
    } else {
      const chosen = (load<f32>(probabilities + ((<usize>target) << 2)) - 1) * factor;
      let at: usize = 0;
      for (; at < whole; at += 16) v128.store(gradLogits + at, f32x4.mul(v128.load(probabilities + at), gradient));
      if (part) storePart(gradLogits + at, f32x4.mul(loadPart(probabilities + at, part), gradient), part);
      store<f32>(gradLogits + ((<usize>target) << 2), chosen);
    }
    probabilities += rowBytes;
    gradLogits += rowBytes;
  }
}
