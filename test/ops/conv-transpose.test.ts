/**
 * Transposed convolutions and those over sequences are made of conv2d's operations (whose samples are in test/samples/conv.ts): here their own
 * definitions, written naively and independently, their gradients, and their errors.
 */
import { describe, expect, it } from 'vitest';
import { gradcheck } from '../../src/autograd/index.ts';
import { manualSeed } from '../../src/index.ts';
import { conv2d } from '../../src/ops/conv.ts';
import { type ConvTranspose2dOptions, convTranspose2d } from '../../src/ops/conv-transpose.ts';
import { conv1d, convTranspose1d } from '../../src/ops/conv1d.ts';
import { ones, randn, tensor } from '../../src/tensor/create.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

type Two = readonly [number, number];

interface Case {
  readonly x: readonly [number, number, number, number];
  readonly w: readonly [number, number, number, number];
  readonly stride: Two;
  readonly padding: Two;
  readonly dilation: Two;
  readonly outputPadding: Two;
  readonly groups: number;
}

const base = { stride: [1, 1], padding: [0, 0], dilation: [1, 1], outputPadding: [0, 0], groups: 1 } as const;

const cases: Case[] = [
  { ...base, x: [2, 1, 3, 4], w: [1, 2, 3, 2] },
  { ...base, x: [1, 3, 3, 2], w: [3, 2, 2, 2], stride: [2, 3], outputPadding: [1, 2] },
  { ...base, x: [1, 2, 4, 4], w: [2, 1, 4, 4], stride: [2, 2], padding: [1, 1] },
  { ...base, x: [5, 2, 3, 3], w: [2, 2, 3, 3], stride: [2, 1], padding: [1, 2], dilation: [2, 3] },
  { ...base, x: [1, 4, 2, 3], w: [4, 1, 2, 2], stride: [2, 2], groups: 2 },
  { ...base, x: [2, 3, 2, 2], w: [3, 1, 3, 3], padding: [2, 1], groups: 3, stride: [3, 1], outputPadding: [2, 0] },
  { ...base, x: [1, 1, 1, 1], w: [1, 1, 1, 1] },
  { ...base, x: [0, 1, 2, 2], w: [1, 1, 2, 2] },
];

/** Every input element adds its multiple of the filter to the output: the definition in PyTorch's documentation. */
function scattered(s: Case, x: Float64Array, w: Float64Array): { shape: number[]; data: Float64Array } {
  const [n, c, h, wide] = s.x;
  const [, each, kh, kw] = s.w;
  const length = (d: 0 | 1) =>
    (s.x[d + 2]! - 1) * s.stride[d] - 2 * s.padding[d] + s.dilation[d] * (s.w[d + 2]! - 1) + s.outputPadding[d] + 1;
  const [ho, wo] = [length(0), length(1)];
  const data = new Float64Array(n * each * s.groups * ho * wo);
  for (let b = 0; b < n; b++)
    for (let ch = 0; ch < c; ch++)
      for (let out = 0; out < each; out++)
        for (let y = 0; y < h; y++)
          for (let z = 0; z < wide; z++)
            for (let i = 0; i < kh; i++)
              for (let j = 0; j < kw; j++) {
                const row = y * s.stride[0] - s.padding[0] + i * s.dilation[0];
                const column = z * s.stride[1] - s.padding[1] + j * s.dilation[1];
                if (row < 0 || column < 0 || row >= ho || column >= wo) continue;
                const plane = b * each * s.groups + Math.floor((ch * s.groups) / c) * each + out;
                data[(plane * ho + row) * wo + column]! +=
                  x[((b * c + ch) * h + y) * wide + z]! * w[((ch * each + out) * kh + i) * kw + j]!;
              }
  return { shape: [n, each * s.groups, ho, wo], data };
}

const plainOptions = ({ stride, padding, dilation, outputPadding, groups }: Case): ConvTranspose2dOptions => ({
  ...{ stride, padding, dilation, outputPadding, groups },
});

const values = (x: Tensor): Float64Array => Float64Array.from(x.toTypedArray());

describe('convTranspose2d', () => {
  it('adds a multiple of the filter per element', () => {
    manualSeed(1);
    for (const s of cases) {
      const x = randn(s.x, { dtype: 'float64' });
      const w = randn(s.w, { dtype: 'float64' });
      const bias = randn([s.w[1] * s.groups], { dtype: 'float64' });
      const y = convTranspose2d(x, w, bias, plainOptions(s));
      const truth = scattered(s, values(x), values(w));
      expect(y.shape).toEqual(truth.shape);
      const plane = truth.shape[2]! * truth.shape[3]!;
      const offsets = values(bias);
      values(y).forEach((value, i) => {
        // At most 36 products of normal numbers (below 6 each) and a bias: 40 roundings of at most 36 * 36.
        const expected = truth.data[i]! + offsets[Math.floor(i / plane) % offsets.length]!;
        expect(Math.abs(value - expected)).toBeLessThan(40 * 2 ** -53 * 1300);
      });
    }
  });

  it('is the adjoint of conv2d: <convTranspose2d(x, w), y> = <x, conv2d(y, w)>, exactly on whole numbers', () => {
    for (const s of cases) {
      const whole = (shape: readonly number[], factor: number) =>
        tensor(
          Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => ((i * factor) % 7) - 3),
        ).reshape(shape);
      const [x, w] = [whole(s.x, 5), whole(s.w, 3)];
      const up = convTranspose2d(x, w, undefined, plainOptions(s));
      const y = whole(up.shape, 11);
      const { stride, padding, dilation, groups } = s;
      const down = conv2d(y, w, undefined, { stride, padding, dilation, groups });
      expect(down.shape).toEqual(s.x);
      expect(up.mul(y).sum().item()).toBe(x.mul(down).sum().item());
    }
  });

  it('has the gradients of finite differences', () => {
    manualSeed(2);
    for (const s of cases.filter(({ x }) => x[0] > 0)) {
      const inputs = [s.x, s.w, [s.w[1] * s.groups]].map((shape) =>
        randn(shape, { dtype: 'float64', requiresGrad: true }),
      );
      gradcheck((x, w, b) => convTranspose2d(x!, w!, b, plainOptions(s)), inputs); // throws where they differ
    }
  });

  it('refuses wrong channels, groups, bias, output padding and empty results', () => {
    const x = ones([1, 2, 3, 3]);
    const wrong: [string, () => Tensor][] = [
      ['SHAPE', () => convTranspose2d(x, ones([3, 1, 2, 2]))],
      ['SHAPE', () => convTranspose2d(ones([2, 3, 3]), ones([2, 1, 2, 2]))],
      ['SHAPE', () => convTranspose2d(ones([1, 3, 2, 2]), ones([3, 1, 2, 2]), undefined, { groups: 2 })],
      ['SHAPE', () => convTranspose2d(x, ones([2, 1, 2, 2]), ones([2]))],
      ['SHAPE', () => convTranspose2d(x, ones([2, 1, 2, 2]), undefined, { padding: 2 })],
      ['ARGUMENT', () => convTranspose2d(x, ones([2, 1, 2, 2]), undefined, { outputPadding: 1 })],
      ['ARGUMENT', () => convTranspose2d(x, ones([2, 1, 2, 2]), undefined, { groups: 0 })],
    ];
    for (const [code, call] of wrong) expect(call).toThrow(expect.objectContaining({ code }));
  });
});

describe('convolutions over sequences', () => {
  const options = { stride: 2, padding: 2, dilation: 2, groups: 2 };

  it('are those over images of height 1', () => {
    manualSeed(3);
    const [x, w, b] = [randn([3, 4, 9]), randn([6, 2, 3]), randn([6])];
    const image = conv2d(x.reshape([3, 4, 1, 9]), w.reshape([6, 2, 1, 3]), b, {
      ...{ stride: [1, 2], padding: [0, 2], dilation: [1, 2], groups: 2 },
    });
    const sequence = conv1d(x, w, b, options);
    expect(sequence.shape).toEqual([3, 6, 5]);
    expect(sequence.toTypedArray()).toEqual(image.toTypedArray());
    const up = convTranspose1d(sequence, w, undefined, { ...options, outputPadding: 0 });
    expect(up.shape).toEqual([3, 4, 9]);
  });

  it('have the gradients of finite differences', () => {
    manualSeed(4);
    const inputs = [[2, 4, 7], [4, 2, 3], [4]].map((shape) => randn(shape, { dtype: 'float64', requiresGrad: true }));
    gradcheck((x, w, b) => conv1d(x!, w!, b, options), inputs); // throws where they differ
    gradcheck((x, w, b) => convTranspose1d(x!, w!, b, { ...options, outputPadding: 1 }), inputs); // throws where they differ
  });

  it('refuse other ranks', () => {
    for (const call of [conv1d, convTranspose1d])
      expect(() => call(ones([1, 1, 3, 3]), ones([1, 1, 2]))).toThrow(expect.objectContaining({ code: 'SHAPE' }));
  });
});
