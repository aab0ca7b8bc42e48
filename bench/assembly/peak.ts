// The mul+add peak of this machine, in two ways, of which the faster one counts. Fourteen independent chains x = x * 0.5 + 0.5 in registers, nothing else; and
// eight sums of products whose factors come from the first cache, as in a register tile: where multiplications and additions go to different ports
// (Intel's Golden Cove), a chain in which each waits for the other leaves a tenth of their slots empty. Compiled when the bench runs; not part of
// the package. No value is subnormal.

/** Flops per iteration of `peak`. */
export function flopsPerIteration(): i32 {
  return 14 * 4 * 2;
}

/** Runs `count` iterations. `half` must be 0.5 (a parameter, so that the compiler cannot fold it). */
export function peak(count: i32, half: f32): f32 {
  const y = f32x4.splat(half);
  let a = f32x4.splat(1), b = a, c = a, d = a, e = a, f = a, g = a, h = a, i = a, j = a, k = a, l = a, m = a, n = a;
  do {
    a = f32x4.add(f32x4.mul(a, y), y);
    b = f32x4.add(f32x4.mul(b, y), y);
    c = f32x4.add(f32x4.mul(c, y), y);
    d = f32x4.add(f32x4.mul(d, y), y);
    e = f32x4.add(f32x4.mul(e, y), y);
    f = f32x4.add(f32x4.mul(f, y), y);
    g = f32x4.add(f32x4.mul(g, y), y);
    h = f32x4.add(f32x4.mul(h, y), y);
    i = f32x4.add(f32x4.mul(i, y), y);
    j = f32x4.add(f32x4.mul(j, y), y);
    k = f32x4.add(f32x4.mul(k, y), y);
    l = f32x4.add(f32x4.mul(l, y), y);
    m = f32x4.add(f32x4.mul(m, y), y);
    n = f32x4.add(f32x4.mul(n, y), y);
  } while (--count);
  const s = f32x4.add(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)), f32x4.add(f32x4.add(e, f), f32x4.add(g, h)));
  const t = f32x4.add(f32x4.add(f32x4.add(i, j), f32x4.add(k, l)), f32x4.add(m, n));
  return f32x4.extract_lane(f32x4.add(s, t), 0);
}

/** Flops per iteration of `peak256`. */
export function flopsPerIteration256(): i32 {
  return 24 * 4 * 2;
}

/**
 * As `peak`, in a form that V8's revectoriser (`--experimental-wasm-revectorize`) fuses into 256-bit operations: it starts from neighbouring loads
 * and stores, so the twelve pairs of chains come from memory at `at` (96 floats of 1, then 8 of 0.5) and go back there. Without the flag
 * it spills and says nothing.
 */
export function peak256(at: usize, count: i32): void {
  let x0 = v128.load(at, 0), x1 = v128.load(at, 16), x2 = v128.load(at, 32), x3 = v128.load(at, 48);
  let x4 = v128.load(at, 64), x5 = v128.load(at, 80), x6 = v128.load(at, 96), x7 = v128.load(at, 112);
  let x8 = v128.load(at, 128), x9 = v128.load(at, 144), x10 = v128.load(at, 160), x11 = v128.load(at, 176);
  let x12 = v128.load(at, 192), x13 = v128.load(at, 208), x14 = v128.load(at, 224), x15 = v128.load(at, 240);
  let x16 = v128.load(at, 256), x17 = v128.load(at, 272), x18 = v128.load(at, 288), x19 = v128.load(at, 304);
  let x20 = v128.load(at, 320), x21 = v128.load(at, 336), x22 = v128.load(at, 352), x23 = v128.load(at, 368);
  const y = v128.load(at, 384), z = v128.load(at, 400);
  do {
    x0 = f32x4.add(f32x4.mul(x0, y), y);
    x1 = f32x4.add(f32x4.mul(x1, z), z);
    x2 = f32x4.add(f32x4.mul(x2, y), y);
    x3 = f32x4.add(f32x4.mul(x3, z), z);
    x4 = f32x4.add(f32x4.mul(x4, y), y);
    x5 = f32x4.add(f32x4.mul(x5, z), z);
    x6 = f32x4.add(f32x4.mul(x6, y), y);
    x7 = f32x4.add(f32x4.mul(x7, z), z);
    x8 = f32x4.add(f32x4.mul(x8, y), y);
    x9 = f32x4.add(f32x4.mul(x9, z), z);
    x10 = f32x4.add(f32x4.mul(x10, y), y);
    x11 = f32x4.add(f32x4.mul(x11, z), z);
    x12 = f32x4.add(f32x4.mul(x12, y), y);
    x13 = f32x4.add(f32x4.mul(x13, z), z);
    x14 = f32x4.add(f32x4.mul(x14, y), y);
    x15 = f32x4.add(f32x4.mul(x15, z), z);
    x16 = f32x4.add(f32x4.mul(x16, y), y);
    x17 = f32x4.add(f32x4.mul(x17, z), z);
    x18 = f32x4.add(f32x4.mul(x18, y), y);
    x19 = f32x4.add(f32x4.mul(x19, z), z);
    x20 = f32x4.add(f32x4.mul(x20, y), y);
    x21 = f32x4.add(f32x4.mul(x21, z), z);
    x22 = f32x4.add(f32x4.mul(x22, y), y);
    x23 = f32x4.add(f32x4.mul(x23, z), z);
  } while (--count);
  v128.store(at, x0, 0);
  v128.store(at, x1, 16);
  v128.store(at, x2, 32);
  v128.store(at, x3, 48);
  v128.store(at, x4, 64);
  v128.store(at, x5, 80);
  v128.store(at, x6, 96);
  v128.store(at, x7, 112);
  v128.store(at, x8, 128);
  v128.store(at, x9, 144);
  v128.store(at, x10, 160);
  v128.store(at, x11, 176);
  v128.store(at, x12, 192);
  v128.store(at, x13, 208);
  v128.store(at, x14, 224);
  v128.store(at, x15, 240);
  v128.store(at, x16, 256);
  v128.store(at, x17, 272);
  v128.store(at, x18, 288);
  v128.store(at, x19, 304);
  v128.store(at, x20, 320);
  v128.store(at, x21, 336);
  v128.store(at, x22, 352);
  v128.store(at, x23, 368);
}

/** Flops per iteration of `loaded`. */
export function flopsPerIterationLoaded(): i32 {
  return 8 * 4 * 2;
}

/** Eight sums, two vectors and four factors from 192 bytes at `at`, a multiple of 256: in every other iteration, from 128 bytes on. */
export function loaded(at: usize, count: i32): f32 {
  let a = f32x4.splat(0), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
  do {
    const p = v128.load(at), q = v128.load(at, 16);
    let x = v128.load32_splat(at, 32);
    a = f32x4.add(a, f32x4.mul(x, p));
    b = f32x4.add(b, f32x4.mul(x, q));
    x = v128.load32_splat(at, 36);
    c = f32x4.add(c, f32x4.mul(x, p));
    d = f32x4.add(d, f32x4.mul(x, q));
    x = v128.load32_splat(at, 40);
    e = f32x4.add(e, f32x4.mul(x, p));
    f = f32x4.add(f, f32x4.mul(x, q));
    x = v128.load32_splat(at, 44);
    g = f32x4.add(g, f32x4.mul(x, p));
    h = f32x4.add(h, f32x4.mul(x, q));
    at ^= 128;
  } while (--count);
  const s = f32x4.add(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)), f32x4.add(f32x4.add(e, f), f32x4.add(g, h)));
  return f32x4.extract_lane(s, 0);
}

/** Flops per iteration of `loaded256`. */
export function flopsPerIterationLoaded256(): i32 {
  return 16 * 4 * 2;
}

/** As `loaded`, of neighbours that V8's revectoriser fuses: four vectors and four factors. The sums are stored at `at` + 256. */
export function loaded256(at: usize, count: i32): void {
  let a0 = f32x4.splat(0), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
  let e0 = a0, e1 = a0, f0 = a0, f1 = a0, g0 = a0, g1 = a0, h0 = a0, h1 = a0;
  const to = at + 256;
  do {
    const p0 = v128.load(at), p1 = v128.load(at, 16), q0 = v128.load(at, 32), q1 = v128.load(at, 48);
    let x = v128.load32_splat(at, 64);
    a0 = f32x4.add(a0, f32x4.mul(x, p0));
    a1 = f32x4.add(a1, f32x4.mul(x, p1));
    b0 = f32x4.add(b0, f32x4.mul(x, q0));
    b1 = f32x4.add(b1, f32x4.mul(x, q1));
    x = v128.load32_splat(at, 68);
    c0 = f32x4.add(c0, f32x4.mul(x, p0));
    c1 = f32x4.add(c1, f32x4.mul(x, p1));
    d0 = f32x4.add(d0, f32x4.mul(x, q0));
    d1 = f32x4.add(d1, f32x4.mul(x, q1));
    x = v128.load32_splat(at, 72);
    e0 = f32x4.add(e0, f32x4.mul(x, p0));
    e1 = f32x4.add(e1, f32x4.mul(x, p1));
    f0 = f32x4.add(f0, f32x4.mul(x, q0));
    f1 = f32x4.add(f1, f32x4.mul(x, q1));
    x = v128.load32_splat(at, 76);
    g0 = f32x4.add(g0, f32x4.mul(x, p0));
    g1 = f32x4.add(g1, f32x4.mul(x, p1));
    h0 = f32x4.add(h0, f32x4.mul(x, q0));
    h1 = f32x4.add(h1, f32x4.mul(x, q1));
    at ^= 128;
  } while (--count);
  v128.store(to, a0, 0);
  v128.store(to, a1, 16);
  v128.store(to, b0, 32);
  v128.store(to, b1, 48);
  v128.store(to, c0, 64);
  v128.store(to, c1, 80);
  v128.store(to, d0, 96);
  v128.store(to, d1, 112);
  v128.store(to, e0, 128);
  v128.store(to, e1, 144);
  v128.store(to, f0, 160);
  v128.store(to, f1, 176);
  v128.store(to, g0, 192);
  v128.store(to, g1, 208);
  v128.store(to, h0, 224);
  v128.store(to, h1, 240);
}
