// A matrix product: two loops over blocks (rows of A, k) around two over tiles (columns, then rows), so that a block of A stays in the second cache and a
// panel of B in the first. Operands are packed only where that pays; a product with one row or column goes its own way (gemv.ts). No choice made
// here changes the order of any sum. Contract: kernels/gemm.ts.
import { finish } from './ending';
import { gemv } from './gemv';
import { MC, packedBlocks, packsBoth } from './packed';
import { packedPanel, packRows, packTwoPanels } from './packing';
import { isFirstShare, shareEnd, shares, shareStart } from './shares';
import { tallTile, tallTiles } from './tall-tile';
import { anyTile, KC, MR, NR, STORE, tile, TILE_BYTES, UPDATE, zeros } from './tile';
import { wideTile, wideTiles } from './wide-tile';

// The sizes below were measured (Zen 5, n = 48 to 1024). They are flat: half or double costs at most 5 %.

/**
 * Where A is not packed with it: up to this many rows, B is read where it lies (if its columns are contiguous): packing costs 5 % at 48 rows, 9 % at 16. Rows of B that
 * are a multiple of 4096 bytes apart share one set of the first cache: then only one tile's rows (32 x 1024 x 1024: 0.44 of the peak, packed 0.75).
 */
// @ts-ignore: decorator
@inline
const DIRECT_ROWS: i32 = 64;

/** Above this many bytes, A is packed: unpacked, a transposed A of 1024 x 1024 runs at 0.6 of the speed; packing costs 4 % at n = 64. */
// @ts-ignore: decorator
@inline
const PACK_A_BYTES: usize = 131072;

/** In the place of an ending, where nothing follows the product, and of packed columns, where there are none. */
// @ts-ignore: decorator
@inline
export const NOTHING: usize = 0;

/** The contract of gemm_f32, and then the ending. `shared`: only this thread's share of C. */
export function product(
  shared: bool, transposeA: i32, transposeB: i32, m: i32, n: i32, k: i32, alpha: f32,
  a: usize, lda: i32, b: usize, ldb: i32, beta: f32, c: usize, ldc: i32, ending: usize, scratch: usize,
): void {
  if (m == 0 || n == 0) return;
  const aLong = <usize>lda << 2, bLong = <usize>ldb << 2, cLong = <usize>ldc << 2;
  const aRow: usize = transposeA ? 4 : aLong, aStep: usize = transposeA ? aLong : 4;
  const bColumn: usize = transposeB ? bLong : 4, bStep: usize = transposeB ? 4 : bLong;
  if (alpha == 0 || k == 0) {
    if (!shared || isFirstShare()) scaled(m, n, beta, c, cLong, ending);
  } else if (m == 1) {
    const first = shared ? firstOf(n, LANES) : 0, count = (shared ? endOf(n, LANES) : n) - first;
    gemv(count, k, alpha, b + <usize>first * bColumn, bColumn, bStep, a, aStep, beta, c + (<usize>first << 2), 4, scratch);
    if (ending) finish(ending, 0, first, 1, count, c + (<usize>first << 2), cLong);
  } else if (n == 1) {
    const first = shared ? firstOf(m, LANES) : 0, count = (shared ? endOf(m, LANES) : m) - first;
    gemv(count, k, alpha, a + <usize>first * aRow, aRow, aStep, b, bStep, beta, c + <usize>first * cLong, cLong, scratch);
    if (ending) finish(ending, first, 0, count, 1, c + <usize>first * cLong, cLong);
  } else if (transposeB && (transposeA || m < n) && !(wideTiles() && m >= 16) && !packsBoth(m, n, k, bColumn, NOTHING)) {
    // Tiles want B's columns contiguous. If they are not, C^T = B^T A^T may be better: always when A is transposed too, else if that leaves
    // the smaller operand to be packed. Wide tiles only fit a C that is not transposed.
    dealt(shared, n, m, k, alpha, b, bColumn, bStep, a, aRow, aStep, NOTHING, beta, c, 4, cLong, ending, scratch);
  } else {
    dealt(shared, m, n, k, alpha, a, aRow, aStep, b, bColumn, bStep, NOTHING, beta, c, cLong, 4, ending, scratch);
  }
}

/** The contract of gemm_prepacked_f32, `shared` as above. */
export function packedProduct(
  shared: bool, transposeA: i32, m: i32, n: i32, k: i32, alpha: f32, a: usize, lda: i32, packed: usize, beta: f32, c: usize, ldc: i32,
  ending: usize, scratch: usize,
): void {
  const long = <usize>lda << 2, cRow = <usize>ldc << 2;
  if (m == 0 || n == 0) return;
  if (alpha == 0 || k == 0) {
    if (!shared || isFirstShare()) scaled(m, n, beta, c, cRow, ending);
    return;
  }
  dealt(shared, m, n, k, alpha, a, transposeA ? 4 : long, transposeA ? long : 4, NOTHING, 4, 0, packed, beta, c, cRow, 4, ending, scratch);
}

/** Lanes of a vector by matrix product that are not parted: a line of cache. */
// @ts-ignore: decorator
@inline
const LANES: i32 = 16;

/** Columns that are not parted: those of the widest tile. */
// @ts-ignore: decorator
@inline
const COLUMNS: i32 = 2 * NR;

/** Rows that are not parted: three tiles, or two tall ones. */
// @ts-ignore: decorator
@inline
const ROWS: i32 = 12;

/** The first of `size` rows or columns that is this share's, if `unit` of them stay together. */
// @ts-ignore: decorator
@inline
function firstOf(size: i32, unit: i32): i32 {
  return min(size, unit * shareStart((size + unit - 1) / unit));
}

// @ts-ignore: decorator
@inline
function endOf(size: i32, unit: i32): i32 {
  return min(size, unit * shareEnd((size + unit - 1) / unit));
}

/** All blocks, or those of this share: what is dealt out is columns, or rows where these are more. */
function dealt(
  shared: bool, m: i32, n: i32, k: i32, alpha: f32, a: usize, aRow: usize, aStep: usize, b: usize, bColumn: usize, bStep: usize, packed: usize,
  beta: f32, c: usize, cRow: usize, cColumn: usize, ending: usize, scratch: usize,
): void {
  const cut = shared && shares() > 1, byRows = m > n;
  const firstRow = cut && byRows ? firstOf(m, ROWS) : 0, endRow = cut && byRows ? endOf(m, ROWS) : m;
  const firstColumn = cut && !byRows ? firstOf(n, COLUMNS) : 0, endColumn = cut && !byRows ? endOf(n, COLUMNS) : n;
  if (cColumn == 4 && packsBoth(m, n, k, bColumn, packed)) {
    packedBlocks(
      firstRow, endRow, firstColumn, endColumn, n, k, alpha, a, aRow, aStep, b, bColumn, bStep, packed, beta, c, cRow, ending, scratch,
    );
    return;
  }
  blocks(
    firstRow, endRow, firstColumn, endColumn, n, k, alpha, a, aRow, aStep, b, bColumn, bStep, packed, beta, c, cRow, cColumn, ending, scratch,
  );
}

/** C = beta * C, and then the ending. */
function scaled(m: i32, n: i32, beta: f32, c: usize, cRow: usize, ending: usize): void {
  scale(m, n, beta, c, cRow);
  if (ending) finish(ending, 0, 0, m, n, c, cRow);
}

/**
 * Some rows and columns of C. C[i,j] at c + i * cRow + j * cColumn, A[i,p] at a + i * aRow + p * aStep, B[p,j] at b + j * bColumn + p * bStep or, if `packed` is not 0, there,
 * as gemm_pack_b_f32 leaves it for `n` columns.
 */
function blocks(
  firstRow: i32, endRow: i32, firstColumn: i32, endColumn: i32, n: i32, k: i32, alpha: f32, a: usize, aRow: usize, aStep: usize, b: usize, bColumn: usize, bStep: usize, packed: usize,
  beta: f32, c: usize, cRow: usize, cColumn: usize, ending: usize, scratch: usize,
): void {
  const spare = scratch;
  const bPanel = spare + TILE_BYTES;
  const aBlock = bPanel + (<usize>(KC * 2 * NR) << 2);
  // Columns that are packed side by side: those of the widest tile.
  const panel = wideTiles() && !packed ? 2 * NR : NR;
  const directB = bColumn == 4 && endRow - firstRow <= ((bStep & 4095) == 0 ? MR : DIRECT_ROWS);
  const packA = endColumn - firstColumn > 4 * NR && <usize>min(endRow - firstRow, MC) * max(aRow, aStep) > PACK_A_BYTES;
  for (let top = firstRow; top < endRow; top += MC) {
    const height = min(MC, endRow - top);
    for (let from = 0; from < k; from += KC) {
      const steps = min(KC, k - from);
      const mode = from == 0 && beta == 0 ? STORE : UPDATE;
      const factor: f32 = from == 0 ? beta : 1;
      let aFirst = a + <usize>top * aRow + <usize>from * aStep;
      let rowBytes = aRow, stepBytes = aStep;
      if (packA) {
        packRows(aFirst, aRow, aStep, height, steps, aBlock);
        aFirst = aBlock;
        rowBytes = 4;
        stepBytes = 16;
      }
      const aPanel = packA ? <usize>steps << 4 : 4 * aRow;
      for (let left = firstColumn; left < endColumn; left += panel) {
        const width = min(panel, endColumn - left);
        let bFirst = b + <usize>left * bColumn + <usize>from * bStep, bBytes = bStep;
        if (packed) {
          bFirst = packedPanel(packed, n, from, left, steps);
          bBytes = 32;
        } else if (!directB || width < panel) {
          bBytes = <usize>panel << 2;
          packTwoPanels(bFirst, bColumn, bStep, width, steps, bPanel, bPanel + 32, bBytes);
          bFirst = bPanel;
        }
        const at = c + <usize>top * cRow + <usize>left * cColumn;
        tiles(
          height, width, steps, aFirst, rowBytes, stepBytes, aPanel, bFirst, bBytes, mode, alpha, factor, at, cRow, cColumn, spare,
        );
        if (ending && from + steps == k) {
          if (cColumn == 4) finish(ending, top, left, height, width, at, cRow);
          else finish(ending, left, top, width, height, at, cColumn);
        }
      }
    }
  }
}

/**
 * `height` rows by `width` columns (at most 16) of C. Four rows of A, one after the other, are `aRow` apart; the next four begin `aPanel` behind them.
 */
function tiles(
  height: i32, width: i32, steps: i32, a: usize, aRow: usize, aStep: usize, aPanel: usize, b: usize, bStep: usize,
  mode: i32, alpha: f32, beta: f32, c: usize, cRow: usize, cColumn: usize, spare: usize,
): void {
  if (width == 16 && cColumn == 4) {
    for (; height >= MR; height -= MR) {
      wideTile(steps, a, a + aRow, a + 2 * aRow, a + 3 * aRow, aStep, b, bStep, mode, alpha, beta, zeros, c, cRow);
      a += aPanel;
      c += 4 * cRow;
    }
    if (height == 0) return;
  }
  for (; width > 0; width -= NR) {
    eightColumns(height, min(NR, width), steps, a, aRow, aStep, aPanel, b, bStep, mode, alpha, beta, c, cRow, cColumn, spare);
    b += 32;
    c += 8 * cColumn;
  }
}

function eightColumns(
  height: i32, width: i32, steps: i32, a: usize, aRow: usize, aStep: usize, aPanel: usize, b: usize, bStep: usize,
  mode: i32, alpha: f32, beta: f32, c: usize, cRow: usize, cColumn: usize, spare: usize,
): void {
  // Whole tiles without the detour through `anyTile`, which counts when k is short.
  if (width == NR && cColumn == 4) {
    if (tallTiles()) {
      // Two tiles are three panels of A.
      for (; height >= 12; height -= 12) {
        const a4 = a + aPanel, a8 = a4 + aPanel;
        tallTile(steps, a, a + aRow, a + 2 * aRow, a + 3 * aRow, a4, a4 + aRow, aStep, b, bStep, mode, alpha, beta, c, cRow);
        c += 6 * cRow;
        tallTile(
          steps, a4 + 2 * aRow, a4 + 3 * aRow, a8, a8 + aRow, a8 + 2 * aRow, a8 + 3 * aRow, aStep, b, bStep, mode, alpha, beta, c, cRow,
        );
        a = a8 + aPanel;
        c += 6 * cRow;
      }
    }
    for (; height >= MR; height -= MR) {
      tile(1, steps, a, a + aRow, a + 2 * aRow, a + 3 * aRow, aStep, 0, b, bStep, mode, alpha, beta, zeros, c, cRow);
      a += aPanel;
      c += 4 * cRow;
    }
  }
  for (; height > 0; height -= MR) {
    anyTile(
      min(MR, height), width, steps, a, aRow, aStep, b, bStep, mode, alpha, beta, zeros, c, cRow, cColumn, spare,
    );
    a += aPanel;
    c += 4 * cRow;
  }
}

/** C = beta * C; zeros when beta is 0, and then C is not read. */
function scale(m: i32, n: i32, beta: f32, c: usize, cRow: usize): void {
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      const at = c + (<usize>j << 2);
      store<f32>(at, beta == 0 ? 0 : beta * load<f32>(at));
    }
    c += cRow;
  }
}
