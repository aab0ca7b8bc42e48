// Depthwise convolution: every channel has one filter of its own. Forward and backward-data take four neighbouring positions of a plane as a vector;
// the filter gradient, whose sums run along positions, takes four planes. Contracts: kernels/conv.ts.
import { KC, zeros } from './tile';
import { clear, copyPadded } from './image';
import { spread } from './lanes';
import { packTransposed } from './packing';
import { threeTaps, twoTaps } from './filter-lanes';

/** Rounds bytes up so that what follows is aligned to a vector, with room for reads past the last row of a plane. */
// @ts-ignore: decorator
@inline
function planeBytes(count: i32): usize {
  return (<usize>(count + 16) << 2) + 15 & ~15;
}

// @ts-ignore: decorator
@inline
function floats(count: i32): usize {
  return (<usize>count << 2) + 15 & ~15;
}

/** The sum of one tap more: four positions. */
// @ts-ignore: decorator
@inline
function plus(sum: v128, weight: v128, x: v128): v128 {
  return f32x4.add(sum, f32x4.mul(weight, x));
}

/** Up to four results at `to`. */
// @ts-ignore: decorator
@inline
function storeUpTo(count: i32, to: usize, value: v128): void {
  if (count >= 4) {
    v128.store(to, value);
    return;
  }
  store<f32>(to, f32x4.extract_lane(value, 0));
  if (count > 1) store<f32>(to, f32x4.extract_lane(value, 1), 4);
  if (count > 2) store<f32>(to, f32x4.extract_lane(value, 2), 8);
}

/** One vector of nine taps, whose offsets are at `taps`. */
// @ts-ignore: decorator
@inline
function nine(
  taps: usize, from: usize, w0: v128, w1: v128, w2: v128, w3: v128, w4: v128, w5: v128, w6: v128, w7: v128, w8: v128,
): v128 {
  let sum = plus(f32x4.splat(0), w0, v128.load(from + load<usize>(taps)));
  sum = plus(sum, w1, v128.load(from + load<usize>(taps, 4)));
  sum = plus(sum, w2, v128.load(from + load<usize>(taps, 8)));
  sum = plus(sum, w3, v128.load(from + load<usize>(taps, 12)));
  sum = plus(sum, w4, v128.load(from + load<usize>(taps, 16)));
  sum = plus(sum, w5, v128.load(from + load<usize>(taps, 20)));
  sum = plus(sum, w6, v128.load(from + load<usize>(taps, 24)));
  sum = plus(sum, w7, v128.load(from + load<usize>(taps, 28)));
  return plus(sum, w8, v128.load(from + load<usize>(taps, 32)));
}

/** `count` neighbouring results of nine taps: the weights stay in registers. */
function nineTaps(taps: usize, weights: usize, from: usize, count: i32, start: v128, to: usize): void {
  const w0 = v128.load(weights), w1 = v128.load(weights, 16), w2 = v128.load(weights, 32);
  const w3 = v128.load(weights, 48), w4 = v128.load(weights, 64), w5 = v128.load(weights, 80);
  const w6 = v128.load(weights, 96), w7 = v128.load(weights, 112), w8 = v128.load(weights, 128);
  const whole = count >= 4;
  while (count > 0) {
    // The last vector of a row starts earlier and computes some results again.
    if (count < 4 && whole) {
      from -= <usize>(4 - count) << 2;
      to -= <usize>(4 - count) << 2;
      count = 4;
    }
    const sum = nine(taps, from, w0, w1, w2, w3, w4, w5, w6, w7, w8);
    storeUpTo(count, to, f32x4.add(start, sum));
    from += 16;
    to += 16;
    count -= 4;
  }
}

/** `count` neighbouring results of `k` taps. */
function anyTaps(k: i32, taps: usize, weights: usize, from: usize, count: i32, start: v128, to: usize): void {
  const whole = count >= 4;
  for (; count >= 16; count -= 16) {
    let s0 = f32x4.splat(0), s1 = f32x4.splat(0), s2 = f32x4.splat(0), s3 = f32x4.splat(0);
    for (let tap = 0; tap < k; tap++) {
      const at = from + load<usize>(taps + (<usize>tap << 2)), w = v128.load(weights + (<usize>tap << 4));
      s0 = plus(s0, w, v128.load(at));
      s1 = plus(s1, w, v128.load(at, 16));
      s2 = plus(s2, w, v128.load(at, 32));
      s3 = plus(s3, w, v128.load(at, 48));
    }
    v128.store(to, f32x4.add(start, s0));
    v128.store(to, f32x4.add(start, s1), 16);
    v128.store(to, f32x4.add(start, s2), 32);
    v128.store(to, f32x4.add(start, s3), 48);
    from += 64;
    to += 64;
  }
  while (count > 0) {
    if (count < 4 && whole) {
      from -= <usize>(4 - count) << 2;
      to -= <usize>(4 - count) << 2;
      count = 4;
    }
    let sum = f32x4.splat(0);
    for (let tap = 0; tap < k; tap++) {
      sum = plus(sum, v128.load(weights + (<usize>tap << 4)), v128.load(from + load<usize>(taps + (<usize>tap << 2))));
    }
    storeUpTo(count, to, f32x4.add(start, sum));
    from += 16;
    to += 16;
    count -= 4;
  }
}

// @ts-ignore: decorator
@inline
function row(k: i32, taps: usize, weights: usize, from: usize, count: i32, start: v128, to: usize): void {
  if (k == 9) nineTaps(taps, weights, from, count, start, to);
  else anyTaps(k, taps, weights, from, count, start, to);
}

/** y of `n` images; `taps` lists the offsets of the filter in a padded plane of rows x pitch. */
export function depthwiseForward(
  x: usize, weight: usize, bias: usize, y: usize, n: i32, c: i32, h: i32, w: i32, k: i32, ho: i32, wo: i32,
  strideH: i32, strideW: i32, paddingH: i32, paddingW: i32, rows: i32, pitch: i32, taps: usize, scratch: usize,
): void {
  const weights = scratch, padded = weights + (<usize>k << 4);
  clear(padded, rows * pitch);
  for (let image = 0; image < n; image++) {
    for (let channel = 0; channel < c; channel++) {
      copyPadded(x, 1, h, w, padded, rows, pitch, paddingH, paddingW, strideW);
      for (let tap = 0; tap < k; tap++) spread(weights + (<usize>tap << 4), load<f32>(weight + (<usize>(channel * k + tap) << 2)));
      const start = v128.load32_splat(bias ? bias + (<usize>channel << 2) : zeros);
      let from = padded;
      for (let p = 0; p < ho; p++) {
        row(k, taps, weights, from, wo, start, y);
        from += <usize>(strideH * pitch) << 2;
        y += <usize>wo << 2;
      }
      x += <usize>(h * w) << 2;
    }
  }
}


/** `count` results of a column phase go to every `step`-th element. */
function scatter(from: usize, count: i32, to: usize, step: i32): void {
  for (; count > 0; count--) {
    store<f32>(to, load<f32>(from));
    from += 4;
    to += <usize>step << 2;
  }
}

/** Two column phases of one row, `w` elements together. */
function interleave(even: usize, odd: usize, w: i32, to: usize): void {
  for (; w >= 8; w -= 8) {
    const a = v128.load(even), b = v128.load(odd);
    v128.store(to, v128.shuffle<f32>(a, b, 0, 4, 1, 5));
    v128.store(to, v128.shuffle<f32>(a, b, 2, 6, 3, 7), 16);
    even += 16;
    odd += 16;
    to += 32;
  }
  for (; w > 0; w -= 2) {
    store<f32>(to, load<f32>(even));
    if (w > 1) store<f32>(to, load<f32>(odd), 4);
    even += 4;
    odd += 4;
    to += 8;
  }
}

/**
 * gradX of `n` images: each of the strideH * strideW phases of pixels has its own taps (see conv.ts), a row of a phase is a stride-1 convolution of
 * gradY, and the phases of a row are interleaved.
 */
export function depthwiseBackwardData(
  gradY: usize, weight: usize, gradX: usize, n: i32, c: i32, h: i32, w: i32, kh: i32, kw: i32, ho: i32, wo: i32, strideH: i32, strideW: i32,
  paddingH: i32, paddingW: i32, dilationH: i32, dilationW: i32, top: i32, left: i32, rows: i32, pitch: i32, scratch: usize,
): void {
  const filter = kh * kw, lineBytes = planeBytes((w + strideW - 1) / strideW);
  // Per phase: its number of taps; then all taps phase by phase: offsets in gradY, and places in the filter.
  const counts = scratch, taps = counts + floats(strideH * strideW), places = taps + floats(filter), weights = places + floats(filter);
  const lines = weights + (<usize>filter << 4), padded = lines + <usize>strideW * lineBytes;
  let listed = 0;
  for (let phase = 0; phase < strideH * strideW; phase++) {
    const rh = phase / strideW, rw = phase - rh * strideW, before = listed;
    for (let tap = 0; tap < filter; tap++) {
      const i = tap / kw * dilationH, j = tap % kw * dilationW;
      if (i % strideH != rh || j % strideW != rw) continue;
      store<i32>(taps + (<usize>listed << 2), (-(i / strideH) * pitch - j / strideW) << 2);
      store<i32>(places + (<usize>listed << 2), tap << 2);
      listed++;
    }
    store<i32>(counts + (<usize>phase << 2), listed - before);
  }
  clear(padded, rows * pitch);
  for (let image = 0; image < n; image++) {
    for (let channel = 0; channel < c; channel++) {
      copyPadded(gradY, 1, ho, wo, padded, rows, pitch, top, left, 1);
      for (let tap = 0; tap < listed; tap++) spread(weights + (<usize>tap << 4), load<f32>(weight + load<usize>(places + (<usize>tap << 2))));
      for (let y = 0; y < h; y++) {
        const rh = (y + paddingH) % strideH, line = padded + (<usize>((top + (y + paddingH) / strideH) * pitch + left) << 2);
        let first = 0;
        for (let phase = 0; phase < rh * strideW; phase++) first += load<i32>(counts + (<usize>phase << 2));
        for (let rw = 0; rw < strideW; rw++) {
          const k = load<i32>(counts + (<usize>(rh * strideW + rw) << 2)), x0 = (rw - paddingW % strideW + strideW) % strideW;
          if (x0 < w) {
            const from = line + (<usize>((x0 + paddingW) / strideW) << 2), count = (w - 1 - x0) / strideW + 1;
            const to = strideW == 1 ? gradX : lines + <usize>x0 * lineBytes;
            row(k, taps + (<usize>first << 2), weights + (<usize>first << 4), from, count, f32x4.splat(0), to);
            if (strideW > 2) scatter(to, count, gradX + (<usize>x0 << 2), strideW);
          }
          first += k;
        }
        if (strideW == 2) interleave(lines, lines + lineBytes, w, gradX);
        gradX += <usize>w << 2;
      }
      weight += <usize>filter << 2;
      gradY += <usize>(ho * wo) << 2;
    }
    weight -= <usize>(c * filter) << 2;
  }
}

/** Sums of three by three taps over `runs` x `steps` positions of four planes, stored at `to`; image rows at `x0`, `x1` and `x2`. */
function nineSums(runs: i32, steps: i32, x0: usize, x1: usize, x2: usize, xStep: usize, xJump: usize, g: usize, to: usize): void {
  let s0 = f32x4.splat(0), s1 = f32x4.splat(0), s2 = f32x4.splat(0);
  let s3 = f32x4.splat(0), s4 = f32x4.splat(0), s5 = f32x4.splat(0);
  let s6 = f32x4.splat(0), s7 = f32x4.splat(0), s8 = f32x4.splat(0);
  do {
    let left = steps;
    do {
      const gradient = v128.load(g);
      g += 16;
      s0 = plus(s0, gradient, v128.load(x0));
      s1 = plus(s1, gradient, v128.load(x0, 16));
      s2 = plus(s2, gradient, v128.load(x0, 32));
      x0 += xStep;
      s3 = plus(s3, gradient, v128.load(x1));
      s4 = plus(s4, gradient, v128.load(x1, 16));
      s5 = plus(s5, gradient, v128.load(x1, 32));
      x1 += xStep;
      s6 = plus(s6, gradient, v128.load(x2));
      s7 = plus(s7, gradient, v128.load(x2, 16));
      s8 = plus(s8, gradient, v128.load(x2, 32));
      x2 += xStep;
    } while (--left);
    x0 += xJump;
    x1 += xJump;
    x2 += xJump;
  } while (--runs);
  v128.store(to, s0);
  v128.store(to, s1, 16);
  v128.store(to, s2, 32);
  v128.store(to, s3, 48);
  v128.store(to, s4, 64);
  v128.store(to, s5, 80);
  v128.store(to, s6, 96);
  v128.store(to, s7, 112);
  v128.store(to, s8, 128);
}

/** The block sums of four planes, `taps` vectors of them at `to`. */
function blockSums(
  runs: i32, wo: i32, kh: i32, kw: i32, x: usize, xStep: usize, xJump: usize, tapRow: usize, g: usize, to: usize,
): void {
  if (kh == 3 && kw == 3) {
    nineSums(runs, wo, x, x + tapRow, x + 2 * tapRow, xStep, xJump, g, to);
    return;
  }
  for (let i = 0; i < kh; i += 2) {
    // An odd last row is summed twice.
    const other = min(i + 1, kh - 1);
    let x0 = x + <usize>i * tapRow, x1 = x + <usize>other * tapRow;
    let to0 = to + (<usize>(i * kw) << 4), to1 = to + (<usize>(other * kw) << 4);
    for (let rest = kw; rest > 0; ) {
      const taps = rest == 2 || rest == 4 ? 2 : 3;
      if (taps == 3) threeTaps(runs, wo, x0, x1, xStep, xJump, g, g, 16, to0, to1);
      else twoTaps(runs, wo, x0, x1, xStep, xJump, g, g, 16, to0, to1);
      const bytes = <usize>taps << 4;
      x0 += bytes;
      x1 += bytes;
      to0 += bytes;
      to1 += bytes;
      rest -= taps;
    }
  }
}

/** gradWeight summed over `n` images, four planes at a time; the block sums enter plane by plane, so images in order. */
export function depthwiseBackwardFilter(
  x: usize, gradY: usize, gradWeight: usize, n: i32, c: i32, h: i32, w: i32, kh: i32, kw: i32, ho: i32, wo: i32,
  strideH: i32, strideW: i32, paddingH: i32, paddingW: i32, dilationH: i32, scratch: usize,
): void {
  const rows = h + 2 * paddingH, pitch = w + 2 * paddingW, positions = ho * wo, k = kh * kw, planes = n * c;
  const blockRows = max(1, KC / wo), blocks = (ho + blockRows - 1) / blockRows;
  const sums = scratch, columns = sums + (<usize>(blocks * k) << 4), padded = columns + (<usize>positions << 4);
  clear(padded, 4 * rows * pitch);
  clear(gradWeight, c * k);
  const xStep = <usize>strideW << 4, xRow = <usize>(strideH * pitch) << 4, xJump = xRow - <usize>wo * xStep;
  for (let plane = 0; plane < planes; plane += 4) {
    const lanes = min(4, planes - plane);
    let from = x + (<usize>(plane * h * w) << 2), to = padded + (<usize>(paddingH * pitch + paddingW) << 4);
    for (let y = 0; y < h; y++) {
      packTransposed(from, <usize>(h * w) << 2, lanes, w, to, 16);
      from += <usize>w << 2;
      to += <usize>pitch << 4;
    }
    packTransposed(gradY + (<usize>(plane * positions) << 2), <usize>positions << 2, lanes, positions, columns, 16);
    for (let block = 0; block < blocks; block++) {
      const first = block * blockRows;
      blockSums(
        min(blockRows, ho - first), wo, kh, kw, padded + <usize>first * xRow, xStep, xJump, <usize>(dilationH * pitch) << 4,
        columns + (<usize>(first * wo) << 4), sums + (<usize>(block * k) << 4),
      );
    }
    for (let lane = 0; lane < lanes; lane++) {
      const gradient = gradWeight + (<usize>((plane + lane) % c * k) << 2);
      for (let block = 0; block < blocks; block++) {
        const from = sums + (<usize>(block * k) << 4) + (<usize>lane << 2);
        for (let tap = 0; tap < k; tap++) {
          const at = gradient + (<usize>tap << 2);
          store<f32>(at, load<f32>(at) + load<f32>(from + (<usize>tap << 4)));
        }
      }
    }
  }
}
