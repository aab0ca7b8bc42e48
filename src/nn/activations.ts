/** @file Smooth relatives of ReLU as layers. */
import { type GeluOptions, gelu, type SoftplusOptions, silu, softplus } from '../ops/gelu.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { Module } from './module.ts';
import type { ModuleSpec } from './spec.ts';

/**
 * x Phi(x), or its approximation with tanh. @see https://pytorch.org/docs/stable/generated/torch.nn.GELU.html
 *
 * @example
 * new nn.GELU({ approximate: 'tanh' }).forward(tensor([1])); // => tensor([0.841192], float32)
 */
export class GELU extends Module {
  readonly options: GeluOptions;

  constructor(options: GeluOptions = {}) {
    super();
    this.options = options;
  }

  override forward(x: Tensor): Tensor {
    return gelu(x, this.options);
  }

  override toSpec(): ModuleSpec {
    return { type: 'GELU', args: { options: this.options } };
  }
}

/**
 * x / (1 + e^-x). @see https://pytorch.org/docs/stable/generated/torch.nn.SiLU.html
 *
 * @example
 * new nn.SiLU().forward(tensor([1])); // => tensor([0.731059], float32)
 */
export class SiLU extends Module {
  override forward(x: Tensor): Tensor {
    return silu(x);
  }

  override toSpec(): ModuleSpec {
    return { type: 'SiLU', args: {} };
  }
}

/**
 * ln(1 + e^(beta x)) / beta. @see https://pytorch.org/docs/stable/generated/torch.nn.Softplus.html
 *
 * @example
 * new nn.Softplus().forward(tensor([0])); // => tensor([0.693147], float32)
 */
export class Softplus extends Module {
  readonly options: SoftplusOptions;

  constructor(options: SoftplusOptions = {}) {
    super();
    this.options = options;
  }

  override forward(x: Tensor): Tensor {
    return softplus(x, this.options);
  }

  override toSpec(): ModuleSpec {
    return { type: 'Softplus', args: { options: this.options } };
  }
}
