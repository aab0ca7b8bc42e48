// CRC32C in a binary of its own. Contract, tables and reference: kernels/crc32c.ts. Two folds, each of which replaces a message by a shorter one
// of the same CRC:
//
// Long messages are folded by a multiple of the polynomial with six terms: x^209 = 1 + x^14 + x^39 + x^54 + x^144 modulo the polynomial, and so in
// powers of x^128, because squaring is linear over GF(2). So a vector of 16 bytes may be added to five later vectors, 65 to 209 places on, and be
// forgotten. That is five additions a vector, no table and no multiplication. (The smallest such multiple; found by search over all.)
//
// What is left, and messages of a few KB, are folded in blocks of 128 bytes. A CRC is linear, so a block D followed by a block E has the CRC of
// M(D) + E, with a linear M. It keeps four bytes together: bytes j, j + 32, j + 64, j + 96 of D give the same four of M(D), by one matrix of 32 x 32
// bits for all j. So M runs on 16 values of j at once, byte by byte as a sum over nibbles: 2 nibbles x 4 bytes in x 4 bytes out, each a swizzle in a
// table of 16 bytes.

/** Vectors that a vector is added to lie up to this many places on; so many must be zero before the message, and are left over. */
const SPAN: i32 = 209;

/** A message of so many bytes is worth the first fold. */
const LONG: i32 = 8192;

/** Bytes of a block. */
const BLOCK: i32 = 128;

/** The four tables (bytes out) of a nibble follow each other; those of the high nibble follow the low one's. */
// @ts-ignore: decorator
@inline
function times(nibbles: v128, tables: usize, output: usize): v128 {
  return i8x16.swizzle(v128.load(tables + (output << 4)), nibbles);
}

/** The state after `length` bytes, byte by byte. */
// @ts-ignore: decorator
@inline
function bytewise(state: u32, bytes: usize, length: i32, byteTable: usize): u32 {
  const end = bytes + <usize>length;
  for (; bytes < end; bytes++) state = load<u32>(byteTable + ((<usize>((state ^ load<u8>(bytes)) & 255)) << 2)) ^ (state >>> 8);
  return state;
}

// @ts-ignore: decorator
@inline
function low(bytes: v128): v128 {
  return v128.and(bytes, i8x16.splat(15));
}

// @ts-ignore: decorator
@inline
function high(bytes: v128): v128 {
  return i8x16.shr_u(bytes, 4);
}

/** Byte `output` of M for 16 values of j, of which a, b, c, d are the four bytes: low and high nibbles. */
// @ts-ignore: decorator
@inline
function folded(al: v128, ah: v128, bl: v128, bh: v128, cl: v128, ch: v128, dl: v128, dh: v128, tables: usize, output: usize): v128 {
  const a = v128.xor(times(al, tables, output), times(ah, tables + 64, output));
  const b = v128.xor(times(bl, tables + 128, output), times(bh, tables + 192, output));
  const c = v128.xor(times(cl, tables + 256, output), times(ch, tables + 320, output));
  const d = v128.xor(times(dl, tables + 384, output), times(dh, tables + 448, output));
  return v128.xor(v128.xor(a, b), v128.xor(c, d));
}

/** The sum of what five earlier vectors send to the one at `place`. */
// @ts-ignore: decorator
@inline
function earlier(place: usize): v128 {
  const a = v128.xor(v128.load(place - 65 * 16), v128.load(place - 155 * 16));
  const b = v128.xor(v128.load(place - 170 * 16), v128.load(place - 195 * 16));
  return v128.xor(v128.xor(a, b), v128.load(place - 209 * 16));
}

/** Adds to the vectors from `end` on, which are the last, what those before `end` send them over a distance. */
// @ts-ignore: decorator
@inline
function finish(end: usize, distance: usize): void {
  for (let place = end; place < end + distance; place += 16) {
    v128.store(place, v128.xor(v128.load(place), v128.load(place - distance)));
  }
}

/** Folds whole vectors from `bytes` to the SPAN last ones, which begin at `end`. Vectors before `end` are changed, too. */
function foldVectors(bytes: usize, end: usize): void {
  let place = bytes;
  for (; place + 64 <= end; place += 64) {
    v128.store(place, v128.xor(v128.load(place), earlier(place)));
    v128.store(place, v128.xor(v128.load(place, 16), earlier(place + 16)), 16);
    v128.store(place, v128.xor(v128.load(place, 32), earlier(place + 32)), 32);
    v128.store(place, v128.xor(v128.load(place, 48), earlier(place + 48)), 48);
  }
  for (; place < end; place += 16) v128.store(place, v128.xor(v128.load(place), earlier(place)));
  finish(end, 65 * 16);
  finish(end, 155 * 16);
  finish(end, 170 * 16);
  finish(end, 195 * 16);
  finish(end, 209 * 16);
}

/**
 * The state (not inverted) after `length` more bytes, which are overwritten; the 3344 bytes before them are zero. byteTable: 256 words; foldTables:
 * 512 bytes; scratch: 128 bytes.
 */
export function crc32c(state: u32, bytes: usize, length: i32, byteTable: usize, foldTables: usize, scratch: usize): u32 {
  if (length >= LONG) {
    // The state stands for itself added to the first four bytes.
    store<u32>(bytes, load<u32>(bytes) ^ state);
    state = 0;
    const folded = ((length >> 4) - SPAN) << 4;
    foldVectors(bytes, bytes + <usize>folded);
    bytes += <usize>folded;
    length -= folded;
  }
  if (length >= BLOCK) {
    let a0 = i32x4.replace_lane(i32x4.splat(0), 0, state);
    let a1 = i32x4.splat(0), a2 = a1, a3 = a1, b0 = a1, b1 = a1, b2 = a1, b3 = a1;
    for (;;) {
      a0 = v128.xor(a0, v128.load(bytes));
      b0 = v128.xor(b0, v128.load(bytes, 16));
      a1 = v128.xor(a1, v128.load(bytes, 32));
      b1 = v128.xor(b1, v128.load(bytes, 48));
      a2 = v128.xor(a2, v128.load(bytes, 64));
      b2 = v128.xor(b2, v128.load(bytes, 80));
      a3 = v128.xor(a3, v128.load(bytes, 96));
      b3 = v128.xor(b3, v128.load(bytes, 112));
      bytes += BLOCK;
      length -= BLOCK;
      if (length < BLOCK) break;
      let al = low(a0), ah = high(a0), bl = low(a1), bh = high(a1), cl = low(a2), ch = high(a2), dl = low(a3), dh = high(a3);
      a0 = folded(al, ah, bl, bh, cl, ch, dl, dh, foldTables, 0);
      a1 = folded(al, ah, bl, bh, cl, ch, dl, dh, foldTables, 1);
      a2 = folded(al, ah, bl, bh, cl, ch, dl, dh, foldTables, 2);
      a3 = folded(al, ah, bl, bh, cl, ch, dl, dh, foldTables, 3);
      al = low(b0), ah = high(b0), bl = low(b1), bh = high(b1), cl = low(b2), ch = high(b2), dl = low(b3), dh = high(b3);
      b0 = folded(al, ah, bl, bh, cl, ch, dl, dh, foldTables, 0);
      b1 = folded(al, ah, bl, bh, cl, ch, dl, dh, foldTables, 1);
      b2 = folded(al, ah, bl, bh, cl, ch, dl, dh, foldTables, 2);
      b3 = folded(al, ah, bl, bh, cl, ch, dl, dh, foldTables, 3);
    }
    v128.store(scratch, a0);
    v128.store(scratch, b0, 16);
    v128.store(scratch, a1, 32);
    v128.store(scratch, b1, 48);
    v128.store(scratch, a2, 64);
    v128.store(scratch, b2, 80);
    v128.store(scratch, a3, 96);
    v128.store(scratch, b3, 112);
    state = bytewise(0, scratch, BLOCK, byteTable);
  }
  return bytewise(state, bytes, length, byteTable);
}
