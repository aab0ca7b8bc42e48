import fc from 'fast-check';
import * as normalize from '../../../kernels/normalize.ts';
import type { Random } from '../../../src/random.ts';
import { type DataKind, drawFloat, type KernelSamples, type Numbers } from '../harness.ts';

const epsilon = 1e-5;
/** Every tail, the lanes (16), more than one block of a row (1024); rows around the blocks of columns (64) and their pairing. */
const matrices = [
  ...[1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 17, 33, 100, 1025, 2050].map((columns) => ({ rows: 3, columns, epsilon })),
  ...[0, 1, 63, 64, 65, 128, 129, 193, 450].map((rows) => ({ rows, columns: 5, epsilon })),
  { rows: 2, columns: 0, epsilon },
  { rows: 2, columns: 6, epsilon: 0 },
];
const matrixNumbers = fc.record({
  rows: fc.nat(70),
  columns: fc.integer({ min: 1, max: 40 }),
  epsilon: fc.constant(epsilon),
});

const batches = [0, 1].flatMap((training) => [
  ...[1, 2, 3, 4, 5, 7, 9, 16, 49, 1030].map((inner) => ({ images: 3, channels: 2, inner, epsilon, training })),
  ...[0, 1, 2, 64, 65, 200].map((images) => ({ images, channels: 3, inner: 1, epsilon, training })),
  ...[1, 4, 5, 6, 8, 19].map((channels) => ({ images: 70, channels, inner: 1, epsilon, training })),
  { images: 1030, channels: 1, inner: 2, epsilon, training },
  { images: 5, channels: 1, inner: 6, epsilon: 0, training },
  { images: 2, channels: 0, inner: 6, epsilon, training },
  { images: 2, channels: 3, inner: 0, epsilon, training },
]);
const batchNumbers = fc.record({
  images: fc.nat(6),
  channels: fc.nat(4),
  inner: fc.oneof(fc.constant(1), fc.integer({ min: 2, max: 40 })),
  epsilon: fc.constant(epsilon),
  training: fc.constantFrom(0, 1),
});
const variance = ({ channels }: Numbers, random: Random, kind: DataKind): Float32Array =>
  Float32Array.from({ length: channels! }, () => Math.abs(drawFloat(random, kind)));

const inPlace = [['y', 'x']] as const;
const gradientInPlace = [
  ['gradX', 'gradY'],
  ['gradX', 'x'],
] as const;

export default [
  { kernel: normalize.layer_norm_f32, grid: matrices, numbers: matrixNumbers, aliases: inPlace, exact: false },
  {
    kernel: normalize.layer_norm_f32_gradient,
    grid: matrices,
    numbers: matrixNumbers,
    aliases: gradientInPlace,
    exact: false,
  },
  { kernel: normalize.batch_norm_f32, grid: batches, numbers: batchNumbers, aliases: inPlace, exact: false },
  {
    kernel: normalize.batch_norm_f32_inference,
    grid: batches,
    numbers: batchNumbers,
    fill: { variance },
    aliases: inPlace,
    exact: false,
  },
  {
    kernel: normalize.batch_norm_f32_gradient,
    grid: batches,
    numbers: batchNumbers,
    aliases: gradientInPlace,
    exact: false,
  },
] satisfies KernelSamples[];
