/**
 * @file Convolution with 3x3 filters, stride 1, dilation 1 and one group by Winograd's minimal filtering: F(2x2, 3x3) with 2.25 times and F(4x4, 3x3)
 * with 4 times fewer products than the direct convolution (kernels/conv.ts). Never chosen on its own, because its bits and its error are others.
 */
import { BlockedSum } from './blocks.ts';
import {
  anyAlignment,
  defineKernel,
  flag,
  input,
  of,
  output,
  type Round,
  type Sizes,
  scratch,
  size,
} from './define.ts';
import { packedLength } from './gemm.ts';
import { productScratch } from './product.ts';

type Floats = Float32Array | Float64Array;

const sizes = [
  size('n', 'images, may be 0'),
  size('c', 'input channels, at least 1'),
  size('h', 'input height; h + 2 * paddingH is at least 3'),
  size('w', 'input width; w + 2 * paddingW is at least 3'),
  size('o', 'output channels, at least 1'),
  size('paddingH', 'rows of zeros above and below, 0 to 2'),
  size('paddingW', 'columns of zeros left and right, 0 to 2'),
  flag('tile', 'rows and columns of a tile of results: 2 or 4'),
] as const;

type NumberEach<T extends readonly unknown[]> = { readonly [I in keyof T]: number };
type SizeValues = NumberEach<typeof sizes>;

interface WinogradSizes {
  readonly n: number;
  readonly c: number;
  readonly h: number;
  readonly w: number;
  readonly o: number;
  readonly paddingH: number;
  readonly paddingW: number;
  readonly tile: number;
}

const sizesOf = (values: Sizes): WinogradSizes => values as unknown as WinogradSizes;

function outputLength(values: Sizes): number {
  const { n, o, h, w, paddingH, paddingW } = sizesOf(values);
  return n * o * (h + 2 * paddingH - 2) * (w + 2 * paddingW - 2);
}

const weightLength = (values: Sizes): number => 9 * sizesOf(values).o * sizesOf(values).c;

/** Multiplications of transformed elements: (tile + 2)^2 for tile^2 results. */
const work = (values: Sizes): number => {
  const { c, tile } = sizesOf(values);
  return outputLength(values) * c * (1 + 2 / tile) * (1 + 2 / tile);
};

const quads = (count: number): number => 4 * Math.ceil(count / 4);

/** Tiles in a block of rows of tiles of a filter's gradient, unless a row has more: part of its contract. */
const gradientTiles = 64;

/** The same for the other two, where no result depends on it. */
const blockTiles = (m: number): number => (m === 2 ? 64 : 32);

/** Rows of tiles in a block. */
const rowsOfBlock = (tiles: number, across: number): number => Math.max(1, Math.floor(tiles / across));

/**
 * What assembly/winograd.ts lays out for results of `w` columns: transforms of `filters` filters and of blocks of `blockOf` tiles of `channels`
 * channels (both rounded up to what is laid out), `strips` times the strips of four channels, and the products' own.
 */
function scratchBytes(
  m: number,
  blockOf: number,
  w: number,
  filters: number,
  channels: number,
  strips: number,
  product: (tiles: number) => number,
): number {
  const elements = (m + 2) * (m + 2);
  const across = Math.ceil(w / m);
  const tiles = rowsOfBlock(blockOf, across) * across;
  const strip = (4 * (m + 2) + 1) * (across * m + 4);
  // Each of the three is padded to an odd number of lines of 16 floats.
  const padding = 3 * 32;
  const transformed = elements * (filters + channels * tiles + padding);
  return 4 * (2 * 36 * 4 + transformed + strips * strip) + product(tiles);
}

/** Height and width of y. */
function outputPlane({ h, w, paddingH, paddingW }: WinogradSizes): [number, number] {
  return [h + 2 * paddingH - 2, w + 2 * paddingW - 2];
}

function forwardScratch(values: Sizes): number {
  const s = sizesOf(values);
  const [c, o] = [quads(s.c), quads(s.o)];
  return scratchBytes(s.tile, blockTiles(s.tile), outputPlane(s)[1], packedLength(s.o, s.c), c + o, 1, (tiles) =>
    productScratch(tiles, s.o, s.c),
  );
}

function dataScratch(values: Sizes): number {
  const s = sizesOf(values);
  const [c, o] = [quads(s.c), quads(s.o)];
  return scratchBytes(s.tile, blockTiles(s.tile), s.w, packedLength(s.c, s.o), c + o, 1, (tiles) =>
    productScratch(tiles, s.c, s.o),
  );
}

function filterScratch(values: Sizes): number {
  const s = sizesOf(values);
  const [c, o] = [quads(s.c), quads(s.o)];
  return scratchBytes(s.tile, gradientTiles, outputPlane(s)[1], s.c * o, c + o, 2, (tiles) =>
    productScratch(s.c, s.o, tiles),
  );
}

/** One dimension of a tile of the image: m + 2 elements. */
function transformImage(f: Round, m: number, [d0, d1, d2, d3, d4, d5]: readonly number[]): number[] {
  if (m === 2) return [f(d0! - d2!), f(d1! + d2!), f(d2! - d1!), f(d1! - d3!)];
  const p = f(d4! - f(4 * d2!));
  const q = f(d3! - f(4 * d1!));
  const r = f(d4! - d2!);
  const s = f(2 * f(d3! - d1!));
  const first = f(f(f(4 * d0!) - f(5 * d2!)) + d4!);
  return [first, f(p + q), f(p - q), f(r + s), f(r - s), f(f(f(4 * d1!) - f(5 * d3!)) + d5!)];
}

/** One dimension of a filter: three elements become m + 2. */
function transformFilter(f: Round, m: number, [g0, g1, g2]: readonly number[]): number[] {
  const sum = f(g0! + g2!);
  if (m === 2) {
    const [half, middle] = [f(0.5 * sum), f(0.5 * g1!)];
    return [g0!, f(half + middle), f(half - middle), g2!];
  }
  const sixth = f(-1 / 6);
  const even = f(f(f(1 / 24) * g0!) + f(f(1 / 6) * g2!));
  const odd = f(f(1 / 12) * g1!);
  return [f(0.25 * g0!), f(sixth * f(sum + g1!)), f(sixth * f(sum - g1!)), f(even + odd), f(even - odd), g2!];
}

/** One dimension of a tile of results: m + 2 elements become m. */
function transformResult(f: Round, m: number, [m0, m1, m2, m3, m4, m5]: readonly number[]): number[] {
  const s12 = f(m1! + m2!);
  const d12 = f(m1! - m2!);
  if (m === 2) return [f(f(m0! + m1!) + m2!), f(d12 - m3!)];
  const s34 = f(m3! + m4!);
  const d34 = f(m3! - m4!);
  return [f(f(m0! + s12) + s34), f(d12 + f(2 * d34)), f(s12 + f(4 * s34)), f(f(d12 + f(8 * d34)) + m5!)];
}

/** One dimension of a tile of the results' gradient: m elements become m + 2. */
function transformGradient(f: Round, m: number, [y0, y1, y2, y3]: readonly number[]): number[] {
  if (m === 2) return [y0!, f(y0! + y1!), f(y0! - y1!), -y1!];
  const even = f(y0! + y2!);
  const odd = f(y1! + y3!);
  const even4 = f(y0! + f(4 * y2!));
  const odd8 = f(f(2 * y1!) + f(8 * y3!));
  return [y0!, f(even + odd), f(even - odd), f(even4 + odd8), f(even4 - odd8), y3!];
}

/** One dimension of the sums of a filter's gradient: m + 2 elements become three. */
function transformSums(f: Round, m: number, [m0, m1, m2, m3, m4, m5]: readonly number[]): number[] {
  const sum = f(m1! + m2!);
  if (m === 2) {
    const half = f(0.5 * sum);
    return [f(m0! + half), f(0.5 * f(m1! - m2!)), f(half + m3!)];
  }
  const sixth = f(f(-1 / 6) * sum);
  const sum34 = f(m3! + m4!);
  return [
    f(f(f(0.25 * m0!) + sixth) + f(f(1 / 24) * sum34)),
    f(f(f(1 / 6) * f(m2! - m1!)) + f(f(1 / 12) * f(m3! - m4!))),
    f(f(sixth + f(f(1 / 6) * sum34)) + m5!),
  ];
}

type Transform = (f: Round, m: number, values: readonly number[]) => number[];

/** A transform of every column, then of every row. */
function inBoth(f: Round, m: number, transform: Transform, rows: readonly (readonly number[])[]): number[][] {
  const columns = rows[0]!.map((_, j) =>
    transform(
      f,
      m,
      rows.map((row) => row[j]!),
    ),
  );
  return columns[0]!.map((_, i) =>
    transform(
      f,
      m,
      columns.map((column) => column[i]!),
    ),
  );
}

/** From `s` planes of hs x ws to `r` planes of h x w; `filter(row, channel)` gives nine weights. */
function winograd(
  f: Round,
  m: number,
  n: number,
  [source, s, hs, ws]: readonly [Floats, number, number, number],
  filter: (row: number, channel: number) => readonly number[],
  bias: Floats,
  [result, r, h, w]: readonly [Floats, number, number, number],
  paddingH: number,
  paddingW: number,
): void {
  const grid = Array.from({ length: m + 2 }, (_, i) => i);
  const filters = Array.from({ length: r }, (_, row) =>
    Array.from({ length: s }, (_, channel) => {
      const g = filter(row, channel);
      return inBoth(f, m, transformFilter, [g.slice(0, 3), g.slice(3, 6), g.slice(6)]);
    }),
  );
  for (let image = 0; image < n; image++)
    for (let top = 0; top < h; top += m)
      for (let left = 0; left < w; left += m) {
        const pixel = (channel: number, row: number, column: number): number =>
          row < 0 || row >= hs || column < 0 || column >= ws
            ? 0
            : source[((image * s + channel) * hs + row) * ws + column]!;
        const tiles = Array.from({ length: s }, (_, channel) => {
          const tile = grid.map((i) => grid.map((j) => pixel(channel, top + i - paddingH, left + j - paddingW)));
          return inBoth(f, m, transformImage, tile);
        });
        for (let row = 0; row < r; row++) {
          const products = grid.map((i) =>
            grid.map((j) => {
              const total = new BlockedSum(f, 0);
              for (let channel = 0; channel < s; channel++)
                total.add(f(filters[row]![channel]![i]![j]! * tiles[channel]![i]![j]!));
              total.endBlock();
              return total.result;
            }),
          );
          inBoth(f, m, transformResult, products).forEach((values, i) => {
            values.forEach((value, j) => {
              if (top + i >= h || left + j >= w) return;
              result[((image * r + row) * h + top + i) * w + left + j] = f(
                (bias.length === 0 ? 0 : bias[row]!) + value,
              );
            });
          });
        }
      }
}

/** The gradient of 3x3 filters, from planes x of h x w and gradY of ho x wo. */
function filterGradient(f: Round, s: WinogradSizes, x: Floats, gradY: Floats, gradWeight: Floats): void {
  const m = s.tile;
  const [ho, wo] = outputPlane(s);
  const [down, across] = [Math.ceil(ho / m), Math.ceil(wo / m)];
  const range = (length: number): number[] => Array.from({ length }, (_, i) => i);
  /** A square of a plane, zeros outside. */
  const square = (
    values: Floats,
    plane: number,
    [h, w]: readonly [number, number],
    [top, left]: readonly number[],
    size: number,
  ) =>
    range(size).map((i) =>
      range(size).map((j) => {
        const [row, column] = [top! + i, left! + j];
        return row < 0 || row >= h || column < 0 || column >= w ? 0 : values[(plane * h + row) * w + column]!;
      }),
    );
  const tiles = range(s.n * down * across).map((index) => {
    const image = Math.floor(index / (down * across));
    const y = Math.floor(index / across) % down;
    return { image, top: y * m, left: (index % across) * m };
  });
  const inputs = range(s.c).map((channel) =>
    tiles.map(({ image, top, left }) => {
      const corner = [top - s.paddingH, left - s.paddingW];
      return inBoth(f, m, transformImage, square(x, image * s.c + channel, [s.h, s.w], corner, m + 2));
    }),
  );
  const gradients = range(s.o).map((out) =>
    tiles.map(({ image, top, left }) =>
      inBoth(f, m, transformGradient, square(gradY, image * s.o + out, [ho, wo], [top, left], m)),
    ),
  );
  const blockEnd = (tile: number): number => {
    const count = rowsOfBlock(gradientTiles, across) * across;
    return Math.min(tiles.length, (Math.floor(tile / count) + 1) * count);
  };
  for (let out = 0; out < s.o; out++)
    for (let channel = 0; channel < s.c; channel++) {
      const sums = range(m + 2).map((i) =>
        range(m + 2).map((j) => {
          let result = 0;
          for (let first = 0; first < tiles.length; first = blockEnd(first)) {
            const block = new BlockedSum(f, result);
            for (let tile = first; tile < blockEnd(first); tile++)
              block.add(f(gradients[out]![tile]![i]![j]! * inputs[channel]![tile]![i]![j]!));
            block.endBlock();
            result = block.result;
          }
          return result;
        }),
      );
      const weights = inBoth(f, m, transformSums, sums).flat();
      gradWeight.set(weights, (out * s.c + channel) * 9);
    }
}

const rules = {
  aliasing: 'The output overlaps no input.',
  alignment: anyAlignment,
  order:
    'Filters, and tiles of the zero-padded image that overlap by two, are transformed by columns, then by rows, with the formulas of the ' +
    'reference, every operation rounded. For each element of the transformed tiles, the products over channels are summed in blocks of 256 as in ' +
    'gemm_f32. The sums are transformed back by columns, then by rows; the bias (+0 if absent) is added last.',
  edges:
    'n 0 touches nothing. NaN and infinity spread over their whole tile, and so do large numbers: inputs near the end of the range may overflow. ' +
    'No element depends on other images. Error, in units of 2^-24 times the sum of the absolute products of the ' +
    'direct convolution: on normal data of 64 channels at most 1.8 with tiles of 2 and 35 with tiles of 4 (directly: 1.7); in general at most ' +
    'the bound that test/kernels/winograd.test.ts derives.',
};

/**
 * y = conv2d(x, weight) + bias, for 3x3 filters, stride 1, dilation 1, one group. Faster than conv2d_f32_forward from some 16 channels on, but with other
 * bits and a larger error.
 *
 * Shapes: x [n, c, h, w], weight [o, c, 3, 3], bias [o] or absent, y [n, o, h + 2 * paddingH - 2, w + 2 * paddingW - 2].
 *
 * @see Lavin, Gray: Fast algorithms for convolutional neural networks, 2015 (arXiv 1509.09308)
 * @example
 * const y = new Float32Array(4);
 * callArrays(winograd_conv2d_f32_forward, {
 *   x: Float32Array.of(1, 2, 3, 4), weight: new Float32Array(9).fill(1), y, n: 1, c: 1, h: 2, w: 2, o: 1, paddingH: 1, paddingW: 1, tile: 2,
 * });
 * y; // => [10, 10, 10, 10]
 */
export const winograd_conv2d_f32_forward = defineKernel({
  name: 'winograd_conv2d_f32_forward',
  summary: 'y = conv(x, weight) + bias by F(2x2, 3x3) or F(4x4, 3x3)',
  work,
  parameters: [
    input('x', of('n', 'c', 'h', 'w'), '[n, c, h, w]'),
    input('weight', weightLength, '[o, c, 3, 3]'),
    { name: 'bias', kind: 'input', type: 'float', length: of('o'), optional: true, doc: '[o]' },
    output('y', outputLength, '[n, o, ho, wo]'),
    ...sizes,
    scratch(
      'workspace',
      forwardScratch,
      'transformed filters, and one block of tiles of the image in transformed form, and their products',
    ),
  ],
  rules,
  reference: (f: Round, x: Floats, weight: Floats, bias: Floats, y: Floats, ...given: SizeValues) => {
    const [n, c, h, w, o, paddingH, paddingW, tile] = given;
    const filter = (row: number, channel: number) => [...weight.subarray((row * c + channel) * 9).subarray(0, 9)];
    const to = [y, o, h + 2 * paddingH - 2, w + 2 * paddingW - 2] as const;
    winograd(f, tile, n, [x, c, h, w], filter, bias, to, paddingH, paddingW);
  },
});

/**
 * gradX, the gradient of conv2d with respect to x, for 3x3 filters, stride 1, dilation 1, one group: the convolution of gradY with the mirrored
 * filters.
 *
 * Shapes as in winograd_conv2d_f32_forward; gradY like y, gradX like x.
 */
export const winograd_conv2d_f32_backward_data = defineKernel({
  name: 'winograd_conv2d_f32_backward_data',
  summary: 'gradX = the transpose of conv(., weight), applied to gradY, by F(2x2, 3x3) or F(4x4, 3x3)',
  work,
  parameters: [
    input('gradY', outputLength, '[n, o, ho, wo]'),
    input('weight', weightLength, '[o, c, 3, 3]'),
    output('gradX', of('n', 'c', 'h', 'w'), '[n, c, h, w]'),
    ...sizes,
    scratch(
      'workspace',
      dataScratch,
      'transformed filters, and one block of tiles of the gradient in transformed form, and their products',
    ),
  ],
  rules,
  reference: (f: Round, gradY: Floats, weight: Floats, gradX: Floats, ...given: SizeValues) => {
    const [n, c, h, w, o, paddingH, paddingW, tile] = given;
    const filter = (row: number, channel: number) =>
      [...weight.subarray((channel * c + row) * 9).subarray(0, 9)].reverse();
    const from = [gradY, o, h + 2 * paddingH - 2, w + 2 * paddingW - 2] as const;
    winograd(f, tile, n, from, filter, new Float32Array(0), [gradX, c, h, w], 2 - paddingH, 2 - paddingW);
  },
});

/**
 * gradWeight, the gradient of conv2d with respect to 3x3 filters, for stride 1, dilation 1, one group, summed over the images.
 *
 * Shapes as in winograd_conv2d_f32_forward; gradY like y, gradWeight like weight.
 */
export const winograd_conv2d_f32_backward_filter = defineKernel({
  name: 'winograd_conv2d_f32_backward_filter',
  summary: 'gradWeight = sum over images and positions of gradY * patches of x, by F(2x2, 3x3) or F(4x4, 3x3)',
  work,
  parameters: [
    input('x', of('n', 'c', 'h', 'w'), '[n, c, h, w]'),
    input('gradY', outputLength, '[n, o, ho, wo]'),
    output('gradWeight', weightLength, '[o, c, 3, 3]'),
    ...sizes,
    scratch(
      'workspace',
      filterScratch,
      'sums of transformed tiles, and one block of tiles of both in transformed form',
    ),
  ],
  rules: {
    ...rules,
    order:
      'Tiles of gradY (zeros behind its edges) and tiles of the zero-padded image that overlap by two are transformed by columns, then by rows, with ' +
      'the formulas of the reference, every operation rounded. Rows of tiles, of all images in order, are taken max(1, floor(64 / tiles in a ' +
      'row)) at a time: for each such block and each element of the transformed tiles, the products over tiles are summed in blocks of 256 as in gemm_f32, and ' +
      'added to the sum of the blocks before. The sums are transformed back by columns, then by rows.',
    edges:
      'n 0 gives +0. NaN and infinity spread over their whole filter. Error, in units of 2^-24 times the sum of the absolute products of the ' +
      'direct gradient: on normal data of 8 images of 16x16 at most 0.8 with tiles of 2 and 8 with tiles of 4 (directly: 0.6).',
  },
  reference: (f: Round, x: Floats, gradY: Floats, gradWeight: Floats, ...given: SizeValues) => {
    const [n, c, h, w, o, paddingH, paddingW, tile] = given;
    filterGradient(f, { n, c, h, w, o, paddingH, paddingW, tile }, x, gradY, gradWeight);
  },
});
