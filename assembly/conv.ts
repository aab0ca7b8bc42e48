// Two-dimensional convolution on NCHW, and its gradients. Contracts: kernels/conv.ts.
// Each is a matrix product whose patches are never laid out. Forward and backward-data take eight output positions at a time, and either read
// their patches in place, through a list of tap offsets, or pack them into a panel straight from the (padded) image. Backward-filter reads in
// place: along an output row the patches of a tap are adjacent floats.
import { anyTapTile, anyTile, KC, MR, NR, STORE, tile, TILE_BYTES, UPDATE, zeros } from './tile';
import { clear, copyPadded, neighbours, packPatches } from './image';
import { packRows, packTransposed } from './packing';
import { allFinite } from './lanes';
import { depthwiseBackwardData, depthwiseForward } from './depthwise';
import { depthwiseBackwardFilter } from './depthwise-filter';
import { ENDING_BYTES, finishLike, writeLikeEnding } from './ending';
import { filterLanes, suitsFilterLanes } from './filter-lanes';
import { NOTHING, product } from './product';
import { dealImages, isFirstShare, shareEnd, shares, shareStart } from './shares';
import {
  DIRECT_ROWS, gradientBytes, NC, packedFilterGroup, packedPositions, packsFilters, packsTaps, panelBytes, phaseBytes, scatteredPositions,
} from './conv-packed';
import { tapStep } from './reach';
import { convolveLanes, suitsLanes } from './conv-lanes';

/** Up to this many images, the data gradient of 1x1 filters is a plain matrix product (512 channels at 7x7: 41 instead of 33 GFLOP/s; at 8: 41 and 44). */
// @ts-ignore: decorator
@inline
const FEW_IMAGES: i32 = 2;

// @ts-ignore: decorator
@inline
function outputs(size: i32, kernel: i32, stride: i32, padding: i32, dilation: i32): i32 {
  return (size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
}

/** Sizes outside the contract would loop or read elsewhere: trap instead, and the caller's error names the kernel and its values. */
function check(
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
function floats(count: i32): usize {
  return aligned(<usize>count << 2);
}

/** Whether images can be read where they lie. */
// @ts-ignore: decorator
@inline
function isPlain(strideW: i32, paddingH: i32, paddingW: i32): bool {
  return strideW == 1 && paddingH == 0 && paddingW == 0;
}

// @ts-ignore: decorator
@inline
function phasePitch(columns: i32, phases: i32): i32 {
  return (columns + phases - 1) / phases * phases;
}

/** The byte offset of each tap (c, i, j), in this order, in an image of padded planes. */
function listTaps(
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
function isDepthwise(c: i32, o: i32, kh: i32, kw: i32, groups: i32): bool {
  return groups == c && groups == o && kh * kw <= KC;
}

// @ts-ignore: decorator
@inline
function isAdjacent(kh: i32, kw: i32, dilationH: i32, dilationW: i32): bool {
  return kh == 3 && kw == 3 && dilationH == 1 && dilationW == 1;
}

export function conv2d_f32_forward(
  x: usize, weight: usize, bias: usize, y: usize, n: i32, c: i32, h: i32, w: i32, o: i32, kh: i32, kw: i32,
  strideH: i32, strideW: i32, paddingH: i32, paddingW: i32, dilationH: i32, dilationW: i32, groups: i32, scratch: usize,
): void {
  forward(
    x, weight, bias, y, n, c, h, w, o, kh, kw, strideH, strideW, paddingH, paddingW, dilationH, dilationW, groups, NOTHING, scratch,
  );
}

export function conv2d_fused_f32_forward(
  x: usize, weight: usize, bias: usize, residual: usize, y: usize, n: i32, c: i32, h: i32, w: i32, o: i32, kh: i32, kw: i32,
  strideH: i32, strideW: i32, paddingH: i32, paddingW: i32, dilationH: i32, dilationW: i32, groups: i32,
  activation: i32, low: f32, high: f32, scratch: usize,
): void {
  const ending = writeLikeEnding(scratch, residual, y, activation, low, high);
  forward(
    x, weight, bias, y, n, c, h, w, o, kh, kw, strideH, strideW, paddingH, paddingW, dilationH, dilationW, groups,
    ending, scratch + ENDING_BYTES,
  );
}

/** The contract of conv2d_f32_forward, and then the ending. */
function forward(
  x: usize, weight: usize, bias: usize, y: usize, n: i32, c: i32, h: i32, w: i32, o: i32, kh: i32, kw: i32,
  strideH: i32, strideW: i32, paddingH: i32, paddingW: i32, dilationH: i32, dilationW: i32, groups: i32, ending: usize, scratch: usize,
): void {
  check(c, h, w, o, kh, kw, strideH, strideW, paddingH, paddingW, dilationH, dilationW, groups);
  const ho = outputs(h, kh, strideH, paddingH, dilationH), wo = outputs(w, kw, strideW, paddingW, dilationW);
  const positions = ho * wo, each = c / groups, rowsEach = o / groups, k = each * kh * kw;
  const deal = dealImages(n), cut = shares() > 1 && !deal;
  if (deal) {
    const first = shareStart(n);
    x += <usize>(first * c * h * w) << 2;
    y += <usize>(first * o * positions) << 2;
    n = shareEnd(n) - first;
  }
  if (isDepthwise(c, o, kh, kw, groups)) {
    const rows = h + 2 * paddingH, pitch = phasePitch(w + 2 * paddingW, strideW), taps = scratch;
    listTaps(taps, 1, kh, kw, rows, pitch, strideW, dilationH, dilationW);
    depthwiseForward(
      x, weight, bias, y, n, c, cut ? shareStart(c) : 0, cut ? shareEnd(c) : c, h, w, k, ho, wo, strideH, strideW, paddingH, paddingW, rows, pitch,
      isAdjacent(kh, kw, dilationH, dilationW), ending, taps, taps + floats(k),
    );
    return;
  }
  if (!cut && suitsLanes(n, groups, each, h, w, rowsEach, ho, wo, kh, kw, strideH, strideW) && allFinite(weight, o * k)) {
    const done = convolveLanes(
      true, n, groups, x, each, h, w, weight, bias, y, rowsEach, ho, wo, kh, kw,
      strideH, strideW, paddingH, paddingW, dilationH, dilationW, ending, scratch,
    );
    x += <usize>(done * c * h * w) << 2;
    y += <usize>(done * o * positions) << 2;
    n -= done;
    if (n == 0) return;
  }
  const plain = isPlain(strideW, paddingH, paddingW);
  const rows = h + 2 * paddingH, pitch = plain ? w : phasePitch(w + 2 * paddingW, strideW);
  const spare = scratch, panel = spare + TILE_BYTES, start = panel + panelBytes(rowsEach, positions);
  const taps = start + floats(o + MR), padded = taps + floats(k);
  listTaps(taps, each, kh, kw, rows, pitch, strideW, dilationH, dilationW);
  clear(start, o + MR);
  if (bias) memory.copy(start, bias, <usize>o << 2);
  if (!plain) clear(padded, c * rows * pitch);
  // Rows of patches without a gap between them (1x1 filters) are one row.
  const rowBytes = <usize>(strideH * pitch) << 2, columns = rowBytes == <usize>wo << 2 ? positions : wo;
  // Images that are cut are cut along their positions, between panels.
  const panels = (positions + NR - 1) / NR;
  const from = cut ? NR * shareStart(panels) : 0, end = cut ? min(positions, NR * shareEnd(panels)) : positions;
  for (let image = 0; image < n; image++) {
    if (!plain) copyPadded(x, c, h, w, padded, rows, pitch, paddingH, paddingW, strideW);
    let patches = plain ? x : padded;
    for (let group = 0; group < groups; group++) {
      const first = <usize>(group * rowsEach);
      forwardGroup(
        patches, taps, weight + (first * k << 2), start + (first << 2), y + (first * positions << 2), rowsEach, k, from, end, positions, columns,
        rowBytes, ending, panel, spare,
      );
      patches += <usize>(each * rows * pitch) << 2;
    }
    x += <usize>(c * h * w) << 2;
    y += <usize>(o * positions) << 2;
  }
}

/** One image and group: `o` filters of `k` taps over the patches of the positions from `begin` to before `end`. */
function forwardGroup(
  patches: usize, taps: usize, weight: usize, start: usize, y: usize, o: i32, k: i32, begin: i32, end: i32, positions: i32, wo: i32,
  rowBytes: usize, ending: usize, panel: usize, spare: usize,
): void {
  const yRow = <usize>positions << 2, weightRow = <usize>k << 2;
  if (packsFilters(o, positions)) {
    for (let q = begin; q < end; q += NC) {
      const width = min(NC, end - q);
      packedPositions(patches, q, width, positions, wo, rowBytes, taps, weight, 4 * weightRow, weightRow, 4, k, o, start, 16, y, yRow, panel, spare);
      if (ending) finishLike(ending, o, width, y + (<usize>q << 2), yRow);
    }
    return;
  }
  const direct = o <= DIRECT_ROWS;
  for (let from = 0; from < k; from += KC) {
    const steps = min(KC, k - from), mode = from == 0 ? STORE : UPDATE;
    for (let q = begin; q < end; q += NR) {
      const list = taps + (<usize>from << 2), width = min(NR, positions - q);
      const first = direct ? neighbours(patches, q, positions, wo, rowBytes) : 0;
      const other = first ? neighbours(patches, q + 4, positions, wo, rowBytes) : 0;
      if (!other) packPatches(patches, q, positions, wo, rowBytes, list, steps, panel);
      let filter = weight + (<usize>from << 2), at = y + (<usize>q << 2), initial = start;
      for (let row = 0; row < o; row += MR) {
        const height = min(MR, o - row);
        if (other) anyTapTile(height, steps, filter, weightRow, 4, first, other, list, mode, initial, at, yRow, spare);
        else anyTile(height, width, steps, filter, weightRow, 4, panel, 32, mode, 1, 1, initial, at, yRow, 4, spare);
        filter += 4 * weightRow;
        at += 4 * yRow;
        initial += 16;
      }
      if (ending && from + steps == k) finishLike(ending, o, width, y + (<usize>q << 2), yRow);
    }
  }
}

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
    // gradX = weight^T gradY, planes as rows: the same sums in the same order, without packing the weights for four channels at a time.
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
  clear(padded, each * rows * pitch);
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
      copyPadded(from, each, ho, wo, padded, rows, pitch, top, left, 1);
      list = taps;
      packed = filter;
      for (let rh = 0; rh < strideH; rh++) {
        const tapsH = tapsFrom(firstTap(kh, strideH, dilationH, rh), kh, stepH);
        for (let rw = 0; rw < strideW; rw++) {
          const k = each * tapsH * tapsFrom(firstTap(kw, strideW, dilationW, rw), kw, stepW);
          // First pixel of the phase, and the row and column of gradY that a tap 0 would meet.
          const y0 = (rh - paddingH % strideH + strideH) % strideH, x0 = (rw - paddingW % strideW + strideW) % strideW;
          if (k > 0 && y0 < h && x0 < w) {
            const origin = padded + (<usize>((top + (y0 + paddingH) / strideH) * pitch + left + (x0 + paddingW) / strideW) << 2);
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

export function conv2d_f32_backward_filter(
  x: usize, gradY: usize, gradWeight: usize, n: i32, c: i32, h: i32, w: i32, o: i32, kh: i32, kw: i32,
  strideH: i32, strideW: i32, paddingH: i32, paddingW: i32, dilationH: i32, dilationW: i32, groups: i32, scratch: usize,
): void {
  check(c, h, w, o, kh, kw, strideH, strideW, paddingH, paddingW, dilationH, dilationW, groups);
  const ho = outputs(h, kh, strideH, paddingH, dilationH), wo = outputs(w, kw, strideW, paddingW, dilationW);
  const positions = ho * wo, each = c / groups, columnsEach = o / groups, k = each * kh * kw;
  if (isDepthwise(c, o, kh, kw, groups) && dilationW == 1 && kw > 1) {
    depthwiseBackwardFilter(
      x, gradY, gradWeight, n, c, h, w, kh, kw, ho, wo, strideH, strideW, paddingH, paddingW, dilationH, scratch,
    );
    return;
  }
  if (suitsFilterLanes(n, groups, each, h + 2 * paddingH, w + 2 * paddingW, columnsEach, ho, wo, kh, kw, dilationW)) {
    filterLanes(
      n, groups, x, each, h, w, gradY, columnsEach, ho, wo, gradWeight, kh, kw, strideH, strideW, paddingH, paddingW, dilationH, scratch,
    );
    return;
  }
  const plain = isPlain(strideW, paddingH, paddingW);
  const rows = h + 2 * paddingH, pitch = plain ? w : phasePitch(w + 2 * paddingW, strideW);
  const tapPanels = (k + MR - 1) / MR, outPanels = (columnsEach + NR - 1) / NR;
  // A row of sums for each tap, with room for whole panels of channels; where everything is packed, the sums lie in the gradient itself.
  const packed = packsTaps(columnsEach, wo);
  const sumRow = <usize>outPanels * 32, groupSums: usize = packed ? 0 : <usize>(tapPanels * MR) * sumRow;
  const spare = scratch, taps = spare + TILE_BYTES, sums = taps + floats(k + MR), columns = sums + <usize>groups * groupSums;
  const padded = columns + gradientBytes(columnsEach, ho, wo);
  listTaps(taps, each, kh, kw, rows, pitch, strideW, dilationH, dilationW);
  // The last panel's missing taps repeat the last tap; their sums are thrown away.
  for (let t = k; t < tapPanels * MR; t++) store<i32>(taps + (<usize>t << 2), load<i32>(taps + (<usize>(k - 1) << 2)));
  if (!packed) clear(sums, groups * tapPanels * outPanels * MR * NR);
  else if (n == 0 && isFirstShare()) clear(gradWeight, o * k);
  if (!plain) clear(padded, c * rows * pitch);
  const rowBytes = <usize>(strideH * pitch) << 2;
  // Sums run over images, so what is dealt out is panels of output channels.
  const firstPanel = shareStart(groups * outPanels), endPanel = shareEnd(groups * outPanels);
  if (firstPanel == endPanel) return;
  for (let image = 0; image < n; image++) {
    if (!plain) copyPadded(x, c, h, w, padded, rows, pitch, paddingH, paddingW, strideW);
    let patches = plain ? x : padded, sum = sums;
    for (let group = 0; group < groups; group++) {
      const first = max(0, firstPanel - group * outPanels), end = min(outPanels, endPanel - group * outPanels);
      if (packed) {
        const begin = NR * first, gradient = gradWeight + (<usize>(group * columnsEach * k) << 2);
        packedFilterGroup(image == 0, patches, gradY, gradient, taps, k, begin, min(columnsEach, NR * end), ho, wo, rowBytes, columns, spare);
      } else filterGroup(patches, gradY, sum, sumRow, taps, tapPanels, first, end, columnsEach, ho, wo, rowBytes, columns);
      patches += <usize>(each * rows * pitch) << 2;
      gradY += <usize>(columnsEach * positions) << 2;
      sum += groupSums;
    }
    x += <usize>(c * h * w) << 2;
  }
  if (packed) return;
  for (let group = 0; group < groups; group++) {
    for (let left = 0; left < columnsEach; left++) {
      const number = group * outPanels + left / NR;
      if (number < firstPanel || number >= endPanel) {
        gradWeight += <usize>k << 2;
        continue;
      }
      let sum = sums + <usize>group * groupSums + (<usize>left << 2);
      for (let t = 0; t < k; t++) {
        store<f32>(gradWeight, load<f32>(sum));
        sum += sumRow;
        gradWeight += 4;
      }
    }
  }
}

/** One image and group: adds the block sums of some panels of the `o` channels to the running sums, rows of which are taps and `sumRow` apart. */
function filterGroup(
  patches: usize, gradY: usize, sums: usize, sumRow: usize, taps: usize, tapPanels: i32, firstPanel: i32, endPanel: i32, o: i32, ho: i32, wo: i32,
  rowBytes: usize, columns: usize,
): void {
  const positions = ho * wo, jump = rowBytes - (<usize>wo << 2), blockRows = max(1, KC / wo);
  for (let left = NR * firstPanel; left < min(o, NR * endPanel); left += NR) {
    const gradient = gradY + (<usize>(left * positions) << 2), lanes = o - left;
    packTransposed(gradient, <usize>positions << 2, lanes, positions, columns, 32);
    if (lanes > 4) packTransposed(gradient + (<usize>positions << 4), <usize>positions << 2, lanes - 4, positions, columns + 16, 32);
    for (let row = 0; row < ho; row += blockRows) {
      const origin = patches + <usize>row * rowBytes, column = columns + <usize>(row * wo) * 32;
      const runs = min(blockRows, ho - row);
      for (let t = 0; t < tapPanels; t++) {
        const four = taps + (<usize>t << 4);
        tile(
          runs, wo, origin + load<usize>(four), origin + load<usize>(four, 4), origin + load<usize>(four, 8),
          origin + load<usize>(four, 12), 4, jump, column, 32, UPDATE, 1, 1, zeros, sums + (<usize>left << 2) + <usize>(t * MR) * sumRow, sumRow,
        );
      }
    }
  }
}
