// Fused optimizer updates on flat slices. Contracts: kernels/update.ts.
import { loadSome, storeSome } from './vector';

// @ts-ignore: decorator
@inline
function sgdStep(
  weight: usize, gradient: usize, momentumBuffer: usize, weightOut: usize, momentumOut: usize, at: usize, part: i32,
  rate: v128, factor: v128, share: v128, decay: v128, decays: bool, usesBuffer: bool, starts: bool, nesterov: bool,
): void {
  const w = loadSome(weight + at, part);
  let d = loadSome(gradient + at, part);
  if (decays) d = f32x4.add(d, f32x4.mul(decay, w));
  let buffer = d;
  if (usesBuffer) {
    if (!starts) buffer = f32x4.add(f32x4.mul(factor, loadSome(momentumBuffer + at, part)), f32x4.mul(share, d));
    d = nesterov ? f32x4.add(d, f32x4.mul(factor, buffer)) : buffer;
  }
  storeSome(weightOut + at, f32x4.sub(w, f32x4.mul(rate, d)), part);
  if (momentumOut) storeSome(momentumOut + at, buffer, part);
}

export function sgd_f32(
  weight: usize, gradient: usize, momentumBuffer: usize, weightOut: usize, momentumOut: usize, length: i32,
  lr: f32, momentum: f32, dampening: f32, weightDecay: f32, nesterov: i32, first: i32,
): void {
  const rate = f32x4.splat(lr), factor = f32x4.splat(momentum), share = f32x4.splat(1 - dampening), decay = f32x4.splat(weightDecay);
  const decays = weightDecay != 0;
  const usesBuffer = momentum != 0 && momentumOut != 0;
  const starts = first != 0 || momentumBuffer == 0;
  const whole = (<usize>(length & ~3)) << 2;
  for (let at: usize = 0; at < whole; at += 16) {
    sgdStep(
      weight, gradient, momentumBuffer, weightOut, momentumOut, at, 0,
      rate, factor, share, decay, decays, usesBuffer, starts, nesterov != 0,
    );
  }
  if (length & 3) {
    sgdStep(
      weight, gradient, momentumBuffer, weightOut, momentumOut, whole, length & 3,
      rate, factor, share, decay, decays, usesBuffer, starts, nesterov != 0,
    );
  }
}

/** old + share * (new - old), written from the nearer end: PyTorch's lerp. `rest` is 1 - share. */
// @ts-ignore: decorator
@inline
function lerp(old: v128, next: v128, share: f32, rest: f32): v128 {
  const difference = f32x4.sub(next, old);
  return share < 0.5
    ? f32x4.add(old, f32x4.mul(f32x4.splat(share), difference))
    : f32x4.sub(next, f32x4.mul(f32x4.splat(rest), difference));
}

/** rest * old + share * g * g. */
// @ts-ignore: decorator
@inline
function meanOfSquares(old: v128, g: v128, share: f32, rest: f32): v128 {
  return f32x4.add(f32x4.mul(f32x4.splat(rest), old), f32x4.mul(f32x4.mul(f32x4.splat(share), g), g));
}

// @ts-ignore: decorator
@inline
function adamStep(
  weight: usize, gradient: usize, mean: usize, square: usize, weightOut: usize, meanOut: usize, squareOut: usize, i: i32, part: i32,
  size: v128, beta1: f32, share1: f32, beta2: f32, share2: f32, root: v128, added: v128, decay: v128, kept: v128, couples: bool, shrinks: bool,
): void {
  const at = (<usize>i) << 2;
  let w = loadSome(weight + at, part);
  let g = loadSome(gradient + at, part);
  if (couples) g = f32x4.add(g, f32x4.mul(decay, w));
  if (shrinks) w = f32x4.mul(w, kept);
  const m = lerp(loadSome(mean + at, part), g, share1, beta1);
  const v = meanOfSquares(loadSome(square + at, part), g, share2, beta2);
  const divisor = f32x4.add(f32x4.div(f32x4.sqrt(v), root), added);
  storeSome(weightOut + at, f32x4.sub(w, f32x4.div(f32x4.mul(size, m), divisor)), part);
  storeSome(meanOut + at, m, part);
  storeSome(squareOut + at, v, part);
}

export function adam_f32(
  weight: usize, gradient: usize, mean: usize, square: usize, weightOut: usize, meanOut: usize, squareOut: usize, length: i32,
  stepSize: f32, beta1: f32, share1: f32, beta2: f32, share2: f32, correctionRoot: f32, epsilon: f32, weightDecay: f32, decoupled: i32,
): void {
  const size = f32x4.splat(stepSize), root = f32x4.splat(correctionRoot), added = f32x4.splat(epsilon);
  const decay = f32x4.splat(weightDecay), kept = f32x4.splat(1 - weightDecay);
  const couples = weightDecay != 0 && !decoupled;
  const shrinks = weightDecay != 0 && decoupled != 0;
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    adamStep(
      weight, gradient, mean, square, weightOut, meanOut, squareOut, i, 0,
      size, beta1, share1, beta2, share2, root, added, decay, kept, couples, shrinks,
    );
  }
  if (i < length) {
    adamStep(
      weight, gradient, mean, square, weightOut, meanOut, squareOut, i, length - i,
      size, beta1, share1, beta2, share2, root, added, decay, kept, couples, shrinks,
    );
  }
}

// @ts-ignore: decorator
@inline
function rmspropStep(
  weight: usize, gradient: usize, square: usize, mean: usize, momentumBuffer: usize, weightOut: usize, squareOut: usize, meanOut: usize,
  momentumOut: usize, i: i32, part: i32, rate: v128, alpha: f32, share: f32, added: v128, decay: v128, factor: v128, decays: bool,
): void {
  const at = (<usize>i) << 2;
  const w = loadSome(weight + at, part);
  let g = loadSome(gradient + at, part);
  if (decays) g = f32x4.add(g, f32x4.mul(decay, w));
  const v = meanOfSquares(loadSome(square + at, part), g, share, alpha);
  let spread = v;
  if (meanOut) {
    const m = lerp(mean ? loadSome(mean + at, part) : f32x4.splat(0), g, share, alpha);
    spread = f32x4.sub(v, f32x4.mul(m, m));
    storeSome(meanOut + at, m, part);
  }
  const divisor = f32x4.add(f32x4.sqrt(spread), added);
  if (momentumOut) {
    let buffer = momentumBuffer ? loadSome(momentumBuffer + at, part) : f32x4.splat(0);
    buffer = f32x4.add(f32x4.mul(factor, buffer), f32x4.div(g, divisor));
    storeSome(weightOut + at, f32x4.sub(w, f32x4.mul(rate, buffer)), part);
    storeSome(momentumOut + at, buffer, part);
  } else {
    storeSome(weightOut + at, f32x4.sub(w, f32x4.div(f32x4.mul(rate, g), divisor)), part);
  }
  storeSome(squareOut + at, v, part);
}

export function rmsprop_f32(
  weight: usize, gradient: usize, square: usize, mean: usize, momentumBuffer: usize, weightOut: usize, squareOut: usize, meanOut: usize,
  momentumOut: usize, length: i32, lr: f32, alpha: f32, share: f32, epsilon: f32, weightDecay: f32, momentum: f32,
): void {
  const rate = f32x4.splat(lr), added = f32x4.splat(epsilon), decay = f32x4.splat(weightDecay), factor = f32x4.splat(momentum);
  const decays = weightDecay != 0;
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    rmspropStep(
      weight, gradient, square, mean, momentumBuffer, weightOut, squareOut, meanOut, momentumOut, i, 0,
      rate, alpha, share, added, decay, factor, decays,
    );
  }
  if (i < length) {
    rmspropStep(
      weight, gradient, square, mean, momentumBuffer, weightOut, squareOut, meanOut, momentumOut, i, length - i,
      rate, alpha, share, added, decay, factor, decays,
    );
  }
}

// @ts-ignore: decorator
@inline
function adagradStep(
  weight: usize, gradient: usize, sum: usize, weightOut: usize, sumOut: usize, i: i32, part: i32,
  rate: v128, added: v128, decay: v128, start: v128, decays: bool,
): void {
  const at = (<usize>i) << 2;
  const w = loadSome(weight + at, part);
  let g = loadSome(gradient + at, part);
  if (decays) g = f32x4.add(g, f32x4.mul(decay, w));
  const s = f32x4.add(f32x4.add(loadSome(sum + at, part), start), f32x4.mul(g, g));
  const divisor = f32x4.add(f32x4.sqrt(s), added);
  storeSome(weightOut + at, f32x4.sub(w, f32x4.div(f32x4.mul(rate, g), divisor)), part);
  storeSome(sumOut + at, s, part);
}

export function adagrad_f32(
  weight: usize, gradient: usize, sum: usize, weightOut: usize, sumOut: usize, length: i32,
  lr: f32, epsilon: f32, weightDecay: f32, initial: f32,
): void {
  const rate = f32x4.splat(lr), added = f32x4.splat(epsilon), decay = f32x4.splat(weightDecay), start = f32x4.splat(initial);
  const decays = weightDecay != 0;
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    adagradStep(weight, gradient, sum, weightOut, sumOut, i, 0, rate, added, decay, start, decays);
  }
  if (i < length) adagradStep(weight, gradient, sum, weightOut, sumOut, i, length - i, rate, added, decay, start, decays);
}

/** PyTorch's SparseAdam: old + (g - old) * share, no correction but that in the step size. */
// @ts-ignore: decorator
@inline
function adamRowStep(
  weight: usize, gradient: usize, mean: usize, square: usize, part: i32, size: v128, share1: v128, share2: v128, added: v128,
): void {
  const g = loadSome(gradient, part);
  const oldMean = loadSome(mean, part), oldSquare = loadSome(square, part);
  const m = f32x4.add(oldMean, f32x4.mul(f32x4.sub(g, oldMean), share1));
  const v = f32x4.add(oldSquare, f32x4.mul(f32x4.sub(f32x4.mul(g, g), oldSquare), share2));
  const step = f32x4.mul(size, f32x4.div(m, f32x4.add(f32x4.sqrt(v), added)));
  storeSome(weight, f32x4.sub(loadSome(weight, part), step), part);
  storeSome(mean, m, part);
  storeSome(square, v, part);
}

export function adam_rows_f32(
  weight: usize, rows: usize, gradient: usize, mean: usize, square: usize, tableRows: i32, count: i32, columns: i32,
  stepSize: f32, share1: f32, share2: f32, epsilon: f32,
): void {
  const size = f32x4.splat(stepSize), s1 = f32x4.splat(share1), s2 = f32x4.splat(share2), added = f32x4.splat(epsilon);
  const rowBytes = (<usize>columns) << 2;
  const whole = rowBytes & ~15;
  const part = columns & 3;
  for (let k = 0; k < count; k++) {
    const row = load<i32>(rows + ((<usize>k) << 2));
    if (<u32>row < <u32>tableRows) {
      const at = <usize>row * rowBytes;
      const w = weight + at, m = mean + at, v = square + at;
      for (let i: usize = 0; i < whole; i += 16) adamRowStep(w + i, gradient + i, m + i, v + i, 0, size, s1, s2, added);
      if (part) adamRowStep(w + whole, gradient + whole, m + whole, v + whole, part, size, s1, s2, added);
    }
    gradient += rowBytes;
  }
}
