/**
 * Matrix multiplication of the built package against the mul+add peak of this machine, probed in turns with it: square sizes, and the linear
 * layers of LeNet-5 at 16 records. GFLOP/s, one thread; the ratio is best to best.
 */
import { performance } from 'node:perf_hooks';
import { compile, interleave, row } from './measure.mjs';

const peak = compile('bench/assembly/peak.ts').exports;

/** The probe in slices as long as the kernel's: a longer slice is more likely to be disturbed, so unequal ones would not compare. */
function peakLike({ once, repeats }) {
  const start = performance.now();
  for (let i = 0; i < repeats; i++) once();
  const count = 20_000;
  return row('peak', count * peak.flopsPerIteration(), () => peak.peak(count, 0.5), performance.now() - start);
}

const shapes = [
  ...[64, 96, 128, 192, 256, 384, 512, 768, 1024].map((n) => ({ name: `n = ${n}`, m: n, n, k: n })),
  { name: 'linear 400 -> 120, forward', m: 16, n: 120, k: 400, transposeB: 1 },
  { name: 'linear 400 -> 120, data', m: 16, n: 400, k: 120 },
  { name: 'linear 400 -> 120, weights', m: 120, n: 400, k: 16, transposeA: 1 },
  { name: 'linear 120 -> 84, forward', m: 16, n: 84, k: 120, transposeB: 1 },
  { name: 'linear 120 -> 84, data', m: 16, n: 120, k: 84 },
  { name: 'linear 120 -> 84, weights', m: 84, n: 120, k: 16, transposeA: 1 },
  { name: 'linear 84 -> 10, forward', m: 16, n: 10, k: 84, transposeB: 1 },
  { name: 'linear 84 -> 10, data', m: 16, n: 84, k: 10 },
  { name: 'linear 84 -> 10, weights', m: 10, n: 84, k: 16, transposeA: 1 },
];

/** @param {{ seconds: number }} options seconds per shape */
export default async function gemm({ seconds }) {
  const { callPointers } = await import('../dist/kernels/runtime/call.js');
  const { allocate, f32, free } = await import('../dist/kernels/runtime/memory.js');
  const { gemm_f32 } = await import('../dist/kernels/gemm.js');
  const results = [];
  for (const { name, m, n, k, transposeA = 0, transposeB = 0 } of shapes) {
    const [a, b, c] = [m * k, k * n, m * n].map((length) => allocate(4 * length));
    f32(a, m * k).forEach((_, i, all) => {
      all[i] = Math.sin(i);
    });
    f32(b, k * n).forEach((_, i, all) => {
      all[i] = Math.cos(i);
    });
    const values = [transposeA, transposeB, m, n, k, 1, a, transposeA ? m : k, b, transposeB ? k : n, 0, c, n];
    const one = row(name, 2 * m * n * k, () => callPointers(gemm_f32, values));
    const [kernel, probe] = interleave([one, peakLike(one)], seconds);
    const ratio = kernel.best / probe.best;
    console.log(
      `${name.padEnd(28)} best ${kernel.best.toFixed(1).padStart(5)}  median ${kernel.median.toFixed(1).padStart(5)}  ` +
        `peak best ${probe.best.toFixed(1)} median ${probe.median.toFixed(1)}  ratio ${ratio.toFixed(3)}`,
    );
    results.push({ ...kernel, peak: probe, ratio });
    for (const pointer of [a, b, c]) free(pointer);
  }
  return results;
}
