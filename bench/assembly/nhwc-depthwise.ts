// Depthwise 3x3 convolution on NHWC, for comparison with the package's on NCHW (bench/layout.bench.mjs): lanes are four channels, images are padded into
// working memory first. The number of channels is a multiple of eight.

// @ts-ignore: decorator
@inline
function plus(sum: v128, w: v128, x: v128): v128 {
  return f32x4.add(sum, f32x4.mul(w, x));
}

/** An image [h, w, c] with a pixel of zeros around it. */
function pad(x: usize, c: i32, h: i32, w: i32, to: usize): void {
  const row = <usize>(w * c) << 2, pitch = <usize>((w + 2) * c) << 2;
  memory.fill(to, 0, <usize>(h + 2) * pitch);
  for (let y = 0; y < h; y++) memory.copy(to + <usize>(y + 1) * pitch + (<usize>c << 2), x + <usize>y * row, row);
}

/** y [n, ho, wo, c] of x [n, h, w, c] and weight [3, 3, c], padding 1. */
export function depthwiseForward(x: usize, weight: usize, y: usize, n: i32, c: i32, h: i32, w: i32, stride: i32, scratch: usize): void {
  const ho = (h - 1) / stride + 1, wo = (w - 1) / stride + 1;
  const pixel = <usize>c << 2, pitch = <usize>(w + 2) * pixel;
  for (let image = 0; image < n; image++) {
    pad(x, c, h, w, scratch);
    for (let p = 0; p < ho; p++) {
      for (let q = 0; q < wo; q++) {
        const r0 = scratch + <usize>(p * stride) * pitch + <usize>(q * stride) * pixel, r1 = r0 + pitch, r2 = r1 + pitch;
        for (let at: usize = 0; at < pixel; at += 32) {
          const zero = f32x4.splat(0), w0 = weight + at;
          let a = plus(zero, v128.load(w0), v128.load(r0 + at)), b = plus(zero, v128.load(w0, 16), v128.load(r0 + at, 16));
          a = plus(a, v128.load(w0 + pixel), v128.load(r0 + pixel + at));
          b = plus(b, v128.load(w0 + pixel, 16), v128.load(r0 + pixel + at, 16));
          a = plus(a, v128.load(w0 + 2 * pixel), v128.load(r0 + 2 * pixel + at));
          b = plus(b, v128.load(w0 + 2 * pixel, 16), v128.load(r0 + 2 * pixel + at, 16));
          a = plus(a, v128.load(w0 + 3 * pixel), v128.load(r1 + at));
          b = plus(b, v128.load(w0 + 3 * pixel, 16), v128.load(r1 + at, 16));
          a = plus(a, v128.load(w0 + 4 * pixel), v128.load(r1 + pixel + at));
          b = plus(b, v128.load(w0 + 4 * pixel, 16), v128.load(r1 + pixel + at, 16));
          a = plus(a, v128.load(w0 + 5 * pixel), v128.load(r1 + 2 * pixel + at));
          b = plus(b, v128.load(w0 + 5 * pixel, 16), v128.load(r1 + 2 * pixel + at, 16));
          a = plus(a, v128.load(w0 + 6 * pixel), v128.load(r2 + at));
          b = plus(b, v128.load(w0 + 6 * pixel, 16), v128.load(r2 + at, 16));
          a = plus(a, v128.load(w0 + 7 * pixel), v128.load(r2 + pixel + at));
          b = plus(b, v128.load(w0 + 7 * pixel, 16), v128.load(r2 + pixel + at, 16));
          a = plus(a, v128.load(w0 + 8 * pixel), v128.load(r2 + 2 * pixel + at));
          b = plus(b, v128.load(w0 + 8 * pixel, 16), v128.load(r2 + 2 * pixel + at, 16));
          v128.store(y + at, a);
          v128.store(y + at, b, 16);
        }
        y += pixel;
      }
    }
    x += <usize>h * <usize>w * pixel;
  }
}

/** gradWeight [3, 3, c] of x and gradY [n, ho, wo, c]: nine sums in registers for four channels at a time. */
export function depthwiseFilter(
  x: usize, gradY: usize, gradWeight: usize, n: i32, c: i32, h: i32, w: i32, stride: i32, scratch: usize,
): void {
  const ho = (h - 1) / stride + 1, wo = (w - 1) / stride + 1;
  const pixel = <usize>c << 2, pitch = <usize>(w + 2) * pixel, step = <usize>stride * pixel;
  memory.fill(gradWeight, 0, 9 * pixel);
  for (let image = 0; image < n; image++) {
    pad(x, c, h, w, scratch);
    for (let at: usize = 0; at < pixel; at += 16) {
      let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0, s8 = s0;
      let g = gradY + at;
      for (let p = 0; p < ho; p++) {
        let r0 = scratch + <usize>(p * stride) * pitch + at, r1 = r0 + pitch, r2 = r1 + pitch;
        for (let q = 0; q < wo; q++) {
          const gradient = v128.load(g);
          g += pixel;
          s0 = plus(s0, gradient, v128.load(r0));
          s1 = plus(s1, gradient, v128.load(r0 + pixel));
          s2 = plus(s2, gradient, v128.load(r0 + 2 * pixel));
          r0 += step;
          s3 = plus(s3, gradient, v128.load(r1));
          s4 = plus(s4, gradient, v128.load(r1 + pixel));
          s5 = plus(s5, gradient, v128.load(r1 + 2 * pixel));
          r1 += step;
          s6 = plus(s6, gradient, v128.load(r2));
          s7 = plus(s7, gradient, v128.load(r2 + pixel));
          s8 = plus(s8, gradient, v128.load(r2 + 2 * pixel));
          r2 += step;
        }
      }
      const to = gradWeight + at;
      v128.store(to, f32x4.add(v128.load(to), s0));
      v128.store(to + pixel, f32x4.add(v128.load(to + pixel), s1));
      v128.store(to + 2 * pixel, f32x4.add(v128.load(to + 2 * pixel), s2));
      v128.store(to + 3 * pixel, f32x4.add(v128.load(to + 3 * pixel), s3));
      v128.store(to + 4 * pixel, f32x4.add(v128.load(to + 4 * pixel), s4));
      v128.store(to + 5 * pixel, f32x4.add(v128.load(to + 5 * pixel), s5));
      v128.store(to + 6 * pixel, f32x4.add(v128.load(to + 6 * pixel), s6));
      v128.store(to + 7 * pixel, f32x4.add(v128.load(to + 7 * pixel), s7));
      v128.store(to + 8 * pixel, f32x4.add(v128.load(to + 8 * pixel), s8));
    }
    x += <usize>h * <usize>w * pixel;
    gradY += <usize>ho * <usize>wo * pixel;
  }
}
