import fc from 'fast-check';
import * as winograd from '../../../kernels/winograd.ts';
import type { KernelSamples, Numbers } from '../harness.ts';

const call = (
  n: number,
  [c, h, w]: readonly number[],
  o: number,
  [paddingH, paddingW]: readonly number[],
  tile: number,
): Numbers => ({
  ...{ n, c: c!, h: h!, w: w!, o, paddingH: paddingH!, paddingW: paddingW!, tile },
});

const grid = [2, 4].flatMap((tile) => [
  call(2, [3, 8, 9], 4, [1, 1], tile),
  call(0, [1, 3, 3], 1, [0, 0], tile), // no image
  call(1, [1, 1, 1], 1, [1, 1], tile), // one pixel
  call(1, [1, 3, 3], 1, [0, 0], tile), // one result
  call(1, [2, 1, 2], 3, [2, 2], tile), // padding up to the filter
  call(2, [5, 6, 7], 6, [0, 2], tile),
  call(1, [258, 3, 4], 2, [1, 1], tile), // two blocks of channels
  call(1, [3, 4, 4], 258, [1, 1], tile), // and backwards
  call(3, [2, 5, 9], 3, [1, 1], tile), // rows of tiles of several images in a block
  call(2, [1, 9, 131], 2, [1, 0], tile), // a block for each few rows of tiles
  call(1, [1, 3, 530], 2, [1, 1], tile), // more tiles in a row than a block has
  ...Array.from({ length: 9 }, (_, i) => call(1, [1 + i, 3 + i, 12 - i], 9 - i, [1, 1], tile)), // every cut of tiles and channels
]);

const numbers = fc.record({
  n: fc.nat(2),
  c: fc.integer({ min: 1, max: 9 }),
  h: fc.integer({ min: 3, max: 14 }),
  w: fc.integer({ min: 3, max: 14 }),
  o: fc.integer({ min: 1, max: 9 }),
  paddingH: fc.nat(2),
  paddingW: fc.nat(2),
  tile: fc.constantFrom(2, 4),
});

// Not exact: the filters of F(4x4) are multiplied by sixths.
export default [
  { kernel: winograd.winograd_conv2d_f32_forward, grid, numbers, exact: false },
  { kernel: winograd.winograd_conv2d_f32_backward_data, grid, numbers, exact: false },
  { kernel: winograd.winograd_conv2d_f32_backward_filter, grid, numbers, exact: false },
] satisfies KernelSamples[];
