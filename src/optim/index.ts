/** @file `shoal/optim`: optimizers and schedules. */
import '../install.ts';
import { ArgumentError } from '../errors.ts';
import { type AdagradSpec, adagradRecord } from './adagrad.ts';
import { type AdamSpec, adamRecord } from './adam.ts';
import type { OptimizerRecord } from './optimizer.ts';
import { type RMSpropSpec, rmspropRecord } from './rmsprop.ts';
import { type SgdSpec, sgdRecord } from './sgd.ts';

export { Adagrad, type AdagradOptions, type AdagradSpec, adagrad } from './adagrad.ts';
export { Adam, type AdamOptions, type AdamSpec, AdamW, adam, adamw } from './adam.ts';
export {
  type KernelRunner,
  Optimizer,
  type OptimizerRecord,
  type OptimizerSpec,
  type ParameterSlice,
  type UpdateStep,
} from './optimizer.ts';
export { RMSprop, type RMSpropOptions, type RMSpropSpec, rmsprop } from './rmsprop.ts';
export { constant, learningRateAt, linearDecay, type Schedule, step } from './schedule.ts';
export { SGD, type SgdOptions, type SgdSpec, sgd } from './sgd.ts';

/** Every optimizer as plain data. */
export type AnyOptimizerSpec = SgdSpec | AdamSpec | RMSpropSpec | AdagradSpec;

/** A record from the spec of each name. */
const records: {
  readonly [Name in AnyOptimizerSpec['name']]: (spec: AnyOptimizerSpec & { readonly name: Name }) => OptimizerRecord;
} = { sgd: sgdRecord, adam: adamRecord, adamw: adamRecord, rmsprop: rmspropRecord, adagrad: adagradRecord };

/**
 * The record that a spec stands for, on any thread.
 *
 * @throws ArgumentError if the name is unknown.
 * @example
 * optimizerFromSpec(optim.sgd({ lr: 0.1, momentum: 0.9 })).stateNames; // => ['momentum']
 */
export function optimizerFromSpec(spec: AnyOptimizerSpec): OptimizerRecord {
  if (Object.hasOwn(records, spec.name))
    return (records[spec.name] as (spec: AnyOptimizerSpec) => OptimizerRecord)(spec);
  const names = Object.keys(records).join(', ');
  throw new ArgumentError(
    `optimizerFromSpec: the name must be one of ${names}, got ${String((spec as { name: unknown }).name)}. Use optim.sgd() or another.`,
  );
}
