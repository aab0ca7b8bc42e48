import fc from 'fast-check';
import * as conv from '../../../kernels/conv.ts';
import type { KernelSamples, Numbers } from '../harness.ts';

function call(
  n: number,
  [c, h, w]: readonly number[],
  o: number,
  [kh, kw]: readonly number[],
  [strideH, strideW]: readonly number[],
  [paddingH, paddingW]: readonly number[],
  { dilation: [dilationH, dilationW] = [1, 1], groups = 1 }: { dilation?: readonly number[]; groups?: number } = {},
): Numbers {
  return {
    n,
    c: c!,
    h: h!,
    w: w!,
    o,
    kh: kh!,
    kw: kw!,
    strideH: strideH!,
    strideW: strideW!,
    paddingH: paddingH!,
    paddingW: paddingW!,
    dilationH: dilationH!,
    dilationW: dilationW!,
    groups,
  };
}

const one = [1, 1];
const none = [0, 0];
const grid = [
  call(2, [1, 28, 28], 6, [5, 5], one, [2, 2]), // LeNet conv1
  call(2, [6, 14, 14], 16, [5, 5], one, none), // LeNet conv2
  call(0, [2, 5, 5], 3, [3, 3], one, none), // no image
  call(2, [1, 1, 1], 1, one, one, none), // one pixel
  call(2, [3, 4, 5], 2, [4, 5], one, none), // kernel = input
  call(1, [1, 1, 2], 5, [3, 4], one, [1, 1]), // kernel = padded input
  call(2, [4, 7, 9], 9, one, one, none), // 1x1, read in place
  ...[1, 2, 7, 9].map((w) => call(1, [6, 3, w], 10, one, one, none, { groups: 2 })), // 1x1 in groups
  call(2, [5, 7, 7], 300, one, one, none), // 1x1, two blocks back
  call(2, [4, 7, 9], 4, one, [2, 2], none), // 1x1 with stride: pixels that no tap meets
  call(1, [3, 14, 13], 9, [7, 7], [2, 3], [3, 3]), // first layer, uneven phases
  call(1, [2, 9, 8], 3, [2, 2], [3, 4], [2, 1]), // stride > kernel
  call(1, [2, 3, 3], 2, [2, 2], [3, 3], [4, 4]), // padding > kernel
  call(2, [2, 5, 4], 3, [3, 3], [1, 2], [1, 0]), // different strides
  call(1, [30, 6, 6], 33, [3, 3], one, one), // 270 taps: two blocks; 297 taps back
  call(1, [1, 3, 300], 2, [1, 3], one, [0, 1]), // a row longer than a block
  call(1, [1, 40, 9], 2, [3, 1], one, none), // more rows than a block holds
  call(1, [2, 6, 12], 4, [3, 3], one, [1, 1]), // a panel whose halves lie in two rows
  call(1, [1, 2, 1], 1, [2, 1], [1, 2], [1, 2]), // positions that are 12 bytes apart without being neighbours
  ...Array.from({ length: 13 }, (_, i) => call(1, [2, 4, 3 + i], 5, [2, 3], one, none)), // every row length 1 to 13
  ...Array.from({ length: 9 }, (_, i) => call(1, [1 + i, 5, 5], 9 - i, [3, 3], one, [1, 1])), // every cut of rows
  // Rows of 8 and 12: patches read in place, every cut of rows, over one and two blocks of taps; and too many channels for that.
  ...Array.from({ length: 9 }, (_, i) => call(1, [1 + i, 3, 8], 9 - i, [3, 3], one, [1, 1])),
  ...Array.from({ length: 6 }, (_, i) => call(1, [30, 3, 12], 1 + i, [3, 3], one, [1, 1])),
  ...Array.from({ length: 6 }, (_, i) => call(1, [1 + i, 3, 12], 30, [3, 3], one, [1, 1])),
  call(1, [17, 3, 8], 18, [3, 3], one, [1, 1]),
  // Enough channels and positions for filters to be packed: cut tiles, two blocks of taps, two blocks of positions; strides, groups, 1x1.
  call(2, [18, 9, 10], 17, [3, 3], one, [1, 1]),
  ...[23, 24, 25].map((w) => call(1, [12, 1, w], 13, [1, 3], one, [0, 1])), // the fewest
  call(1, [30, 9, 9], 31, [3, 3], one, [1, 1]),
  call(1, [18, 23, 24], 17, [2, 2], one, none),
  call(1, [17, 9, 9], 257, one, one, none),
  call(1, [3, 19, 18], 18, [3, 3], [2, 2], [1, 1]),
  call(2, [36, 9, 10], 40, [3, 2], one, [1, 1], { groups: 2, dilation: [2, 1] }),
  // Enough channels for the filter gradient's taps to be packed: cut panels of taps and channels, two blocks of rows, groups, rows of a whole block and longer.
  call(1, [2, 17, 19], 67, [3, 3], one, [1, 1]),
  ...[23, 24, 25].map((o) => call(1, [2, 5, 6], o, [3, 3], one, [1, 1])), // the fewest
  call(2, [2, 9, 20], 142, [3, 3], [2, 2], [1, 1], { groups: 2 }),
  ...[256, 257].map((w) => call(1, [1, 2, w], 65, [1, 1], one, none)),
  // The same without an image, with more channels than are packed together, and where rows of patches leave no gap.
  call(0, [2, 5, 5], 30, [3, 3], one, none),
  call(2, [2, 3, 3], 515, [2, 2], one, none),
  call(1, [5, 12, 6], 25, [3, 1], one, none),
  // Data gradients with strides: more than one pass of channels, groups, two blocks of taps over two of positions, rows of pixels without a gap.
  call(2, [18, 9, 11], 20, [3, 3], [2, 2], [1, 1]),
  call(1, [38, 7, 8], 6, [3, 3], [2, 1], [1, 1], { groups: 2 }),
  call(1, [5, 50, 49], 260, one, [2, 2], none),
  call(1, [3, 9, 10], 4, [3, 5], [2, 2], [1, 2], { dilation: [2, 1] }),
  // Batches: images as lanes, whole and cut batches, every cut of channels, one to three blocks of taps, phases, pixels that no tap meets.
  call(8, [1, 12, 13], 6, [5, 5], one, [2, 2]),
  call(11, [6, 14, 14], 16, [5, 5], one, none),
  ...Array.from({ length: 9 }, (_, i) => call(4 + i, [1 + i, 5, 6], 9 - i, [3, 3], one, [1, 1])),
  ...Array.from({ length: 5 }, (_, i) => call(4, [29 + i, 4, 5], 3, [3, 3], one, [1, 1])),
  call(4, [3, 14, 13], 9, [7, 7], [2, 3], [3, 3]),
  call(5, [2, 9, 8], 3, [2, 2], [3, 4], [2, 1]),
  call(4, [2, 3, 3], 2, [2, 2], [3, 3], [4, 4]),
  call(9, [4, 7, 9], 4, one, [2, 2], none),
  call(4, [65, 3, 3], 2, [3, 3], one, [2, 2]),
  // Dilation, alone and against strides with and without a common divisor; kernels as long as the padded image; groups, one by one and in batches.
  ...[1, 5].flatMap((n) => [
    call(n, [2, 9, 10], 3, [3, 3], one, [2, 2], { dilation: [2, 2] }),
    call(n, [2, 9, 10], 3, [3, 2], [2, 3], [1, 2], { dilation: [2, 3] }),
    call(n, [3, 11, 12], 5, [2, 3], [4, 4], [3, 0], { dilation: [6, 3] }),
    call(n, [1, 7, 5], 2, [3, 3], one, none, { dilation: [3, 2] }),
    call(n, [6, 5, 6], 4, [3, 3], one, [1, 1], { groups: 2 }),
    call(n, [6, 5, 9], 12, [2, 3], [2, 1], [1, 1], { groups: 3, dilation: [1, 2] }),
    call(n, [5, 6, 7], 5, [3, 3], one, [1, 1], { groups: 5 }),
    call(n, [3, 6, 9], 6, [5, 5], [2, 2], [2, 2], { groups: 3 }),
    call(n, [58, 4, 9], 10, [3, 3], one, [1, 1], { groups: 2 }),
    call(n, [4, 5, 16], 40, [3, 3], one, [1, 1], { groups: 2 }),
    ...Array.from({ length: 9 }, (_, i) => call(n, [3, 4, 15 + i], 3, [3, 3], one, [1, 1], { groups: 3 })),
    ...[1, 2, 3, 4].map((w) => call(n, [3, 3, w], 3, [3, 3], one, [1, 1], { groups: 3 })),
    ...[0, 1, 2, 3].map((p) => call(n, [2, 6 + (p % 2), 11 + p], 2, [3, 3], [2, 2], [p, 3 - p], { groups: 2 })),
    // Planes read where they lie: every width around a vector and around two, with and without padding.
    ...[5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17, 18].flatMap((w) =>
      [none, [0, 1], [1, 0], [1, 1]].map((p) => call(n, [3, 4, w], 3, [3, 3], one, p, { groups: 3 })),
    ),
    ...[7, 8, 9, 10, 11, 14, 15, 16].flatMap((w) =>
      [none, [0, 1], [1, 0], [1, 1]].map((p) => call(n, [3, 6 + (w % 3), w], 3, [3, 3], [2, 2], p, { groups: 3 })),
    ),
    ...[31, 32, 33].map((w) => call(n, [3, 6, w], 3, [3, 3], [2, 2], none, { groups: 3 })),
    ...[9, 10, 33].map((w) => call(n, [2, 7, w], 2, [3, 3], [2, 2], [1, 1], { groups: 2 })),
    call(n, [3, 20, 21], 3, [5, 5], one, [2, 2], { groups: 3 }),
    call(n, [3, 9, 20], 3, [5, 5], [1, 2], [2, 2], { groups: 3 }),
    call(n, [2, 9, 11], 2, [3, 2], [3, 3], [2, 1], { groups: 2 }),
    call(n, [2, 7, 6], 2, [2, 2], [3, 4], [1, 0], { groups: 2 }),
    call(n, [2, 9, 19], 2, [3, 3], one, [2, 2], { groups: 2, dilation: [2, 2] }),
    call(n, [2, 5, 6], 2, [3, 1], one, none, { groups: 2 }),
    call(n, [7, 8, 9], 7, [3, 4], [2, 2], [1, 1], { groups: 7, dilation: [1, 2] }),
  ]),
];

const numbers = fc
  .record({
    n: fc.nat(9),
    c: fc.integer({ min: 1, max: 5 }),
    ho: fc.integer({ min: 1, max: 6 }),
    wo: fc.integer({ min: 1, max: 11 }),
    o: fc.integer({ min: 1, max: 9 }),
    kh: fc.integer({ min: 1, max: 5 }),
    kw: fc.integer({ min: 1, max: 5 }),
    strideH: fc.integer({ min: 1, max: 3 }),
    strideW: fc.integer({ min: 1, max: 3 }),
    paddingH: fc.nat(3),
    paddingW: fc.nat(3),
    restH: fc.nat(2),
    restW: fc.nat(2),
    dilationH: fc.integer({ min: 1, max: 3 }),
    dilationW: fc.integer({ min: 1, max: 3 }),
    groups: fc.integer({ min: 1, max: 3 }),
  })
  // Built from the output, so that every kernel fits; `rest` rows and columns at the end are reached by no tap.
  .map(({ ho, wo, restH, restW, ...sizes }) => ({
    ...sizes,
    c: sizes.c * sizes.groups,
    o: sizes.o * sizes.groups,
    h: Math.max(
      1,
      (ho - 1) * sizes.strideH +
        sizes.dilationH * (sizes.kh - 1) +
        1 -
        2 * sizes.paddingH +
        Math.min(restH, sizes.strideH - 1),
    ),
    w: Math.max(
      1,
      (wo - 1) * sizes.strideW +
        sizes.dilationW * (sizes.kw - 1) +
        1 -
        2 * sizes.paddingW +
        Math.min(restW, sizes.strideW - 1),
    ),
  }));

const endings = [
  { activation: 0, low: 0, high: 0 },
  { activation: 1, low: 0, high: Infinity },
  { activation: 1, low: -3, high: 6 },
  { activation: 2, low: 0, high: 0 },
  { activation: 3, low: 0, high: 0 },
  { activation: 4, low: 0, high: 0 },
];
const fusedGrid = grid.filter((_, index) => index % 2 === 1).map((one, turn) => ({ ...one, ...endings[turn % 6]! }));
// tanh and sigmoid round: only the others are exact.
const fusedNumbers = fc
  .tuple(numbers, fc.constantFrom(...endings.slice(0, 3)))
  .map(([one, ending]) => ({ ...one, ...ending }));

// At most 8200 products of at most 16, so every sum of whole numbers stays below 2^24.
export default [
  { kernel: conv.conv2d_f32_forward, grid, numbers, exact: true },
  { kernel: conv.conv2d_fused_f32_forward, grid: fusedGrid, numbers: fusedNumbers, exact: true },
  { kernel: conv.conv2d_f32_backward_data, grid, numbers, exact: true },
  { kernel: conv.conv2d_f32_backward_filter, grid, numbers, exact: true },
] satisfies KernelSamples[];
