// What follows a product or a convolution while its result is still in cache: bias, residual, activation. Contract: kernels/product.ts. The operations and
// their order are those of add_bias, add and the element-wise kernels, and so the bits are those of the unfused sequence.
import { GELU as PLAIN_GELU, geluFamily4 } from './gelu';
import { sigmoid4, tanh4 } from './math';
import { loadPart, storePart } from './vector';

const CLAMP: i32 = 1;
const TANH: i32 = 2;
const SIGMOID: i32 = 3;
const GELU: i32 = 4;

/** Bytes of the record that `writeEnding` makes. */
// @ts-ignore: decorator
@inline
export const ENDING_BYTES: usize = 32;

function writeRecord(at: usize, bias: usize, residual: usize, residualRow: usize, activation: i32, low: f32, high: f32): usize {
  store<usize>(at, bias);
  store<usize>(at, residual, 4);
  store<usize>(at, residualRow, 8);
  store<i32>(at, activation, 12);
  store<f32>(at, low, 16);
  store<f32>(at, high, 20);
  return at;
}

/** Writes the record of an ending at `at`; pointers are 0 for what is absent, `residualRow` is in bytes. Returns `at`, or 0 if nothing is to be done. */
export function writeEnding(
  at: usize, bias: usize, residual: usize, residualRow: usize, activation: i32, low: f32, high: f32,
): usize {
  return bias || residual || activation ? writeRecord(at, bias, residual, residualRow, activation, low, high) : 0;
}

// @ts-ignore: decorator
@inline
function activate(activation: i32, x: v128, low: v128, high: v128): v128 {
  // pmax(x, low) = x < low ? low : x, and pmin likewise: NaN passes, and -0 where low is 0.
  if (activation == CLAMP) return f32x4.pmin(f32x4.pmax(x, low), high);
  if (activation == TANH) return tanh4(x);
  if (activation == SIGMOID) return sigmoid4(x);
  if (activation == GELU) return geluFamily4(PLAIN_GELU, x);
  return x;
}

// @ts-ignore: decorator
@inline
function finishAll(
  activation: i32, rows: i32, columns: i32, c: usize, cRow: usize, bias: usize, residual: usize, residualRow: usize, low: v128, high: v128,
): void {
  const whole = (<usize>columns << 2) & ~15, part = columns & 3;
  for (; rows > 0; rows--) {
    let at: usize = 0;
    for (; at < whole; at += 16) {
      let x = v128.load(c + at);
      if (bias) x = f32x4.add(x, v128.load(bias + at));
      if (residual) x = f32x4.add(x, v128.load(residual + at));
      v128.store(c + at, activate(activation, x, low, high));
    }
    if (part) {
      let x = loadPart(c + at, part);
      if (bias) x = f32x4.add(x, loadPart(bias + at, part));
      if (residual) x = f32x4.add(x, loadPart(residual + at, part));
      storePart(c + at, activate(activation, x, low, high), part);
    }
    c += cRow;
    if (residual) residual += residualRow;
  }
}

/** Ends `rows` x `columns` elements of C, the first of which is C[i,j] at `c`. */
export function finish(ending: usize, i: i32, j: i32, rows: i32, columns: i32, c: usize, cRow: usize): void {
  let bias = load<usize>(ending), residual = load<usize>(ending, 4);
  const residualRow = load<usize>(ending, 8);
  if (bias) bias += <usize>j << 2;
  if (residual) residual += <usize>i * residualRow + (<usize>j << 2);
  finishWith(ending, rows, columns, c, cRow, bias, residual, residualRow);
}

/** Writes the record of an ending without bias, whose residual lies as the results at `results` do. */
export function writeLikeEnding(at: usize, residual: usize, results: usize, activation: i32, low: f32, high: f32): usize {
  if (!residual && !activation) return 0;
  return writeRecord(at, 0, residual ? residual - results : 0, residual ? 1 : 0, activation, low, high);
}

/** As `finish`, for a record of `writeLikeEnding`: elements lie at `c`, rows `cRow` apart. */
export function finishLike(ending: usize, rows: i32, columns: i32, c: usize, cRow: usize): void {
  finishWith(ending, rows, columns, c, cRow, 0, load<usize>(ending, 8) ? c + load<usize>(ending, 4) : 0, cRow);
}

function finishWith(
  ending: usize, rows: i32, columns: i32, c: usize, cRow: usize, bias: usize, residual: usize, residualRow: usize,
): void {
  const activation = load<i32>(ending, 12), low = v128.load32_splat(ending, 16), high = v128.load32_splat(ending, 20);
  if (activation == CLAMP) finishAll(CLAMP, rows, columns, c, cRow, bias, residual, residualRow, low, high);
  else if (activation == TANH) finishAll(TANH, rows, columns, c, cRow, bias, residual, residualRow, low, high);
  else if (activation == SIGMOID) finishAll(SIGMOID, rows, columns, c, cRow, bias, residual, residualRow, low, high);
  else if (activation == GELU) finishAll(GELU, rows, columns, c, cRow, bias, residual, residualRow, low, high);
  else finishAll(0, rows, columns, c, cRow, bias, residual, residualRow, low, high);
}
