/** @file Operations that draw random numbers, from the ambient key. */

import * as map from '../../kernels/map.ts';
import { dropout_mask_u8 } from '../../kernels/random.ts';
import { ArgumentError } from '../errors.ts';
import type { Op } from '../tensor/graph.ts';
import { drawBlocks } from '../tensor/randomness.ts';
import type { Storage } from '../tensor/storage.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { apply, defineOp, runKernel, sameAsFirst } from './define.ts';

export const dropoutOp = defineOp<{ readonly p: number; readonly scale: number }>({
  name: 'dropout',
  shape: sameAsFirst,
  forward: ({ run, hide, inputs: [x], attributes: { p, scale }, output }) => {
    const mask = hide('uint8', output.length);
    const { seed, stream, counter } = drawBlocks(output.length);
    // A multiple of 2^-24 is below p if it is below p rounded up to one.
    const threshold = Math.ceil(p * 16_777_216);
    const values = [mask, output.length, threshold, ...seed, ...stream, ...counter];
    // Whole numbers only: float64 takes the same kernel, at full speed.
    runKernel('dropout', dropout_mask_u8, 'float32', values);
    run(map.mask_f32, [x, mask, scale, output, output.length]);
  },
  backward: ({ hidden: [mask], attributes: { scale } }, gradient) => [
    apply(maskOp, [gradient], { mask: mask!, scale }),
  ],
});

/** x * scale where the mask is 1, else 0. */
export const maskOp: Op<{ readonly mask: Storage; readonly scale: number }> = defineOp({
  name: 'mask',
  shape: sameAsFirst,
  forward: ({ run, inputs: [x], attributes: { mask, scale }, output }) =>
    run(map.mask_f32, [x, mask, scale, output, output.length]),
  backward: ({ attributes }, gradient) => [apply(maskOp, [gradient], attributes)],
});

/** Options of `dropout`. */
export interface DropoutOptions {
  /** The probability of an element to become 0, in [0, 1]; default 0.5. */
  readonly p?: number;
  /** Without training the result is x itself; default true. */
  readonly training?: boolean;
}

/**
 * Each element with probability p becomes 0, otherwise it is divided by 1 - p. Draws from the ambient key (`manualSeed`, the Trainer).
 *
 * @throws ArgumentError if p is not in [0, 1].
 * @see https://pytorch.org/docs/stable/generated/torch.nn.functional.dropout.html
 * @example
 * nn.functional.dropout(ones([4]), { p: 0.5 }); // zeros and twos
 */
export function dropout(x: Tensor, options: DropoutOptions = {}): Tensor {
  const p = options.p ?? 0.5;
  if (!(p >= 0 && p <= 1)) {
    throw new ArgumentError(`dropout: p must be in [0, 1], got ${p}. Pass a probability.`, { p });
  }
  if (options.training === false || p === 0) return x;
  return apply(dropoutOp, [x], { p, scale: p === 1 ? 0 : 1 / (1 - p) });
}
