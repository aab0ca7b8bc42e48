/**
 * What the generic suite cannot know about Winograd's convolution: that it is the convolution, within a derived bound, how large its error is on
 * random data, and that backward-data is the transpose. Bits, guards and special values are in contract.test.ts (samples/winograd.ts).
 */
import { describe, expect, it } from 'vitest';
import * as conv from '../../kernels/conv.ts';
import { callArrays, referenceArrays } from '../../kernels/runtime/arrays.ts';
import * as winograd from '../../kernels/winograd.ts';
import { Random } from '../../src/random.ts';

const unit = 2 ** -24;

interface Sizes {
  readonly n: number;
  readonly c: number;
  readonly h: number;
  readonly w: number;
  readonly o: number;
  readonly paddingH: number;
  readonly paddingW: number;
}

const direct = { kh: 3, kw: 3, strideH: 1, strideW: 1, dilationH: 1, dilationW: 1, groups: 1 };

const cases: Sizes[] = [
  { n: 2, c: 3, h: 9, w: 10, o: 5, paddingH: 1, paddingW: 1 },
  { n: 1, c: 40, h: 7, w: 6, o: 3, paddingH: 0, paddingW: 2 },
  { n: 1, c: 300, h: 4, w: 5, o: 2, paddingH: 1, paddingW: 0 },
];

const outputs = (s: Sizes) => s.n * s.o * (s.h + 2 * s.paddingH - 2) * (s.w + 2 * s.paddingW - 2);

function draw(s: Sizes, seed: number) {
  const random = new Random(seed);
  const floats = (length: number) => Float32Array.from({ length }, () => random.normal());
  return { x: floats(s.n * s.c * s.h * s.w), weight: floats(9 * s.o * s.c), gradY: floats(outputs(s)) };
}

/** The matrices of the paper, absolute: A^T, B^T and G of F(m x m, 3 x 3). */
const absolute = {
  2: {
    result: [
      [1, 1, 1, 0],
      [0, 1, 1, 1],
    ],
    image: [
      [1, 0, 1, 0],
      [0, 1, 1, 0],
      [0, 1, 1, 0],
      [0, 1, 0, 1],
    ],
    filter: [
      [1, 0, 0],
      [0.5, 0.5, 0.5],
      [0.5, 0.5, 0.5],
      [0, 0, 1],
    ],
  },
  4: {
    result: [
      [1, 1, 1, 1, 1, 0],
      [0, 1, 1, 2, 2, 0],
      [0, 1, 1, 4, 4, 0],
      [0, 1, 1, 8, 8, 1],
    ],
    image: [
      [4, 0, 5, 0, 1, 0],
      [0, 4, 4, 1, 1, 0],
      [0, 4, 4, 1, 1, 0],
      [0, 2, 1, 2, 1, 0],
      [0, 2, 1, 2, 1, 0],
      [0, 4, 0, 5, 0, 1],
    ],
    filter: [
      [1 / 4, 0, 0],
      [1 / 6, 1 / 6, 1 / 6],
      [1 / 6, 1 / 6, 1 / 6],
      [1 / 24, 1 / 12, 1 / 6],
      [1 / 24, 1 / 12, 1 / 6],
      [0, 0, 1],
    ],
  },
} as const;

type Matrix = readonly (readonly number[])[];

const multiply = (a: Matrix, b: Matrix): number[][] =>
  a.map((row) => b[0]!.map((_, j) => row.reduce((sum, value, k) => sum + value * b[k]![j]!, 0)));
const transposed = (a: Matrix): number[][] => a[0]!.map((_, j) => a.map((row) => row[j]!));
const around = (m: Matrix, x: Matrix): number[][] => multiply(multiply(m, x), transposed(m));

/** Sum over channels of |A^T| ((|G| |g| |G^T|) * (|B^T| |d| |B|)) |A|: what all roundings of an element of y are relative to. */
function magnitude(s: Sizes, m: 2 | 4, x: Float32Array, weight: Float32Array): Float64Array {
  const [ho, wo] = [s.h + 2 * s.paddingH - 2, s.w + 2 * s.paddingW - 2];
  const y = new Float64Array(outputs(s));
  const range = Array.from({ length: m + 2 }, (_, i) => i);
  const { result, image, filter } = absolute[m];
  for (let b = 0; b < s.n; b++)
    for (let out = 0; out < s.o; out++)
      for (let top = 0; top < ho; top += m)
        for (let left = 0; left < wo; left += m) {
          const sums = range.map(() => range.map(() => 0));
          for (let c = 0; c < s.c; c++) {
            const tile = range.map((i) =>
              range.map((j) => {
                const [row, column] = [top + i - s.paddingH, left + j - s.paddingW];
                const inside = row >= 0 && row < s.h && column >= 0 && column < s.w;
                return inside ? Math.abs(x[((b * s.c + c) * s.h + row) * s.w + column]!) : 0;
              }),
            );
            const g = [0, 3, 6].map((i) => [0, 1, 2].map((j) => Math.abs(weight[(out * s.c + c) * 9 + i + j]!)));
            const [u, v] = [around(filter, g), around(image, tile)];
            for (const i of range) for (const j of range) sums[i]![j]! += u[i]![j]! * v[i]![j]!;
          }
          around(result, sums).forEach((row, i) => {
            row.forEach((value, j) => {
              if (top + i < ho && left + j < wo) y[((b * s.o + out) * ho + top + i) * wo + left + j] = value;
            });
          });
        }
  return y;
}

/** Sum over tiles of |G^T| ((|A| |t| |A^T|) * (|B^T| |d| |B|)) |G|, t a tile of gradY: what all roundings of a weight's gradient are relative to. */
function filterMagnitude(s: Sizes, m: 2 | 4, x: Float32Array, gradY: Float32Array): Float64Array {
  const [ho, wo] = [s.h + 2 * s.paddingH - 2, s.w + 2 * s.paddingW - 2];
  const { result, image, filter } = absolute[m];
  const square = (
    values: Float32Array,
    plane: number,
    [h, w]: readonly number[],
    top: number,
    left: number,
    size: number,
  ) =>
    Array.from({ length: size }, (_, i) =>
      Array.from({ length: size }, (_, j) => {
        const [row, column] = [top + i, left + j];
        const inside = row >= 0 && row < h! && column >= 0 && column < w!;
        return inside ? Math.abs(values[(plane * h! + row) * w! + column]!) : 0;
      }),
    );
  const gradient = new Float64Array(9 * s.o * s.c);
  for (let out = 0; out < s.o; out++)
    for (let c = 0; c < s.c; c++) {
      const sums = Array.from({ length: m + 2 }, () => new Array<number>(m + 2).fill(0));
      for (let b = 0; b < s.n; b++)
        for (let top = 0; top < ho; top += m)
          for (let left = 0; left < wo; left += m) {
            const t = around(transposed(result), square(gradY, b * s.o + out, [ho, wo], top, left, m));
            const d = square(x, b * s.c + c, [s.h, s.w], top - s.paddingH, left - s.paddingW, m + 2);
            around(image, d).forEach((row, i) => {
              row.forEach((value, j) => {
                sums[i]![j]! += value * t[i]![j]!;
              });
            });
          }
      gradient.set(around(transposed(filter), sums).flat(), (out * s.c + c) * 9);
    }
  return gradient;
}

/** The direct gradient of the filters in float64. */
function filterTruth(s: Sizes, x: Float32Array, gradY: Float32Array, map: (value: number) => number): Float64Array {
  const gradWeight = new Float64Array(9 * s.o * s.c);
  referenceArrays(conv.conv2d_f32_backward_filter, {
    ...{ ...s, ...direct, gradWeight },
    x: Float64Array.from(x, map),
    gradY: Float64Array.from(gradY, map),
  });
  return gradWeight;
}

/** The direct convolution in float64, of x and |x|. */
function truth(s: Sizes, x: Float32Array, weight: Float32Array, map: (value: number) => number): Float64Array {
  const y = new Float64Array(outputs(s));
  referenceArrays(conv.conv2d_f32_forward, {
    ...{ ...s, ...direct, y },
    x: Float64Array.from(x, map),
    weight: Float64Array.from(weight, map),
  });
  return y;
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
};

describe.each([2, 4] as const)('winograd_conv2d_f32, tiles of %i', (tile) => {
  it('is the convolution within its bound', () => {
    cases.forEach((s, seed) => {
      const { x, weight } = draw(s, seed);
      const y = new Float32Array(outputs(s));
      callArrays(winograd.winograd_conv2d_f32_forward, { ...s, tile, x, weight, y });
      const exact = truth(s, x, weight, (value) => value);
      const size = magnitude(s, tile, x, weight);
      // Roundings on the way of one product, at most: 4 in each dimension of image and result, 5 (with the constants) of the filter; the product;
      // the sum over channels and its blocks; the bias. First order: 1 % for the rest.
      const roundings = 8 + 8 + 10 + 1 + s.c + Math.ceil(s.c / 256) + 1;
      y.forEach((value, i) => {
        const error = Math.abs(value - exact[i]!);
        if (!(error <= 1.01 * roundings * unit * size[i]!)) expect.fail(`y[${i}]: error ${error}, size ${size[i]}`);
      });
    });
  });

  it('has the error on random data that its contract states', () => {
    const s: Sizes = { n: 1, c: 64, h: 16, w: 16, o: 16, paddingH: 1, paddingW: 1 };
    const { x, weight } = draw(s, 7);
    const [y, plain] = [new Float32Array(outputs(s)), new Float32Array(outputs(s))];
    callArrays(winograd.winograd_conv2d_f32_forward, { ...s, tile, x, weight, y });
    callArrays(conv.conv2d_f32_forward, { ...s, ...direct, x, weight, y: plain });
    const exact = truth(s, x, weight, (value) => value);
    const size = truth(s, x, weight, Math.abs);
    const worst = (values: Float32Array) =>
      Math.max(...values.map((value, i) => Math.abs(value - exact[i]!) / (unit * size[i]!)));
    // Measured: 1.65 directly, 1.76 in tiles of 2, 35 in tiles of 4.
    const stated = tile === 2 ? 2.5 : 50;
    expect(worst(plain)).toBeLessThan(2);
    expect(worst(y)).toBeLessThan(stated);
  });

  it('has backward-data as its transpose: <y, gradY> = <x, gradX>', () => {
    cases.forEach((s, seed) => {
      const { x, weight, gradY } = draw(s, 20 + seed);
      const [y, gradX] = [new Float64Array(gradY.length), new Float64Array(x.length)];
      const wide = { x: Float64Array.from(x), weight: Float64Array.from(weight), gradY: Float64Array.from(gradY) };
      referenceArrays(winograd.winograd_conv2d_f32_forward, { ...s, tile, x: wide.x, weight: wide.weight, y });
      const { weight: weights, gradY: gradient } = wide;
      referenceArrays(winograd.winograd_conv2d_f32_backward_data, {
        ...s,
        tile,
        gradY: gradient,
        weight: weights,
        gradX,
      });
      // In float64, where the same bound is 2^-29 smaller; both sums have fewer than 10^6 products of size 100.
      expect(Math.abs(dot(y, gradY) - dot(x, gradX))).toBeLessThan(1e-7);
    });
  });

  it('has backward-filter as the gradient of the direct convolution, within its bound', () => {
    cases.forEach((s, seed) => {
      const { x, gradY } = draw(s, 40 + seed);
      const gradWeight = new Float32Array(9 * s.o * s.c);
      callArrays(winograd.winograd_conv2d_f32_backward_filter, { ...s, tile, x, gradY, gradWeight });
      const exact = filterTruth(s, x, gradY, (value) => value);
      const size = filterMagnitude(s, tile, x, gradY);
      const [down, across] = [s.h + 2 * s.paddingH - 2, s.w + 2 * s.paddingW - 2].map((count) =>
        Math.ceil(count / tile),
      );
      const tiles = s.n * down! * across!;
      // As above: 4 in each dimension of the image, 3 of gradY, 5 (with the constants) of the sums; the product; the sum over tiles and its blocks.
      const roundings = 8 + 6 + 10 + 1 + tiles + Math.ceil(tiles / across!);
      gradWeight.forEach((value, i) => {
        const error = Math.abs(value - exact[i]!);
        if (!(error <= 1.01 * roundings * unit * size[i]!)) expect.fail(`gradWeight[${i}]: ${error}, size ${size[i]}`);
      });
    });
  });

  it('has the error of its filter gradient on random data that its contract states', () => {
    const s: Sizes = { n: 8, c: 8, h: 16, w: 16, o: 8, paddingH: 1, paddingW: 1 };
    const { x, gradY } = draw(s, 9);
    const [found, plain] = [new Float32Array(9 * 64), new Float32Array(9 * 64)];
    callArrays(winograd.winograd_conv2d_f32_backward_filter, { ...s, tile, x, gradY, gradWeight: found });
    callArrays(conv.conv2d_f32_backward_filter, { ...s, ...direct, x, gradY, gradWeight: plain });
    const exact = filterTruth(s, x, gradY, (value) => value);
    const size = filterTruth(s, x, gradY, Math.abs);
    const worst = (values: Float32Array) =>
      Math.max(...values.map((value, i) => Math.abs(value - exact[i]!) / (unit * size[i]!)));
    // Measured: 0.59 directly, 0.73 in tiles of 2, 8.0 in tiles of 4.
    const stated = tile === 2 ? 1.1 : 12;
    expect(worst(plain)).toBeLessThan(1);
    expect(worst(found)).toBeLessThan(stated);
  });

  it('refuses other tiles, more padding and images that are too small', () => {
    const s: Sizes = { n: 1, c: 1, h: 3, w: 3, o: 1, paddingH: 1, paddingW: 1 };
    const data = { x: new Float32Array(9), weight: new Float32Array(9), y: new Float32Array(9) };
    for (const wrong of [{ tile: 3 }, { c: 0 }, { h: 0 }, { paddingW: 3 }])
      expect(() => callArrays(winograd.winograd_conv2d_f32_forward, { ...s, tile, ...data, ...wrong })).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^(KERNEL|ARGUMENT)$/) }),
      );
  });
});
