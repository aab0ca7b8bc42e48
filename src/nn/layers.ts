/** @file The linear layer. Convolutions: conv.ts. */
import { ArgumentError } from '../errors.ts';
import { linear } from '../ops/linalg.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { defaultBias, defaultWeight } from './init.ts';
import { Module } from './module.ts';
import type { ModuleSpec } from './spec.ts';

/** Refuses sizes that are not whole numbers >= 1. */
export function checkSize(op: string, name: string, value: number): void {
  if (Number.isInteger(value) && value >= 1) return;
  throw new ArgumentError(`${op}: ${name} must be a whole number >= 1, got ${value}. Check the layer.`, {
    [name]: value,
  });
}

/** Options of `Linear`. */
export interface LinearOptions {
  /** Whether there is a bias; default true. */
  readonly bias?: boolean;
}

/**
 * y = x weight^T + bias.
 *
 * Shapes: x [..., inFeatures] -> [..., outFeatures]; weight [outFeatures, inFeatures], bias [outFeatures], both uniform within
 * 1 / sqrt(inFeatures).
 *
 * @throws ArgumentError if a size is not a whole number >= 1.
 * @see https://pytorch.org/docs/stable/generated/torch.nn.Linear.html
 * @example
 * new nn.Linear(4, 10).forward(x).shape; // => [8, 10]
 */
export class Linear extends Module {
  readonly inFeatures: number;
  readonly outFeatures: number;
  weight: Tensor;
  bias: Tensor | undefined;

  constructor(inFeatures: number, outFeatures: number, options: LinearOptions = {}) {
    super();
    checkSize('Linear', 'inFeatures', inFeatures);
    checkSize('Linear', 'outFeatures', outFeatures);
    this.inFeatures = inFeatures;
    this.outFeatures = outFeatures;
    this.weight = defaultWeight([outFeatures, inFeatures]);
    this.bias = options.bias === false ? undefined : defaultBias(outFeatures, this.weight.shape);
  }

  override forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias);
  }

  override toSpec(): ModuleSpec {
    const { inFeatures, outFeatures } = this;
    return { type: 'Linear', args: { inFeatures, outFeatures, bias: this.bias !== undefined } };
  }
}
