// The register tile: the one micro-kernel under matrix multiplication and convolution, and how its sums enter the result.
// A tile is 4 rows by 8 columns. Its sums run over at most one block of k, each product rounded before it is added (fused only in the relaxed build).
// Four row pointers instead of one packed panel cost nothing here and spare most packing: any operand whose rows are evenly spaced will do.
import { multiplyAdd } from './vector';

/** Rows of a tile. */
// @ts-ignore: decorator
@inline
export const MR: i32 = 4;

/** Columns of a tile. */
// @ts-ignore: decorator
@inline
export const NR: i32 = 8;

/** Steps of k that are summed from +0 before their sum enters the running result: part of the contracts. */
// @ts-ignore: decorator
@inline
export const KC: i32 = 256;

/** Bytes of a tile on its own. */
// @ts-ignore: decorator
@inline
export const TILE_BYTES: usize = 128;

/** C = initial + alpha * sums: the old C is not read. */
// @ts-ignore: decorator
@inline
export const STORE: i32 = 0;

/** C = beta * C + alpha * sums. */
// @ts-ignore: decorator
@inline
export const UPDATE: i32 = 1;

/** Four floats +0: the `initial` of a result that starts from nothing. */
export const zeros: usize = memory.data(32, 16);

// @ts-ignore: decorator
@inline
function merged(mode: i32, initial: v128, old: v128, alpha: v128, beta: v128, sums: v128): v128 {
  return f32x4.add(mode == STORE ? initial : f32x4.mul(beta, old), f32x4.mul(alpha, sums));
}

// @ts-ignore: decorator
@inline
function storeRow(c: usize, initial: usize, low: v128, high: v128, alpha: v128): void {
  const start = v128.load32_splat(initial);
  v128.store(c, f32x4.add(start, f32x4.mul(alpha, low)));
  v128.store(c, f32x4.add(start, f32x4.mul(alpha, high)), 16);
}

// @ts-ignore: decorator
@inline
function updateRow(c: usize, low: v128, high: v128, alpha: v128, beta: v128): void {
  // Both loads before the stores: only then does V8's revectoriser make them one.
  const oldLow = v128.load(c), oldHigh = v128.load(c, 16);
  v128.store(c, f32x4.add(f32x4.mul(beta, oldLow), f32x4.mul(alpha, low)));
  v128.store(c, f32x4.add(f32x4.mul(beta, oldHigh), f32x4.mul(alpha, high)), 16);
}

/** Four rows of eight sums into C. */
// @ts-ignore: decorator
@inline
export function mergeTile(
  mode: i32, alpha: f32, beta: f32, initial: usize, c: usize, cRow: usize,
  c00: v128, c01: v128, c10: v128, c11: v128, c20: v128, c21: v128, c30: v128, c31: v128,
): void {
  const factor = f32x4.splat(alpha);
  if (mode == STORE) {
    storeRow(c, initial, c00, c01, factor);
    storeRow(c + cRow, initial + 4, c10, c11, factor);
    storeRow(c + 2 * cRow, initial + 8, c20, c21, factor);
    storeRow(c + 3 * cRow, initial + 12, c30, c31, factor);
  } else {
    const old = f32x4.splat(beta);
    updateRow(c, c00, c01, factor, old);
    updateRow(c + cRow, c10, c11, factor, old);
    updateRow(c + 2 * cRow, c20, c21, factor, old);
    updateRow(c + 3 * cRow, c30, c31, factor, old);
  }
}

/**
 * Four rows of sums over `runs` runs of `steps` steps, both at least 1, merged into C, whose rows are `cRow` apart; `initial` points to a float
 * per row. Element (row r, step s) of A is the float at `a<r>`, which moves by `aStep` each step and by `aJump` more after each run. A step of B
 * is the eight floats at `b`, which moves by `bStep`; or, if `tapped`, four at `b` and four at `other`, both plus an offset that is read from
 * the list at `bStep`. All strides are in bytes.
 */
// @ts-ignore: decorator
@inline
function fourRows(
  tapped: bool, runs: i32, steps: i32, a0: usize, a1: usize, a2: usize, a3: usize, aStep: usize, aJump: usize,
  b: usize, other: usize, bStep: usize, mode: i32, alpha: f32, beta: f32, initial: usize, c: usize, cRow: usize,
): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0), c31 = f32x4.splat(0);
  do {
    let left = steps;
    do {
      const at = tapped ? load<usize>(bStep) : 0;
      const b0 = v128.load(b + at), b1 = tapped ? v128.load(other + at) : v128.load(b, 16);
      if (tapped) bStep += 4;
      else b += bStep;
      let x = v128.load32_splat(a0);
      a0 += aStep;
      c00 = multiplyAdd(c00, x, b0);
      c01 = multiplyAdd(c01, x, b1);
      x = v128.load32_splat(a1);
      a1 += aStep;
      c10 = multiplyAdd(c10, x, b0);
      c11 = multiplyAdd(c11, x, b1);
      x = v128.load32_splat(a2);
      a2 += aStep;
      c20 = multiplyAdd(c20, x, b0);
      c21 = multiplyAdd(c21, x, b1);
      x = v128.load32_splat(a3);
      a3 += aStep;
      c30 = multiplyAdd(c30, x, b0);
      c31 = multiplyAdd(c31, x, b1);
    } while (--left);
    a0 += aJump;
    a1 += aJump;
    a2 += aJump;
    a3 += aJump;
  } while (--runs);
  mergeTile(mode, alpha, beta, initial, c, cRow, c00, c01, c10, c11, c20, c21, c30, c31);
}

/** One full tile (see `fourRows`). */
export function tile(
  runs: i32, steps: i32, a0: usize, a1: usize, a2: usize, a3: usize, aStep: usize, aJump: usize, b: usize, bStep: usize,
  mode: i32, alpha: f32, beta: f32, initial: usize, c: usize, cRow: usize,
): void {
  fourRows(false, runs, steps, a0, a1, a2, a3, aStep, aJump, b, 0, bStep, mode, alpha, beta, initial, c, cRow);
}

/** One full tile whose B is read in place, through a list of offsets. */
function tapTile(
  steps: i32, a0: usize, a1: usize, a2: usize, a3: usize, aStep: usize, b: usize, other: usize, taps: usize,
  mode: i32, initial: usize, c: usize, cRow: usize,
): void {
  fourRows(true, 1, steps, a0, a1, a2, a3, aStep, 0, b, other, taps, mode, 1, 1, initial, c, cRow);
}

/** Two rows, for what is left of C at the bottom: see `fourRows`. */
// @ts-ignore: decorator
@inline
function twoRows(
  tapped: bool, runs: i32, steps: i32, a0: usize, a1: usize, aStep: usize, aJump: usize, b: usize, other: usize, bStep: usize,
  mode: i32, alpha: f32, beta: f32, initial: usize, c: usize, cRow: usize,
): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0);
  do {
    let left = steps;
    do {
      const at = tapped ? load<usize>(bStep) : 0;
      const b0 = v128.load(b + at), b1 = tapped ? v128.load(other + at) : v128.load(b, 16);
      if (tapped) bStep += 4;
      else b += bStep;
      let x = v128.load32_splat(a0);
      a0 += aStep;
      c00 = multiplyAdd(c00, x, b0);
      c01 = multiplyAdd(c01, x, b1);
      x = v128.load32_splat(a1);
      a1 += aStep;
      c10 = multiplyAdd(c10, x, b0);
      c11 = multiplyAdd(c11, x, b1);
    } while (--left);
    a0 += aJump;
    a1 += aJump;
  } while (--runs);
  const factor = f32x4.splat(alpha);
  if (mode == STORE) {
    storeRow(c, initial, c00, c01, factor);
    storeRow(c + cRow, initial + 4, c10, c11, factor);
  } else {
    const old = f32x4.splat(beta);
    updateRow(c, c00, c01, factor, old);
    updateRow(c + cRow, c10, c11, factor, old);
  }
}

function halfTile(
  steps: i32, a0: usize, a1: usize, aStep: usize, b: usize, bStep: usize,
  mode: i32, alpha: f32, beta: f32, initial: usize, c: usize, cRow: usize,
): void {
  twoRows(false, 1, steps, a0, a1, aStep, 0, b, 0, bStep, mode, alpha, beta, initial, c, cRow);
}

function halfTapTile(
  steps: i32, a0: usize, a1: usize, aStep: usize, b: usize, other: usize, taps: usize, mode: i32, initial: usize, c: usize, cRow: usize,
): void {
  twoRows(true, 1, steps, a0, a1, aStep, 0, b, other, taps, mode, 1, 1, initial, c, cRow);
}

/** The sums alone of four rows by the first four of eight columns, for what is left of C at the right; rows of `sums` are 32 bytes apart. */
function narrowTile(steps: i32, a0: usize, a1: usize, a2: usize, a3: usize, aStep: usize, b: usize, bStep: usize, sums: usize): void {
  let c0 = f32x4.splat(0), c1 = f32x4.splat(0), c2 = f32x4.splat(0), c3 = f32x4.splat(0);
  do {
    const x = v128.load(b);
    b += bStep;
    c0 = multiplyAdd(c0, v128.load32_splat(a0), x);
    a0 += aStep;
    c1 = multiplyAdd(c1, v128.load32_splat(a1), x);
    a1 += aStep;
    c2 = multiplyAdd(c2, v128.load32_splat(a2), x);
    a2 += aStep;
    c3 = multiplyAdd(c3, v128.load32_splat(a3), x);
    a3 += aStep;
  } while (--steps);
  v128.store(sums, c0);
  v128.store(sums, c1, 32);
  v128.store(sums, c2, 64);
  v128.store(sums, c3, 96);
}

/**
 * Up to four rows of one panel of eight columns whose B is read in place: four columns at `b`, four at `other`, plus the offsets at `taps`. alpha
 * and beta are 1.
 */
export function anyTapTile(
  rows: i32, steps: i32, a: usize, aRow: usize, aStep: usize, b: usize, other: usize, taps: usize,
  mode: i32, initial: usize, c: usize, cRow: usize, spare: usize,
): void {
  const a1 = a + (rows > 1 ? aRow : 0);
  if (rows == 2) {
    halfTapTile(steps, a, a1, aStep, b, other, taps, mode, initial, c, cRow);
  } else if (rows == MR) {
    const a2 = a1 + aRow;
    tapTile(steps, a, a1, a2, a2 + aRow, aStep, b, other, taps, mode, initial, c, cRow);
  } else {
    if (rows == 1) halfTapTile(steps, a, a, aStep, b, other, taps, STORE, zeros, spare, 32);
    else tapTile(steps, a, a1, a1 + aRow, a1 + aRow, aStep, b, other, taps, STORE, zeros, spare, 32);
    mergeRows(rows, NR, mode, 1, 1, initial, c, cRow, spare);
  }
}

/**
 * One tile that may be cut (`rows` of 4, `columns` of 8) or lie transposed in C: element (r, j) of C is at `c + r * cRow + j * cColumn`, and one
 * of the two strides is 4. Rows that are cut off repeat the last one, so nothing outside A is read; B must have eight columns. The sums go
 * through `spare` (one tile), exactly: alpha 1 and initial +0 change no bit of a sum, because a sum that starts at +0 is never -0.
 */
export function anyTile(
  rows: i32, columns: i32, steps: i32, a: usize, aRow: usize, aStep: usize, b: usize, bStep: usize,
  mode: i32, alpha: f32, beta: f32, initial: usize, c: usize, cRow: usize, cColumn: usize, spare: usize,
): void {
  const a1 = a + (rows > 1 ? aRow : 0);
  const whole = columns == NR && cColumn == 4;
  if (rows <= 2) {
    if (whole && rows == 2) {
      halfTile(steps, a, a1, aStep, b, bStep, mode, alpha, beta, initial, c, cRow);
      return;
    }
    halfTile(steps, a, a1, aStep, b, bStep, STORE, 1, 0, zeros, spare, 32);
  } else {
    const a2 = a1 + aRow;
    const a3 = rows > 3 ? a2 + aRow : a2;
    if (whole && rows == MR) {
      tile(1, steps, a, a1, a2, a3, aStep, 0, b, bStep, mode, alpha, beta, initial, c, cRow);
      return;
    }
    if (columns <= 4) narrowTile(steps, a, a1, a2, a3, aStep, b, bStep, spare);
    else tile(1, steps, a, a1, a2, a3, aStep, 0, b, bStep, STORE, 1, 0, zeros, spare, 32);
  }
  if (cColumn == 4) mergeRows(rows, columns, mode, alpha, beta, initial, c, cRow, spare);
  else if (rows == MR) mergeTransposed(columns, mode, alpha, beta, initial, c, cColumn, spare);
  else {
    for (let r = 0; r < rows; r++) {
      for (let j = 0; j < columns; j++) {
        mergeOne(mode, alpha, beta, initial + (<usize>r << 2), c + <usize>r * cRow + <usize>j * cColumn, spare + (<usize>(r * NR + j) << 2));
      }
    }
  }
}

/** One element of C from one sum. */
// @ts-ignore: decorator
@inline
export function mergeOne(mode: i32, alpha: f32, beta: f32, initial: usize, c: usize, sum: usize): void {
  const start = mode == STORE ? load<f32>(initial) : beta * load<f32>(c);
  store<f32>(c, start + alpha * load<f32>(sum));
}

export function mergeRows(rows: i32, columns: i32, mode: i32, alpha: f32, beta: f32, initial: usize, c: usize, cRow: usize, spare: usize): void {
  const factor = f32x4.splat(alpha), old = f32x4.splat(beta);
  for (let r = 0; r < rows; r++) {
    let j = 0;
    for (; j + 4 <= columns; j += 4) {
      const at = c + (<usize>j << 2);
      const start = mode == STORE ? v128.load32_splat(initial) : v128.load(at);
      v128.store(at, merged(mode, start, start, factor, old, v128.load(spare + (<usize>j << 2))));
    }
    for (; j < columns; j++) mergeOne(mode, alpha, beta, initial, c + (<usize>j << 2), spare + (<usize>j << 2));
    initial += 4;
    c += cRow;
    spare += 32;
  }
}

/** Four full rows whose elements are contiguous in C down each column. */
function mergeTransposed(columns: i32, mode: i32, alpha: f32, beta: f32, initial: usize, c: usize, cColumn: usize, spare: usize): void {
  const factor = f32x4.splat(alpha), old = f32x4.splat(beta);
  const start = v128.load(initial);
  for (let j = 0; j < columns; j += 4) {
    const r0 = v128.load(spare), r1 = v128.load(spare, 32), r2 = v128.load(spare, 64), r3 = v128.load(spare, 96);
    const a = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5), b = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
    mergeColumn(mode, start, factor, old, c, v128.shuffle<f64>(a, b, 0, 2));
    if (columns > j + 1) mergeColumn(mode, start, factor, old, c + cColumn, v128.shuffle<f64>(a, b, 1, 3));
    if (columns > j + 2) {
      const d = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7), e = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
      mergeColumn(mode, start, factor, old, c + 2 * cColumn, v128.shuffle<f64>(d, e, 0, 2));
      if (columns > j + 3) mergeColumn(mode, start, factor, old, c + 3 * cColumn, v128.shuffle<f64>(d, e, 1, 3));
    }
    c += 4 * cColumn;
    spare += 16;
  }
}

// @ts-ignore: decorator
@inline
function mergeColumn(mode: i32, start: v128, alpha: v128, beta: v128, c: usize, sums: v128): void {
  v128.store(c, merged(mode, start, v128.load(c), alpha, beta, sums));
}
