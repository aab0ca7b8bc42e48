// A matrix times a vector: products with one row or one column. Each result is a lane; the sums keep the canonical order of gemm (kernels/gemm.ts).
import { KC, mergeOne, STORE, UPDATE, zeros } from './tile';
import { multiplyAdd } from './vector';

/** Lanes whose sums are kept in scratch while the matrix streams by: a block of the first cache. */
// @ts-ignore: decorator
@inline
const LANES: i32 = 1024;

/** Bytes of scratch that `gemv` takes. */
// @ts-ignore: decorator
@inline
export const GEMV_BYTES: usize = 4096;

/**
 * C[lane] = beta * C[lane] + alpha * sum over steps of matrix[lane, step] * vector[step]. The matrix has one stride of 4 bytes, by lane or by step;
 * all strides are in bytes.
 */
export function gemv(
  lanes: i32, steps: i32, alpha: f32, matrix: usize, lane: usize, step: usize, vector: usize, vectorStep: usize,
  beta: f32, c: usize, cLane: usize, sums: usize,
): void {
  for (let first = 0; first < lanes; first += LANES) {
    const count = min(LANES, lanes - first);
    for (let from = 0; from < steps; from += KC) {
      const length = min(KC, steps - from);
      const at = matrix + <usize>first * lane + <usize>from * step, x = vector + <usize>from * vectorStep;
      if (step == 4) transposedSums(count, length, at, lane, x, vectorStep, sums);
      else streamedSums(count, length, at, step, x, vectorStep, sums);
      const mode = from == 0 && beta == 0 ? STORE : UPDATE, factor: f32 = from == 0 ? beta : 1;
      let to = c + <usize>first * cLane;
      for (let i = 0; i < count; i++) {
        mergeOne(mode, alpha, factor, zeros, to, sums + (<usize>i << 2));
        to += cLane;
      }
    }
  }
}

/** Lanes are contiguous: eight steps at a time are added to all sums, so that eight rows of the matrix are read from end to end. */
function streamedSums(lanes: i32, steps: i32, matrix: usize, step: usize, x: usize, xStep: usize, sums: usize): void {
  memory.fill(sums, 0, <usize>lanes << 2);
  const end = sums + (<usize>lanes << 2);
  for (; steps >= 4; steps -= 4) {
    const x0 = v128.load32_splat(x), x1 = v128.load32_splat(x + xStep);
    const x2 = v128.load32_splat(x + 2 * xStep), x3 = v128.load32_splat(x + 3 * xStep);
    let r0 = matrix, r1 = r0 + step, r2 = r1 + step, r3 = r2 + step, sum = sums;
    while (sum + 32 <= end) {
      let s = multiplyAdd(v128.load(sum), x0, v128.load(r0));
      let t = multiplyAdd(v128.load(sum, 16), x0, v128.load(r0, 16));
      s = multiplyAdd(s, x1, v128.load(r1));
      t = multiplyAdd(t, x1, v128.load(r1, 16));
      s = multiplyAdd(s, x2, v128.load(r2));
      t = multiplyAdd(t, x2, v128.load(r2, 16));
      s = multiplyAdd(s, x3, v128.load(r3));
      t = multiplyAdd(t, x3, v128.load(r3, 16));
      v128.store(sum, s);
      v128.store(sum, t, 16);
      sum += 32;
      r0 += 32;
      r1 += 32;
      r2 += 32;
      r3 += 32;
    }
    for (; sum < end; sum += 4) {
      let s = load<f32>(sum) + load<f32>(x) * load<f32>(r0);
      s += load<f32>(x + xStep) * load<f32>(r1);
      s += load<f32>(x + 2 * xStep) * load<f32>(r2);
      s += load<f32>(x + 3 * xStep) * load<f32>(r3);
      store<f32>(sum, s);
      r0 += 4;
      r1 += 4;
      r2 += 4;
      r3 += 4;
    }
    matrix += 4 * step;
    x += 4 * xStep;
  }
  for (; steps > 0; steps--) {
    let row = matrix, sum = sums;
    const x0 = v128.load32_splat(x);
    for (; sum + 16 <= end; sum += 16) {
      v128.store(sum, multiplyAdd(v128.load(sum), x0, v128.load(row)));
      row += 16;
    }
    for (; sum < end; sum += 4) {
      store<f32>(sum, load<f32>(sum) + load<f32>(x) * load<f32>(row));
      row += 4;
    }
    matrix += step;
    x += xStep;
  }
}

/** The step `s` of four lanes whose four steps are in r0 to r3. */
// @ts-ignore: decorator
@inline
function low2(r0: v128, r1: v128): v128 {
  return v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
}

// @ts-ignore: decorator
@inline
function high2(r0: v128, r1: v128): v128 {
  return v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
}

/** Steps are contiguous: eight lanes at a time, transposed in registers. Lanes that do not exist repeat the last one. */
function transposedSums(lanes: i32, steps: i32, matrix: usize, lane: usize, vector: usize, xStep: usize, sums: usize): void {
  for (; lanes > 0; lanes -= 8) {
    const r0 = matrix, r1 = r0 + (lanes > 1 ? lane : 0), r2 = r1 + (lanes > 2 ? lane : 0), r3 = r2 + (lanes > 3 ? lane : 0);
    const r4 = r3 + (lanes > 4 ? lane : 0), r5 = r4 + (lanes > 5 ? lane : 0), r6 = r5 + (lanes > 6 ? lane : 0);
    const r7 = r6 + (lanes > 7 ? lane : 0);
    let s = f32x4.splat(0), t = f32x4.splat(0), x = vector, at: usize = 0;
    let left = steps;
    for (; left >= 4; left -= 4) {
      const a0 = v128.load(r0 + at), a1 = v128.load(r1 + at), a2 = v128.load(r2 + at), a3 = v128.load(r3 + at);
      const b0 = v128.load(r4 + at), b1 = v128.load(r5 + at), b2 = v128.load(r6 + at), b3 = v128.load(r7 + at);
      const a01 = low2(a0, a1), a23 = low2(a2, a3), b01 = low2(b0, b1), b23 = low2(b2, b3);
      const x0 = v128.load32_splat(x), x1 = v128.load32_splat(x + xStep);
      s = multiplyAdd(s, x0, v128.shuffle<f64>(a01, a23, 0, 2));
      t = multiplyAdd(t, x0, v128.shuffle<f64>(b01, b23, 0, 2));
      s = multiplyAdd(s, x1, v128.shuffle<f64>(a01, a23, 1, 3));
      t = multiplyAdd(t, x1, v128.shuffle<f64>(b01, b23, 1, 3));
      const c01 = high2(a0, a1), c23 = high2(a2, a3), d01 = high2(b0, b1), d23 = high2(b2, b3);
      const x2 = v128.load32_splat(x + 2 * xStep), x3 = v128.load32_splat(x + 3 * xStep);
      s = multiplyAdd(s, x2, v128.shuffle<f64>(c01, c23, 0, 2));
      t = multiplyAdd(t, x2, v128.shuffle<f64>(d01, d23, 0, 2));
      s = multiplyAdd(s, x3, v128.shuffle<f64>(c01, c23, 1, 3));
      t = multiplyAdd(t, x3, v128.shuffle<f64>(d01, d23, 1, 3));
      x += 4 * xStep;
      at += 16;
    }
    for (; left > 0; left--) {
      const x0 = v128.load32_splat(x);
      let a = v128.load32_zero(r0 + at), b = v128.load32_zero(r4 + at);
      a = v128.load_lane<f32>(r1 + at, a, 1);
      a = v128.load_lane<f32>(r2 + at, a, 2);
      a = v128.load_lane<f32>(r3 + at, a, 3);
      b = v128.load_lane<f32>(r5 + at, b, 1);
      b = v128.load_lane<f32>(r6 + at, b, 2);
      b = v128.load_lane<f32>(r7 + at, b, 3);
      s = multiplyAdd(s, x0, a);
      t = multiplyAdd(t, x0, b);
      x += xStep;
      at += 4;
    }
    v128.store(sums, s);
    v128.store(sums, t, 16);
    sums += 32;
    matrix += 8 * lane;
  }
}
