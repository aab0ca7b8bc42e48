// Convolution with images as lanes: eight images side by side, so that a vector holds one pixel of each. Then every pixel has its own list of taps,
// and those in the padding are not on it: no lane is idle at the end of a row, and no product with a zero is computed. It pays for small
// images in batches. Contracts: kernels/conv.ts. Forward and backward-data differ only in which source pixel a tap meets (`reach.ts`).
import { STORE } from './tile';
import { packTransposed } from './packing';

/** Images side by side. */
// @ts-ignore: decorator
@inline
export const LANES: i32 = 8;

/** Bytes of a pixel: one float of each image. */
// @ts-ignore: decorator
@inline
export const PIXEL: i32 = 32;

/** Bytes of one tap's weights: four output channels, each repeated over a vector. */
// @ts-ignore: decorator
@inline
export const TAP: i32 = 64;

/** `count` floats of up to eight images, `image` bytes apart, side by side. Missing images repeat the last one. */
export function intoLanes(from: usize, image: usize, images: i32, count: i32, to: usize): void {
  packTransposed(from, image, images, count, to, PIXEL);
  if (images > 4) packTransposed(from + 4 * image, image, images - 4, count, to + 16, PIXEL);
  else packTransposed(from, image, 1, count, to + 16, PIXEL);
}

/** The way back: `count` pixels at `from` become floats of up to eight images, `image` bytes apart. */
export function fromLanes(from: usize, images: i32, count: i32, to: usize, image: usize): void {
  let lane = 0;
  for (; lane + 4 <= images; lane += 4) {
    fourFromLanes(from, count, to, image);
    from += 16;
    to += 4 * image;
  }
  for (; lane < images; lane++) {
    for (let i = 0; i < count; i++) store<f32>(to + (<usize>i << 2), load<f32>(from + <usize>i * PIXEL));
    from += 4;
    to += image;
  }
}

function fourFromLanes(from: usize, count: i32, t0: usize, image: usize): void {
  let t1 = t0 + image, t2 = t1 + image, t3 = t2 + image;
  for (; count >= 4; count -= 4) {
    const r0 = v128.load(from), r1 = v128.load(from, PIXEL), r2 = v128.load(from, 2 * PIXEL), r3 = v128.load(from, 3 * PIXEL);
    const a = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5), b = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
    const c = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7), d = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
    v128.store(t0, v128.shuffle<f64>(a, b, 0, 2));
    v128.store(t1, v128.shuffle<f64>(a, b, 1, 3));
    v128.store(t2, v128.shuffle<f64>(c, d, 0, 2));
    v128.store(t3, v128.shuffle<f64>(c, d, 1, 3));
    from += 4 * PIXEL;
    t0 += 16;
    t1 += 16;
    t2 += 16;
    t3 += 16;
  }
  for (; count > 0; count--) {
    store<f32>(t0, load<f32>(from));
    store<f32>(t1, load<f32>(from, 4));
    store<f32>(t2, load<f32>(from, 8));
    store<f32>(t3, load<f32>(from, 12));
    from += PIXEL;
    t0 += 4;
    t1 += 4;
    t2 += 4;
    t3 += 4;
  }
}

/** Whether no float is NaN or infinite: then a product with the zero of the padding is +0 or -0, which changes no sum that starts at +0. */
export function allFinite(from: usize, count: i32): bool {
  let sum = f32x4.splat(0);
  for (; count >= 4; count -= 4) {
    sum = f32x4.add(sum, f32x4.mul(v128.load(from), f32x4.splat(0)));
    from += 16;
  }
  for (; count > 0; count--) {
    sum = f32x4.add(sum, f32x4.splat(load<f32>(from) * 0));
    from += 4;
  }
  return i32x4.all_true(f32x4.eq(sum, sum));
}

/** Repeats a float over a vector. */
// @ts-ignore: decorator
@inline
export function spread(to: usize, value: f32): void {
  v128.store(to, f32x4.splat(value));
}

/** `spread` of `rows` (1 to 4) rows of `steps` elements, `row` and `step` bytes apart: 64 bytes a step. Rows that are missing repeat the last. */
export function spreadRows(r0: usize, row: usize, step: usize, rows: i32, steps: i32, to: usize): void {
  const r1 = r0 + (rows > 1 ? row : 0), r2 = r1 + (rows > 2 ? row : 0), r3 = r2 + (rows > 3 ? row : 0);
  let at: usize = 0;
  for (; steps > 0; steps--) {
    spread(to, load<f32>(r0 + at));
    spread(to + 16, load<f32>(r1 + at));
    spread(to + 32, load<f32>(r2 + at));
    spread(to + 48, load<f32>(r3 + at));
    at += step;
    to += 64;
  }
}

/**
 * One pixel of four output channels: sums over the taps of a list, each two offsets (of its weights from `a`, of its source pixel from `b`), and
 * merges them into the pixels at `c`, `cRow` apart.
 */
// @ts-ignore: decorator
@inline
function fourChannels(list: usize, steps: i32, a: usize, b: usize, mode: i32, initial: usize, c: usize, cRow: usize): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0), c31 = f32x4.splat(0);
  for (; steps > 0; steps--) {
    const weights = a + load<usize>(list), pixel = b + load<usize>(list, 4);
    const b0 = v128.load(pixel), b1 = v128.load(pixel, 16);
    list += 8;
    let x = v128.load(weights);
    c00 = f32x4.add(c00, f32x4.mul(x, b0));
    c01 = f32x4.add(c01, f32x4.mul(x, b1));
    x = v128.load(weights, 16);
    c10 = f32x4.add(c10, f32x4.mul(x, b0));
    c11 = f32x4.add(c11, f32x4.mul(x, b1));
    x = v128.load(weights, 32);
    c20 = f32x4.add(c20, f32x4.mul(x, b0));
    c21 = f32x4.add(c21, f32x4.mul(x, b1));
    x = v128.load(weights, 48);
    c30 = f32x4.add(c30, f32x4.mul(x, b0));
    c31 = f32x4.add(c31, f32x4.mul(x, b1));
  }
  merge(mode, initial, c, c00, c01);
  merge(mode, initial + 16, c + cRow, c10, c11);
  merge(mode, initial + 32, c + 2 * cRow, c20, c21);
  merge(mode, initial + 48, c + 3 * cRow, c30, c31);
}

/** The same for two output channels. */
// @ts-ignore: decorator
@inline
function twoChannels(list: usize, steps: i32, a: usize, b: usize, mode: i32, initial: usize, c: usize, cRow: usize): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0);
  for (; steps > 0; steps--) {
    const weights = a + load<usize>(list), pixel = b + load<usize>(list, 4);
    const b0 = v128.load(pixel), b1 = v128.load(pixel, 16);
    list += 8;
    let x = v128.load(weights);
    c00 = f32x4.add(c00, f32x4.mul(x, b0));
    c01 = f32x4.add(c01, f32x4.mul(x, b1));
    x = v128.load(weights, 16);
    c10 = f32x4.add(c10, f32x4.mul(x, b0));
    c11 = f32x4.add(c11, f32x4.mul(x, b1));
  }
  merge(mode, initial, c, c00, c01);
  merge(mode, initial + 16, c + cRow, c10, c11);
}

/** The same for two output channels of two pixels with the same list, the second one's source at `next`. */
// @ts-ignore: decorator
@inline
function twoChannelsTwice(list: usize, steps: i32, a: usize, b: usize, next: usize, mode: i32, initial: usize, c: usize, cRow: usize): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0), c02 = f32x4.splat(0), c03 = f32x4.splat(0);
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0), c12 = f32x4.splat(0), c13 = f32x4.splat(0);
  for (; steps > 0; steps--) {
    const weights = a + load<usize>(list), offset = load<usize>(list, 4);
    list += 8;
    const x = v128.load(weights), y = v128.load(weights, 16);
    let pixel = b + offset, p = v128.load(pixel);
    c00 = f32x4.add(c00, f32x4.mul(x, p));
    c10 = f32x4.add(c10, f32x4.mul(y, p));
    p = v128.load(pixel, 16);
    c01 = f32x4.add(c01, f32x4.mul(x, p));
    c11 = f32x4.add(c11, f32x4.mul(y, p));
    pixel = next + offset;
    p = v128.load(pixel);
    c02 = f32x4.add(c02, f32x4.mul(x, p));
    c12 = f32x4.add(c12, f32x4.mul(y, p));
    p = v128.load(pixel, 16);
    c03 = f32x4.add(c03, f32x4.mul(x, p));
    c13 = f32x4.add(c13, f32x4.mul(y, p));
  }
  merge(mode, initial, c, c00, c01);
  merge(mode, initial, c + PIXEL, c02, c03);
  merge(mode, initial + 16, c + cRow, c10, c11);
  merge(mode, initial + 16, c + cRow + PIXEL, c12, c13);
}

// @ts-ignore: decorator
@inline
function merge(mode: i32, initial: usize, c: usize, low: v128, high: v128): void {
  if (mode == STORE) {
    const start = v128.load(initial);
    v128.store(c, f32x4.add(start, low));
    v128.store(c, f32x4.add(start, high), 16);
  } else {
    v128.store(c, f32x4.add(v128.load(c), low));
    v128.store(c, f32x4.add(v128.load(c, 16), high), 16);
  }
}

/**
 * `count` pixels of a row, for up to four output channels whose weights are at `a`. `rowLists` has a list (see reach.ts) per class of columns;
 * `columns` has class and source column per pixel; block `block` of each list is summed.
 */
export function laneRow(
  channels: i32, count: i32, columns: usize, rowLists: usize, block: i32, a: usize, source: usize, mode: i32, initial: usize, to: usize,
  toRow: usize,
): void {
  const part = <usize>block << 3;
  if (channels > 2) {
    for (; count > 0; count--) {
      const list = load<usize>(rowLists + load<usize>(columns)) + part;
      fourChannels(load<usize>(list), load<i32>(list, 4), a, source + load<usize>(columns, 4), mode, initial, to, toRow);
      columns += 8;
      to += PIXEL;
    }
  } else {
    for (let pixels = 1; count > 0; count -= pixels) {
      const column = load<usize>(columns), list = load<usize>(rowLists + column) + part, first = source + load<usize>(columns, 4);
      pixels = count > 1 && load<usize>(columns, 8) == column ? 2 : 1;
      if (pixels == 2) {
        twoChannelsTwice(load<usize>(list), load<i32>(list, 4), a, first, source + load<usize>(columns, 12), mode, initial, to, toRow);
      } else {
        twoChannels(load<usize>(list), load<i32>(list, 4), a, first, mode, initial, to, toRow);
      }
      columns += <usize>pixels << 3;
      to += pixels * PIXEL;
    }
  }
}
