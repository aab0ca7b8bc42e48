/**
 * @file Losses as modules. `forward` is PyTorch's mean; `sum` gives what synchronous training adds up over partitions: the sum and the weight
 * by which all partitions together divide it.
 */
import { crossEntropy, crossEntropySum, type LossSum, mseLoss } from '../ops/loss.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { Module } from './module.ts';
import type { ModuleSpec } from './spec.ts';

/**
 * A loss that a Trainer can take.
 *
 * @example
 * class AbsoluteLoss extends nn.Loss {
 *   override forward(predictions: Tensor, targets: Tensor) {
 *     return predictions.sub(targets).abs().mean();
 *   }
 *   override sum(predictions: Tensor, targets: Tensor) {
 *     return { sum: predictions.sub(targets).abs().sum(), weight: predictions.size };
 *   }
 * }
 * new AbsoluteLoss().forward(tensor([1, 2]), tensor([0, 4])); // => tensor(1.5, float32)
 */
export abstract class Loss extends Module {
  /** The mean loss of predictions and targets: a scalar. */
  abstract override forward(predictions: Tensor, targets: Tensor): Tensor;

  /** The sum of the losses and the number of terms, so that forward = sum / weight. */
  abstract sum(predictions: Tensor, targets: Tensor): LossSum;
}

/** Options of `CrossEntropyLoss`. */
export interface CrossEntropyLossOptions {
  /** Rows with this label count for nothing; default -100. */
  readonly ignoreIndex?: number;
}

/**
 * The negative logarithm of the probability that softmax gives to the label.
 *
 * Shapes: predictions [rows, classes], targets int32 [rows], 0-based.
 *
 * @see https://pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
 * @example
 * new nn.CrossEntropyLoss().forward(net.forward(x), y).backward();
 */
export class CrossEntropyLoss extends Loss {
  readonly options: CrossEntropyLossOptions;

  constructor(options: CrossEntropyLossOptions = {}) {
    super();
    this.options = options;
  }

  override forward(predictions: Tensor, targets: Tensor): Tensor {
    return crossEntropy(predictions, targets, this.options);
  }

  override sum(predictions: Tensor, targets: Tensor): LossSum {
    return crossEntropySum(predictions, targets, this.options);
  }

  override toSpec(): ModuleSpec {
    return { type: 'CrossEntropyLoss', args: { options: this.options } };
  }
}

/**
 * (predictions - targets)^2, over all elements. @see https://pytorch.org/docs/stable/generated/torch.nn.MSELoss.html
 *
 * @example
 * new nn.MSELoss().forward(tensor([1, 2]), tensor([1, 4])); // => tensor(2, float32)
 */
export class MSELoss extends Loss {
  override forward(predictions: Tensor, targets: Tensor): Tensor {
    return mseLoss(predictions, targets);
  }

  override sum(predictions: Tensor, targets: Tensor): LossSum {
    return {
      sum: mseLoss(predictions, targets, { reduction: 'sum' }),
      weight: Math.max(predictions.size, targets.size),
    };
  }

  override toSpec(): ModuleSpec {
    return { type: 'MSELoss', args: {} };
  }
}
