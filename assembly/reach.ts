// Which source pixels the taps of a convolution reach from each output pixel, one dimension at a time: output positions that reach alike (the same
// taps, relative to their first source position) are one class, and each pair of a row class and a column class has one list of taps.
// Forward, output y and tap i meet source y * stride + i * dilation - padding; in backward-data, (y + padding - i * dilation) / stride, where that
// leaves no remainder. Taps that meet the padding are left out, but still count where blocks of 256 end.
import { KC } from './tile';
import { PIXEL, TAP } from './lanes';

/** Bytes of a class: its first tap, how many are left, how many were left out before the first, how many there are with those left out. */
const CLASS: usize = 16;

function divisor(a: i32, b: i32): i32 {
  while (b) {
    const rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

/** From one tap that an output meets to the next: 1 forward. */
export function tapStep(forward: bool, stride: i32, dilation: i32): i32 {
  return forward ? 1 : stride / divisor(stride, dilation);
}

/** From the source position of one such tap to that of the next. */
export function sourceStep(forward: bool, stride: i32, dilation: i32): i32 {
  return forward ? dilation : -(dilation / divisor(stride, dilation));
}

/** An upper bound of the number of classes: clipping at either end leaves at most two classes per tap, and each phase has one in between. */
// @ts-ignore: decorator
@inline
export function classBound(count: i32, kernel: i32, stride: i32): i32 {
  return min(count, 2 * kernel + stride);
}

/**
 * For each of `count` output positions, its class and the source position of its first tap (0 without taps) at `lines`, multiplied by
 * `classUnit` and `sourceUnit`; the classes at `classes`. Returns the number of classes.
 */
export function listReach(
  forward: bool, count: i32, kernel: i32, limit: i32, stride: i32, padding: i32, dilation: i32, lines: usize, classUnit: i32, sourceUnit: i32,
  classes: usize,
): i32 {
  const step = tapStep(forward, stride, dilation);
  let known = 0;
  for (let y = 0; y < count; y++) {
    let start = 0;
    if (!forward) while (start < step && (y + padding - start * dilation) % stride != 0) start++;
    let first = 0, taps = 0, before = 0, all = 0, base = 0;
    if (start < step) {
      for (let i = start; i < kernel; i += step) {
        const source = forward ? y * stride + i * dilation - padding : (y + padding - i * dilation) / stride;
        if (source >= 0 && source < limit) {
          if (taps == 0) {
            first = i;
            base = source;
          }
          taps++;
        } else if (taps == 0) before++;
        all++;
      }
    }
    let found = 0;
    while (found < known) {
      const entry = classes + <usize>found * CLASS;
      if (load<i32>(entry) == first && load<i32>(entry, 4) == taps) break;
      found++;
    }
    if (found == known) {
      const entry = classes + <usize>found * CLASS;
      store<i32>(entry, first);
      store<i32>(entry, taps, 4);
      store<i32>(entry, before, 8);
      store<i32>(entry, all, 12);
      known++;
    }
    store<i32>(lines, found * classUnit);
    store<i32>(lines, base * sourceUnit, 4);
    lines += 8;
  }
  return known;
}

/**
 * The list of one pair of classes over `channels` source channels: per block of 256 taps where its part starts and how many taps it has, then the
 * taps, each the offsets of its weights and of its source pixel. Returns where the list ends.
 */
export function listTapsOf(
  list: usize, blocks: i32, channels: i32, rowClass: usize, columnClass: usize, kh: i32, kw: i32, plane: i32, pitch: i32,
  tapStepH: i32, tapStepW: i32, sourceStepH: i32, sourceStepW: i32,
): usize {
  const rows = load<i32>(rowClass, 4), columns = load<i32>(columnClass, 4), each = rows * columns;
  const entries = list + (<usize>blocks << 3);
  let to = entries;
  for (let i = 0; i < rows; i++) {
    const tapRow = (load<i32>(rowClass) + i * tapStepH) * kw, sourceRow = i * sourceStepH * pitch;
    for (let j = 0; j < columns; j++) {
      store<i32>(to, (tapRow + load<i32>(columnClass) + j * tapStepW) * TAP);
      store<i32>(to, (sourceRow + j * sourceStepW) * PIXEL, 4);
      to += 8;
    }
  }
  // The other channels: the same, moved on.
  const move = i32x4(kh * kw * TAP, plane * PIXEL, kh * kw * TAP, plane * PIXEL);
  const end = entries + (<usize>(channels * each) << 3);
  let from = entries;
  if (each > 1) {
    // Two taps at a time, and so perhaps one past the end, which the next list overwrites.
    for (; to < end; to += 16) {
      v128.store(to, i32x4.add(v128.load(from), move));
      from += 16;
    }
  } else {
    for (; to < end; to += 8) {
      store<i32>(to, load<i32>(from) + kh * kw * TAP);
      store<i32>(to, load<i32>(from, 4) + plane * PIXEL, 4);
      from += 8;
    }
  }
  cutBlocks(list, blocks, entries, channels, rowClass, columnClass);
  return end;
}

/** Where blocks end: taps that were left out count. */
function cutBlocks(list: usize, blocks: i32, entries: usize, channels: i32, rowClass: usize, columnClass: usize): void {
  const rows = load<i32>(rowClass, 4), beforeRows = load<i32>(rowClass, 8), allRows = load<i32>(rowClass, 12);
  const columns = load<i32>(columnClass, 4), beforeColumns = load<i32>(columnClass, 8), allColumns = load<i32>(columnClass, 12);
  let done = 0;
  for (let block = 1; block <= blocks; block++) {
    const last = block * KC, all = max(1, allRows * allColumns);
    const channel = min(channels, last / all);
    let listed = channel * rows * columns;
    if (channel < channels && listed < channels * rows * columns) {
      const rest = last - channel * all, row = rest / allColumns;
      listed += max(0, min(rows, row - beforeRows)) * columns;
      if (row >= beforeRows && row < beforeRows + rows) listed += max(0, min(columns, rest - row * allColumns - beforeColumns));
    }
    store<usize>(list, entries + (<usize>done << 3));
    store<i32>(list, listed - done, 4);
    list += 8;
    done = listed;
  }
}
