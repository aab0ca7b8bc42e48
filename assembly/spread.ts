// Products with A spread out: four rows of a block of A become a panel in the first cache, each element repeated over a vector, and panels of B stream past
// it from the second. A step of the tile (spread-tile.ts) then takes 24 instructions instead of 31, which is what counts where 16 of them go through four ports in
// four cycles (AMD's Zen 3 and 4; docs/performance.md). Spreading costs four stores a step, which enough columns must pay for; the tile of the first eight
// makes them on its way. The sums are those of product.ts, in the same order. With wide tiles, convolutions come this way too, but rows lie side by side (wide.ts).
import { finish } from './ending';
import { packBlock, packedPanel } from './packing';
import { anySpreadTile, SPREAD_STEP, spreadingTile } from './spread-tile';
import { anyTile, KC, MR, NR, STORE, TILE_BYTES, UPDATE, zeros } from './tile';
import { wideAcross } from './wide';
import { wideTiles } from './wide-tile';

/** Columns of a block of B: KC x 512 floats are half a megabyte of second cache. */
// @ts-ignore: decorator
@inline
export const NC: i32 = 512;

/**
 * From this many columns on, spreading pays: 6 to 9 % at 24 columns, 3 to 5 % at 16 on Node 24, nothing there on Node 20, -3 % at 20; a filter gradient with so
 * many channels 3 %, with 16 -2 % (Zen 3).
 */
// @ts-ignore: decorator
@inline
export const SPREAD_COLUMNS: i32 = 24;

/** Spreads `rows` (1 to 4) rows of `steps` elements, `row` and `step` bytes apart; rows that are missing repeat the last. */
export function spreadRows(r0: usize, row: usize, step: usize, rows: i32, steps: i32, to: usize): void {
  let r1 = r0 + (rows > 1 ? row : 0);
  let r2 = r1 + (rows > 2 ? row : 0);
  let r3 = r2 + (rows > 3 ? row : 0);
  do {
    v128.store(to, v128.load32_splat(r0));
    v128.store(to, v128.load32_splat(r1), 16);
    v128.store(to, v128.load32_splat(r2), 32);
    v128.store(to, v128.load32_splat(r3), 48);
    r0 += step;
    r1 += step;
    r2 += step;
    r3 += step;
    to += SPREAD_STEP;
  } while (--steps);
}

/** `height` (1 to 4) rows by `width` columns of C: a spread panel of A by panels of eight columns, one after the other, `steps` each. */
export function acrossPanels(
  height: i32, width: i32, steps: i32, a: usize, b: usize, mode: i32, alpha: f32, beta: f32, initial: usize, c: usize, cRow: usize, spare: usize,
): void {
  for (; width > 0; width -= NR) {
    anySpreadTile(height, min(NR, width), steps, a, b, mode, alpha, beta, initial, c, cRow, spare);
    b += <usize>steps << 5;
    c += 32;
  }
}

/**
 * `acrossPanels` of rows that are not spread out yet: as in `spreadRows`, and then at `panel`. The first eight columns spread four rows on the way; for one or two
 * rows it does not pay.
 */
export function spreadAcross(
  height: i32, width: i32, steps: i32, a: usize, aRow: usize, aStep: usize, panel: usize, b: usize, mode: i32, alpha: f32, beta: f32, initial: usize,
  c: usize, cRow: usize, spare: usize,
): void {
  if (wideTiles()) {
    wideAcross(height, width, steps, a, aRow, aStep, panel, b, mode, alpha, beta, initial, c, cRow, spare);
    return;
  }
  if (height <= 2) {
    for (; width > 0; width -= NR) {
      anyTile(height, min(NR, width), steps, a, aRow, aStep, b, 32, mode, alpha, beta, initial, c, cRow, 4, spare);
      b += <usize>steps << 5;
      c += 32;
    }
    return;
  }
  if (height == MR && width >= NR) {
    spreadingTile(steps, a, aRow, aStep, panel, b, mode, alpha, beta, initial, c, cRow);
    width -= NR;
    b += <usize>steps << 5;
    c += 32;
  } else {
    spreadRows(a, aRow, aStep, height, steps, panel);
  }
  acrossPanels(height, width, steps, panel, b, mode, alpha, beta, initial, c, cRow, spare);
}

/** Some rows and columns of C: `blocks` of product.ts, which names the parameters, for a C that is not transposed. */
export function spreadBlocks(
  firstRow: i32, endRow: i32, firstColumn: i32, endColumn: i32, n: i32, k: i32, alpha: f32, a: usize, aRow: usize, aStep: usize,
  b: usize, bColumn: usize, bStep: usize, packed: usize, beta: f32, c: usize, cRow: usize, ending: usize, scratch: usize,
): void {
  const spare = scratch, aPanel = spare + TILE_BYTES, bBlock = aPanel + <usize>KC * SPREAD_STEP;
  for (let left = firstColumn; left < endColumn; left += NC) {
    const width = min(NC, endColumn - left);
    for (let from = 0; from < k; from += KC) {
      const steps = min(KC, k - from), mode = from == 0 && beta == 0 ? STORE : UPDATE;
      const factor: f32 = from == 0 ? beta : 1;
      const panels = packed ? packedPanel(packed, n, from, left, steps) : bBlock;
      if (!packed) packBlock(b + <usize>left * bColumn + <usize>from * bStep, bColumn, bStep, width, steps, bBlock);
      for (let row = firstRow; row < endRow; row += MR) {
        const height = min(MR, endRow - row);
        const rows = a + <usize>row * aRow + <usize>from * aStep, at = c + <usize>row * cRow + (<usize>left << 2);
        spreadAcross(height, width, steps, rows, aRow, aStep, aPanel, panels, mode, alpha, factor, zeros, at, cRow, spare);
        if (ending && from + steps == k) finish(ending, row, left, height, width, at, cRow);
      }
    }
  }
}
