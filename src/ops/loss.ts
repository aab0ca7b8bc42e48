/** @file Losses: how wrong predictions are. Sums and means; targets are 0-based labels or tensors of values. */
import * as softmaxKernels from '../../kernels/softmax.ts';
import { DTypeError, IndexRangeError, ShapeError } from '../errors.ts';
import { formatShape, type Shape } from '../shape.ts';
import { fromTypedArray } from '../tensor/create.ts';
import type { Storage } from '../tensor/storage.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { apply, defineOp, elementsOf } from './define.ts';
import { div, mul, neg, square, sub } from './elementwise.ts';
import { gatherAlong } from './indexing.ts';
import { logSoftmax } from './normalize.ts';
import { mean, sum } from './reduce.ts';

/** Labels of rows: `targets` is int32 [rows]. */
interface Labels {
  readonly targets: Tensor;
  /** Rows with this label count for nothing. */
  readonly ignoreIndex: number;
}

/** Options of the losses on labels. */
export interface LabelLossOptions {
  /** `mean` over the rows that count (default; NaN if none does), or `sum`. */
  readonly reduction?: 'mean' | 'sum';
  /** Rows with this label count for nothing; default -100. */
  readonly ignoreIndex?: number;
}

const defaultIgnoreIndex = -100;

function scalarShape(op: string, x: Shape, targets: Shape): Shape {
  if (x.length !== 2 || targets.length !== 1 || x[0] !== targets[0]) {
    throw new ShapeError(
      `${op}: predictions must be [rows, classes] and labels [rows], got ${formatShape(x)} and ${formatShape(targets)}. Reshape them.`,
      { x, targets },
    );
  }
  return [];
}

/** The number of rows that count. @throws DTypeError, IndexRangeError for labels that are not 0 .. classes - 1 or ignoreIndex. */
function countRows(op: string, { targets, ignoreIndex }: Labels, classes: number): number {
  if (targets.dtype !== 'int32') {
    throw new DTypeError(`${op}: labels must be int32, got ${targets.dtype}. Convert with to('int32').`, {
      dtype: targets.dtype,
    });
  }
  const labels = elementsOf(op, targets);
  let count = 0;
  for (let row = 0; row < labels.length; row++) {
    const label = labels[row]!;
    if (label === ignoreIndex) continue;
    if (label < 0 || label >= classes) {
      throw new IndexRangeError(
        `${op}: labels must be in 0..${classes - 1} or ignoreIndex ${ignoreIndex}, got ${label} in row ${row}. Labels are 0-based.`,
        { label, row, classes, ignoreIndex },
      );
    }
    count += 1;
  }
  return count;
}

/** -sum of log-probabilities at the labels: a scalar. */
export const nllLossOp = defineOp<Labels>({
  name: 'nllLoss',
  shape: ([x], { targets }) => scalarShape('nllLoss', x, targets.shape),
  forward: ({ run, hide, inputs: [x], attributes: { targets, ignoreIndex }, output }) => {
    const count = hide(x.dtype, 1);
    run(softmaxKernels.nll_f32, [x, targets, output, count, x.shape[0], x.shape[1], ignoreIndex]);
  },
  backward: ({ inputShapes: [shape], attributes: { targets, ignoreIndex } }, gradient) => [
    apply(nllLossGradientOp, [gradient], { targets, ignoreIndex, to: shape }),
  ],
  composed: ([x], labels) => {
    const rows = composedRows(labels);
    return neg(sum(mul(gatherAlong(x, 1, rows.positions), rows.weights(x))));
  },
});

/** Labels as positions that are all valid, and the weights 1 or 0 of the rows. */
function composedRows({ targets, ignoreIndex }: Labels): { positions: Tensor; weights: (x: Tensor) => Tensor } {
  const labels = Array.from(elementsOf('nllLoss', targets));
  const options = { dtype: 'int32' } as const;
  return {
    positions: fromTypedArray(
      labels.map((label) => (label === ignoreIndex ? 0 : label)),
      [labels.length],
      options,
    ),
    weights: ({ dtype }) =>
      fromTypedArray(
        labels.map((label) => Number(label !== ignoreIndex)),
        [labels.length],
        { dtype },
      ),
  };
}

/** -gradient at the labels, 0 elsewhere: only in backward passes that leave no graph. */
export const nllLossGradientOp = defineOp<Labels & { readonly to: Shape }>({
  name: 'nllLossGradient',
  shape: (_, { to }) => to,
  forward: ({ run, inputs: [gradient], attributes: { targets, ignoreIndex, to }, output }) =>
    run(softmaxKernels.nll_f32_gradient, [gradient, targets, output, to[0], to[1], ignoreIndex]),
});

/** nllLoss(logSoftmax(x)) in one kernel: a scalar. */
export const crossEntropyOp = defineOp<Labels>({
  name: 'crossEntropy',
  shape: ([x], { targets }) => scalarShape('crossEntropy', x, targets.shape),
  forward: ({ run, hide, inputs: [x], attributes: { targets, ignoreIndex }, output }) => {
    const probabilities = hide(x.dtype, x.size);
    const count = hide(x.dtype, 1);
    run(softmaxKernels.cross_entropy_f32, [
      x,
      targets,
      probabilities,
      output,
      count,
      x.shape[0],
      x.shape[1],
      ignoreIndex,
    ]);
  },
  backward: ({ hidden: [probabilities], inputShapes: [shape], attributes: { targets, ignoreIndex } }, gradient) => [
    apply(crossEntropyGradientOp, [gradient], { targets, ignoreIndex, probabilities: probabilities!, to: shape }),
  ],
  composed: ([x], labels) => apply(nllLossOp, [logSoftmax(x)], labels),
});

/** gradient * (probabilities - 1 at the label), 0 in rows that do not count: only in backward passes that leave no graph. */
export const crossEntropyGradientOp = defineOp<Labels & { readonly probabilities: Storage; readonly to: Shape }>({
  name: 'crossEntropyGradient',
  shape: (_, { to }) => to,
  forward: ({ run, inputs: [gradient], attributes: { targets, ignoreIndex, probabilities, to }, output }) =>
    run(softmaxKernels.cross_entropy_f32_gradient, [
      gradient,
      probabilities,
      targets,
      output,
      to[0],
      to[1],
      ignoreIndex,
    ]),
});

/** A loss before the division: its sum and the number of rows that count. */
export interface LossSum {
  readonly sum: Tensor;
  readonly weight: number;
}

function labelLoss(op: typeof nllLossOp, x: Tensor, targets: Tensor, ignoreIndex: number): LossSum {
  const labels = { targets, ignoreIndex };
  scalarShape(op.name, x.shape, targets.shape);
  const weight = countRows(op.name, labels, x.shape[1]!);
  return { sum: apply(op, [x], labels), weight };
}

/** The cross-entropy summed over rows, and the number of rows that count. Arguments and errors as `crossEntropy`. */
export function crossEntropySum(x: Tensor, targets: Tensor, options: { readonly ignoreIndex?: number } = {}): LossSum {
  return labelLoss(crossEntropyOp, x, targets, options.ignoreIndex ?? defaultIgnoreIndex);
}

/**
 * The negative logarithm of the probability that softmax gives to the label, mean over rows.
 *
 * Shapes: x [rows, classes] (any real numbers), targets int32 [rows], 0-based -> a scalar.
 *
 * @throws ShapeError, DTypeError, IndexRangeError for labels outside 0 .. classes - 1.
 * @see https://pytorch.org/docs/stable/generated/torch.nn.functional.cross_entropy.html
 * @example
 * nn.functional.crossEntropy(net.forward(x), y).backward();
 */
export function crossEntropy(x: Tensor, targets: Tensor, options: LabelLossOptions = {}): Tensor {
  const { sum: total, weight } = crossEntropySum(x, targets, options);
  return options.reduction === 'sum' ? total : div(total, weight);
}

/**
 * Minus the log-probability at the label, mean over rows. Arguments and errors as `crossEntropy`, but x holds logarithms of probabilities.
 *
 * @see https://pytorch.org/docs/stable/generated/torch.nn.functional.nll_loss.html
 * @example
 * nn.functional.nllLoss(tensor([[-1, -2]]), tensor([1], { dtype: 'int32' })); // => tensor(2, float32)
 */
export function nllLoss(x: Tensor, targets: Tensor, options: LabelLossOptions = {}): Tensor {
  const { sum: total, weight } = labelLoss(nllLossOp, x, targets, options.ignoreIndex ?? defaultIgnoreIndex);
  return options.reduction === 'sum' ? total : div(total, weight);
}

/**
 * (x - y)^2, mean over all elements or summed. @throws ShapeError if the shapes do not broadcast.
 *
 * @example
 * nn.functional.mseLoss(tensor([1, 2]), tensor([1, 4])); // => tensor(2, float32)
 */
export function mseLoss(x: Tensor, y: Tensor, options: { readonly reduction?: 'mean' | 'sum' } = {}): Tensor {
  const squares = square(sub(x, y));
  return options.reduction === 'sum' ? sum(squares) : mean(squares);
}
