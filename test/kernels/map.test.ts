/** What the generic suite cannot know: values at the corners of each formula. */
import { describe, expect, it } from 'vitest';
import { callArrays, kernels } from '../../kernels/index.ts';
import * as map from '../../kernels/map.ts';

const { NaN: nan } = Number;
const inf = Infinity;

/** A unary kernel on the values. */
function unary(kernel: typeof map.neg_f32, values: readonly number[]): number[] {
  const y = new Float32Array(values.length);
  callArrays(kernel, { x: Float32Array.from(values), y, length: values.length });
  return [...y];
}

describe('unary corners', () => {
  it.each([
    ['neg_f32', [0, -0, inf, nan, 1e-45], [-0, 0, -inf, nan, -1.401298464324817e-45]],
    ['relu_f32', [nan, -0, 0, -1, 2, -inf, inf, -1e-45], [nan, -0, 0, 0, 2, 0, inf, 0]],
    ['sqrt_f32', [4, 2, 0, -0, -1, inf, nan], [2, Math.fround(Math.SQRT2), 0, -0, nan, inf, nan]],
    ['square_f32', [-3, 1e30, 1e-30, -inf], [9, inf, 0, inf]],
    ['reciprocal_f32', [4, 0, -0, inf, -inf], [0.25, inf, -inf, 0, -0]],
    ['abs_f32', [-3, -0, nan, -inf], [3, 0, nan, inf]],
    ['exp_f32', [0, -0, 1000, -1000, inf, -inf, nan], [1, 1, inf, 0, inf, 0, nan]],
    ['log_f32', [1, 0, -0, -1, inf, -inf, nan], [0, -inf, -inf, nan, inf, nan, nan]],
    ['tanh_f32', [0, -0, 100, -100, inf, -inf, nan], [0, -0, 1, -1, 1, -1, nan]],
    ['sigmoid_f32', [0, 1000, -1000, inf, -inf, nan], [0.5, 1, 0, 1, 0, nan]],
  ])('%s', (name, values, expected) => {
    expect(unary(kernels[name] as typeof map.neg_f32, values)).toEqual(expected);
  });
});

describe('binary corners', () => {
  it('maximum passes NaN of either side; of equal zeros the first', () => {
    const y = new Float32Array(6);
    callArrays(map.maximum_f32, {
      a: Float32Array.of(1, nan, 3, 0, -0, nan),
      b: Float32Array.of(2, 1, nan, -0, 0, nan),
      y,
      length: 6,
    });
    expect([...y]).toEqual([2, nan, nan, 0, -0, nan]);
  });

  it('div follows IEEE 754', () => {
    const y = new Float32Array(4);
    callArrays(map.div_f32, { a: Float32Array.of(1, 0, -1, inf), b: Float32Array.of(0, 0, 0, inf), y, length: 4 });
    expect([...y]).toEqual([inf, nan, -inf, nan]);
  });

  it('the gradient of relu is 0 at 0 and below, and passes where y is NaN, as in PyTorch', () => {
    const gradX = new Float32Array(5);
    callArrays(map.relu_f32_gradient, {
      gradY: Float32Array.of(5, 5, 5, 5, nan),
      y: Float32Array.of(2, 0, -0, nan, -1),
      gradX,
      length: 5,
    });
    expect([...gradX]).toEqual([5, 0, 0, 5, 0]);
  });

  it('the gradient of tanh is gradY (1 - y^2)', () => {
    const gradX = new Float32Array(3);
    callArrays(map.tanh_f32_gradient, {
      gradY: Float32Array.of(2, 2, 2),
      y: Float32Array.of(0, 0.5, -1),
      gradX,
      length: 3,
    });
    expect([...gradX]).toEqual([2, 1.5, 0]);
  });
});

describe('mask, axpy, bias', () => {
  it('a masked NaN or infinity is 0 (multiplying by 0 would keep NaN)', () => {
    const y = new Float32Array(5);
    callArrays(map.mask_f32, {
      x: Float32Array.of(nan, inf, 3, -4, -0),
      mask: Uint8Array.of(0, 0, 1, 255, 0),
      scale: 2,
      y,
      length: 5,
    });
    expect([...y]).toEqual([0, 0, 6, -8, 0]);
  });

  it('axpy rounds the product before the sum (no fused multiply-add)', () => {
    // (1 + 2^-12)^2 = 1 + 2^-11 + 2^-24: the product rounds to 1 + 2^-11, so that the sum is 0 and not 2^-24.
    const a = 1 + 2 ** -12;
    const y = Float32Array.of(-(1 + 2 ** -11));
    callArrays(map.axpy_f32, { x: Float32Array.of(a), y, s: a, length: 1 });
    expect([...y]).toEqual([0]);
  });

  it('a bias is added to every row', () => {
    const y = new Float32Array(6);
    callArrays(map.add_bias_f32, {
      x: Float32Array.of(1, 2, 3, 4, 5, 6),
      bias: Float32Array.of(10, 20, 30),
      y,
      rows: 2,
      columns: 3,
    });
    expect([...y]).toEqual([11, 22, 33, 14, 25, 36]);
  });
});
