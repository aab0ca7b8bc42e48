/** @file Applying a trained model to the partitions of any dataset, on the workers. */
import { ColumnsBuilder, inferSchema } from '../data/columns.ts';
import type { PartitionRecords } from '../data/dataset.ts';
import { ArgumentError } from '../errors.ts';
import { noGrad } from '../ops/define.ts';
import { sizeOf } from '../shape.ts';
import { scope } from '../tensor/scope.ts';
import { loadPrepare } from './prepare.ts';
import { loadModel, type ModelOfRun } from './stages.ts';

/** This module's address, for `mapPartitions`. */
export const predictModule: string = import.meta.url;

/** Models of this worker, by spec. */
const models = new Map<string, unknown>();

/** Outputs of the model for the records of a partition, a Float32Array per record (flat, row-major), in their order. */
export async function* predictPartition(
  records: PartitionRecords<unknown>,
  args: { readonly run: ModelOfRun; readonly batchSize: number },
): AsyncGenerator<Float32Array> {
  const model = await loadModel(models, args.run);
  const prepare = await loadPrepare(args.run.prepare);
  for await (const batch of inBatches(records, args.batchSize)) {
    const outputs = noGrad(() => scope(() => model.forward(prepare(columnsOf(batch)).input).toTypedArray()));
    const size = outputs.length / batch.length;
    for (let i = 0; i < batch.length; i++) yield Float32Array.from(outputs.subarray(i * size, (i + 1) * size));
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

function columnsOf(batch: readonly unknown[]) {
  const schema = inferSchema(batch[0]);
  if (schema === null || Object.values(schema).some(({ shape }) => sizeOf(shape) === 0)) {
    throw new ArgumentError(
      'predict: records must have fields that are numbers or typed arrays, got others. Map them first.',
    );
  }
  const builder = new ColumnsBuilder('predict', schema);
  for (const record of batch) builder.add(record);
  return builder.finish();
}
