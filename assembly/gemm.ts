// General matrix multiplication. Contract: kernels/gemm.ts.
// Two loops over blocks (rows of A, k) around two over tiles (columns, then rows), so that a block of A stays in the second cache and a panel of
// eight columns of B in the first. Operands are packed only where that pays; no choice made here changes the order of any sum.
import { anyTile, KC, MR, NR, STORE, tile, TILE_BYTES, UPDATE, zeros } from './tile';
import { packColumns, packRows } from './packing';

// The three sizes were measured (Zen 5, n = 48 to 1024). They are flat: half or double costs at most 5 %.

/** Rows of A in a block: 512 x 256 floats are half a megabyte of second cache. 128 is 4 % slower at n = 1024. */
// @ts-ignore: decorator
@inline
const MC: i32 = 512;

/** Up to this many rows, B is read where it lies (if its columns are contiguous): packing costs 5 % at 48 rows, 9 % at 16. */
// @ts-ignore: decorator
@inline
const DIRECT_ROWS: i32 = 64;

/** Above this many bytes, A is packed: unpacked, a transposed A of 1024 x 1024 runs at 0.6 of the speed; packing costs 4 % at n = 64. */
// @ts-ignore: decorator
@inline
const PACK_A_BYTES: usize = 131072;

export function gemm_f32(
  transposeA: i32, transposeB: i32, m: i32, n: i32, k: i32, alpha: f32,
  a: usize, lda: i32, b: usize, ldb: i32, beta: f32, c: usize, ldc: i32, scratch: usize,
): void {
  if (alpha == 0 || k == 0) {
    scale(m, n, beta, c, <usize>ldc << 2);
    return;
  }
  const aLong = <usize>lda << 2, bLong = <usize>ldb << 2, cLong = <usize>ldc << 2;
  // Tiles want B's columns contiguous. If they are not, C^T = B^T A^T may be better: always when A is transposed too, else if that leaves
  // the smaller operand to be packed.
  if (transposeB && (transposeA || m < n)) {
    blocks(n, m, k, alpha, b, bLong, 4, a, transposeA ? 4 : aLong, transposeA ? aLong : 4, beta, c, 4, cLong, scratch);
  } else {
    blocks(
      m, n, k, alpha, a, transposeA ? 4 : aLong, transposeA ? aLong : 4, b, transposeB ? bLong : 4, transposeB ? 4 : bLong,
      beta, c, cLong, 4, scratch,
    );
  }
}

/** C[i,j] at c + i * cRow + j * cColumn, A[i,p] at a + i * aRow + p * aStep, B[p,j] at b + j * bColumn + p * bStep. */
function blocks(
  m: i32, n: i32, k: i32, alpha: f32, a: usize, aRow: usize, aStep: usize, b: usize, bColumn: usize, bStep: usize,
  beta: f32, c: usize, cRow: usize, cColumn: usize, scratch: usize,
): void {
  const spare = scratch;
  const bPanel = spare + TILE_BYTES;
  const aBlock = bPanel + (<usize>(KC * NR) << 2);
  const directB = bColumn == 4 && m <= DIRECT_ROWS;
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
      const panelBytes = packA ? <usize>steps << 4 : 4 * aRow;
      for (let left = 0; left < n; left += NR) {
        const width = min(NR, n - left);
        let bFirst = b + <usize>left * bColumn + <usize>from * bStep, bBytes = bStep;
        if (!directB || width < NR) {
          packColumns(bFirst, bColumn, bStep, width, steps, bPanel);
          bFirst = bPanel;
          bBytes = 32;
        }
        let at = c + <usize>top * cRow + <usize>left * cColumn;
        let aPanel = aFirst;
        let row = 0;
        // Whole tiles without the detour through `anyTile`, which counts when k is short.
        if (width == NR && cColumn == 4) {
          for (; row + MR <= height; row += MR) {
            tile(
              1, steps, aPanel, aPanel + rowBytes, aPanel + 2 * rowBytes, aPanel + 3 * rowBytes, stepBytes, 0, bFirst, bBytes,
              mode, alpha, factor, zeros, at, cRow,
            );
            aPanel += panelBytes;
            at += 4 * cRow;
          }
        }
        for (; row < height; row += MR) {
          anyTile(
            min(MR, height - row), width, steps, aPanel, rowBytes, stepBytes, bFirst, bBytes,
            mode, alpha, factor, zeros, at, cRow, cColumn, spare,
          );
          aPanel += panelBytes;
          at += 4 * cRow;
        }
      }
    }
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
