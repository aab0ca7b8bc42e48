import fc from 'fast-check';
import * as softmax from '../../../kernels/softmax.ts';
import type { Random } from '../../../src/random.ts';
import type { KernelSamples, Numbers } from '../harness.ts';

const columns = [1, 2, 3, 4, 5, 8, 10, 12, 13, 15, 16, 17, 18, 33, 1025, 2050];
const grid = [
  ...[0, 1, 3].flatMap((rows) => columns.map((c) => ({ rows, columns: c, ignoreIndex: -100 }))),
  { rows: 3, columns: 0, ignoreIndex: -100 },
  { rows: 1500, columns: 2, ignoreIndex: 1 },
];
const numbers = fc.record({
  rows: fc.nat(20),
  columns: fc.integer({ min: 1, max: 40 }),
  ignoreIndex: fc.constantFrom(-100, 0),
});

/** Mostly classes, some ignored, a few outside. */
const targets = (n: Numbers, random: Random): Int32Array =>
  Int32Array.from({ length: n.rows! }, () => {
    const draw = random.below(20);
    if (draw === 0) return n.ignoreIndex!;
    return draw === 1 && random.below(4) === 0 ? n.columns! : random.below(Math.max(1, n.columns!));
  });
/** Classes or ignored, for exact results without NaN. */
const validTargets = (n: Numbers, random: Random): Int32Array =>
  Int32Array.from({ length: n.rows! }, () =>
    random.below(5) === 0 ? n.ignoreIndex! : random.below(Math.max(1, n.columns!)),
  );

export default [
  { kernel: softmax.softmax_f32, grid, numbers, aliases: [['y', 'x']], exact: false },
  {
    kernel: softmax.softmax_f32_gradient,
    grid,
    numbers,
    aliases: [
      ['gradX', 'gradY'],
      ['gradX', 'y'],
    ],
    exact: true,
  },
  { kernel: softmax.log_softmax_f32, grid, numbers, aliases: [['y', 'x']], exact: false },
  {
    kernel: softmax.log_softmax_f32_gradient,
    grid,
    numbers,
    aliases: [
      ['gradX', 'gradY'],
      ['gradX', 'y'],
    ],
    exact: false,
  },
  {
    kernel: softmax.nll_f32,
    grid,
    numbers,
    fill: { targets: (n, random, kind) => (kind === 'integers' ? validTargets : targets)(n, random) },
    exact: true,
  },
  {
    kernel: softmax.nll_f32_gradient,
    grid,
    numbers,
    fill: { targets: (n, random, kind) => (kind === 'integers' ? validTargets : targets)(n, random) },
    exact: true,
  },
  {
    kernel: softmax.cross_entropy_f32,
    grid,
    numbers,
    fill: { targets },
    aliases: [['probabilities', 'logits']],
    exact: false,
  },
  {
    kernel: softmax.cross_entropy_f32_gradient,
    grid,
    numbers,
    fill: { targets: (n, random, kind) => (kind === 'integers' ? validTargets : targets)(n, random) },
    aliases: [['gradLogits', 'probabilities']],
    exact: true,
  },
] satisfies KernelSamples[];
