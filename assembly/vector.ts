// Parts of a vector, for the last 1 to 3 elements of a row: no byte outside the row is read or written.

/** The first `count` (1 to 3) floats at `pointer`; the other lanes are 0. */
// @ts-ignore: decorator
@inline
export function loadPart(pointer: usize, count: i32): v128 {
  let x = v128.load32_zero(pointer);
  if (count > 1) x = v128.load_lane<f32>(pointer, x, 1, 4);
  if (count > 2) x = v128.load_lane<f32>(pointer, x, 2, 8);
  return x;
}

/** Stores the first `count` (1 to 3) lanes of `x` at `pointer`. */
// @ts-ignore: decorator
@inline
export function storePart(pointer: usize, x: v128, count: i32): void {
  v128.store_lane<f32>(pointer, x, 0);
  if (count > 1) v128.store_lane<f32>(pointer, x, 1, 4);
  if (count > 2) v128.store_lane<f32>(pointer, x, 2, 8);
}

/** Four floats, or the first `part` (1 to 3) of them. */
// @ts-ignore: decorator
@inline
export function loadSome(pointer: usize, part: i32): v128 {
  return part ? loadPart(pointer, part) : v128.load(pointer);
}

/** Stores four lanes, or the first `part` (1 to 3) of them. */
// @ts-ignore: decorator
@inline
export function storeSome(pointer: usize, x: v128, part: i32): void {
  if (part) storePart(pointer, x, part);
  else v128.store(pointer, x);
}

/** sum + x * y: product and sum each rounded, or, in the relaxed build, fused where the machine can. */
// @ts-ignore: decorator
@inline
export function multiplyAdd(sum: v128, x: v128, y: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(x, y, sum) : f32x4.add(sum, f32x4.mul(x, y));
}

/**
 * For two products of one `x`, `first` = x * y0 and x * y1, that enter two sums: `addSecond` is the second sum, and then `addFirst` the first one, as `multiplyAdd` has them. In the
 * strict build both products are computed before both sums. Left alone, Binaryen moves each product to its sum, so that products and sums take turns; on Zen 3 the tile of
 * packed-tile.ts is then 3 % slower on Node 24 and 13 % on Node 20 (docs/adr/0013-rows-spread-out.md). The shuffle moves nothing: V8 emits no instruction for it, but
 * computes both its operands before it.
 */
// @ts-ignore: decorator
@inline
export function addSecond(sum: v128, x: v128, y1: v128, first: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return multiplyAdd(sum, x, y1);
  return f32x4.add(sum, i8x16.shuffle(f32x4.mul(x, y1), first, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

// @ts-ignore: decorator
@inline
export function addFirst(sum: v128, x: v128, y0: v128, first: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? multiplyAdd(sum, x, y0) : f32x4.add(sum, first);
}

/**
 * Asks for the line of memory at `pointer`, which will be read soon: a load whose result is not used. It may trap, so no compiler leaves it out.
 * WebAssembly has no prefetch, and processors' own stops at the end of a page.
 */
// @ts-ignore: decorator
@inline
export function touch(pointer: usize): void {
  load<i32>(pointer);
}
