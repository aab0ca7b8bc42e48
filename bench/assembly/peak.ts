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
