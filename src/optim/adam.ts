/** @file Adam, and AdamW with its decoupled weight decay: one record. */
import { adam_f32 } from '../../kernels/update.ts';
import { ArgumentError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { checkAtLeast, Optimizer, type OptimizerRecord, type OptimizerSpec } from './optimizer.ts';

/** Hyper-parameters of Adam and AdamW, as PyTorch's. */
export interface AdamOptions {
  /** Learning rate; default 0.001. */
  readonly lr?: number;
  /** What the running means of gradients and of their squares keep; default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Added to the divisor, outside the root; default 1e-8. */
  readonly eps?: number;
  /** Adam: an L2 penalty, added to the gradient; default 0. AdamW: the weights shrink by lr * weightDecay a step; default 0.01. */
  readonly weightDecay?: number;
}

/** Adam or AdamW as plain data. */
export interface AdamSpec extends OptimizerSpec {
  readonly name: 'adam' | 'adamw';
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;
}

/**
 * Adam for a Trainer: g += weightDecay w; m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= lr m' / (sqrt(v') + eps), where m' = m / (1 - b1^t) and
 * v' = v / (1 - b2^t) for the step t = 1, 2, ...
 *
 * @throws ArgumentError for hyper-parameters outside their range.
 * @see https://pytorch.org/docs/stable/generated/torch.optim.Adam.html
 * @example
 * new Trainer({ model: net, loss, optimizer: optim.adam({ lr: 0.001 }), engine });
 */
export function adam(options: AdamOptions = {}): AdamSpec {
  return specOf('adam', options, 0);
}

/**
 * AdamW for a Trainer: Adam whose weight decay does not pass through the means: w -= lr weightDecay w, then Adam's step without decay.
 *
 * @throws ArgumentError for hyper-parameters outside their range.
 * @see https://pytorch.org/docs/stable/generated/torch.optim.AdamW.html
 * @example
 * new Trainer({ model: net, loss, optimizer: optim.adamw({ lr: 0.001, weightDecay: 0.05 }), engine });
 */
export function adamw(options: AdamOptions = {}): AdamSpec {
  return specOf('adamw', options, 0.01);
}

function specOf(name: AdamSpec['name'], options: AdamOptions, defaultDecay: number): AdamSpec {
  const { lr = 0.001, betas = [0.9, 0.999], eps = 1e-8, weightDecay = defaultDecay } = options;
  checkAtLeast(name, 'lr', lr, 0);
  checkAtLeast(name, 'eps', eps, 0);
  checkAtLeast(name, 'weightDecay', weightDecay, 0);
  if (!betas.every((beta) => beta >= 0 && beta < 1)) {
    throw new ArgumentError(
      `${name}: betas must be two numbers >= 0 and < 1, got ${betas.join(' and ')}. Check betas.`,
      { betas: [...betas] },
    );
  }
  return { name, lr, betas: [betas[0], betas[1]], eps, weightDecay };
}

/**
 * base^exponent as a running product from the left, which has the same bits in every language and engine. Consecutive exponents cost one product
 * each: the latest power is remembered.
 *
 * @internal
 */
export function powers(base: number): (exponent: number) => number {
  let [power, reached] = [1, 0];
  return (exponent) => {
    if (exponent < reached) [power, reached] = [1, 0];
    for (; reached < exponent; reached++) power *= base;
    return power;
  };
}

/** The record that a spec stands for. */
export function adamRecord({ name, betas: [beta1, beta2], eps, weightDecay }: AdamSpec): OptimizerRecord {
  const [power1, power2] = [powers(beta1), powers(beta2)];
  const decoupled = name === 'adamw';
  return {
    name,
    stateNames: ['expAvg', 'expAvgSq'],
    update: (run, slice, { step, lr }) => {
      run(adam_f32, [
        slice.weight,
        slice.gradient,
        slice.state[0],
        slice.state[1],
        slice.weightOut,
        slice.stateOut[0],
        slice.stateOut[1],
        slice.length,
        lr / (1 - power1(step + 1)),
        beta1,
        1 - beta1,
        beta2,
        1 - beta2,
        Math.sqrt(1 - power2(step + 1)),
        eps,
        decoupled ? lr * weightDecay : weightDecay,
        Number(decoupled),
      ]);
    },
  };
}

/**
 * Adam for hand-written loops.
 *
 * @throws ArgumentError for hyper-parameters outside their range or parameters that are not leaves.
 * @see https://pytorch.org/docs/stable/generated/torch.optim.Adam.html
 * @example
 * const optimizer = new optim.Adam(net.parameters(), { lr: 0.001 });
 * optimizer.zeroGrad();
 * loss.forward(net.forward(x), y).backward();
 * optimizer.step();
 */
export class Adam extends Optimizer {
  constructor(parameters: Iterable<Tensor>, options: AdamOptions = {}) {
    const spec = adam(options);
    super(parameters, adamRecord(spec), spec.lr);
  }
}

/**
 * AdamW for hand-written loops.
 *
 * @throws ArgumentError for hyper-parameters outside their range or parameters that are not leaves.
 * @see https://pytorch.org/docs/stable/generated/torch.optim.AdamW.html
 * @example
 * const optimizer = new optim.AdamW(net.parameters(), { lr: 0.001, weightDecay: 0.05 });
 */
export class AdamW extends Optimizer {
  constructor(parameters: Iterable<Tensor>, options: AdamOptions = {}) {
    const spec = adamw(options);
    super(parameters, adamRecord(spec), spec.lr);
  }
}
