/**
 * @file What a dataset is: a plan, as plain data. A plan says where partitions come from and the steps from there to its records; a task's plan is
 * the part of it that one partition needs. All steps are narrow (partition p of the result needs partition p of what it is made of), so a plan is
 * a straight line, and a task runs it from end to end without storing anything in between. What is wide is a source: a shuffle, whose partitions
 * are made of all partitions of another plan. So a shuffle ends one stage, and starts the next.
 */
import type { FunctionSpec } from '../engine/functions.ts';
import type { ShuffleBlock } from '../engine/shuffle-store.ts';
import type { Columns, Schema } from './columns.ts';
import type { Partitioner } from './partitioner.ts';

/** Files of one field each, in the idx format. */
export interface IdxSource {
  readonly kind: 'idx';
  /** Absolute path by field name. */
  readonly files: Readonly<Record<string, string>>;
  readonly partitions: number;
  /** Use the first `limit` records only; null: all. */
  readonly limit: number | null;
}

/**
 * How a record finds its partition: dealt out in turn (each input partition starts where its index says), by the key of the pair that it is, or by
 * the key's place in an order whose bounds are drawn from the data.
 */
export type Route =
  | { readonly kind: 'deal' }
  | { readonly kind: 'sort'; readonly ascending: boolean }
  | { readonly kind: 'key'; readonly partitioner: Partitioner };

/** The records of another plan, dealt out anew. In a partition they are in the order of (input partition, position there). */
export interface ShuffleSource {
  readonly kind: 'shuffle';
  /** Identity, unique in the driver. */
  readonly id: string;
  /** The transformation that asked for it, for messages. */
  readonly op: string;
  readonly parent: Plan;
  readonly partitions: number;
  readonly route: Route;
}

/** Where partitions come from. */
export type Source =
  | { readonly kind: 'records'; readonly partitions: readonly (readonly unknown[])[] }
  | { readonly kind: 'columns'; readonly partitions: readonly Columns[] }
  | IdxSource
  | ShuffleSource;

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
  | { readonly kind: 'shuffle'; readonly seed: number }
  | PairStep;

/** Steps on the pairs of one partition. The wide transformations are made of these and of shuffles. */
export type PairStep =
  | { readonly kind: 'keyBy' | 'mapValues' | 'reduceByKey'; readonly fn: FunctionSpec }
  | { readonly kind: 'groupByKey' }
  /** Records of pairs [key, record], in the order of their keys. */
  | { readonly kind: 'sortByKey'; readonly ascending: boolean };

/** Steps that need the same partition of another plan (in a task's plan: of another task's plan). */
export type TwoSidedStep<P> =
  | { readonly kind: 'zip'; readonly other: P }
  /** `outer`: keys that only the first side has stay, with undefined. */
  | { readonly kind: 'join'; readonly other: P; readonly outer: boolean };

/** One narrow step. */
export type Step = PlainStep | CacheStep | TwoSidedStep<Plan>;

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
  | IdxSource
  | TaskShuffle;

/** What every partition of a shuffle's parent wrote for one partition, in their order. */
export interface TaskShuffle {
  readonly kind: 'shuffle';
  readonly id: string;
  readonly producers: readonly (readonly ShuffleBlock[])[];
}

/** One step of a task. `remember`: what comes before is kept in the worker's store under `key`. */
export type TaskStep = PlainStep | { readonly kind: 'remember'; readonly key: string } | TwoSidedStep<TaskPlan>;

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

/** Tells where the blocks for a partition of a shuffle are, by producer. */
export type BlockLookup = (source: ShuffleSource, partition: number) => readonly (readonly ShuffleBlock[])[];

/** The name of a partition of a heap cache in a worker's store. */
export function heapKey(id: string, partition: number): string {
  return `shoal/cache/${id}/${partition}`;
}

/** The part of a plan that one partition needs, starting from what is cached as columns. */
export function taskPlan(plan: Plan, partition: number, cached: CacheLookup, blocks: BlockLookup): TaskPlan {
  const { columns, steps } = withoutCached(plan, partition, cached);
  const source =
    columns === null ? taskSource(plan.source, partition, blocks) : ({ kind: 'columns', columns } as const);
  return {
    partition,
    source,
    steps: steps.flatMap((step): TaskStep | readonly TaskStep[] => {
      if (step.kind === 'zip' || step.kind === 'join')
        return { ...step, other: taskPlan(step.other, partition, cached, blocks) };
      if (step.kind !== 'cache') return step;
      // The lineage before it goes along: a worker that no longer has the records makes them again.
      return cached(step, partition) === undefined ? [] : { kind: 'remember', key: heapKey(step.id, partition) };
    }),
  };
}

/** The shuffles that a task of this partition reads. */
export function shufflesOf(plan: Plan, partition: number, cached: CacheLookup): ShuffleSource[] {
  const { columns, steps } = withoutCached(plan, partition, cached);
  const own = columns === null && plan.source.kind === 'shuffle' ? [plan.source] : [];
  const others = steps.flatMap((step) => ('other' in step ? shufflesOf(step.other, partition, cached) : []));
  return [...own, ...others];
}

/** The last columns that are cached of a partition, and the steps behind them; null and all steps when there are none. */
function withoutCached(
  plan: Plan,
  partition: number,
  cached: CacheLookup,
): { readonly columns: Columns | null; readonly steps: readonly Step[] } {
  for (let at = plan.steps.length - 1; at >= 0; at--) {
    const step = plan.steps[at]!;
    const entry = step.kind === 'cache' ? cached(step, partition) : undefined;
    if (entry?.kind === 'columns') return { columns: entry.columns, steps: plan.steps.slice(at + 1) };
  }
  return { columns: null, steps: plan.steps };
}

function taskSource(source: Source, partition: number, blocks: BlockLookup): TaskSource {
  switch (source.kind) {
    case 'records':
      return { kind: 'records', records: source.partitions[partition]! };
    case 'columns':
      return { kind: 'columns', columns: source.partitions[partition]! };
    case 'shuffle':
      return { kind: 'shuffle', id: source.id, producers: blocks(source, partition) };
    case 'idx':
      return source;
  }
}

/** The partitioner that a plan's pairs lie by: that of its shuffle, unless a step behind it may have changed keys. */
export function partitionerOf({ source, steps }: Plan): Partitioner | null {
  if (source.kind !== 'shuffle' || source.route.kind !== 'key') return null;
  return steps.every(({ kind }) => KEY_KEEPING.has(kind)) ? source.route.partitioner : null;
}

const KEY_KEEPING: ReadonlySet<Step['kind']> = new Set([
  'filter',
  'mapValues',
  'reduceByKey',
  'groupByKey',
  'join',
  'shuffle',
  'cache',
]);

/** First record of partition `p` when `count` records are dealt out in `partitions` even, consecutive parts. */
export function partitionStart(count: number, partitions: number, p: number): number {
  return Math.floor((count * p) / partitions);
}
