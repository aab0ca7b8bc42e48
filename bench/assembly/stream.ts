// Copy loops: what memory gives a kernel that reads `r` arrays and writes `w` of the same length and does next to nothing else. Compiled when the
// bench runs; not part of the package. Each works on 16 floats a turn and array, as the kernels do.

// @ts-ignore: decorator
@inline
function load4(from: usize): v128 {
  return v128.load(from);
}

/** One read; what was read is folded into a number, so that nobody leaves it out. */
export function stream_1_0(x: usize, length: i32): i32 {
  const end = x + (<usize>length << 2);
  let a = v128.load(x), b = a, c = a, d = a;
  for (; x < end; x += 64) {
    a = v128.or(a, load4(x));
    b = v128.or(b, v128.load(x, 16));
    c = v128.or(c, v128.load(x, 32));
    d = v128.or(d, v128.load(x, 48));
  }
  return i32x4.extract_lane(v128.or(v128.or(a, b), v128.or(c, d)), 0);
}

/** One read, one write. */
export function stream_1_1(x: usize, y: usize, length: i32): void {
  const end = x + (<usize>length << 2);
  for (; x < end; x += 64, y += 64) {
    const a = load4(x), b = v128.load(x, 16), c = v128.load(x, 32), d = v128.load(x, 48);
    v128.store(y, a);
    v128.store(y, b, 16);
    v128.store(y, c, 32);
    v128.store(y, d, 48);
  }
}

/** Two reads, one write. */
export function stream_2_1(x: usize, y: usize, z: usize, length: i32): void {
  const end = x + (<usize>length << 2);
  for (; x < end; x += 64, y += 64, z += 64) {
    const a = v128.or(load4(x), load4(y));
    const b = v128.or(v128.load(x, 16), v128.load(y, 16));
    const c = v128.or(v128.load(x, 32), v128.load(y, 32));
    const d = v128.or(v128.load(x, 48), v128.load(y, 48));
    v128.store(z, a);
    v128.store(z, b, 16);
    v128.store(z, c, 32);
    v128.store(z, d, 48);
  }
}

/** Four reads, three writes: a step of Adam from one slot to the other. Arrays lie `stride` bytes apart, the written ones last. */
export function stream_4_3(start: usize, stride: usize, length: i32): void {
  const end = start + (<usize>length << 2);
  const y = start + stride, z = y + stride, w = z + stride, p = w + stride, q = p + stride, r = q + stride;
  let at: usize = 0;
  for (; start + at < end; at += 32) {
    const a = load4(start + at), a2 = v128.load(start + at, 16);
    const b = load4(y + at), b2 = v128.load(y + at, 16);
    const c = load4(z + at), c2 = v128.load(z + at, 16);
    const d = load4(w + at), d2 = v128.load(w + at, 16);
    v128.store(p + at, v128.or(a, d));
    v128.store(p + at, v128.or(a2, d2), 16);
    v128.store(q + at, b);
    v128.store(q + at, b2, 16);
    v128.store(r + at, c);
    v128.store(r + at, c2, 16);
  }
}
