/** Accuracy of sums, independence of the batch, and ties of the largest: what "equals the reference" does not say. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { callArrays } from '../../kernels/index.ts';
import { max_f32, sum_f32 } from '../../kernels/reduce.ts';
import { Random } from '../../src/random.ts';

function sum(x: Float32Array, outer: number, length: number, inner: number): Float32Array {
  const y = new Float32Array(outer * inner);
  callArrays(sum_f32, { x, y, outer, length, inner });
  return y;
}

function normals(length: number, seed: number): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length }, () => random.normal());
}

describe('sum_f32', () => {
  it('sums 2^24 + 10 ones exactly, where a running float32 sum stops at 2^24', () => {
    const n = 2 ** 24 + 10;
    expect(sum(new Float32Array(n).fill(1), 1, n, 1)[0]).toBe(n);
  });

  it.each([
    ['contiguous', 1, 64 + 6],
    ['strided', 16, 64],
  ])('stays within the error bound of its order, %s', (_name, inner, depthOfBlock) => {
    for (const length of [1, 17, 1000, 5000, 70_000]) {
      const x = normals(length * inner, length);
      const y = sum(x, 1, length, inner);
      for (let i = 0; i < inner; i++) {
        let exact = 0;
        let absolute = 0;
        for (let l = 0; l < length; l++) {
          exact += x[l * inner + i]!;
          absolute += Math.abs(x[l * inner + i]!);
        }
        // Each element passes at most `depth` additions: those of its lane, of the lanes' tree and of the pairing of blocks.
        const depth = depthOfBlock + Math.ceil(Math.log2(length / 64 + 1)) + 1;
        expect(Math.abs(y[i]! - exact)).toBeLessThanOrEqual(depth * 2 ** -24 * absolute);
      }
    }
  });

  it('of ten million 0.1 is off by less than 2^-24 * 30 relative (a running float32 sum gives 1,087,937)', () => {
    const n = 10_000_000;
    const total = sum(new Float32Array(n).fill(0.1), 1, n, 1)[0]!;
    const exact = n * Math.fround(0.1);
    expect(Math.abs(total / exact - 1)).toBeLessThan(30 * 2 ** -24);
  });

  it('gives a row the same bits in a batch of 1 and of many', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 12 }),
        fc.integer({ min: 1, max: 3000 }),
        fc.constantFrom(1, 1, 6),
        (outer, length, inner) => {
          const size = length * inner;
          const x = normals(outer * size, length);
          const batch = sum(x, outer, length, inner);
          for (let o = 0; o < outer; o++) {
            expect(batch.slice(o * inner, (o + 1) * inner)).toEqual(
              sum(x.slice(o * size, (o + 1) * size), 1, length, inner),
            );
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  it('gives a column the same bits whichever vector it falls into', () => {
    const length = 200;
    const column = normals(length, 3);
    for (const inner of [2, 4, 7, 16, 23, 40]) {
      const x = new Float32Array(length * inner);
      for (let l = 0; l < length; l++) x.fill(column[l]!, l * inner, (l + 1) * inner);
      expect(new Set(sum(x, 1, length, inner)).size).toBe(1);
    }
  });
});

describe('max_f32', () => {
  function max(x: readonly number[], length: number, inner = 1): [number[], number[]] {
    const outer = x.length / (length * inner);
    const y = new Float32Array(outer * inner);
    const indices = new Int32Array(outer * inner);
    callArrays(max_f32, { x: Float32Array.from(x), y, indices, outer, length, inner });
    return [[...y], [...indices]];
  }

  it('takes the first of equals, of zeros of either sign, and the first NaN', () => {
    expect(max([1, 3, 3, 2, 3, 1, 0, 3], 8)).toEqual([[3], [1]]);
    expect(max([-1, -0, 0], 3)).toEqual([[-0], [1]]);
    expect(max([5, Number.NaN, 7, Number.NaN, 9, 9, 9], 7)).toEqual([[Number.NaN], [1]]);
    expect(max([1, 2, 3, 4, 5, Number.NaN], 6)).toEqual([[Number.NaN], [5]]);
    expect(max([-Infinity, -Infinity], 2)).toEqual([[-Infinity], [0]]);
    expect(max([1, 6, 3, 4, 9, 6], 3, 2)).toEqual([
      [9, 6],
      [2, 0],
    ]);
  });

  it('of nothing is -inf at -1', () => {
    const y = new Float32Array(2);
    const indices = new Int32Array(2);
    callArrays(max_f32, { x: new Float32Array(0), y, indices, outer: 2, length: 0, inner: 1 });
    expect([[...y], [...indices]]).toEqual([
      [-Infinity, -Infinity],
      [-1, -1],
    ]);
  });
});
