// Several threads, one call: every thread calls the kernel with the same arguments (and working memory of its own) on an instance that knows which
// share of the results is its own. Each element of a result belongs to one share and is computed as it always is, so the bits are those of one
// thread. Only kernels whose record has `work` (kernels/define.ts) have shares; the others must not be called with more than one.

let index: i32 = 0;
let count: i32 = 1;

/** From the next call on, kernels compute share `which` of `total`. */
export function setShare(which: i32, total: i32): void {
  index = which;
  count = total;
}

/** How many shares there are. */
// @ts-ignore: decorator
@inline
export function shares(): i32 {
  return count;
}

/** The first of `units` equal pieces of work that belongs to this share. */
// @ts-ignore: decorator
@inline
export function shareStart(units: i32): i32 {
  return <i32>(<i64>units * index / count);
}

/** The one behind the last. */
// @ts-ignore: decorator
@inline
export function shareEnd(units: i32): i32 {
  return <i32>(<i64>units * (index + 1) / count);
}

/** Whether images are dealt out whole: they are many, or come out even. Otherwise each image is cut. */
// @ts-ignore: decorator
@inline
export function dealImages(images: i32): bool {
  return count > 1 && (images % count == 0 || images >= 4 * count);
}

/** Whether this share does what is not divided. */
// @ts-ignore: decorator
@inline
export function isFirstShare(): bool {
  return index == 0;
}
