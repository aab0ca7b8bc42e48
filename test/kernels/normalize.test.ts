/** Normalisation against its textbook definition in double precision, gradients against central differences, float32 against float64. */
import { describe, expect, it } from 'vitest';
import { callArrays, referenceArrays } from '../../kernels/index.ts';
import {
  batch_norm_f32,
  batch_norm_f32_gradient,
  batch_norm_f32_inference,
  layer_norm_f32,
  layer_norm_f32_gradient,
} from '../../kernels/normalize.ts';
import { Random } from '../../src/random.ts';

const epsilon = 1e-5;
/** Half an ulp of 1 in float32. */
const u = 2 ** -24;

/** Normal numbers that float32 holds exactly. */
function normals(length: number, seed: number): Float64Array {
  const random = new Random(seed);
  return Float64Array.from({ length }, () => Math.fround(random.normal()));
}
const f64 = (length: number): Float64Array => new Float64Array(length);
const to32 = (x: Float64Array): Float32Array => Float32Array.from(x);

function expectNear(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++)
    if (!(Math.abs(actual[i]! - expected[i]!) <= tolerance))
      expect.fail(`element ${i}: ${actual[i]}, expected ${expected[i]} +- ${tolerance}`);
}

/** (x - mean) / sqrt(variance + epsilon) of the listed elements, in place. */
function normalize(x: Float64Array, members: readonly number[]): { mean: number; variance: number } {
  const mean = members.reduce((sum, i) => sum + x[i]!, 0) / members.length;
  const variance = members.reduce((sum, i) => sum + (x[i]! - mean) ** 2, 0) / members.length;
  for (const i of members) x[i] = (x[i]! - mean) / Math.sqrt(variance + epsilon);
  return { mean, variance };
}

const range = (length: number): number[] => Array.from({ length }, (_, i) => i);

/** d of the sum of y(values) * factors / d values, by central differences of second order. */
function differences(values: Float64Array, factors: Float64Array, y: () => Float64Array): Float64Array {
  const step = 1e-5;
  const total = (): number => y().reduce((sum, value, i) => sum + value * factors[i]!, 0);
  return values.map((value, i) => {
    values[i] = value + step;
    const up = total();
    values[i] = value - step;
    const down = total();
    values[i] = value;
    return (up - down) / (2 * step);
  });
}
// Truncation step^2 / 6 times a third derivative (tens), cancellation 2^-53 * 50 / step: below 1e-8 together.
const differenceTolerance = 1e-8;

describe('layer_norm_f32', () => {
  const [rows, columns] = [7, 50];
  const [x, weight, bias] = [normals(rows * columns, 1), normals(columns, 2), normals(columns, 3)];
  const definition = (): Float64Array => {
    const y = x.slice();
    for (let r = 0; r < rows; r++)
      normalize(
        y,
        range(columns).map((c) => r * columns + c),
      );
    return y.map((normal, i) => normal * weight[i % columns]! + bias[i % columns]!);
  };
  const sizes = { rows, columns, epsilon };
  const run = (): Record<'y' | 'mean' | 'rstd', Float64Array> => {
    const out = { y: f64(x.length), mean: f64(rows), rstd: f64(rows) };
    referenceArrays(layer_norm_f32, { x, weight, bias, ...out, ...sizes });
    return out;
  };

  it('is the textbook definition', () => {
    expectNear(run().y, definition(), 1e-13);
    const y = new Float32Array(x.length);
    callArrays(layer_norm_f32, { x: to32(x), weight: to32(weight), bias: to32(bias), y, ...sizes });
    // Sums of 50 in lanes: 9 roundings, so the mean is off by 9u max|x| (4); rstd by 10u; |normal| and |weight| are below 4: (10 * 4 + 14 * 4) * 4 u.
    expectNear(y, definition(), 400 * u);
  });

  it('knows a row by heart', () => {
    const y = new Float32Array(4);
    callArrays(layer_norm_f32, { x: Float32Array.of(1, 2, 3, 4), y, rows: 1, columns: 4, epsilon: 0 });
    // (i - 2.5) / sqrt(1.25).
    expectNear(y, [-1.3416407864998738, -0.4472135954999579, 0.4472135954999579, 1.3416407864998738], 4 * u);
  });

  it('takes the mean away first: a large common addend changes little', () => {
    const y = new Float32Array(4);
    const x4 = Float32Array.of(4_194_305, 4_194_306, 4_194_307, 4_194_308);
    callArrays(layer_norm_f32, { x: x4, y, rows: 1, columns: 4, epsilon: 0 });
    // Sum and mean are exact here; mean of squares minus square of mean would have no digit left.
    expectNear(y, [-1.3416407864998738, -0.4472135954999579, 0.4472135954999579, 1.3416407864998738], 4 * u);
  });

  it('gives a row the bits that it has alone', () => {
    const [all, alone] = [new Float32Array(x.length), new Float32Array(columns)];
    callArrays(layer_norm_f32, { x: to32(x), y: all, ...sizes });
    const row = to32(x).slice(3 * columns, 4 * columns);
    callArrays(layer_norm_f32, { x: row, y: alone, rows: 1, columns, epsilon });
    expect(alone).toEqual(all.slice(3 * columns, 4 * columns));
  });

  it('has the gradients of the definition', () => {
    const gradY = normals(x.length, 4);
    const { mean, rstd } = run();
    const gradients = { gradX: f64(x.length), gradWeight: f64(columns), gradBias: f64(columns) };
    referenceArrays(layer_norm_f32_gradient, { gradY, x, weight, mean, rstd, ...gradients, rows, columns });
    expectNear(gradients.gradX, differences(x, gradY, definition), differenceTolerance);
    expectNear(gradients.gradWeight, differences(weight, gradY, definition), differenceTolerance);
    expectNear(gradients.gradBias, differences(bias, gradY, definition), differenceTolerance);
    const single = {
      gradX: new Float32Array(x.length),
      gradWeight: new Float32Array(columns),
      gradBias: new Float32Array(columns),
    };
    const [given, state] = [
      { gradY: to32(gradY), x: to32(x) },
      { mean: to32(mean), rstd: to32(rstd) },
    ];
    callArrays(layer_norm_f32_gradient, { ...given, weight: to32(weight), ...state, ...single, rows, columns });
    // Terms up to 4 * 4 * 4 with about 20 roundings; the columns' sums have 7 terms.
    expectNear(single.gradX, gradients.gradX, 1280 * u);
    expectNear(single.gradWeight, gradients.gradWeight, 7 * 16 * 10 * u);
    expectNear(single.gradBias, gradients.gradBias, 7 * 4 * 7 * u);
  });
});

describe.each([
  [4, 3, 10],
  [9, 5, 1],
])('batch_norm_f32 of [%i, %i, %i]', (images, channels, inner) => {
  const length = images * channels * inner;
  const [x, weight, bias] = [normals(length, 5), normals(channels, 6), normals(channels, 7)];
  const channelOf = (i: number): number => Math.floor(i / inner) % channels;
  const membersOf = (c: number): number[] => range(length).filter((i) => channelOf(i) === c);
  const definition = (): Float64Array => {
    const y = x.slice();
    for (let c = 0; c < channels; c++) normalize(y, membersOf(c));
    return y.map((normal, i) => normal * weight[channelOf(i)]! + bias[channelOf(i)]!);
  };
  const shape = { images, channels, inner };
  const run = (): Record<'y' | 'mean' | 'variance' | 'rstd', Float64Array> => {
    const out = { y: f64(length), mean: f64(channels), variance: f64(channels), rstd: f64(channels) };
    referenceArrays(batch_norm_f32, { x, weight, bias, ...out, ...shape, epsilon });
    return out;
  };

  it('is the textbook definition and gives the statistics', () => {
    const { y, mean, variance, rstd } = run();
    expectNear(y, definition(), 1e-13);
    const statistics = range(channels).map((c) => normalize(x.slice(), membersOf(c)));
    expectNear(
      mean,
      statistics.map((s) => s.mean),
      1e-14,
    );
    expectNear(
      variance,
      statistics.map((s) => s.variance),
      1e-14,
    );
    expectNear(
      rstd,
      statistics.map((s) => 1 / Math.sqrt(s.variance + epsilon)),
      1e-14,
    );
    const single = {
      y: new Float32Array(length),
      mean: new Float32Array(channels),
      variance: new Float32Array(channels),
      rstd: new Float32Array(channels),
    };
    callArrays(batch_norm_f32, { x: to32(x), weight: to32(weight), bias: to32(bias), ...single, ...shape, epsilon });
    // As in layer_norm_f32, with 40 elements.
    expectNear(single.y, y, 400 * u);
    expectNear(single.variance, variance, 40 * u);
  });

  it('in inference is the same function of given statistics', () => {
    const { y, mean, variance } = run();
    const inference = f64(length);
    referenceArrays(batch_norm_f32_inference, { x, weight, bias, mean, variance, y: inference, ...shape, epsilon });
    expect(inference).toEqual(y);
    const known = new Float32Array(2);
    callArrays(batch_norm_f32_inference, {
      x: Float32Array.of(3, -1),
      weight: Float32Array.of(2),
      bias: Float32Array.of(10),
      mean: Float32Array.of(1),
      variance: Float32Array.of(4),
      y: known,
      images: 2,
      channels: 1,
      inner: 1,
      epsilon: 0,
    });
    expect([...known]).toEqual([12, 8]);
  });

  it('has the gradients of the definition, with statistics that depend on x and with constants', () => {
    const gradY = normals(length, 8);
    const { mean, variance, rstd } = run();
    const gradients = { gradX: f64(length), gradWeight: f64(channels), gradBias: f64(channels) };
    const given = { gradY, x, weight, mean, rstd, ...shape };
    referenceArrays(batch_norm_f32_gradient, { ...given, ...gradients, training: 1 });
    expectNear(gradients.gradX, differences(x, gradY, definition), differenceTolerance);
    expectNear(gradients.gradWeight, differences(weight, gradY, definition), differenceTolerance);
    expectNear(gradients.gradBias, differences(bias, gradY, definition), differenceTolerance);
    const single = {
      gradX: new Float32Array(length),
      gradWeight: new Float32Array(channels),
      gradBias: new Float32Array(channels),
    };
    callArrays(batch_norm_f32_gradient, {
      gradY: to32(gradY),
      x: to32(x),
      weight: to32(weight),
      mean: to32(mean),
      rstd: to32(rstd),
      ...single,
      ...shape,
      training: 1,
    });
    // As in layer_norm_f32; the sums have 40 terms up to 16 and 9 roundings.
    expectNear(single.gradX, gradients.gradX, 1280 * u);
    expectNear(single.gradWeight, gradients.gradWeight, 40 * 16 * 10 * u);
    expectNear(single.gradBias, gradients.gradBias, 40 * 4 * 10 * u);

    const fixed = (): Float64Array => {
      const y = f64(length);
      referenceArrays(batch_norm_f32_inference, { x, weight, bias, mean, variance, y, ...shape, epsilon });
      return y;
    };
    referenceArrays(batch_norm_f32_gradient, { ...given, ...gradients, training: 0 });
    expectNear(gradients.gradX, differences(x, gradY, fixed), differenceTolerance);
    expectNear(gradients.gradWeight, differences(weight, gradY, fixed), differenceTolerance);
  });
});
