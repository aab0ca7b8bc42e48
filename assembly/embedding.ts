// Rows of a table by index, and the gradient of the table. Contracts: kernels/embedding.ts.
import { loadSome, storeSome } from './vector';

// @ts-ignore: decorator
@inline
function partAt(i: i32, length: i32): i32 {
  return length - i < 4 ? length - i : 0;
}

export function embedding_f32(weight: usize, indices: usize, y: usize, vocabulary: i32, count: i32, columns: i32): void {
  const rowBytes = (<usize>columns) << 2;
  for (let k = 0; k < count; k++) {
    const index = load<i32>(indices + ((<usize>k) << 2));
    const inside = <u32>index < <u32>vocabulary;
    const from = weight + <usize>index * rowBytes;
    for (let i = 0; i < columns; i += 4) {
      const at = (<usize>i) << 2;
      const part = partAt(i, columns);
      storeSome(y + at, inside ? loadSome(from + at, part) : f32x4.splat(NaN), part);
    }
    y += rowBytes;
  }
}

export function embedding_f32_gradient(
  gradY: usize, indices: usize, gradWeight: usize, vocabulary: i32, count: i32, columns: i32, paddingIndex: i32,
): void {
  const rowBytes = (<usize>columns) << 2;
  memory.fill(gradWeight, 0, <usize>vocabulary * rowBytes);
  for (let k = 0; k < count; k++) {
    const index = load<i32>(indices + ((<usize>k) << 2));
    if (<u32>index < <u32>vocabulary && index != paddingIndex) {
      const to = gradWeight + <usize>index * rowBytes;
      for (let i = 0; i < columns; i += 4) {
        const at = (<usize>i) << 2;
        const part = partAt(i, columns);
        storeSome(to + at, f32x4.add(loadSome(to + at, part), loadSome(gradY + at, part)), part);
      }
    }
    gradY += rowBytes;
  }
}
