// Random masks by Philox4x32-10. Contract: kernels/random.ts. Four blocks of the sequence at a time, one to a lane.

const MULTIPLIER0: i32 = <i32>0xd2511f53;
const MULTIPLIER1: i32 = <i32>0xcd9e8d57;
const WEYL0: i32 = <i32>0x9e3779b9;
const WEYL1: i32 = <i32>0xbb67ae85;
const ROUNDS: i32 = 10;

/** The words of four blocks from (low, high) on as a mask: 16 bytes, 1 where word >> 8 is not below `threshold`. */
// @ts-ignore: decorator
@inline
function maskOf4(low: i32, high: i32, stream0: i32, stream1: i32, seed0: i32, seed1: i32, threshold: v128): v128 {
  const multiplier0 = i32x4.splat(MULTIPLIER0), multiplier1 = i32x4.splat(MULTIPLIER1);
  let key0 = i32x4.splat(seed0), key1 = i32x4.splat(seed1);
  // Blocks low .. low + 3; where the low word wraps around, the high one is one more.
  let c0 = i32x4.add(i32x4.splat(low), i32x4(0, 1, 2, 3));
  let c1 = i32x4.sub(i32x4.splat(high), i32x4.lt_u(c0, i32x4.splat(low)));
  let c2 = i32x4.splat(stream0), c3 = i32x4.splat(stream1);
  for (let round = 0; round < ROUNDS; round++) {
    // Products of 64 bits, two and two; words 0, 2, 4, 6 are their low halves.
    const a = i64x2.extmul_low_i32x4_u(c0, multiplier0), b = i64x2.extmul_high_i32x4_u(c0, multiplier0);
    const c = i64x2.extmul_low_i32x4_u(c2, multiplier1), d = i64x2.extmul_high_i32x4_u(c2, multiplier1);
    c0 = v128.xor(v128.xor(i32x4.shuffle(c, d, 1, 3, 5, 7), c1), key0);
    c1 = i32x4.shuffle(c, d, 0, 2, 4, 6);
    c2 = v128.xor(v128.xor(i32x4.shuffle(a, b, 1, 3, 5, 7), c3), key1);
    c3 = i32x4.shuffle(a, b, 0, 2, 4, 6);
    key0 = i32x4.add(key0, i32x4.splat(WEYL0));
    key1 = i32x4.add(key1, i32x4.splat(WEYL1));
  }
  // -1 where kept, as bytes: word w of the block in lane b is number 4 b + w of the sequence.
  c0 = i32x4.ge_u(i32x4.shr_u(c0, 8), threshold);
  c1 = i32x4.ge_u(i32x4.shr_u(c1, 8), threshold);
  c2 = i32x4.ge_u(i32x4.shr_u(c2, 8), threshold);
  c3 = i32x4.ge_u(i32x4.shr_u(c3, 8), threshold);
  const bytes = i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(c0, c1), i16x8.narrow_i32x4_s(c2, c3));
  const inOrder = i8x16.swizzle(bytes, i8x16(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  return v128.and(inOrder, i8x16.splat(1));
}

export function dropout_mask_u8(
  mask: usize, length: i32, threshold: i32, seed0: i32, seed1: i32, stream0: i32, stream1: i32, counter0: i32, counter1: i32,
): void {
  const end = mask + length;
  const limit = i32x4.splat(threshold);
  let counter = (<u64><u32>counter1 << 32) | <u64><u32>counter0;
  for (; mask + 16 <= end; mask += 16, counter += 4) {
    v128.store(mask, maskOf4(<i32>counter, <i32>(counter >> 32), stream0, stream1, seed0, seed1, limit));
  }
  if (mask == end) return;
  const bytes = maskOf4(<i32>counter, <i32>(counter >> 32), stream0, stream1, seed0, seed1, limit);
  let low = i64x2.extract_lane(bytes, 0);
  const high = i64x2.extract_lane(bytes, 1);
  for (let i = 0; mask < end; mask++, i++) {
    if (i == 8) low = high;
    store<u8>(mask, <u8>low);
    low >>= 8;
  }
}
