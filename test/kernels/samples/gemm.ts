import fc from 'fast-check';
import {
  gemm_batched_f32,
  gemm_batched_f64,
  gemm_f32,
  gemm_f64,
  gemm_fused_f32,
  gemm_pack_b_f32,
  gemm_prepacked_f32,
} from '../../../kernels/gemm.ts';
import type { KernelSamples, Numbers } from '../harness.ts';

/** Every cut of the 4 x 8 tile, and k around the block of 256. */
const ms = [1, 2, 3, 4, 5];
const ns = Array.from({ length: 17 }, (_, i) => i + 1);
const ks = [0, 1, 2, 3, 7, 16, 255, 256, 257, 768];
const scalars = [
  { alpha: 1, beta: 0 },
  { alpha: 1, beta: 1 },
  { alpha: -0.5, beta: 0 },
  { alpha: 2, beta: -0.5 },
  { alpha: 0, beta: 0 },
  { alpha: 0, beta: 2 },
  { alpha: 1, beta: -0 },
];

/** The smallest prime above `value`: no leading dimension then is a multiple of a tile or a vector. */
function nextPrime(value: number): number {
  for (let p = value + 1; ; p++) {
    let divisor = 2;
    while (divisor * divisor <= p && p % divisor !== 0) divisor++;
    if (p > 1 && divisor * divisor > p) return p;
  }
}

function call(m: number, n: number, k: number, transposes: number, scale: Numbers, tight: boolean): Numbers {
  const transposeA = transposes & 1;
  const transposeB = transposes >> 1;
  const leading = (columns: number) => (tight ? columns : nextPrime(columns));
  const lda = leading(transposeA ? m : k);
  const ldb = leading(transposeB ? k : n);
  return { transposeA, transposeB, m, n, k, lda, ldb, ldc: leading(n), ...scale };
}

let turn = 0;
const grid = [
  ...ms.flatMap((m) =>
    ns.flatMap((n) => ks.map((k) => call(m, n, k, turn++ % 4, scalars[turn % scalars.length]!, turn % 3 === 0))),
  ),
  // m or n 0; more rows than are read in place; more than one block of rows; operands large enough to be packed.
  ...[0, 1, 2, 3].flatMap((transposes) => [
    call(0, 5, 3, transposes, scalars[1]!, false),
    call(5, 0, 3, transposes, scalars[1]!, false),
    call(67, 20, 9, transposes, scalars[3]!, false),
    call(515, 9, 5, transposes, scalars[3]!, false),
    call(9, 515, 5, transposes, scalars[3]!, true),
    call(140, 41, 300, transposes, scalars[1]!, false),
    // Enough rows and columns for both operands to be packed: tiles cut at the bottom and right, two blocks of k.
    call(33, 81, 300, transposes, scalars[3]!, false),
    call(34, 88, 257, transposes, scalars[1]!, true),
    call(35, 533, 9, transposes, scalars[2]!, false),
    call(36, 96, 256, transposes, scalars[0]!, true),
    // Rows of A so far apart that A is packed, and too few for B to be.
    { ...call(11, 41, 300, transposes, scalars[3]!, false), lda: 3001 },
    // The fewest rows and columns for which both are packed; steps are four to a turn. A packed B, and one of more than a megabyte, need four rows.
    ...[4, 5, 6, 7].map((m) => call(m, 20 + m, 20, transposes, scalars[3]!, m === 4)),
    call(6, 1030, 257, transposes, scalars[3]!, false),
    ...[1, 2, 3, 4, 5, 6, 7, 259].map((k) => call(12 + (k % 4), 24 + (k % 8), k, transposes, scalars[1]!, k % 2 === 0)),
    // Where wide tiles have both operands packed: tiles cut at the bottom and right, more than one block of rows, columns and k; where rows are few, a B of more than
    // a megabyte, one that is transposed, one that is packed already.
    ...[1, 2, 3, 4, 5, 6, 7, 259].map((k) =>
      call(65 + (k % 4), 48 + ((5 * k) % 16), k, transposes, scalars[k % 4]!, k % 2 === 0),
    ),
    call(517, 50, 5, transposes, scalars[3]!, false),
    call(66, 297, 260, transposes, scalars[1]!, true),
    call(9, 1030, 257, transposes, scalars[3]!, false),
    call(9, 250, 1056, transposes, scalars[3]!, false),
    call(17, 49, 11, transposes, scalars[2]!, false),
    call(5, 17, 20, transposes, scalars[3]!, false),
    // One row or column: eight lanes at a time, blocks of 1024 lanes, rows of four steps.
    ...[1, 3, 4, 8, 31, 1023, 1024, 1029].flatMap((lanes) => [
      call(1, lanes, 7, transposes, scalars[3]!, lanes % 2 === 0),
      call(lanes, 1, 8, transposes, scalars[2]!, lanes % 2 === 1),
    ]),
    call(1, 37, 515, transposes, scalars[3]!, false),
    call(37, 1, 515, transposes, scalars[3]!, false),
    // Rows of B that share one set of the first cache.
    call(9, 1024, 5, transposes, scalars[1]!, true),
  ]),
];

const numbers = fc
  .record({
    m: fc.nat(40),
    n: fc.oneof(fc.nat(40), fc.nat(100)),
    k: fc.oneof(fc.nat(20), fc.nat(300)),
    transposes: fc.nat(3),
    scale: fc.constantFrom(...scalars),
    tight: fc.boolean(),
  })
  .map(({ m, n, k, transposes, scale, tight }) => call(m, n, k, transposes, scale, tight));

/** Contiguous batches, gaps between the matrices, and one A or B (or both) for all. */
function batches(batch: number, one: Numbers): Numbers[] {
  const { m, n, k, lda, ldb, ldc, transposeA, transposeB } = one as Readonly<Record<string, number>>;
  const strideA = transposeA ? k! * lda! : m! * lda!;
  const strideB = transposeB ? n! * ldb! : k! * ldb!;
  const strideC = m! * ldc!;
  return [
    { ...one, batch, strideA, strideB, strideC },
    { ...one, batch, strideA: strideA + 5, strideB: strideB + 1, strideC: strideC + 3 },
    { ...one, batch, strideA, strideB: 0, strideC },
    { ...one, batch, strideA: 0, strideB, strideC },
    { ...one, batch, strideA: 0, strideB: 0, strideC: strideC + 1 },
  ];
}

const batchedGrid = [0, 1, 2, 3].flatMap((transposes) => [
  ...batches(3, call(5, 9, 7, transposes, scalars[3]!, false)),
  ...batches(2, call(4, 8, 257, transposes, scalars[0]!, true)),
  ...batches(3, call(1, 10, 6, transposes, scalars[1]!, true)),
  ...batches(3, call(10, 1, 6, transposes, scalars[2]!, false)),
  ...batches(2, call(3, 3, 0, transposes, scalars[5]!, false)),
  ...batches(2, call(0, 3, 2, transposes, scalars[5]!, false)),
  batches(0, call(3, 3, 2, transposes, scalars[1]!, false))[0]!,
  // Folded into one product of more rows than a block has.
  batches(130, call(4, 3, 2, transposes, scalars[1]!, true))[2]!,
]);

const endings = [
  { activation: 0, low: 0, high: 0 },
  { activation: 1, low: 0, high: Infinity },
  { activation: 1, low: -3, high: 6 },
  { activation: 2, low: 0, high: 0 },
  { activation: 3, low: 0, high: 0 },
  { activation: 4, low: 0, high: 0 },
];

/** The product with every ending; the residual's rows lie elsewhere than those of C. */
function ended(one: Numbers, ending: Numbers): Numbers {
  return { ...one, ...ending, ldr: nextPrime(one.n!) };
}

const fusedGrid = [...grid.keys()]
  .filter((index) => index % 7 === 0 || index >= ms.length * ns.length * ks.length)
  .map((index, turn) => ended(grid[index]!, endings[turn % endings.length]!));

const batchedNumbers = fc.tuple(fc.nat(4), fc.nat(4), numbers).map(([batch, kind, one]) => batches(batch, one)[kind]!);

// tanh and sigmoid round: only the others are exact.
const fusedNumbers = fc
  .tuple(numbers, fc.constantFrom(...endings.slice(0, 3)))
  .map(([one, ending]) => ended(one, ending));

export default [
  // Sums of at most 768 products of at most 16, times 2, stay far below 2^24; halves stay exact too.
  { kernel: gemm_f32, grid, numbers, exact: true },
  { kernel: gemm_batched_f32, grid: batchedGrid, numbers: batchedNumbers, exact: true },
  { kernel: gemm_fused_f32, grid: fusedGrid, numbers: fusedNumbers, exact: true },
  { kernel: gemm_f64, grid, numbers, exact: true },
  { kernel: gemm_batched_f64, grid: batchedGrid, numbers: batchedNumbers, exact: true },
  { kernel: gemm_pack_b_f32, grid: grid.filter((_, index) => index % 5 === 0), numbers, exact: true },
  { kernel: gemm_prepacked_f32, grid: fusedGrid, numbers: fusedNumbers, exact: true },
] satisfies KernelSamples[];
