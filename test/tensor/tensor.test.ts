/** @file Making, reading, printing and overwriting tensors; refusals with their codes. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import '../../src/install.ts';
import type { DType } from '../../src/dtype.ts';
import { noGrad } from '../../src/ops/index.ts';
import { add_, copy_, mul_, sub_, zero_ } from '../../src/ops/inplace.ts';
import {
  arange,
  fromTypedArray,
  full,
  manualSeed,
  ones,
  rand,
  randn,
  type Tensor,
  tensor,
  withRandomKey,
  zeros,
} from '../../src/tensor/index.ts';

const codeOf = (fn: () => unknown): string | undefined => {
  try {
    fn();
  } catch (error) {
    return (error as { code?: string }).code;
  }
  return undefined;
};

describe('creation', () => {
  it('takes numbers, nested arrays, booleans and typed arrays', () => {
    expect(tensor(3).shape).toEqual([]);
    expect(tensor(3).item()).toBe(3);
    const nested = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect([nested.shape, nested.dtype]).toEqual([[2, 3], 'float32']);
    expect(nested.toArray()).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(tensor([true, false]).dtype).toBe('bool');
    expect(tensor([[], []]).shape).toEqual([2, 0]);
    for (const [array, dtype] of [
      [new Float32Array([1, 2]), 'float32'],
      [new Float64Array([1, 2]), 'float64'],
      [new Int32Array([1, 2]), 'int32'],
      [new Uint8Array([1, 2]), 'uint8'],
    ] as const) {
      const made = tensor(array);
      expect(made.dtype).toBe(dtype);
      expect(made.toTypedArray()).toEqual(array);
      array[0] = 9;
      expect(made.toTypedArray()[0]).toBe(1);
    }
    expect(tensor(new Float32Array(6), { shape: [2, 3] }).shape).toEqual([2, 3]);
    expect(tensor(new Float32Array([1, 2, 3, 4]).subarray(1, 3)).toArray()).toEqual([2, 3]);
  });

  it('fills, counts and draws', () => {
    expect(full([2], 7).toArray()).toEqual([7, 7]);
    expect(zeros([2, 1]).toArray()).toEqual([[0], [0]]);
    expect(ones([2], { dtype: 'int32' }).toTypedArray()).toEqual(new Int32Array([1, 1]));
    expect(arange(3).toArray()).toEqual([0, 1, 2]);
    expect(arange(5, 0, { step: -2 }).toArray()).toEqual([5, 3, 1]);
    expect(arange(2, 2).shape).toEqual([0]);
    const drawn = rand([1000], { low: -2, high: -1 }).toTypedArray();
    expect(drawn.every((x) => x >= -2 && x < -1)).toBe(true);
    // Mean of 10^4 standard normals: standard deviation 0.01; variance: 0.014. Five of them.
    const normals = Array.from(randn([10_000], { dtype: 'float64' }).toTypedArray());
    const mean = normals.reduce((a, b) => a + b, 0) / 10_000;
    expect(Math.abs(mean)).toBeLessThan(0.05);
    expect(Math.abs(normals.reduce((a, b) => a + b * b, 0) / 10_000 - 1)).toBeLessThan(0.07);
  });

  it.each([
    ['ragged', () => tensor([[1, 2], [3]]), 'SHAPE'],
    ['depth', () => tensor([1, [2]] as never), 'ARGUMENT'],
    ['depth the other way', () => tensor([[1], 2] as never), 'SHAPE'],
    ['string', () => tensor(['1'] as never), 'ARGUMENT'],
    ['bigint', () => tensor([1n] as never), 'ARGUMENT'],
    ['holes', () => tensor(new Array<number>(2)), 'ARGUMENT'],
    ['other typed array', () => tensor(new Int8Array(2) as never), 'ARGUMENT'],
    ['NaN as int32', () => tensor([Number.NaN], { dtype: 'int32' }), 'DTYPE'],
    ['1.5 as int32', () => tensor([1.5], { dtype: 'int32' }), 'DTYPE'],
    ['2^31 as int32', () => tensor([2 ** 31], { dtype: 'int32' }), 'DTYPE'],
    ['-1 as uint8', () => tensor([-1], { dtype: 'uint8' }), 'DTYPE'],
    ['2 as bool', () => full([1], 2, { dtype: 'bool' }), 'DTYPE'],
    ['unknown dtype', () => tensor([1], { dtype: 'float16' as DType }), 'ARGUMENT'],
    ['too few values', () => fromTypedArray([1, 2], [3]), 'SHAPE'],
    ['negative size', () => zeros([-1]), 'SHAPE'],
    ['fraction of a size', () => zeros([1.5]), 'SHAPE'],
    ['2^31 elements', () => zeros([2 ** 16, 2 ** 15]), 'SHAPE'],
    ['gradient of int32', () => ones([1], { dtype: 'int32', requiresGrad: true }), 'DTYPE'],
    ['step 0', () => arange(0, 5, { step: 0 }), 'ARGUMENT'],
    ['step away', () => arange(0, 5, { step: -1 }), 'ARGUMENT'],
    ['random int32', () => rand([1], { dtype: 'int32' }), 'DTYPE'],
    ['seed', () => manualSeed(-1), 'ARGUMENT'],
    ['item of two', () => tensor([1, 2]).item(), 'SHAPE'],
  ])('refuses: %s', (_, call, code) => {
    expect(codeOf(call)).toBe(code);
  });

  it('gives back what it was given, for any shape', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 6 }), (shape) => {
        const size = shape.reduce((a, b) => a * b, 1);
        const values = Float32Array.from({ length: size }, (_, i) => i - 3);
        const made = fromTypedArray(values, shape);
        expect(made.toTypedArray()).toEqual(values);
        expect((made.toArray() as number[]).valueOf()).toEqual(tensorFrom(values, shape));
      }),
    );
  });
});

function tensorFrom(values: Float32Array, shape: readonly number[]): unknown {
  if (shape.length === 0) return values[0];
  const inner = shape.slice(1).reduce((a, b) => a * b, 1);
  return Array.from({ length: shape[0]! }, (_, i) =>
    tensorFrom(values.subarray(i * inner, (i + 1) * inner), shape.slice(1)),
  );
}

describe('randomness', () => {
  it('starts anew with each seed and goes on between draws', () => {
    manualSeed(5);
    const [a, b] = [rand([7]), rand([7])];
    expect(a.toTypedArray()).not.toEqual(b.toTypedArray());
    manualSeed(5);
    expect(rand([7]).toTypedArray()).toEqual(a.toTypedArray());
    expect(rand([7]).toTypedArray()).toEqual(b.toTypedArray());
    manualSeed(6);
    expect(rand([7]).toTypedArray()).not.toEqual(a.toTypedArray());
  });

  it('has an inner key that does not disturb the outer one', () => {
    manualSeed(5);
    const [a, b] = [rand([3]), rand([3])];
    manualSeed(5);
    expect(rand([3]).toTypedArray()).toEqual(a.toTypedArray());
    const draw = (stream: readonly [number, number]): Tensor => withRandomKey({ seed: 9, stream }, () => rand([3]));
    expect(draw([1, 2]).toTypedArray()).toEqual(draw([1, 2]).toTypedArray());
    expect(draw([1, 2]).toTypedArray()).not.toEqual(draw([2, 1]).toTypedArray());
    expect(rand([3]).toTypedArray()).toEqual(b.toTypedArray());
    expect(codeOf(() => withRandomKey({ seed: 1 }, async () => 1))).toBe('ARGUMENT');
    expect(() =>
      withRandomKey({ seed: 1 }, () => {
        throw new Error('inside');
      }),
    ).toThrow('inside');
  });
});

describe('printing', () => {
  it('shows elements, shape and dtype', () => {
    expect(
      String(
        tensor([
          [1, 2.5],
          [-0, 1 / 3],
        ]),
      ),
    ).toBe('tensor([[1, 2.5],\n        [-0, 0.333333]], float32)');
    expect(String(tensor(true))).toBe('tensor(true, bool)');
    expect(String(zeros([2, 0]))).toBe('tensor([[],\n        []], shape [2,0], float32)');
    expect(String(arange(2000))).toBe('tensor([0, 1, 2, ..., 1997, 1998, 1999], shape [2000], float32)');
  });
});

describe('copying in and out', () => {
  it('copies in one go and checks lengths', () => {
    const x = zeros([2, 2]);
    x.copyFrom(new Float32Array([1, 2, 3, 4]));
    const target = new Float32Array(6);
    x.copyInto(target.subarray(1, 5));
    expect(target).toEqual(new Float32Array([0, 1, 2, 3, 4, 0]));
    expect(codeOf(() => x.copyFrom([1]))).toBe('SHAPE');
    expect(codeOf(() => x.copyInto(new Float32Array(3)))).toBe('SHAPE');
    expect(codeOf(() => ones([1], { requiresGrad: true }).mul(2).copyFrom([1]))).toBe('AUTOGRAD');
  });

  it('copies gradients without counting as a reader', () => {
    const x = ones([2], { requiresGrad: true });
    const target = new Float32Array([5, 5]);
    x.gradientInto(target);
    expect(target).toEqual(new Float32Array(2));
    x.mul(3).sum().backward();
    x.gradientInto(target);
    expect(target).toEqual(new Float32Array([3, 3]));
    const gradient = x.gradient!.tensor;
    x.zeroGrad();
    expect(codeOf(() => gradient.item())).toBe('SHAPE');
    expect(codeOf(() => gradient.toTypedArray())).toBe('RECYCLED');
    expect(String(gradient)).toContain('recycled');
  });

  it('takes a gradient of the same shape only', () => {
    const x = ones([2], { requiresGrad: true });
    x.grad = ones([2]);
    expect(x.grad?.toArray()).toEqual([1, 1]);
    expect(
      codeOf(() => {
        x.grad = ones([3]);
      }),
    ).toBe('SHAPE');
    x.grad = undefined;
    expect(x.grad).toBeUndefined();
  });
});

describe('in place', () => {
  it('adds, subtracts, multiplies, copies and clears with broadcasting', () => {
    const x = tensor([
      [1, 2],
      [3, 4],
    ]);
    add_(x, tensor([10, 20]));
    sub_(x, 1);
    mul_(x, tensor([[2], [3]]));
    expect(x.toArray()).toEqual([
      [20, 42],
      [36, 69],
    ]);
    expect(copy_(x, tensor([7, 8], { dtype: 'int32' })).toArray()).toEqual([
      [7, 8],
      [7, 8],
    ]);
    expect(zero_(x).sum().item()).toBe(0);
    expect(x.add_(x).sum().item()).toBe(0);
  });

  it('refuses results, leaves with a graph, larger operands and whole numbers', () => {
    const leaf = ones([2], { requiresGrad: true });
    expect(codeOf(() => leaf.add_(1))).toBe('AUTOGRAD');
    expect(codeOf(() => noGrad(() => leaf.add_(1)))).toBeUndefined();
    expect(codeOf(() => noGrad(() => leaf.add_(ones([3, 2]))))).toBe('SHAPE');
    expect(codeOf(() => leaf.mul(2).add_(1))).toBe('AUTOGRAD');
    expect(codeOf(() => ones([2], { dtype: 'int32' }).add_(1))).toBe('DTYPE');
    expect(leaf.toArray()).toEqual([2, 2]);
  });
});

describe('dtypes', () => {
  it('promotes and converts', () => {
    expect(tensor([1]).add(tensor([1], { dtype: 'float64' })).dtype).toBe('float64');
    expect(
      tensor([1], { dtype: 'int32' })
        .add(tensor([0.5]))
        .toArray(),
    ).toEqual([1.5]);
    expect(tensor([1.9, -1.9]).to('int32').toArray()).toEqual([1, -1]);
    expect(tensor([0, 0.5, Number.NaN]).to('bool').toArray()).toEqual([0, 1, 1]);
    expect(tensor([1, 0], { dtype: 'bool' }).to('float32').toArray()).toEqual([1, 0]);
  });

  it('moves whole numbers as well', () => {
    const x = fromTypedArray([1, 2, 3, 4, 5, 6], [2, 3], { dtype: 'int32' });
    expect(x.transpose().toArray()).toEqual([
      [1, 4],
      [2, 5],
      [3, 6],
    ]);
    expect(x.indexSelect(1, [2, 0]).toArray()).toEqual([
      [3, 1],
      [6, 4],
    ]);
    expect(x.select(0, 1).dtype).toBe('int32');
    expect(tensor([3], { dtype: 'uint8' }).expand([2, 1]).toArray()).toEqual([[3], [3]]);
  });
});
