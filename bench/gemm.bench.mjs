/**
 * Matrix products: squares in the three layouts that training needs, thin ones, many small ones. Operands change, so nobody may lay them out
 * beforehand, except in the rows that say "prepacked".
 */

const layouts = { NN: {}, NT: { transposeB: 1 }, TN: { transposeA: 1 } };
const gemm = (m, n, k, more = {}) => ({ op: 'gemm', m, n, k, ...more });

const squares = Object.entries(layouts).flatMap(([layout, transposes]) =>
  [96, 128, 256, 384, 512, 768, 1024, 1536].map((n) => ({
    name: `gemm ${layout} ${n}`,
    work: gemm(n, n, n, transposes),
  })),
);

/** @type {import('./suite.mjs').Row[]} */
export const rows = [
  ...squares,
  { name: 'gemm 32x1024x1024', work: gemm(32, 1024, 1024) },
  { name: 'gemm NT 32x1024x1024', work: gemm(32, 1024, 1024, { transposeB: 1 }) },
  { name: 'gemm 8x1024x1024', work: gemm(8, 1024, 1024) },
  { name: 'gemm 1x1024x1024', work: gemm(1, 1024, 1024) },
  { name: 'gemm 1024x16x1024', work: gemm(1024, 16, 1024) },
  { name: 'gemm 64 x 64x64x64', work: gemm(64, 64, 64, { batch: 64 }) },
  ...[32, 512].map((m) => ({ name: `gemm prepacked ${m}x1024x1024`, work: { op: 'prepacked', m, n: 1024, k: 1024 } })),
  { name: 'gemm 16 x 128x128x128', work: gemm(128, 128, 128, { batch: 16 }) },
];
