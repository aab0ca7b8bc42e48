// The filter gradient of a convolution with four images as lanes: for few output channels, where the columns of a register tile would be idle.
// Each vector of sums belongs to one weight and holds the block sums of four images; they enter the gradient image by image, block by block,
// as the contract (kernels/conv.ts) says.
import { KC } from './tile';
import { packTransposed } from './packing';
import { clear } from './image';
import { shareEnd, shareStart } from './shares';

/** Images side by side. */
const IMAGES: i32 = 4;

/** Bytes of a pixel. */
// @ts-ignore: decorator
@inline
const PIXEL: i32 = 16;

/** Most bytes of four images, and of block sums. */
// @ts-ignore: decorator
@inline
const MOST_BYTES: i64 = 1 << 18;

// @ts-ignore: decorator
@inline
function blockCount(ho: i32, wo: i32): i32 {
  const rows = max(1, KC / wo);
  return (ho + rows - 1) / rows;
}

/** Whether a batch is summed in lanes: `c` and `o` are per group. */
export function suitsFilterLanes(
  n: i32, groups: i32, c: i32, rows: i32, pitch: i32, o: i32, ho: i32, wo: i32, kh: i32, kw: i32, dilationW: i32,
): bool {
  // Of the tiles of eight channels by four taps, less than three quarters are in use.
  const k = c * kh * kw;
  const idle = 4 * o * k < 3 * ((o + 7) & ~7) * ((k + 3) & ~3);
  return n >= 3 && idle && kw >= 2 && dilationW == 1 && <i64>groups * c * rows * pitch * PIXEL <= MOST_BYTES &&
    <i64>blockCount(ho, wo) * groups * o * k * PIXEL <= MOST_BYTES && ho * wo <= 4096;
}

/**
 * Sums of two lines of taps over `runs` x `steps` positions: three or two neighbouring taps each, a line with the image row at `x`, the gradients
 * at `g` (`gStep` bytes a position) and its sums stored at `to`. `shared`: both lines read one image row.
 */
// @ts-ignore: decorator
@inline
function twoLines(
  three: bool, shared: bool, runs: i32, steps: i32, x0: usize, x1: usize, xStep: usize, xJump: usize, g0: usize, g1: usize, gStep: usize,
  to0: usize, to1: usize,
): void {
  let a0 = f32x4.splat(0), a1 = f32x4.splat(0), a2 = f32x4.splat(0);
  let b0 = f32x4.splat(0), b1 = f32x4.splat(0), b2 = f32x4.splat(0);
  do {
    let left = steps;
    do {
      const g = v128.load(g0), h = v128.load(g1);
      g0 += gStep;
      g1 += gStep;
      let x = v128.load(x0);
      a0 = f32x4.add(a0, f32x4.mul(g, x));
      if (!shared) x = v128.load(x1);
      b0 = f32x4.add(b0, f32x4.mul(h, x));
      x = v128.load(x0, 16);
      a1 = f32x4.add(a1, f32x4.mul(g, x));
      if (!shared) x = v128.load(x1, 16);
      b1 = f32x4.add(b1, f32x4.mul(h, x));
      if (three) {
        x = v128.load(x0, 32);
        a2 = f32x4.add(a2, f32x4.mul(g, x));
        if (!shared) x = v128.load(x1, 32);
        b2 = f32x4.add(b2, f32x4.mul(h, x));
      }
      x0 += xStep;
      if (!shared) x1 += xStep;
    } while (--left);
    x0 += xJump;
    if (!shared) x1 += xJump;
  } while (--runs);
  v128.store(to0, a0);
  v128.store(to0, a1, 16);
  v128.store(to1, b0);
  v128.store(to1, b1, 16);
  if (three) {
    v128.store(to0, a2, 32);
    v128.store(to1, b2, 32);
  }
}

function threeShared(runs: i32, steps: i32, x: usize, xStep: usize, xJump: usize, g: usize, to0: usize, to1: usize): void {
  twoLines(true, true, runs, steps, x, x, xStep, xJump, g, g + 16, 32, to0, to1);
}

function twoShared(runs: i32, steps: i32, x: usize, xStep: usize, xJump: usize, g: usize, to0: usize, to1: usize): void {
  twoLines(false, true, runs, steps, x, x, xStep, xJump, g, g + 16, 32, to0, to1);
}

/** Two lines of three taps. */
export function threeTaps(
  runs: i32, steps: i32, x0: usize, x1: usize, xStep: usize, xJump: usize, g0: usize, g1: usize, gStep: usize, to0: usize, to1: usize,
): void {
  twoLines(true, false, runs, steps, x0, x1, xStep, xJump, g0, g1, gStep, to0, to1);
}

/** Two lines of two taps. */
export function twoTaps(
  runs: i32, steps: i32, x0: usize, x1: usize, xStep: usize, xJump: usize, g0: usize, g1: usize, gStep: usize, to0: usize, to1: usize,
): void {
  twoLines(false, false, runs, steps, x0, x1, xStep, xJump, g0, g1, gStep, to0, to1);
}

/** Four images of `planes` planes of h x w into padded planes of rows x pitch pixels, whose borders are zero already. */
function padIntoLanes(
  from: usize, image: usize, images: i32, planes: i32, h: i32, w: i32, to: usize, rows: i32, pitch: i32, top: i32, left: i32,
): void {
  for (let plane = 0; plane < planes; plane++) {
    let row = to + <usize>(top * pitch + left) * PIXEL;
    for (let y = 0; y < h; y++) {
      packTransposed(from, image, images, w, row, PIXEL);
      from += <usize>w << 2;
      row += <usize>pitch * PIXEL;
    }
    to += <usize>(rows * pitch) * PIXEL;
  }
}

/** The block sums of four images enter `count` weights, image by image and block by block. */
function addSums(sums: usize, blockBytes: usize, blocks: i32, images: i32, count: i32, gradient: usize): void {
  for (let i = 0; i < count; i++) {
    let total = load<f32>(gradient);
    for (let image = 0; image < images; image++) {
      let at = sums + (<usize>image << 2);
      for (let block = 0; block < blocks; block++) {
        total += load<f32>(at);
        at += blockBytes;
      }
    }
    store<f32>(gradient, total);
    gradient += 4;
    sums += PIXEL;
  }
}

/** Bytes from the pixels' start to the row that line (group, channel, kernel row) meets, if there are `lines` in a group. */
function lineOffset(line: i32, lines: i32, c: i32, kh: i32, rows: i32, pitch: i32, dilationH: i32): usize {
  const group = line / lines, rest = line - group * lines, channel = rest / kh, i = rest - channel * kh;
  return <usize>(((group * c + channel) * rows + i * dilationH) * pitch) * PIXEL;
}

/** The filter gradient of all `n` images. `c` and `o` are per group. */
export function filterLanes(
  n: i32, groups: i32, x: usize, c: i32, h: i32, w: i32, gradY: usize, o: i32, ho: i32, wo: i32, gradWeight: usize, kh: i32, kw: i32,
  strideH: i32, strideW: i32, paddingH: i32, paddingW: i32, dilationH: i32, scratch: usize,
): void {
  const rows = h + 2 * paddingH, pitch = w + 2 * paddingW, positions = ho * wo, outputs = groups * o, k = c * kh * kw, lines = c * kh;
  const blocks = blockCount(ho, wo), blockRows = max(1, KC / wo), blockBytes = <usize>(outputs * k) * PIXEL;
  const columns = scratch, sums = columns + <usize>positions * 32, pixels = sums + <usize>blocks * blockBytes;
  clear(pixels, groups * c * rows * pitch * IMAGES);
  // Pairs of outputs are dealt out.
  const pairs = (outputs + 1) / 2, firstOutput = 2 * shareStart(pairs), endOutput = min(outputs, 2 * shareEnd(pairs));
  gradWeight += <usize>(firstOutput * k) << 2;
  clear(gradWeight, (endOutput - firstOutput) * k);
  const xImage = <usize>(groups * c * h * w) << 2, yImage = <usize>(outputs * positions) << 2;
  const xStep = <usize>strideW * PIXEL, xRow = <usize>(strideH * pitch) * PIXEL, xJump = xRow - <usize>wo * xStep;
  for (let done = 0; done < n; done += IMAGES) {
    const images = min(IMAGES, n - done);
    padIntoLanes(x + <usize>done * xImage, xImage, images, groups * c, h, w, pixels, rows, pitch, paddingH, paddingW);
    for (let out = firstOutput; out < endOutput; out += 2) {
      const two = out + 1 < outputs, gradient = gradY + <usize>done * yImage + (<usize>(out * positions) << 2);
      packTransposed(gradient, yImage, images, positions, columns, 32);
      if (two) packTransposed(gradient + (<usize>positions << 2), yImage, images, positions, columns + 16, 32);
      // Two channels of one group read the same image rows; else the lines of both, one after the other, are taken two at a time.
      const shared = two && out / o == (out + 1) / o, count = shared || !two ? lines : 2 * lines, firstLine = out / o * lines;
      for (let block = 0; block < blocks; block++) {
        const first = block * blockRows, runs = min(blockRows, ho - first);
        const origin = pixels + <usize>first * xRow, column = columns + <usize>(first * wo) * 32;
        const to = sums + <usize>block * blockBytes + <usize>(out * k) * PIXEL;
        for (let line = 0; line < count; line += shared ? 1 : 2) {
          const other = shared ? line + lines : min(line + 1, count - 1);
          let x0 = origin + lineOffset(firstLine + line, lines, c, kh, rows, pitch, dilationH);
          let x1 = shared ? x0 : origin + lineOffset(firstLine + other, lines, c, kh, rows, pitch, dilationH);
          const g0 = column + (line < lines ? 0 : 16), g1 = column + (other < lines ? 0 : 16);
          let to0 = to + <usize>(line * kw) * PIXEL, to1 = to + <usize>(other * kw) * PIXEL;
          for (let rest = kw; rest > 0; ) {
            const taps = rest == 2 || rest == 4 ? 2 : 3;
            if (shared) {
              if (taps == 3) threeShared(runs, wo, x0, xStep, xJump, column, to0, to1);
              else twoShared(runs, wo, x0, xStep, xJump, column, to0, to1);
            } else if (taps == 3) threeTaps(runs, wo, x0, x1, xStep, xJump, g0, g1, 32, to0, to1);
            else twoTaps(runs, wo, x0, x1, xStep, xJump, g0, g1, 32, to0, to1);
            const bytes = <usize>taps * PIXEL;
            x0 += bytes;
            x1 += bytes;
            to0 += bytes;
            to1 += bytes;
            rest -= taps;
          }
        }
      }
    }
    addSums(sums + <usize>(firstOutput * k) * PIXEL, blockBytes, blocks, images, (endOutput - firstOutput) * k, gradWeight);
  }
}
