import { describe, expect, it } from 'vitest';
import { callArrays } from '../../kernels/index.ts';
import { max_pool2d_f32, max_pool2d_f32_gradient, poolOutputSize } from '../../kernels/pool.ts';

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
