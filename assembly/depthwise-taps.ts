// The filter gradient of a depthwise convolution with 3x3 filters and stride 2, read where it lies: the last three lanes are the three taps of a row of the
// filter (the first is idle), so nothing is transposed, as it must be where lanes are planes (depthwise-filter.ts). With padding 1 such vectors begin at an even
// column, and half as many lie across two cache lines as if taps came first. Sums run along positions, and a sum waits for the one before: two planes are summed
// side by side. Contract: kernels/conv.ts.
import { clear } from './image';
import { shareEnd, shareStart } from './shares';
import { KC } from './tile';
import { multiplyAdd, storePart } from './vector';

/** Whether planes of `w` columns suit: a row has four, and its first and last position are not the same. */
export function suitsTaps(kh: i32, kw: i32, strideH: i32, strideW: i32, dilationH: i32, paddingH: i32, paddingW: i32, w: i32, wo: i32): bool {
  return kh == 3 && kw == 3 && strideH == 2 && strideW == 2 && dilationH == 1 && max(paddingH, paddingW) <= 1 && w >= 4 && wo >= 2;
}

/** The taps of a row's last position where the last tap is no column of it but a zero; what is read ends with the row, as no byte behind the plane may be. */
// @ts-ignore: decorator
@inline
function cutTaps(pointer: usize): v128 {
  return v128.shuffle<f32>(v128.load(pointer - 4), f32x4.splat(0), 1, 2, 3, 4);
}

/** Adds the last three lanes to the three floats at `to`. */
// @ts-ignore: decorator
@inline
function addThree(to: usize, sums: v128): void {
  let old = v128.load64_zero(to);
  old = v128.load_lane<f32>(to, old, 2, 8);
  storePart(to, f32x4.add(old, v128.shuffle<f32>(sums, sums, 1, 2, 3, 3)), 3);
}

/**
 * Adds the block sums of two planes of h x w at `x` and `otherX`, with gradients of ho x wo at `g` and `otherG`, to nine weights each, at `to` and `other`.
 * Both may be the same plane, if what is at `other` does not count. `zeroRow`: w floats +0.
 */
function addTaps(
  x: usize, otherX: usize, g: usize, otherG: usize, h: i32, w: i32, ho: i32, wo: i32, paddingH: i32, paddingW: i32, zeroRow: usize, to: usize, other: usize,
): void {
  const rowBytes = <usize>w << 2, cut = 2 * wo - paddingW >= w, distance = otherX - x;
  // A row's first vector begins a column before its first tap, and that tap is a zero if it is padding: what is read there does not count (of the
  // first row of all, up to eight bytes before the plane; no buffer lies at the beginning of the memory).
  const before = <usize>(1 + paddingW) << 2, origin = x - before, zeros = zeroRow - before;
  const inRow = paddingW ? i32x4(0, 0, -1, -1) : i32x4(0, -1, -1, -1);
  const blockRows = max(1, KC / wo);
  for (let first = 0; first < ho; first += blockRows) {
    const end = min(ho, first + blockRows);
    let a0 = f32x4.splat(0), a1 = f32x4.splat(0), a2 = f32x4.splat(0), b0 = f32x4.splat(0), b1 = f32x4.splat(0), b2 = f32x4.splat(0);
    for (let p = first; p < end; p++) {
      const y = 2 * p - paddingH;
      let r0 = origin + <usize>y * rowBytes, r1 = r0 + rowBytes, r2 = r1 + rowBytes, q0 = r0 + distance, q1 = r1 + distance, q2 = r2 + distance;
      if (y < 0) r0 = q0 = zeros;
      if (y + 2 >= h) r2 = q2 = zeros;
      let u: v128, v: v128;
      u = v128.load32_splat(g);
      v = v128.load32_splat(otherG);
      a0 = multiplyAdd(a0, u, v128.and(v128.load(r0), inRow));
      a1 = multiplyAdd(a1, u, v128.and(v128.load(r1), inRow));
      a2 = multiplyAdd(a2, u, v128.and(v128.load(r2), inRow));
      b0 = multiplyAdd(b0, v, v128.and(v128.load(q0), inRow));
      b1 = multiplyAdd(b1, v, v128.and(v128.load(q1), inRow));
      b2 = multiplyAdd(b2, v, v128.and(v128.load(q2), inRow));
      g += 4;
      otherG += 4;
      r0 += 8;
      r1 += 8;
      r2 += 8;
      q0 += 8;
      q1 += 8;
      q2 += 8;
      let left = wo - 1 - <i32>cut;
      for (; left >= 4; left -= 4) {
        u = v128.load32_splat(g);
        a0 = multiplyAdd(a0, u, v128.load(r0));
        a1 = multiplyAdd(a1, u, v128.load(r1));
        a2 = multiplyAdd(a2, u, v128.load(r2));
        v = v128.load32_splat(otherG);
        b0 = multiplyAdd(b0, v, v128.load(q0));
        b1 = multiplyAdd(b1, v, v128.load(q1));
        b2 = multiplyAdd(b2, v, v128.load(q2));
        u = v128.load32_splat(g, 4);
        a0 = multiplyAdd(a0, u, v128.load(r0, 8));
        a1 = multiplyAdd(a1, u, v128.load(r1, 8));
        a2 = multiplyAdd(a2, u, v128.load(r2, 8));
        v = v128.load32_splat(otherG, 4);
        b0 = multiplyAdd(b0, v, v128.load(q0, 8));
        b1 = multiplyAdd(b1, v, v128.load(q1, 8));
        b2 = multiplyAdd(b2, v, v128.load(q2, 8));
        u = v128.load32_splat(g, 8);
        a0 = multiplyAdd(a0, u, v128.load(r0, 16));
        a1 = multiplyAdd(a1, u, v128.load(r1, 16));
        a2 = multiplyAdd(a2, u, v128.load(r2, 16));
        v = v128.load32_splat(otherG, 8);
        b0 = multiplyAdd(b0, v, v128.load(q0, 16));
        b1 = multiplyAdd(b1, v, v128.load(q1, 16));
        b2 = multiplyAdd(b2, v, v128.load(q2, 16));
        u = v128.load32_splat(g, 12);
        a0 = multiplyAdd(a0, u, v128.load(r0, 24));
        a1 = multiplyAdd(a1, u, v128.load(r1, 24));
        a2 = multiplyAdd(a2, u, v128.load(r2, 24));
        v = v128.load32_splat(otherG, 12);
        b0 = multiplyAdd(b0, v, v128.load(q0, 24));
        b1 = multiplyAdd(b1, v, v128.load(q1, 24));
        b2 = multiplyAdd(b2, v, v128.load(q2, 24));
        r0 += 32;
        r1 += 32;
        r2 += 32;
        q0 += 32;
        q1 += 32;
        q2 += 32;
        g += 16;
        otherG += 16;
      }
      // The last three or fewer: rows end here, so no pointer to them moves on.
      if (left) {
        u = v128.load32_splat(g);
        a0 = multiplyAdd(a0, u, v128.load(r0));
        a1 = multiplyAdd(a1, u, v128.load(r1));
        a2 = multiplyAdd(a2, u, v128.load(r2));
        v = v128.load32_splat(otherG);
        b0 = multiplyAdd(b0, v, v128.load(q0));
        b1 = multiplyAdd(b1, v, v128.load(q1));
        b2 = multiplyAdd(b2, v, v128.load(q2));
        if (left > 1) {
          u = v128.load32_splat(g, 4);
          a0 = multiplyAdd(a0, u, v128.load(r0, 8));
          a1 = multiplyAdd(a1, u, v128.load(r1, 8));
          a2 = multiplyAdd(a2, u, v128.load(r2, 8));
          v = v128.load32_splat(otherG, 4);
          b0 = multiplyAdd(b0, v, v128.load(q0, 8));
          b1 = multiplyAdd(b1, v, v128.load(q1, 8));
          b2 = multiplyAdd(b2, v, v128.load(q2, 8));
          if (left > 2) {
            u = v128.load32_splat(g, 8);
            a0 = multiplyAdd(a0, u, v128.load(r0, 16));
            a1 = multiplyAdd(a1, u, v128.load(r1, 16));
            a2 = multiplyAdd(a2, u, v128.load(r2, 16));
            v = v128.load32_splat(otherG, 8);
            b0 = multiplyAdd(b0, v, v128.load(q0, 16));
            b1 = multiplyAdd(b1, v, v128.load(q1, 16));
            b2 = multiplyAdd(b2, v, v128.load(q2, 16));
          }
        }
      }
      const done = <usize>left << 2;
      g += done;
      otherG += done;
      if (cut) {
        u = v128.load32_splat(g);
        v = v128.load32_splat(otherG);
        a0 = multiplyAdd(a0, u, cutTaps(r0 + 2 * done));
        a1 = multiplyAdd(a1, u, cutTaps(r1 + 2 * done));
        a2 = multiplyAdd(a2, u, cutTaps(r2 + 2 * done));
        b0 = multiplyAdd(b0, v, cutTaps(q0 + 2 * done));
        b1 = multiplyAdd(b1, v, cutTaps(q1 + 2 * done));
        b2 = multiplyAdd(b2, v, cutTaps(q2 + 2 * done));
        g += 4;
        otherG += 4;
      }
    }
    addThree(to, a0);
    addThree(to + 12, a1);
    addThree(to + 24, a2);
    addThree(other, b0);
    addThree(other + 12, b1);
    addThree(other + 24, b2);
  }
}

/** gradWeight summed over `n` images in order, two channels at a time. Shares are such pairs. */
export function tapsBackwardFilter(
  x: usize, gradY: usize, gradWeight: usize, n: i32, c: i32, h: i32, w: i32, ho: i32, wo: i32, paddingH: i32, paddingW: i32, scratch: usize,
): void {
  const pairs = (c + 1) / 2, firstChannel = 2 * shareStart(pairs), endChannel = min(c, 2 * shareEnd(pairs));
  const zeroRow = scratch, nowhere = zeroRow + (<usize>(w + 8) << 2), planeBytes = <usize>(h * w) << 2, gradientBytes = <usize>(ho * wo) << 2;
  clear(zeroRow, w + 8 + 9);
  clear(gradWeight + (<usize>(9 * firstChannel) << 2), 9 * max(0, endChannel - firstChannel));
  for (let image = 0; image < n; image++) {
    for (let channel = firstChannel; channel < endChannel; channel += 2) {
      const plane = x + <usize>(image * c + channel) * planeBytes, gradient = gradY + <usize>(image * c + channel) * gradientBytes;
      const weights = gradWeight + (<usize>(9 * channel) << 2), both = channel + 1 < endChannel;
      addTaps(
        plane, both ? plane + planeBytes : plane, gradient, both ? gradient + gradientBytes : gradient, h, w, ho, wo, paddingH, paddingW, zeroRow,
        weights, both ? weights + 36 : nowhere,
      );
    }
  }
}
