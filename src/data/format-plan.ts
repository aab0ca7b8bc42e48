/** @file Plans as text, for people. */
import { functionLabel } from '../engine/functions.ts';
import { formatSchema } from './columns.ts';
import type { CacheStep, Plan, Route, ShuffleSource, Source, Step } from './plan.ts';

/** Tells what is kept of a cache step or of a shuffle, of so many partitions of it. */
export type KeptLabel = (kept: CacheStep | ShuffleSource, partitions: number) => string;

/**
 * A plan as text, last step first, with the number of partitions in front. What is behind a shuffle is another stage: it starts with `+-`, as in
 * Spark's toDebugString.
 */
export function formatPlan(plan: Plan, kept: KeptLabel): string {
  return linesOf(plan, kept).join('\n');
}

function linesOf({ partitions, source, steps }: Plan, kept: KeptLabel): string[] {
  const lines: string[] = [];
  for (const step of [...steps].reverse()) {
    lines.push(formatStep(step, partitions, kept));
    if ('other' in step) lines.push(...linesOf(step.other, kept).map((line) => `  ${line}`));
  }
  lines.push(formatSource(source, kept));
  const stage = lines.map((line, i) => (i === 0 ? `(${partitions}) ${line}` : ` |  ${line}`));
  if (source.kind !== 'shuffle') return stage;
  return [...stage, ...linesOf(source.parent, kept).map((line, i) => (i === 0 ? ` +-${line}` : `   ${line}`))];
}

function formatStep(step: Step, partitions: number, kept: KeptLabel): string {
  switch (step.kind) {
    case 'map':
    case 'filter':
    case 'flatMap':
    case 'keyBy':
    case 'mapValues':
    case 'reduceByKey':
      return `${step.kind} ${functionLabel(step.fn)}`;
    case 'mapPartitions':
      return `${step.withIndex ? 'mapPartitionsWithIndex' : 'mapPartitions'} ${functionLabel(step.fn)}`;
    case 'batch':
      return `batch ${step.size}${step.dropLast ? ', drop last' : ''}`;
    case 'shuffle':
      return `shuffle seed ${step.seed}`;
    case 'zip':
    case 'groupByKey':
      return step.kind;
    case 'join':
      return step.outer ? 'leftOuterJoin' : 'join';
    case 'sortByKey':
      return step.ascending ? 'sort' : 'sort, descending';
    case 'cache':
      return `cache${step.schema === null ? '' : ` ${formatSchema(step.schema)}`} [${kept(step, partitions)}]`;
  }
}

function formatSource(source: Source, kept: KeptLabel): string {
  switch (source.kind) {
    case 'records':
      return `parallelize ${source.partitions.reduce((sum, part) => sum + part.length, 0)} records`;
    case 'columns':
      return `columns of ${source.partitions.reduce((sum, part) => sum + part.count, 0)} records`;
    case 'shuffle':
      return `${source.op} ${formatRoute(source.route)} [${kept(source, source.parent.partitions)}]`;
    case 'idx':
      return `idx ${Object.keys(source.files).join(', ')}${source.limit === null ? '' : `, first ${source.limit}`}`;
  }
}

function formatRoute(route: Route): string {
  return `by ${route.kind === 'deal' ? 'turns' : route.kind === 'sort' ? 'order' : route.partitioner.kind}`;
}
