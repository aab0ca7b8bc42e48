// The filter gradient of a depthwise convolution: its sums run along positions, so the lanes of a vector are four planes. With 3x3 filters and stride 2 they
// are taps (depthwise-taps.ts). Contract: kernels/conv.ts.
import { KC } from './tile';
import { clear } from './image';
import { suitsTaps, tapsBackwardFilter } from './depthwise-taps';
import { packPlanes } from './packing';
import { threeTaps, twoTaps } from './filter-lanes';
import { multiplyAdd } from './vector';
import { isFirstShare, shareEnd, shares, shareStart } from './shares';

// @ts-ignore: decorator
@inline
function storeNine(to: usize, s0: v128, s1: v128, s2: v128, s3: v128, s4: v128, s5: v128, s6: v128, s7: v128, s8: v128): void {
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
      s0 = multiplyAdd(s0, gradient, v128.load(x0));
      s1 = multiplyAdd(s1, gradient, v128.load(x0, 16));
      s2 = multiplyAdd(s2, gradient, v128.load(x0, 32));
      x0 += xStep;
      s3 = multiplyAdd(s3, gradient, v128.load(x1));
      s4 = multiplyAdd(s4, gradient, v128.load(x1, 16));
      s5 = multiplyAdd(s5, gradient, v128.load(x1, 32));
      x1 += xStep;
      s6 = multiplyAdd(s6, gradient, v128.load(x2));
      s7 = multiplyAdd(s7, gradient, v128.load(x2, 16));
      s8 = multiplyAdd(s8, gradient, v128.load(x2, 32));
      x2 += xStep;
    } while (--left);
    x0 += xJump;
    x1 += xJump;
    x2 += xJump;
  } while (--runs);
  storeNine(to, s0, s1, s2, s3, s4, s5, s6, s7, s8);
}

/** As nineSums, with stride 1: two positions at a time, for which four columns are read, not six. */
function nineDenseSums(runs: i32, steps: i32, x0: usize, x1: usize, x2: usize, xJump: usize, g: usize, to: usize): void {
  let s0 = f32x4.splat(0), s1 = f32x4.splat(0), s2 = f32x4.splat(0);
  let s3 = f32x4.splat(0), s4 = f32x4.splat(0), s5 = f32x4.splat(0);
  let s6 = f32x4.splat(0), s7 = f32x4.splat(0), s8 = f32x4.splat(0);
  do {
    for (let left = steps >> 1; left > 0; left--) {
      const g0 = v128.load(g), g1 = v128.load(g, 16);
      g += 32;
      let x = v128.load(x0);
      s0 = multiplyAdd(s0, g0, x);
      x = v128.load(x0, 16);
      s1 = multiplyAdd(s1, g0, x);
      s0 = multiplyAdd(s0, g1, x);
      x = v128.load(x0, 32);
      s2 = multiplyAdd(s2, g0, x);
      s1 = multiplyAdd(s1, g1, x);
      s2 = multiplyAdd(s2, g1, v128.load(x0, 48));
      x0 += 32;
      x = v128.load(x1);
      s3 = multiplyAdd(s3, g0, x);
      x = v128.load(x1, 16);
      s4 = multiplyAdd(s4, g0, x);
      s3 = multiplyAdd(s3, g1, x);
      x = v128.load(x1, 32);
      s5 = multiplyAdd(s5, g0, x);
      s4 = multiplyAdd(s4, g1, x);
      s5 = multiplyAdd(s5, g1, v128.load(x1, 48));
      x1 += 32;
      x = v128.load(x2);
      s6 = multiplyAdd(s6, g0, x);
      x = v128.load(x2, 16);
      s7 = multiplyAdd(s7, g0, x);
      s6 = multiplyAdd(s6, g1, x);
      x = v128.load(x2, 32);
      s8 = multiplyAdd(s8, g0, x);
      s7 = multiplyAdd(s7, g1, x);
      s8 = multiplyAdd(s8, g1, v128.load(x2, 48));
      x2 += 32;
    }
    if (steps & 1) {
      const g0 = v128.load(g);
      g += 16;
      s0 = multiplyAdd(s0, g0, v128.load(x0));
      s1 = multiplyAdd(s1, g0, v128.load(x0, 16));
      s2 = multiplyAdd(s2, g0, v128.load(x0, 32));
      x0 += 16;
      s3 = multiplyAdd(s3, g0, v128.load(x1));
      s4 = multiplyAdd(s4, g0, v128.load(x1, 16));
      s5 = multiplyAdd(s5, g0, v128.load(x1, 32));
      x1 += 16;
      s6 = multiplyAdd(s6, g0, v128.load(x2));
      s7 = multiplyAdd(s7, g0, v128.load(x2, 16));
      s8 = multiplyAdd(s8, g0, v128.load(x2, 32));
      x2 += 16;
    }
    x0 += xJump;
    x1 += xJump;
    x2 += xJump;
  } while (--runs);
  storeNine(to, s0, s1, s2, s3, s4, s5, s6, s7, s8);
}

/** The block sums of four planes, `taps` vectors of them at `to`. */
function blockSums(
  runs: i32, wo: i32, kh: i32, kw: i32, x: usize, xStep: usize, xJump: usize, tapRow: usize, g: usize, to: usize,
): void {
  if (kh == 3 && kw == 3) {
    if (xStep == 16) nineDenseSums(runs, wo, x, x + tapRow, x + 2 * tapRow, xJump, g, to);
    else nineSums(runs, wo, x, x + tapRow, x + 2 * tapRow, xStep, xJump, g, to);
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
  if (suitsTaps(kh, kw, strideH, strideW, dilationH, paddingH, paddingW, w, wo)) {
    tapsBackwardFilter(x, gradY, gradWeight, n, c, h, w, ho, wo, paddingH, paddingW, scratch);
    return;
  }
  const rows = h + 2 * paddingH, pitch = w + 2 * paddingW, positions = ho * wo, k = kh * kw, planes = n * c;
  const blockRows = max(1, KC / wo), blocks = (ho + blockRows - 1) / blockRows;
  const sums = scratch, columns = sums + (<usize>(blocks * k) << 4), padded = columns + (<usize>(min(blockRows, ho) * wo) << 4);
  // Four channels of an image stay together; where four planes can be of two images, nothing is divided.
  const cut = shares() > 1, divided = cut && c % 4 == 0;
  if (cut && !divided && !isFirstShare()) return;
  const firstChannel = divided ? 4 * shareStart(c / 4) : 0, endChannel = divided ? 4 * shareEnd(c / 4) : c;
  clear(padded, 4 * rows * pitch);
  clear(gradWeight + (<usize>(firstChannel * k) << 2), (endChannel - firstChannel) * k);
  const xStep = <usize>strideW << 4, xRow = <usize>(strideH * pitch) << 4, xJump = xRow - <usize>wo * xStep;
  for (let plane = 0; plane < planes; plane += 4) {
    if (divided && (plane % c < firstChannel || plane % c >= endChannel)) continue;
    const lanes = min(4, planes - plane);
    const image = padded + (<usize>(paddingH * pitch + paddingW) << 4);
    packPlanes(x + (<usize>(plane * h * w) << 2), <usize>(h * w) << 2, lanes, h, w, image, <usize>pitch << 4);
    for (let block = 0; block < blocks; block++) {
      const first = block * blockRows, count = min(blockRows, ho - first);
      packPlanes(gradY + (<usize>(plane * positions + first * wo) << 2), <usize>positions << 2, lanes, 1, count * wo, columns, 0);
      blockSums(
        count, wo, kh, kw, padded + <usize>first * xRow, xStep, xJump, <usize>(dilationH * pitch) << 4,
        columns, sums + (<usize>(block * k) << 4),
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
