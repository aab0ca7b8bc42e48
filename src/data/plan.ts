/**
 * @file What a dataset is: a plan, as plain data. A plan says where partitions come from and the steps from there to its records; a task's plan is
 * the part of it that one partition needs. All steps are narrow (partition p of the result needs partition p of what it is made of), so a plan is
 * a straight line, and a task runs it from end to end without storing anything in between.
 */
import type { FunctionSpec } from '../engine/functions.ts';
import { functionLabel } from '../engine/functions.ts';
import type { Columns, Schema } from './columns.ts';
import { formatSchema } from './columns.ts';

/** Files of one field each, in the idx format. */
export interface IdxSource {
  readonly kind: 'idx';
  /** Absolute path by field name. */
  readonly files: Readonly<Record<string, string>>;
  readonly partitions: number;
  /** Use the first `limit` records only; null: all. */
  readonly limit: number | null;
}

/** Where partitions come from. */
export type Source =
  | { readonly kind: 'records'; readonly partitions: readonly (readonly unknown[])[] }
  | { readonly kind: 'columns'; readonly partitions: readonly Columns[] }
  | IdxSource;

/** How `cache` keeps a partition: as columns if its records can be columns, or as they are in the worker's heap. */
export interface CacheStep {
  readonly kind: 'cache';
  /** Identity, unique in the driver. */
  readonly id: string;
  readonly storage: 'auto' | 'records';
  readonly schema: Schema | null;
}

/** Steps that are the same in a plan and in a task's plan. */
export type PlainStep =
  | { readonly kind: 'map' | 'filter' | 'flatMap'; readonly fn: FunctionSpec }
  | { readonly kind: 'mapPartitions'; readonly fn: FunctionSpec; readonly withIndex: boolean }
  | { readonly kind: 'batch'; readonly size: number; readonly dropLast: boolean }
  | { readonly kind: 'shuffle'; readonly seed: number };

/** One narrow step. */
export type Step = PlainStep | CacheStep | { readonly kind: 'zip'; readonly other: Plan };

/** A dataset as plain data. */
export interface Plan {
  /** Number of partitions. */
  readonly partitions: number;
  readonly source: Source;
  readonly steps: readonly Step[];
}

/** Where one partition comes from. `records` is named so that the engine counts what crosses. */
export type TaskSource =
  | { readonly kind: 'records'; readonly records: readonly unknown[] }
  | { readonly kind: 'columns'; readonly columns: Columns }
  | IdxSource;

/** One step of a task. `remember`: what comes before is kept in the worker's store under `key`. */
export type TaskStep =
  | PlainStep
  | { readonly kind: 'remember'; readonly key: string }
  | { readonly kind: 'zip'; readonly other: TaskPlan };

/** What one task needs to compute a partition. */
export interface TaskPlan {
  readonly partition: number;
  readonly source: TaskSource;
  readonly steps: readonly TaskStep[];
}

/** How a cached partition is kept now. */
export type CacheEntry =
  | { readonly kind: 'columns'; readonly columns: Columns }
  | { readonly kind: 'heap'; readonly worker: number };

/** Tells how a partition of a cache step is kept; undefined: not (yet). */
export type CacheLookup = (step: CacheStep, partition: number) => CacheEntry | undefined;

/** The name of a partition of a heap cache in a worker's store. */
export function heapKey(id: string, partition: number): string {
  return `shoal/cache/${id}/${partition}`;
}

/** The part of a plan that one partition needs, starting from what is cached. */
export function taskPlan(plan: Plan, partition: number, lookup: CacheLookup): TaskPlan {
  let source = taskSource(plan.source, partition);
  let steps: TaskStep[] = [];
  for (const step of plan.steps) {
    if (step.kind === 'zip') {
      steps.push({ kind: 'zip', other: taskPlan(step.other, partition, lookup) });
    } else if (step.kind === 'cache') {
      const entry = lookup(step, partition);
      if (entry?.kind === 'columns') {
        source = { kind: 'columns', columns: entry.columns };
        steps = [];
      } else if (entry?.kind === 'heap') {
        // The lineage before it goes along: a worker that no longer has the records makes them again.
        steps.push({ kind: 'remember', key: heapKey(step.id, partition) });
      }
    } else {
      steps.push(step);
    }
  }
  return { partition, source, steps };
}

function taskSource(source: Source, partition: number): TaskSource {
  switch (source.kind) {
    case 'records':
      return { kind: 'records', records: source.partitions[partition]! };
    case 'columns':
      return { kind: 'columns', columns: source.partitions[partition]! };
    case 'idx':
      return source;
  }
}

/** First record of partition `p` when `count` records are dealt out in `partitions` even, consecutive parts. */
export function partitionStart(count: number, partitions: number, p: number): number {
  return Math.floor((count * p) / partitions);
}

/** A plan as text, last step first, with the number of partitions in front. `cached` adds what is kept of a cache step. */
export function formatPlan(plan: Plan, cached: (step: CacheStep) => string): string {
  const lines: string[] = [];
  for (const step of [...plan.steps].reverse()) {
    lines.push(formatStep(step, cached));
    if (step.kind === 'zip')
      lines.push(
        ...formatPlan(step.other, cached)
          .split('\n')
          .map((line) => `  ${line}`),
      );
  }
  lines.push(formatSource(plan.source));
  return lines.map((line, i) => (i === 0 ? `(${plan.partitions}) ${line}` : ` |  ${line}`)).join('\n');
}

function formatStep(step: Step, cached: (step: CacheStep) => string): string {
  switch (step.kind) {
    case 'map':
    case 'filter':
    case 'flatMap':
      return `${step.kind} ${functionLabel(step.fn)}`;
    case 'mapPartitions':
      return `${step.withIndex ? 'mapPartitionsWithIndex' : 'mapPartitions'} ${functionLabel(step.fn)}`;
    case 'batch':
      return `batch ${step.size}${step.dropLast ? ', drop last' : ''}`;
    case 'shuffle':
      return `shuffle seed ${step.seed}`;
    case 'zip':
      return 'zip';
    case 'cache':
      return `cache${step.schema === null ? '' : ` ${formatSchema(step.schema)}`} [${cached(step)}]`;
  }
}

function formatSource(source: Source): string {
  switch (source.kind) {
    case 'records':
      return `parallelize ${source.partitions.reduce((sum, part) => sum + part.length, 0)} records`;
    case 'columns':
      return `columns of ${source.partitions.reduce((sum, part) => sum + part.count, 0)} records`;
    case 'idx':
      return `idx ${Object.keys(source.files).join(', ')}${source.limit === null ? '' : `, first ${source.limit}`}`;
  }
}
