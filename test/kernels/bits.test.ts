/**
 * The bits of the kernels whose method shoal chose (polynomials, orders of summation), on fixed data. A change here changes the weights of every
 * training run that was ever recorded (test/golden/): it needs a decision, not a new snapshot.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { kernels } from '../../kernels/index.ts';
import { callPointers } from '../../kernels/runtime/call.ts';
import { allocate, f32, free, i32 } from '../../kernels/runtime/memory.ts';

const length = 100_000;

/** Every kind of float32: a linear congruential walk over all bit patterns. */
function anyFloats(): Float32Array {
  let state = 12_345;
  const bits = Uint32Array.from({ length }, () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0));
  return new Float32Array(bits.buffer);
}

/** Ordinary numbers: 0.5 in the place of those that are large, tiny or not numbers. */
function ordinaryFloats(): Float32Array {
  return anyFloats().map((value) => (Math.abs(value) > 1e-3 && Math.abs(value) < 1e3 ? value : 0.5));
}

/** The start of the SHA-256 of a kernel's output, with one NaN for all. */
function hashOf(name: string, x: Float32Array, outputLength: number, call: (x: number, y: number) => number[]): string {
  const [input, output] = [allocate(x.byteLength), allocate(outputLength * 4)];
  f32(input, x.length).set(x);
  callPointers(kernels[name]!, call(input, output));
  const bits = new Uint32Array(f32(output, outputLength).slice().buffer);
  for (const pointer of [input, output]) free(pointer);
  return createHash('sha256')
    .update(bits.map((word) => ((word & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : word)))
    .digest('hex')
    .slice(0, 16);
}

describe('fixed bits', () => {
  it.each([
    ['exp_f32', 'bf095ef0179a90cd'],
    ['log_f32', '3c43c64453c8a19b'],
    ['tanh_f32', 'c35cc92e5ddaf657'],
    ['sigmoid_f32', 'd6feb82f31595adf'],
    ['erf_f32', 'bff3ed61b1990cb3'],
    ['gelu_f32', '3780df8d8ab084a6'],
    ['gelu_tanh_f32', 'f840ef2e1d5ad940'],
    ['silu_f32', '2197fdfa3577139e'],
    ['expm1_f32', '0e9cdff38cdedd90'],
    ['log1p_f32', '6e951c17b7e4d79a'],
    ['sin_f32', '1c58450e217a54a2'],
    ['cos_f32', '870f6e784c594f49'],
  ])('%s', (name, expected) => {
    expect(hashOf(name, anyFloats(), length, (x, y) => [x, y, length])).toBe(expected);
  });

  it.each([
    ['sum_f32', 1, length, 1, '3ea8ab2ee10830d8'],
    ['sum_f32', 10, 250, 40, '2d71f1df56fe3aff'],
  ] as const)('%s of [%i, %i, %i]', (name, outer, middle, inner, expected) => {
    expect(hashOf(name, ordinaryFloats(), outer * inner, (x, y) => [x, y, outer, middle, inner])).toBe(expected);
  });

  it('log_softmax_f32 and cross_entropy_f32', () => {
    expect(hashOf('log_softmax_f32', ordinaryFloats(), length, (x, y) => [x, y, length / 10, 10])).toBe(
      'ff23cc74cff84d74',
    );
    const [targets, sums] = [allocate(40_000), allocate(64)];
    i32(targets, 10_000).forEach((_, row, all) => {
      all[row] = row % 10;
    });
    const call = (x: number, y: number) => [x, targets, y, sums, sums + 4, 10_000, 10, -100];
    expect(hashOf('cross_entropy_f32', ordinaryFloats(), length, call)).toBe('3be11a708146a9f7');
    for (const pointer of [targets, sums]) free(pointer);
  });
});

describe('fixed bits of normalisation, softmax and means', () => {
  type Call = (x: number, y: number, other: number, statistics: number) => number[];
  const table: readonly (readonly [string, number, string, Call])[] = [
    ['softmax_f32', length, '3be11a708146a9f7', (x, y) => [x, y, length / 10, 10]],
    ['softmax_f32_gradient', length, '0c927a0a2a3e1200', (x, y, other) => [other, x, y, 80, 1250]],
    ['layer_norm_f32', length, 'a527af8f47fa5b35', (x, y, other) => [x, other, 0, y, 0, 0, 80, 1250, 1e-5]],
    [
      'layer_norm_f32_gradient',
      length,
      '32f9b26a8fe526c1',
      (x, y, other) => [x, other, 0, other, other, y, 0, 0, 200, 500],
    ],
    [
      'layer_norm_f32_gradient',
      500,
      '9f319ed7fc0c943d',
      (x, y, other, s) => [x, other, 0, other, other, s, y, 0, 200, 500],
    ],
    [
      'batch_norm_f32',
      length,
      '55914367dcbb0c67',
      (x, y, other, s) => [x, other, 0, y, s, s + 400, s + 800, 10, 100, 100, 1e-5],
    ],
    [
      'batch_norm_f32',
      length,
      '1447905cc9b07dc2',
      (x, y, other, s) => [x, other, 0, y, s, s + 400, s + 800, 1000, 100, 1, 1e-5],
    ],
    [
      'batch_norm_f32_gradient',
      length,
      'a327a705a2be1186',
      (x, y, other) => [x, other, 0, other, other, y, 0, 0, 10, 100, 100, 1],
    ],
    ['adaptive_avg_pool2d_f32', 5000, '677ab71415bfc930', (x, y) => [x, y, 2, 20, 2500, 5, 500]],
    ['adaptive_avg_pool2d_f32_gradient', length, '812ffb0a85007607', (x, y) => [x, y, 10, 100, 100, 30, 30]],
  ];

  it.each(table)('%s, %i numbers', (name, outputLength, expected, call) => {
    const [other, statistics] = [allocate(4 * length), allocate(4 * length)];
    f32(other, length).set(ordinaryFloats().reverse());
    const hash = hashOf(name, ordinaryFloats(), outputLength, (x, y) => call(x, y, other, statistics));
    for (const pointer of [other, statistics]) free(pointer);
    expect(hash).toBe(expected);
  });
});

describe('sources', () => {
  it('of kernels and random numbers use no function whose result the language leaves to the engine', () => {
    const root = new URL('../../', import.meta.url);
    const files = ['kernels/', 'kernels/runtime/'].flatMap((folder) =>
      readdirSync(new URL(folder, root))
        .filter((name) => name.endsWith('.ts'))
        .map((name) => folder + name),
    );
    const open =
      /Math\.(exp|expm1|log\w*|sin\w*|cos\w*|tan\w*|a\w+h|a(cos|sin|tan2?)|pow|cbrt|hypot|random)\b|[^/*]\*\*[^/*]/;
    for (const file of [...files, 'src/random.ts']) {
      const code = readFileSync(new URL(file, root), 'utf8')
        .replace(/\/\*[\s\S]*?\*\//g, '')
        .replace(/\/\/.*/g, '');
      expect(code.match(open)?.[0], file).toBeUndefined();
    }
  });
});
