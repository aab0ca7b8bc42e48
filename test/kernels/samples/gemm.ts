import fc from 'fast-check';
import { gemm_f32 } from '../../../kernels/gemm.ts';
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
  ]),
];

const numbers = fc
  .record({
    m: fc.nat(40),
    n: fc.nat(40),
    k: fc.oneof(fc.nat(20), fc.nat(300)),
    transposes: fc.nat(3),
    scale: fc.constantFrom(...scalars),
    tight: fc.boolean(),
  })
  .map(({ m, n, k, transposes, scale, tight }) => call(m, n, k, transposes, scale, tight));

export default [
  // Sums of at most 768 products of at most 16, times 2, stay far below 2^24; halves stay exact too.
  { kernel: gemm_f32, grid, numbers, exact: true },
] satisfies KernelSamples[];
