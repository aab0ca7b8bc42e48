import fc from 'fast-check';
import { embedding_f32, embedding_f32_gradient } from '../../../kernels/embedding.ts';
import type { Random } from '../../../src/random.ts';
import type { DataKind, KernelSamples, Numbers } from '../harness.ts';

const grid = [
  ...[0, 1, 2, 3, 4, 5, 7, 8, 16, 33].map((columns) => ({ vocabulary: 5, count: 9, columns, paddingIndex: -1 })),
  { vocabulary: 5, count: 20, columns: 6, paddingIndex: 2 },
  { vocabulary: 5, count: 0, columns: 6, paddingIndex: -1 },
  { vocabulary: 0, count: 4, columns: 6, paddingIndex: -1 },
];
const numbers = fc.record({
  vocabulary: fc.integer({ min: 1, max: 9 }),
  count: fc.nat(30),
  columns: fc.nat(20),
  paddingIndex: fc.constantFrom(-1, 0),
});

/** Many times the same rows; outside the table now and then, but not where results must be finite. */
const indices = ({ vocabulary, count }: Numbers, random: Random, kind: DataKind): Int32Array =>
  Int32Array.from({ length: count! }, () =>
    kind === 'integers' && vocabulary! > 0 ? random.below(vocabulary!) : random.below(vocabulary! + 2) - 1,
  );

export default [
  { kernel: embedding_f32, grid, numbers, fill: { indices }, exact: true },
  { kernel: embedding_f32_gradient, grid, numbers, fill: { indices }, exact: true },
] satisfies KernelSamples[];
