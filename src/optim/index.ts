/** @file `shoal/optim`: optimizers and schedules. */
import '../install.ts';
import { ArgumentError } from '../errors.ts';
import type { OptimizerRecord } from './optimizer.ts';
import { type SgdSpec, sgdRecord } from './sgd.ts';

export {
  type KernelRunner,
  Optimizer,
  type OptimizerRecord,
  type OptimizerSpec,
  type ParameterSlice,
  type UpdateStep,
} from './optimizer.ts';
export { constant, learningRateAt, linearDecay, type Schedule, step } from './schedule.ts';
export { SGD, type SgdOptions, type SgdSpec, sgd } from './sgd.ts';

/** Every optimizer as plain data. */
export type AnyOptimizerSpec = SgdSpec;

/**
 * The record that a spec stands for, on any thread.
 *
 * @throws ArgumentError if the name is unknown.
 */
export function optimizerFromSpec(spec: AnyOptimizerSpec): OptimizerRecord {
  if (spec.name === 'sgd') return sgdRecord(spec);
  throw new ArgumentError(
    `optimizerFromSpec: the name must be sgd, got ${String((spec as { name: unknown }).name)}. Use optim.sgd().`,
  );
}
