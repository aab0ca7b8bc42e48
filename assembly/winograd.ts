// Convolution with 3x3 filters and stride 1 by Winograd's minimal filtering, F(2x2, 3x3) and F(4x4, 3x3): tiles of images and filters are transformed,
// multiplied element by element (one matrix product over channels per element), and transformed back. Fewer products, other bits than the
// direct convolution. Contract, formulas and error: kernels/winograd.ts.
// Rows of tiles of all images are taken some at a time, so that what is between the transforms stays in the second cache.
import { clear } from './image';
import { NOTHING, packedProduct, product } from './product';
import { shareEnd, shareStart } from './shares';
import {
  stripsLength, transformFilters, transformGradientRow, transformImageRow, transformResultRow, transformSumsBack, WORK_BYTES,
} from './winograd-transforms';

/** Tiles in a block of a filter's gradient, unless a row has more. Part of the contract: blocks are sums of their own. */
const TILES: i32 = 64;

/** Tiles in a block of the other two: with some thousand transformed elements of each channel, both sides of the products stay in the second cache. */
// @ts-ignore: decorator
@inline
function tilesOfBlock(m: i32): i32 {
  return m == 2 ? 64 : 32;
}

/** Rounds up to whole vectors. */
// @ts-ignore: decorator
@inline
function quads(count: i32): i32 {
  return (count + 3) & ~3;
}

// @ts-ignore: decorator
@inline
function rowsOfBlock(tiles: i32, across: i32): i32 {
  return max(1, tiles / across);
}

/** Bytes from one element to the next: an odd number of lines, so that all elements of a tile fall into different sets of the first cache. */
// @ts-ignore: decorator
@inline
function elementBytes(floats: i32): usize {
  return <usize>((floats + 15) / 16 | 1) << 6;
}

/** A convolution from `s` planes of hs x ws to `r` planes of h x w. Shares are rows of tiles. */
function winograd(
  m: i32, n: i32, source: usize, s: i32, hs: i32, ws: i32, weight: usize, mirrored: bool, bias: usize, result: usize, r: i32, h: i32, w: i32,
  paddingH: i32, paddingW: i32, scratch: usize,
): void {
  const elements = (m + 2) * (m + 2), down = (h + m - 1) / m, across = (w + m - 1) / m;
  const blockRows = rowsOfBlock(tilesOfBlock(m), across), tiles = blockRows * across;
  const sStride = quads(s), rStride = quads(r), sBytes = <usize>sStride << 2, rBytes = <usize>rStride << 2;
  const filterElement = elementBytes(s * ((r + 7) & ~7)), imageElement = elementBytes(tiles * sStride), productElement = elementBytes(tiles * rStride);
  const work = scratch, filters = work + WORK_BYTES, images = filters + <usize>elements * filterElement;
  const products = images + <usize>elements * imageElement, strips = products + <usize>elements * productElement;
  const spare = strips + (<usize>stripsLength(m, across) << 2);
  const firstRow = shareStart(n * down), endRow = shareEnd(n * down), planeBytes = <usize>(hs * ws) << 2;
  if (firstRow == endRow) return;
  transformFilters(m, weight, r, s, mirrored ? 9 : 9 * s, mirrored ? 9 * r : 9, mirrored, filters, filterElement, work);
  clear(strips, stripsLength(m, across));
  for (let first = firstRow; first < endRow; first += blockRows) {
    const rows = min(blockRows, endRow - first);
    for (let row = 0; row < rows; row++) {
      const image = (first + row) / down, top = (first + row - image * down) * m - paddingH;
      for (let channel = 0; channel < s; channel += 4) {
        const planes = source + <usize>(image * s + channel) * planeBytes, to = images + <usize>(row * across) * sBytes + (<usize>channel << 2);
        transformImageRow(m, planes, planeBytes, s - channel - 1, hs, ws, top, paddingW, across, strips, to, sBytes, imageElement, work);
      }
    }
    for (let e = 0; e < elements; e++) {
      packedProduct(
        false, 0, rows * across, r, s, 1, images + <usize>e * imageElement, sStride, filters + <usize>e * filterElement, 0,
        products + <usize>e * productElement, rStride, NOTHING, spare,
      );
    }
    for (let row = 0; row < rows; row++) {
      const image = (first + row) / down, top = (first + row - image * down) * m;
      for (let channel = 0; channel < r; channel += 4) {
        const start = bias ? bias + (<usize>channel << 2) : 0;
        const from = products + <usize>(row * across) * rBytes + (<usize>channel << 2), to = result + (<usize>((image * r + channel) * h * w) << 2);
        transformResultRow(m, from, rBytes, productElement, start, min(4, r - channel), across, to, h, w, top, work);
      }
    }
  }
}

/** Sizes outside the contract: trap, and the caller's error names the kernel and its values. */
function check(c: i32, h: i32, w: i32, o: i32, paddingH: i32, paddingW: i32, tile: i32): void {
  if (min(min(c, o), min(h, w)) < 1 || min(paddingH, paddingW) < 0 || max(paddingH, paddingW) > 2) unreachable();
  if (h + 2 * paddingH < 3 || w + 2 * paddingW < 3 || (tile != 2 && tile != 4)) unreachable();
}

export function winograd_conv2d_f32_forward(
  x: usize, weight: usize, bias: usize, y: usize, n: i32, c: i32, h: i32, w: i32, o: i32, paddingH: i32, paddingW: i32, tile: i32,
  scratch: usize,
): void {
  check(c, h, w, o, paddingH, paddingW, tile);
  winograd(tile, n, x, c, h, w, weight, false, bias, y, o, h + 2 * paddingH - 2, w + 2 * paddingW - 2, paddingH, paddingW, scratch);
}

export function winograd_conv2d_f32_backward_data(
  gradY: usize, weight: usize, gradX: usize, n: i32, c: i32, h: i32, w: i32, o: i32, paddingH: i32, paddingW: i32, tile: i32,
  scratch: usize,
): void {
  check(c, h, w, o, paddingH, paddingW, tile);
  winograd(
    tile, n, gradY, o, h + 2 * paddingH - 2, w + 2 * paddingW - 2, weight, true, 0, gradX, c, h, w, 2 - paddingH, 2 - paddingW, scratch,
  );
}

/** Shares are output channels, four staying together. */
export function winograd_conv2d_f32_backward_filter(
  x: usize, gradY: usize, gradWeight: usize, n: i32, c: i32, h: i32, w: i32, o: i32, paddingH: i32, paddingW: i32, tile: i32,
  scratch: usize,
): void {
  check(c, h, w, o, paddingH, paddingW, tile);
  const m = tile, ho = h + 2 * paddingH - 2, wo = w + 2 * paddingW - 2;
  const elements = (m + 2) * (m + 2), down = (ho + m - 1) / m, across = (wo + m - 1) / m;
  const blockRows = rowsOfBlock(TILES, across), tiles = blockRows * across;
  const quadsOfRows = quads(o) / 4, firstOut = 4 * shareStart(quadsOfRows), count = min(o, 4 * shareEnd(quadsOfRows)) - firstOut;
  if (count <= 0) return;
  const cStride = quads(c), oStride = quads(count), cBytes = <usize>cStride << 2, oBytes = <usize>oStride << 2;
  const imageElement = elementBytes(tiles * cStride), gradientElement = elementBytes(tiles * oStride), sumElement = elementBytes(c * oStride);
  const work = scratch, sums = work + WORK_BYTES, images = sums + <usize>elements * sumElement;
  const gradients = images + <usize>elements * imageElement, strips = gradients + <usize>elements * gradientElement;
  // Strips for each: what lies around a row of the image and around a row of the gradient are zeros in different places.
  const others = strips + (<usize>stripsLength(m, across) << 2), spare = others + (<usize>stripsLength(m, across) << 2);
  const planeBytes = <usize>(h * w) << 2, gradientBytes = <usize>(ho * wo) << 2;
  clear(strips, 2 * stripsLength(m, across));
  if (n == 0) clear(sums, elements * <i32>(sumElement >> 2));
  for (let first = 0; first < n * down; first += blockRows) {
    const rows = min(blockRows, n * down - first);
    for (let row = 0; row < rows; row++) {
      const image = (first + row) / down, top = (first + row - image * down) * m;
      for (let channel = 0; channel < c; channel += 4) {
        const planes = x + <usize>(image * c + channel) * planeBytes, to = images + <usize>(row * across) * cBytes + (<usize>channel << 2);
        transformImageRow(
          m, planes, planeBytes, c - channel - 1, h, w, top - paddingH, paddingW, across, strips, to, cBytes, imageElement, work,
        );
      }
      for (let out = 0; out < count; out += 4) {
        const planes = gradY + <usize>(image * o + firstOut + out) * gradientBytes, to = gradients + <usize>(row * across) * oBytes + (<usize>out << 2);
        transformGradientRow(m, planes, gradientBytes, count - out - 1, ho, wo, top, across, others, to, oBytes, gradientElement, work);
      }
    }
    for (let e = 0; e < elements; e++) {
      product(
        false, 1, 0, c, count, rows * across, 1, images + <usize>e * imageElement, cStride, gradients + <usize>e * gradientElement, oStride,
        first == 0 ? 0 : 1, sums + <usize>e * sumElement, oStride, NOTHING, spare,
      );
    }
  }
  transformSumsBack(m, sums, sumElement, oStride, count, c, gradWeight + (<usize>(firstOut * c * 9) << 2), work);
}
