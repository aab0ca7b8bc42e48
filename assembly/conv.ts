// Two-dimensional convolution on NCHW, and its filter gradient. Contracts: kernels/conv.ts. The data gradient is in conv-data.ts.
// Each is a matrix product whose patches are never laid out. Forward and the data gradient take eight output positions at a time, and either read
// their patches in place, through a list of tap offsets, or pack them into a panel straight from the (padded) image. Along an output row the
// patches of a tap are adjacent floats: the filter gradient reads them in place, or packs them if it has many channels.
import { anyTapTile, anyTile, KC, MR, NR, STORE, tile, TILE_BYTES, UPDATE, zeros } from './tile';
import { clear, copyPadded, neighbours, packPatches } from './image';
import { packColumns } from './packing';
import { allFinite } from './lanes';
import { convolveLanes, suitsLanes } from './conv-lanes';
import { DIRECT_ROWS, gradientBytes, NC, packedFilterGroup, packedPositions, packsFilters, packsTaps, panelBytes } from './conv-packed';
import { check, floats, isAdjacent, isDepthwise, isPlain, listTaps, outputs, phasePitch } from './conv-shape';
import { depthwiseForward } from './depthwise';
import { depthwiseBackwardFilter } from './depthwise-filter';
import { ENDING_BYTES, finishLike, writeLikeEnding } from './ending';
import { filterLanes, suitsFilterLanes } from './filter-lanes';
import { NOTHING } from './product';
import { dealImages, isFirstShare, shareEnd, shares, shareStart } from './shares';

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
    packColumns(gradient, <usize>positions << 2, 4, min(NR, lanes), positions, columns, 32);
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
