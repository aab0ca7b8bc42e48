/** @file The base of layers and models: parameters, buffers, state dicts, modes. */
import { ArgumentError, ShapeError } from '../errors.ts';
import { formatShape, sameShape } from '../shape.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { ModuleSpec } from './spec.ts';

/** Parameters and buffers by PyTorch's names. */
export type StateDict = Map<string, Tensor>;

/**
 * A layer or model. Its parameters are its own fields that are tensors which require a gradient, in order of assignment, and those of its
 * fields that are modules; other tensor fields are buffers (state that is saved but not trained).
 *
 * @see https://pytorch.org/docs/stable/generated/torch.nn.Module.html
 * @example
 * class Net extends nn.Module {
 *   hidden = new nn.Linear(784, 128);
 *   output = new nn.Linear(128, 10);
 *   override forward(x: Tensor) {
 *     return this.output.forward(this.hidden.forward(x).relu());
 *   }
 * }
 */
export abstract class Module {
  /** Whether layers such as Dropout act as in training. */
  training = true;

  /** The result for an input. */
  abstract forward(...inputs: Tensor[]): Tensor;

  /**
   * The module as plain data, from which a worker builds it again: `{ module: import.meta.url, export: 'Net', args }` for an own class, whose
   * constructor takes `args`.
   *
   * @throws ArgumentError unless overridden.
   */
  toSpec(): ModuleSpec {
    const name = this.constructor.name;
    throw new ArgumentError(
      `toSpec: a module that travels to workers must say how it is built, got ${name} without toSpec(). Add ` +
        `\`override toSpec() { return { module: import.meta.url, export: '${name}', args: ... }; }\` and export the class.`,
      { class: name },
    );
  }

  /** The modules in this one's own fields, by name; those in an array field are `name.0`, `name.1`, ... */
  namedChildren(): [name: string, child: Module][] {
    const children: [string, Module][] = [];
    for (const [name, value] of Object.entries(this) as [string, unknown][]) {
      if (value instanceof Module) children.push([name, value]);
      else if (Array.isArray(value)) {
        value.forEach((item: unknown, i) => {
          if (item instanceof Module) children.push([`${name}.${i}`, item]);
        });
      }
    }
    return children;
  }

  /** Parameters with names such as `hidden.weight`, own ones first. A tensor that two fields share is listed once. */
  namedParameters(): [name: string, parameter: Tensor][] {
    const seen = new Set<Tensor>();
    return this.namedTensors().filter(([, tensor]) => tensor.requiresGrad && !seen.has(tensor) && seen.add(tensor));
  }

  /** Parameters, in the order of `namedParameters`. */
  parameters(): Tensor[] {
    return this.namedParameters().map(([, parameter]) => parameter);
  }

  /** Tensors that are state but not trained, with names. */
  namedBuffers(): [name: string, buffer: Tensor][] {
    return this.namedTensors().filter(([, tensor]) => !tensor.requiresGrad);
  }

  /** @internal All tensor fields, own ones first, then those of children, with dotted names. */
  namedTensors(prefix = '', found: [string, Tensor][] = []): [string, Tensor][] {
    for (const [name, value] of Object.entries(this) as [string, unknown][]) {
      if (value instanceof Tensor) found.push([prefix + name, value]);
    }
    for (const [name, child] of this.namedChildren()) child.namedTensors(`${prefix}${name}.`, found);
    return found;
  }

  /** Sets the mode of this module and all below. Returns it. */
  train(training = true): this {
    this.training = training;
    for (const [, child] of this.namedChildren()) child.train(training);
    return this;
  }

  /** Sets the mode for inference. Returns the module. */
  eval(): this {
    return this.train(false);
  }

  /** Forgets the gradients of all parameters. */
  zeroGrad(): void {
    for (const parameter of this.parameters()) parameter.zeroGrad();
  }

  /** The live parameters and buffers by PyTorch's names. */
  stateDict(): StateDict {
    return new Map(this.namedTensors());
  }

  /**
   * Copies values into the parameters and buffers.
   *
   * @throws ArgumentError, ShapeError as `checkStateDict`. Nothing is changed then.
   */
  loadStateDict(state: ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>>): void {
    const given = new Map(state instanceof Map ? state : Object.entries(state));
    this.checkStateDict(given);
    for (const [name, target] of this.stateDict()) target.copyFrom(given.get(name)!.toTypedArray());
  }

  /**
   * Checks that a state dict fits this module: all names, no others, each with its shape.
   *
   * @throws ArgumentError listing missing and unexpected names; @throws ShapeError if a shape differs.
   */
  checkStateDict(state: ReadonlyMap<string, Tensor>): void {
    const own = this.stateDict();
    const missing = [...own.keys()].filter((name) => !state.has(name));
    const unexpected = [...state.keys()].filter((name) => !own.has(name));
    if (missing.length + unexpected.length > 0) {
      throw new ArgumentError(
        `loadStateDict: names must be those of the module, got missing [${missing.join(', ')}] and unexpected [${unexpected.join(', ')}]. ` +
          'Rename them, or build the module that was saved.',
        { missing, unexpected },
      );
    }
    for (const [name, target] of own) {
      const source = state.get(name)!;
      if (sameShape(source.shape, target.shape)) continue;
      throw new ShapeError(
        `loadStateDict: shapes must be those of the module, got ${formatShape(source.shape)} for ${name} ${formatShape(target.shape)}. Build ` +
          'the module with the sizes that were saved.',
        { name, got: source.shape, expected: target.shape },
      );
    }
  }
}
