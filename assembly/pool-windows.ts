// Windows of pooling: how many there are, which are inside a row, and four neighbouring columns of them.

/** Windows along one dimension. */
// @ts-ignore: decorator
@inline
export function windows(size: i32, kernel: i32, stride: i32, padding: i32): i32 {
  const room = size + 2 * padding - kernel;
  return room < 0 ? 0 : room / stride + 1;
}

/** Four floats `stride` (1 or 2) apart, from `at` on; nothing beyond the last of them is read. */
// @ts-ignore: decorator
@inline
export function neighbours(stride: i32, at: usize): v128 {
  const a = v128.load(at);
  return stride == 1 ? a : i32x4.shuffle(a, v128.load(at, 12), 0, 2, 5, 7);
}

/** The first window that begins inside the row. */
// @ts-ignore: decorator
@inline
export function firstInside(outputs: i32, stride: i32, padding: i32): i32 {
  return min(outputs, (padding + stride - 1) / stride);
}

/** The end of those that end inside it; not before `first`. */
// @ts-ignore: decorator
@inline
export function endInside(first: i32, outputs: i32, stride: i32, padding: i32, kernel: i32, size: i32): i32 {
  const room = size + padding - kernel;
  return room < 0 ? first : max(first, min(outputs, room / stride + 1));
}
