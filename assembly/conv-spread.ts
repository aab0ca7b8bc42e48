// Convolution with its filters spread out: as many packed patches as the second cache holds, and four filters at a time in the first (spread.ts). And the filter
// gradient, whose rows are taps of the image.
import { packPatches } from './image';
import { packColumns, packStreams } from './packing';
import { acrossPanels, NC, SPREAD_COLUMNS, spreadAcross } from './spread';
import { SPREAD_STEP, spreadingTapTile } from './spread-tile';
import { KC, MR, NR, STORE, UPDATE, zeros } from './tile';
import { packedAcross } from './wide';
import { wideTiles } from './wide-tile';

/** Up to this many rows of a result (channels), patches are read in place where they can be: at 8 rows that is 10 % faster, at 12 7 to 14 % slower (Zen 3). */
// @ts-ignore: decorator
@inline
export const DIRECT_ROWS: i32 = 11;

/** Whether filters are spread out: there are patches to pack, and enough positions to pay for it. */
// @ts-ignore: decorator
@inline
export function spreadsFilters(rows: i32, positions: i32): bool {
  return rows > DIRECT_ROWS && positions >= SPREAD_COLUMNS;
}

/** Bytes for packed patches: one panel, or a spread panel of filters and all panels that stay in the second cache. As kernels/conv-sizes.ts has it. */
// @ts-ignore: decorator
@inline
export function panelBytes(rows: i32, positions: i32): usize {
  if (!spreadsFilters(rows, positions)) return <usize>(KC * NR) << 2;
  return <usize>KC * SPREAD_STEP + (<usize>(KC * min(NC, (positions + NR - 1) & ~(NR - 1))) << 2);
}

/**
 * `rows` filters of `k` taps over `width` (at most NC) positions from `q` on, filters spread out (spread.ts). Filter r begins at `a` + r / 4 * `quad` + r % 4 * `aRow`,
 * its taps are `aStep` apart; its results start from the float at `initial`, which for the next four lies `initialQuad` bytes on.
 */
export function spreadPositions(
  patches: usize, q: i32, width: i32, positions: i32, columns: i32, rowBytes: usize, taps: usize, a: usize, quad: usize, aRow: usize, aStep: usize, k: i32, rows: i32,
  initial: usize, initialQuad: usize, to: usize, toRow: usize, panel: usize, spare: usize,
): void {
  const block = panel + <usize>KC * SPREAD_STEP;
  for (let from = 0; from < k; from += KC) {
    const steps = min(KC, k - from), mode = from == 0 ? STORE : UPDATE, list = taps + (<usize>from << 2);
    for (let at = 0; at < width; at += NR) {
      packPatches(patches, q + at, positions, columns, rowBytes, list, steps, block + <usize>(at * steps) * 4);
    }
    let filter = a + <usize>from * aStep, start = initial, result = to + (<usize>q << 2);
    for (let row = 0; row < rows; row += MR) {
      const height = min(MR, rows - row);
      spreadAcross(height, width, steps, filter, aRow, aStep, panel, block, mode, 1, 1, start, result, toRow, spare);
      filter += quad;
      start += initialQuad;
      result += 4 * toRow;
    }
  }
}

/** Whether the taps of a filter gradient are spread out: so many channels, in rows of `wo`, pay for it. */
// @ts-ignore: decorator
@inline
export function spreadsTaps(channels: i32, wo: i32): bool {
  return channels >= SPREAD_COLUMNS && wo <= KC;
}

/** Bytes for a packed gradient of ho x wo: eight channels, or a spread panel of taps, a list of its steps and a block of all channels. As kernels/conv-sizes.ts has it. */
// @ts-ignore: decorator
@inline
export function gradientBytes(channels: i32, ho: i32, wo: i32): usize {
  const eight = <usize>(ho * wo) << 5;
  return spreadsTaps(channels, wo) ? max(eight, <usize>KC * (SPREAD_STEP + 4) + <usize>((channels + NR - 1) / NR * KC) * 32) : eight;
}

/** `filterGroup` of conv.ts, which names the parameters, with taps spread out. */
export function spreadFilterGroup(
  patches: usize, gradY: usize, sums: usize, sumRow: usize, taps: usize, tapPanels: i32, firstPanel: i32, endPanel: i32, o: i32, ho: i32, wo: i32,
  rowBytes: usize, panel: usize,
): void {
  // Another share's group.
  if (firstPanel >= endPanel) return;
  const plane = <usize>(ho * wo) << 2, blockRows = KC / wo, first = NR * firstPanel, across = NR * (endPanel - firstPanel - 1);
  const list = panel + <usize>KC * SPREAD_STEP, block = list + (<usize>KC << 2);
  // How far the steps of a block lie from the first.
  for (let row = 0; row < min(blockRows, ho); row++) {
    for (let column = 0; column < wo; column++) store<usize>(list + (<usize>(row * wo + column) << 2), <usize>row * rowBytes + (<usize>column << 2));
  }
  gradY += <usize>first * plane;
  for (let row = 0; row < ho; row += blockRows) {
    const count = min(blockRows, ho - row), steps = count * wo, origin = patches + <usize>row * rowBytes;
    let gradient = gradY + (<usize>(row * wo) << 2), to = block;
    for (let left = min(o, NR * endPanel) - first; left > 0; left -= NR) {
      packColumns(gradient, plane, 4, min(NR, left), steps, to, 32);
      gradient += <usize>NR * plane;
      to += <usize>steps << 5;
    }
    let sum = sums + (<usize>first << 2), four = taps;
    for (let t = 0; t < tapPanels; t++) {
      // Whole tiles: the rows of sums have room for the last one.
      const r0 = origin + load<usize>(four), r1 = origin + load<usize>(four, 4), r2 = origin + load<usize>(four, 8), r3 = origin + load<usize>(four, 12);
      if (wideTiles()) {
        for (let y = 0; y < count; y++) {
          const from = <usize>y * rowBytes;
          packStreams(r0 + from, r1 + from, r2 + from, r3 + from, wo, panel + (<usize>(y * wo) << 4), 16);
        }
        packedAcross(across + NR, steps, panel, block, UPDATE, 1, 1, zeros, sum, sumRow, panel);
      } else {
        spreadingTapTile(steps, r0, r1, r2, r3, list, panel, block, sum, sumRow);
        acrossPanels(MR, across, steps, panel, block + (<usize>steps << 5), UPDATE, 1, 1, zeros, sum + 32, sumRow, panel);
      }
      four += 16;
      sum += <usize>MR * sumRow;
    }
  }
}
