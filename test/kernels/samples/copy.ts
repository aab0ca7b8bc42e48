import fc from 'fast-check';
import * as copy from '../../../kernels/copy.ts';
import type { KernelSamples, Numbers } from '../harness.ts';

interface View {
  readonly sizes: readonly number[];
  readonly strides: readonly number[];
}

/** Sizes and strides are part of the numbers (`size0`, `stride0`, ...), so that the layout can be filled in from them. */
function numbersOf({ sizes, strides }: View): Numbers {
  const length = sizes.reduce((product, n) => product * n, 1);
  // The offset that keeps negative strides inside, and the span that holds the last element.
  const reach = (sign: number) =>
    sizes.reduce((sum, n, dim) => sum + (sign * strides[dim]! > 0 ? (n - 1) * Math.abs(strides[dim]!) : 0), 0);
  const offset = length === 0 ? 0 : reach(-1);
  const span = length === 0 ? 0 : offset + reach(1) + 1;
  const named = sizes.flatMap((n, dim) => [[`size${dim}`, n] as const, [`stride${dim}`, strides[dim]!] as const]);
  return { span, offset, rank: sizes.length, length, ...Object.fromEntries(named) };
}

function layout(n: Numbers): Int32Array {
  const dims = Array.from({ length: n.rank! }, (_, dim) => dim);
  return Int32Array.from([...dims.map((dim) => n[`size${dim}`]!), ...dims.map((dim) => n[`stride${dim}`]!)]);
}

/** Any permutation of a contiguous array, with dimensions reversed, expanded (stride 0) or subsampled. */
const views = fc
  .array(
    fc.record({
      size: fc.constantFrom(0, 1, 1, 2, 3, 4, 5, 7, 8, 9),
      key: fc.nat(),
      change: fc.constantFrom(1, 1, 1, 1, -1, 0, 2),
    }),
    { maxLength: 6 },
  )
  .filter((dims) => dims.reduce((product, { size }) => product * Math.max(size, 1), 1) < 3000)
  .map((dims): View => {
    let stride = 1;
    const strides = dims.map(() => 0);
    const order = dims.map((_, dim) => dim).sort((a, b) => dims[a]!.key - dims[b]!.key);
    for (const dim of order) {
      strides[dim] = stride * dims[dim]!.change;
      stride *= Math.max(1, dims[dim]!.size) * (dims[dim]!.change === 2 ? 2 : 1);
    }
    return { sizes: dims.map(({ size }) => size), strides };
  });

const transpositions = [1, 2, 3, 4, 5, 7, 8, 9, 13].flatMap((rows) =>
  [1, 2, 3, 4, 5, 8, 9, 12, 17].map((columns): View => ({ sizes: [rows, columns], strides: [1, rows] })),
);
const fixed: View[] = [
  { sizes: [], strides: [] },
  { sizes: [0], strides: [1] },
  { sizes: [37], strides: [1] },
  { sizes: [5], strides: [-1] },
  { sizes: [3, 20], strides: [0, 1] },
  { sizes: [20, 3], strides: [1, 0] },
  { sizes: [4, 70], strides: [1, 0] },
  { sizes: [2, 3, 4, 5, 2, 3], strides: [1, 2, 6, 24, 120, 240] },
  { sizes: [2, 6, 5, 5], strides: [150, 1, 30, 6] },
  // By tiles of 32 x 32: whole ones, and what is left of them.
  ...[
    [32, 32],
    [31, 40],
    [33, 65],
    [70, 34],
    [64, 96],
    [33, 513],
    [128, 36],
    [130, 40],
  ].map(([rows, columns]): View => ({ sizes: [rows!, columns!], strides: [1, rows!] })),
  { sizes: [2, 35, 37], strides: [35 * 40, 1, 40] },
  { sizes: [40, 33], strides: [1, -128] },
  { sizes: [2, 35, 38], strides: [38 * 128, 1, 128] },
];

const lengths = Array.from({ length: 70 }, (_, length) => ({ length, value: 0.1 }));

export default [
  {
    kernel: copy.copy_strided_f32,
    grid: [...fixed, ...transpositions].map(numbersOf),
    numbers: views.map(numbersOf),
    fill: { layout },
    exact: true,
  },
  {
    kernel: copy.fill_f32,
    grid: lengths,
    numbers: fc.record({ length: fc.nat(200), value: fc.constantFrom(0, -0, 3, -7) }),
    exact: true,
  },
  {
    kernel: copy.gather_rows_u8_to_f32,
    grid: lengths.slice(0, 21).map(({ length }) => ({ xRows: 7, count: 3, length, scale: 1 / 255, shift: -0.1307 })),
    numbers: fc.record({
      xRows: fc.integer({ min: 1, max: 9 }),
      count: fc.nat(6),
      length: fc.nat(40),
      scale: fc.constantFrom(1, 2, -1),
      shift: fc.integer({ min: -5, max: 5 }),
    }),
    fill: {
      rows: ({ count, xRows }, random, kind) =>
        Int32Array.from({ length: count! }, () =>
          kind !== 'integers' && random.below(9) === 0 ? xRows! : random.below(xRows!),
        ),
    },
    exact: false,
  },
  {
    kernel: copy.normalize_u8_to_f32,
    grid: [...lengths.slice(0, 36), { length: 67 }].map(({ length }) => ({ images: 2, channels: 3, inner: length })),
    numbers: fc.record({ images: fc.nat(4), channels: fc.nat(4), inner: fc.nat(40) }),
    exact: true,
  },
] satisfies KernelSamples[];
