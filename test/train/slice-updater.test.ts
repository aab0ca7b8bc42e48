/** @file The update of a slice against the same update in plain float32 arithmetic, for slices of several chunks too. */
import { describe, expect, it } from 'vitest';
import { blockBytes, usedBytes } from '../../kernels/runtime/memory.ts';
import { optimizerFromSpec, sgd } from '../../src/optim/index.ts';
import { SliceUpdater } from '../../src/train/slice-updater.ts';

const momentum = Math.fround(0.9);
const lr = Math.fround(0.01);

function values(length: number, seed: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => ((i * 7919 + seed * 104729) % 2003) / 1001 - 1);
}

/** For comparing long arrays in no time. */
const bytes = ({ buffer }: Float32Array): Buffer => Buffer.from(buffer);

/** One rounding per operation, in the order of the contract: sum by partition, times the rounded reciprocal, momentum, step. */
function expected(gradients: readonly Float32Array[], totalWeight: number, weights: Float32Array, state: Float32Array) {
  const [first, ...rest] = gradients;
  const sum = first!.slice();
  for (const gradient of rest) for (let i = 0; i < sum.length; i++) sum[i] = Math.fround(sum[i]! + gradient[i]!);
  const share = Math.fround(1 / totalWeight);
  const moments = state.map((v, i) => Math.fround(Math.fround(momentum * v) + Math.fround(sum[i]! * share)));
  return { weights: weights.map((w, i) => w - Math.fround(lr * moments[i]!)), moments };
}

describe('SliceUpdater', () => {
  it.each([0, 1, 16, 7728, 131_073, 300_016])('sums and steps %i floats, bit for bit', (length) => {
    const before = usedBytes();
    const updater = new SliceUpdater(optimizerFromSpec(sgd({ lr, momentum })), length);
    const gradients = [1, 2, 3].map((seed) => values(length, seed));
    const old = { weights: values(length, 4), moments: values(length, 5) };
    const next = { weights: new Float32Array(length), moments: new Float32Array(length) };
    let halves = 0;
    updater.update({ gradients, totalWeight: 100, old, next, step: { step: 1, lr } }, () => {
      halves += 1;
      if (length > 0) expect(next.weights[length >> 1]).not.toBe(0);
      if (length > 0) expect(next.moments[length - 1]).toBe(0); // torn, as a fault test wants it
    });
    updater.close();
    expect(halves).toBe(1);
    const right = expected(gradients, 100, old.weights, old.moments);
    expect(bytes(next.weights).equals(bytes(right.weights))).toBe(true);
    expect(bytes(next.moments).equals(bytes(right.moments))).toBe(true);
    expect(usedBytes()).toBe(before);
  });

  it('takes kernel memory for a chunk, not for the slice', () => {
    const before = usedBytes();
    const updater = new SliceUpdater(optimizerFromSpec(sgd({ lr, momentum })), 30_000_000);
    expect(usedBytes() - before).toBeLessThanOrEqual(4 * blockBytes(4 * 131_072));
    updater.close();
  });
});
