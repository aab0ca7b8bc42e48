/** @file Initial values with PyTorch's distributions (not its bits), from the ambient seed. */
import type { Shape } from '../shape.ts';
import { sizeOf } from '../shape.ts';
import { rand } from '../tensor/create.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** Inputs of one output of a weight [out, in, ...]. */
export function fanIn(shape: Shape): number {
  return sizeOf(shape.slice(1));
}

/** A parameter with uniform values in [-bound, bound). */
export function uniformParameter(shape: Shape, bound: number): Tensor {
  return rand(shape, { low: -bound, high: bound, requiresGrad: true });
}

/**
 * The weight that PyTorch gives to Linear and Conv2d: `kaiming_uniform_(a = sqrt 5)`, which is uniform within 1 / sqrt(fanIn).
 *
 * @see https://pytorch.org/docs/stable/nn.init.html
 */
export function defaultWeight(shape: Shape): Tensor {
  return uniformParameter(shape, boundOf(fanIn(shape)));
}

/** The bias that PyTorch gives to a layer with such a weight: uniform within 1 / sqrt(fanIn). */
export function defaultBias(length: number, weightShape: Shape): Tensor {
  return uniformParameter([length], boundOf(fanIn(weightShape)));
}

function boundOf(fan: number): number {
  return fan === 0 ? 0 : 1 / Math.sqrt(fan);
}
