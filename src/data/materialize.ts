/** @file Datasets as columns: the Trainer's way to its data. */
import type { Engine } from '../engine/engine.ts';
import { type Columns, checkSchema, type Schema } from './columns.ts';
import type { Dataset } from './dataset.ts';
import { type ActionOptions, materializePlan } from './jobs.ts';

/** A dataset of whatever records: what it takes to compute them. */
export type AnyDataset = Pick<Dataset<unknown>, 'plan'>;

/**
 * The columns of each partition of a dataset (count and one shared array per field), computed on the workers of `engine`; all have the same schema.
 * The Trainer's way to its data. A dataset that ends in `cache()` is cached by this.
 *
 * @param options.schema dtype and shape of every field; else that of the dataset's `cache`, of its source, or of the first record.
 * @throws EngineError `SCHEMA` (rejects) for records that are not numbers and typed arrays of one shape
 * @example
 * const parts = await materialize(dataset, engine);
 * parts.map(({ count }) => count); // => [16, 16]
 */
export function materialize(
  dataset: AnyDataset,
  engine: Engine,
  options: ActionOptions & { readonly schema?: Schema } = {},
): Promise<Columns[]> {
  const { schema, ...rest } = options;
  if (schema !== undefined) checkSchema('materialize', schema);
  return materializePlan(engine, dataset.plan, schema ?? null, rest);
}
