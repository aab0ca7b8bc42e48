/**
 * @file Metrics: records {init, add, merge, result}. Workers add batches to a partial of their partition; partials are merged in partition order,
 * so a result does not depend on who computed what. A metric travels as a spec, like a module.
 */
import { resolveFunction } from '../engine/functions.ts';
import { ArgumentError } from '../errors.ts';
import type { Loss } from '../nn/loss.ts';
import { type ModuleSpec, moduleFromSpec } from '../nn/spec.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { argmax } from './predictions.ts';

/** A metric as plain data: a built-in one by name, or an export of a module: `(args) => MetricRecord`. */
export type MetricSpec =
  | { readonly type: string; readonly args: unknown }
  | { readonly module: string; readonly export: string; readonly args: unknown };

/** How a metric is computed. Partials are plain data. */
export interface MetricRecord<P = unknown> {
  init(): P;
  /** Adds a batch to the partial; returns the new partial, which may be the old one changed. */
  add(partial: P, outputs: Tensor, targets: Tensor): P;
  merge(a: P, b: P): P;
  /** The value that is reported. */
  result(partial: P): unknown;
}

/** A metric that validation can compute. */
export interface Metric {
  /** Its key in the validation event. */
  readonly name: string;
  /** The metric as plain data, to be rebuilt on workers. */
  toSpec(): MetricSpec;
}

interface Fraction {
  sum: number;
  weight: number;
}

const mergeFractions = (a: Fraction, b: Fraction): Fraction => ({ sum: a.sum + b.sum, weight: a.weight + b.weight });
const fractionResult = ({ sum, weight }: Fraction): number => (weight === 0 ? Number.NaN : sum / weight);

/**
 * The fraction of records whose largest output is at the label. Outputs [N, classes], targets int32 [N]. Key `top1Accuracy`.
 *
 * @example
 * for await (const event of trainer.fit(dataset, { batchSize: 16, validation: dataset, metrics: [new Top1Accuracy()] })) {
 *   if (event.event === 'validation') console.log(event.metrics.top1Accuracy);
 * }
 */
export class Top1Accuracy implements Metric {
  readonly name = 'top1Accuracy';
  /** The metric as plain data, to be rebuilt on workers. */
  toSpec(): MetricSpec {
    return { type: 'Top1Accuracy', args: null };
  }
}

/**
 * The mean of a loss over all records (sum over sum of weights). Key `loss`.
 *
 * @example
 * for await (const event of trainer.fit(dataset, { batchSize: 16, validation: dataset, metrics: [new MeanLoss(loss)] })) {
 *   if (event.event === 'validation') console.log(event.metrics.loss);
 * }
 */
export class MeanLoss implements Metric {
  readonly name = 'loss';
  private readonly loss: Loss;
  constructor(loss: Loss) {
    this.loss = loss;
  }
  /** The metric as plain data, to be rebuilt on workers. */
  toSpec(): MetricSpec {
    return { type: 'MeanLoss', args: this.loss.toSpec() };
  }
}

/**
 * Counts by label (row) and prediction (column), as nested arrays. Outputs [N, classes], targets int32 [N]. Key `confusionMatrix`.
 *
 * @example
 * for await (const event of trainer.fit(dataset, { batchSize: 16, validation: dataset, metrics: [new ConfusionMatrix(3)] })) {
 *   if (event.event === 'validation') console.log(event.metrics.confusionMatrix);
 * }
 */
export class ConfusionMatrix implements Metric {
  readonly name = 'confusionMatrix';
  readonly classes: number;
  constructor(classes: number) {
    this.classes = classes;
  }
  /** The metric as plain data, to be rebuilt on workers. */
  toSpec(): MetricSpec {
    return { type: 'ConfusionMatrix', args: this.classes };
  }
}

function top1(): MetricRecord<Fraction> {
  return {
    init: () => ({ sum: 0, weight: 0 }),
    add(partial, outputs, targets) {
      const labels = targets.toTypedArray();
      const predicted = argmax(outputs);
      for (let i = 0; i < predicted.length; i++) if (predicted[i] === labels[i]) partial.sum++;
      partial.weight += predicted.length;
      return partial;
    },
    merge: mergeFractions,
    result: fractionResult,
  };
}

function meanLoss(loss: Loss): MetricRecord<Fraction> {
  return {
    init: () => ({ sum: 0, weight: 0 }),
    add(partial, outputs, targets) {
      const { sum, weight } = loss.sum(outputs, targets);
      return { sum: partial.sum + sum.item(), weight: partial.weight + weight };
    },
    merge: mergeFractions,
    result: fractionResult,
  };
}

function confusion(classes: number): MetricRecord<number[]> {
  return {
    init: () => new Array<number>(classes * classes).fill(0),
    add(partial, outputs, targets) {
      const labels = targets.toTypedArray();
      argmax(outputs).forEach((predicted, i) => {
        partial[labels[i]! * classes + predicted]! += 1;
      });
      return partial;
    },
    merge: (a, b) => a.map((count, i) => count + b[i]!),
    result: (partial) => Array.from({ length: classes }, (_, row) => partial.slice(row * classes, (row + 1) * classes)),
  };
}

/** Rebuilds a metric from its spec, on any thread. */
export async function metricFromSpec(spec: MetricSpec): Promise<MetricRecord> {
  if ('module' in spec) {
    const make = await resolveFunction({ kind: 'module', module: spec.module, export: spec.export, args: spec.args });
    return (await make()) as MetricRecord;
  }
  switch (spec.type) {
    case 'Top1Accuracy':
      return top1() as MetricRecord;
    case 'MeanLoss':
      return meanLoss((await moduleFromSpec(spec.args as ModuleSpec)) as Loss) as MetricRecord;
    case 'ConfusionMatrix':
      return confusion(spec.args as number) as MetricRecord;
    default:
      throw new ArgumentError(
        `metric: type must be Top1Accuracy, MeanLoss or ConfusionMatrix, got ${spec.type}. Use { module, export, args } for own metrics.`,
        { type: spec.type },
      );
  }
}
