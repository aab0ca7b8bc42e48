// General matrix multiplication. Contract: kernels/gemm.ts.
// Two loops over blocks (rows of A, k) around two over tiles (columns, then rows), so that a block of A stays in the second cache and a panel of
// B in the first. Operands are packed only where that pays; a product with one row or column goes its own way (gemv.ts). No choice made here
// changes the order of any sum.
import { ENDING_BYTES, finish, writeEnding } from './ending';
import { gemv } from './gemv';
import { packColumns, packRows } from './packing';
import { tallTile, tallTiles } from './tall-tile';
import { anyTile, KC, MR, NR, STORE, tile, TILE_BYTES, UPDATE, zeros } from './tile';
import { wideTile, wideTiles } from './wide-tile';

// The sizes were measured (Zen 5, n = 48 to 1024). They are flat: half or double costs at most 5 %.

/** Rows of A in a block: 512 x 256 floats are half a megabyte of second cache. 128 is 4 % slower at n = 1024. */
// @ts-ignore: decorator
@inline
const MC: i32 = 512;

/**
 * Up to this many rows, B is read where it lies (if its columns are contiguous): packing costs 5 % at 48 rows, 9 % at 16. Rows of B that are a
 * multiple of 4096 bytes apart share one set of the first cache: then only one tile's rows (32 x 1024 x 1024: 0.44 of the peak, packed 0.75).
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
const NOTHING: usize = 0;

export function gemm_f32(
  transposeA: i32, transposeB: i32, m: i32, n: i32, k: i32, alpha: f32,
  a: usize, lda: i32, b: usize, ldb: i32, beta: f32, c: usize, ldc: i32, scratch: usize,
): void {
  product(transposeA, transposeB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, NOTHING, scratch);
}

export function gemm_batched_f32(
  transposeA: i32, transposeB: i32, batch: i32, m: i32, n: i32, k: i32, alpha: f32, a: usize, lda: i32, strideA: i32,
  b: usize, ldb: i32, strideB: i32, beta: f32, c: usize, ldc: i32, strideC: i32, scratch: usize,
): void {
  // One B for all, and rows of A and C that go on from one product to the next: a single product of many rows.
  if (strideB == 0 && !transposeA && strideA == m * lda && strideC == m * ldc) {
    product(0, transposeB, batch * m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, NOTHING, scratch);
    return;
  }
  for (; batch > 0; batch--) {
    product(transposeA, transposeB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, NOTHING, scratch);
    a += <usize>strideA << 2;
    b += <usize>strideB << 2;
    c += <usize>strideC << 2;
  }
}

export function gemm_fused_f32(
  transposeA: i32, transposeB: i32, m: i32, n: i32, k: i32, alpha: f32, a: usize, lda: i32, b: usize, ldb: i32,
  beta: f32, c: usize, ldc: i32, bias: usize, residual: usize, ldr: i32, activation: i32, low: f32, high: f32, scratch: usize,
): void {
  const ending = writeEnding(scratch, bias, residual, <usize>ldr << 2, activation, low, high);
  product(transposeA, transposeB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, ending, scratch + ENDING_BYTES);
}

/** Panels of 16 columns, of one block of k after the other: the widest tile reads a line of cache a step, the others half of one. */
export function gemm_pack_b_f32(transposeB: i32, n: i32, k: i32, b: usize, ldb: i32, packed: usize): void {
  const long = <usize>ldb << 2, column: usize = transposeB ? long : 4, step: usize = transposeB ? 4 : long;
  for (let from = 0; from < k; from += KC) {
    const steps = min(KC, k - from);
    for (let left = 0; left < n; left += 16) {
      const at = b + <usize>left * column + <usize>from * step, width = min(16, n - left);
      packColumns(at, column, step, min(NR, width), steps, packed, 64);
      if (width > NR) packColumns(at + 8 * column, column, step, width - NR, steps, packed + 32, 64);
      if (width < 16) clearColumns(packed, width, steps);
      packed += <usize>steps << 6;
    }
  }
}

/** The columns of a panel of 16 from `width` on become +0. */
function clearColumns(panel: usize, width: i32, steps: i32): void {
  const bytes = <usize>(16 - width) << 2;
  panel += <usize>width << 2;
  for (; steps > 0; steps--) {
    memory.fill(panel, 0, bytes);
    panel += 64;
  }
}

export function gemm_prepacked_f32(
  transposeA: i32, m: i32, n: i32, k: i32, alpha: f32, a: usize, lda: i32, packed: usize, beta: f32, c: usize, ldc: i32,
  bias: usize, residual: usize, ldr: i32, activation: i32, low: f32, high: f32, scratch: usize,
): void {
  if (m == 0 || n == 0) return;
  const ending = writeEnding(scratch, bias, residual, <usize>ldr << 2, activation, low, high);
  const long = <usize>lda << 2, cRow = <usize>ldc << 2;
  if (alpha == 0 || k == 0) {
    scale(m, n, beta, c, cRow);
    finish(ending, 0, 0, m, n, c, cRow);
    return;
  }
  blocks(
    m, n, k, alpha, a, transposeA ? 4 : long, transposeA ? long : 4, NOTHING, 4, 0, packed, beta, c, cRow, 4, ending, scratch + ENDING_BYTES,
  );
}

/** The contract of gemm_f32, and then the ending. */
function product(
  transposeA: i32, transposeB: i32, m: i32, n: i32, k: i32, alpha: f32,
  a: usize, lda: i32, b: usize, ldb: i32, beta: f32, c: usize, ldc: i32, ending: usize, scratch: usize,
): void {
  if (m == 0 || n == 0) return;
  const aLong = <usize>lda << 2, bLong = <usize>ldb << 2, cLong = <usize>ldc << 2;
  const aRow: usize = transposeA ? 4 : aLong, aStep: usize = transposeA ? aLong : 4;
  const bColumn: usize = transposeB ? bLong : 4, bStep: usize = transposeB ? 4 : bLong;
  if (alpha == 0 || k == 0) scale(m, n, beta, c, cLong);
  else if (m == 1) gemv(n, k, alpha, b, bColumn, bStep, a, aStep, beta, c, 4, scratch);
  else if (n == 1) gemv(m, k, alpha, a, aRow, aStep, b, bStep, beta, c, cLong, scratch);
  else {
    // Tiles want B's columns contiguous. If they are not, C^T = B^T A^T may be better: always when A is transposed too, else if that leaves
    // the smaller operand to be packed. Wide tiles only fit a C that is not transposed.
    if (transposeB && (transposeA || m < n) && !(wideTiles() && m >= 16)) {
      blocks(n, m, k, alpha, b, bColumn, bStep, a, aRow, aStep, NOTHING, beta, c, 4, cLong, ending, scratch);
    } else {
      blocks(m, n, k, alpha, a, aRow, aStep, b, bColumn, bStep, NOTHING, beta, c, cLong, 4, ending, scratch);
    }
    return;
  }
  if (ending) finish(ending, 0, 0, m, n, c, cLong);
}

/**
 * C[i,j] at c + i * cRow + j * cColumn, A[i,p] at a + i * aRow + p * aStep, B[p,j] at b + j * bColumn + p * bStep or, if `packed` is not 0, there,
 * as gemm_pack_b_f32 leaves it.
 */
function blocks(
  m: i32, n: i32, k: i32, alpha: f32, a: usize, aRow: usize, aStep: usize, b: usize, bColumn: usize, bStep: usize, packed: usize,
  beta: f32, c: usize, cRow: usize, cColumn: usize, ending: usize, scratch: usize,
): void {
  const spare = scratch;
  const bPanel = spare + TILE_BYTES;
  const aBlock = bPanel + (<usize>(KC * 2 * NR) << 2);
  // Columns that are packed side by side: those of the widest tile.
  const panel = wideTiles() ? 2 * NR : NR;
  const directB = bColumn == 4 && m <= ((bStep & 4095) == 0 ? MR : DIRECT_ROWS);
  const packA = n > 4 * NR && <usize>min(m, MC) * max(aRow, aStep) > PACK_A_BYTES;
  for (let top = 0; top < m; top += MC) {
    const height = min(MC, m - top);
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
      for (let left = 0; left < n; left += panel) {
        const width = min(panel, n - left);
        let bFirst = b + <usize>left * bColumn + <usize>from * bStep, bBytes = bStep;
        if (packed) {
          bFirst = packed + (<usize>(from * ((n + 15) & ~15) + (left & ~15) * steps + (left & 8)) << 2);
          bBytes = 64;
        } else if (!directB || width < panel) {
          bBytes = <usize>panel << 2;
          packColumns(bFirst, bColumn, bStep, min(NR, width), steps, bPanel, bBytes);
          if (width > NR) packColumns(bFirst + 8 * bColumn, bColumn, bStep, width - NR, steps, bPanel + 32, bBytes);
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
 * `height` rows by `width` columns (at most a panel) of C. Four rows of A, one after the other, are `aRow` apart; the next four begin `aPanel`
 * behind them.
 */
function tiles(
  height: i32, width: i32, steps: i32, a: usize, aRow: usize, aStep: usize, aPanel: usize, b: usize, bStep: usize,
  mode: i32, alpha: f32, beta: f32, c: usize, cRow: usize, cColumn: usize, spare: usize,
): void {
  if (width == 16 && cColumn == 4) {
    for (; height >= MR; height -= MR) {
      wideTile(steps, a, a + aRow, a + 2 * aRow, a + 3 * aRow, aStep, b, bStep, mode, alpha, beta, c, cRow);
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
