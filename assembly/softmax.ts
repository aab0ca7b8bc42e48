// Softmax, log-softmax, negative log-likelihood and their gradients on rows. Contracts: kernels/softmax.ts.
// Scratch: 128 bytes for the tree of sumRow, then one row (log_softmax, softmax_gradient) or one float per row (losses).
import { exp4, log4 } from './math';
import { maxRow, sumRow } from './row';
import { loadPart, storePart } from './vector';

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

export function softmax_f32(x: usize, y: usize, rows: i32, columns: i32, scratch: usize): void {
  if (columns == 0) return;
  const rowBytes = (<usize>columns) << 2;
  const whole = rowBytes & ~15;
  const part = columns & 3;
  for (let row = 0; row < rows; row++) {
    const shift = shiftOf(x, columns);
    let at: usize = 0;
    for (; at < whole; at += 16) v128.store(y + at, exp4(f32x4.sub(v128.load(x + at), shift)));
    if (part) storePart(y + at, exp4(f32x4.sub(loadPart(x + at, part), shift)), part);
    const total = f32x4.splat(sumRow(y, columns, scratch));
    for (at = 0; at < whole; at += 16) v128.store(y + at, f32x4.div(v128.load(y + at), total));
    if (part) storePart(y + at, f32x4.div(loadPart(y + at, part), total), part);
    x += rowBytes;
    y += rowBytes;
  }
}

export function softmax_f32_gradient(gradY: usize, y: usize, gradX: usize, rows: i32, columns: i32, scratch: usize): void {
  const rowBytes = (<usize>columns) << 2;
  const whole = rowBytes & ~15;
  const part = columns & 3;
  const products = scratch + TREE_BYTES;
  for (let row = 0; row < rows; row++) {
    let at: usize = 0;
    for (; at < whole; at += 16) v128.store(products + at, f32x4.mul(v128.load(gradY + at), v128.load(y + at)));
    if (part) storePart(products + at, f32x4.mul(loadPart(gradY + at, part), loadPart(y + at, part)), part);
    const sum = f32x4.splat(sumRow(products, columns, scratch));
    for (at = 0; at < whole; at += 16) {
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
    let at: usize = 0;
    for (; at < whole; at += 16) {
      const d = f32x4.sub(v128.load(x + at), shift);
      v128.store(y + at, d);
      v128.store(exps + at, exp4(d));
    }
    if (part) {
      const d = f32x4.sub(loadPart(x + at, part), shift);
      storePart(y + at, d, part);
      storePart(exps + at, exp4(d), part);
    }
    const logSum = f32x4.splat(logOf(sumRow(exps, columns, scratch)));
    for (at = 0; at < whole; at += 16) v128.store(y + at, f32x4.sub(v128.load(y + at), logSum));
    if (part) storePart(y + at, f32x4.sub(loadPart(y + at, part), logSum), part);
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
  const whole = rowBytes & ~15;
  const part = columns & 3;
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
      let at: usize = 0;
      for (; at < whole; at += 16) v128.store(probabilities + at, exp4(f32x4.sub(v128.load(logits + at), shift)));
      if (part) storePart(probabilities + at, exp4(f32x4.sub(loadPart(logits + at, part), shift)), part);
      const total = sumRow(probabilities, columns, scratch);
      const divisor = f32x4.splat(total);
      for (at = 0; at < whole; at += 16) v128.store(probabilities + at, f32x4.div(v128.load(probabilities + at), divisor));
      if (part) storePart(probabilities + at, f32x4.div(loadPart(probabilities + at, part), divisor), part);
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
