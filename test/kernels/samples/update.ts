import fc from 'fast-check';
import { sgd_f32 } from '../../../kernels/update.ts';
import type { KernelSamples } from '../harness.ts';

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
] satisfies KernelSamples[];
