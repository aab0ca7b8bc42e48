/**
 * Errors of exp, log, tanh and sigmoid in units in the last place (ulp), against Math's double-precision functions (themselves within 1 ulp of
 * a double, which is 2^-29 ulp of a float32).
 */
import { describe, expect, it } from 'vitest';
import { exp64, log64, sigmoid64, tanh64 } from '../../kernels/f64-math.ts';
import { exp_f32, log_f32, sigmoid_f32, tanh_f32 } from '../../kernels/map.ts';
import { callPointers } from '../../kernels/runtime/call.ts';
import { allocate, f32, free } from '../../kernels/runtime/memory.ts';

const sigmoid = (x: number): number => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x)));

/** The distance between neighbouring float32 at |y|. */
function ulp32(y: number): number {
  return 2 ** Math.max(-149, Math.floor(Math.log2(Math.max(Math.abs(y), 1e-300))) - 23);
}

/** Every `step`-th of all 2^32 bit patterns as float32. Set SHOAL_ULP_STEP=1 for all of them (minutes). */
const step = Number(process.env.SHOAL_ULP_STEP ?? 2503);

/** The largest error in ulp over the sample; infinities and NaN must agree exactly. */
function worst(
  kernel: typeof exp_f32 | typeof log_f32 | typeof tanh_f32 | typeof sigmoid_f32,
  truth: (x: number) => number,
): { error: number; at: number } {
  const length = 1 << 16;
  const x = allocate(length * 4);
  const y = allocate(length * 4);
  let found = { error: 0, at: 0 };
  for (let first = 0; first < 2 ** 32; first += length * step) {
    const bits = Uint32Array.from({ length }, (_, i) => Math.min(first + i * step, 2 ** 32 - 1));
    f32(x, length).set(new Float32Array(bits.buffer));
    callPointers(kernel, [x, y, length]);
    const inputs = f32(x, length);
    const results = f32(y, length);
    for (let i = 0; i < length; i++) {
      const exact = truth(inputs[i]!);
      const rounded = Math.fround(exact);
      const actual = results[i]!;
      if (Object.is(rounded, actual)) continue;
      const error =
        Number.isFinite(actual) && Number.isFinite(exact) ? Math.abs(actual - exact) / ulp32(exact) : Infinity;
      if (error > found.error) found = { error, at: inputs[i]! };
    }
  }
  free(x);
  free(y);
  return found;
}

describe('float32 functions over a sample of all float32', () => {
  // Measured over every 37th float32: 0.97, 0.84, 1.43, 2.32.
  it.each([
    ['exp', exp_f32, Math.exp, 1],
    ['log', log_f32, Math.log, 1],
    ['tanh', tanh_f32, Math.tanh, 1.5],
    ['sigmoid', sigmoid_f32, sigmoid, 2.5],
  ] as const)('%s', (name, kernel, truth, bound) => {
    const found = worst(kernel, truth);
    if (process.env.SHOAL_ULP_STEP !== undefined) console.log(`${name}: ${found.error.toFixed(3)} ulp at ${found.at}`);
    expect(found.error, `at ${found.at}`).toBeLessThanOrEqual(bound);
  });

  it('has PyTorch’s special values', () => {
    const special = [
      0,
      -0,
      Infinity,
      -Infinity,
      Number.NaN,
      1e-45,
      -1e-45,
      -1,
      1,
      88.72283,
      88.72284,
      -103.97208,
      -103.97209,
    ];
    const x = allocate(special.length * 4);
    const y = allocate(special.length * 4);
    const results = (kernel: typeof exp_f32): number[] => {
      f32(x, special.length).set(special);
      callPointers(kernel, [x, y, special.length]);
      return [...f32(y, special.length)];
    };
    expect(results(exp_f32).slice(0, 7)).toEqual([1, 1, Infinity, 0, Number.NaN, 1, 1]);
    expect(results(exp_f32).slice(9)).toEqual([Math.fround(Math.exp(Math.fround(88.72283))), Infinity, 2 ** -149, 0]);
    const inf = Infinity;
    expect(results(log_f32).slice(0, 9)).toEqual([
      -inf,
      -inf,
      inf,
      Number.NaN,
      Number.NaN,
      Math.fround(Math.log(2 ** -149)),
      Number.NaN,
      Number.NaN,
      0,
    ]);
    expect(results(tanh_f32).slice(0, 7)).toEqual([0, -0, 1, -1, Number.NaN, 2 ** -149, -(2 ** -149)]);
    expect(results(sigmoid_f32).slice(0, 7)).toEqual([0.5, 0.5, 1, 0, Number.NaN, 0.5, 0.5]);
    free(x);
    free(y);
  });
});

describe('float64 functions', () => {
  function ulp64(y: number): number {
    return 2 ** Math.max(-1074, Math.floor(Math.log2(Math.max(Math.abs(y), Number.MIN_VALUE))) - 52);
  }

  // Math itself may be 1 ulp off; the documented bounds are for the difference.
  it.each([
    ['exp', exp64, Math.exp, -745, 709.7, 2],
    ['exp near 0', exp64, Math.exp, -1, 1, 2],
    ['log', log64, Math.log, 1e-300, 1e3, 2],
    ['log near 1', log64, Math.log, 0.5, 2, 2],
    ['tanh', tanh64, Math.tanh, -20, 20, 4],
    ['tanh near 0', tanh64, Math.tanh, -1, 1, 4],
    ['sigmoid', sigmoid64, sigmoid, -740, 40, 3],
    ['sigmoid near 0', sigmoid64, sigmoid, -4, 4, 3],
  ] as const)('%s', (name, f, truth, low, high, bound) => {
    let error = 0;
    const n = 100_000;
    for (let i = 0; i <= n; i++) {
      const x = low + ((high - low) * (i + 0.37)) / (n + 1);
      const exact = truth(x);
      error = Math.max(error, Math.abs(f(x) - exact) / ulp64(exact));
    }
    if (process.env.SHOAL_ULP_STEP !== undefined) console.log(`${name}: ${error} ulp`);
    expect(error).toBeLessThanOrEqual(bound);
  });

  it('has the special values', () => {
    const special = [0, -0, Infinity, -Infinity, Number.NaN, 5e-324];
    for (const [f, truth] of [
      [exp64, Math.exp],
      [log64, Math.log],
      [tanh64, Math.tanh],
    ] as const)
      expect(special.map(f)).toEqual(special.map(truth));
    expect(special.slice(0, 5).map(sigmoid64)).toEqual([0.5, 0.5, 1, 0, Number.NaN]);
  });
});
