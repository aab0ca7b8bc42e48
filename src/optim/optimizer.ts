/**
 * @file What an optimizer is: one record that updates a flat slice of parameters. The Trainer runs it on slices of the whole flat vector, out of
 * place between two versions; `Optimizer` runs the same record on the parameters of a hand-written loop. Every element is updated by itself, so
 * both give the same bits.
 */
import type { Kernel } from '../../kernels/define.ts';
import { ArgumentError } from '../errors.ts';
import { runKernel } from '../ops/define.ts';
import { beginOperation } from '../tensor/arena.ts';
import { zerosLike } from '../tensor/create.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** A slice of parameters, in whatever form the caller keeps buffers: pointers, typed arrays or tensors. Outputs may be the inputs. */
export interface ParameterSlice<Buffer> {
  readonly length: number;
  readonly weight: Buffer;
  readonly gradient: Buffer;
  /** One buffer per name in `stateNames`. */
  readonly state: readonly Buffer[];
  readonly weightOut: Buffer;
  readonly stateOut: readonly Buffer[];
}

/** Runs a kernel on values in contract order; undefined is an absent buffer. How depends on what buffers are. */
export type KernelRunner<Buffer> = (kernel: Kernel, values: readonly (Buffer | number | undefined)[]) => void;

/** When an update happens, and with which learning rate. */
export interface UpdateStep {
  /** 0 for the first update. State buffers hold zeros then. */
  readonly step: number;
  readonly lr: number;
}

/** An optimizer as a record; plain data apart from the function, rebuilt on workers from its spec. */
export interface OptimizerRecord {
  readonly name: string;
  readonly stateNames: readonly string[];
  readonly update: <Buffer>(run: KernelRunner<Buffer>, slice: ParameterSlice<Buffer>, step: UpdateStep) => void;
}

/** An optimizer as plain data: what the Trainer takes and workers get. */
export interface OptimizerSpec {
  readonly name: string;
  readonly lr: number;
}

/** Refuses hyper-parameters outside their range. */
export function checkAtLeast(op: string, name: string, value: number, least: number): void {
  if (Number.isFinite(value) && value >= least) return;
  throw new ArgumentError(`${op}: ${name} must be a number >= ${least}, got ${value}. Check ${name}.`, {
    [name]: value,
  });
}

/**
 * An optimizer for hand-written loops: `backward()`, `step()`, `zeroGrad()`.
 *
 * @example
 * const optimizer: optim.Optimizer = new optim.SGD(net.parameters(), { lr: 0.1 });
 * loss.forward(net.forward(x), y).backward();
 * optimizer.step();
 * optimizer.zeroGrad();
 */
export class Optimizer {
  readonly parameters: readonly Tensor[];
  readonly record: OptimizerRecord;
  /** The learning rate of the next step; a schedule may change it. */
  lr: number;
  /** State by parameter: one tensor per name in `record.stateNames`. */
  readonly state: Map<Tensor, { step: number; readonly tensors: readonly Tensor[] }> = new Map();

  constructor(parameters: Iterable<Tensor>, record: OptimizerRecord, lr: number) {
    this.parameters = [...parameters];
    this.record = record;
    this.lr = lr;
    for (const parameter of this.parameters) {
      if (parameter.isLeaf && parameter.requiresGrad) continue;
      throw new ArgumentError(
        `${record.name}: parameters must be leaves that require a gradient, got ${parameter.isLeaf ? 'one that does not' : 'a result'}. Pass ` +
          'net.parameters().',
      );
    }
  }

  /** Updates every parameter that has a gradient, in place. */
  step(): void {
    for (const parameter of this.parameters) {
      const gradient = parameter.gradient?.tensor;
      if (gradient === undefined) continue;
      const state = this.stateOf(parameter);
      const run: KernelRunner<Tensor> = (kernel, values) => {
        beginOperation();
        runKernel(this.record.name, kernel, parameter.dtype, values);
      };
      const slice: ParameterSlice<Tensor> = {
        length: parameter.size,
        weight: parameter,
        gradient,
        state: state.tensors,
        weightOut: parameter,
        stateOut: state.tensors,
      };
      this.record.update(run, slice, { step: state.step, lr: this.lr });
      state.step += 1;
      parameter.storage.version += 1;
    }
  }

  /** Forgets the gradients of all parameters. */
  zeroGrad(): void {
    for (const parameter of this.parameters) parameter.zeroGrad();
  }

  /** @internal */
  stateOf(parameter: Tensor): { step: number; readonly tensors: readonly Tensor[] } {
    const known = this.state.get(parameter);
    if (known !== undefined) return known;
    const fresh = { step: 0, tensors: this.record.stateNames.map(() => zerosLike(parameter).keep()) };
    this.state.set(parameter, fresh);
    return fresh;
  }
}
