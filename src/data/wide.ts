/** @file Wide transformations as plans: shuffles, and narrow steps on both sides of them. A plan that lies right already is not shuffled again. */
import type { FunctionSpec } from '../engine/functions.ts';
import { checkCount, type Partitioner, type Partitioning, samePartitioner, toPartitioner } from './partitioner.ts';
import { type Plan, partitionerOf, type Step } from './plan.ts';
import { shufflePlan } from './shuffles.ts';

/** Records dealt out in turn. */
export function repartitionPlan(plan: Plan, partitions: number): Plan {
  return shufflePlan('repartition', plan, checkCount('repartition', partitions), { kind: 'deal' });
}

/** Pairs in the partitions of their keys. */
export function partitionByPlan(op: string, plan: Plan, by: Partitioning): Plan {
  return partitioned(op, plan, toPartitioner(op, by));
}

/** One pair a key, with all its values. */
export function groupByKeyPlan(plan: Plan, by: Partitioning | undefined): Plan {
  const partitioner = chosenPartitioner('groupByKey', by, [plan]);
  return withStep(partitioned('groupByKey', plan, partitioner), { kind: 'groupByKey' });
}

/** One pair a key, with its values combined: in each partition before the shuffle, and over them after it. */
export function reduceByKeyPlan(plan: Plan, fn: FunctionSpec, by: Partitioning | undefined): Plan {
  const partitioner = chosenPartitioner('reduceByKey', by, [plan]);
  const reduce: Step = { kind: 'reduceByKey', fn };
  if (isPartitioned(plan, partitioner)) return withStep(plan, reduce);
  return withStep(partitioned('reduceByKey', withStep(plan, reduce), partitioner), reduce);
}

/** The pairs of two plans with the same key. */
export function joinPlan(plan: Plan, other: Plan, outer: boolean, by: Partitioning | undefined): Plan {
  const op = outer ? 'leftOuterJoin' : 'join';
  const partitioner = chosenPartitioner(op, by, [plan, other]);
  return withStep(partitioned(op, plan, partitioner), {
    kind: 'join',
    other: partitioned(op, other, partitioner),
    outer,
  });
}

/** Records in the order of their keys. */
export function sortByPlan(plan: Plan, fn: FunctionSpec, ascending: boolean, partitions: number | undefined): Plan {
  const count = partitions === undefined ? plan.partitions : checkCount('sortBy', partitions);
  const keyed = withStep(plan, { kind: 'keyBy', fn });
  return withStep(shufflePlan('sortBy', keyed, count, { kind: 'sort', ascending }), { kind: 'sortByKey', ascending });
}

/** A plan with a step more. */
export function withStep(plan: Plan, step: Step): Plan {
  return { ...plan, steps: [...plan.steps, step] };
}

function isPartitioned(plan: Plan, partitioner: Partitioner): boolean {
  const own = partitionerOf(plan);
  return own !== null && samePartitioner(own, partitioner);
}

function partitioned(op: string, plan: Plan, partitioner: Partitioner): Plan {
  if (isPartitioned(plan, partitioner)) return plan;
  return shufflePlan(op, plan, partitioner.partitions, { kind: 'key', partitioner });
}

/**
 * The partitioner that is asked for; else, as in Spark, the largest one that a plan lies by, unless another plan has ten times as many partitions;
 * else one by hash, with as many partitions as the largest plan.
 */
function chosenPartitioner(op: string, by: Partitioning | undefined, plans: readonly Plan[]): Partitioner {
  if (by !== undefined) return toPartitioner(op, by);
  const most = Math.max(...plans.map(({ partitions }) => partitions));
  const [largest] = plans.flatMap((plan) => partitionerOf(plan) ?? []).sort((a, b) => b.partitions - a.partitions);
  if (largest !== undefined && 10 * largest.partitions > most) return largest;
  return { kind: 'hash', partitions: most };
}
