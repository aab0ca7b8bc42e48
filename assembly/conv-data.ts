// The data gradient of a convolution, which is also the forward of a transposed one. Contract: kernels/conv.ts; conv.ts has the others.
import { anyTapTile, anyTile, KC, MR, NR, STORE, TILE_BYTES, UPDATE, zeros } from './tile';
import { clear, copyPadded, neighbours, packPatches } from './image';
import { packRows, packTransposed } from './packing';
import { allFinite } from './lanes';
import { convolveLanes, suitsLanes } from './conv-lanes';
import { DIRECT_ROWS, NC, packedPositions, packsFilters, panelBytes, phaseBytes, scatteredPositions } from './conv-packed';
import { check, floats, isAdjacent, isDepthwise, isPlain, outputs } from './conv-shape';
import { depthwiseBackwardData } from './depthwise';
import { NOTHING, product } from './product';
import { tapStep } from './reach';
import { dealImages, shareEnd, shares, shareStart } from './shares';

/** Up to this many images, the data gradient of 1x1 filters is a plain matrix product: with 64 channels of 256 filters at 56x56 that is 15 % faster, with 512 at 7x7 3 %. */
// @ts-ignore: decorator
@inline
const FEW_IMAGES: i32 = 2;

/**
 * Strides split the image gradient into strideH * strideW phases that share no tap: each is a stride-1 convolution of gradY with the taps of
 * its phase, written to every stride-th pixel.
 */
export function conv2d_f32_backward_data(
  gradY: usize, weight: usize, gradX: usize, n: i32, c: i32, h: i32, w: i32, o: i32, kh: i32, kw: i32,
  strideH: i32, strideW: i32, paddingH: i32, paddingW: i32, dilationH: i32, dilationW: i32, groups: i32, scratch: usize,
): void {
  check(c, h, w, o, kh, kw, strideH, strideW, paddingH, paddingW, dilationH, dilationW, groups);
  const ho = outputs(h, kh, strideH, paddingH, dilationH), wo = outputs(w, kw, strideW, paddingW, dilationW);
  const each = o / groups, rowsEach = c / groups, filterEach = each * rowsEach * kh * kw;
  const top = (kh - 1) * dilationH / strideH, left = (kw - 1) * dilationW / strideW;
  const rows = top + max(ho, (h - 1 + paddingH) / strideH + 1), pitch = left + max(wo, (w - 1 + paddingW) / strideW + 1);
  const deal = dealImages(n), cut = shares() > 1 && !deal;
  if (deal) {
    const first = shareStart(n);
    gradY += <usize>(first * o * ho * wo) << 2;
    gradX += <usize>(first * c * h * w) << 2;
    n = shareEnd(n) - first;
  }
  if (isDepthwise(c, o, kh, kw, groups)) {
    depthwiseBackwardData(
      gradY, weight, gradX, n, c, cut ? shareStart(c) : 0, cut ? shareEnd(c) : c, h, w, kh, kw, ho, wo,
      strideH, strideW, paddingH, paddingW, dilationH, dilationW, top, left, rows, pitch, isAdjacent(kh, kw, dilationH, dilationW), scratch,
    );
    return;
  }
  if (!cut && suitsLanes(n, groups, each, ho, wo, rowsEach, h, w, kh, kw, strideH, strideW) && allFinite(weight, groups * filterEach)) {
    const done = convolveLanes(
      false, n, groups, gradY, each, ho, wo, weight, 0, gradX, rowsEach, h, w, kh, kw,
      strideH, strideW, paddingH, paddingW, dilationH, dilationW, NOTHING, scratch,
    );
    gradY += <usize>(done * o * ho * wo) << 2;
    gradX += <usize>(done * c * h * w) << 2;
    n -= done;
    if (n == 0) return;
  }
  if (n <= FEW_IMAGES && kh == 1 && kw == 1 && isPlain(strideW, paddingH, paddingW) && strideH == 1) {
    // gradX = weight^T gradY, planes as rows: the same sums in the same order, without lists of taps and copies of planes.
    for (let plane = 0; plane < n * groups; plane++) {
      const filters = weight + (<usize>(plane % groups * filterEach) << 2);
      product(cut, 1, 0, rowsEach, h * w, each, 1, filters, rowsEach, gradY, h * w, 0, gradX, h * w, NOTHING, scratch);
      gradY += <usize>(each * h * w) << 2;
      gradX += <usize>(rowsEach * h * w) << 2;
    }
    return;
  }
  const strided = strideH > 1 || strideW > 1, phaseTaps = each * kh * kw;
  const phasePositions = ((h + strideH - 1) / strideH) * ((w + strideW - 1) / strideW);
  const spare = scratch, panel = spare + TILE_BYTES, taps = panel + (strided ? phaseBytes(phasePositions) : panelBytes(rowsEach, h * w));
  const filter = taps + floats(phaseTaps), places = filter + floats(phaseTaps * (rowsEach + MR)), padded = places + floats(6 * kh * kw);
  // Images that are cut are cut along the channels of each group, four staying together.
  const quads = (rowsEach + MR - 1) / MR;
  const firstRow = cut ? MR * shareStart(quads) : 0, endRow = cut ? min(rowsEach, MR * shareEnd(quads)) : rowsEach, count = endRow - firstRow;
  if (count == 0) return;
  const ownRows = <usize>(count + MR - 1 & -MR) << 2;
  // Gradients without a border are read where they lie.
  const plain = rows == ho && pitch == wo;
  if (!plain) clear(padded, each * rows * pitch);
  // The lists and filters of all phases, one after the other.
  const stepH = tapStep(false, strideH, dilationH), stepW = tapStep(false, strideW, dilationW);
  let list = taps, packed = filter, empty = false;
  for (let rh = 0; rh < strideH; rh++) {
    for (let rw = 0; rw < strideW; rw++) {
      const i = firstTap(kh, strideH, dilationH, rh), j = firstTap(kw, strideW, dilationW, rw), count = tapsFrom(i, kh, stepH) * tapsFrom(j, kw, stepW);
      listPhase(list, each, i, kh, stepH, j, kw, stepW, strideH, strideW, dilationH, dilationW, rows, pitch);
      listPlaces(places, packed, count, i, kh, stepH, j, kw, stepW);
      list += <usize>(each * count) << 2;
      packed += <usize>(each * count) * ownRows;
      if (count == 0) empty = true;
    }
  }
  if (empty) {
    // Pixels that no tap meets.
    for (let part = 0; part < n * groups; part++) clear(gradX + (<usize>((part * rowsEach + firstRow) * h * w) << 2), count * h * w);
  }
  for (let group = 0; group < groups; group++) {
    packFilters(filter, places, weight + (<usize>(group * filterEach) << 2), firstRow, endRow, rowsEach, each, kh * kw);
    let from = gradY + (<usize>(group * each * ho * wo) << 2), to = gradX + (<usize>((group * rowsEach + firstRow) * h * w) << 2);
    for (let image = 0; image < n; image++) {
      if (!plain) copyPadded(from, each, ho, wo, padded, rows, pitch, top, left, 1);
      const source = plain ? from : padded;
      list = taps;
      packed = filter;
      for (let rh = 0; rh < strideH; rh++) {
        const tapsH = tapsFrom(firstTap(kh, strideH, dilationH, rh), kh, stepH);
        for (let rw = 0; rw < strideW; rw++) {
          const k = each * tapsH * tapsFrom(firstTap(kw, strideW, dilationW, rw), kw, stepW);
          // First pixel of the phase, and the row and column of gradY that a tap 0 would meet.
          const y0 = (rh - paddingH % strideH + strideH) % strideH, x0 = (rw - paddingW % strideW + strideW) % strideW;
          if (k > 0 && y0 < h && x0 < w) {
            const origin = source + (<usize>((top + (y0 + paddingH) / strideH) * pitch + left + (x0 + paddingW) / strideW) << 2);
            const countY = (h - 1 - y0) / strideH + 1, countX = (w - 1 - x0) / strideW + 1, pixels = to + (<usize>(y0 * w + x0) << 2);
            if (strided) {
              scatteredPositions(
                origin, countY * countX, countX, <usize>pitch << 2, list, packed, k, count, pixels, <usize>(h * w) << 2, <usize>(strideH * w) << 2,
                <usize>strideW << 2, panel, spare,
              );
            } else adjacentPixels(origin, h * w, w, pitch, list, packed, k, count, pixels, panel, spare);
          }
          list += <usize>k << 2;
          packed += <usize>k * ownRows;
        }
      }
      from += <usize>(o * ho * wo) << 2;
      to += <usize>(c * h * w) << 2;
    }
  }
}

/** The first tap of a phase, of those that are `tapStep` apart; `kernel` if it has none. */
function firstTap(kernel: i32, stride: i32, dilation: i32, phase: i32): i32 {
  let i = 0;
  while (i < kernel && i * dilation % stride != phase) i++;
  return i;
}

// @ts-ignore: decorator
@inline
function tapsFrom(first: i32, kernel: i32, step: i32): i32 {
  return (kernel - first + step - 1) / step;
}

/** Lists the taps (o, i, j) of a phase: those from row `firstH` and column `firstW` on. */
function listPhase(
  taps: usize, o: i32, firstH: i32, kh: i32, stepH: i32, firstW: i32, kw: i32, stepW: i32, strideH: i32, strideW: i32, dilationH: i32, dilationW: i32,
  rows: i32, pitch: i32,
): void {
  for (let channel = 0; channel < o; channel++) {
    for (let i = firstH; i < kh; i += stepH) {
      const row = channel * rows - i * dilationH / strideH;
      for (let j = firstW; j < kw; j += stepW) {
        store<i32>(taps, (row * pitch - j * dilationW / strideW) << 2);
        taps += 4;
      }
    }
  }
}

/** For each of the `count` taps of a phase, where packFilters puts it: its first vector, and how many bytes further those of the next filter are. */
function listPlaces(places: usize, to: usize, count: i32, firstH: i32, kh: i32, stepH: i32, firstW: i32, kw: i32, stepW: i32): void {
  for (let i = firstH; i < kh; i += stepH) {
    for (let j = firstW; j < kw; j += stepW) {
      const place = places + (<usize>(i * kw + j) << 3);
      store<usize>(place, to);
      store<i32>(place, count << 4, 4);
      to += 16;
    }
  }
}

/** Channels whose weights are packed before the next filter is read: so many lie side by side. */
// @ts-ignore: decorator
@inline
const TOGETHER: i32 = 4 * MR;

/**
 * Packs the weights of all phases in row panels of four channels, from `first` to before `end` of `c`; rows that are missing hold anything. A filter (of `o`) has
 * `taps` weights for each channel, which `places` deals out.
 */
function packFilters(to: usize, places: usize, weight: usize, first: i32, end: i32, c: i32, o: i32, taps: i32): void {
  if (taps == 1) {
    packRows(weight + (<usize>first << 2), 4, <usize>c << 2, end - first, o, to);
    return;
  }
  const channelBytes = <usize>taps << 2, four = places + floats(2 * taps);
  for (let top = first; top < end; top += TOGETHER) {
    let filter = weight + <usize>top * channelBytes;
    for (let out = 0; out < o; out++) {
      let from = filter;
      for (let row = top; row < min(end, top + TOGETHER); row += MR) {
        packTransposed(from, channelBytes, min(MR, c - row), taps, four, 16);
        from += 4 * channelBytes;
        const which = (row - first) / MR * o + out;
        for (let t = 0; t < taps; t++) {
          const place = places + (<usize>t << 3);
          v128.store(load<usize>(place) + which * load<i32>(place, 4), v128.load(four + (<usize>t << 4)));
        }
      }
      filter += <usize>c * channelBytes;
    }
  }
}

/** The `positions` pixels of one image, `w` in a row, where no stride sets them apart. */
function adjacentPixels(
  origin: usize, positions: i32, w: i32, pitch: i32, taps: usize, filter: usize, k: i32, c: i32, to: usize, panel: usize, spare: usize,
): void {
  const toRow = <usize>positions << 2, rowBytes = <usize>pitch << 2, direct = c <= DIRECT_ROWS;
  // Rows of patches without a gap between them (1x1 filters) are one row.
  const columns = pitch == w ? positions : w;
  if (packsFilters(c, positions)) {
    // Panels hold four rows to the end of k.
    const quad = <usize>k << 4;
    for (let q = 0; q < positions; q += NC) {
      packedPositions(
        origin, q, min(NC, positions - q), positions, columns, rowBytes, taps, filter, quad, 4, 16, k, c, zeros, 0, to, toRow, panel, spare,
      );
    }
    return;
  }
  for (let from = 0; from < k; from += KC) {
    const steps = min(KC, k - from), mode = from == 0 ? STORE : UPDATE;
    for (let q = 0; q < positions; q += NR) {
      const list = taps + (<usize>from << 2), width = min(NR, positions - q);
      const first = direct ? neighbours(origin, q, positions, columns, rowBytes) : 0;
      const other = first ? neighbours(origin, q + 4, positions, columns, rowBytes) : 0;
      if (!other) packPatches(origin, q, positions, columns, rowBytes, list, steps, panel);
      // Panels hold four rows to the end of k: this block's part starts `from` steps into it.
      let a = filter + (<usize>from << 4), at = to + (<usize>q << 2);
      for (let row = 0; row < c; row += MR) {
        const height = min(MR, c - row);
        if (other) anyTapTile(height, steps, a, 4, 16, first, other, list, mode, zeros, at, toRow, spare);
        else anyTile(height, width, steps, a, 4, 16, panel, 32, mode, 1, 1, zeros, at, toRow, 4, spare);
        a += <usize>k << 4;
        at += 4 * toRow;
      }
    }
  }
}
