// Convolution with 3x3 filters and stride 1 by Winograd's minimal filtering, F(2x2, 3x3) and F(4x4, 3x3): tiles of images and filters are transformed,
// multiplied element by element (one matrix product over channels per element), and transformed back. Fewer products, other bits than the
// direct convolution. Contract, formulas and error: kernels/winograd.ts.
// Rows of tiles of all images are taken some at a time, so that what is between the transforms stays in the second cache.
import { clear } from './image';
import { NOTHING, product } from './product';
import { shareEnd, shareStart } from './shares';
import {
  stripPitch, transformFilters, transformGradientRow, transformImageRow, transformResultRow, transformSumsBack, WORK_BYTES,
} from './winograd-transforms';

/** Tiles in a block, unless a row has more. Part of the contract: blocks of a filter's gradient are sums of their own. */
const TILES: i32 = 64;

/** Rounds up to whole vectors. */
// @ts-ignore: decorator
@inline
function quads(count: i32): i32 {
  return (count + 3) & ~3;
}

// @ts-ignore: decorator
@inline
function rowsOfBlock(across: i32): i32 {
  return max(1, TILES / across);
}

/** Tiles of a block, and four that transforms may write behind them. */
// @ts-ignore: decorator
@inline
function blockStride(across: i32): i32 {
  return quads(rowsOfBlock(across) * across) + 4;
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
  const size = m + 2, elements = size * size, down = (h + m - 1) / m, across = (w + m - 1) / m;
  const blockRows = rowsOfBlock(across), stride = blockStride(across), filterStride = quads(s);
  const imageElement = elementBytes(s * stride), productElement = elementBytes(r * stride);
  const work = scratch, filters = work + WORK_BYTES, images = filters + (<usize>(elements * r * filterStride) << 2);
  const products = images + <usize>elements * imageElement, strip = products + <usize>elements * productElement;
  const spare = strip + (<usize>(size * stripPitch(m, across)) << 2);
  const firstRow = shareStart(n * down), endRow = shareEnd(n * down);
  if (firstRow == endRow) return;
  transformFilters(m, weight, r, s, mirrored ? 9 : 9 * s, mirrored ? 9 * r : 9, mirrored, filters, filterStride, work);
  clear(strip, size * stripPitch(m, across));
  for (let first = firstRow; first < endRow; first += blockRows) {
    const rows = min(blockRows, endRow - first);
    for (let channel = 0; channel < s; channel++) {
      let to = images + (<usize>(channel * stride) << 2);
      for (let row = first; row < first + rows; row++) {
        const image = row / down, top = (row - image * down) * m - paddingH;
        const plane = source + (<usize>((image * s + channel) * hs * ws) << 2);
        transformImageRow(m, plane, hs, ws, top, paddingW, across, strip, to, imageElement, work);
        to += <usize>across << 2;
      }
    }
    for (let e = 0; e < elements; e++) {
      product(
        false, 0, 0, r, rows * across, s, 1, filters + (<usize>(e * r * filterStride) << 2), filterStride, images + <usize>e * imageElement,
        stride, 0, products + <usize>e * productElement, stride, NOTHING, spare,
      );
    }
    for (let channel = 0; channel < r; channel++) {
      const start: f32 = bias ? load<f32>(bias + (<usize>channel << 2)) : 0;
      let from = products + (<usize>(channel * stride) << 2);
      for (let row = first; row < first + rows; row++) {
        const image = row / down, top = (row - image * down) * m;
        const plane = result + (<usize>((image * r + channel) * h * w) << 2);
        transformResultRow(m, from, productElement, start, across, plane, h, w, top, work);
        from += <usize>across << 2;
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
  const size = m + 2, elements = size * size, down = (ho + m - 1) / m, across = (wo + m - 1) / m;
  const blockRows = rowsOfBlock(across), stride = blockStride(across), sumStride = quads(c), pitch = stripPitch(m, across);
  const quadsOfRows = quads(o) / 4, firstOut = 4 * shareStart(quadsOfRows), count = min(o, 4 * shareEnd(quadsOfRows)) - firstOut;
  if (count <= 0) return;
  const imageElement = elementBytes(c * stride), gradientElement = elementBytes(o * stride), sumElement = elementBytes(o * sumStride);
  const work = scratch, sums = work + WORK_BYTES, images = sums + <usize>elements * sumElement;
  const gradients = images + <usize>elements * imageElement, strip = gradients + <usize>elements * gradientElement;
  // Two strips: what lies around a row of the image and around a row of the gradient are zeros in different places.
  const other = strip + (<usize>(size * pitch) << 2), spare = other + (<usize>(size * pitch) << 2);
  clear(strip, 2 * size * pitch);
  if (n == 0) clear(sums, elements * <i32>(sumElement >> 2));
  for (let first = 0; first < n * down; first += blockRows) {
    const rows = min(blockRows, n * down - first);
    for (let row = 0; row < rows; row++) {
      const image = (first + row) / down, top = (first + row - image * down) * m;
      for (let channel = 0; channel < c; channel++) {
        const plane = x + (<usize>((image * c + channel) * h * w) << 2), to = images + (<usize>(channel * stride + row * across) << 2);
        transformImageRow(m, plane, h, w, top - paddingH, paddingW, across, strip, to, imageElement, work);
      }
      for (let out = 0; out < count; out++) {
        const plane = gradY + (<usize>((image * o + firstOut + out) * ho * wo) << 2), to = gradients + (<usize>(out * stride + row * across) << 2);
        transformGradientRow(m, plane, ho, wo, top, across, other, to, gradientElement, work);
      }
    }
    for (let e = 0; e < elements; e++) {
      product(
        false, 0, 1, count, c, rows * across, 1, gradients + <usize>e * gradientElement, stride, images + <usize>e * imageElement, stride,
        first == 0 ? 0 : 1, sums + <usize>e * sumElement, sumStride, NOTHING, spare,
      );
    }
  }
  transformSumsBack(m, sums, sumElement, sumStride, count, c, gradWeight + (<usize>(firstOut * c * 9) << 2), work);
}
