// Copies. Contracts: kernels/copy.ts. Every result is exact, so only speed decides how elements move.
import { loadPart, storePart } from './vector';

// @ts-ignore: decorator
@inline
function copyRow(x: usize, y: usize, length: i32): void {
  const end = x + ((<usize>length) << 2);
  while (x + 64 <= end) {
    const a = v128.load(x), b = v128.load(x, 16), c = v128.load(x, 32), d = v128.load(x, 48);
    v128.store(y, a);
    v128.store(y, b, 16);
    v128.store(y, c, 32);
    v128.store(y, d, 48);
    x += 64;
    y += 64;
  }
  while (x + 16 <= end) {
    v128.store(y, v128.load(x));
    x += 16;
    y += 16;
  }
  const part = <i32>(end - x) >> 2;
  if (part) storePart(y, loadPart(x, part), part);
}

// @ts-ignore: decorator
@inline
function fillRow(y: usize, value: v128, length: i32): void {
  const end = y + ((<usize>length) << 2);
  while (y + 64 <= end) {
    v128.store(y, value);
    v128.store(y, value, 16);
    v128.store(y, value, 32);
    v128.store(y, value, 48);
    y += 64;
  }
  while (y + 16 <= end) {
    v128.store(y, value);
    y += 16;
  }
  const part = <i32>(end - y) >> 2;
  if (part) storePart(y, value, part);
}

export function fill_f32(y: usize, value: f32, length: i32): void {
  fillRow(y, f32x4.splat(value), length);
}

// @ts-ignore: decorator
@inline
function gatherRow(x: usize, y: usize, length: i32, stride: isize): void {
  for (let i = 0; i < length; i++) {
    store<f32>(y, load<f32>(x));
    x += stride;
    y += 4;
  }
}

/** y[r, c] = x[r + c * stride] for r, c below 4. */
// @ts-ignore: decorator
@inline
function transposeSquare(x: usize, y: usize, stride: isize, rowBytes: usize): void {
  const a = v128.load(x), b = v128.load(x + stride), c = v128.load(x + 2 * stride), d = v128.load(x + 3 * stride);
  const ab = i32x4.shuffle(a, b, 0, 4, 1, 5), cd = i32x4.shuffle(c, d, 0, 4, 1, 5);
  const ef = i32x4.shuffle(a, b, 2, 6, 3, 7), gh = i32x4.shuffle(c, d, 2, 6, 3, 7);
  v128.store(y, i32x4.shuffle(ab, cd, 0, 1, 4, 5));
  v128.store(y + rowBytes, i32x4.shuffle(ab, cd, 2, 3, 6, 7));
  v128.store(y + 2 * rowBytes, i32x4.shuffle(ef, gh, 0, 1, 4, 5));
  v128.store(y + 3 * rowBytes, i32x4.shuffle(ef, gh, 2, 3, 6, 7));
}

/** y[r, c] = x[r + c * stride]: a transposition, four rows of y at a time, in squares of 4x4 and then what is left. */
function transposeBlock(x: usize, y: usize, rows: i32, columns: i32, stride: isize): void {
  const rowBytes = (<usize>columns) << 2;
  let row = 0;
  for (; row + 4 <= rows; row += 4) {
    let from = x, to = y, column = 0;
    for (; column + 4 <= columns; column += 4) {
      transposeSquare(from, to, stride, rowBytes);
      from += 4 * stride;
      to += 16;
    }
    for (; column < columns; column++) {
      const a = v128.load(from);
      v128.store_lane<f32>(to, a, 0);
      v128.store_lane<f32>(to + rowBytes, a, 1);
      v128.store_lane<f32>(to + 2 * rowBytes, a, 2);
      v128.store_lane<f32>(to + 3 * rowBytes, a, 3);
      from += stride;
      to += 4;
    }
    x += 16;
    y += 4 * rowBytes;
  }
  for (; row < rows; row++) {
    gatherRow(x, y, columns, stride);
    x += 4;
    y += rowBytes;
  }
}

/** Rows and columns of a tile, and where it lies in the working memory: behind the layout. */
const TILE: i32 = 32;
const TILE_BYTES: usize = 128;
const TILE_AT: usize = 64;

/** As transposeBlock into a tile, four rows of x at a time, so that each cache line of x is read once. */
function transposeIntoTile(x: usize, tile: usize, rows: i32, columns: i32, stride: isize): void {
  let column = 0;
  for (; column + 4 <= columns; column += 4) {
    let from = x, to = tile, row = 0;
    for (; row + 4 <= rows; row += 4) {
      transposeSquare(from, to, stride, TILE_BYTES);
      from += 16;
      to += 4 * TILE_BYTES;
    }
    for (; row < rows; row++) {
      gatherRow(from, to, 4, stride);
      from += 4;
      to += TILE_BYTES;
    }
    x += 4 * stride;
    tile += 16;
  }
  for (; column < columns; column++) {
    for (let row = 0; row < rows; row++) store<f32>(tile + <usize>row * TILE_BYTES, load<f32>(x + ((<usize>row) << 2)));
    x += stride;
    tile += 4;
  }
}

/** As transposeBlock, tile by tile through working memory, whose lines the cache keeps: a tile reads and writes whole lines, one after the other. */
function transposeTiles(x: usize, y: usize, rows: i32, columns: i32, stride: isize, scratch: usize): void {
  const rowBytes = (<usize>columns) << 2;
  const tile = scratch + TILE_AT;
  for (let row = 0; row < rows; row += TILE) {
    const height = min(rows - row, TILE);
    for (let column = 0; column < columns; column += TILE) {
      const width = min(columns - column, TILE);
      transposeIntoTile(x + ((<usize>row) << 2) + <isize>column * stride, tile, height, width, stride);
      let to = y + <usize>row * rowBytes + ((<usize>column) << 2);
      for (let i = 0; i < height; i++) {
        copyRow(tile + <usize>i * TILE_BYTES, to, width);
        to += rowBytes;
      }
    }
  }
}

/** Whether the lines that transposeBlock comes back to push each other out of the cache: too many, or all in a few of its sets. */
// @ts-ignore: decorator
@inline
function crowdsCache(rows: i32, columns: i32, stride: isize): bool {
  return rows >= TILE && columns >= TILE && (columns > 512 || (stride & 511) == 0);
}

/** [rows, columns] with any strides (in bytes) to contiguous. */
function copyMatrix(x: usize, y: usize, rows: i32, columns: i32, rowStride: isize, columnStride: isize, scratch: usize): void {
  if (rowStride == 4 && columnStride != 4) {
    if (crowdsCache(rows, columns, columnStride)) transposeTiles(x, y, rows, columns, columnStride, scratch);
    else transposeBlock(x, y, rows, columns, columnStride);
    return;
  }
  for (let row = 0; row < rows; row++) {
    if (columnStride == 4) copyRow(x, y, columns);
    else if (columnStride == 0) fillRow(y, v128.load32_splat(x), columns);
    else gatherRow(x, y, columns, columnStride);
    x += rowStride;
    y += (<usize>columns) << 2;
  }
}

/** Most dimensions that a layout may have. */
const MAX_RANK: i32 = 6;

export function copy_strided_f32(x: usize, layout: usize, y: usize, span: i32, offset: i32, rank: i32, length: i32, scratch: usize): void {
  if (length == 0) return;
  // The layout without dimensions of 1, with neighbours merged that are one run, sizes in scratch[0..5], strides (bytes) in scratch[6..11],
  // innermost first, filled up with dimensions of 1.
  let count = 0;
  for (let dim = rank - 1; dim >= 0; dim--) {
    const size = load<i32>(layout + ((<usize>dim) << 2));
    const stride = load<i32>(layout + ((<usize>(rank + dim)) << 2)) << 2;
    if (size == 1) continue;
    const last = scratch + ((<usize>(count - 1)) << 2);
    if (count > 0 && load<i32>(last) * load<i32>(last, 24) == stride) {
      store<i32>(last, load<i32>(last) * size);
    } else {
      store<i32>(scratch + ((<usize>count) << 2), size);
      store<i32>(scratch + ((<usize>count) << 2), stride, 24);
      count++;
    }
  }
  for (; count < MAX_RANK; count++) {
    store<i32>(scratch + ((<usize>count) << 2), 1);
    store<i32>(scratch + ((<usize>count) << 2), 0, 24);
  }
  const columns = load<i32>(scratch), rows = load<i32>(scratch, 4);
  const columnStride = <isize>load<i32>(scratch, 24), rowStride = <isize>load<i32>(scratch, 28);
  const size2 = load<i32>(scratch, 8), size3 = load<i32>(scratch, 12), size4 = load<i32>(scratch, 16), size5 = load<i32>(scratch, 20);
  const stride2 = <isize>load<i32>(scratch, 32), stride3 = <isize>load<i32>(scratch, 36);
  const stride4 = <isize>load<i32>(scratch, 40), stride5 = <isize>load<i32>(scratch, 44);
  const matrixBytes = (<usize>(rows * columns)) << 2;
  const start = x + (<isize>offset << 2);
  for (let i5 = 0; i5 < size5; i5++) {
    for (let i4 = 0; i4 < size4; i4++) {
      for (let i3 = 0; i3 < size3; i3++) {
        let from = start + <isize>i5 * stride5 + <isize>i4 * stride4 + <isize>i3 * stride3;
        for (let i2 = 0; i2 < size2; i2++) {
          copyMatrix(from, y, rows, columns, rowStride, columnStride, scratch);
          from += stride2;
          y += matrixBytes;
        }
      }
    }
  }
}

/** Four bytes as floats. */
// @ts-ignore: decorator
@inline
function widen(bytes: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(bytes)));
}

/** y = x * scale + shift on a row of bytes: 16, then 4, then one at a time. */
// @ts-ignore: decorator
@inline
function scaleBytes(x: usize, y: usize, length: i32, scale: f32, shift: f32): void {
  const factor = f32x4.splat(scale), addend = f32x4.splat(shift);
  const end = x + length;
  for (; x + 16 <= end; x += 16, y += 64) {
    const bytes = v128.load(x);
    const low = i16x8.extend_low_i8x16_u(bytes), high = i16x8.extend_high_i8x16_u(bytes);
    const a = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(low)), b = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_u(low));
    const c = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(high)), d = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_u(high));
    v128.store(y, f32x4.add(f32x4.mul(a, factor), addend));
    v128.store(y, f32x4.add(f32x4.mul(b, factor), addend), 16);
    v128.store(y, f32x4.add(f32x4.mul(c, factor), addend), 32);
    v128.store(y, f32x4.add(f32x4.mul(d, factor), addend), 48);
  }
  for (; x + 4 <= end; x += 4, y += 16) v128.store(y, f32x4.add(f32x4.mul(widen(v128.load32_zero(x)), factor), addend));
  for (; x < end; x++, y += 4) store<f32>(y, <f32>load<u8>(x) * scale + shift);
}

export function gather_rows_u8_to_f32(
  x: usize, rows: usize, y: usize, xRows: i32, count: i32, length: i32, scale: f32, shift: f32,
): void {
  for (let i = 0; i < count; i++) {
    const row = load<i32>(rows + ((<usize>i) << 2));
    if (<u32>row >= <u32>xRows) fillRow(y, f32x4.splat(NaN), length);
    else scaleBytes(x + <usize>row * <usize>length, y, length, scale, shift);
    y += (<usize>length) << 2;
  }
}

export function normalize_u8_to_f32(x: usize, scale: usize, shift: usize, y: usize, images: i32, channels: i32, inner: i32): void {
  for (let image = 0; image < images; image++) {
    for (let channel: usize = 0; channel < <usize>channels; channel++) {
      const at = channel << 2;
      scaleBytes(x, y, inner, load<f32>(scale + at), load<f32>(shift + at));
      x += inner;
      y += (<usize>inner) << 2;
    }
  }
}
