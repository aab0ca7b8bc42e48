/**
 * @file The driver's side of datasets: runs an action on partitions of a plan, after making the cached partitions that it starts from, and
 * remembers what is cached where.
 */
import type { Engine, StageInput } from '../engine/engine.ts';
import { task } from '../engine/functions.ts';
import { type Columns, formatSchema, type Schema, sameSchema, schemaError, schemaOf } from './columns.ts';
import { type CacheEntry, type CacheLookup, type CacheStep, type Plan, taskPlan } from './plan.ts';
import { type Action, type CacheResult, stageModule } from './stage.ts';

/** Options of every action. */
export interface ActionOptions {
  /** Cancels the action; it rejects with `CANCELLED`. */
  readonly signal?: AbortSignal;
}

// Columns are shared memory and serve every engine; a heap cache belongs to one engine's workers. Both go when nobody holds the step any more.
const columnCaches = new WeakMap<CacheStep, Map<number, Columns>>();
const heapCaches = new WeakMap<Engine, WeakMap<CacheStep, Map<number, number>>>();

let steps = 0;

/** A cache step with an identity of its own. */
export function newCacheStep(schema: Schema | null, storage: CacheStep['storage']): CacheStep {
  steps++;
  return { kind: 'cache', id: String(steps), storage, schema };
}

/** Runs an action on partitions of a plan; the results come in the order of `partitions`. */
export async function runAction(
  engine: Engine,
  plan: Plan,
  partitions: readonly number[],
  action: Action,
  options: ActionOptions,
): Promise<unknown[]> {
  await fillCaches(engine, plan, partitions, action.kind, options);
  return runStage(engine, plan, partitions, action, options);
}

/** The columns of every partition, with one schema. A plan that ends in a fitting `cache` step is cached by this. */
export async function materializePlan(
  engine: Engine,
  plan: Plan,
  schema: Schema | null,
  options: ActionOptions,
): Promise<Columns[]> {
  const end = plan.steps.at(-1);
  const fits = end?.kind === 'cache' && (schema === null || (end.schema !== null && sameSchema(end.schema, schema)));
  const step = fits ? end : newCacheStep(schema, 'auto');
  const all = Array.from({ length: plan.partitions }, (_, p) => p);
  await fillCaches(engine, fits ? plan : { ...plan, steps: [...plan.steps, step] }, all, 'materialize', options);
  return unify(
    all.map((partition) => {
      const columns = columnCaches.get(step)?.get(partition);
      if (columns !== undefined) return columns;
      throw schemaError(
        `materialize: records must be objects of numbers and typed arrays, got others in partition ${partition}. Map them to such objects.`,
        { partition },
      );
    }),
  );
}

/** What is kept of a cache step now, for people. */
export function describeCache(engine: Engine | null, step: CacheStep, partitions: number): string {
  const parts: string[] = [];
  const columns = columnCaches.get(step);
  if (columns !== undefined) {
    let bytes = 0;
    for (const { fields } of columns.values()) for (const { data } of Object.values(fields)) bytes += data.byteLength;
    parts.push(`${columns.size} of ${partitions} partitions as columns, ${(bytes / 1e6).toFixed(1)} MB`);
  }
  const heap = engine === null ? undefined : heapCaches.get(engine)?.get(step);
  if (heap !== undefined) parts.push(`${heap.size} of ${partitions} partitions as records`);
  return parts.join(', ') || 'nothing yet';
}

async function runStage(
  engine: Engine,
  plan: Plan,
  partitions: readonly number[],
  action: Action,
  options: ActionOptions,
  onResult?: (partition: number, result: unknown, worker: number) => void,
): Promise<unknown[]> {
  const lookup = cacheLookup(engine);
  const inputs = partitions.map((partition): StageInput => {
    const preferred = heapCachesOf(plan).map((step) => lookup(step, partition));
    const heap = preferred.find((entry) => entry?.kind === 'heap');
    const input = taskPlan(plan, partition, lookup);
    return heap?.kind === 'heap' ? { partition, input, preferredWorker: heap.worker } : { partition, input };
  });
  return engine.run(
    { name: action.kind, run: task(stageModule, 'runPartition', action), inputs },
    {
      ...options,
      onResult: (index, result, worker) => {
        const partition = partitions[index]!;
        // A heap cache that the task used is on this worker now, wherever it was before.
        for (const step of heapCachesOf(plan)) {
          if (lookup(step, partition)?.kind === 'heap') heapCache(engine, step).set(partition, worker);
        }
        onResult?.(partition, result, worker);
      },
    },
  );
}

/** Makes the missing partitions of the last cache step (and, for those, of the steps before it), and of what is zipped in after it. */
async function fillCaches(
  engine: Engine,
  plan: Plan,
  partitions: readonly number[],
  op: string,
  options: ActionOptions,
): Promise<void> {
  const at = plan.steps.findLastIndex((step) => step.kind === 'cache');
  for (const step of plan.steps.slice(at + 1)) {
    if (step.kind === 'zip') await fillCaches(engine, step.other, partitions, op, options);
  }
  const step = plan.steps[at];
  if (step?.kind !== 'cache') return;
  const lookup = cacheLookup(engine);
  const missing = partitions.filter((partition) => lookup(step, partition) === undefined);
  if (missing.length === 0) return;
  const before: Plan = { ...plan, steps: plan.steps.slice(0, at) };
  await fillCaches(engine, before, missing, op, options);
  const { id, storage, schema } = step;
  await runStage(
    engine,
    before,
    missing,
    { kind: 'cache', op, id, storage, schema },
    options,
    (partition, result, worker) => {
      const { columns } = result as CacheResult;
      if (columns === null) heapCache(engine, step).set(partition, worker);
      else columnCache(step).set(partition, columns);
    },
  );
}

function cacheLookup(engine: Engine): CacheLookup {
  return (step, partition): CacheEntry | undefined => {
    const columns = columnCaches.get(step)?.get(partition);
    if (columns !== undefined) return { kind: 'columns', columns };
    const worker = heapCaches.get(engine)?.get(step)?.get(partition);
    return worker === undefined ? undefined : { kind: 'heap', worker };
  };
}

/** The cache steps of a plan that a task may meet, those of zipped plans included; the last first. */
function heapCachesOf(plan: Plan): CacheStep[] {
  return plan.steps
    .flatMap((step) => (step.kind === 'cache' ? [step] : step.kind === 'zip' ? heapCachesOf(step.other) : []))
    .reverse();
}

function columnCache(step: CacheStep): Map<number, Columns> {
  const known = columnCaches.get(step);
  if (known !== undefined) return known;
  const made = new Map<number, Columns>();
  columnCaches.set(step, made);
  return made;
}

function heapCache(engine: Engine, step: CacheStep): Map<number, number> {
  let steps = heapCaches.get(engine);
  if (steps === undefined) {
    steps = new WeakMap();
    heapCaches.set(engine, steps);
  }
  let workers = steps.get(step);
  if (workers === undefined) {
    workers = new Map();
    steps.set(step, workers);
  }
  return workers;
}

/** Columns of one schema: partitions without records take that of the others. */
function unify(parts: readonly Columns[]): Columns[] {
  const model = parts.find((part) => part.count > 0) ?? parts.find((part) => Object.keys(part.fields).length > 0);
  if (model === undefined) return [...parts];
  const schema = schemaOf(model);
  return parts.map((part, partition) => {
    if (sameSchema(schemaOf(part), schema)) return part;
    if (part.count === 0) return emptyLike(model);
    throw schemaError(
      `materialize: all partitions must have the same fields, got ${formatSchema(schema)} and ${formatSchema(schemaOf(part))} in ` +
        `partition ${partition}. Give cache() a schema.`,
      { partition },
    );
  });
}

function emptyLike(model: Columns): Columns {
  const fields: Columns['fields'] = Object.fromEntries(
    Object.entries(model.fields).map(([name, column]) => [name, { ...column, data: column.data.slice(0, 0) }]),
  );
  return { count: 0, fields };
}
