import fc from 'fast-check';
import {
  adaptive_avg_pool2d_f32,
  adaptive_avg_pool2d_f32_gradient,
  avg_pool2d_f32,
  avg_pool2d_f32_gradient,
  max_pool2d_f32,
  max_pool2d_f32_gradient,
  max_pool2d_f32_values,
  poolOutputSize,
} from '../../../kernels/pool.ts';
import type { KernelSamples, Numbers } from '../harness.ts';

function pool(
  planes: number,
  h: number,
  w: number,
  k: readonly [number, number],
  stride: readonly [number, number],
  padding: readonly [number, number],
): Numbers {
  return {
    planes,
    h,
    w,
    kh: k[0],
    kw: k[1],
    strideH: stride[0],
    strideW: stride[1],
    paddingH: padding[0],
    paddingW: padding[1],
  };
}

/** 2x2 with stride 2 has a path of its own: every width from 2 (a tail only) to 21, odd ones included. */
const pairs = Array.from({ length: 20 }, (_, i) => pool(2, 5, i + 2, [2, 2], [2, 2], [0, 0]));
const grid = [
  ...pairs,
  pool(0, 4, 4, [2, 2], [2, 2], [0, 0]),
  pool(1, 1, 1, [2, 2], [2, 2], [0, 0]),
  pool(2, 7, 6, [3, 3], [2, 2], [1, 1]),
  pool(1, 5, 9, [3, 2], [1, 3], [1, 0]),
  pool(1, 1, 1, [1, 1], [1, 1], [2, 2]),
];
/** Four windows at a time of stride 1 or 2, as many as there are, in and out of the padding; of rows of three, of fewer and of more. */
const windowGrid = [1, 2].flatMap((stride) =>
  [1, 2, 3, 5].flatMap((kw) =>
    Array.from({ length: 12 }, (_, i) => pool(2, 5, i + kw, [3, kw], [2, stride], [1, kw > 1 ? i % 2 : 0])),
  ),
);
/** 3x3 has a path of its own where all three rows are inside: every width up to two groups of four windows, with padding and without. */
const threes = [1, 2].flatMap((stride) =>
  [0, 1].flatMap((padding) =>
    Array.from({ length: 18 }, (_, i) => pool(2, 4, i + 3, [3, 3], [1, stride], [padding, padding])),
  ),
);
const numbers = fc
  .record({
    planes: fc.nat(3),
    h: fc.nat(9),
    w: fc.nat(12),
    k: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
    s: fc.integer({ min: 1, max: 3 }),
    p: fc.nat(1),
  })
  .map(({ planes, h, w, k, s, p }) => pool(planes, h, w, k, [s, 3 - (s % 3)], [Math.min(p, k[0] - 1), 0]));

const gradientNumbers = numbers.map((n) => ({
  planes: n.planes!,
  h: n.h!,
  w: n.w!,
  ho: poolOutputSize(n.h!, n.kh!, n.strideH!, n.paddingH!),
  wo: poolOutputSize(n.w!, n.kw!, n.strideW!, n.paddingW!),
}));

/** Both divisors; the fast path takes four windows of stride 1 or 2 at a time, so every number of them, in and out of the padding. */
const averageGrid = [0, 1].flatMap((countIncludePad) => [
  ...[...grid, ...windowGrid].map((sizes) => ({ ...sizes, countIncludePad })),
  ...[1, 2].flatMap((stride) =>
    Array.from({ length: 12 }, (_, i) => ({
      ...pool(2, 4, i + 3, [2, 3], [1, stride], [1, i % 2]),
      countIncludePad,
    })),
  ),
]);
const averageNumbers = fc
  .tuple(numbers, fc.constantFrom(0, 1))
  .map(([sizes, countIncludePad]) => ({ ...sizes, countIncludePad }));
const adaptiveGrid = [
  ...[1, 2, 3, 4, 5, 7].map((wo) => ({ planes: 2, h: 5, w: 7, ho: 3, wo })),
  { planes: 3, h: 7, w: 7, ho: 1, wo: 1 },
  { planes: 1, h: 2, w: 1030, ho: 1, wo: 1 },
  { planes: 2, h: 2, w: 3, ho: 4, wo: 5 },
  { planes: 2, h: 0, w: 3, ho: 1, wo: 2 },
  { planes: 2, h: 3, w: 3, ho: 0, wo: 2 },
  { planes: 0, h: 3, w: 3, ho: 1, wo: 2 },
];
const adaptiveNumbers = fc.record({
  planes: fc.nat(3),
  h: fc.integer({ min: 1, max: 9 }),
  w: fc.integer({ min: 1, max: 40 }),
  ho: fc.integer({ min: 1, max: 6 }),
  wo: fc.integer({ min: 1, max: 6 }),
});

export default [
  { kernel: avg_pool2d_f32, grid: averageGrid, numbers: averageNumbers, exact: false },
  { kernel: avg_pool2d_f32_gradient, grid: averageGrid, numbers: averageNumbers, exact: false },
  { kernel: adaptive_avg_pool2d_f32, grid: adaptiveGrid, numbers: adaptiveNumbers, exact: false },
  { kernel: adaptive_avg_pool2d_f32_gradient, grid: adaptiveGrid, numbers: adaptiveNumbers, exact: false },
  ...[max_pool2d_f32, max_pool2d_f32_values].map((kernel) => ({
    kernel,
    grid: [...grid, ...windowGrid, ...threes],
    numbers: numbers.map((n) => ({ ...n, paddingH: 0 })),
    exact: true,
  })),
  {
    kernel: max_pool2d_f32_gradient,
    grid: [
      { planes: 2, h: 4, w: 6, ho: 2, wo: 3 },
      { planes: 1, h: 3, w: 3, ho: 3, wo: 3 },
      { planes: 0, h: 3, w: 3, ho: 1, wo: 1 },
    ],
    numbers: gradientNumbers,
    // Many windows on one element, and some indices outside.
    fill: {
      indices: ({ planes, h, w, ho, wo }, random) =>
        Int32Array.from({ length: planes! * ho! * wo! }, () => random.below(h! * w! + 2) - 1),
    },
    exact: true,
  },
] satisfies KernelSamples[];
