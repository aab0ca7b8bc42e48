/**
 * The matrix products and convolutions of one training step of LeNet-5, each measured on the built package, at 16 and 64 records a task: GFLOP/s
 * of useful work (padding and cut tiles do not count), and what they add up to.
 */
import { interleave, row } from './measure.mjs';

const convolutions = [
  { name: 'conv1', c: 1, h: 28, o: 6, padding: 2, needsData: false },
  { name: 'conv2', c: 6, h: 14, o: 16, padding: 0, needsData: true },
];
const linears = [
  { name: 'linear1', inputs: 400, outputs: 120 },
  { name: 'linear2', inputs: 120, outputs: 84 },
  { name: 'linear3', inputs: 84, outputs: 10 },
];

/** @param {{ seconds: number }} options seconds per number of records */
export default async function lenetKernels({ seconds }) {
  const { callPointers } = await import('../dist/kernels/runtime/call.js');
  const { allocate, f32 } = await import('../dist/kernels/runtime/memory.js');
  const kernels = await import('../dist/kernels/index.js');
  const length = 1 << 20;
  const [x, weight, y, result] = [0, 1, 2, 3].map(() => allocate(4 * length));
  for (const pointer of [x, weight, y]) f32(pointer, length).set(Float32Array.from({ length }, (_, i) => Math.sin(i)));
  const results = {};
  for (const n of [16, 64]) {
    const rows = [];
    for (const { name, c, h, o, padding, needsData } of convolutions) {
      const ho = h + 2 * padding - 4;
      const sizes = [n, c, h, h, o, 5, 5, 1, 1, padding, padding, 1, 1, 1];
      const work = 2 * n * o * ho * ho * c * 25;
      const add = (what, kernel, values) => rows.push(row(`${name} ${what}`, work, () => callPointers(kernel, values)));
      add('forward', kernels.conv2d_f32_forward, [x, weight, weight, result, ...sizes]);
      if (needsData) add('backward-data', kernels.conv2d_f32_backward_data, [y, weight, result, ...sizes]);
      add('backward-filter', kernels.conv2d_f32_backward_filter, [x, y, result, ...sizes]);
    }
    for (const { name, inputs, outputs } of linears) {
      const add = (what, [transposeA, transposeB], [m, columns, k], a, b) => {
        const leading = [transposeA ? m : k, transposeB ? k : columns];
        const values = [transposeA, transposeB, m, columns, k, 1, a, leading[0], b, leading[1], 0, result, columns];
        rows.push(row(`${name} ${what}`, 2 * m * columns * k, () => callPointers(kernels.gemm_f32, values)));
      };
      add('forward', [0, 1], [n, outputs, inputs], x, weight);
      add('backward-data', [0, 0], [n, inputs, outputs], y, weight);
      add('backward-weights', [1, 0], [outputs, inputs, n], y, x);
    }
    const rates = interleave(rows, seconds);
    const total = rows.reduce((sum, { work }) => sum + work, 0);
    const overall = (which) => total / rows.reduce((elapsed, { work }, i) => elapsed + work / rates[i][which], 0);
    const all = { name: 'all', best: overall('best'), median: overall('median') };
    console.log(`${n} records`);
    for (const { name, best, median } of [...rates, all]) {
      console.log(
        `  ${name.padEnd(26)} best ${best.toFixed(1).padStart(5)}  median ${median.toFixed(1).padStart(5)} GFLOP/s`,
      );
    }
    const milliseconds = total / all.best / 1e6;
    console.log(
      `  ${milliseconds.toFixed(3)} ms a step; alone they allow ${Math.round((n / milliseconds) * 1000)} records/s`,
    );
    results[n] = { rates, all };
  }
  return results;
}
