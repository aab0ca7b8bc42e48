import fc from 'fast-check';
import * as reduce from '../../../kernels/reduce.ts';
import type { KernelSamples } from '../harness.ts';

/** Lengths around the lanes (16), the blocks (64 and 1024) and their pairing. */
const rowLengths = [
  0, 1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 13, 15, 16, 17, 19, 31, 33, 100, 1023, 1024, 1025, 2047, 2049, 3072, 5000, 7169,
];
const columnLengths = [0, 1, 2, 3, 63, 64, 65, 128, 129, 193, 450];
const inners = [0, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 21, 32, 35];

const grid = [
  ...rowLengths.map((length) => ({ outer: 1, length, inner: 1 })),
  ...columnLengths.flatMap((length) => inners.map((inner) => ({ outer: 1, length, inner }))),
  { outer: 0, length: 5, inner: 3 },
  { outer: 3, length: 17, inner: 1 },
  { outer: 3, length: 5, inner: 6 },
];
const numbers = fc.record({ outer: fc.nat(4), length: fc.nat(140), inner: fc.constantFrom(1, 1, 1, 2, 5, 16, 23) });

export default [
  { kernel: reduce.sum_f32, grid, numbers, exact: true },
  // Over length 0 the largest is -inf, which the exact test refuses: at least one element there.
  { kernel: reduce.max_f32, grid, numbers: numbers.map((n) => ({ ...n, length: n.length + 1 })), exact: false },
] satisfies KernelSamples[];
