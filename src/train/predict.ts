/** @file Applying a trained model to the partitions of any dataset, on the workers. */
import { type Columns, ColumnsBuilder, type FieldSchema, inferSchema, type Schema } from '../data/columns.ts';
import type { PartitionRecords } from '../data/transformations.ts';
import { ArgumentError } from '../errors.ts';
import { noGrad } from '../ops/define.ts';
import { freeStorage } from '../tensor/arena.ts';
import { scope } from '../tensor/scope.ts';
import { loadPrepare } from './prepare.ts';
import { buildModel, type ModelOfRun } from './stages.ts';

/** This module's address, for `mapPartitions`. */
export const predictModule: string = import.meta.url;

/** Outputs of the model for the records of a partition, a Float32Array per record (flat, row-major), in their order. */
export async function* predictPartition(
  records: PartitionRecords<unknown>,
  args: { readonly run: ModelOfRun; readonly batchSize: number },
): AsyncGenerator<Float32Array> {
  // A module of its own: two predictions in one chain take turns on the same worker.
  const model = await buildModel(args.run);
  const prepare = await loadPrepare(args.run.prepare);
  try {
    for await (const batch of inBatches(records, args.batchSize)) {
      const columns = columnsOf(batch, args.run.schema);
      const outputs = noGrad(() => scope(() => model.forward(prepare(columns).input).toTypedArray()));
      const size = outputs.length / batch.length;
      for (let i = 0; i < batch.length; i++) yield Float32Array.from(outputs.subarray(i * size, (i + 1) * size));
    }
  } finally {
    for (const { storage } of model.stateDict().values()) freeStorage(storage);
  }
}

async function* inBatches(records: PartitionRecords<unknown>, batchSize: number): AsyncGenerator<unknown[]> {
  let batch: unknown[] = [];
  for await (const record of records) {
    batch.push(record);
    if (batch.length < batchSize) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** Records as columns: fields that the training data had are read as there, others as they show themselves. */
function columnsOf(batch: readonly unknown[], trained: Schema): Columns {
  const inferred = inferSchema(batch[0]);
  if (inferred === null) {
    throw new ArgumentError(
      'predict: records must have fields that are numbers or typed arrays, got others. Map them first.',
    );
  }
  const schema: Record<string, FieldSchema> = {};
  for (const [name, field] of Object.entries(inferred)) schema[name] = trained[name] ?? field;
  const builder = new ColumnsBuilder('predict', schema);
  for (const record of batch) builder.add(record);
  return builder.finish();
}
