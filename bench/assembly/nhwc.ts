// The other layout, as far as the measurement for docs/adr/0002-layout.md needs it: convolution on NHWC with the same register tile. Weights are
// [kh, kw, c, o]. Rows of a tile are output positions (forward, backward-data) or taps (backward-filter) read in place; columns are channels.
import { MR, NR, STORE, TILE_BYTES, tile, UPDATE, zeros } from '../../assembly/tile';

const KC: i32 = 256;

function copyPadded(from: usize, h: i32, rowFloats: i32, to: usize, pitchFloats: i32, top: i32, leftFloats: i32): void {
  to += (<usize>(top * pitchFloats + leftFloats)) << 2;
  for (let y = 0; y < h; y++) {
    let p = from,
      q = to,
      count = rowFloats;
    for (; count >= 4; count -= 4) {
      v128.store(q, v128.load(p));
      p += 16;
      q += 16;
    }
    for (; count > 0; count--) {
      store<f32>(q, load<f32>(p));
      p += 4;
      q += 4;
    }
    from += (<usize>rowFloats) << 2;
    to += (<usize>pitchFloats) << 2;
  }
}

/** Column panels of eight, zero-filled: from `count` rows of `width` floats. */
function packPanels(from: usize, count: i32, width: i32, to: usize): void {
  for (let left = 0; left < width; left += NR) {
    const lanes = min(NR, width - left);
    let p = from + ((<usize>left) << 2);
    for (let s = 0; s < count; s++) {
      if (lanes == NR) {
        v128.store(to, v128.load(p));
        v128.store(to, v128.load(p, 16), 16);
      } else {
        for (let lane = 0; lane < NR; lane++)
          store<f32>(to + ((<usize>lane) << 2), lane < lanes ? load<f32>(p + ((<usize>lane) << 2)) : 0);
      }
      p += (<usize>width) << 2;
      to += 32;
    }
  }
}

/** y = conv(x, weight), bias absent. `packed` are weights in panels of eight output channels, taps in the order (kh, kw, c). */
function convolve(
  x: usize,
  packed: usize,
  y: usize,
  n: i32,
  c: i32,
  h: i32,
  w: i32,
  o: i32,
  kh: i32,
  kw: i32,
  stride: i32,
  padding: i32,
  ho: i32,
  wo: i32,
  padded: usize,
  spare: usize,
): void {
  const pitch = (w + 2 * padding) * c,
    run = kw * c,
    k = kh * run,
    positions = ho * wo;
  const rowsPerBlock = max(1, KC / run),
    jump = (<usize>(pitch - run)) << 2;
  if (padding) memory.fill(padded, 0, (<usize>((h + 2 * padding) * pitch)) << 2);
  for (let image = 0; image < n; image++) {
    if (padding) copyPadded(x, h, w * c, padded, pitch, padding, padding * c);
    const from = padding ? padded : x;
    for (let row = 0; row < kh; row += rowsPerBlock) {
      const runs = min(rowsPerBlock, kh - row),
        mode = row == 0 ? STORE : UPDATE;
      const first = from + ((<usize>(row * pitch)) << 2);
      let i = 0,
        j = 0;
      for (let q = 0; q < positions; q += MR) {
        const height = min(MR, positions - q);
        const a0 = first + ((<usize>(i * stride * pitch + j * stride * c)) << 2);
        if (height > 1 && ++j == wo) {
          j = 0;
          i++;
        }
        const a1 = first + ((<usize>(i * stride * pitch + j * stride * c)) << 2);
        if (height > 2 && ++j == wo) {
          j = 0;
          i++;
        }
        const a2 = first + ((<usize>(i * stride * pitch + j * stride * c)) << 2);
        if (height > 3 && ++j == wo) {
          j = 0;
          i++;
        }
        const a3 = first + ((<usize>(i * stride * pitch + j * stride * c)) << 2);
        if (++j == wo) {
          j = 0;
          i++;
        }
        for (let left = 0; left < o; left += NR) {
          const b = packed + ((<usize>(((left / NR) * k + row * run) * NR)) << 2);
          let at = y + ((<usize>(q * o + left)) << 2);
          const width = min(NR, o - left);
          if (width == NR && height == MR) {
            tile(runs, run, a0, a1, a2, a3, 4, jump, b, 32, mode, 1, 1, zeros, at, (<usize>o) << 2);
          } else {
            tile(runs, run, a0, a1, a2, a3, 4, jump, b, 32, STORE, 1, 0, zeros, spare, 32);
            for (let r = 0; r < height; r++) {
              let lane = 0;
              const s = spare + <usize>(r * 32);
              for (; lane + 4 <= width; lane += 4) {
                const to = at + ((<usize>lane) << 2),
                  z = v128.load(s + ((<usize>lane) << 2));
                v128.store(to, mode == STORE ? z : f32x4.add(v128.load(to), z));
              }
              for (; lane < width; lane++) {
                const to = at + ((<usize>lane) << 2),
                  z = load<f32>(s + ((<usize>lane) << 2));
                store<f32>(to, mode == STORE ? z : load<f32>(to) + z);
              }
              at += (<usize>o) << 2;
            }
          }
        }
      }
    }
    x += (<usize>(h * w * c)) << 2;
    y += (<usize>(positions * o)) << 2;
  }
}

export function forward(
  x: usize,
  weight: usize,
  y: usize,
  n: i32,
  c: i32,
  h: i32,
  w: i32,
  o: i32,
  kernel: i32,
  stride: i32,
  padding: i32,
  scratch: usize,
): void {
  const ho = (h + 2 * padding - kernel) / stride + 1,
    wo = (w + 2 * padding - kernel) / stride + 1,
    k = kernel * kernel * c;
  const packed = scratch + TILE_BYTES,
    padded = packed + ((<usize>(k * (o + NR))) << 2);
  packPanels(weight, k, o, packed);
  convolve(x, packed, y, n, c, h, w, o, kernel, kernel, stride, padding, ho, wo, padded, scratch);
}

/** Stride 1 only: a convolution of gradY with the weights turned round. */
export function backwardData(
  gradY: usize,
  weight: usize,
  gradX: usize,
  n: i32,
  c: i32,
  h: i32,
  w: i32,
  o: i32,
  kernel: i32,
  padding: i32,
  scratch: usize,
): void {
  const ho = h + 2 * padding - kernel + 1,
    wo = w + 2 * padding - kernel + 1,
    k = kernel * kernel * o;
  const packed = scratch + TILE_BYTES,
    padded = packed + ((<usize>(k * (c + NR))) << 2);
  for (let left = 0; left < c; left += NR) {
    let to = packed + ((<usize>(left * k)) << 2);
    for (let t = kernel * kernel - 1; t >= 0; t--) {
      for (let channel = 0; channel < o; channel++) {
        for (let lane = 0; lane < NR; lane++) {
          store<f32>(
            to,
            left + lane < c ? load<f32>(weight + ((<usize>((t * c + left + lane) * o + channel)) << 2)) : 0,
          );
          to += 4;
        }
      }
    }
  }
  convolve(gradY, packed, gradX, n, o, ho, wo, c, kernel, kernel, 1, kernel - 1 - padding, h, w, padded, scratch);
}

export function backwardFilter(
  x: usize,
  gradY: usize,
  gradWeight: usize,
  n: i32,
  c: i32,
  h: i32,
  w: i32,
  o: i32,
  kernel: i32,
  stride: i32,
  padding: i32,
  scratch: usize,
): void {
  const ho = (h + 2 * padding - kernel) / stride + 1,
    wo = (w + 2 * padding - kernel) / stride + 1,
    k = kernel * kernel * c;
  const pitch = (w + 2 * padding) * c,
    tapPanels = (k + MR - 1) / MR,
    outPanels = (o + NR - 1) / NR,
    positions = ho * wo;
  const sums = scratch,
    taps = sums + <usize>(tapPanels * outPanels) * TILE_BYTES,
    columns = taps + ((<usize>(k + MR)) << 2);
  const padded = columns + ((<usize>(positions * (o + NR))) << 2);
  for (let t = 0; t < tapPanels * MR; t++) {
    const tap = min(t, k - 1),
      i = tap / (kernel * c);
    store<i32>(taps + ((<usize>t) << 2), (i * pitch + tap - i * kernel * c) << 2);
  }
  memory.fill(sums, 0, <usize>(tapPanels * outPanels) * TILE_BYTES);
  if (padding) memory.fill(padded, 0, (<usize>((h + 2 * padding) * pitch)) << 2);
  const blockRows = max(1, KC / wo),
    aStep = (<usize>(stride * c)) << 2,
    jump = ((<usize>(stride * pitch)) << 2) - <usize>wo * aStep;
  for (let image = 0; image < n; image++) {
    if (padding) copyPadded(x, h, w * c, padded, pitch, padding, padding * c);
    const from = padding ? padded : x,
      direct = o % NR == 0;
    if (!direct) packPanels(gradY, positions, o, columns);
    let sum = sums;
    for (let left = 0; left < o; left += NR) {
      for (let row = 0; row < ho; row += blockRows) {
        const origin = from + ((<usize>(row * stride * pitch)) << 2);
        const b = direct
          ? gradY + ((<usize>(row * wo * o + left)) << 2)
          : columns + <usize>(((left / NR) * positions + row * wo) * 32);
        for (let t = 0; t < tapPanels; t++) {
          const four = taps + ((<usize>t) << 4);
          tile(
            min(blockRows, ho - row),
            wo,
            origin + load<usize>(four),
            origin + load<usize>(four, 4),
            origin + load<usize>(four, 8),
            origin + load<usize>(four, 12),
            aStep,
            jump,
            b,
            direct ? (<usize>o) << 2 : 32,
            UPDATE,
            1,
            1,
            zeros,
            sum + <usize>t * TILE_BYTES,
            32,
          );
        }
      }
      sum += <usize>tapPanels * TILE_BYTES;
    }
    x += (<usize>(h * w * c)) << 2;
    gradY += (<usize>(positions * o)) << 2;
  }
  for (let t = 0; t < k; t++) {
    for (let left = 0; left < o; left++) {
      store<f32>(
        gradWeight,
        load<f32>(
          sums + <usize>((left / NR) * tapPanels + t / MR) * TILE_BYTES + ((<usize>((t % MR) * NR + (left % NR))) << 2),
        ),
      );
      gradWeight += 4;
    }
  }
}
