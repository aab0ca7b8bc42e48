/** @file Modules one after another. */
import { ArgumentError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { Module } from './module.ts';
import type { ModuleSpec } from './spec.ts';

/**
 * Applies modules in order. Names in the state dict are positions: `0.weight`, `0.bias`, `2.weight`, ...
 *
 * @see https://pytorch.org/docs/stable/generated/torch.nn.Sequential.html
 * @example
 * const net = new nn.Sequential(new nn.Linear(784, 128), new nn.ReLU(), new nn.Linear(128, 10));
 */
export class Sequential extends Module {
  readonly modules: readonly Module[];

  constructor(...modules: Module[]) {
    super();
    for (const module of modules) {
      if (module instanceof Module) continue;
      throw new ArgumentError(
        `Sequential: arguments must be modules, got ${typeof module}. Wrap functions in a module.`,
      );
    }
    this.modules = modules;
  }

  override forward(x: Tensor): Tensor {
    return this.modules.reduce((value, module) => module.forward(value), x);
  }

  override namedChildren(): [name: string, child: Module][] {
    return this.modules.map((module, i) => [String(i), module]);
  }

  override toSpec(): ModuleSpec {
    return { type: 'Sequential', args: { modules: this.modules.map((module) => module.toSpec()) } };
  }
}
