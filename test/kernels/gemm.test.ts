/**
 * What the generic suite cannot know about matrix multiplication: its error, the order of its sums, and that rows do not see each other. Cuts,
 * leading dimensions, guards, special values and equality with the reference are in contract.test.ts (samples/gemm.ts).
 */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  activations,
  gemm_batched_f32,
  gemm_f32,
  gemm_fused_f32,
  gemm_pack_b_f32,
  gemm_prepacked_f32,
  packedLength,
} from '../../kernels/gemm.ts';
import { add_bias_f32, add_f32, gelu_f32, relu_f32, sigmoid_f32, tanh_f32 } from '../../kernels/map.ts';
import { callArrays, referenceArrays } from '../../kernels/runtime/arrays.ts';
import { referenceKernelCalls } from '../../kernels/runtime/call.ts';
import { matmul } from '../../src/ops/linalg.ts';
import { Random } from '../../src/random.ts';
import { fromTypedArray } from '../../src/tensor/create.ts';

/** Half the distance from 1 to the next float: the largest relative error of one rounding. */
const unit = 2 ** -24;

interface Problem {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA: number;
  readonly transposeB: number;
  readonly a: Float32Array;
  readonly b: Float32Array;
}

function problem(m: number, n: number, k: number, transposes: number, seed: number): Problem {
  const random = new Random(seed);
  const draw = (length: number) => Float32Array.from({ length }, () => random.normal());
  return { m, n, k, transposeA: transposes & 1, transposeB: transposes >> 1, a: draw(m * k), b: draw(k * n) };
}

/** The contract's sizes for contiguous operands. */
function sizesOf({ m, n, k, transposeA, transposeB }: Problem) {
  return { transposeA, transposeB, m, n, k, lda: transposeA ? m : k, ldb: transposeB ? k : n, ldc: n };
}

/** C = alpha * op(A) * op(B) + beta * c. */
function run(given: Problem, alpha = 1, beta = 0, c = new Float32Array(given.m * given.n)): Float32Array {
  callArrays(gemm_f32, { ...sizesOf(given), a: given.a, b: given.b, c, alpha, beta });
  return c;
}

const problems = fc
  .tuple(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 70 }), fc.nat(600), fc.nat(3), fc.nat())
  .map(([m, n, k, transposes, seed]) => problem(m, n, k, transposes, seed));

describe('gemm_f32', () => {
  it('multiplies', () => {
    const c = run({
      ...problem(2, 2, 3, 0, 0),
      a: Float32Array.of(1, 2, 3, 4, 5, 6),
      b: Float32Array.of(1, 2, 3, 4, 5, 6),
    });
    expect([...c]).toEqual([22, 28, 49, 64]);
  });

  // The bound holds for any order of summation (Higham, Accuracy and Stability, 3.1): K roundings of products and sums, and 4 for alpha, beta
  // and the last sum. Doubles are exact enough to be the truth: their own error is 2^29 times smaller.
  it('has a componentwise error of at most (K + 4) u (|A| |B| |alpha| + |beta C|)', () => {
    fc.assert(
      fc.property(problems, fc.constantFrom([1, 0], [1, 1], [-1.7, 0.3]), (given, [alpha, beta]) => {
        const { m, n, k, transposeA, transposeB, a, b } = given;
        const old = problem(m, n, 1, 0, 7).a.slice(0, 1).fill(0.75);
        const before = new Float32Array(m * n).fill(old[0]!);
        const actual = run(given, alpha, beta, before.slice());
        const factors = [Math.fround(alpha!), Math.fround(beta!)] as const;
        for (let i = 0; i < m; i++)
          for (let j = 0; j < n; j++) {
            let truth = factors[1] * before[i * n + j]!;
            let size = Math.abs(truth);
            for (let p = 0; p < k; p++) {
              const product =
                factors[0] * a[transposeA ? p * m + i : i * k + p]! * b[transposeB ? j * k + p : p * n + j]!;
              truth += product;
              size += Math.abs(product);
            }
            const error = Math.abs(actual[i * n + j]! - truth);
            if (!(error <= (k + 4) * unit * size))
              expect.fail(`[${i}, ${j}] of ${m} x ${n} x ${k}: error ${error}, size ${size}`);
          }
      }),
      { numRuns: 40 },
    );
  });

  it('agrees with an independent double loop at float64', () => {
    fc.assert(
      fc.property(problems, ({ m, n, k, transposeA, transposeB, a, b, ...rest }) => {
        const given = { m, n, k, transposeA, transposeB, a, b, ...rest };
        const c = new Float64Array(m * n);
        referenceArrays(gemm_f32, {
          ...sizesOf(given),
          a: Float64Array.from(a),
          b: Float64Array.from(b),
          c,
          alpha: 1,
          beta: 0,
        });
        const truth = new Float64Array(m * n);
        const sizes = new Float64Array(m * n);
        for (let p = k - 1; p >= 0; p--)
          for (let j = 0; j < n; j++)
            for (let i = 0; i < m; i++) {
              const product = a[transposeA ? p * m + i : i * k + p]! * b[transposeB ? j * k + p : p * n + j]!;
              truth[i * n + j]! += product;
              sizes[i * n + j]! += Math.abs(product);
            }
        // Both sides round K times at 2^-53.
        truth.forEach((value, at) => {
          expect(Math.abs(c[at]! - value)).toBeLessThanOrEqual((2 * k + 4) * 2 ** -53 * sizes[at]!);
        });
      }),
      { numRuns: 20 },
    );
  });

  it('gives a row the same bits alone and in any batch, however the operands are packed', () => {
    // 67 x 40 and more: both operands are packed; 600: two blocks of rows; 9, 16: other sides when B is transposed.
    const shapes = [
      [67, 40, 300],
      [200, 45, 300],
      [600, 9, 40],
      [16, 120, 400],
      [120, 16, 400],
      [70, 90, 300],
      [17, 66, 259],
    ] as const;
    for (const [m, n, k] of shapes)
      for (const transposes of [0, 1, 2, 3]) {
        const given = problem(m, n, k, transposes, m);
        const whole = run(given);
        for (const i of [0, 1, 3, 4, 31, m - 1].filter((row) => row < m)) {
          const a = Float32Array.from({ length: k }, (_, p) => given.a[given.transposeA ? p * m + i : i * k + p]!);
          expect(run({ ...given, m: 1, a }), `row ${i} of ${m} x ${n} x ${k}`).toEqual(whole.slice(i * n, (i + 1) * n));
        }
      }
  });

  it('rounds the product before it adds (no fused multiply-add)', () => {
    // (1 + 2^-12)^2 = 1 + 2^-11 + 2^-24, which rounds to 1 + 2^-11; a fused sum would keep the 2^-24.
    const x = 1 + 2 ** -12;
    for (const n of [1, 8]) {
      const b = new Float32Array(2 * n).fill(x).fill(1, n);
      const c = run({
        ...problem(4, n, 2, 0, 0),
        a: Float32Array.of(x, -1 - 2 ** -11, x, -1 - 2 ** -11, x, -1 - 2 ** -11, x, -1 - 2 ** -11),
        b,
      });
      expect([...c]).toEqual(new Array(4 * n).fill(0));
    }
  });

  it('sums in blocks of 256', () => {
    // In a block that starts with 2^24, ones are lost one by one; those of the second block arrive together.
    const a = new Float32Array(300).fill(1);
    a[0] = 2 ** 24;
    const c = run({ ...problem(1, 1, 300, 0, 0), a, b: new Float32Array(300).fill(1) });
    expect(c[0]).toBe(2 ** 24 + 44);
  });

  it('does not read C when beta is 0, nor A and B when alpha is 0', () => {
    const given = problem(5, 9, 300, 0, 1);
    const nan = new Float32Array(45).fill(Number.NaN);
    expect(run(given, 1, 0, nan.slice())).toEqual(run(given));
    const unread = { ...given, a: given.a.slice().fill(Number.NaN), b: given.b.slice().fill(Number.NaN) };
    expect([...run(unread, 0, 0, nan.slice())]).toEqual(new Array(45).fill(0));
    expect([...run(unread, 0, 2, new Float32Array(45).fill(3))]).toEqual(new Array(45).fill(6));
  });

  it('takes one buffer for A and B', () => {
    const { a } = problem(6, 6, 10, 2, 3);
    const square = run({ ...problem(6, 6, 10, 2, 3), a, b: a });
    expect(square).toEqual(run({ ...problem(6, 6, 10, 2, 3), a, b: a.slice() }));
    for (let i = 0; i < 6; i++) for (let j = 0; j < 6; j++) expect(square[i * 6 + j]).toBe(square[j * 6 + i]);
  });

  it.each([
    // 4 rows x 2 vectors; with packed operands, four steps a turn, and for each row and step a shuffle that moves nothing.
    ['tile/tile', 1, { load: 2, splat: 4, store: 0, keepsOrder: 0 }],
    ['packed-tile/packedTile', 4, { load: 2, splat: 4, store: 0, keepsOrder: 4 }],
  ])('has a %s that is compiled to the vector instructions that it was written with', (name, steps, each) => {
    const text = readFileSync(new URL('../../build/strict.wat', import.meta.url), 'utf8');
    const start = text.indexOf(`(func $assembly/${name} `);
    const body = text.slice(start, text.indexOf('\n (func', start + 1));
    const inner = body.lastIndexOf(' loop $');
    const loop = body.slice(inner, body.indexOf(`br_if $${/loop \$(\S+)/.exec(body.slice(inner))?.[1]}`, inner));
    const count = (instruction: string) => loop.split(instruction).length - 1;
    // A constant or another shuffle in the loop, or a multiply-add fused by a compiler, would show here.
    expect({
      multiply: count('f32x4.mul') / steps,
      add: count('f32x4.add') / steps,
      load: (count('v128.load\n') + count('v128.load offset=')) / steps,
      splat: count('v128.load32_splat') / steps,
      store: count('v128.store') / steps,
      keepsOrder: count('i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\n') / steps,
      shuffle: count('i8x16.shuffle') / steps,
      constants: count('v128.const'),
      others: count('f32x4.splat') + count('relaxed'),
    }).toEqual({ multiply: 8, add: 8, ...each, shuffle: each.keepsOrder, constants: 0, others: 0 });
  });
});

describe('gemm_fused_f32', () => {
  it.each([
    ['clamp', relu_f32],
    ['tanh', tanh_f32],
    ['sigmoid', sigmoid_f32],
    ['gelu', gelu_f32],
  ] as const)('with %s has the bits of the separate kernels, one after the other', (activation, kernel) => {
    // One row or column; C computed as it lies and transposed; two blocks of k.
    for (const [m, n, k] of [
      [1, 13, 20],
      [14, 1, 20],
      [21, 34, 300],
      [30, 9, 5],
      [34, 85, 260],
    ] as const)
      for (const transposes of [0, 1, 2, 3]) {
        const given = problem(m, n, k, transposes, m + transposes);
        const bias = problem(1, n, 1, 0, 1).b;
        const residual = problem(m, n, 1, 0, 2);
        const r = Float32Array.from({ length: m * n }, (_, i) => residual.a[i % m]! - residual.b[i % n]!);
        const expected = run(given);
        callArrays(add_bias_f32, { x: expected, bias, y: expected, rows: m, columns: n });
        callArrays(add_f32, { a: expected, b: r, y: expected, length: m * n });
        callArrays(kernel, { x: expected, y: expected, length: m * n });
        const c = new Float32Array(m * n).fill(Number.NaN);
        callArrays(gemm_fused_f32, {
          ...sizesOf(given),
          ...{ a: given.a, b: given.b, c, alpha: 1, beta: 0, bias, residual: r, ldr: n },
          ...{ activation: activations[activation], low: 0, high: Infinity },
        });
        expect(c, `${m} x ${n} x ${k}, ${transposes}`).toEqual(expected);
      }
  });
});

describe('gemm_batched_f32', () => {
  it('has the bits of the products one by one, and reads a broadcast operand for each', () => {
    const given = problem(6, 10, 30, 0, 5);
    const others = problem(6, 10, 30, 0, 6);
    const a = Float32Array.of(...given.a, ...others.a);
    const c = new Float32Array(120);
    const sizes = { ...sizesOf(given), batch: 2, strideA: 180, strideB: 0, strideC: 60 };
    callArrays(gemm_batched_f32, { ...sizes, a, b: given.b, c, alpha: 1, beta: 0 });
    expect(c).toEqual(Float32Array.of(...run(given), ...run({ ...others, b: given.b })));
  });
});

describe('gemm_prepacked_f32', () => {
  it('has the bits of gemm_fused_f32, with columns packed from either layout', () => {
    for (const [m, n, k] of [
      [1, 40, 300],
      [3, 15, 257],
      [22, 17, 20],
      [8, 33, 600],
      [34, 85, 260],
    ] as const)
      for (const transposes of [0, 1, 2, 3]) {
        const given = problem(m, n, k, transposes, n);
        const { transposeA, transposeB, lda, ldb, ldc } = sizesOf(given);
        const packed = new Float32Array(packedLength(n, k)).fill(Number.NaN);
        callArrays(gemm_pack_b_f32, { transposeB, n, k, b: given.b, ldb, packed });
        const ending = { bias: problem(1, n, 1, 0, 4).b, ldr: n, activation: activations.clamp, low: -2, high: 3 };
        const sizes = { m, n, k, alpha: 0.5, beta: 0, transposeA, lda, ldc, a: given.a, ...ending };
        const [expected, c] = [new Float32Array(m * n), new Float32Array(m * n)];
        callArrays(gemm_fused_f32, { ...sizes, transposeB, b: given.b, ldb, c: expected });
        callArrays(gemm_prepacked_f32, { ...sizes, packed, c });
        expect(c, `${m} x ${n} x ${k}, ${transposes}`).toEqual(expected);
      }
  });
});

describe('gemm_f64', () => {
  it('computes products of float64 tensors in WebAssembly, with the bits of the reference', () => {
    const values = (length: number, seed: number) => {
      const random = new Random(seed);
      return Float64Array.from({ length }, () => random.normal() / 3);
    };
    const [a, b] = [values(7 * 300, 1), values(300 * 9, 2)];
    const before = referenceKernelCalls();
    const y = matmul(fromTypedArray(a, [7, 300]), fromTypedArray(b, [300, 9]));
    expect(referenceKernelCalls()).toBe(before);
    const expected = new Float64Array(63);
    const sizes = { transposeA: 0, transposeB: 0, m: 7, n: 9, k: 300, lda: 300, ldb: 9, ldc: 9 };
    referenceArrays(gemm_f32, { ...sizes, a, b, c: expected, alpha: 1, beta: 0 });
    expect(y.toTypedArray()).toEqual(expected);
  });
});
