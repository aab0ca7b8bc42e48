// Sizes and places that a convolution and its gradients have in common.
import { KC } from './tile';

// @ts-ignore: decorator
@inline
export function outputs(size: i32, kernel: i32, stride: i32, padding: i32, dilation: i32): i32 {
  return (size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
}

/** Sizes outside the contract would loop or read elsewhere: trap instead, and the caller's error names the kernel and its values. */
export function check(
  c: i32, h: i32, w: i32, o: i32, kh: i32, kw: i32, strideH: i32, strideW: i32, paddingH: i32, paddingW: i32,
  dilationH: i32, dilationW: i32, groups: i32,
): void {
  const least = min(min(min(c, o), min(h, w)), min(min(kh, kw), min(min(strideH, strideW), min(min(dilationH, dilationW), groups))));
  if (least < 1 || min(paddingH, paddingW) < 0 || c % groups != 0 || o % groups != 0) unreachable();
  if (dilationH * (kh - 1) >= h + 2 * paddingH || dilationW * (kw - 1) >= w + 2 * paddingW) unreachable();
}

/** Rounds bytes up so that what follows is aligned to a vector. */
// @ts-ignore: decorator
@inline
function aligned(bytes: usize): usize {
  return (bytes + 15) & ~15;
}

// @ts-ignore: decorator
@inline
export function floats(count: i32): usize {
  return aligned(<usize>count << 2);
}

/** Whether images can be read where they lie. */
// @ts-ignore: decorator
@inline
export function isPlain(strideW: i32, paddingH: i32, paddingW: i32): bool {
  return strideW == 1 && paddingH == 0 && paddingW == 0;
}

// @ts-ignore: decorator
@inline
export function phasePitch(columns: i32, phases: i32): i32 {
  return (columns + phases - 1) / phases * phases;
}

/** The byte offset of each tap (c, i, j), in this order, in an image of padded planes. */
export function listTaps(
  taps: usize, c: i32, kh: i32, kw: i32, rows: i32, pitch: i32, phases: i32, dilationH: i32, dilationW: i32,
): void {
  for (let channel = 0; channel < c; channel++) {
    for (let i = 0; i < kh; i++) {
      const row = (channel * rows + i * dilationH) * pitch;
      for (let j = 0; j < kw; j++) {
        const column = j * dilationW;
        store<i32>(taps, (row + (column % phases) * (pitch / phases) + column / phases) << 2);
        taps += 4;
      }
    }
  }
}

/** Whether every channel has one filter of its own, of one block of taps. */
// @ts-ignore: decorator
@inline
export function isDepthwise(c: i32, o: i32, kh: i32, kw: i32, groups: i32): bool {
  return groups == c && groups == o && kh * kw <= KC;
}

// @ts-ignore: decorator
@inline
export function isAdjacent(kh: i32, kw: i32, dilationH: i32, dilationW: i32): bool {
  return kh == 3 && kw == 3 && dilationH == 1 && dilationW == 1;
}
