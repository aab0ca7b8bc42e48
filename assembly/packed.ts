// Both operands packed: of each step of k, four rows of A side by side, and eight columns of B. A block of A stays in the second cache, and a panel of B
// in the first while all rows of A pass it. The sums are those of product.ts, in the same order.
import { finish } from './ending';
import { packBlock, packedPanel, packRows } from './packing';
import { packedTile, ROWS_STEP } from './packed-tile';
import { tallTiles } from './tall-tile';
import { anyTile, KC, MR, NR, STORE, TILE_BYTES, UPDATE, zeros } from './tile';
import { widePackedTile, wideTiles } from './wide-tile';

/** Rows of A in a block: 512 x 256 floats are half a megabyte of second cache. 256 to 1024 rows are within 3 % (Zen 3, n = 512 to 1536), 128 4 % slower (Zen 5). */
// @ts-ignore: decorator
@inline
export const MC: i32 = 512;

/**
 * Columns of a large B that are packed together for few rows: 64 are up to 20 % slower in products of 16 to 64 rows by 1024 x 1024, 512 no faster (Zen 3). Else it
 * is two panels, which stay in the first cache from when they are packed: 2 to 3 % faster at 64 x 64 x 64 and n = 256.
 */
// @ts-ignore: decorator
@inline
const NC: i32 = 256;

/** Up to so many rows are few. */
// @ts-ignore: decorator
@inline
const FEW_ROWS: i32 = 64;

/** From this many columns on, packing A pays; as many channels of a filter gradient, or positions of a convolution, do. */
// @ts-ignore: decorator
@inline
export const PACKED_COLUMNS: i32 = 24;

/** The same for wide tiles, which lose less if rows lie apart: even at 48 columns, 10 % faster at 64 rows by 96 (Zen 3). */
// @ts-ignore: decorator
@inline
const WIDE_COLUMNS: i32 = 48;

/** From this many rows on, packing B pays: at 12, up to 40 % faster on Zen 3, and even at worst; at 8, 20 % slower where B is transposed, 6 % where it lies in the caches. */
// @ts-ignore: decorator
@inline
const PACKED_ROWS: i32 = 12;

/** The same for wide tiles, where columns of B are contiguous (4 % slower at 64 x 64 x 64, 15 % at 16 x 128 x 128), and where they are not. */
// @ts-ignore: decorator
@inline
const WIDE_ROWS: i32 = 65;

// @ts-ignore: decorator
@inline
const WIDE_ROWS_TRANSPOSED: i32 = 16;

/** A B of more elements, a megabyte, is read from memory: packed in the order in which it lies there, it is up to 60 % faster at 4 and 8 rows. */
// @ts-ignore: decorator
@inline
const LARGE_B: i64 = 1 << 18;

// @ts-ignore: decorator
@inline
function isLarge(n: i32, k: i32): bool {
  return <i64>n * k > LARGE_B;
}

/** Whether both operands are packed. Tall tiles have enough to do for each instruction on addresses. */
export function packsBoth(m: i32, n: i32, k: i32, bColumn: usize, packed: usize): bool {
  const wide = wideTiles();
  if (tallTiles() || m < MR || n < (wide && !packed ? WIDE_COLUMNS : PACKED_COLUMNS)) return false;
  if (packed || m >= (!wide ? PACKED_ROWS : bColumn == 4 ? WIDE_ROWS : WIDE_ROWS_TRANSPOSED)) return true;
  return bColumn == 4 && isLarge(n, k) && m >= (wide ? 2 * MR : MR);
}

/** `rows` packed rows by at most eight columns of C: a block of A by one panel of B. */
function onePanel(
  rows: i32, columns: i32, steps: i32, a: usize, b: usize, mode: i32, alpha: f32, beta: f32, c: usize, cRow: usize, spare: usize,
): void {
  const four = <usize>steps * ROWS_STEP;
  if (columns == NR) {
    for (; rows >= MR; rows -= MR) {
      packedTile(steps, a, b, mode, alpha, beta, zeros, c, cRow);
      a += four;
      c += 4 * cRow;
    }
  }
  for (; rows > 0; rows -= MR) {
    anyTile(min(MR, rows), columns, steps, a, 4, ROWS_STEP, b, 32, mode, alpha, beta, zeros, c, cRow, 4, spare);
    a += four;
    c += 4 * cRow;
  }
}

/** `rows` rows by `columns` columns of C: a block of A, in panels of four rows, by a block of B, in panels of eight columns. */
export function blockByBlock(
  rows: i32, columns: i32, steps: i32, a: usize, b: usize, mode: i32, alpha: f32, beta: f32, c: usize, cRow: usize, spare: usize,
): void {
  const panel = <usize>steps << 5;
  if (wideTiles()) {
    for (; columns >= 2 * NR; columns -= 2 * NR) {
      let left = rows, at = a, to = c;
      for (; left >= MR; left -= MR) {
        widePackedTile(steps, at, b, b + panel, mode, alpha, beta, zeros, to, cRow);
        at += <usize>steps * ROWS_STEP;
        to += 4 * cRow;
      }
      onePanel(left, NR, steps, at, b, mode, alpha, beta, to, cRow, spare);
      onePanel(left, NR, steps, at, b + panel, mode, alpha, beta, to + 32, cRow, spare);
      b += 2 * panel;
      c += 64;
    }
  }
  for (; columns > 0; columns -= NR) {
    onePanel(rows, min(NR, columns), steps, a, b, mode, alpha, beta, c, cRow, spare);
    b += panel;
    c += 32;
  }
}

/** Some rows and columns of C: `blocks` of product.ts, which names the parameters, for a C that is not transposed. */
export function packedBlocks(
  firstRow: i32, endRow: i32, firstColumn: i32, endColumn: i32, n: i32, k: i32, alpha: f32, a: usize, aRow: usize, aStep: usize,
  b: usize, bColumn: usize, bStep: usize, packed: usize, beta: f32, c: usize, cRow: usize, ending: usize, scratch: usize,
): void {
  const columns = endRow - firstRow <= FEW_ROWS && isLarge(n, k) ? NC : 2 * NR;
  const spare = scratch, bBlock = spare + TILE_BYTES, aBlock = bBlock + (<usize>(min(columns, (n + NR - 1) & -NR) * min(k, KC)) << 2);
  for (let top = firstRow; top < endRow; top += MC) {
    const height = min(MC, endRow - top);
    for (let from = 0; from < k; from += KC) {
      const steps = min(KC, k - from), mode = from == 0 && beta == 0 ? STORE : UPDATE;
      const factor: f32 = from == 0 ? beta : 1;
      packRows(a + <usize>top * aRow + <usize>from * aStep, aRow, aStep, height, steps, aBlock);
      for (let left = firstColumn; left < endColumn; left += columns) {
        const width = min(columns, endColumn - left), at = c + <usize>top * cRow + (<usize>left << 2);
        const panels = packed ? packedPanel(packed, n, from, left, steps) : bBlock;
        if (!packed) packBlock(b + <usize>left * bColumn + <usize>from * bStep, bColumn, bStep, width, steps, bBlock);
        blockByBlock(height, width, steps, aBlock, panels, mode, alpha, factor, at, cRow, spare);
        if (ending && from + steps == k) finish(ending, top, left, height, width, at, cRow);
      }
    }
  }
}

/** Four rows that are packed at `a` by `width` columns of C: panels of B, one after the other, stream past them from the second cache. */
function fourRowsAcross(
  width: i32, steps: i32, a: usize, b: usize, mode: i32, alpha: f32, beta: f32, initial: usize, c: usize, cRow: usize, spare: usize,
): void {
  const panel = <usize>steps << 5;
  if (wideTiles()) {
    for (; width >= 2 * NR; width -= 2 * NR) {
      widePackedTile(steps, a, b, b + panel, mode, alpha, beta, initial, c, cRow);
      b += 2 * panel;
      c += 64;
    }
  }
  for (; width >= NR; width -= NR) {
    packedTile(steps, a, b, mode, alpha, beta, initial, c, cRow);
    b += panel;
    c += 32;
  }
  if (width > 0) anyTile(MR, width, steps, a, 4, ROWS_STEP, b, 32, mode, alpha, beta, initial, c, cRow, 4, spare);
}

/**
 * `fourRowsAcross` of `height` (1 to 4) rows, of whose strides one is 4. Four rows are packed at `panel` first, unless they lie side by side already; one to three are
 * read where they lie.
 */
export function rowsAcross(
  height: i32, width: i32, steps: i32, a: usize, aRow: usize, aStep: usize, panel: usize, b: usize, mode: i32, alpha: f32, beta: f32, initial: usize,
  c: usize, cRow: usize, spare: usize,
): void {
  if (height == MR) {
    if (aRow != 4 || aStep != ROWS_STEP) {
      packRows(a, aRow, aStep, MR, steps, panel);
      a = panel;
    }
    fourRowsAcross(width, steps, a, b, mode, alpha, beta, initial, c, cRow, spare);
    return;
  }
  for (; width > 0; width -= NR) {
    anyTile(height, min(NR, width), steps, a, aRow, aStep, b, 32, mode, alpha, beta, initial, c, cRow, 4, spare);
    b += <usize>steps << 5;
    c += 32;
  }
}
