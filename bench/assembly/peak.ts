// The mul+add peak of this machine: twelve independent chains x = x * 0.5 + 0.5 in registers, nothing else. Compiled when the bench runs; not
// part of the package. Values stay at 1, so no subnormal slows it down.

/** Flops per iteration of `peak`. */
export function flopsPerIteration(): i32 {
  return 12 * 4 * 2;
}

/** Runs `count` iterations. `half` must be 0.5 (a parameter, so that the compiler cannot fold it). */
export function peak(count: i32, half: f32): f32 {
  const y = f32x4.splat(half);
  let a = f32x4.splat(1), b = a, c = a, d = a, e = a, f = a, g = a, h = a, i = a, j = a, k = a, l = a;
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
  } while (--count);
  const s = f32x4.add(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)), f32x4.add(f32x4.add(e, f), f32x4.add(g, h)));
  return f32x4.extract_lane(f32x4.add(s, f32x4.add(f32x4.add(i, j), f32x4.add(k, l))), 0);
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
