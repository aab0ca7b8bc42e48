/** @file `shoal/data`: datasets, their sources, columns, and how functions are sent to workers. */

export type { FunctionSpec, ModuleTask } from '../engine/functions.ts';
export { task } from '../engine/functions.ts';
export type { Column, ColumnRecord, Columns, FieldSchema, Schema } from './columns.ts';
export { gather, recordAt, schemaOf } from './columns.ts';
export { Dataset } from './dataset.ts';
export type { ActionOptions } from './jobs.ts';
export type { Key } from './keys.ts';
export { type AnyDataset, materialize } from './materialize.ts';
export {
  type HashPartitioner,
  hashPartitioner,
  type Partitioner,
  type Partitioning,
  partitionOf,
  type RangePartitioner,
  rangePartitioner,
} from './partitioner.ts';
export { DEFAULT_PARTITIONS, fromColumns, type IdxOptions, idx, parallelize, type SourceOptions } from './sources.ts';
export type { PartitionRecords } from './transformations.ts';
