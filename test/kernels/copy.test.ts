import { describe, expect, it } from 'vitest';
import { copy_strided_f32, fill_f32, gather_rows_u8_to_f32 } from '../../kernels/copy.ts';
import { callArrays } from '../../kernels/index.ts';

/** The view of 0, 1, 2, ... with these sizes, strides and offset. */
function view(span: number, sizes: readonly number[], strides: readonly number[], offset = 0): number[] {
  const length = sizes.reduce((product, n) => product * n, 1);
  const y = new Float32Array(length);
  const x = Float32Array.from({ length: span }, (_, i) => i);
  callArrays(copy_strided_f32, {
    x,
    layout: Int32Array.from([...sizes, ...strides]),
    y,
    span,
    offset,
    rank: sizes.length,
    length,
  });
  return [...y];
}

describe('copy_strided_f32', () => {
  it('transposes, expands, flips and slices', () => {
    expect(view(6, [3, 2], [1, 3])).toEqual([0, 3, 1, 4, 2, 5]);
    expect(view(3, [2, 3], [0, 1])).toEqual([0, 1, 2, 0, 1, 2]);
    expect(view(3, [3, 2], [1, 0])).toEqual([0, 0, 1, 1, 2, 2]);
    expect(view(4, [4], [-1], 3)).toEqual([3, 2, 1, 0]);
    expect(view(12, [2, 2], [4, 1], 5)).toEqual([5, 6, 9, 10]);
    expect(view(7, [], [], 4)).toEqual([4]);
    expect(view(7, [3, 0], [2, 1])).toEqual([]);
  });

  it('permutes NCHW to NHWC', () => {
    const [c, h, w] = [3, 4, 5];
    const expected: number[] = [];
    for (let n = 0; n < 2; n++)
      for (let y = 0; y < h; y++)
        for (let x = 0; x < w; x++) for (let k = 0; k < c; k++) expected.push(((n * c + k) * h + y) * w + x);
    expect(view(2 * c * h * w, [2, h, w, c], [c * h * w, w, 1, h * w])).toEqual(expected);
  });

  it('moves bits, not numbers: NaN payloads survive', () => {
    const bits = Uint32Array.from({ length: 24 }, (_, i) => 0x7f800001 + i);
    const y = new Float32Array(24);
    callArrays(copy_strided_f32, {
      x: new Float32Array(bits.buffer),
      layout: Int32Array.of(6, 4, 1, 6),
      y,
      span: 24,
      offset: 0,
      rank: 2,
      length: 24,
    });
    const expected = Array.from({ length: 24 }, (_, i) => bits[Math.floor(i / 4) + (i % 4) * 6]!);
    expect([...new Uint32Array(y.buffer)]).toEqual(expected);
  });
});

describe('fill and gather', () => {
  it('fill every element', () => {
    const y = new Float32Array(19);
    callArrays(fill_f32, { y, value: -0, length: 19 });
    expect(y.every((value) => Object.is(value, -0))).toBe(true);
  });

  it('gather chosen rows of bytes, scaled; a row that does not exist is NaN', () => {
    const y = new Float32Array(15);
    const x = Uint8Array.from({ length: 20 }, (_, i) => 10 * i);
    callArrays(gather_rows_u8_to_f32, {
      x,
      rows: Int32Array.of(3, 0, 4),
      y,
      xRows: 4,
      count: 3,
      length: 5,
      scale: 0.5,
      shift: 1,
    });
    expect([...y.slice(0, 10)]).toEqual([76, 81, 86, 91, 96, 1, 6, 11, 16, 21]);
    expect(y.slice(10).every(Number.isNaN)).toBe(true);
  });
});
