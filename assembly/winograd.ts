// Convolution with 3x3 filters and stride 1 by Winograd's minimal filtering, F(2x2, 3x3) and F(4x4, 3x3): tiles of images and filters are transformed,
// multiplied element by element (one matrix product over channels per element), and transformed back. Fewer products, other bits than the
// direct convolution. Contract, formulas and error: kernels/winograd.ts. Lanes of a vector are four tiles, or four filters.
import { NOTHING, product } from './product';
import { dealImages, isFirstShare, shareEnd, shareStart } from './shares';
import { clear, copyPadded } from './image';

/** Vectors of a tile at `at`, `step` bytes apart. */
// @ts-ignore: decorator
@inline
function get(at: usize, step: usize, i: i32): v128 {
  return v128.load(at + <usize>i * step);
}

// @ts-ignore: decorator
@inline
function put(at: usize, step: usize, i: i32, value: v128): void {
  v128.store(at + <usize>i * step, value);
}

// @ts-ignore: decorator
@inline
function times(factor: f32, x: v128): v128 {
  return f32x4.mul(f32x4.splat(factor), x);
}

/** One dimension of a tile of the image, m + 2 elements. May be in place. */
function transformImage(m: i32, from: usize, step: usize, to: usize, toStep: usize): void {
  const d0 = get(from, step, 0), d1 = get(from, step, 1), d2 = get(from, step, 2), d3 = get(from, step, 3);
  if (m == 2) {
    put(to, toStep, 0, f32x4.sub(d0, d2));
    put(to, toStep, 1, f32x4.add(d1, d2));
    put(to, toStep, 2, f32x4.sub(d2, d1));
    put(to, toStep, 3, f32x4.sub(d1, d3));
    return;
  }
  const d4 = get(from, step, 4), d5 = get(from, step, 5);
  put(to, toStep, 0, f32x4.add(f32x4.sub(times(4, d0), times(5, d2)), d4));
  const p = f32x4.sub(d4, times(4, d2)), q = f32x4.sub(d3, times(4, d1));
  put(to, toStep, 1, f32x4.add(p, q));
  put(to, toStep, 2, f32x4.sub(p, q));
  const r = f32x4.sub(d4, d2), s = times(2, f32x4.sub(d3, d1));
  put(to, toStep, 3, f32x4.add(r, s));
  put(to, toStep, 4, f32x4.sub(r, s));
  put(to, toStep, 5, f32x4.add(f32x4.sub(times(4, d1), times(5, d3)), d5));
}

/** One dimension of a filter: three elements become m + 2. */
function transformFilter(m: i32, from: usize, step: usize, to: usize, toStep: usize): void {
  const g0 = get(from, step, 0), g1 = get(from, step, 1), g2 = get(from, step, 2);
  const sum = f32x4.add(g0, g2);
  if (m == 2) {
    const half = times(0.5, sum), middle = times(0.5, g1);
    put(to, toStep, 0, g0);
    put(to, toStep, 1, f32x4.add(half, middle));
    put(to, toStep, 2, f32x4.sub(half, middle));
    put(to, toStep, 3, g2);
    return;
  }
  put(to, toStep, 0, times(0.25, g0));
  put(to, toStep, 1, times(<f32>(-1.0 / 6.0), f32x4.add(sum, g1)));
  put(to, toStep, 2, times(<f32>(-1.0 / 6.0), f32x4.sub(sum, g1)));
  const even = f32x4.add(times(<f32>(1.0 / 24.0), g0), times(<f32>(1.0 / 6.0), g2)), odd = times(<f32>(1.0 / 12.0), g1);
  put(to, toStep, 3, f32x4.add(even, odd));
  put(to, toStep, 4, f32x4.sub(even, odd));
  put(to, toStep, 5, g2);
}

/** One dimension of a tile of results: m + 2 elements become m. */
function transformResult(m: i32, from: usize, step: usize, to: usize, toStep: usize): void {
  const m0 = get(from, step, 0), m1 = get(from, step, 1), m2 = get(from, step, 2), m3 = get(from, step, 3);
  const s12 = f32x4.add(m1, m2), d12 = f32x4.sub(m1, m2);
  if (m == 2) {
    put(to, toStep, 0, f32x4.add(f32x4.add(m0, m1), m2));
    put(to, toStep, 1, f32x4.sub(d12, m3));
    return;
  }
  const m4 = get(from, step, 4), m5 = get(from, step, 5);
  const s34 = f32x4.add(m3, m4), d34 = f32x4.sub(m3, m4);
  put(to, toStep, 0, f32x4.add(f32x4.add(m0, s12), s34));
  put(to, toStep, 1, f32x4.add(d12, times(2, d34)));
  put(to, toStep, 2, f32x4.add(s12, times(4, s34)));
  put(to, toStep, 3, f32x4.add(f32x4.add(d12, times(8, d34)), m5));
}

/**
 * Filters of `rows` x `channels`, transformed: element e of (row, channel) at `to + e * rows * stride + row * stride + channel`, `stride` a multiple of
 * four. Filter (row, channel) starts at row * rowStep + channel * channelStep, and is read from its end if `mirrored`.
 */
function transformFilters(
  m: i32, weight: usize, rows: i32, channels: i32, rowStep: i32, channelStep: i32, mirrored: bool, to: usize, stride: i32, tile: usize,
): void {
  const size = m + 2, wide = tile + 9 * 16, element = <usize>(rows * stride) << 2;
  for (let row = 0; row < rows; row++) {
    for (let first = 0; first < channels; first += 4) {
      for (let lane = 0; lane < 4; lane++) {
        const from = weight + (<usize>(row * rowStep + min(first + lane, channels - 1) * channelStep) << 2);
        for (let i = 0; i < 9; i++) {
          store<f32>(tile + (<usize>i << 4) + (<usize>lane << 2), load<f32>(from + (<usize>(mirrored ? 8 - i : i) << 2)));
        }
      }
      for (let j = 0; j < 3; j++) transformFilter(m, tile + (<usize>j << 4), 48, wide + (<usize>j << 4), 48);
      const at = to + (<usize>(row * stride + first) << 2);
      for (let i = 0; i < size; i++) transformFilter(m, wide + <usize>i * 48, 16, at + <usize>(i * size) * element, element);
    }
  }
}

/** One channel of an image in tiles: element e of tile t goes to `to + e * element + t`. */
function transformPlane(m: i32, padded: usize, pitch: i32, across: i32, tiles: i32, to: usize, element: usize, tile: usize): void {
  const size = m + 2, column = <usize>size << 4;
  for (let first = 0; first < tiles; first += 4) {
    for (let lane = 0; lane < 4; lane++) {
      const t = min(first + lane, tiles - 1), y = t / across, x = t - y * across;
      let from = padded + (<usize>(y * m * pitch + x * m) << 2), at = tile + (<usize>lane << 2);
      for (let i = 0; i < size; i++) {
        for (let j = 0; j < size; j++) {
          store<f32>(at, load<f32>(from + (<usize>j << 2)));
          at += 16;
        }
        from += <usize>pitch << 2;
      }
    }
    for (let j = 0; j < size; j++) transformImage(m, tile + (<usize>j << 4), column, tile + (<usize>j << 4), column);
    for (let i = 0; i < size; i++) {
      transformImage(m, tile + <usize>i * column, 16, to + (<usize>first << 2) + <usize>(i * size) * element, element);
    }
  }
}

/** The way back: tiles of one channel at `from`, plus the bias, become a plane of h x w. */
function transformBack(
  m: i32, from: usize, element: usize, bias: f32, across: i32, tiles: i32, to: usize, h: i32, w: i32, tile: usize,
): void {
  const size = m + 2, small = tile + 6 * 6 * 16, start = f32x4.splat(bias);
  for (let first = 0; first < tiles; first += 4) {
    const at = from + (<usize>first << 2);
    for (let j = 0; j < size; j++) {
      transformResult(m, at + <usize>j * element, <usize>size * element, tile + (<usize>j << 4), <usize>size << 4);
    }
    for (let i = 0; i < m; i++) transformResult(m, tile + (<usize>(i * size) << 4), 16, small + (<usize>(i * m) << 4), 16);
    for (let i = 0; i < m * m; i++) v128.store(small + (<usize>i << 4), f32x4.add(start, v128.load(small + (<usize>i << 4))));
    for (let lane = 0; lane < 4 && first + lane < tiles; lane++) {
      const t = first + lane, top = t / across * m, left = (t - t / across * across) * m;
      for (let i = 0; i < min(m, h - top); i++) {
        const row = to + (<usize>((top + i) * w + left) << 2);
        for (let j = 0; j < min(m, w - left); j++) {
          store<f32>(row + (<usize>j << 2), load<f32>(small + (<usize>(i * m + j) << 4) + (<usize>lane << 2)));
        }
      }
    }
  }
}

/** Rounds up to whole vectors. */
// @ts-ignore: decorator
@inline
function quads(count: i32): i32 {
  return (count + 3) & ~3;
}

/** A convolution from `s` planes of hs x ws to `r` planes of h x w. */
function winograd(
  m: i32, n: i32, source: usize, s: i32, hs: i32, ws: i32, weight: usize, mirrored: bool, bias: usize, result: usize, r: i32, h: i32, w: i32,
  paddingH: i32, paddingW: i32, scratch: usize,
): void {
  if (dealImages(n)) {
    const first = shareStart(n);
    source += <usize>(first * s * hs * ws) << 2;
    result += <usize>(first * r * h * w) << 2;
    n = shareEnd(n) - first;
  } else if (!isFirstShare()) return;
  const size = m + 2, elements = size * size, down = (h + m - 1) / m, across = (w + m - 1) / m, tiles = down * across;
  const rows = down * m + 2, pitch = across * m + 2, stride = quads(tiles), filterStride = quads(s);
  const tile = scratch, filters = tile + 2 * 36 * 16, images = filters + (<usize>(elements * r * filterStride) << 2);
  const products = images + (<usize>(elements * s * stride) << 2), padded = products + (<usize>(elements * r * stride) << 2);
  const spare = padded + (<usize>quads(rows * pitch) << 2);
  transformFilters(m, weight, r, s, mirrored ? 9 : 9 * s, mirrored ? 9 * r : 9, mirrored, filters, filterStride, tile);
  clear(padded, rows * pitch);
  const imageElement = <usize>(s * stride) << 2, productElement = <usize>(r * stride) << 2;
  for (let image = 0; image < n; image++) {
    for (let channel = 0; channel < s; channel++) {
      copyPadded(source, 1, hs, ws, padded, rows, pitch, paddingH, paddingW, 1);
      transformPlane(m, padded, pitch, across, tiles, images + (<usize>(channel * stride) << 2), imageElement, tile);
      source += <usize>(hs * ws) << 2;
    }
    for (let e = 0; e < elements; e++) {
      product(
        false, 0, 0, r, tiles, s, 1, filters + (<usize>(e * r * filterStride) << 2), filterStride, images + <usize>e * imageElement, stride,
        0, products + <usize>e * productElement, stride, NOTHING, spare,
      );
    }
    for (let channel = 0; channel < r; channel++) {
      const start: f32 = bias ? load<f32>(bias + (<usize>channel << 2)) : 0;
      transformBack(m, products + (<usize>(channel * stride) << 2), productElement, start, across, tiles, result, h, w, tile);
      result += <usize>(h * w) << 2;
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
