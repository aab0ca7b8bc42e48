import fc from 'fast-check';
import { dropout_mask_u8 } from '../../../kernels/random.ts';
import type { KernelSamples } from '../harness.ts';

const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const fixed = { seed0: 42, seed1: 7, stream0: 3, stream1: -1, counter0: 0, counter1: 0 };

export default [
  {
    kernel: dropout_mask_u8,
    grid: [
      ...Array.from({ length: 40 }, (_, length) => ({ ...fixed, length, threshold: 2 ** 23 })),
      ...[0, 1, 2 ** 24 - 1, 2 ** 24].map((threshold) => ({ ...fixed, length: 33, threshold })),
      // The low word of the counter wraps around inside a group of four blocks, and between two groups.
      ...[-3, -1, -4, -8].map((counter0) => ({ ...fixed, length: 77, threshold: 2 ** 22, counter0, counter1: 5 })),
      { ...fixed, length: 40, threshold: 2 ** 23, counter0: -2, counter1: -1 },
    ],
    numbers: fc.record({
      length: fc.nat(200),
      threshold: fc.nat(2 ** 24),
      seed0: word,
      seed1: word,
      stream0: word,
      stream1: word,
      counter0: word,
      counter1: word,
    }),
    exact: true,
  },
] satisfies KernelSamples[];
