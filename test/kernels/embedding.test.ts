import { describe, expect, it } from 'vitest';
import { embedding_f32, embedding_f32_gradient } from '../../kernels/embedding.ts';
import { callArrays } from '../../kernels/index.ts';
import { Random } from '../../src/random.ts';

describe('embedding_f32', () => {
  it('takes the named rows', () => {
    const y = new Float32Array(6);
    const weight = Float32Array.of(0, 1, 10, 11, 20, 21);
    callArrays(embedding_f32, { weight, indices: Int32Array.of(2, 0, 2), y, vocabulary: 3, count: 3, columns: 2 });
    expect([...y]).toEqual([20, 21, 0, 1, 20, 21]);
  });

  it('gives NaN for a row outside the table, and reads nothing there', () => {
    const y = new Float32Array(3);
    const weight = Float32Array.of(7, 8);
    callArrays(embedding_f32, { weight, indices: Int32Array.of(2, 1, -1), y, vocabulary: 2, count: 3, columns: 1 });
    expect([...y]).toEqual([Number.NaN, 8, Number.NaN]);
  });
});

describe('embedding_f32_gradient', () => {
  const sizes = { vocabulary: 3, count: 4, columns: 2 };
  const gradY = Float32Array.of(1, 2, 10, 20, 100, 200, 1000, 2000);
  const indices = Int32Array.of(2, 0, 2, 9);

  it('adds the rows of each index, none for one outside, and nothing at the padding', () => {
    const gradWeight = new Float32Array(6).fill(Number.NaN);
    callArrays(embedding_f32_gradient, { gradY, indices, gradWeight, ...sizes, paddingIndex: -1 });
    expect([...gradWeight]).toEqual([10, 20, 0, 0, 101, 202]);
    callArrays(embedding_f32_gradient, { gradY, indices, gradWeight, ...sizes, paddingIndex: 2 });
    expect([...gradWeight]).toEqual([10, 20, 0, 0, 0, 0]);
  });

  it('adds in the order of the indices', () => {
    const gradWeight = new Float32Array(1);
    const sum = (values: readonly number[]): number | undefined => {
      const numbers = { vocabulary: 1, count: 3, columns: 1, paddingIndex: -1 };
      callArrays(embedding_f32_gradient, {
        gradY: Float32Array.from(values),
        indices: new Int32Array(3),
        gradWeight,
        ...numbers,
      });
      return gradWeight[0];
    };
    // 2^24 + 1 rounds to 2^24.
    expect(sum([16_777_216, 1, -16_777_216])).toBe(0);
    expect(sum([16_777_216, -16_777_216, 1])).toBe(1);
  });

  it('is the adjoint of the gather: <embedding(w), g> = <w, gradient(g)>', () => {
    const random = new Random(3);
    const whole = (length: number): Float32Array => Float32Array.from({ length }, () => random.below(9) - 4);
    const numbers = { vocabulary: 6, count: 40, columns: 7 };
    const [weight, g] = [whole(42), whole(280)];
    const rows = Int32Array.from({ length: 40 }, () => random.below(6));
    const [y, gradWeight] = [new Float32Array(280), new Float32Array(42)];
    callArrays(embedding_f32, { weight, indices: rows, y, ...numbers });
    callArrays(embedding_f32_gradient, { gradY: g, indices: rows, gradWeight, ...numbers, paddingIndex: -1 });
    const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
    // Whole numbers: exact.
    expect(dot(y, g)).toBe(dot(weight, gradWeight));
  });
});
