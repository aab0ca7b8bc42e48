/** @file Layers without parameters. */
import { ArgumentError } from '../errors.ts';
import { relu, tanh } from '../ops/activation.ts';
import type { Pair } from '../ops/conv.ts';
import { flatten } from '../ops/movement.ts';
import { type MaxPool2dOptions, maxPool2d } from '../ops/pool.ts';
import { dropout } from '../ops/random.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { Module } from './module.ts';
import type { ModuleSpec } from './spec.ts';

/**
 * max(x, 0), element by element. @see https://pytorch.org/docs/stable/generated/torch.nn.ReLU.html
 *
 * @example
 * new nn.ReLU().forward(tensor([-1, 2])); // => tensor([0, 2], float32)
 */
export class ReLU extends Module {
  override forward(x: Tensor): Tensor {
    return relu(x);
  }

  override toSpec(): ModuleSpec {
    return { type: 'ReLU', args: {} };
  }
}

/**
 * Hyperbolic tangent, element by element. @see https://pytorch.org/docs/stable/generated/torch.nn.Tanh.html
 *
 * @example
 * new nn.Tanh().forward(tensor([0])); // => tensor([0], float32)
 */
export class Tanh extends Module {
  override forward(x: Tensor): Tensor {
    return tanh(x);
  }

  override toSpec(): ModuleSpec {
    return { type: 'Tanh', args: {} };
  }
}

/**
 * Keeps the batch and makes one dimension of the others: [N, ...] -> [N, product].
 *
 * @example
 * new nn.Flatten().forward(images).shape; // => [8, 784]
 */
export class Flatten extends Module {
  override forward(x: Tensor): Tensor {
    return flatten(x, 1);
  }

  override toSpec(): ModuleSpec {
    return { type: 'Flatten', args: {} };
  }
}

/**
 * The largest element of each window: [N, C, H, W] -> [N, C, Ho, Wo]. The stride is the window's size unless given.
 *
 * @see https://pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html
 * @example
 * new nn.MaxPool2d(2).forward(images).shape; // => [8, 1, 14, 14]
 */
export class MaxPool2d extends Module {
  readonly kernelSize: Pair;
  readonly options: MaxPool2dOptions;

  constructor(kernelSize: Pair, options: MaxPool2dOptions = {}) {
    super();
    this.kernelSize = kernelSize;
    this.options = options;
  }

  override forward(x: Tensor): Tensor {
    return maxPool2d(x, this.kernelSize, this.options);
  }

  override toSpec(): ModuleSpec {
    return { type: 'MaxPool2d', args: { kernelSize: this.kernelSize, options: this.options } };
  }
}

/**
 * In training each element becomes 0 with probability p, otherwise it is divided by 1 - p; in `eval()` nothing happens.
 *
 * @throws ArgumentError if p is not in [0, 1].
 * @see https://pytorch.org/docs/stable/generated/torch.nn.Dropout.html
 * @example
 * new nn.Dropout(0.5).eval().forward(tensor([1, 2])); // => tensor([1, 2], float32)
 */
export class Dropout extends Module {
  readonly p: number;

  constructor(p = 0.5) {
    super();
    if (!(p >= 0 && p <= 1))
      throw new ArgumentError(`Dropout: p must be in [0, 1], got ${p}. Pass a probability.`, { p });
    this.p = p;
  }

  override forward(x: Tensor): Tensor {
    return dropout(x, { p: this.p, training: this.training });
  }

  override toSpec(): ModuleSpec {
    return { type: 'Dropout', args: { p: this.p } };
  }
}
