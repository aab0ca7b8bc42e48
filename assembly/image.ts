// Images as convolution reads them: zero-padded, and split by column phase when the stride is more than 1, so that neighbouring output
// columns always read neighbouring floats. Then a tap of the kernel is one byte offset, the same for every output position.
// Column x of a padded row lies at (x mod phases) * (pitch / phases) + x div phases.

/** Fills `count` floats with +0. */
export function clear(to: usize, count: i32): void {
  memory.fill(to, 0, <usize>count << 2);
}

/**
 * Copies `channels` planes of h x w into padded planes of `rows` x `pitch` floats: element (y, x) goes to row y + top, padded column x + left.
 * Only the copied elements are written: the zeros around them are cleared once and last for all images.
 */
export function copyPadded(
  from: usize, channels: i32, h: i32, w: i32, to: usize, rows: i32, pitch: i32, top: i32, left: i32, phases: i32,
): void {
  const pitchBytes = <usize>pitch << 2;
  for (let channel = 0; channel < channels; channel++) {
    let row = to + <usize>top * pitchBytes;
    for (let y = 0; y < h; y++) {
      if (phases == 1) copyRow(from, row + (<usize>left << 2), w);
      else copyRowByPhase(from, row, w, left, phases, <usize>(pitch / phases) << 2);
      from += <usize>w << 2;
      row += pitchBytes;
    }
    to += <usize>rows * pitchBytes;
  }
}

/** `memory.copy` calls out of the compiled code, which costs more than a short row. */
export function copyRow(from: usize, to: usize, count: i32): void {
  for (; count >= 4; count -= 4) {
    v128.store(to, v128.load(from));
    from += 16;
    to += 16;
  }
  for (; count > 0; count--) {
    store<f32>(to, load<f32>(from));
    from += 4;
    to += 4;
  }
}

/** Eight floats at a time: those at even places to `even`, the others to `odd`. */
function copyPairs(from: usize, eights: i32, even: usize, odd: usize): void {
  for (; eights > 0; eights--) {
    const a = v128.load(from), b = v128.load(from, 16);
    v128.store(even, v128.shuffle<f32>(a, b, 0, 2, 4, 6));
    v128.store(odd, v128.shuffle<f32>(a, b, 1, 3, 5, 7));
    from += 32;
    even += 16;
    odd += 16;
  }
}

function copyRowByPhase(from: usize, row: usize, count: i32, left: i32, phases: i32, phaseBytes: usize): void {
  let phase = left % phases;
  let to = row + <usize>phase * phaseBytes + (<usize>(left / phases) << 2);
  if (phases == 2) {
    const other = phase ? to - phaseBytes + 4 : to + phaseBytes;
    const pairs = count >> 3;
    copyPairs(from, pairs, to, other);
    from += <usize>pairs << 5;
    to += <usize>pairs << 4;
    count &= 7;
  }
  for (; count > 0; count--) {
    store<f32>(to, load<f32>(from));
    from += 4;
    to += phaseBytes;
    if (++phase == phases) {
      phase = 0;
      to = to - <usize>phases * phaseBytes + 4;
    }
  }
}

/**
 * A column panel of patches: for each of `steps` taps (byte offsets at `taps`), the floats at eight output positions, starting with position
 * `first` of `count`. Position q is at row q div `columns` (`rowBytes` apart), column q mod `columns` (adjacent). Positions past the last
 * repeat it: their sums are thrown away.
 */
export function packPatches(image: usize, first: i32, count: i32, columns: i32, rowBytes: usize, taps: usize, steps: i32, to: usize): void {
  const row = first / columns, column = first - row * columns;
  const base = image + <usize>row * rowBytes + (<usize>column << 2);
  if (column + 8 <= columns) {
    packTwo(base, base + 16, taps, steps, to);
  } else if (columns >= 4 && columns - column == 4 && first + 8 <= count) {
    packTwo(base, image + <usize>(row + 1) * rowBytes, taps, steps, to);
  } else {
    packHalf(image, first, count, columns, rowBytes, taps, steps, to);
    packHalf(image, first + 4, count, columns, rowBytes, taps, steps, to + 16);
  }
}

function packTwo(p: usize, q: usize, taps: usize, steps: i32, to: usize): void {
  for (; steps > 0; steps--) {
    const offset = load<usize>(taps);
    v128.store(to, v128.load(p + offset));
    v128.store(to, v128.load(q + offset), 16);
    taps += 4;
    to += 32;
  }
}

function packHalf(image: usize, first: i32, count: i32, columns: i32, rowBytes: usize, taps: usize, steps: i32, to: usize): void {
  const p0 = position(image, first, count, columns, rowBytes);
  const p1 = position(image, first + 1, count, columns, rowBytes);
  const p2 = position(image, first + 2, count, columns, rowBytes);
  const p3 = position(image, first + 3, count, columns, rowBytes);
  // All three: rows a few floats long can put the last one there by chance.
  if (p1 == p0 + 4 && p2 == p0 + 8 && p3 == p0 + 12) {
    for (; steps > 0; steps--) {
      v128.store(to, v128.load(p0 + load<usize>(taps)));
      taps += 4;
      to += 32;
    }
    return;
  }
  for (; steps > 0; steps--) {
    const offset = load<usize>(taps);
    store<f32>(to, load<f32>(p0 + offset));
    store<f32>(to, load<f32>(p1 + offset), 4);
    store<f32>(to, load<f32>(p2 + offset), 8);
    store<f32>(to, load<f32>(p3 + offset), 12);
    taps += 4;
    to += 32;
  }
}

// @ts-ignore: decorator
@inline
function position(image: usize, index: i32, count: i32, columns: i32, rowBytes: usize): usize {
  const last = min(index, count - 1);
  const row = last / columns;
  return image + <usize>row * rowBytes + (<usize>(last - row * columns) << 2);
}

/** Where the patches of positions `first` to `first + 3` start, if those are in one row (and so four adjacent floats for every tap); else 0. */
export function neighbours(image: usize, first: i32, count: i32, columns: i32, rowBytes: usize): usize {
  const row = first / columns, column = first - row * columns;
  return column + 4 <= columns && first + 4 <= count ? image + <usize>row * rowBytes + (<usize>column << 2) : 0;
}
