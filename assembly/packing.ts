// Packing: bringing four lanes of an operand side by side, one 16-byte vector per step of k. A row panel is one such stream, a column panel two.
import { NR } from './tile';

/** Four streams whose steps are contiguous (a transposition): `steps` vectors at `to`, `toStep` apart. Streams past `lanes` repeat the last. */
export function packTransposed(from: usize, lane: usize, lanes: i32, steps: i32, to: usize, toStep: usize): void {
  const s1 = from + (lanes > 1 ? lane : 0), s2 = s1 + (lanes > 2 ? lane : 0);
  packStreams(from, s1, s2, s2 + (lanes > 3 ? lane : 0), steps, to, toStep);
}

/** `packTransposed` for streams that begin anywhere. */
export function packStreams(s0: usize, s1: usize, s2: usize, s3: usize, steps: i32, to: usize, toStep: usize): void {
  for (; steps >= 4; steps -= 4) {
    const r0 = v128.load(s0), r1 = v128.load(s1), r2 = v128.load(s2), r3 = v128.load(s3);
    const a = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5), b = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
    const c = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7), d = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
    v128.store(to, v128.shuffle<f64>(a, b, 0, 2));
    v128.store(to + toStep, v128.shuffle<f64>(a, b, 1, 3));
    v128.store(to + 2 * toStep, v128.shuffle<f64>(c, d, 0, 2));
    v128.store(to + 3 * toStep, v128.shuffle<f64>(c, d, 1, 3));
    s0 += 16;
    s1 += 16;
    s2 += 16;
    s3 += 16;
    to += 4 * toStep;
  }
  for (; steps > 0; steps--) {
    store<f32>(to, load<f32>(s0));
    store<f32>(to, load<f32>(s1), 4);
    store<f32>(to, load<f32>(s2), 8);
    store<f32>(to, load<f32>(s3), 12);
    s0 += 4;
    s1 += 4;
    s2 += 4;
    s3 += 4;
    to += toStep;
  }
}

/** Four columns of four planes: a vector of lanes for each column, at `to`. */
// @ts-ignore: decorator
@inline
function packFourColumns(s0: usize, s1: usize, s2: usize, s3: usize, to: usize): void {
  const r0 = v128.load(s0), r1 = v128.load(s1), r2 = v128.load(s2), r3 = v128.load(s3);
  const a = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5), b = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
  const c = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7), d = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<f64>(a, b, 0, 2));
  v128.store(to, v128.shuffle<f64>(a, b, 1, 3), 16);
  v128.store(to, v128.shuffle<f64>(c, d, 0, 2), 32);
  v128.store(to, v128.shuffle<f64>(c, d, 1, 3), 48);
}

/**
 * 1 to 4 planes of `rows` x `columns` side by side: column q of row y of all becomes the vector at to + y * pitch + 16 q. Planes that are missing repeat the
 * last. A row's last four columns are written together, if need be some of them again.
 */
export function packPlanes(from: usize, plane: usize, planes: i32, rows: i32, columns: i32, to: usize, pitch: usize): void {
  if (columns < 4) {
    for (; rows > 0; rows--) {
      packTransposed(from, plane, planes, columns, to, 16);
      from += <usize>columns << 2;
      to += pitch;
    }
    return;
  }
  let s0 = from;
  let s1 = s0 + (planes > 1 ? plane : 0);
  let s2 = s1 + (planes > 2 ? plane : 0);
  let s3 = s2 + (planes > 3 ? plane : 0);
  const rest = columns & 3, back = <usize>(rest - 4) << 2, gap = pitch - (<usize>columns << 4);
  for (; rows > 0; rows--) {
    let left = columns >> 2;
    do {
      packFourColumns(s0, s1, s2, s3, to);
      s0 += 16;
      s1 += 16;
      s2 += 16;
      s3 += 16;
      to += 64;
    } while (--left);
    if (rest) {
      s0 += back;
      s1 += back;
      s2 += back;
      s3 += back;
      to += 4 * back;
      packFourColumns(s0, s1, s2, s3, to);
      s0 += 16;
      s1 += 16;
      s2 += 16;
      s3 += 16;
      to += 64;
    }
    to += gap;
  }
}

/** Four contiguous lanes at each step: a copy. Lanes past `lanes` are 0. */
export function packCopied(from: usize, step: usize, lanes: i32, steps: i32, to: usize, toStep: usize): void {
  if (lanes >= 4) {
    for (; steps > 0; steps--) {
      v128.store(to, v128.load(from));
      from += step;
      to += toStep;
    }
    return;
  }
  for (; steps > 0; steps--) {
    store<f32>(to, load<f32>(from));
    store<f32>(to, lanes > 1 ? load<f32>(from, 4) : 0, 4);
    store<f32>(to, lanes > 2 ? load<f32>(from, 8) : 0, 8);
    store<f32>(to, 0, 12);
    from += step;
    to += toStep;
  }
}

/** Eight contiguous lanes at each step. */
function packCopied8(from: usize, step: usize, steps: i32, to: usize, toStep: usize): void {
  for (; steps > 0; steps--) {
    v128.store(to, v128.load(from));
    v128.store(to, v128.load(from, 16), 16);
    from += step;
    to += toStep;
  }
}

/** Sixteen contiguous lanes at each step, the second eight at `other`. */
function packCopied16(from: usize, step: usize, steps: i32, to: usize, other: usize, toStep: usize): void {
  for (; steps > 0; steps--) {
    const a = v128.load(from), b = v128.load(from, 16), c = v128.load(from, 32), d = v128.load(from, 48);
    v128.store(to, a);
    v128.store(to, b, 16);
    v128.store(other, c);
    v128.store(other, d, 16);
    from += step;
    to += toStep;
    other += toStep;
  }
}

/**
 * Two column panels, `lanes` (up to 16) wide together, as by packColumns. Rows of a matrix are often a multiple of 4096 bytes apart, and share one set of the
 * first cache then: of a line that both panels read, nothing would be left for the second.
 */
export function packTwoPanels(
  from: usize, lane: usize, step: usize, lanes: i32, steps: i32, to: usize, other: usize, toStep: usize,
): void {
  if (lane == 4 && lanes == 16) {
    packCopied16(from, step, steps, to, other, toStep);
    return;
  }
  packColumns(from, lane, step, min(8, lanes), steps, to, toStep);
  if (lanes > 8) packColumns(from + 8 * lane, lane, step, lanes - 8, steps, other, toStep);
}

/**
 * A column panel (eight lanes) of a matrix: `lane` and `step` are the strides in bytes, one of them 4. Its steps lie `toStep` apart. Lanes past
 * `lanes` hold anything.
 */
export function packColumns(from: usize, lane: usize, step: usize, lanes: i32, steps: i32, to: usize, toStep: usize): void {
  if (lane != 4) {
    packTransposed(from, lane, lanes, steps, to, toStep);
    if (lanes > 4) packTransposed(from + 4 * lane, lane, lanes - 4, steps, to + 16, toStep);
  } else if (lanes == 8) {
    packCopied8(from, step, steps, to, toStep);
  } else {
    packCopied(from, step, lanes, steps, to, toStep);
    if (lanes > 4) packCopied(from + 16, step, lanes - 4, steps, to + 16, toStep);
  }
}

/**
 * Steps that are packed across all columns before the next ones, where columns are contiguous: eight streams that the processor follows. All steps of sixteen
 * columns at a time, each in another page, are 15 to 40 % slower in products of 12 to 32 rows by 1024 x 1024 (Zen 3); 4 and 16 steps, 5 %.
 */
// @ts-ignore: decorator
@inline
const BAND: i32 = 8;

/** Packs a block of B in panels of eight columns, one after the other. */
export function packBlock(from: usize, column: usize, step: usize, width: i32, steps: i32, to: usize): void {
  const panel = <usize>steps << 5, band = column == 4 && width > 2 * NR ? BAND : steps;
  for (let done = 0; done < steps; done += band) {
    const count = min(band, steps - done);
    let columns = from + <usize>done * step, at = to + (<usize>done << 5);
    for (let left = width; left > 0; left -= 2 * NR) {
      packTwoPanels(columns, column, step, min(2 * NR, left), count, at, at + panel, 32);
      columns += 16 * column;
      at += 2 * panel;
    }
  }
}

/** Where gemm_pack_b_f32 has put `steps` steps from step `from` on of the eight columns from `left` on, of `n` columns in all. */
// @ts-ignore: decorator
@inline
export function packedPanel(packed: usize, n: i32, from: i32, left: i32, steps: i32): usize {
  return packed + (<usize>(from * ((n + NR - 1) & -NR) + left * steps) << 2);
}

/** Sixteen contiguous lanes at each step, in four row panels that begin `panel` apart. */
function packFourPanels(from: usize, step: usize, steps: i32, to: usize, panel: usize): void {
  let t1 = to + panel, t2 = t1 + panel, t3 = t2 + panel;
  for (; steps > 0; steps--) {
    const a = v128.load(from), b = v128.load(from, 16), c = v128.load(from, 32), d = v128.load(from, 48);
    v128.store(to, a);
    v128.store(t1, b);
    v128.store(t2, c);
    v128.store(t3, d);
    from += step;
    to += 16;
    t1 += 16;
    t2 += 16;
    t3 += 16;
  }
}

/** Row panels of a matrix, one after the other: four lanes by `steps` each. */
export function packRows(from: usize, lane: usize, step: usize, rows: i32, steps: i32, to: usize): void {
  if (lane == 4) {
    // Sixteen lanes together, a line of the cache: see packTwoPanels.
    for (; rows >= 16; rows -= 16) {
      const panel = <usize>steps << 4;
      packFourPanels(from, step, steps, to, panel);
      from += 64;
      to += 4 * panel;
    }
  }
  for (; rows > 0; rows -= 4) {
    if (lane == 4) packCopied(from, step, rows, steps, to, 16);
    else packTransposed(from, lane, rows, steps, to, 16);
    from += 4 * lane;
    to += <usize>steps << 4;
  }
}
