// Entry of a build that only tests load (build/loader.wasm, through @assemblyscript/loader): the inline helpers on managed arrays, one by one.
// Nothing here reaches the published package.
import { exp4, log4, sigmoid4, tanh4 } from './math';
import { packColumns, packCopied, packRows, packTransposed } from './packing';
import { maxRow, sumRow } from './row';
import { loadPart, storePart } from './vector';

/** For the loader: the type of the arrays that it makes. */
export const float32ArrayId = idof<Float32Array>();

const EXP: i32 = 0;
const LOG: i32 = 1;
const TANH: i32 = 2;

// @ts-ignore: decorator
@inline
function apply(op: i32, x: v128): v128 {
  if (op == EXP) return exp4(x);
  if (op == LOG) return log4(x);
  if (op == TANH) return tanh4(x);
  return sigmoid4(x);
}

/** f of each element, as lane `lane` of a vector whose other lanes hold `others`: lanes must not see each other. */
function inLane(op: i32, x: Float32Array, lane: i32, others: f32): Float32Array {
  const y = new Float32Array(x.length);
  for (let i = 0; i < x.length; i++) {
    let v = f32x4.splat(others);
    v128.store(changetype<usize>(lanes), v);
    lanes[lane] = x[i];
    v = apply(op, v128.load(changetype<usize>(lanes)));
    v128.store(changetype<usize>(lanes), v);
    y[i] = lanes[lane];
  }
  return y;
}

const lanes = new StaticArray<f32>(4);

export function expInLane(x: Float32Array, lane: i32, others: f32): Float32Array { return inLane(EXP, x, lane, others); }
export function logInLane(x: Float32Array, lane: i32, others: f32): Float32Array { return inLane(LOG, x, lane, others); }
export function tanhInLane(x: Float32Array, lane: i32, others: f32): Float32Array { return inLane(TANH, x, lane, others); }
export function sigmoidInLane(x: Float32Array, lane: i32, others: f32): Float32Array { return inLane(3, x, lane, others); }

/** `into` with its first `count` (1 to 3) elements copied from `x` through a partly filled vector. */
export function copyPart(x: Float32Array, into: Float32Array, count: i32): void {
  storePart(into.dataStart, loadPart(x.dataStart, count), count);
}

/** The lanes of a partly filled vector. */
export function lanesOfPart(x: Float32Array, count: i32): Float32Array {
  const y = new Float32Array(4);
  v128.store(y.dataStart, loadPart(x.dataStart, count));
  return y;
}

export function sumOf(x: Float32Array): f32 {
  const tree = new Float32Array(32);
  return sumRow(x.dataStart, x.length, tree.dataStart);
}

export function maxOf(x: Float32Array): f32 {
  return maxRow(x.dataStart, x.length);
}

/** Four streams, `lane` elements apart, contiguous steps. */
export function packedTransposed(x: Float32Array, lane: i32, count: i32, steps: i32): Float32Array {
  const to = new Float32Array(4 * steps);
  packTransposed(x.dataStart, <usize>lane << 2, count, steps, to.dataStart, 16);
  return to;
}

/** Four contiguous lanes, steps `step` elements apart. */
export function packedCopied(x: Float32Array, step: i32, count: i32, steps: i32): Float32Array {
  const to = new Float32Array(4 * steps);
  packCopied(x.dataStart, <usize>step << 2, count, steps, to.dataStart, 16);
  return to;
}

/** A panel of eight columns; elements at lane * lane + step * step. */
export function packedColumns(x: Float32Array, lane: i32, step: i32, count: i32, steps: i32): Float32Array {
  const to = new Float32Array(8 * steps);
  packColumns(x.dataStart, <usize>lane << 2, <usize>step << 2, count, steps, to.dataStart, 32);
  return to;
}

/** A panel of four rows. */
export function packedRows(x: Float32Array, lane: i32, step: i32, count: i32, steps: i32): Float32Array {
  const to = new Float32Array(4 * steps);
  packRows(x.dataStart, <usize>lane << 2, <usize>step << 2, count, steps, to.dataStart);
  return to;
}
