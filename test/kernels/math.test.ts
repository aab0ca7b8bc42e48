/**
 * Errors of the elementary functions in units in the last place (ulp), against Math's double-precision functions (themselves within 1 ulp of
 * a double, which is 2^-29 ulp of a float32).
 */
import { describe, expect, it } from 'vitest';
import type { Kernel } from '../../kernels/define.ts';
import { exp64, log64, sigmoid64, tanh64 } from '../../kernels/f64-math.ts';
import {
  cos64,
  erf64,
  expm1_64,
  gelu64,
  geluSlope64,
  geluTanh64,
  geluTanhSlope64,
  log1p_64,
  pow64,
  silu64,
  sin64,
  softplus64,
} from '../../kernels/f64-special.ts';
import {
  cos_f32,
  erf_f32,
  exp_f32,
  expm1_f32,
  gelu_f32,
  gelu_f32_gradient,
  gelu_tanh_f32,
  gelu_tanh_f32_gradient,
  log_f32,
  log1p_f32,
  pow_f32,
  sigmoid_f32,
  silu_f32,
  sin_f32,
  softplus_f32,
  tanh_f32,
} from '../../kernels/map.ts';
import { callPointers } from '../../kernels/runtime/call.ts';
import { allocate, f32, free } from '../../kernels/runtime/memory.ts';

const sigmoid = (x: number): number => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x)));

/** The distance between neighbouring float32 at |y|. */
function ulp32(y: number): number {
  return 2 ** Math.max(-149, Math.floor(Math.log2(Math.max(Math.abs(y), 1e-300))) - 23);
}

/** Every `step`-th of all 2^32 bit patterns as float32. Set SHOAL_ULP_STEP=1 for all of them (minutes). */
const step = Number(process.env.SHOAL_ULP_STEP ?? 2503);

const length = 1 << 16;

/** Every `step`-th bit pattern from the `first` on, as floats. */
function floatsFrom(first: number): Float32Array {
  return new Float32Array(Uint32Array.from({ length }, (_, i) => Math.min(first + i * step, 2 ** 32 - 1)).buffer);
}

/** The largest error over the sample, in the unit given; infinities and NaN must agree exactly. */
function worst(
  call: (x: number, y: number) => number[],
  kernel: Kernel,
  truth: (x: number) => number,
  unit: (exact: number, x: number) => number = ulp32,
): { error: number; at: number } {
  const x = allocate(length * 4);
  const y = allocate(length * 4);
  let found = { error: 0, at: 0 };
  for (let first = 0; first < 2 ** 32; first += length * step) {
    f32(x, length).set(floatsFrom(first));
    callPointers(kernel, call(x, y));
    const inputs = f32(x, length);
    const results = f32(y, length);
    for (let i = 0; i < length; i++) {
      const exact = truth(inputs[i]!);
      const rounded = Math.fround(exact);
      const actual = results[i]!;
      if (Object.is(rounded, actual)) continue;
      const error =
        Number.isFinite(actual) && Number.isFinite(exact)
          ? Math.abs(actual - exact) / unit(exact, inputs[i]!)
          : Infinity;
      if (error > found.error) found = { error, at: inputs[i]! };
    }
  }
  free(x);
  free(y);
  return found;
}

const plain = (x: number, y: number): number[] => [x, y, length];

describe('float32 functions over a sample of all float32', () => {
  // Measured over every 37th float32: 0.97, 0.84, 1.43, 2.00, 1.33; the others are rounded once, from doubles.
  it.each([
    ['exp', exp_f32, Math.exp, 1],
    ['log', log_f32, Math.log, 1],
    ['tanh', tanh_f32, Math.tanh, 1.5],
    ['sigmoid', sigmoid_f32, sigmoid, 2],
    ['erf', erf_f32, erf64, 1.5],
    ['expm1', expm1_f32, Math.expm1, 0.51],
    ['log1p', log1p_f32, Math.log1p, 0.51],
    ['sin', sin_f32, Math.sin, 0.51],
    ['cos', cos_f32, Math.cos, 0.51],
    ['gelu', gelu_f32, gelu64, 0.51],
    ['gelu with tanh', gelu_tanh_f32, geluTanh64, 0.51],
  ] as const)('%s', (name, kernel, truth, bound) => {
    const found = worst(plain, kernel, truth);
    if (process.env.SHOAL_ULP_STEP !== undefined) console.log(`${name}: ${found.error.toFixed(3)} ulp at ${found.at}`);
    expect(found.error, `at ${found.at}`).toBeLessThanOrEqual(bound);
  });

  // Below -87, sigmoid has few bits left.
  it('silu', () => {
    const found = worst(plain, silu_f32, silu64, (exact, x) => Math.max(ulp32(exact), Math.abs(x) * 2 ** -149));
    if (process.env.SHOAL_ULP_STEP !== undefined) console.log(`silu: ${found.error.toFixed(3)} ulp at ${found.at}`);
    expect(found.error, `at ${found.at}`).toBeLessThanOrEqual(3);
  });

  it('softplus', () => {
    const found = worst((x, y) => [x, 1, Infinity, y, length], softplus_f32, softplus64);
    if (process.env.SHOAL_ULP_STEP !== undefined) console.log(`softplus: ${found.error.toFixed(3)} ulp at ${found.at}`);
    expect(found.error, `at ${found.at}`).toBeLessThanOrEqual(2);
  });

  // Rounded once, too. The derivative of GELU has a zero at -0.75, where its two terms, known to 2^-33, cancel.
  it.each([
    ['slope of gelu', gelu_f32_gradient, geluSlope64],
    ['slope of gelu with tanh', gelu_tanh_f32_gradient, geluTanhSlope64],
  ] as const)('%s', (name, kernel, truth) => {
    const ones = allocate(length * 4);
    f32(ones, length).fill(1);
    const terms = (x: number): number => Math.abs(x) * Math.exp((x * x) / -2);
    const found = worst(
      (x, y) => [ones, x, y, length],
      kernel,
      truth,
      (exact, x) => ulp32(exact) + 2 ** -31 * terms(x),
    );
    free(ones);
    if (process.env.SHOAL_ULP_STEP !== undefined) console.log(`${name}: ${found.error.toFixed(3)} ulp at ${found.at}`);
    expect(found.error, `at ${found.at}`).toBeLessThanOrEqual(0.51);
  });

  it('pow, over pairs of bit patterns and of ordinary numbers', () => {
    const [a, b, y] = [allocate(length * 4), allocate(length * 4), allocate(length * 4)];
    let state = 1;
    const word = (): number => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0);
    let found = { error: 0, at: '' };
    for (let round = 0; round < Math.max(20, 40_000 / step); round++) {
      const bits = new Float32Array(Uint32Array.from({ length }, word).buffer);
      const others = new Float32Array(Uint32Array.from({ length }, word).buffer);
      // Every other round: exponents that reach subnormal and the largest results.
      if (round % 2 === 1)
        others.forEach((_, i) => {
          others[i] = (((word() / 2 ** 32) * 2 - 1) * 105) / Math.max(1e-7, Math.abs(Math.log(Math.abs(bits[i]!))));
          if (i % 3 === 0) others[i] = Math.round(others[i]!);
        });
      f32(a, length).set(bits);
      f32(b, length).set(others);
      callPointers(pow_f32, [a, b, y, length]);
      const results = f32(y, length);
      for (let i = 0; i < length; i++) {
        const [base, power, actual] = [f32(a, length)[i]!, f32(b, length)[i]!, results[i]!];
        // C and PyTorch, against ECMAScript: 1 to any power is 1.
        const exact = base === 1 || (base === -1 && Math.abs(power) === Infinity) ? 1 : base ** power;
        if (Object.is(Math.fround(exact), actual)) continue;
        const error =
          Number.isFinite(actual) && Number.isFinite(exact) ? Math.abs(actual - exact) / ulp32(exact) : Infinity;
        if (error > found.error) found = { error, at: `${base} ** ${power}` };
      }
    }
    for (const pointer of [a, b, y]) free(pointer);
    if (process.env.SHOAL_ULP_STEP !== undefined) console.log(`pow: ${found.error.toFixed(3)} ulp at ${found.at}`);
    expect(found.error, found.at).toBeLessThanOrEqual(0.51);
  });

  // But for GELU of -inf, where the limit is of more use than NaN.
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
    const [nan, tiny] = [Number.NaN, 2 ** -149];
    expect(results(erf_f32).slice(0, 7)).toEqual([0, -0, 1, -1, nan, tiny, -tiny]);
    expect(results(gelu_f32).slice(0, 7)).toEqual([0, -0, inf, -0, nan, tiny, -0]);
    expect(results(gelu_tanh_f32).slice(0, 7)).toEqual([0, -0, inf, -0, nan, 0, -0]);
    expect(results(silu_f32).slice(0, 5)).toEqual([0, -0, inf, nan, nan]);
    expect(results(expm1_f32).slice(0, 7)).toEqual([0, -0, inf, -1, nan, tiny, -tiny]);
    expect(results(log1p_f32).slice(0, 8)).toEqual([0, -0, inf, nan, nan, tiny, -tiny, -inf]);
    expect(results(sin_f32).slice(0, 7)).toEqual([0, -0, nan, nan, nan, tiny, -tiny]);
    expect(results(cos_f32).slice(0, 7)).toEqual([1, 1, nan, nan, nan, 1, 1]);
    free(x);
    free(y);
  });
});

/** The table of C's pow (F.10.4.4 in C17), which PyTorch keeps. */
const powers = [
  [0, 3, 0],
  [-0, 3, -0],
  [-0, 2, 0],
  [-0, -1, -Infinity],
  [0, -1, Infinity],
  [-0, -2, Infinity],
  [0, 0.5, 0],
  [0, Infinity, 0],
  [0, -Infinity, Infinity],
  [-1, Infinity, 1],
  [-1, -Infinity, 1],
  [1, Number.NaN, 1],
  [-1, Number.NaN, Number.NaN],
  [Number.NaN, 0, 1],
  [Number.NaN, -0, 1],
  [Number.NaN, 1, Number.NaN],
  [-2, 0.5, Number.NaN],
  [-2, 3, -8],
  [-2, -2, 0.25],
  [-Infinity, 0.5, Infinity],
  [-Infinity, 3, -Infinity],
  [-Infinity, -3, -0],
  [-Infinity, -2, 0],
  [Infinity, -1, 0],
  [0.5, Infinity, 0],
  [0.5, -Infinity, Infinity],
  [2, Infinity, Infinity],
  [2, -Infinity, 0],
  [-2, Infinity, Infinity],
  [2 ** -149, 1, 2 ** -149],
  [2, -149, 2 ** -149],
  [2, -150, 0],
  [-(2 ** 24), 1, -(2 ** 24)],
] as const;

it.each(powers)('%d to the power of %d is %d', (x, power, expected) => {
  const [a, b, y] = [allocate(4), allocate(4), allocate(4)];
  f32(a, 1)[0] = x;
  f32(b, 1)[0] = power;
  callPointers(pow_f32, [a, b, y, 1]);
  expect(f32(y, 1)[0]).toBe(expected);
  for (const pointer of [a, b, y]) free(pointer);
  const double = pow64(x, power);
  if (Number.isFinite(expected) && expected !== 0) expect(double / expected).toBeCloseTo(1, 12);
  else if (power !== -150) expect(double).toBe(expected);
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
    ['expm1', expm1_64, Math.expm1, -40, 700, 4],
    ['expm1 near 0', expm1_64, Math.expm1, -1.5, 1.5, 4],
    ['log1p', log1p_64, Math.log1p, -0.99, 100, 4],
    ['log1p near 0', log1p_64, Math.log1p, -1e-3, 1e-3, 4],
    ['silu', silu64, (x: number) => x * sigmoid(x), -30, 30, 4],
    ['softplus', softplus64, (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))), -30, 30, 5],
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

  // Tables of 17 digits, by mpmath.
  it.each([
    [1e-8, 1.1283791670955126e-8],
    [0.1, 0.1124629160182849],
    [0.5, 0.5204998778130465],
    [1, 0.8427007929497149],
    [2, 0.9953222650189527],
    [2.4999, 0.9995928300996666],
    [2.5, 0.999593047982555],
    [3, 0.9999779095030014],
    [4, 0.9999999845827421],
    [6, 1],
  ])('erf %d', (x, expected) => {
    expect(Math.abs(erf64(x) / expected - 1)).toBeLessThan(8 * 2 ** -53);
    expect(erf64(-x)).toBe(-erf64(x));
  });

  it.each([
    ['sin', sin64, Math.sin],
    ['cos', cos64, Math.cos],
  ] as const)('%s, up to the largest double', (_, f, truth) => {
    for (let i = 0; i < 2000; i++)
      for (const x of [i / 100, -i * 37.77, (i + 0.1) * 1e5, (i + 0.3) * 1e9, 1.7e308 / (1 + i)])
        expect(Math.abs(f(x) - truth(x)), `at ${x}`).toBeLessThan(2 * 2 ** -52);
  });

  it('pow', () => {
    for (let i = 0; i < 2000; i++) {
      const [x, y] = [0.01 + (i % 97) * 0.37, -40 + i * 0.041];
      const bound = (4 + 4 * Math.abs(y * Math.log(x))) * 2 ** -53;
      expect(Math.abs(pow64(x, y) / x ** y - 1), `${x} ** ${y}`).toBeLessThan(bound);
    }
  });

  it('has the special values', () => {
    const special = [0, -0, Infinity, -Infinity, Number.NaN, 5e-324];
    for (const [f, truth] of [
      [exp64, Math.exp],
      [log64, Math.log],
      [tanh64, Math.tanh],
      [expm1_64, Math.expm1],
      [log1p_64, Math.log1p],
      [sin64, Math.sin],
      [cos64, Math.cos],
    ] as const)
      expect(special.map(f)).toEqual(special.map(truth));
    expect(special.slice(0, 5).map(sigmoid64)).toEqual([0.5, 0.5, 1, 0, Number.NaN]);
  });
});
