/** @file Element-wise kernels: one result per element, no order between elements. */
import { anyAlignment, defineKernel, input, of, output, type Round, scalar, size } from './define.ts';
import { exp32, log32, sigmoid32, tanh32 } from './f32-math.ts';
import { exp64, log64, sigmoid64, tanh64 } from './f64-math.ts';

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
/** y = 1 / (1 + e^-x) within 2.5 ulp. */
export const sigmoid_f32 = unary('sigmoid_f32', 'y = 1 / (1 + e^-x), within 2.5 ulp', inBoth(sigmoid32, sigmoid64));
/** y = |x|. */
export const abs_f32 = unary('abs_f32', 'y = |x|', () => Math.abs);

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

/** y = f(x, s) with one number s. */
function withScalar(name: string, summary: string, f: (x: number, s: number) => number) {
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
    reference: (_round: Round, x: Floats, s: number, y: Floats, length: number) => {
      for (let i = 0; i < length; i++) y[i] = f(x[i]!, s);
    },
  });
}

/** y = x + s. */
export const add_scalar_f32 = withScalar('add_scalar_f32', 'y = x + s', (x, s) => x + s);
/** y = x * s. */
export const mul_scalar_f32 = withScalar('mul_scalar_f32', 'y = x * s', (x, s) => x * s);

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
