/** Large operations on two intra-op threads, beside the same on one. */

const gemm = (n, more = {}) => ({ op: 'gemm', m: n, n, k: n, ...more });
const conv = (more = {}) => ({ op: 'conv', what: 'forward', n: 4, c: 64, h: 56, o: 64, ...more });

/** @type {import('./suite.mjs').Row[]} */
export const rows = [
  ...[512, 1024, 1536].map((n) => ({
    name: `gemm ${n} 2 threads`,
    work: gemm(n, { threads: 2 }),
    against: { '1 thread': gemm(n) },
  })),
  { name: 'conv 3x3 64 at 56 2 threads', work: conv({ threads: 2 }), against: { '1 thread': conv() } },
  {
    name: 'conv 3x3 64 at 56, 1 image, 2 threads',
    work: conv({ n: 1, threads: 2 }),
    against: { '1 thread': conv({ n: 1 }) },
  },
];
