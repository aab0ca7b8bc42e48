/**
 * The kernels other than gemm and conv, from the built package, on the sizes of one LeNet-5 image (6,304 activations) in the cache: nanoseconds
 * per element, one thread. All rows take turns; best and median slice.
 */
import { interleave, row } from './measure.mjs';

const n = 6304;

/** @param {{ seconds: number }} options seconds for all rows together */
export default async function kernels({ seconds }) {
  const { callPointers } = await import('../dist/kernels/runtime/call.js');
  const { allocate, f32, free, i32, u8 } = await import('../dist/kernels/runtime/memory.js');
  const { kernels: all } = await import('../dist/kernels/index.js');
  const [x, y, z, out, small, indices, targets, bytes, layout] = Array.from({ length: 9 }, () => allocate(4 * n));
  for (const pointer of [x, y, z]) for (let i = 0; i < n; i++) f32(pointer, n)[i] = 4 * Math.sin(i * 1.7 + pointer);
  i32(targets, n).fill(3);
  u8(bytes, n).fill(7);
  i32(layout, 4).set([80, 78, 1, 80]);
  const rows = [];
  const add = (name, elements, ...values) => rows.push(row(name, elements, () => callPointers(all[name], values), 1));
  for (const name of ['neg', 'relu', 'exp', 'log', 'tanh', 'sigmoid', 'sqrt', 'reciprocal'])
    add(`${name}_f32`, n, x, out, n);
  for (const name of ['add_f32', 'mul_f32', 'div_f32', 'maximum_f32', 'tanh_f32_gradient']) add(name, n, x, y, out, n);
  add('mask_f32', n, x, bytes, 2, out, n);
  add('axpy_f32', n, x, z, 1e-9, n);
  add('sum_f32', n, x, out, 1, n, 1);
  add('sum_f32', n, x, out, 1, n / 16, 16);
  add('max_f32', n, x, out, indices, 1, n, 1);
  add('log_softmax_f32', n, x, out, 630, 10);
  add('cross_entropy_f32', n, x, targets, out, small, small + 4, 630, 10, -100);
  add('cross_entropy_f32', n, x, targets, out, small, small + 4, 6, 1000, -100);
  add('max_pool2d_f32', 6 * 784, x, out, indices, 6, 28, 28, 2, 2, 2, 2, 0, 0);
  add('max_pool2d_f32_gradient', 6 * 784, y, indices, out, 6, 28, 28, 14, 14);
  add('copy_strided_f32', 80 * 78, x, layout, out, n, 0, 2, 80 * 78);
  add('gather_rows_u8_to_f32', n, bytes, targets, out, 8, 8, 788, 1 / 255, 0);
  add('sgd_f32', n, x, y, z, out, z, n, 1e-9, 0.9, 0, 0, 0, 0);
  const results = interleave(rows, seconds).map(({ name, best, median }) => ({
    name,
    bestNs: 1 / best,
    medianNs: 1 / median,
  }));
  for (const { name, bestNs, medianNs } of results) {
    console.log(`${name.padEnd(26)} best ${bestNs.toFixed(3)}  median ${medianNs.toFixed(3)} ns/element`);
  }
  for (const pointer of [x, y, z, out, small, indices, targets, bytes, layout]) free(pointer);
  return results;
}
