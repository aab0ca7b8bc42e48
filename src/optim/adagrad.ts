/** @file Adagrad: steps divided by the root of all squared gradients so far. */
import { adagrad_f32 } from '../../kernels/update.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { checkAtLeast, Optimizer, type OptimizerRecord, type OptimizerSpec } from './optimizer.ts';

/** Hyper-parameters of Adagrad, as PyTorch's. */
export interface AdagradOptions {
  /** Learning rate; default 0.01. */
  readonly lr?: number;
  /** The step t = 1, 2, ... has the learning rate lr / (1 + (t - 1) lrDecay); default 0. */
  readonly lrDecay?: number;
  /** L2 penalty, added to the gradient; default 0. */
  readonly weightDecay?: number;
  /** What the sum of squares starts from; default 0. */
  readonly initialAccumulatorValue?: number;
  /** Added to the divisor, outside the root; default 1e-10. */
  readonly eps?: number;
}

/** Adagrad as plain data. */
export interface AdagradSpec extends OptimizerSpec {
  readonly name: 'adagrad';
  readonly lrDecay: number;
  readonly weightDecay: number;
  readonly initialAccumulatorValue: number;
  readonly eps: number;
}

/**
 * Adagrad for a Trainer: g += weightDecay w; s += g^2; w -= lr / (1 + (t - 1) lrDecay) g / (sqrt(s) + eps).
 *
 * @throws ArgumentError for hyper-parameters outside their range.
 * @see https://pytorch.org/docs/stable/generated/torch.optim.Adagrad.html
 * @example
 * new Trainer({ model: net, loss, optimizer: optim.adagrad({ lr: 0.01 }), engine });
 */
export function adagrad(options: AdagradOptions = {}): AdagradSpec {
  const { lr = 0.01, lrDecay = 0, weightDecay = 0, initialAccumulatorValue = 0, eps = 1e-10 } = options;
  const checked = { lr, lrDecay, weightDecay, initialAccumulatorValue, eps };
  for (const [name, value] of Object.entries(checked)) checkAtLeast('adagrad', name, value, 0);
  return { name: 'adagrad', ...checked };
}

/** The record that a spec stands for. The initial value enters the sum on the first step, because state starts at zero. */
export function adagradRecord(spec: AdagradSpec): OptimizerRecord {
  const { lrDecay, weightDecay, initialAccumulatorValue, eps } = spec;
  return {
    name: 'adagrad',
    stateNames: ['sum'],
    update: (run, slice, { step, lr }) => {
      run(adagrad_f32, [
        slice.weight,
        slice.gradient,
        slice.state[0],
        slice.weightOut,
        slice.stateOut[0],
        slice.length,
        lr / (1 + step * lrDecay),
        eps,
        weightDecay,
        step === 0 ? initialAccumulatorValue : 0,
      ]);
    },
  };
}

/**
 * Adagrad for hand-written loops.
 *
 * @throws ArgumentError for hyper-parameters outside their range or parameters that are not leaves.
 * @see https://pytorch.org/docs/stable/generated/torch.optim.Adagrad.html
 * @example
 * const optimizer = new optim.Adagrad(net.parameters(), { lr: 0.01 });
 */
export class Adagrad extends Optimizer {
  constructor(parameters: Iterable<Tensor>, options: AdagradOptions = {}) {
    const spec = adagrad(options);
    super(parameters, adagradRecord(spec), spec.lr);
  }
}
