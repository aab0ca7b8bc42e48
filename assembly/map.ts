// Element-wise kernels. Contracts: kernels/map.ts.
// One loop body per arity, specialised by a constant operation number that the optimiser folds. Four vectors an iteration, all loads before
// the stores; then single vectors; then the last 1 to 3 elements in one partly filled vector, so that every element takes the same path.

import { loadPart, storePart } from './vector';

const NEG: i32 = 0;
const RELU: i32 = 1;

// @ts-ignore: decorator
@inline
function applyUnary(op: i32, x: v128): v128 {
  if (op == NEG) return f32x4.neg(x);
  return f32x4.max(x, f32x4.splat(0));
}

// @ts-ignore: decorator
@inline
function unary(op: i32, x: usize, y: usize, length: i32): void {
  const end = x + ((<usize>length) << 2);
  while (x + 64 <= end) {
    const a = v128.load(x), b = v128.load(x, 16), c = v128.load(x, 32), d = v128.load(x, 48);
    const p = applyUnary(op, a), q = applyUnary(op, b), r = applyUnary(op, c), s = applyUnary(op, d);
    v128.store(y, p);
    v128.store(y, q, 16);
    v128.store(y, r, 32);
    v128.store(y, s, 48);
    x += 64;
    y += 64;
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
export function relu_f32(x: usize, y: usize, length: i32): void { unary(RELU, x, y, length); }
