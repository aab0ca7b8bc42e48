// Rows of a table by index, and the gradient of the table. Contracts: kernels/embedding.ts.
import { loadPart, storePart } from './vector';

export function embedding_f32(weight: usize, indices: usize, y: usize, vocabulary: i32, count: i32, columns: i32): void {
  const rowBytes = (<usize>columns) << 2;
  const whole = rowBytes & ~15;
  const part = columns & 3;
  for (let k = 0; k < count; k++) {
    const index = load<i32>(indices + ((<usize>k) << 2));
    const inside = <u32>index < <u32>vocabulary;
    const from = weight + <usize>index * rowBytes;
    if (inside) {
      for (let at: usize = 0; at < whole; at += 16) v128.store(y + at, v128.load(from + at));
      if (part) storePart(y + whole, loadPart(from + whole, part), part);
    } else {
      for (let at: usize = 0; at < rowBytes; at += 4) store<f32>(y + at, NaN);
    }
    y += rowBytes;
  }
}

export function embedding_f32_gradient(
  gradY: usize, indices: usize, gradWeight: usize, vocabulary: i32, count: i32, columns: i32, paddingIndex: i32,
): void {
  const rowBytes = (<usize>columns) << 2;
  const whole = rowBytes & ~15;
  const part = columns & 3;
  memory.fill(gradWeight, 0, <usize>vocabulary * rowBytes);
  for (let k = 0; k < count; k++) {
    const index = load<i32>(indices + ((<usize>k) << 2));
    if (<u32>index < <u32>vocabulary && index != paddingIndex) {
      const to = gradWeight + <usize>index * rowBytes;
      for (let at: usize = 0; at < whole; at += 16) v128.store(to + at, f32x4.add(v128.load(to + at), v128.load(gradY + at)));
      if (part) storePart(to + whole, f32x4.add(loadPart(to + whole, part), loadPart(gradY + whole, part)), part);
    }
    gradY += rowBytes;
  }
}
