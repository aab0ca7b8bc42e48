// Depthwise convolution: every channel has one filter of its own. Forward and backward-data take four neighbouring positions of a plane as a vector.
// The filter gradient: depthwise-filter.ts. Contracts: kernels/conv.ts.
import { zeros } from './tile';
import { finishLike } from './ending';
import { clear, copyPadded } from './image';
import { spread } from './lanes';
import { multiplyAdd } from './vector';
import { densePlane, mirroredPlane, suitsDense } from './depthwise-dense';
import { stridedPixels, stridedPlane, suitsStrideTwo } from './depthwise-strided';

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

/** Results of `k` taps, whose offsets are listed: four, two or one vector. */
// @ts-ignore: decorator
@inline
function block(vectors: i32, k: i32, taps: usize, weights: usize, from: usize, count: i32, start: v128, to: usize): void {
  let s0 = f32x4.splat(0), s1 = f32x4.splat(0), s2 = f32x4.splat(0), s3 = f32x4.splat(0);
  for (; k > 0; k--) {
    const at = from + load<usize>(taps), w = v128.load(weights);
    taps += 4;
    weights += 16;
    s0 = multiplyAdd(s0, w, v128.load(at));
    if (vectors > 1) s1 = multiplyAdd(s1, w, v128.load(at, 16));
    if (vectors > 2) {
      s2 = multiplyAdd(s2, w, v128.load(at, 32));
      s3 = multiplyAdd(s3, w, v128.load(at, 48));
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
 * y of `n` images, channels from `firstChannel` to before `endChannel`; `taps` lists the offsets of the filter in a padded plane of rows x pitch.
 * `adjacent`: a 3x3 filter with dilation 1.
 */
export function depthwiseForward(
  x: usize, weight: usize, bias: usize, y: usize, n: i32, c: i32, firstChannel: i32, endChannel: i32, h: i32, w: i32, k: i32, ho: i32, wo: i32,
  strideH: i32, strideW: i32, paddingH: i32, paddingW: i32, rows: i32, pitch: i32, adjacent: bool, ending: usize,
  taps: usize, scratch: usize,
): void {
  const weights = scratch, yRow = <usize>wo << 2, step = <usize>pitch << 2, padded = weights + (<usize>k << 4);
  const dense = adjacent && strideH == 1 && strideW == 1 && paddingH <= 1 && suitsDense(paddingW, w, ho, wo);
  const halved = adjacent && strideH == 2 && strideW == 2 && suitsStrideTwo(paddingH, paddingW, ho, wo);
  clear(padded, dense || halved ? w + 8 : rows * pitch);
  const skipped = <usize>(c - endChannel + firstChannel);
  x += <usize>(firstChannel * h * w) << 2;
  y += <usize>firstChannel * <usize>ho * yRow;
  for (let image = 0; image < n; image++) {
    for (let channel = firstChannel; channel < endChannel; channel++) {
      // A pointer, not a vector: V8's revectoriser (Node 26) ends the process at a function with a vector parameter.
      const initial = bias ? bias + (<usize>channel << 2) : zeros, filter = weight + (<usize>(channel * k) << 2);
      if (dense) densePlane(x, h, w, paddingH, paddingW, filter, initial, y, ho, wo, padded, weights);
      else if (halved) stridedPlane(x, h, w, paddingH, paddingW, filter, initial, y, ho, wo, padded);
      else {
        copyPadded(x, 1, h, w, padded, rows, pitch, paddingH, paddingW, strideW);
        for (let tap = 0; tap < k; tap++) spread(weights + (<usize>tap << 4), load<f32>(filter + (<usize>tap << 2)));
        for (let p = 0; p < ho; p++) {
          row(k, taps, weights, padded + <usize>(p * strideH) * step, wo, initial, y + <usize>p * yRow);
        }
      }
      if (ending) finishLike(ending, 1, ho * wo, y, 0);
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

/** One row of pixels, whose phase of rows is `rh`: its phases of columns, interleaved. `line` is the row of gradY that a tap 0 would meet. */
function phasesOfRow(
  strideW: i32, rh: i32, paddingW: i32, w: i32, line: usize, counts: usize, taps: usize, weights: usize, lines: usize, lineBytes: usize, to: usize,
): void {
  let first = 0;
  for (let phase = 0; phase < rh * strideW; phase++) first += load<i32>(counts + (<usize>phase << 2));
  for (let rw = 0; rw < strideW; rw++) {
    const k = load<i32>(counts + (<usize>(rh * strideW + rw) << 2)), x0 = (rw - paddingW % strideW + strideW) % strideW;
    if (x0 < w) {
      const from = line + (<usize>((x0 + paddingW) / strideW) << 2), count = (w - 1 - x0) / strideW + 1;
      const at = strideW == 1 ? to : lines + <usize>x0 * lineBytes;
      row(k, taps + (<usize>first << 2), weights + (<usize>first << 4), from, count, zeros, at);
      if (strideW > 2) scatter(at, count, to + (<usize>x0 << 2), strideW);
    }
    first += k;
  }
  if (strideW == 2) interleave(lines, lines + lineBytes, w, to);
}

/**
 * gradX of `n` images, channels from `firstChannel` to before `endChannel`: each of the strideH * strideW phases of pixels has its own taps (see conv.ts), a row of a phase is a stride-1 convolution of
 * gradY, and the phases of a row are interleaved.
 */
export function depthwiseBackwardData(
  gradY: usize, weight: usize, gradX: usize, n: i32, c: i32, firstChannel: i32, endChannel: i32, h: i32, w: i32, kh: i32, kw: i32, ho: i32, wo: i32,
  strideH: i32, strideW: i32, paddingH: i32, paddingW: i32, dilationH: i32, dilationW: i32, top: i32, left: i32, rows: i32, pitch: i32, adjacent: bool, scratch: usize,
): void {
  const filter = kh * kw, lineBytes = planeBytes(w + paddingW);
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
  const inPlace = adjacent && paddingH == 1 && paddingW == 1;
  const dense = inPlace && strideH == 1 && strideW == 1 && suitsDense(1, w, h, w);
  const halved = inPlace && strideH == 2 && strideW == 2 && suitsStrideTwo(1, 1, ho, wo);
  clear(padded, dense || halved ? w + 8 : rows * pitch);
  const skipped = <usize>(c - endChannel + firstChannel);
  weight += <usize>(firstChannel * filter) << 2;
  gradY += <usize>(firstChannel * ho * wo) << 2;
  gradX += <usize>(firstChannel * h * w) << 2;
  for (let image = 0; image < n; image++) {
    for (let channel = firstChannel; channel < endChannel; channel++) {
      if (dense) mirroredPlane(gradY, h, w, weight, gradX, padded);
      else if (halved) stridedPixels(gradY, ho, wo, weight, h, w, gradX, padded);
      else {
        copyPadded(gradY, 1, ho, wo, padded, rows, pitch, top, left, 1);
        for (let tap = 0; tap < listed; tap++) {
          spread(weights + (<usize>tap << 4), load<f32>(weight + load<usize>(places + (<usize>tap << 2))));
        }
        for (let y = 0; y < h; y++) {
          const rh = (y + paddingH) % strideH, line = padded + (<usize>((top + (y + paddingH) / strideH) * pitch + left) << 2);
          phasesOfRow(strideW, rh, paddingW, w, line, counts, taps, weights, lines, lineBytes, gradX + (<usize>(y * w) << 2));
        }
      }
      gradX += <usize>(h * w) << 2;
      weight += <usize>filter << 2;
      gradY += <usize>(ho * wo) << 2;
    }
    weight -= <usize>((endChannel - firstChannel) * filter) << 2;
    gradY += skipped * <usize>(ho * wo) << 2;
    gradX += skipped * <usize>(h * w) << 2;
  }
}
