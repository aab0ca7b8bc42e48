/** @file `shoal/train`: the Trainer, its events, metrics and engines. */
import '../install.ts';

export type { Engine, EngineEvent, EngineOptions } from '../engine/index.ts';
export { inline, processes, threads } from '../engine/index.ts';
export type * from './events.ts';
export { ConfusionMatrix, MeanLoss, type Metric, type MetricRecord, type MetricSpec, Top1Accuracy } from './metrics.ts';
export { argmax } from './predictions.ts';
export type { Prepare, PreparedBatch, ShapedValues } from './prepare.ts';
export type { FitOptions } from './run.ts';
export { Trainer, type TrainerOptions } from './trainer.ts';
