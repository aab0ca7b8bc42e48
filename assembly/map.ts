// Element-wise kernels. Contracts: kernels/map.ts.
// One loop per arity, specialised by a constant operation number that the optimiser folds. Four vectors an iteration, all loads before the
// stores; then single vectors; then the last 1 to 3 elements in one partly filled vector, so that every element takes the same path.
import { storeExp16, storeSigmoid16, storeTanh16 } from './block';
import { COSINE, EXPM1, LOG1P, POW, SINE, throughDoubles } from './double';
import { GELU, GELU_SLOPE, GELU_TANH, GELU_TANH_SLOPE, geluFamily4 } from './gelu';
import { erf4, exp4, log4, sigmoid4, silu4, siluSlope4, softplus4, tanh4 } from './math';
import { loadPart, storePart } from './vector';

const NEG: i32 = 0;
const EXP: i32 = 1;
const LOG: i32 = 2;
const TANH: i32 = 3;
const RELU: i32 = 4;
const SQRT: i32 = 5;
const SQUARE: i32 = 6;
const RECIPROCAL: i32 = 7;
const SIGMOID: i32 = 8;
const ABS: i32 = 9;
const ERF: i32 = 10;
const SILU: i32 = 11;
/** From here on functions by doubles, of number op - THROUGH_DOUBLES. */
const THROUGH_DOUBLES: i32 = 12;
/** From here on those of gelu.ts, of number op - GELU_FAMILY. */
const GELU_FAMILY: i32 = 20;

// @ts-ignore: decorator
@inline
function applyUnary(op: i32, x: v128): v128 {
  if (op == NEG) return f32x4.neg(x);
  if (op == EXP) return exp4(x);
  if (op == LOG) return log4(x);
  if (op == TANH) return tanh4(x);
  // pmax(x, 0) = x < 0 ? 0 : x: one instruction, and NaN passes (f32x4.max takes eight).
  if (op == RELU) return f32x4.pmax(x, f32x4.splat(0));
  if (op == SQRT) return f32x4.sqrt(x);
  if (op == SQUARE) return f32x4.mul(x, x);
  if (op == RECIPROCAL) return f32x4.div(f32x4.splat(1), x);
  if (op == SIGMOID) return sigmoid4(x);
  if (op == ERF) return erf4(x);
  if (op == SILU) return silu4(x);
  if (op >= GELU_FAMILY) return geluFamily4(op - GELU_FAMILY, x);
  if (op >= THROUGH_DOUBLES) return throughDoubles(op - THROUGH_DOUBLES, x, x);
  return f32x4.abs(x);
}

// @ts-ignore: decorator
@inline
function isLong(op: i32): bool {
  return op == EXP || op == LOG || op == TANH || op == SIGMOID || op >= ERF;
}

/** The functions that have a form for sixteen floats at once. */
// @ts-ignore: decorator
@inline
function hasBlocks(op: i32): bool {
  return op == EXP || op == TANH || op == SIGMOID || op == SILU;
}

// @ts-ignore: decorator
@inline
function storeBlock(op: i32, y: usize, a: v128, b: v128, c: v128, d: v128): void {
  if (op == EXP) storeExp16(y, a, b, c, d);
  else if (op == TANH) storeTanh16(y, a, b, c, d);
  else storeSigmoid16(y, a, b, c, d);
  if (op == SILU) {
    v128.store(y, f32x4.mul(a, v128.load(y)));
    v128.store(y, f32x4.mul(b, v128.load(y, 16)), 16);
    v128.store(y, f32x4.mul(c, v128.load(y, 32)), 32);
    v128.store(y, f32x4.mul(d, v128.load(y, 48)), 48);
  }
}

// @ts-ignore: decorator
@inline
function unary(op: i32, x: usize, y: usize, length: i32): void {
  const end = x + ((<usize>length) << 2);
  if (hasBlocks(op)) {
    for (; x + 64 <= end; x += 64, y += 64) storeBlock(op, y, v128.load(x), v128.load(x, 16), v128.load(x, 32), v128.load(x, 48));
  }
  // Other long operations fill the machine by themselves; unrolling them only spills registers.
  if (!isLong(op)) {
    while (x + 64 <= end) {
      const a = v128.load(x), b = v128.load(x, 16), c = v128.load(x, 32), d = v128.load(x, 48);
      v128.store(y, applyUnary(op, a));
      v128.store(y, applyUnary(op, b), 16);
      v128.store(y, applyUnary(op, c), 32);
      v128.store(y, applyUnary(op, d), 48);
      x += 64;
      y += 64;
    }
  }
  while (x + 16 <= end) {
    v128.store(y, applyUnary(op, v128.load(x)));
    x += 16;
    y += 16;
  }
  const rest = <i32>(end - x) >> 2;
  if (rest) storePart(y, applyUnary(op, loadPart(x, rest)), rest);
}

export function neg_f32(x: usize, y: usize, length: i32): void { unary(NEG, x, y, length); }
export function exp_f32(x: usize, y: usize, length: i32): void { unary(EXP, x, y, length); }
export function log_f32(x: usize, y: usize, length: i32): void { unary(LOG, x, y, length); }
export function tanh_f32(x: usize, y: usize, length: i32): void { unary(TANH, x, y, length); }
export function relu_f32(x: usize, y: usize, length: i32): void { unary(RELU, x, y, length); }
export function sqrt_f32(x: usize, y: usize, length: i32): void { unary(SQRT, x, y, length); }
export function square_f32(x: usize, y: usize, length: i32): void { unary(SQUARE, x, y, length); }
export function reciprocal_f32(x: usize, y: usize, length: i32): void { unary(RECIPROCAL, x, y, length); }
export function sigmoid_f32(x: usize, y: usize, length: i32): void { unary(SIGMOID, x, y, length); }
export function abs_f32(x: usize, y: usize, length: i32): void { unary(ABS, x, y, length); }
export function erf_f32(x: usize, y: usize, length: i32): void { unary(ERF, x, y, length); }
export function gelu_f32(x: usize, y: usize, length: i32): void { unary(GELU_FAMILY + GELU, x, y, length); }
export function gelu_tanh_f32(x: usize, y: usize, length: i32): void { unary(GELU_FAMILY + GELU_TANH, x, y, length); }
export function silu_f32(x: usize, y: usize, length: i32): void { unary(SILU, x, y, length); }
export function expm1_f32(x: usize, y: usize, length: i32): void { unary(THROUGH_DOUBLES + EXPM1, x, y, length); }
export function log1p_f32(x: usize, y: usize, length: i32): void { unary(THROUGH_DOUBLES + LOG1P, x, y, length); }
export function sin_f32(x: usize, y: usize, length: i32): void { unary(THROUGH_DOUBLES + SINE, x, y, length); }
export function cos_f32(x: usize, y: usize, length: i32): void { unary(THROUGH_DOUBLES + COSINE, x, y, length); }

const ADD: i32 = 0;
const SUB: i32 = 1;
const MUL: i32 = 2;
const DIV: i32 = 3;
const MAXIMUM: i32 = 4;
const TANH_GRADIENT: i32 = 5;
const RELU_GRADIENT: i32 = 6;
/** From here on without unrolling. */
const POWER: i32 = 7;
const GELU_GRADIENT: i32 = 8;
const GELU_TANH_GRADIENT: i32 = 9;
const SILU_GRADIENT: i32 = 10;

// @ts-ignore: decorator
@inline
function applyBinary(op: i32, a: v128, b: v128): v128 {
  if (op == ADD) return f32x4.add(a, b);
  if (op == SUB) return f32x4.sub(a, b);
  if (op == MUL) return f32x4.mul(a, b);
  if (op == DIV) return f32x4.div(a, b);
  if (op == TANH_GRADIENT) return f32x4.mul(a, f32x4.sub(f32x4.splat(1), f32x4.mul(b, b)));
  if (op == POWER) return throughDoubles(POW, a, b);
  if (op == GELU_GRADIENT) return f32x4.mul(a, geluFamily4(GELU_SLOPE, b));
  if (op == GELU_TANH_GRADIENT) return f32x4.mul(a, geluFamily4(GELU_TANH_SLOPE, b));
  if (op == SILU_GRADIENT) return f32x4.mul(a, siluSlope4(b));
  if (op == RELU_GRADIENT) return v128.andnot(a, f32x4.le(b, f32x4.splat(0)));
  // pmax(a, b) = a < b ? b : a keeps a NaN of a; the select adds one of b.
  return v128.bitselect(b, f32x4.pmax(a, b), f32x4.ne(b, b));
}

// @ts-ignore: decorator
@inline
function binary(op: i32, a: usize, b: usize, y: usize, length: i32): void {
  const end = a + ((<usize>length) << 2);
  while (op < POWER && a + 64 <= end) {
    const a0 = v128.load(a), a1 = v128.load(a, 16), a2 = v128.load(a, 32), a3 = v128.load(a, 48);
    const b0 = v128.load(b), b1 = v128.load(b, 16), b2 = v128.load(b, 32), b3 = v128.load(b, 48);
    v128.store(y, applyBinary(op, a0, b0));
    v128.store(y, applyBinary(op, a1, b1), 16);
    v128.store(y, applyBinary(op, a2, b2), 32);
    v128.store(y, applyBinary(op, a3, b3), 48);
    a += 64;
    b += 64;
    y += 64;
  }
  while (a + 16 <= end) {
    v128.store(y, applyBinary(op, v128.load(a), v128.load(b)));
    a += 16;
    b += 16;
    y += 16;
  }
  const rest = <i32>(end - a) >> 2;
  if (rest) storePart(y, applyBinary(op, loadPart(a, rest), loadPart(b, rest)), rest);
}

export function add_f32(a: usize, b: usize, y: usize, length: i32): void { binary(ADD, a, b, y, length); }
export function sub_f32(a: usize, b: usize, y: usize, length: i32): void { binary(SUB, a, b, y, length); }
export function mul_f32(a: usize, b: usize, y: usize, length: i32): void { binary(MUL, a, b, y, length); }
export function div_f32(a: usize, b: usize, y: usize, length: i32): void { binary(DIV, a, b, y, length); }
export function maximum_f32(a: usize, b: usize, y: usize, length: i32): void { binary(MAXIMUM, a, b, y, length); }
export function pow_f32(a: usize, b: usize, y: usize, length: i32): void { binary(POWER, a, b, y, length); }
export function tanh_f32_gradient(gradY: usize, y: usize, gradX: usize, length: i32): void {
  binary(TANH_GRADIENT, gradY, y, gradX, length);
}
export function relu_f32_gradient(gradY: usize, y: usize, gradX: usize, length: i32): void {
  binary(RELU_GRADIENT, gradY, y, gradX, length);
}
export function gelu_f32_gradient(gradY: usize, x: usize, gradX: usize, length: i32): void {
  binary(GELU_GRADIENT, gradY, x, gradX, length);
}
export function gelu_tanh_f32_gradient(gradY: usize, x: usize, gradX: usize, length: i32): void {
  binary(GELU_TANH_GRADIENT, gradY, x, gradX, length);
}
export function silu_f32_gradient(gradY: usize, x: usize, gradX: usize, length: i32): void {
  binary(SILU_GRADIENT, gradY, x, gradX, length);
}

const ADD_SCALAR: i32 = 0;
const MUL_SCALAR: i32 = 1;
const POW_SCALAR: i32 = 2;

// @ts-ignore: decorator
@inline
function applyScalar(op: i32, x: v128, s: v128): v128 {
  if (op == POW_SCALAR) return throughDoubles(POW, x, s);
  return op == ADD_SCALAR ? f32x4.add(x, s) : f32x4.mul(x, s);
}

// @ts-ignore: decorator
@inline
function withScalar(op: i32, x: usize, s: v128, y: usize, length: i32): void {
  const end = x + ((<usize>length) << 2);
  while (op != POW_SCALAR && x + 64 <= end) {
    const a = v128.load(x), b = v128.load(x, 16), c = v128.load(x, 32), d = v128.load(x, 48);
    v128.store(y, applyScalar(op, a, s));
    v128.store(y, applyScalar(op, b, s), 16);
    v128.store(y, applyScalar(op, c, s), 32);
    v128.store(y, applyScalar(op, d, s), 48);
    x += 64;
    y += 64;
  }
  while (x + 16 <= end) {
    v128.store(y, applyScalar(op, v128.load(x), s));
    x += 16;
    y += 16;
  }
  const rest = <i32>(end - x) >> 2;
  if (rest) storePart(y, applyScalar(op, loadPart(x, rest), s), rest);
}

export function add_scalar_f32(x: usize, s: f32, y: usize, length: i32): void {
  withScalar(ADD_SCALAR, x, f32x4.splat(s), y, length);
}
export function mul_scalar_f32(x: usize, s: f32, y: usize, length: i32): void {
  withScalar(MUL_SCALAR, x, f32x4.splat(s), y, length);
}
export function pow_scalar_f32(x: usize, s: f32, y: usize, length: i32): void {
  withScalar(POW_SCALAR, x, f32x4.splat(s), y, length);
}

// @ts-ignore: decorator
@inline
function softplusOf(x: v128, beta: v128, threshold: v128): v128 {
  const z = f32x4.mul(x, beta);
  return v128.bitselect(x, f32x4.div(softplus4(z), beta), f32x4.gt(z, threshold));
}

export function softplus_f32(x: usize, beta: f32, threshold: f32, y: usize, length: i32): void {
  const end = x + ((<usize>length) << 2);
  const b = f32x4.splat(beta), t = f32x4.splat(threshold);
  for (; x + 16 <= end; x += 16, y += 16) v128.store(y, softplusOf(v128.load(x), b, t));
  const rest = <i32>(end - x) >> 2;
  if (rest) storePart(y, softplusOf(loadPart(x, rest), b, t), rest);
}

export function axpy_f32(x: usize, y: usize, s: f32, length: i32): void {
  const end = x + ((<usize>length) << 2);
  const factor = f32x4.splat(s);
  while (x + 64 <= end) {
    const a = v128.load(x), b = v128.load(x, 16), c = v128.load(x, 32), d = v128.load(x, 48);
    const e = v128.load(y), f = v128.load(y, 16), g = v128.load(y, 32), h = v128.load(y, 48);
    v128.store(y, f32x4.add(e, f32x4.mul(factor, a)));
    v128.store(y, f32x4.add(f, f32x4.mul(factor, b)), 16);
    v128.store(y, f32x4.add(g, f32x4.mul(factor, c)), 32);
    v128.store(y, f32x4.add(h, f32x4.mul(factor, d)), 48);
    x += 64;
    y += 64;
  }
  while (x + 16 <= end) {
    v128.store(y, f32x4.add(v128.load(y), f32x4.mul(factor, v128.load(x))));
    x += 16;
    y += 16;
  }
  const rest = <i32>(end - x) >> 2;
  if (rest) storePart(y, f32x4.add(loadPart(y, rest), f32x4.mul(factor, loadPart(x, rest))), rest);
}

/** Four mask bytes as four lanes, all ones where the byte is not 0. */
// @ts-ignore: decorator
@inline
function maskLanes(bytes: v128): v128 {
  return i32x4.ne(i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(bytes)), i32x4.splat(0));
}

export function mask_f32(x: usize, mask: usize, scale: f32, y: usize, length: i32): void {
  const end = x + ((<usize>length) << 2);
  const factor = f32x4.splat(scale);
  while (x + 16 <= end) {
    v128.store(y, v128.and(f32x4.mul(v128.load(x), factor), maskLanes(v128.load32_zero(mask))));
    x += 16;
    mask += 4;
    y += 16;
  }
  const rest = <i32>(end - x) >> 2;
  if (rest) {
    let bytes = <u32>load<u8>(mask);
    if (rest > 1) bytes |= <u32>load<u8>(mask, 1) << 8;
    if (rest > 2) bytes |= <u32>load<u8>(mask, 2) << 16;
    const lanes = maskLanes(i32x4.splat(<i32>bytes));
    storePart(y, v128.and(f32x4.mul(loadPart(x, rest), factor), lanes), rest);
  }
}

export function add_bias_f32(x: usize, bias: usize, y: usize, rows: i32, columns: i32): void {
  for (let row = 0; row < rows; row++) {
    binary(ADD, x, bias, y, columns);
    x += (<usize>columns) << 2;
    y += (<usize>columns) << 2;
  }
}
