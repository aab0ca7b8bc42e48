/**
 * What the generic suite cannot know about convolution: that the three kernels are one linear map and its transposes, their error, and that
 * images do not see each other. Cuts, guards, special values and equality with the reference are in contract.test.ts (samples/conv.ts).
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as conv from '../../kernels/conv.ts';
import type { KernelArray } from '../../kernels/define.ts';
import { callArrays, referenceArrays } from '../../kernels/runtime/arrays.ts';
import { Random } from '../../src/random.ts';
import { passedParameters, runGuarded, runReference32 } from './harness.ts';
import samples from './samples/conv.ts';

const unit = 2 ** -24;

interface Sizes {
  readonly n: number;
  readonly c: number;
  readonly h: number;
  readonly w: number;
  readonly o: number;
  readonly kh: number;
  readonly kw: number;
  readonly strideH: number;
  readonly strideW: number;
  readonly paddingH: number;
  readonly paddingW: number;
  readonly dilationH: number;
  readonly dilationW: number;
  readonly groups: number;
}

const plain = { dilationH: 1, dilationW: 1, groups: 1 };

const grid = samples[0]!.grid as unknown as readonly Sizes[];
const anySizes = samples[0]!.numbers as unknown as fc.Arbitrary<Sizes>;

interface Data {
  readonly x: Float32Array;
  readonly weight: Float32Array;
  readonly bias: Float32Array;
  readonly gradY: Float32Array;
}

/** Random data; whole numbers from -4 to 4 if `whole`. */
function draw(s: Sizes, seed: number, whole: boolean): Data {
  const random = new Random(seed);
  const floats = (length: number) =>
    Float32Array.from({ length }, () => (whole ? random.below(9) - 4 : random.normal()));
  const ho = conv.convolutionOutputs(s.h, s.kh, s.strideH, s.paddingH, s.dilationH);
  const wo = conv.convolutionOutputs(s.w, s.kw, s.strideW, s.paddingW, s.dilationW);
  return {
    x: floats(s.n * s.c * s.h * s.w),
    weight: floats((s.o * s.c * s.kh * s.kw) / s.groups),
    bias: floats(s.o),
    gradY: floats(s.n * s.o * ho * wo),
  };
}

function forward(s: Sizes, { x, weight, gradY }: Data, bias?: Float32Array): Float32Array {
  const y = new Float32Array(gradY.length);
  callArrays(conv.conv2d_f32_forward, { ...s, x, weight, y, bias });
  return y;
}

function backwardData(s: Sizes, { x, weight, gradY }: Data): Float32Array {
  const gradX = new Float32Array(x.length);
  callArrays(conv.conv2d_f32_backward_data, { ...s, gradY, weight, gradX });
  return gradX;
}

function backwardFilter(s: Sizes, { x, weight, gradY }: Data): Float32Array {
  const gradWeight = new Float32Array(weight.length);
  callArrays(conv.conv2d_f32_backward_filter, { ...s, x, gradY, gradWeight });
  return gradWeight;
}

interface Truth {
  readonly y: Float64Array;
  readonly gradX: Float64Array;
  readonly gradWeight: Float64Array;
}

/** The three results (of `x`, `weight` and `gradY`) from one naive loop over all products that exist; with absolute values, their sizes. */
function naive(s: Sizes, { x, weight, gradY }: Data, absolute: boolean): Truth {
  const value = (v: number) => (absolute ? Math.abs(v) : v);
  const ho = conv.convolutionOutputs(s.h, s.kh, s.strideH, s.paddingH, s.dilationH);
  const wo = conv.convolutionOutputs(s.w, s.kw, s.strideW, s.paddingW, s.dilationW);
  const y = new Float64Array(gradY.length);
  const gradX = new Float64Array(x.length);
  const gradWeight = new Float64Array(weight.length);
  const each = s.c / s.groups;
  for (let image = 0; image < s.n; image++)
    for (let out = 0; out < s.o; out++)
      for (let channel = 0; channel < each; channel++)
        for (let row = 0; row < s.h; row++)
          for (let column = 0; column < s.w; column++)
            for (let i = 0; i < s.kh; i++)
              for (let j = 0; j < s.kw; j++) {
                const p = (row + s.paddingH - i * s.dilationH) / s.strideH;
                const q = (column + s.paddingW - j * s.dilationW) / s.strideW;
                const c = Math.floor((out * s.groups) / s.o) * each + channel;
                if (!Number.isInteger(p) || !Number.isInteger(q) || p < 0 || q < 0 || p >= ho || q >= wo) continue;
                const inX = ((image * s.c + c) * s.h + row) * s.w + column;
                const inW = ((out * each + channel) * s.kh + i) * s.kw + j;
                const inY = ((image * s.o + out) * ho + p) * wo + q;
                y[inY]! += value(weight[inW]! * x[inX]!);
                gradX[inX]! += value(weight[inW]! * gradY[inY]!);
                gradWeight[inW]! += value(gradY[inY]! * x[inX]!);
              }
  return { y, gradX, gradWeight };
}

/** |actual - truth| <= (terms + 4) * roundoff * sum of absolute products: holds for any order of summation. */
function expectWithin(
  what: string,
  actual: ArrayLike<number>,
  truth: Float64Array,
  size: Float64Array,
  terms: number,
  roundoff: number,
) {
  for (let at = 0; at < truth.length; at++) {
    const error = Math.abs(actual[at]! - truth[at]!);
    if (!(error <= (terms + 4) * roundoff * size[at]!)) expect.fail(`${what}[${at}]: error ${error}, size ${size[at]}`);
  }
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function check(s: Sizes, seed: number): void {
  const data = draw(s, seed, false);
  const truth = naive(s, data, false);
  const size = naive(s, data, true);
  const positions = data.gradY.length / Math.max(1, s.o);
  const terms = { y: s.c * s.kh * s.kw, gradX: s.o * s.kh * s.kw, gradWeight: positions };
  expectWithin('y', forward(s, data), truth.y, size.y, terms.y, unit);
  expectWithin('gradX', backwardData(s, data), truth.gradX, size.gradX, terms.gradX, unit);
  expectWithin('gradWeight', backwardFilter(s, data), truth.gradWeight, size.gradWeight, terms.gradWeight, unit);
  // The references at float64, which gradient checks rest on. Twice the terms: the naive loop rounds as well.
  const [x, weight, gradY] = [data.x, data.weight, data.gradY].map((array) => Float64Array.from(array)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const y = new Float64Array(gradY.length);
  const gradX = new Float64Array(x.length);
  const gradWeight = new Float64Array(weight.length);
  referenceArrays(conv.conv2d_f32_forward, { ...s, x, weight, y });
  referenceArrays(conv.conv2d_f32_backward_data, { ...s, gradY, weight, gradX });
  referenceArrays(conv.conv2d_f32_backward_filter, { ...s, x, gradY, gradWeight });
  expectWithin('y (float64)', y, truth.y, size.y, 2 * terms.y, 2 ** -53);
  expectWithin('gradX (float64)', gradX, truth.gradX, size.gradX, 2 * terms.gradX, 2 ** -53);
  expectWithin('gradWeight (float64)', gradWeight, truth.gradWeight, size.gradWeight, 2 * terms.gradWeight, 2 ** -53);
}

describe('conv2d_f32', () => {
  it('stays within the error bound of a naive double loop, over the grid', () => {
    grid.forEach((s, seed) => {
      check(s, seed);
    });
  });

  it('stays within the error bound of a naive double loop, on random sizes', () => {
    fc.assert(
      fc.property(anySizes, fc.nat(), (s, seed) => check(s, seed)),
      { numRuns: 60 },
    );
  });

  // On whole numbers every sum is exact, so the adjoint identity holds with no tolerance.
  it('has backward-data and backward-filter as transposes: <conv(x, w), g> = <x, data(g, w)> = <w, filter(x, g)>', () => {
    fc.assert(
      fc.property(anySizes, fc.nat(), (s, seed) => {
        const data = draw(s, seed, true);
        const inner = dot(forward(s, data), data.gradY);
        expect(dot(data.x, backwardData(s, data))).toBe(inner);
        expect(dot(data.weight, backwardFilter(s, data))).toBe(inner);
      }),
      { numRuns: 100 },
    );
  });

  it('starts from the bias', () => {
    for (const s of grid) {
      const data = draw(s, 5, true);
      const plain = forward(s, data);
      const perChannel = plain.length / Math.max(1, s.n * s.o);
      const expected = plain.map((value, at) => value + data.bias[Math.floor(at / perChannel) % s.o]!);
      expect(forward(s, data, data.bias)).toEqual(expected);
    }
  });

  it('gives an image the same bits alone and in any batch', () => {
    for (const s of grid.filter(({ n }) => n === 2)) {
      const data = draw(s, 9, false);
      const second = { ...data, x: data.x.slice(data.x.length / 2), gradY: data.gradY.slice(data.gradY.length / 2) };
      expect(forward({ ...s, n: 1 }, second)).toEqual(forward(s, data).slice(data.gradY.length / 2));
      expect(backwardData({ ...s, n: 1 }, second)).toEqual(backwardData(s, data).slice(data.x.length / 2));
    }
  });

  it('sums the filter gradient over images in order', () => {
    // LeNet conv2: 100 positions an image, one block; so the sum over a batch is the float sum of the images, from the first to the last.
    const s: Sizes = { ...grid[1]!, n: 5 };
    const data = draw(s, 11, false);
    const part = <A extends Float32Array>(array: A, image: number) =>
      array.slice((image * array.length) / s.n, ((image + 1) * array.length) / s.n);
    let sum = new Float32Array(data.weight.length);
    for (let image = 0; image < s.n; image++) {
      const one = { ...data, x: part(data.x, image), gradY: part(data.gradY, image) };
      const gradient = backwardFilter({ ...s, n: 1 }, one);
      sum = sum.map((value, at) => value + gradient[at]!);
    }
    expect(backwardFilter(s, data)).toEqual(sum);
  });

  it('multiplies weights with the zeros of the padding, as PyTorch does', () => {
    const s: Sizes = {
      n: 1,
      c: 1,
      h: 2,
      w: 2,
      o: 1,
      kh: 3,
      kw: 3,
      strideH: 1,
      strideW: 1,
      paddingH: 1,
      paddingW: 1,
      ...plain,
    };
    const weight = new Float32Array(9).fill(1);
    weight[0] = Infinity;
    const x = Float32Array.of(1, 2, 3, 4);
    const y = forward(s, { x, weight, bias: new Float32Array(1), gradY: new Float32Array(4) });
    // The upper left tap meets the padding for all but the last position, where it meets x[0] = 1.
    expect([...y]).toEqual([Number.NaN, Number.NaN, Number.NaN, Infinity]);
  });

  it('gives the bits of the reference in a batch with finite weights, whatever the images hold; and with one infinite weight', () => {
    const s: Sizes = {
      n: 9,
      c: 2,
      h: 5,
      w: 6,
      o: 3,
      kh: 3,
      kw: 3,
      strideH: 1,
      strideW: 1,
      paddingH: 1,
      paddingW: 1,
      ...plain,
    };
    const data = draw(s, 17, false);
    const strange = [Number.NaN, Infinity, -Infinity, -0, 0, 1e-40, -3e38];
    for (const array of [data.x, data.gradY])
      for (let i = 0; i < array.length; i += 5) array[i] = strange[(i / 5) % strange.length]!;
    for (const weight of [
      data.weight,
      data.weight.with(0, Infinity),
      data.weight.map((value) => (value > 0 ? 0 : -0)),
    ]) {
      const ending = { residual: data.gradY.slice(), activation: 1, low: 0, high: 6 };
      const outputs = { y: data.gradY.slice(), gradX: data.x.slice(), gradWeight: weight.slice() };
      const arrays = { ...data, weight, ...outputs, ...ending };
      for (const { kernel } of samples) {
        const given: Readonly<Record<string, KernelArray | number>> = { ...s, ...arrays };
        const values = passedParameters(kernel).map(({ name }) => given[name]!);
        const truth = runReference32(kernel, values);
        runGuarded(kernel, values, 0).values.forEach((value, at) => {
          expect(value, `${kernel.name}, argument ${at}`).toEqual(truth[at]);
        });
      }
    }
  });

  it('refuses sizes outside its contract instead of running wild', () => {
    const s: Sizes = {
      n: 1,
      c: 1,
      h: 2,
      w: 2,
      o: 1,
      kh: 2,
      kw: 2,
      strideH: 1,
      strideW: 1,
      paddingH: 0,
      paddingW: 0,
      ...plain,
    };
    const data = {
      x: new Float32Array(64),
      weight: new Float32Array(64),
      bias: new Float32Array(8),
      gradY: new Float32Array(64),
    };
    for (const wrong of [
      { kh: 3 },
      { kw: 3 },
      { kh: 0 },
      { strideH: 0 },
      { strideW: 0 },
      { c: 0 },
      { o: 0 },
      { h: 0 },
      { dilationH: 2 },
      { dilationW: 0 },
      { groups: 2 },
      { groups: 0 },
    ]) {
      for (const call of [forward, backwardData, backwardFilter])
        expect(() => call({ ...s, ...wrong }, data), JSON.stringify(wrong)).toThrow(
          expect.objectContaining({ code: expect.stringMatching(/^(KERNEL|ARGUMENT)$/) }),
        );
    }
  });
});
