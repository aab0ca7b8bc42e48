// Products in wide tiles (wide-tile.ts) with both operands packed: a block of A stays in the second cache, two panels of B in the first. The sums are those of
// product.ts, in the same order.
import { finish } from './ending';
import { packBlock, packedPanel, packRows } from './packing';
import { anyTile, KC, MR, NR, STORE, TILE_BYTES, UPDATE, zeros } from './tile';
import { widePackedTile, wideTiles } from './wide-tile';

/** Rows of A in a block: 512 x 256 floats are half a megabyte. 256 to 1024 rows are within 3 % (Zen 3, n = 512 to 1536). */
// @ts-ignore: decorator
@inline
const MC: i32 = 512;

/** Columns of B that are packed together: 64 are up to 20 % slower in products of 16 to 64 rows by 1024 x 1024, 512 are no faster (Zen 3). */
// @ts-ignore: decorator
@inline
const NC: i32 = 256;

/** From this many columns on, packing A pays: even at 48, 10 % faster at 64 rows by 96 columns (Zen 3). */
// @ts-ignore: decorator
@inline
const WIDE_COLUMNS: i32 = 48;

/** Up to this many rows, B is read where it lies, if it can be: to pack it costs 4 % at 64 x 64 x 64, 15 % at 16 x 128 x 128. */
// @ts-ignore: decorator
@inline
const DIRECT_ROWS: i32 = 64;

/** A B of more elements, a megabyte, is read from memory: packed in the order in which it lies there, it is up to 40 % faster at 16 rows. */
// @ts-ignore: decorator
@inline
const LARGE_B: i64 = 1 << 18;

/** Whether both operands are packed, for wide tiles. */
export function packsWide(m: i32, n: i32, k: i32, bColumn: usize, packed: usize): bool {
  if (!wideTiles() || m < MR || n < 2 * NR) return false;
  if (packed) return true;
  if (n < WIDE_COLUMNS) return false;
  return m > DIRECT_ROWS || (bColumn == 4 ? m >= 8 && <i64>n * k > LARGE_B : m >= 16);
}

/** `rows` rows by at most eight columns of C: a block of A by one panel of B. */
function onePanel(
  rows: i32, columns: i32, steps: i32, a: usize, b: usize, mode: i32, alpha: f32, beta: f32, c: usize, cRow: usize, spare: usize,
): void {
  for (; rows > 0; rows -= MR) {
    anyTile(min(MR, rows), columns, steps, a, 4, 16, b, 32, mode, alpha, beta, zeros, c, cRow, 4, spare);
    a += <usize>steps << 4;
    c += 4 * cRow;
  }
}

/** `rows` rows by `columns` columns of C: a block of A, in panels of four rows, by a block of B, in panels of eight columns, two at a time. */
function blockByBlock(
  rows: i32, columns: i32, steps: i32, a: usize, b: usize, mode: i32, alpha: f32, beta: f32, c: usize, cRow: usize, spare: usize,
): void {
  const panel = <usize>steps << 5;
  for (; columns >= 2 * NR; columns -= 2 * NR) {
    let left = rows, at = a, to = c;
    for (; left >= MR; left -= MR) {
      widePackedTile(steps, at, b, b + panel, mode, alpha, beta, zeros, to, cRow);
      at += <usize>steps << 4;
      to += 4 * cRow;
    }
    onePanel(left, NR, steps, at, b, mode, alpha, beta, to, cRow, spare);
    onePanel(left, NR, steps, at, b + panel, mode, alpha, beta, to + 32, cRow, spare);
    b += 2 * panel;
    c += 64;
  }
  for (; columns > 0; columns -= NR) {
    onePanel(rows, min(NR, columns), steps, a, b, mode, alpha, beta, c, cRow, spare);
    b += panel;
    c += 32;
  }
}

/** Four rows that are packed at `a` by `width` columns of C: panels of B, one after the other. */
export function packedAcross(
  width: i32, steps: i32, a: usize, b: usize, mode: i32, alpha: f32, beta: f32, initial: usize, c: usize, cRow: usize, spare: usize,
): void {
  const panel = <usize>steps << 5;
  for (; width >= 2 * NR; width -= 2 * NR) {
    widePackedTile(steps, a, b, b + panel, mode, alpha, beta, initial, c, cRow);
    b += 2 * panel;
    c += 64;
  }
  for (; width > 0; width -= NR) {
    anyTile(MR, min(NR, width), steps, a, 4, 16, b, 32, mode, alpha, beta, initial, c, cRow, 4, spare);
    b += panel;
    c += 32;
  }
}

/** `spreadAcross` of spread.ts, which names the parameters, in wide tiles: rows of A lie at `panel` side by side, unless they do so already. */
export function wideAcross(
  height: i32, width: i32, steps: i32, a: usize, aRow: usize, aStep: usize, panel: usize, b: usize, mode: i32, alpha: f32, beta: f32, initial: usize,
  c: usize, cRow: usize, spare: usize,
): void {
  if (height == MR) {
    if (aRow != 4 || aStep != 16) {
      packRows(a, aRow, aStep, MR, steps, panel);
      a = panel;
    }
    packedAcross(width, steps, a, b, mode, alpha, beta, initial, c, cRow, spare);
    return;
  }
  for (; width > 0; width -= NR) {
    anyTile(height, min(NR, width), steps, a, aRow, aStep, b, 32, mode, alpha, beta, initial, c, cRow, 4, spare);
    b += <usize>steps << 5;
    c += 32;
  }
}

/** Some rows and columns of C: `blocks` of product.ts, which names the parameters, for a C that is not transposed. */
export function wideBlocks(
  firstRow: i32, endRow: i32, firstColumn: i32, endColumn: i32, n: i32, k: i32, alpha: f32, a: usize, aRow: usize, aStep: usize,
  b: usize, bColumn: usize, bStep: usize, packed: usize, beta: f32, c: usize, cRow: usize, ending: usize, scratch: usize,
): void {
  const spare = scratch, aBlock = spare + TILE_BYTES;
  const bBlock = aBlock + (<usize>(min(MC, (endRow - firstRow + MR - 1) & -MR) * min(k, KC)) << 2);
  for (let top = firstRow; top < endRow; top += MC) {
    const height = min(MC, endRow - top);
    for (let from = 0; from < k; from += KC) {
      const steps = min(KC, k - from), mode = from == 0 && beta == 0 ? STORE : UPDATE;
      const factor: f32 = from == 0 ? beta : 1;
      packRows(a + <usize>top * aRow + <usize>from * aStep, aRow, aStep, height, steps, aBlock);
      for (let left = firstColumn; left < endColumn; left += NC) {
        const width = min(NC, endColumn - left), at = c + <usize>top * cRow + (<usize>left << 2);
        const panels = packed ? packedPanel(packed, n, from, left, steps) : bBlock;
        if (!packed) packBlock(b + <usize>left * bColumn + <usize>from * bStep, bColumn, bStep, width, steps, bBlock);
        blockByBlock(height, width, steps, aBlock, panels, mode, alpha, factor, at, cRow, spare);
        if (ending && from + steps == k) finish(ending, top, left, height, width, at, cRow);
      }
    }
  }
}
