// Convolution with its filters spread out: as many packed patches as the second cache holds, and four filters at a time in the first (spread.ts).
import { packPatches } from './image';
import { acrossPanels, NC, SPREAD_COLUMNS, spreadRows } from './spread';
import { SPREAD_STEP } from './spread-tile';
import { KC, MR, NR, STORE, UPDATE } from './tile';
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
      spreadRows(filter, aRow, aStep, height, steps, panel);
      acrossPanels(height, width, steps, panel, block, mode, 1, 1, start, result, toRow, spare);
      filter += quad;
      start += initialQuad;
      result += 4 * toRow;
    }
  }
}
