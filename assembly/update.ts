// Fused optimizer updates on flat slices. Contracts: kernels/update.ts.
import { loadPart, storePart } from './vector';

export function sgd_f32(
  weight: usize, gradient: usize, momentumBuffer: usize, weightOut: usize, momentumOut: usize, length: i32,
  lr: f32, momentum: f32, dampening: f32, weightDecay: f32, nesterov: i32, first: i32,
): void {
  const rate = f32x4.splat(lr), factor = f32x4.splat(momentum), share = f32x4.splat(1 - dampening), decay = f32x4.splat(weightDecay);
  const decays = weightDecay != 0;
  const usesBuffer = momentum != 0 && momentumOut != 0;
  const starts = first != 0 || momentumBuffer == 0;
  for (let i = 0; i < length; i += 4) {
    const at = (<usize>i) << 2;
    const part = length - i < 4 ? length - i : 0;
    const w = part ? loadPart(weight + at, part) : v128.load(weight + at);
    let d = part ? loadPart(gradient + at, part) : v128.load(gradient + at);
    if (decays) d = f32x4.add(d, f32x4.mul(decay, w));
    let buffer = d;
    if (usesBuffer) {
      if (!starts) {
        const old = part ? loadPart(momentumBuffer + at, part) : v128.load(momentumBuffer + at);
        buffer = f32x4.add(f32x4.mul(factor, old), f32x4.mul(share, d));
      }
      d = nesterov ? f32x4.add(d, f32x4.mul(factor, buffer)) : buffer;
    }
    const updated = f32x4.sub(w, f32x4.mul(rate, d));
    if (part) {
      storePart(weightOut + at, updated, part);
      if (momentumOut) storePart(momentumOut + at, buffer, part);
    } else {
      v128.store(weightOut + at, updated);
      if (momentumOut) v128.store(momentumOut + at, buffer);
    }
  }
}
