// Depthwise convolution: every channel has one filter of its own. Forward and backward-data take four neighbouring positions of a plane as a vector.
// The filter gradient: depthwise-filter.ts. Contracts: kernels/conv.ts.
import { zeros } from './tile';
import { clear, copyPadded, copyRow } from './image';
import { spread } from './lanes';

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
export function plus(sum: v128, weight: v128, x: v128): v128 {
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

/**
 * Two rows of `count` results of a 3x3 filter whose taps are neighbours. Rows r0 to r3 of the source follow one another in the order of the taps:
 * r0 to r2 give the results at `to`, r1 to r3 those at `other`. `mirrored`: so do columns, from the right.
 */
// @ts-ignore: decorator
@inline
function twoDenseRows(
  mirrored: bool, weights: usize, r0: usize, r1: usize, r2: usize, r3: usize, count: i32, start: v128, to: usize, other: usize,
): void {
  const w0 = v128.load(weights), w1 = v128.load(weights, 16), w2 = v128.load(weights, 32);
  const w3 = v128.load(weights, 48), w4 = v128.load(weights, 64), w5 = v128.load(weights, 80);
  const w6 = v128.load(weights, 96), w7 = v128.load(weights, 112), w8 = v128.load(weights, 128);
  const whole = count >= 4;
  while (count > 0) {
    if (count < 4 && whole) {
      // The last vector of a row starts earlier and computes some results again.
      const back = <usize>(4 - count) << 2;
      r0 -= back;
      r1 -= back;
      r2 -= back;
      r3 -= back;
      to -= back;
      other -= back;
      count = 4;
    }
    let x = mirrored ? v128.load(r0, 8) : v128.load(r0);
    let a = plus(f32x4.splat(0), w0, x);
    a = plus(a, w1, v128.load(r0, 4));
    a = plus(a, w2, mirrored ? v128.load(r0) : v128.load(r0, 8));
    x = mirrored ? v128.load(r1, 8) : v128.load(r1);
    a = plus(a, w3, x);
    let b = plus(f32x4.splat(0), w0, x);
    x = v128.load(r1, 4);
    a = plus(a, w4, x);
    b = plus(b, w1, x);
    x = mirrored ? v128.load(r1) : v128.load(r1, 8);
    a = plus(a, w5, x);
    b = plus(b, w2, x);
    x = mirrored ? v128.load(r2, 8) : v128.load(r2);
    a = plus(a, w6, x);
    b = plus(b, w3, x);
    x = v128.load(r2, 4);
    a = plus(a, w7, x);
    b = plus(b, w4, x);
    x = mirrored ? v128.load(r2) : v128.load(r2, 8);
    a = plus(a, w8, x);
    b = plus(b, w5, x);
    b = plus(b, w6, mirrored ? v128.load(r3, 8) : v128.load(r3));
    b = plus(b, w7, v128.load(r3, 4));
    b = plus(b, w8, mirrored ? v128.load(r3) : v128.load(r3, 8));
    storeUpTo(count, to, f32x4.add(start, a));
    storeUpTo(count, other, f32x4.add(start, b));
    r0 += 16;
    r1 += 16;
    r2 += 16;
    r3 += 16;
    to += 16;
    other += 16;
    count -= 4;
  }
}

function denseRows(weights: usize, from: usize, step: usize, count: i32, initial: usize, to: usize, other: usize): void {
  const r1 = from + step, r2 = r1 + step;
  twoDenseRows(false, weights, from, r1, r2, r2 + step, count, v128.load32_splat(initial), to, other);
}

/** Upwards and from the right: `from` is the source row that the lower of the two result rows starts with. */
function mirroredRows(weights: usize, from: usize, step: usize, count: i32, to: usize, other: usize): void {
  const r1 = from - step, r2 = r1 - step;
  twoDenseRows(true, weights, from, r1, r2, r2 - step, count, f32x4.splat(0), to, other);
}

/** Results of `k` taps, whose offsets are listed: four, two or one vector. */
// @ts-ignore: decorator
@inline
function block(vectors: i32, k: i32, taps: usize, weights: usize, from: usize, count: i32, start: v128, to: usize): void {
  let s0 = f32x4.splat(0), s1 = f32x4.splat(0), s2 = f32x4.splat(0), s3 = f32x4.splat(0);
  for (; k > 0; k--) {
    const at = from + load<usize>(taps), w = v128.load(weights);
    taps += 4;
    weights += 16;
    s0 = plus(s0, w, v128.load(at));
    if (vectors > 1) s1 = plus(s1, w, v128.load(at, 16));
    if (vectors > 2) {
      s2 = plus(s2, w, v128.load(at, 32));
      s3 = plus(s3, w, v128.load(at, 48));
    }
  }
  storeUpTo(count, to, f32x4.add(start, s0));
  if (vectors > 1) v128.store(to, f32x4.add(start, s1), 16);
  if (vectors > 2) {
    v128.store(to, f32x4.add(start, s2), 32);
    v128.store(to, f32x4.add(start, s3), 48);
  }
}

/** `count` neighbouring results of `k` taps, whose offsets are listed. */
function row(k: i32, taps: usize, weights: usize, from: usize, count: i32, initial: usize, to: usize): void {
  const start = v128.load32_splat(initial);
  const each = count >= 16 ? 16 : count >= 8 ? 8 : 4;
  const whole = count >= 4;
  while (count > 0) {
    // The last vectors of a row start earlier and compute some results again.
    if (count < each && whole) {
      from -= <usize>(each - count) << 2;
      to -= <usize>(each - count) << 2;
      count = each;
    }
    if (each == 16) block(4, k, taps, weights, from, 4, start, to);
    else if (each == 8) block(2, k, taps, weights, from, 4, start, to);
    else block(1, k, taps, weights, from, count, start, to);
    from += <usize>each << 2;
    to += <usize>each << 2;
    count -= each;
  }
}

/**
 * y of `n` images, channels from `firstChannel` to before `endChannel`; `taps` lists the offsets of the filter in a padded plane of rows x pitch. `dense`: a 3x3 filter with stride and dilation 1 and
 * more than one row of results.
 */
export function depthwiseForward(
  x: usize, weight: usize, bias: usize, y: usize, n: i32, c: i32, firstChannel: i32, endChannel: i32, h: i32, w: i32, k: i32, ho: i32, wo: i32,
  strideH: i32, strideW: i32, paddingH: i32, paddingW: i32, rows: i32, pitch: i32, dense: bool, taps: usize, scratch: usize,
): void {
  const weights = scratch, yRow = <usize>wo << 2, step = <usize>pitch << 2, padded = weights + (<usize>k << 4);
  clear(padded, rows * pitch);
  const skipped = <usize>(c - endChannel + firstChannel);
  x += <usize>(firstChannel * h * w) << 2;
  y += <usize>firstChannel * <usize>ho * yRow;
  for (let image = 0; image < n; image++) {
    for (let channel = firstChannel; channel < endChannel; channel++) {
      copyPadded(x, 1, h, w, padded, rows, pitch, paddingH, paddingW, strideW);
      for (let tap = 0; tap < k; tap++) spread(weights + (<usize>tap << 4), load<f32>(weight + (<usize>(channel * k + tap) << 2)));
      // A pointer, not a vector: V8's revectoriser (Node 26) ends the process at a function with a vector parameter.
      const initial = bias ? bias + (<usize>channel << 2) : zeros;
      for (let p = 0; p < ho; p += dense ? 2 : 1) {
        if (dense) {
          // Of an odd number of rows, the last but one is computed twice.
          const first = min(p, ho - 2), to = y + <usize>first * yRow;
          denseRows(weights, padded + <usize>first * step, step, wo, initial, to, to + yRow);
        } else {
          row(k, taps, weights, padded + <usize>(p * strideH) * step, wo, initial, y + <usize>p * yRow);
        }
      }
      y += <usize>ho * yRow;
      x += <usize>(h * w) << 2;
    }
    y += skipped * <usize>ho * yRow;
    x += skipped * <usize>(h * w) << 2;
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
 * Two rows of pixels of a 3x3 filter with stride 2: `count` positions of gradY from `g` on, whose rows are `step` apart, give twice as many pixels
 * at `even` (rows that taps 0 and 2 meet) and `odd` (those that tap 1 meets). Rounded up to whole vectors.
 */
function strideTwoRows(weights: usize, g: usize, step: usize, count: i32, even: usize, odd: usize): void {
  const above = g - step;
  const w0 = v128.load(weights), w1 = v128.load(weights, 16), w2 = v128.load(weights, 32);
  const w3 = v128.load(weights, 48), w4 = v128.load(weights, 64), w5 = v128.load(weights, 80);
  const w6 = v128.load(weights, 96), w7 = v128.load(weights, 112), w8 = v128.load(weights, 128);
  const zero = f32x4.splat(0);
  for (let at: usize = 0; count > 0; count -= 4) {
    const here = v128.load(g + at), before = v128.load(g + at - 4);
    let a = plus(plus(zero, w3, here), w5, before), b = plus(zero, w4, here);
    v128.store(odd, v128.shuffle<f32>(a, b, 0, 4, 1, 5));
    v128.store(odd, v128.shuffle<f32>(a, b, 2, 6, 3, 7), 16);
    const up = v128.load(above + at);
    a = plus(plus(plus(zero, w0, here), w2, before), w6, up);
    a = plus(a, w8, v128.load(above + at - 4));
    b = plus(plus(zero, w1, here), w7, up);
    v128.store(even, v128.shuffle<f32>(a, b, 0, 4, 1, 5));
    v128.store(even, v128.shuffle<f32>(a, b, 2, 6, 3, 7), 16);
    at += 16;
    even += 32;
    odd += 32;
  }
}

/** A plane of pixels by `strideTwoRows`; `g` is the first position of gradY inside its padding. */
function strideTwoPlane(
  weights: usize, g: usize, pitch: i32, h: i32, w: i32, paddingH: i32, paddingW: i32, lines: usize, to: usize,
): void {
  const even = lines, odd = lines + floats(w + paddingW + 8), step = <usize>pitch << 2, toRow = <usize>w << 2;
  // Pixel row y is line 2 m + 0 or 1, less the padding.
  for (let m = paddingH / 2; m <= (h - 1 + paddingH) / 2; m++) {
    strideTwoRows(weights, g + <usize>m * step, step, (w - 1 + paddingW) / 2 + 1, even, odd);
    const y = 2 * m - paddingH;
    if (y >= 0) copyRow(even + (<usize>paddingW << 2), to + <usize>y * toRow, w);
    if (y + 1 < h) copyRow(odd + (<usize>paddingW << 2), to + <usize>(y + 1) * toRow, w);
  }
}

/**
 * gradX of `n` images, channels from `firstChannel` to before `endChannel`: each of the strideH * strideW phases of pixels has its own taps (see conv.ts), a row of a phase is a stride-1 convolution of
 * gradY, and the phases of a row are interleaved.
 */
export function depthwiseBackwardData(
  gradY: usize, weight: usize, gradX: usize, n: i32, c: i32, firstChannel: i32, endChannel: i32, h: i32, w: i32, kh: i32, kw: i32, ho: i32, wo: i32,
  strideH: i32, strideW: i32, paddingH: i32, paddingW: i32, dilationH: i32, dilationW: i32, top: i32, left: i32, rows: i32, pitch: i32, dense: bool, scratch: usize,
): void {
  const filter = kh * kw, lineBytes = planeBytes(w + paddingW);
  const halved = kh == 3 && kw == 3 && strideH == 2 && strideW == 2 && dilationH == 1 && dilationW == 1;
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
  const skipped = <usize>(c - endChannel + firstChannel);
  weight += <usize>(firstChannel * filter) << 2;
  gradY += <usize>(firstChannel * ho * wo) << 2;
  gradX += <usize>(firstChannel * h * w) << 2;
  for (let image = 0; image < n; image++) {
    for (let channel = firstChannel; channel < endChannel; channel++) {
      copyPadded(gradY, 1, ho, wo, padded, rows, pitch, top, left, 1);
      for (let tap = 0; tap < listed; tap++) {
        const place = halved ? <usize>tap << 2 : load<usize>(places + (<usize>tap << 2));
        spread(weights + (<usize>tap << 4), load<f32>(weight + place));
      }
      if (dense) {
        const step = <usize>pitch << 2, to = <usize>w << 2;
        for (let y = 0; y < h; y += 2) {
          const first = min(y, h - 2), at = gradX + <usize>first * to;
          const from = padded + <usize>(first + 1 + top + paddingH) * step + (<usize>(left + paddingW - 2) << 2);
          mirroredRows(weights, from, step, w, at + to, at);
        }
        gradX += <usize>h * to;
      } else if (halved) {
        const start = padded + (<usize>(top * pitch + left) << 2);
        strideTwoPlane(weights, start, pitch, h, w, paddingH, paddingW, lines, gradX);
        gradX += <usize>(h * w) << 2;
      } else for (let y = 0; y < h; y++) {
        const rh = (y + paddingH) % strideH, line = padded + (<usize>((top + (y + paddingH) / strideH) * pitch + left) << 2);
        let first = 0;
        for (let phase = 0; phase < rh * strideW; phase++) first += load<i32>(counts + (<usize>phase << 2));
        for (let rw = 0; rw < strideW; rw++) {
          const k = load<i32>(counts + (<usize>(rh * strideW + rw) << 2)), x0 = (rw - paddingW % strideW + strideW) % strideW;
          if (x0 < w) {
            const from = line + (<usize>((x0 + paddingW) / strideW) << 2), count = (w - 1 - x0) / strideW + 1;
            const to = strideW == 1 ? gradX : lines + <usize>x0 * lineBytes;
            row(k, taps + (<usize>first << 2), weights + (<usize>first << 4), from, count, zeros, to);
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
    weight -= <usize>((endChannel - firstChannel) * filter) << 2;
    gradY += skipped * <usize>(ho * wo) << 2;
    gradX += skipped * <usize>(h * w) << 2;
  }
}
