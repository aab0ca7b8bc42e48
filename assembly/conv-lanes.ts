// The convolution of lanes.ts over a batch: forward, and backward-data (which is also the forward of a transposed convolution).
import { KC, STORE, UPDATE } from './tile';
import { finishLike } from './ending';
import { intoLanes, fromLanes, LANES, laneRow, PIXEL, spread, spreadRows, TAP } from './lanes';
import { classBound, listReach, listTapsOf, sourceStep, tapStep } from './reach';

// What must stay in the caches for this to pay: tap lists and packed weights in the second, one batch of pixels in the first or second.

/** Most bytes of tap lists. */
// @ts-ignore: decorator
@inline
const LIST_BYTES: i64 = 1 << 19;

/** Most bytes of weights, each repeated over a vector. */
// @ts-ignore: decorator
@inline
const WEIGHT_BYTES: i64 = 1 << 18;

/** Most bytes of eight images. */
// @ts-ignore: decorator
@inline
const SOURCE_BYTES: i64 = 1 << 18;

/** Bytes of results that are turned back into images at a time (one row, if that is more). */
// @ts-ignore: decorator
@inline
const RESULT_BYTES: i32 = 1 << 15;

/** Fewer images than this are convolved one by one. */
// @ts-ignore: decorator
@inline
export const FEWEST: i32 = 4;

/** Bytes of all tap lists, at most: from `s` source channels a group to results of h x w. */
function listBytes(s: i32, h: i32, w: i32, kh: i32, kw: i32, strideH: i32, strideW: i32, blocks: i32): i64 {
  const pairs = <i64>classBound(h, kh, strideH) * <i64>classBound(w, kw, strideW);
  return pairs * (4 + 8 * blocks) + 8 * pairs * s * kh * kw + 16;
}

/** Blocks of 256 taps. */
// @ts-ignore: decorator
@inline
function blocksOf(s: i32, kh: i32, kw: i32): i32 {
  return (s * kh * kw + KC - 1) / KC;
}

/** Whether a batch is convolved in lanes: `groups` times `s` source planes of hs x ws to `r` result planes of h x w. */
export function suitsLanes(
  n: i32, groups: i32, s: i32, hs: i32, ws: i32, r: i32, h: i32, w: i32, kh: i32, kw: i32, strideH: i32, strideW: i32,
): bool {
  if (n < FEWEST) return false;
  const taps = <i64>s * kh * kw;
  return taps * groups * ((r + 3) / 4) * TAP <= WEIGHT_BYTES && <i64>groups * s * hs * ws * PIXEL <= SOURCE_BYTES &&
    listBytes(s, h, w, kh, kw, strideH, strideW, blocksOf(s, kh, kw)) <= LIST_BYTES;
}

/** Repeats the weights of 1 to 4 rows over vectors (missing rows repeat the last): row r, source channel c, position p at r * rowStep + c * channelStep + p. */
function repeatWeights(from: usize, rows: i32, rowStep: i32, channels: i32, channelStep: i32, positions: i32, to: usize): void {
  for (let channel = 0; channel < channels; channel++) {
    spreadRows(from, <usize>rowStep << 2, 4, rows, positions, to);
    from += <usize>channelStep << 2;
    to += <usize>positions * TAP;
  }
}

/**
 * Convolves whole batches of `n` images, of which the last may be of FEWEST to eight; returns how many images it did. All weights must be finite.
 * Source: `groups * s` planes of hs x ws an image; result: `groups * r` of h x w. `bias` and `ending` may be 0.
 */
export function convolveLanes(
  forward: bool, n: i32, groups: i32, source: usize, s: i32, hs: i32, ws: i32, weight: usize, bias: usize,
  result: usize, r: i32, h: i32, w: i32, kh: i32, kw: i32,
  strideH: i32, strideW: i32, paddingH: i32, paddingW: i32, dilationH: i32, dilationW: i32, ending: usize, scratch: usize,
): i32 {
  const blocks = blocksOf(s, kh, kw), quads = (r + 3) / 4, filter = kh * kw, taps = s * filter;
  const rowBound = classBound(h, kh, strideH), columnBound = classBound(w, kw, strideW);
  // Regions of the working memory, as kernels/conv-sizes.ts counts them.
  const weights = scratch, initial = weights + <usize>(groups * quads * taps) * TAP;
  const rows = initial + <usize>(groups * quads) * TAP, columns = rows + (<usize>h << 3);
  const rowClasses = columns + (<usize>w << 3), columnClasses = rowClasses + (<usize>rowBound << 4);
  const table = columnClasses + (<usize>columnBound << 4), lists = table + (<usize>(rowBound * columnBound + 3) / 4 << 4);
  const pixels = lists + (<usize>listBytes(s, h, w, kh, kw, strideH, strideW, blocks) + 15 & ~15);
  const chunkRows = min(h, max(1, RESULT_BYTES / (4 * PIXEL * w)));
  const sums = pixels + <usize>(groups * s * hs * ws) * PIXEL;

  const columnCount = listReach(forward, w, kw, ws, strideW, paddingW, dilationW, columns, 4, PIXEL, columnClasses);
  const rowCount = listReach(forward, h, kh, hs, strideH, paddingH, dilationH, rows, 4 * columnCount, PIXEL * ws, rowClasses);
  let list = lists;
  for (let i = 0; i < rowCount; i++) {
    for (let j = 0; j < columnCount; j++) {
      store<usize>(table + (<usize>(i * columnCount + j) << 2), list);
      list = listTapsOf(
        list, blocks, s, rowClasses + (<usize>i << 4), columnClasses + (<usize>j << 4), kh, kw, hs * ws, ws,
        tapStep(forward, strideH, dilationH), tapStep(forward, strideW, dilationW),
        sourceStep(forward, strideH, dilationH), sourceStep(forward, strideW, dilationW),
      );
    }
  }
  for (let group = 0; group < groups; group++) {
    for (let quad = 0; quad < quads; quad++) {
      const at = <usize>(group * quads + quad);
      const first = forward ? (group * r + 4 * quad) * taps : (group * s * r + 4 * quad) * filter;
      repeatWeights(
        weight + (<usize>first << 2), min(4, r - 4 * quad), forward ? taps : filter, s, forward ? filter : r * filter, filter,
        weights + at * taps * TAP,
      );
      for (let row = 0; row < 4; row++) {
        const channel = 4 * quad + row;
        spread(initial + at * TAP + (row << 4), bias && channel < r ? load<f32>(bias + (<usize>(group * r + channel) << 2)) : 0);
      }
    }
  }
  const sourceImage = <usize>(groups * s * hs * ws) << 2, resultImage = <usize>(groups * r * h * w) << 2;
  let done = 0;
  while (n - done >= FEWEST) {
    const images = min(LANES, n - done);
    intoLanes(source + <usize>done * sourceImage, sourceImage, images, groups * s * hs * ws, pixels);
    for (let group = 0; group < groups; group++) {
      const planes = pixels + <usize>(group * s * hs * ws) * PIXEL;
      for (let quad = 0; quad < quads; quad++) {
        const at = <usize>(group * quads + quad), channels = min(4, r - 4 * quad);
        for (let top = 0; top < h; top += chunkRows) {
          const height = min(chunkRows, h - top), plane = <usize>(height * w) * PIXEL;
          for (let block = 0; block < blocks; block++) {
            let line = rows + (<usize>top << 3), to = sums;
            for (let y = 0; y < height; y++) {
              laneRow(
                channels, w, columns, table + load<usize>(line), block, weights + at * taps * TAP, planes + load<usize>(line, 4),
                block == 0 ? STORE : UPDATE, initial + at * TAP, to, plane,
              );
              line += 8;
              to += <usize>w * PIXEL;
            }
          }
          let from = sums;
          let image = result + <usize>done * resultImage + (<usize>((group * r + 4 * quad) * h * w + top * w) << 2);
          for (let channel = 0; channel < channels; channel++) {
            fromLanes(from, images, height * w, image, resultImage);
            if (ending) finishLike(ending, images, height * w, image, resultImage);
            from += plane;
            image += <usize>(h * w) << 2;
          }
        }
      }
    }
    done += images;
  }
  return done;
}
