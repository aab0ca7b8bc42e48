import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { callArrays, referenceArrays } from '../../kernels/index.ts';
import {
  adaptive_avg_pool2d_f32,
  adaptive_avg_pool2d_f32_gradient,
  avg_pool2d_f32,
  avg_pool2d_f32_gradient,
  max_pool2d_f32,
  max_pool2d_f32_gradient,
  max_pool2d_f32_values,
  poolOutputSize,
} from '../../kernels/pool.ts';
import { Random } from '../../src/random.ts';

interface Settings {
  readonly h: number;
  readonly w: number;
  readonly k: number;
  readonly stride: number;
  readonly padding?: number;
}

function pool(
  values: readonly number[],
  { h, w, k, stride, padding = 0 }: Settings,
): { y: number[]; indices: number[]; ho: number; wo: number } {
  const ho = poolOutputSize(h, k, stride, padding);
  const wo = poolOutputSize(w, k, stride, padding);
  const planes = values.length / (h * w);
  const y = new Float32Array(planes * ho * wo);
  const indices = new Int32Array(planes * ho * wo);
  const window = { kh: k, kw: k, strideH: stride, strideW: stride, paddingH: padding, paddingW: padding };
  callArrays(max_pool2d_f32, { x: Float32Array.from(values), y, indices, planes, h, w, ...window });
  return { y: [...y], indices: [...indices], ho, wo };
}

describe('max_pool2d_f32', () => {
  it('takes the largest of each window and where it is', () => {
    // biome-ignore format: a picture
    const x = [
      1, 2, 5, 0,
      4, 3, 1, 9,
      7, 7, -1, -2,
      7, 7, -3, -1,
    ];
    expect(pool(x, { h: 4, w: 4, k: 2, stride: 2 })).toMatchObject({ y: [4, 9, 7, -1], indices: [4, 7, 8, 10] });
    expect(pool(x, { h: 4, w: 4, k: 3, stride: 1 })).toMatchObject({ y: [7, 9, 7, 9], indices: [8, 7, 8, 7] });
    expect(pool(x, { h: 4, w: 4, k: 3, stride: 2, padding: 1 })).toMatchObject({
      y: [4, 9, 7, 9],
      indices: [4, 7, 8, 7],
    });
  });

  it('never lets padding win, and counts indices inside each plane', () => {
    expect(pool([-5, -6, -7, -8, -1, -2, -3, -4], { h: 2, w: 2, k: 2, stride: 2, padding: 1 })).toMatchObject({
      y: [-5, -6, -7, -8, -1, -2, -3, -4],
      indices: [0, 1, 2, 3, 0, 1, 2, 3],
    });
  });

  it('lets NaN win, in the fast path and outside', () => {
    const wide = Array.from({ length: 20 }, (_, i) => (i === 12 ? Number.NaN : i));
    expect(pool(wide, { h: 2, w: 10, k: 2, stride: 2 })).toMatchObject({
      y: [11, Number.NaN, 15, 17, 19],
      indices: [11, 12, 15, 17, 19],
    });
    expect(pool([1, Number.NaN, 3, 4], { h: 2, w: 2, k: 2, stride: 1 })).toMatchObject({
      y: [Number.NaN],
      indices: [1],
    });
    expect(pool([-Infinity, -Infinity, -Infinity, -Infinity], { h: 2, w: 2, k: 2, stride: 2 })).toMatchObject({
      y: [-Infinity],
      indices: [0],
    });
  });

  it('finds the first of equals and the last NaN, whatever else is there, in the padding and outside, with places and without', () => {
    const common = fc.constantFrom(0, -0, 1, 1, 2, Number.NEGATIVE_INFINITY);
    const special = fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY);
    const few = fc.oneof({ arbitrary: common, weight: 30 }, { arbitrary: special, weight: 1 });
    const windows = fc.constantFrom([2, 2], [2, 1], [3, 2], [3, 1], [4, 2], [1, 1], [2, 3]);
    const plane = fc.integer({ min: 4, max: 18 }).chain((w) => fc.array(few, { minLength: 5 * w, maxLength: 5 * w }));
    fc.assert(
      fc.property(plane, windows, fc.nat(1), (values, [k, stride], padding) => {
        const [h, w, room] = [5, values.length / 5, k! > 1 ? padding : 0];
        const sizes = { planes: 1, h, w, kh: k!, kw: k!, strideH: stride!, strideW: stride! };
        const outputs = poolOutputSize(h, k!, stride!, room) * poolOutputSize(w, k!, stride!, room);
        const numbers = { ...sizes, paddingH: room, paddingW: room };
        const ours = { x: Float32Array.from(values), y: new Float32Array(outputs), indices: new Int32Array(outputs) };
        callArrays(max_pool2d_f32, { ...ours, ...numbers });
        const theirs = { x: Float64Array.from(values), y: new Float64Array(outputs), indices: new Int32Array(outputs) };
        referenceArrays(max_pool2d_f32, { ...theirs, ...numbers });
        expect(ours.indices).toEqual(theirs.indices);
        expect([...ours.y]).toEqual([...theirs.y]); // Object.is: the signs of zeros count
        const alone = { x: ours.x, y: new Float32Array(outputs), ...numbers };
        callArrays(max_pool2d_f32_values, alone);
        expect([...alone.y]).toEqual([...theirs.y]);
      }),
      { numRuns: 1000 },
    );
  });

  it('has the output sizes of PyTorch', () => {
    expect([
      poolOutputSize(28, 2, 2, 0),
      poolOutputSize(7, 3, 2, 1),
      poolOutputSize(5, 2, 2, 0),
      poolOutputSize(1, 2, 2, 0),
    ]).toEqual([14, 4, 2, 0]);
  });
});

describe('max_pool2d_f32_gradient', () => {
  it('returns each gradient to where its value came from, adding where windows overlap', () => {
    const x = [1, 2, 3, 4, 9, 6, 7, 8, 5];
    const { indices, ho, wo } = pool(x, { h: 3, w: 3, k: 2, stride: 1 });
    expect(indices).toEqual([4, 4, 4, 4]);
    const gradX = new Float32Array(9).fill(Number.NaN);
    const gradY = Float32Array.of(1, 10, 100, 1000);
    callArrays(max_pool2d_f32_gradient, {
      gradY,
      indices: Int32Array.from(indices),
      gradX,
      planes: 1,
      h: 3,
      w: 3,
      ho,
      wo,
    });
    expect([...gradX]).toEqual([0, 0, 0, 0, 1111, 0, 0, 0, 0]);
  });
});

const random64 = (length: number, seed: number): Float64Array => {
  const random = new Random(seed);
  return Float64Array.from({ length }, () => random.normal());
};
const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

function expectNear(actual: ArrayLike<number>, expected: readonly number[], tolerance: number): void {
  expect(actual.length).toBe(expected.length);
  expected.forEach((value, i) => {
    expect(Math.abs(actual[i]! - value), `element ${i}`).toBeLessThan(tolerance);
  });
}

/** Element (i, j) of a plane, and 0 around it. */
const padded = (x: ArrayLike<number>, h: number, w: number, i: number, j: number): number =>
  i >= 0 && i < h && j >= 0 && j < w ? x[i * w + j]! : 0;

describe('avg_pool2d_f32', () => {
  const average = (values: readonly number[], sizes: Omit<Settings, 'padding'> & { padding: number }, pads: 0 | 1) => {
    const { h, w, k, stride, padding } = sizes;
    const [ho, wo] = [poolOutputSize(h, k, stride, padding), poolOutputSize(w, k, stride, padding)];
    const y = new Float32Array(ho * wo);
    const window = { kh: k, kw: k, strideH: stride, strideW: stride, paddingH: padding, paddingW: padding };
    callArrays(avg_pool2d_f32, { x: Float32Array.from(values), y, planes: 1, h, w, ...window, countIncludePad: pads });
    return [...y];
  };

  it('takes the mean of each window, counting the padding or not', () => {
    const x = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    expect(average(x, { h: 3, w: 3, k: 2, stride: 1, padding: 0 }, 1)).toEqual([3, 4, 6, 7]);
    // nn.AvgPool2d(2, 2, padding=1)
    expect(average(x, { h: 3, w: 3, k: 2, stride: 2, padding: 1 }, 1)).toEqual([0.25, 1.25, 2.75, 7]);
    expect(average(x, { h: 3, w: 3, k: 2, stride: 2, padding: 1 }, 0)).toEqual([1, 2.5, 5.5, 7]);
  });

  const [h, w, kh, kw, strideH, strideW, paddingH, paddingW] = [6, 13, 3, 2, 2, 1, 1, 1] as const;
  const [ho, wo] = [poolOutputSize(h, kh, strideH, paddingH), poolOutputSize(w, kw, strideW, paddingW)];
  const shape = { planes: 1, h, w, kh, kw, strideH, strideW, paddingH, paddingW };
  const x = random64(h * w, 1);

  it.each([0, 1])('is a sum over the padded plane, by the sum of ones (countIncludePad %i)', (countIncludePad) => {
    const ones = new Float64Array(h * w).fill(1);
    const expected = Array.from({ length: ho * wo }, (_, out) => {
      const [top, left] = [Math.floor(out / wo) * strideH - paddingH, (out % wo) * strideW - paddingW];
      const over = (plane: Float64Array): number => {
        let sum = 0;
        for (let k = 0; k < kh * kw; k++) sum += padded(plane, h, w, top + Math.floor(k / kw), left + (k % kw));
        return sum;
      };
      return over(x) / (countIncludePad === 1 ? kh * kw : over(ones));
    });
    const [y, single] = [new Float64Array(ho * wo), new Float32Array(ho * wo)];
    referenceArrays(avg_pool2d_f32, { x, y, ...shape, countIncludePad });
    expectNear(y, expected, 1e-14);
    callArrays(avg_pool2d_f32, { x: Float32Array.from(x), y: single, ...shape, countIncludePad });
    // Six numbers below 4: their rounding, five sums below 24, a quotient.
    expectNear(single, expected, 30 * 2 ** -24);
  });

  it.each([0, 1])('has the adjoint as gradient (countIncludePad %i)', (countIncludePad) => {
    const g = random64(ho * wo, 2);
    const [y, gradX] = [new Float64Array(ho * wo), new Float64Array(h * w)];
    referenceArrays(avg_pool2d_f32, { x, y, ...shape, countIncludePad });
    referenceArrays(avg_pool2d_f32_gradient, { gradY: g, gradX, ...shape, countIncludePad });
    expect(dot(y, g)).toBeCloseTo(dot(x, gradX), 12);
    const single = new Float32Array(h * w);
    callArrays(avg_pool2d_f32_gradient, { gradY: Float32Array.from(g), gradX: single, ...shape, countIncludePad });
    // At most four windows on an element, gradients below 4.
    expectNear(single, [...gradX], 40 * 2 ** -24);
  });
});

describe('adaptive_avg_pool2d_f32', () => {
  it('is the mean of the plane for one window', () => {
    const y = new Float32Array(2);
    callArrays(adaptive_avg_pool2d_f32, {
      x: Float32Array.of(1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 50, 60),
      y,
      planes: 2,
      h: 2,
      w: 3,
      ho: 1,
      wo: 1,
    });
    expect([...y]).toEqual([3.5, 35]);
  });

  const [h, w, ho, wo] = [5, 17, 3, 7] as const;
  const shape = { planes: 1, h, w, ho, wo };
  const x = random64(h * w, 3);
  /** Element `at` of `size` counts for window `i` of `count` when their stretches of the unit interval overlap. */
  const overlaps = (at: number, size: number, i: number, count: number): boolean =>
    at * count < (i + 1) * size && (at + 1) * count > i * size;

  it('is the mean of the elements that a window overlaps', () => {
    const expected = Array.from({ length: ho * wo }, (_, out) => {
      const members = [...x].filter(
        (_, at) => overlaps(Math.floor(at / w), h, Math.floor(out / wo), ho) && overlaps(at % w, w, out % wo, wo),
      );
      return members.reduce((sum, value) => sum + value, 0) / members.length;
    });
    const [y, single] = [new Float64Array(ho * wo), new Float32Array(ho * wo)];
    referenceArrays(adaptive_avg_pool2d_f32, { x, y, ...shape });
    expectNear(y, expected, 1e-14);
    callArrays(adaptive_avg_pool2d_f32, { x: Float32Array.from(x), y: single, ...shape });
    // Up to 12 numbers below 4, partial sums below 48.
    expectNear(single, expected, 48 * 2 ** -24);
  });

  it('has the adjoint as gradient', () => {
    const g = random64(ho * wo, 4);
    const [y, gradX] = [new Float64Array(ho * wo), new Float64Array(h * w)];
    referenceArrays(adaptive_avg_pool2d_f32, { x, y, ...shape });
    referenceArrays(adaptive_avg_pool2d_f32_gradient, { gradY: g, gradX, ...shape });
    expect(dot(y, g)).toBeCloseTo(dot(x, gradX), 12);
    const single = new Float32Array(h * w);
    callArrays(adaptive_avg_pool2d_f32_gradient, { gradY: Float32Array.from(g), gradX: single, ...shape });
    expectNear(single, [...gradX], 40 * 2 ** -24);
  });
});
