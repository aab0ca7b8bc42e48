/** @file Stochastic gradient descent with momentum. */
import { sgd_f32 } from '../../kernels/update.ts';
import { ArgumentError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { checkAtLeast, Optimizer, type OptimizerRecord, type OptimizerSpec } from './optimizer.ts';

/** Hyper-parameters of SGD, as PyTorch's. */
export interface SgdOptions {
  /** Learning rate. */
  readonly lr: number;
  /** Default 0. */
  readonly momentum?: number;
  /** Default 0. */
  readonly dampening?: number;
  /** L2 penalty, added to the gradient; default 0. */
  readonly weightDecay?: number;
  /** Default false; needs a momentum and no dampening. */
  readonly nesterov?: boolean;
}

/** SGD as plain data. */
export interface SgdSpec extends OptimizerSpec {
  readonly name: 'sgd';
  readonly momentum: number;
  readonly dampening: number;
  readonly weightDecay: number;
  readonly nesterov: boolean;
}

/**
 * SGD for a Trainer: g += weightDecay w; v = momentum v + (1 - dampening) g (v = g at first); w -= lr v, or lr (g + momentum v) with Nesterov.
 *
 * @throws ArgumentError for hyper-parameters outside their range.
 * @see https://pytorch.org/docs/stable/generated/torch.optim.SGD.html
 * @example
 * new Trainer({ model: net, loss, optimizer: optim.sgd({ lr: 0.1, momentum: 0.9 }), engine });
 */
export function sgd(options: SgdOptions): SgdSpec {
  const { lr, momentum = 0, dampening = 0, weightDecay = 0, nesterov = false } = options;
  checkAtLeast('sgd', 'lr', lr, 0);
  checkAtLeast('sgd', 'momentum', momentum, 0);
  checkAtLeast('sgd', 'dampening', dampening, 0);
  checkAtLeast('sgd', 'weightDecay', weightDecay, 0);
  if (nesterov && (momentum === 0 || dampening !== 0)) {
    throw new ArgumentError(
      `sgd: nesterov needs a momentum and no dampening, got momentum ${momentum} and dampening ${dampening}. Change them.`,
      { momentum, dampening },
    );
  }
  return { name: 'sgd', lr, momentum, dampening, weightDecay, nesterov };
}

/** The record that a spec stands for. Without momentum there is no state. */
export function sgdRecord({ momentum, dampening, weightDecay, nesterov }: SgdSpec): OptimizerRecord {
  return {
    name: 'sgd',
    stateNames: momentum === 0 ? [] : ['momentum'],
    update: (run, slice, { step, lr }) => {
      run(sgd_f32, [
        slice.weight,
        slice.gradient,
        slice.state[0],
        slice.weightOut,
        slice.stateOut[0],
        slice.length,
        lr,
        momentum,
        dampening,
        weightDecay,
        Number(nesterov),
        Number(step === 0),
      ]);
    },
  };
}

/**
 * SGD for hand-written loops.
 *
 * @throws ArgumentError for hyper-parameters outside their range or parameters that are not leaves.
 * @see https://pytorch.org/docs/stable/generated/torch.optim.SGD.html
 * @example
 * const optimizer = new optim.SGD(net.parameters(), { lr: 0.1, momentum: 0.9 });
 * optimizer.zeroGrad();
 * loss.forward(net.forward(x), y).backward();
 * optimizer.step();
 */
export class SGD extends Optimizer {
  constructor(parameters: Iterable<Tensor>, options: SgdOptions) {
    const spec = sgd(options);
    super(parameters, sgdRecord(spec), spec.lr);
  }
}
