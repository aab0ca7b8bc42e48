import fc from 'fast-check';
import { adagrad_f32, adam_f32, adam_rows_f32, rmsprop_f32, sgd_f32 } from '../../../kernels/update.ts';
import type { Random } from '../../../src/random.ts';
import { type DataKind, drawFloat, type KernelSamples, type Numbers } from '../harness.ts';

const settings = [
  { lr: 0.1, momentum: 0, dampening: 0, weightDecay: 0, nesterov: 0, first: 0 },
  { lr: 0.1, momentum: 0.9, dampening: 0, weightDecay: 0, nesterov: 0, first: 1 },
  { lr: 0.1, momentum: 0.9, dampening: 0, weightDecay: 5e-4, nesterov: 0, first: 0 },
  { lr: 0.01, momentum: 0.9, dampening: 0.1, weightDecay: 0, nesterov: 0, first: 0 },
  { lr: 0.01, momentum: 0.9, dampening: 0, weightDecay: 1e-4, nesterov: 1, first: 0 },
];
/** Whole numbers give whole results. */
const wholeSettings = [
  { lr: 2, momentum: 0, dampening: 0, weightDecay: 3, nesterov: 0, first: 0 },
  { lr: 1, momentum: 2, dampening: 1, weightDecay: 0, nesterov: 0, first: 0 },
  { lr: 1, momentum: 2, dampening: 0, weightDecay: 1, nesterov: 1, first: 1 },
  { lr: 3, momentum: 1, dampening: 0, weightDecay: 1, nesterov: 1, first: 0 },
];

/** Every tail, several vectors. */
const lengths = [0, 1, 2, 3, 4, 5, 6, 7, 8, 15, 33];
const every = (settings: readonly Numbers[]): Numbers[] =>
  settings.flatMap((setting) => lengths.map((length) => ({ length, ...setting })));
const any = (settings: readonly Numbers[]) =>
  fc.tuple(fc.nat(60), fc.constantFrom(...settings)).map(([length, setting]) => ({ length, ...setting }));

/** Sums of squares are not negative (but may be NaN or inf). */
const squaresOf = (length: number, random: Random, kind: DataKind): Float32Array =>
  Float32Array.from({ length }, () => Math.abs(drawFloat(random, kind)));
const squares = ({ length }: Numbers, random: Random, kind: DataKind): Float32Array => squaresOf(length!, random, kind);

const adam = { stepSize: 0.01, beta1: 0.9, share1: 0.1, beta2: 0.999, share2: 0.001, correctionRoot: 0.25 };
const adamSettings: readonly Numbers[] = [
  { ...adam, epsilon: 1e-8, weightDecay: 0, decoupled: 0 },
  { ...adam, epsilon: 1e-8, weightDecay: 0.01, decoupled: 0 },
  { ...adam, epsilon: 1e-3, weightDecay: 0.01, decoupled: 1 },
  { ...adam, beta1: 0.25, share1: 0.75, epsilon: 0, weightDecay: 0, decoupled: 1 },
  { ...adam, beta1: 0, share1: 1, beta2: 0, share2: 1, correctionRoot: 1, epsilon: 1e-8, weightDecay: 0, decoupled: 0 },
];
const rowSettings = { stepSize: 0.01, share1: 0.1, share2: 0.001, epsilon: 1e-8 };
const rmsprop = { lr: 0.01, alpha: 0.99, share: 0.01, epsilon: 1e-8, weightDecay: 0, momentum: 0 };
const rmspropSettings: readonly Numbers[] = [
  rmsprop,
  { ...rmsprop, weightDecay: 0.1, momentum: 0.9 },
  { ...rmsprop, alpha: 0.25, share: 0.75, epsilon: 0 },
];
const adagrad = { lr: 0.01, epsilon: 1e-10, weightDecay: 0, initial: 0 };
const adagradSettings: readonly Numbers[] = [
  adagrad,
  { ...adagrad, weightDecay: 0.1 },
  { ...adagrad, initial: 0.5, epsilon: 0 },
];

export default [
  {
    kernel: sgd_f32,
    grid: settings.flatMap((setting) => [0, 1, 2, 3, 4, 5, 6, 7, 8, 15, 33].map((length) => ({ length, ...setting }))),
    numbers: fc
      .tuple(fc.nat(60), fc.constantFrom(...wholeSettings))
      .map(([length, setting]) => ({ length, ...setting })),
    aliases: [
      ['weightOut', 'weight'],
      ['weightOut', 'gradient'],
    ],
    exact: false,
  },
  {
    kernel: adam_f32,
    grid: every(adamSettings),
    numbers: any(adamSettings),
    fill: { square: squares },
    aliases: [
      ['weightOut', 'weight'],
      ['weightOut', 'gradient'],
      ['meanOut', 'mean'],
      ['squareOut', 'square'],
    ],
    exact: false,
  },
  {
    kernel: rmsprop_f32,
    grid: every(rmspropSettings),
    numbers: any(rmspropSettings),
    fill: { square: squares },
    aliases: [
      ['weightOut', 'weight'],
      ['weightOut', 'gradient'],
      ['squareOut', 'square'],
    ],
    exact: false,
  },
  {
    kernel: adagrad_f32,
    grid: every(adagradSettings),
    numbers: any(adagradSettings),
    fill: { sum: squares },
    aliases: [
      ['weightOut', 'weight'],
      ['weightOut', 'gradient'],
      ['sumOut', 'sum'],
    ],
    exact: false,
  },
  {
    kernel: adam_rows_f32,
    grid: [0, 1, 2, 3, 4, 5, 7, 8, 17, 33].flatMap((columns) =>
      [0, 1, 5].map((count) => ({ tableRows: 7, count, columns, ...rowSettings })),
    ),
    numbers: fc
      .record({ tableRows: fc.integer({ min: 1, max: 9 }), count: fc.nat(9), columns: fc.nat(40) })
      .map((sizes) => ({
        ...sizes,
        ...rowSettings,
      })),
    fill: {
      // All different, some of them outside.
      rows: ({ count, tableRows }, random) =>
        Int32Array.from({ length: count! }, (_, k) => k).map((k) =>
          random.below(4) === 0 ? tableRows! + k : (k * 5) % 7,
        ),
      square: ({ tableRows, columns }, random, kind) => squaresOf(tableRows! * columns!, random, kind),
    },
    exact: false,
  },
] satisfies KernelSamples[];
