// Convolutions with both operands packed (packed.ts): as many patches as the second cache holds, and four filters at a time. And the filter gradient, whose rows
// are taps of the image.
import { packPatches } from './image';
import { ROWS_STEP } from './packed-tile';
import { fourRowsAcross, PACKED_COLUMNS, rowsAcross } from './packed';
import { packColumns, packStreams } from './packing';
import { KC, MR, NR, STORE, UPDATE, zeros } from './tile';

/** Positions whose patches are packed together: KC x 512 floats are half a megabyte of second cache. */
// @ts-ignore: decorator
@inline
export const NC: i32 = 512;

/** Up to this many rows of a result (channels), patches are read in place where they can be: at 8 rows that is 10 % faster, at 12 7 to 14 % slower (Zen 3). */
// @ts-ignore: decorator
@inline
export const DIRECT_ROWS: i32 = 11;

/** Whether filters and patches are packed: there are patches to pack, and enough positions to pay for packing filters. */
// @ts-ignore: decorator
@inline
export function packsFilters(rows: i32, positions: i32): bool {
  return rows > DIRECT_ROWS && positions >= PACKED_COLUMNS;
}

/** Bytes for packed patches: one panel, or a panel of four filters and all panels that stay in the second cache. As kernels/conv-sizes.ts has it. */
// @ts-ignore: decorator
@inline
export function panelBytes(rows: i32, positions: i32): usize {
  if (!packsFilters(rows, positions)) return <usize>(KC * NR) << 2;
  return <usize>KC * ROWS_STEP + (<usize>(KC * min(NC, (positions + NR - 1) & ~(NR - 1))) << 2);
}

/**
 * `rows` filters of `k` taps over `width` (at most NC) positions from `q` on, both packed. Filter r begins at `a` + r / 4 * `quad` + r % 4 * `aRow`,
 * its taps are `aStep` apart; its results start from the float at `initial`, which for the next four lies `initialQuad` bytes on.
 */
export function packedPositions(
  patches: usize, q: i32, width: i32, positions: i32, columns: i32, rowBytes: usize, taps: usize, a: usize, quad: usize, aRow: usize, aStep: usize, k: i32, rows: i32,
  initial: usize, initialQuad: usize, to: usize, toRow: usize, panel: usize, spare: usize,
): void {
  const block = panel + <usize>KC * ROWS_STEP;
  for (let from = 0; from < k; from += KC) {
    const steps = min(KC, k - from), mode = from == 0 ? STORE : UPDATE, list = taps + (<usize>from << 2);
    for (let at = 0; at < width; at += NR) {
      packPatches(patches, q + at, positions, columns, rowBytes, list, steps, block + <usize>(at * steps) * 4);
    }
    let filter = a + <usize>from * aStep, start = initial, result = to + (<usize>q << 2);
    for (let row = 0; row < rows; row += MR) {
      const height = min(MR, rows - row);
      rowsAcross(height, width, steps, filter, aRow, aStep, panel, block, mode, 1, 1, start, result, toRow, spare);
      filter += quad;
      start += initialQuad;
      result += 4 * toRow;
    }
  }
}

/** Whether the taps of a filter gradient are packed: so many channels, in rows of `wo`, pay for it. */
// @ts-ignore: decorator
@inline
export function packsTaps(channels: i32, wo: i32): bool {
  return channels >= PACKED_COLUMNS && wo <= KC;
}

/** Bytes for a packed gradient of ho x wo: eight channels, or a panel of four taps and a block of all channels. As kernels/conv-sizes.ts has it. */
// @ts-ignore: decorator
@inline
export function gradientBytes(channels: i32, ho: i32, wo: i32): usize {
  const eight = <usize>(ho * wo) << 5;
  return packsTaps(channels, wo) ? max(eight, <usize>KC * ROWS_STEP + <usize>((channels + NR - 1) / NR * KC) * 32) : eight;
}

/** `filterGroup` of conv.ts, which names the parameters, with taps packed. */
export function packedFilterGroup(
  patches: usize, gradY: usize, sums: usize, sumRow: usize, taps: usize, tapPanels: i32, firstPanel: i32, endPanel: i32, o: i32, ho: i32, wo: i32,
  rowBytes: usize, panel: usize,
): void {
  // Another share's group.
  if (firstPanel >= endPanel) return;
  const plane = <usize>(ho * wo) << 2, blockRows = KC / wo, first = NR * firstPanel, width = NR * (endPanel - firstPanel);
  const block = panel + <usize>KC * ROWS_STEP;
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
      const t0 = load<usize>(four), t1 = load<usize>(four, 4), t2 = load<usize>(four, 8), t3 = load<usize>(four, 12);
      for (let y = 0; y < count; y++) {
        const from = origin + <usize>y * rowBytes;
        packStreams(from + t0, from + t1, from + t2, from + t3, wo, panel + <usize>(y * wo) * ROWS_STEP, ROWS_STEP);
      }
      // Whole tiles: the rows of sums have room for the last one.
      fourRowsAcross(width, steps, panel, block, UPDATE, 1, 1, zeros, sum, sumRow, panel);
      four += 16;
      sum += <usize>MR * sumRow;
    }
  }
}
