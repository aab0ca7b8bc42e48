/** @file RMSprop: steps divided by the running root mean square of the gradient. */
import { rmsprop_f32 } from '../../kernels/update.ts';
import { ArgumentError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { checkAtLeast, Optimizer, type OptimizerRecord, type OptimizerSpec } from './optimizer.ts';

/** Hyper-parameters of RMSprop, as PyTorch's. */
export interface RMSpropOptions {
  /** Learning rate; default 0.01. */
  readonly lr?: number;
  /** What the running mean of squares keeps; default 0.99. */
  readonly alpha?: number;
  /** Added to the divisor, outside the root; default 1e-8. */
  readonly eps?: number;
  /** L2 penalty, added to the gradient; default 0. */
  readonly weightDecay?: number;
  /** Default 0. */
  readonly momentum?: number;
  /** Divide by the estimated standard deviation instead of the root mean square; default false. */
  readonly centered?: boolean;
}

/** RMSprop as plain data. */
export interface RMSpropSpec extends OptimizerSpec {
  readonly name: 'rmsprop';
  readonly alpha: number;
  readonly eps: number;
  readonly weightDecay: number;
  readonly momentum: number;
  readonly centered: boolean;
}

/**
 * RMSprop for a Trainer: g += weightDecay w; v = alpha v + (1 - alpha) g^2; d = g / (sqrt(v) + eps); w -= lr d, or lr b with b = momentum b + d.
 * Centered: sqrt(v - m^2) with m = alpha m + (1 - alpha) g.
 *
 * @throws ArgumentError for hyper-parameters outside their range.
 * @see https://pytorch.org/docs/stable/generated/torch.optim.RMSprop.html
 * @example
 * new Trainer({ model: net, loss, optimizer: optim.rmsprop({ lr: 0.001, momentum: 0.9 }), engine });
 */
export function rmsprop(options: RMSpropOptions = {}): RMSpropSpec {
  const { lr = 0.01, alpha = 0.99, eps = 1e-8, weightDecay = 0, momentum = 0, centered = false } = options;
  checkAtLeast('rmsprop', 'lr', lr, 0);
  checkAtLeast('rmsprop', 'eps', eps, 0);
  checkAtLeast('rmsprop', 'weightDecay', weightDecay, 0);
  checkAtLeast('rmsprop', 'momentum', momentum, 0);
  if (!(alpha >= 0 && alpha <= 1)) {
    throw new ArgumentError(`rmsprop: alpha must be a number from 0 to 1, got ${alpha}. Check alpha.`, { alpha });
  }
  return { name: 'rmsprop', lr, alpha, eps, weightDecay, momentum, centered };
}

/** The record that a spec stands for. */
export function rmspropRecord({ alpha, eps, weightDecay, momentum, centered }: RMSpropSpec): OptimizerRecord {
  const stateNames = ['squareAvg', ...(centered ? ['gradAvg'] : []), ...(momentum > 0 ? ['momentum'] : [])];
  // -1 finds no buffer: the kernel takes it as absent.
  const [mean, buffer] = [stateNames.indexOf('gradAvg'), stateNames.indexOf('momentum')];
  return {
    name: 'rmsprop',
    stateNames,
    update: (run, slice, { lr }) => {
      run(rmsprop_f32, [
        slice.weight,
        slice.gradient,
        slice.state[0],
        slice.state[mean],
        slice.state[buffer],
        slice.weightOut,
        slice.stateOut[0],
        slice.stateOut[mean],
        slice.stateOut[buffer],
        slice.length,
        lr,
        alpha,
        1 - alpha,
        eps,
        weightDecay,
        momentum,
      ]);
    },
  };
}

/**
 * RMSprop for hand-written loops.
 *
 * @throws ArgumentError for hyper-parameters outside their range or parameters that are not leaves.
 * @see https://pytorch.org/docs/stable/generated/torch.optim.RMSprop.html
 * @example
 * const optimizer = new optim.RMSprop(net.parameters(), { lr: 0.001 });
 */
export class RMSprop extends Optimizer {
  constructor(parameters: Iterable<Tensor>, options: RMSpropOptions = {}) {
    const spec = rmsprop(options);
    super(parameters, rmspropRecord(spec), spec.lr);
  }
}
