import { apply } from '../../src/ops/define.ts';
import * as l from '../../src/ops/loss.ts';
import { storageOf } from '../../src/tensor/arena.ts';
import { fromTypedArray, ones, tensor } from '../../src/tensor/create.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { at, build, ins, type Nd, nd, type OpSamples, type Sample } from './define.ts';

const labels = (values: number[]): Tensor => fromTypedArray(values, [values.length], { dtype: 'int32' });

/** A handful of rows of up to 5 classes with logits up to 2: tens of roundings of numbers up to 20. */
const tolerance = { rtol: 0, atol: 2e-5 };

function logProbability(x: Nd, row: number, label: number): number {
  let sum = 0;
  for (let c = 0; c < x.shape[1]!; c++) sum += Math.exp(at(x, [row, c]));
  return at(x, [row, label]) - Math.log(sum);
}

interface Case {
  readonly name: string;
  readonly targets: number[];
  readonly classes: number;
  readonly ignoreIndex?: number;
  readonly reduction?: 'mean' | 'sum';
}

const cases: Case[] = [
  { name: 'mean', targets: [1, 0, 3], classes: 4 },
  { name: 'sum', targets: [4, 4, 0, 2], classes: 5, reduction: 'sum' },
  { name: 'ignored rows', targets: [1, -100, 2], classes: 3 },
  { name: 'own ignoreIndex', targets: [1, 0, 1, 2], classes: 3, ignoreIndex: 1 },
  { name: 'all ignored, summed', targets: [-100, -100], classes: 3, reduction: 'sum' },
  { name: 'no rows, summed', targets: [], classes: 3, reduction: 'sum' },
  { name: 'one class', targets: [0, 0], classes: 1 },
];

function sampled(
  call: (x: Tensor, targets: Tensor, options: l.LabelLossOptions) => Tensor,
  value: (x: Nd, row: number, label: number) => number,
): Sample[] {
  return cases.map(({ name, targets, classes, ...options }) => ({
    name,
    inputs: ins('any', [targets.length, classes]),
    call: (x) => call(x, labels(targets), options),
    reference: (x) => {
      const counted = targets.flatMap((label, row) =>
        label === (options.ignoreIndex ?? -100) ? [] : [-value(x, row, label)],
      );
      const sum = counted.reduce((a, b) => a + b, 0);
      return nd([], [options.reduction === 'sum' ? sum : sum / counted.length]);
    },
    ...tolerance,
  }));
}

const errors = (call: (x: Tensor, targets: Tensor) => unknown) => [
  { name: 'label past the end', call: () => call(ones([2, 3]), labels([0, 3])), code: 'INDEX_RANGE' },
  { name: 'negative label', call: () => call(ones([2, 3]), labels([0, -1])), code: 'INDEX_RANGE' },
  { name: 'float labels', call: () => call(ones([2, 3]), tensor([0, 1])), code: 'DTYPE' },
  { name: 'rows', call: () => call(ones([2, 3]), labels([0])), code: 'SHAPE' },
  { name: 'rank', call: () => call(ones([3]), labels([0])), code: 'SHAPE' },
];

const targets = [1, -100, 0];

export const loss: Record<string, OpSamples> = {
  nllLoss: { samples: sampled(l.nllLoss, (x, row, label) => at(x, [row, label])), errors: errors(l.nllLoss) },
  crossEntropy: { samples: sampled(l.crossEntropy, logProbability), errors: errors(l.crossEntropy) },
  nllLossGradient: {
    differentiable: false,
    samples: [
      {
        name: 'with an ignored row',
        inputs: ins('any', []),
        call: (g) => apply(l.nllLossGradientOp, [g], { targets: labels(targets), ignoreIndex: -100, to: [3, 2] }),
        reference: (g) => build([3, 2], ([i, j]) => (targets[i!] === j ? -g.data[0]! : 0)),
        rtol: 0,
        atol: 0,
      },
    ],
    errors: [],
  },
  crossEntropyGradient: {
    differentiable: false,
    samples: [
      {
        name: 'with an ignored row',
        inputs: ins('any', []),
        call: (g) => {
          const probabilities = storageOf(g.dtype, [0.25, 0.75, 0.5, 0.5, 0.875, 0.125], 'test');
          const to = [3, 2];
          return apply(l.crossEntropyGradientOp, [g], {
            targets: labels(targets),
            ignoreIndex: -100,
            probabilities,
            to,
          });
        },
        reference: (g) =>
          nd(
            [3, 2],
            [0.25, -0.25, 0, 0, -0.125, 0.125].map((x) => x * g.data[0]!),
          ),
        rtol: 1e-7,
        atol: 0,
      },
    ],
    errors: [],
  },
};
