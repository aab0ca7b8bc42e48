// Convolution with its filters spread out: as many packed patches as the second cache holds, and four filters at a time in the first (spread.ts). And the filter
// gradient, whose rows are taps of the image.
import { packPatches } from './image';
import { packColumns } from './packing';
import { acrossPanels, NC, SPREAD_COLUMNS, spreadAcross, spreadFour } from './spread';
import { SPREAD_STEP } from './spread-tile';
import { KC, MR, NR, STORE, UPDATE, zeros } from './tile';
import { wideTiles } from './wide-tile';

/** Up to this many rows of a result (channels), patches are read in place where they can be: at 8 rows that is 10 % faster, at 12 7 to 14 % slower (Zen 3). */
// @ts-ignore: decorator
@inline
export const DIRECT_ROWS: i32 = 11;

/** Whether there are patches to pack, and enough positions to pay for spreading. */
// @ts-ignore: decorator
@inline
function paysSpreading(rows: i32, positions: i32): bool {
  return rows > DIRECT_ROWS && positions >= SPREAD_COLUMNS;
}

/** Whether filters are spread out. */
// @ts-ignore: decorator
@inline
export function spreadsFilters(rows: i32, positions: i32): bool {
  return paysSpreading(rows, positions) && !wideTiles();
}

/**
 * Bytes for packed patches: one panel, or a spread panel of filters and all panels that stay in the second cache. As
 * kernels/conv-sizes.ts has it, which knows nothing of wide tiles.
 */
// @ts-ignore: decorator
@inline
export function panelBytes(rows: i32, positions: i32): usize {
  if (!paysSpreading(rows, positions)) return <usize>(KC * NR) << 2;
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

/** From this many channels of a gradient on, spreading taps pays: 10 to 20 % at 48, nothing at 32, -7 % at 24 (Zen 3). They are spread by a pass of their own. */
// @ts-ignore: decorator
@inline
const SPREAD_CHANNELS: i32 = 48;

/** Whether so many channels of a gradient, in rows of `wo`, pay for spreading taps. */
// @ts-ignore: decorator
@inline
function paysSpreadingTaps(channels: i32, wo: i32): bool {
  return channels >= SPREAD_CHANNELS && wo <= KC;
}

/** Whether the taps of a filter gradient are spread out. */
// @ts-ignore: decorator
@inline
export function spreadsTaps(channels: i32, wo: i32): bool {
  return paysSpreadingTaps(channels, wo) && !wideTiles();
}

/** Bytes for a packed gradient of ho x wo: eight channels, or a spread panel of taps and a block of all channels. As kernels/conv-sizes.ts has it. */
// @ts-ignore: decorator
@inline
export function gradientBytes(channels: i32, ho: i32, wo: i32): usize {
  const eight = <usize>(ho * wo) << 5;
  return paysSpreadingTaps(channels, wo) ? max(eight, <usize>KC * SPREAD_STEP + <usize>((channels + NR - 1) / NR * KC) * 32) : eight;
}

/** `filterGroup` of conv.ts, which names the parameters, with taps spread out. */
export function spreadFilterGroup(
  patches: usize, gradY: usize, sums: usize, sumRow: usize, taps: usize, tapPanels: i32, firstPanel: i32, endPanel: i32, o: i32, ho: i32, wo: i32,
  rowBytes: usize, panel: usize,
): void {
  // Another share's group.
  if (firstPanel >= endPanel) return;
  const plane = <usize>(ho * wo) << 2, blockRows = KC / wo, block = panel + <usize>KC * SPREAD_STEP, first = NR * firstPanel;
  gradY += <usize>first * plane;
  for (let row = 0; row < ho; row += blockRows) {
    const runs = min(blockRows, ho - row), steps = runs * wo;
    let gradient = gradY + (<usize>(row * wo) << 2), to = block;
    for (let left = min(o, NR * endPanel) - first; left > 0; left -= NR) {
      packColumns(gradient, plane, 4, min(NR, left), steps, to, 32);
      gradient += <usize>NR * plane;
      to += <usize>steps << 5;
    }
    let sum = sums + (<usize>first << 2);
    for (let t = 0; t < tapPanels; t++) {
      const four = taps + (<usize>t << 4);
      let origin = patches + <usize>row * rowBytes, spread = panel;
      for (let run = 0; run < runs; run++) {
        spreadFour(
          origin + load<usize>(four), origin + load<usize>(four, 4), origin + load<usize>(four, 8), origin + load<usize>(four, 12), 4, wo, spread,
        );
        origin += rowBytes;
        spread += <usize>wo * SPREAD_STEP;
      }
      // Whole tiles: the rows of sums have room for the last one.
      acrossPanels(MR, NR * (endPanel - firstPanel), steps, panel, block, UPDATE, 1, 1, zeros, sum, sumRow, panel);
      sum += <usize>MR * sumRow;
    }
  }
}
