// Convolutions with both operands packed (packed.ts): as many patches as the second cache holds, and four filters at a time; the same for a phase of a strided data
// gradient, whose pixels lie apart; and the filter gradient, whose rows are channels of gradY and whose columns are taps of the image.
import { packPatches } from './image';
import { ROWS_STEP } from './packed-tile';
import { blockByBlock, MC, PACKED_COLUMNS, rowsAcross } from './packed';
import { packRows, packStreams } from './packing';
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

/** Panels of the patches of `width` positions from `q` on, one after the other at `to`. */
// @ts-ignore: decorator
@inline
function packPanels(patches: usize, q: i32, width: i32, positions: i32, columns: i32, rowBytes: usize, taps: usize, steps: i32, to: usize): void {
  for (let at = 0; at < width; at += NR) {
    packPatches(patches, q + at, positions, columns, rowBytes, taps, steps, to + (<usize>(at * steps) << 2));
  }
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
    packPanels(patches, q, width, positions, columns, rowBytes, list, steps, block);
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

/** Bytes for a phase of a strided data gradient: the sums of four rows, and the panels. As kernels/conv-sizes.ts has it. */
// @ts-ignore: decorator
@inline
export function phaseBytes(positions: i32): usize {
  return <usize>(NC * MR << 2) + (<usize>(KC * min(NC, (positions + NR - 1) & ~(NR - 1))) << 2);
}

/** `count` sums of `sums` into (STORE) or onto (UPDATE) floats `step` bytes apart. Exactly, as `anyTile` says. */
// @ts-ignore: decorator
@inline
function scatterRun(mode: i32, sums: usize, count: i32, to: usize, step: usize): void {
  if (mode == STORE) {
    for (; count > 0; count--) {
      store<f32>(to, load<f32>(sums));
      sums += 4;
      to += step;
    }
    return;
  }
  for (; count > 0; count--) {
    store<f32>(to, load<f32>(to) + load<f32>(sums));
    sums += 4;
    to += step;
  }
}

/**
 * `packedPositions` of all positions of a phase of a data gradient, with filters in panels of four rows, for results that lie apart: position (y, x) of row r at
 * `to` + r * `toRow` + y * `toLine` + x * `toPixel`.
 */
export function scatteredPositions(
  patches: usize, positions: i32, columns: i32, rowBytes: usize, taps: usize, filter: usize, k: i32, rows: i32,
  to: usize, toRow: usize, toLine: usize, toPixel: usize, panel: usize, spare: usize,
): void {
  const sums = panel, block = panel + <usize>(NC * MR << 2), sumRow = <usize>NC << 2;
  // Rows of patches without a gap between them (1x1 filters) are one row.
  const across = rowBytes == <usize>columns << 2 ? positions : columns;
  for (let q = 0; q < positions; q += NC) {
    const width = min(NC, positions - q), line = q / columns, column = q - line * columns;
    for (let from = 0; from < k; from += KC) {
      const steps = min(KC, k - from), mode = from == 0 ? STORE : UPDATE, list = taps + (<usize>from << 2);
      packPanels(patches, q, width, positions, across, rowBytes, list, steps, block);
      let four = filter + <usize>from * ROWS_STEP, plane = to + <usize>line * toLine;
      for (let row = 0; row < rows; row += MR) {
        const height = min(MR, rows - row);
        rowsAcross(height, width, steps, four, 4, ROWS_STEP, 0, block, STORE, 1, 0, zeros, sums, sumRow, spare);
        for (let r = 0; r < height; r++) {
          let sum = sums + <usize>r * sumRow, pixels = plane, first = column;
          for (let left = width; left > 0; ) {
            const run = min(left, columns - first);
            scatterRun(mode, sum, run, pixels + <usize>first * toPixel, toPixel);
            sum += <usize>run << 2;
            pixels += toLine;
            left -= run;
            first = 0;
          }
          plane += toRow;
        }
        four += <usize>k * ROWS_STEP;
      }
    }
  }
}

/** Whether the gradients and taps of a filter gradient are packed: so many channels, in rows of `wo`, pay for it. */
// @ts-ignore: decorator
@inline
export function packsTaps(channels: i32, wo: i32): bool {
  return channels >= PACKED_COLUMNS && wo <= KC;
}

/** Bytes for a packed gradient of ho x wo: eight channels of all of it, or a block of rows of up to MC channels and two panels of taps. As kernels/conv-sizes.ts has it. */
// @ts-ignore: decorator
@inline
export function gradientBytes(channels: i32, ho: i32, wo: i32): usize {
  if (!packsTaps(channels, wo)) return <usize>(ho * wo) << 5;
  return <usize>(KC * (min(MC, (channels + MR - 1) & -MR) + 2 * NR)) << 2;
}

/** A column panel of 1 to 8 taps (byte offsets at `taps`, four of which must be there for four to read): `rows` rows of `wo` positions, one after the other. */
function packTaps(origin: usize, taps: usize, count: i32, rows: i32, wo: i32, rowBytes: usize, to: usize): void {
  for (; count > 0; count -= 4) {
    const t0 = load<usize>(taps), t1 = load<usize>(taps, 4), t2 = load<usize>(taps, 8), t3 = load<usize>(taps, 12);
    let from = origin, at = to;
    for (let y = 0; y < rows; y++) {
      packStreams(from + t0, from + t1, from + t2, from + t3, wo, at, 32);
      from += rowBytes;
      at += <usize>wo << 5;
    }
    taps += 16;
    to += 16;
  }
}

/**
 * The filter gradient of one image and group, with everything packed: the block sums of channels `begin` to before `end` are added to rows of `k` taps at
 * `gradient`, or stored if they are the `first`. A channel's plane of gradY is a row of A, taps are columns of B, and positions the steps.
 */
export function packedFilterGroup(
  first: bool, patches: usize, gradY: usize, gradient: usize, taps: usize, k: i32, begin: i32, end: i32, ho: i32, wo: i32, rowBytes: usize, panel: usize,
  spare: usize,
): void {
  const plane = <usize>(ho * wo) << 2, gradientRow = <usize>k << 2, blockRows = KC / wo, block = panel + <usize>(2 * KC * NR << 2);
  for (let row = 0; row < ho; row += blockRows) {
    const rows = min(blockRows, ho - row), steps = rows * wo, origin = patches + <usize>row * rowBytes;
    const mode = first && row == 0 ? STORE : UPDATE, from = gradY + (<usize>(row * wo) << 2);
    // Rows without a gap between them are one.
    const whole = rowBytes == <usize>wo << 2;
    for (let top = begin; top < end; top += MC) {
      const channels = min(MC, end - top);
      packRows(from + <usize>top * plane, plane, 4, channels, steps, block);
      for (let t = 0; t < k; t += 2 * NR) {
        const width = min(2 * NR, k - t), list = taps + (<usize>t << 2);
        packTaps(origin, list, min(NR, width), whole ? 1 : rows, whole ? steps : wo, rowBytes, panel);
        packTaps(origin, list + (NR << 2), width - NR, whole ? 1 : rows, whole ? steps : wo, rowBytes, panel + <usize>(steps << 5));
        blockByBlock(channels, width, steps, block, panel, mode, 1, 1, gradient + <usize>top * gradientRow + (<usize>t << 2), gradientRow, spare);
      }
    }
  }
}
