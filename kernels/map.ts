/** @file Element-wise kernels: one result per element, no order between elements. */
import { anyAlignment, defineKernel, input, of, output, type Round, scalar, size } from './define.ts';
import {
  cos32,
  expm1_32,
  gelu32,
  geluSlope32,
  geluTanh32,
  geluTanhSlope32,
  log1p_32,
  pow32,
  sin32,
} from './f32-double.ts';
import { erf32, exp32, log32, sigmoid32, silu32, siluSlope32, softplus32, tanh32 } from './f32-math.ts';
import { exp64, log64, sigmoid64, tanh64 } from './f64-math.ts';
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
  siluSlope64,
  sin64,
  softplus64,
} from './f64-special.ts';

type Floats = Float32Array | Float64Array;

const elementwise = {
  order: 'Each element on its own; each operation of the formula rounds once, in the order written.',
  aliasing: 'The output may be any one of the inputs (same pointer); other overlaps are not allowed.',
  alignment: anyAlignment,
  edges: 'length 0 touches nothing. A NaN argument gives NaN where the formula does not say otherwise.',
};

/** y = f(x); `f` takes the rounding and gives the function, so that f32 and f64 may differ in method. */
function unary<const N extends string>(name: N, summary: string, f: (round: Round) => (x: number) => number) {
  return defineKernel({
    name,
    summary,
    parameters: [
      input('x', of('length'), 'argument'),
      output('y', of('length'), 'result'),
      size('length', 'number of elements'),
    ],
    rules: elementwise,
    reference: (round: Round, x: Floats, y: Floats, length: number) => {
      const g = f(round);
      for (let i = 0; i < length; i++) y[i] = g(x[i]!);
    },
  });
}

/** Picks the float32 or the float64 version of a function that has two. */
function inBoth(f32: (x: number) => number, f64: (x: number) => number): (round: Round) => (x: number) => number {
  return (round) => (round === Math.fround ? f32 : f64);
}

/** y = -x: the sign bit flips, also of zeros. */
export const neg_f32 = unary('neg_f32', 'y = -x', () => (x) => -x);
/** y = e^x within 1 ulp; overflows to inf, underflows through subnormals to 0. */
export const exp_f32 = unary('exp_f32', 'y = e^x, within 1 ulp', inBoth(exp32, exp64));
/** y = ln x within 1 ulp; 0 gives -inf, x < 0 gives NaN. */
export const log_f32 = unary('log_f32', 'y = ln x, within 1 ulp', inBoth(log32, log64));
/** y = tanh x within 1.5 ulp; odd. */
export const tanh_f32 = unary('tanh_f32', 'y = tanh x, within 1.5 ulp', inBoth(tanh32, tanh64));
/** y = x < 0 ? 0 : x; NaN and -0 pass. */
// biome-ignore lint/complexity/useMathMinMax: Math.max would turn -0 into 0.
export const relu_f32 = unary('relu_f32', 'y = x < 0 ? 0 : x', () => (x) => (x < 0 ? 0 : x));
/** y = square root of x, correctly rounded; x < 0 gives NaN. */
export const sqrt_f32 = unary('sqrt_f32', 'y = sqrt x', () => Math.sqrt);
/** y = x * x. */
export const square_f32 = unary('square_f32', 'y = x * x', () => (x) => x * x);
/** y = 1 / x. */
export const reciprocal_f32 = unary('reciprocal_f32', 'y = 1 / x', () => (x) => 1 / x);
/** y = 1 / (1 + e^-x) within 2 ulp. */
export const sigmoid_f32 = unary('sigmoid_f32', 'y = 1 / (1 + e^-x), within 2 ulp', inBoth(sigmoid32, sigmoid64));
/** y = |x|. */
export const abs_f32 = unary('abs_f32', 'y = |x|', () => Math.abs);

/** y = erf x within 1.5 ulp; odd. */
export const erf_f32 = unary('erf_f32', 'y = erf x, within 1.5 ulp', inBoth(erf32, erf64));
/** y = x Phi(x), the exact GELU, within 0.51 ulp, by doubles; -inf gives -0, the limit (PyTorch: NaN). */
export const gelu_f32 = unary('gelu_f32', 'y = x (1 + erf(x / sqrt 2)) / 2, within 0.51 ulp', inBoth(gelu32, gelu64));
/** y = x sigmoid(2u), u = sqrt(2 / pi) (x + 0.044715 x^3): GELU with tanh in the place of erf, within 0.51 ulp, by doubles; -inf gives -0. */
export const gelu_tanh_f32 = unary(
  'gelu_tanh_f32',
  'y = x (1 + tanh u) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3), within 0.51 ulp',
  inBoth(geluTanh32, geluTanh64),
);
/** y = x sigmoid(x) within 3 ulp, or |x| 2^-149 if that is more; -inf gives NaN, as in PyTorch. */
export const silu_f32 = unary('silu_f32', 'y = x / (1 + e^-x), within 3 ulp', inBoth(silu32, silu64));
/** y = e^x - 1 within 0.51 ulp, by doubles; -0 stays. */
export const expm1_f32 = unary('expm1_f32', 'y = e^x - 1, within 0.51 ulp', inBoth(expm1_32, expm1_64));
/** y = ln(1 + x) within 0.51 ulp, by doubles; -0 stays, -1 gives -inf, below it NaN. */
export const log1p_f32 = unary('log1p_f32', 'y = ln(1 + x), within 0.51 ulp', inBoth(log1p_32, log1p_64));
/** y = sin x within 0.51 ulp over all floats, by doubles; -0 stays, inf gives NaN. */
export const sin_f32 = unary('sin_f32', 'y = sin x, within 0.51 ulp', inBoth(sin32, sin64));
/** y = cos x within 0.51 ulp over all floats, by doubles; inf gives NaN. */
export const cos_f32 = unary('cos_f32', 'y = cos x, within 0.51 ulp', inBoth(cos32, cos64));

/** y = f(a, b). */
function binary<const A extends string, const B extends string, const Y extends string>(
  name: string,
  summary: string,
  [a, b, y]: readonly [A, B, Y],
  f: (a: number, b: number, round: Round) => number,
) {
  return defineKernel({
    name,
    summary,
    parameters: [
      input(a, of('length'), 'first argument'),
      input(b, of('length'), 'second argument'),
      output(y, of('length'), 'result'),
      size('length', 'number of elements'),
    ],
    rules: elementwise,
    reference: (round: Round, first: Floats, second: Floats, result: Floats, length: number) => {
      for (let i = 0; i < length; i++) result[i] = f(first[i]!, second[i]!, round);
    },
  });
}

const abToY = ['a', 'b', 'y'] as const;

/** y = a + b. In place with y = a. */
export const add_f32 = binary('add_f32', 'y = a + b', abToY, (a, b) => a + b);
/** y = a - b. */
export const sub_f32 = binary('sub_f32', 'y = a - b', abToY, (a, b) => a - b);
/** y = a * b. */
export const mul_f32 = binary('mul_f32', 'y = a * b', abToY, (a, b) => a * b);
/** y = a / b. */
export const div_f32 = binary('div_f32', 'y = a / b', abToY, (a, b) => a / b);
/** y = b if a < b or b is NaN, else a: NaN of either passes; of equal zeros the first. */
export const maximum_f32 = binary('maximum_f32', 'y = a < b or b is NaN ? b : a', abToY, (a, b) =>
  a < b || Number.isNaN(b) ? b : a,
);

/** y = a to the power of b within 0.51 ulp, by doubles; the special cases are C's and PyTorch's: 1 for b = 0 and for a = 1, also of NaN. */
export const pow_f32 = binary('pow_f32', 'y = a^b, within 0.51 ulp', abToY, (a, b, round) =>
  round === Math.fround ? pow32(a, b) : pow64(a, b),
);

/** gradX = gradY * (1 - y * y), with y = tanh x. */
export const tanh_f32_gradient = binary(
  'tanh_f32_gradient',
  'gradX = gradY * (1 - y * y)',
  ['gradY', 'y', 'gradX'],
  (gradY, y, round) => {
    return gradY * round(1 - round(y * y));
  },
);

/** gradX = y <= 0 ? 0 : gradY, with y = relu x or x itself. NaN in y passes gradY on, as in PyTorch. */
export const relu_f32_gradient = binary(
  'relu_f32_gradient',
  'gradX = y <= 0 ? 0 : gradY',
  ['gradY', 'y', 'gradX'],
  (gradY, y) => {
    return y <= 0 ? 0 : gradY;
  },
);

/** gradX = gradY * slope(x). */
function fromSlope(name: string, formula: string, f32: (x: number) => number, f64: (x: number) => number) {
  return binary(name, `gradX = gradY * (${formula})`, ['gradY', 'x', 'gradX'], (gradY, x, round) => {
    return gradY * (round === Math.fround ? f32 : f64)(x);
  });
}

/** gradX = gradY * (Phi(x) + x phi(x)), the gradient of gelu_f32. */
export const gelu_f32_gradient = fromSlope('gelu_f32_gradient', 'Phi(x) + x phi(x)', geluSlope32, geluSlope64);
/** gradX = gradY * (s + x s (1 - s) (c + 3 d x^2)), s = sigmoid(x (c + d x^2)): the gradient of gelu_tanh_f32. */
export const gelu_tanh_f32_gradient = fromSlope(
  'gelu_tanh_f32_gradient',
  's + x s (1 - s) (c + 3 d x^2), s = sigmoid(x (c + d x^2))',
  geluTanhSlope32,
  geluTanhSlope64,
);
/** gradX = gradY * s (1 + x (1 - s)), s = sigmoid(x): the gradient of silu_f32. */
export const silu_f32_gradient = fromSlope(
  'silu_f32_gradient',
  's (1 + x (1 - s)), s = sigmoid(x)',
  siluSlope32,
  siluSlope64,
);

/** y = f(x, s) with one number s. */
function withScalar(name: string, summary: string, f: (x: number, s: number, round: Round) => number) {
  return defineKernel({
    name,
    summary,
    parameters: [
      input('x', of('length'), 'argument'),
      scalar('s', 'the number'),
      output('y', of('length'), 'result'),
      size('length', 'number of elements'),
    ],
    rules: elementwise,
    reference: (round: Round, x: Floats, s: number, y: Floats, length: number) => {
      for (let i = 0; i < length; i++) y[i] = f(x[i]!, s, round);
    },
  });
}

/** y = x + s. */
export const add_scalar_f32 = withScalar('add_scalar_f32', 'y = x + s', (x, s) => x + s);
/** y = x * s. */
export const mul_scalar_f32 = withScalar('mul_scalar_f32', 'y = x * s', (x, s) => x * s);

/** y = x to the power of s, as pow_f32. */
export const pow_scalar_f32 = withScalar('pow_scalar_f32', 'y = x^s, within 0.51 ulp', (x, s, round) =>
  round === Math.fround ? pow32(x, s) : pow64(x, s),
);

/** y = ln(1 + e^(beta x)) / beta, within 2 ulp for beta = 1; x itself where beta x > threshold. */
export const softplus_f32 = defineKernel({
  name: 'softplus_f32',
  summary: 'y = beta x > threshold ? x : ln(1 + e^(beta x)) / beta',
  parameters: [
    input('x', of('length'), 'argument'),
    scalar('beta', 'steepness, not 0'),
    scalar('threshold', 'from where on y = x'),
    output('y', of('length'), 'result'),
    size('length', 'number of elements'),
  ],
  rules: elementwise,
  reference: (round: Round, x: Floats, beta: number, threshold: number, y: Floats, length: number) => {
    const softplus = round === Math.fround ? softplus32 : softplus64;
    for (let i = 0; i < length; i++) {
      const z = round(x[i]! * beta);
      y[i] = z > threshold ? x[i]! : softplus(z) / beta;
    }
  },
});

/** y += s * x, in place: the product rounds, then the sum. */
export const axpy_f32 = defineKernel({
  name: 'axpy_f32',
  summary: 'y = y + s * x',
  parameters: [
    input('x', of('length'), 'what is added'),
    { name: 'y', kind: 'inout', type: 'float', length: of('length'), doc: 'what it is added to' },
    scalar('s', 'its factor'),
    size('length', 'number of elements'),
  ],
  rules: { ...elementwise, aliasing: 'y may be x.' },
  reference: (round: Round, x: Floats, y: Floats, s: number, length: number) => {
    for (let i = 0; i < length; i++) y[i] = y[i]! + round(s * x[i]!);
  },
});

/** y = mask ? x * scale : 0 (dropout and its gradient). Masked elements are +0 whatever x is. */
export const mask_f32 = defineKernel({
  name: 'mask_f32',
  summary: 'y = mask ? x * scale : 0',
  parameters: [
    input('x', of('length'), 'argument'),
    {
      name: 'mask',
      kind: 'input',
      type: 'u8',
      length: of('length'),
      doc: '0 drops the element, anything else keeps it',
    },
    scalar('scale', 'factor of kept elements, 1 / (1 - p) in dropout'),
    output('y', of('length'), 'result'),
    size('length', 'number of elements'),
  ],
  rules: { ...elementwise, aliasing: 'y may be x.' },
  reference: (_round: Round, x: Floats, mask: Uint8Array, scale: number, y: Floats, length: number) => {
    for (let i = 0; i < length; i++) y[i] = mask[i] === 0 ? 0 : x[i]! * scale;
  },
});

/** y[r, c] = x[r, c] + bias[c]. */
export const add_bias_f32 = defineKernel({
  name: 'add_bias_f32',
  summary: 'y[r, c] = x[r, c] + bias[c]',
  parameters: [
    input('x', of('rows', 'columns'), '[rows, columns]'),
    input('bias', of('columns'), '[columns]'),
    output('y', of('rows', 'columns'), '[rows, columns]'),
    size('rows', 'number of rows'),
    size('columns', 'number of columns'),
  ],
  rules: { ...elementwise, aliasing: 'y may be x.' },
  reference: (_round: Round, x: Floats, bias: Floats, y: Floats, rows: number, columns: number) => {
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) y[r * columns + c] = x[r * columns + c]! + bias[c]!;
  },
});
