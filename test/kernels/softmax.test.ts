/** Against definitions written independently of the references: naive formulas in double precision, and finite differences. */
import { describe, expect, it } from 'vitest';
import { callArrays, referenceArrays } from '../../kernels/index.ts';
import {
  cross_entropy_f32,
  cross_entropy_f32_gradient,
  log_softmax_f32,
  log_softmax_f32_gradient,
  nll_f32,
  nll_f32_gradient,
  softmax_f32,
  softmax_f32_gradient,
} from '../../kernels/softmax.ts';
import { Random } from '../../src/random.ts';

const rows = 5;
const columns = 7;
const sizes = { rows, columns };
const ignoreIndex = -100;
const targets = Int32Array.of(3, 0, -100, 6, 3);
const random = new Random(1);
const logits = Float64Array.from({ length: rows * columns }, () => 3 * random.normal());

/** log-softmax by its definition, safe here because the logits are small. */
function naiveLogSoftmax(x: Float64Array): Float64Array {
  return x.map((value, i) => {
    const row = x.subarray(i - (i % columns), i - (i % columns) + columns);
    return value - Math.log(row.reduce((total, v) => total + Math.exp(v), 0));
  });
}

function crossEntropy64(x: Float64Array): { sum: number; count: number; probabilities: Float64Array } {
  const [probabilities, sum, count] = [new Float64Array(x.length), new Float64Array(1), new Float64Array(1)];
  referenceArrays(cross_entropy_f32, { logits: x, targets, probabilities, sum, count, ...sizes, ignoreIndex });
  return { sum: sum[0]!, count: count[0]!, probabilities };
}

/** The largest distance between two arrays. */
function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0);
}

describe('double precision', () => {
  const expected = naiveLogSoftmax(logits);
  const loss = [0, 1, 3, 4].reduce((total, row) => total - expected[row * columns + targets[row]!]!, 0);

  it('log-softmax is its definition', () => {
    const y = new Float64Array(logits.length);
    referenceArrays(log_softmax_f32, { x: logits, y, ...sizes });
    expect(distance(y, expected)).toBeLessThan(1e-13);
  });

  it('nll picks the targets and counts the rows that are not ignored', () => {
    const [sum, count] = [new Float64Array(1), new Float64Array(1)];
    referenceArrays(nll_f32, { logProbabilities: expected, targets, sum, count, ...sizes, ignoreIndex });
    expect(sum[0]).toBeCloseTo(loss, 12);
    expect(count[0]).toBe(4);
  });

  it('cross-entropy is the two together, with softmax left behind', () => {
    const fused = crossEntropy64(logits);
    expect(fused.sum).toBeCloseTo(loss, 12);
    expect(fused.count).toBe(4);
    expect(distance(fused.probabilities, expected.map(Math.exp))).toBeLessThan(1e-14);
  });

  it('the gradients are those of finite differences', () => {
    const gradSum = Float64Array.of(1.7);
    const gradLogits = new Float64Array(logits.length);
    referenceArrays(cross_entropy_f32_gradient, {
      gradSum,
      probabilities: crossEntropy64(logits).probabilities,
      targets,
      gradLogits,
      ...sizes,
      ignoreIndex,
    });
    const h = 1e-6;
    const differences = logits.map((_, i) => {
      const moved = (step: number) => crossEntropy64(logits.map((value, j) => (i === j ? value + step : value))).sum;
      return (1.7 * (moved(h) - moved(-h))) / (2 * h);
    });
    // Truncation h^2 and rounding 1e-16 * 20 / h.
    expect(distance(gradLogits, differences)).toBeLessThan(1e-8);
    // The composed way gives the same: nll's gradient through log-softmax's.
    const gradY = new Float64Array(logits.length);
    referenceArrays(nll_f32_gradient, { gradSum, targets, gradX: gradY, ...sizes, ignoreIndex });
    const composed = new Float64Array(logits.length);
    referenceArrays(log_softmax_f32_gradient, { gradY, y: expected, gradX: composed, ...sizes });
    expect(distance(gradLogits, composed)).toBeLessThan(1e-14);
  });
});

describe('float32 corners', () => {
  function logSoftmax(x: readonly number[]): number[] {
    const y = new Float32Array(x.length);
    callArrays(log_softmax_f32, { x: Float32Array.from(x), y, rows: 1, columns: x.length });
    return [...y];
  }

  function crossEntropy(x: readonly number[], classes: readonly number[], ignored = -100): [number, number] {
    const [sum, count] = [new Float32Array(1), new Float32Array(1)];
    const n = classes.length;
    const probabilities = new Float32Array(x.length);
    callArrays(cross_entropy_f32, {
      logits: Float32Array.from(x),
      targets: Int32Array.from(classes),
      probabilities,
      sum,
      count,
      rows: n,
      columns: n === 0 ? 3 : x.length / n,
      ignoreIndex: ignored,
    });
    return [sum[0]!, count[0]!];
  }

  it('large logits do not overflow', () => {
    expect(logSoftmax([1000, 0])).toEqual([0, -1000]);
    // The largest counts as +0, whichever zero it is: -0 - (+0) = -0.
    expect(logSoftmax([-0])).toEqual([-0]);
    expect(logSoftmax([-1000, -1000])[0]).toBeCloseTo(-Math.LN2, 6);
    expect(crossEntropy([1e30, -1e30], [1])[0]).toBe(Math.fround(2e30));
  });

  it('-inf excludes a class; nothing but -inf, inf and NaN give NaN, as in PyTorch', () => {
    expect(logSoftmax([-Infinity, 3])).toEqual([-Infinity, 0]);
    for (const row of [
      [-Infinity, -Infinity],
      [Infinity, 1],
      [Number.NaN, 1],
    ])
      expect(logSoftmax(row).every(Number.isNaN)).toBe(true);
  });

  it('a batch with every row ignored, or without rows, has sum 0 and count 0', () => {
    expect(crossEntropy([1, 2, 3, 4], [7, 7], 7)).toEqual([0, 0]);
    expect(crossEntropy([], [])).toEqual([0, 0]);
  });

  it('an ignored row may hold NaN', () => {
    const [sum, count] = crossEntropy([Number.NaN, 1, 0, 0], [-100, 1]);
    expect([Math.abs(sum - Math.LN2) < 1e-7, count]).toEqual([true, 1]);
  });

  it('a class outside the columns makes the loss NaN instead of reading elsewhere', () => {
    for (const outside of [2, -1, 2 ** 31 - 1, -(2 ** 31)]) expect(crossEntropy([1, 2], [outside])[0]).toBeNaN();
  });

  it('so do the other kernels that take classes, for that row only', () => {
    for (const outside of [2, -1, 2 ** 31 - 1, -(2 ** 31)]) {
      const targets = Int32Array.of(1, outside, 0);
      const shape = { rows: 3, columns: 2, ignoreIndex: -100 };
      const x = Float32Array.of(-1, -2, -3, -4, -5, -6);
      const [sum, count, gradX] = [new Float32Array(1), new Float32Array(1), new Float32Array(6)];
      callArrays(nll_f32, { logProbabilities: x, targets, sum, count, ...shape });
      expect([sum[0], count[0]]).toEqual([Number.NaN, 3]);
      const gradSum = Float32Array.of(2);
      callArrays(nll_f32_gradient, { gradSum, targets, gradX, ...shape });
      expect([...gradX]).toEqual([0, -2, Number.NaN, Number.NaN, -2, 0]);
      callArrays(cross_entropy_f32_gradient, { gradSum, probabilities: x, targets, gradLogits: gradX, ...shape });
      expect([...gradX]).toEqual([-2, -6, Number.NaN, Number.NaN, -12, -12]);
    }
  });

  it('is close to double precision: 4 ulp of the largest term for ordinary logits', () => {
    const y = new Float32Array(logits.length);
    callArrays(log_softmax_f32, { x: Float32Array.from(logits), y, ...sizes });
    // |y| < 32: each of the subtractions and the logarithm rounds by at most 2^-24 * 16.
    expect(distance(y, naiveLogSoftmax(Float64Array.from(Float32Array.from(logits))))).toBeLessThan(4 * 16 * 2 ** -24);
  });
});

describe('softmax_f32', () => {
  const softmax64 = (x: Float64Array): Float64Array => {
    const y = new Float64Array(x.length);
    referenceArrays(softmax_f32, { x, y, ...sizes });
    return y;
  };

  it('is its definition, in both precisions', () => {
    const naive = naiveLogSoftmax(logits).map(Math.exp);
    expect(distance(softmax64(logits), naive)).toBeLessThan(1e-14);
    const [x, y] = [Float32Array.from(logits), new Float32Array(logits.length)];
    callArrays(softmax_f32, { x, y, ...sizes });
    const exact = softmax64(Float64Array.from(x));
    // d rounds once, below 16, so exp is off by 16 half ulps, plus 2 ulps of its own; the sum of such terms has the same relative error and 5
    // roundings; the reciprocal and the product one each: below 47 half ulps of each probability.
    y.forEach((value, i) => {
      expect(Math.abs(value - exact[i]!)).toBeLessThan(47 * 2 ** -24 * exact[i]!);
    });
  });

  it('does not overflow, and lets -inf be 0', () => {
    const y = new Float32Array(3);
    callArrays(softmax_f32, { x: Float32Array.of(1e38, 1e38, -Infinity), y, rows: 1, columns: 3 });
    expect([...y]).toEqual([0.5, 0.5, 0]);
    callArrays(softmax_f32, { x: Float32Array.of(1, Number.NaN, 2), y, rows: 1, columns: 3 });
    expect([...y]).toEqual([Number.NaN, Number.NaN, Number.NaN]);
  });

  it('gives a row the bits that it has alone', () => {
    const [x, all, alone] = [Float32Array.from(logits), new Float32Array(logits.length), new Float32Array(columns)];
    callArrays(softmax_f32, { x, y: all, ...sizes });
    callArrays(softmax_f32, { x: x.slice(2 * columns, 3 * columns), y: alone, rows: 1, columns });
    expect(alone).toEqual(all.slice(2 * columns, 3 * columns));
  });

  it('has the gradient of central differences', () => {
    const gradY = logits.map((_, i) => ((i * 7) % 5) - 2);
    const [y, gradX] = [softmax64(logits), new Float64Array(logits.length)];
    referenceArrays(softmax_f32_gradient, { gradY, y, gradX, ...sizes });
    const step = 1e-5;
    const total = (x: Float64Array): number => softmax64(x).reduce((sum, value, i) => sum + value * gradY[i]!, 0);
    const differences = logits.map((value, i) => {
      const [up, down] = [logits.slice(), logits.slice()];
      up[i] = value + step;
      down[i] = value - step;
      return (total(up) - total(down)) / (2 * step);
    });
    // Truncation step^2, cancellation 10 * 2^-53 / step.
    expect(distance(gradX, differences)).toBeLessThan(1e-9);
    const single = new Float32Array(logits.length);
    callArrays(softmax_f32_gradient, {
      gradY: Float32Array.from(gradY),
      y: Float32Array.from(y),
      gradX: single,
      ...sizes,
    });
    // Numbers up to 2 with about ten roundings.
    expect(distance(single, gradX)).toBeLessThan(20 * 2 ** -24);
  });
});
