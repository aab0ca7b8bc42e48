/**
 * @file The driver's side of datasets: runs an action on partitions of a plan, after what it starts from has been made: cached partitions, and the
 * blocks of shuffles.
 */
import type { Engine, StageInput } from '../engine/engine.ts';
import { task } from '../engine/functions.ts';
import { EngineError } from '../errors.ts';
import { cachedColumns, cacheLookup, cacheStepsOf, keepColumns, keepInHeap, newCacheStep } from './caches.ts';
import { type Columns, formatSchema, type Schema, sameSchema, schemaError, schemaOf } from './columns.ts';
import { boundsOf, type KeySample, type Partitioner, sampleSize } from './partitioner.ts';
import { type Plan, type ShuffleSource, shufflesOf, taskPlan } from './plan.ts';
import type { LostBlocks, MapOutput, TaskRoute } from './shuffle-io.ts';
import { shufflesOn } from './shuffles.ts';
import { type Action, type CacheResult, lostBlocksOf, stageModule } from './stage.ts';

/** Options of every action. */
export interface ActionOptions {
  /** Cancels the action; it rejects with `CANCELLED`. */
  readonly signal?: AbortSignal;
}

/** Told of the result of each partition as it comes. */
type OnResult = (partition: number, result: unknown, worker: number) => void;

/** Runs an action on partitions of a plan; the results come in the order of `partitions`. */
export async function runAction(
  engine: Engine,
  plan: Plan,
  partitions: readonly number[],
  action: Action,
  options: ActionOptions,
  onResult?: OnResult,
): Promise<unknown[]> {
  await fillCaches(engine, plan, partitions, nameOf(action), options);
  return runStage(engine, plan, partitions, action, options, onResult);
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
      const columns = cachedColumns(step, partition);
      if (columns !== undefined) return columns;
      throw schemaError(
        `materialize: records must be objects of numbers and typed arrays, got others in partition ${partition}. Map them to such objects.`,
        { partition },
      );
    }),
  );
}

/**
 * Runs a stage on partitions of a plan. Tasks that find blocks of a shuffle lost have not failed: the tasks that wrote these blocks run again, and
 * then those that were to read them.
 */
async function runStage(
  engine: Engine,
  plan: Plan,
  partitions: readonly number[],
  action: Action,
  options: ActionOptions,
  onResult?: OnResult,
): Promise<unknown[]> {
  const results = new Map<number, unknown>();
  const losses = new Map<string, number>();
  for (let missing = partitions; ; ) {
    await fillShuffles(engine, plan, missing, options);
    const lost: LostBlocks[] = [];
    await runOnce(engine, plan, missing, action, options, (partition, result, worker) => {
      const blocks = lostBlocksOf(result);
      lost.push(...blocks);
      if (blocks.length > 0) return;
      results.set(partition, result);
      onResult?.(partition, result, worker);
    });
    missing = missing.filter((partition) => !results.has(partition));
    if (missing.length === 0) return partitions.map((partition) => results.get(partition));
    forgetLost(engine, plan, missing, lost, losses);
  }
}

async function runOnce(
  engine: Engine,
  plan: Plan,
  partitions: readonly number[],
  action: Action,
  options: ActionOptions,
  onResult: OnResult,
): Promise<void> {
  const lookup = cacheLookup(engine);
  const caches = cacheStepsOf(plan);
  const { blocks } = shufflesOn(engine);
  const inputs = partitions.map((partition): StageInput => {
    const heap = caches.map((step) => lookup(step, partition)).find((entry) => entry?.kind === 'heap');
    const input = taskPlan(plan, partition, lookup, blocks);
    return heap?.kind === 'heap' ? { partition, input, preferredWorker: heap.worker } : { partition, input };
  });
  await engine.run(
    { name: nameOf(action), run: task(stageModule, 'runPartition', action), inputs },
    {
      ...options,
      onResult: (index, result, worker) => {
        const partition = partitions[index]!;
        // A heap cache that the task used is on this worker now, wherever it was before.
        for (const step of caches) {
          if (lookup(step, partition)?.kind === 'heap') keepInHeap(engine, step, partition, worker);
        }
        onResult(partition, result, worker);
      },
    },
  );
}

/** What people know an action by: shuffles are written for the transformation that asked for them. */
function nameOf(action: Action): string {
  return action.kind === 'shuffle' ? action.op : action.kind;
}

/** Makes the missing partitions of the last cache step (and, for those, of the steps before it), and of what is zipped or joined in after it. */
async function fillCaches(
  engine: Engine,
  plan: Plan,
  partitions: readonly number[],
  op: string,
  options: ActionOptions,
): Promise<void> {
  const at = plan.steps.findLastIndex((step) => step.kind === 'cache');
  for (const step of plan.steps.slice(at + 1)) {
    if ('other' in step) await fillCaches(engine, step.other, partitions, op, options);
  }
  const step = plan.steps[at];
  if (step?.kind !== 'cache') return;
  const lookup = cacheLookup(engine);
  const missing = partitions.filter((partition) => lookup(step, partition) === undefined);
  if (missing.length === 0) return;
  const { id, storage, schema } = step;
  const before: Plan = { ...plan, steps: plan.steps.slice(0, at) };
  await fillCaches(engine, before, missing, op, options);
  const action: Action = { kind: 'cache', op, id, storage, schema };
  await runStage(engine, before, missing, action, options, (partition, result, worker) => {
    const { columns } = result as CacheResult;
    if (columns === null) keepInHeap(engine, step, partition, worker);
    else keepColumns(step, partition, columns);
  });
}

// ---- shuffles ----

/** Writes what is missing of the shuffles that the partitions of a plan read. Nothing is missing when this returns. */
async function fillShuffles(
  engine: Engine,
  plan: Plan,
  partitions: readonly number[],
  options: ActionOptions,
): Promise<void> {
  const lookup = cacheLookup(engine);
  const shuffles = shufflesOn(engine);
  // Looked up anew after each one: another action may have found blocks lost meanwhile.
  for (;;) {
    const sources = new Set(partitions.flatMap((partition) => shufflesOf(plan, partition, lookup)));
    const next = [...sources].find((source) => shuffles.missing(source).length > 0);
    if (next === undefined) return;
    await fillShuffle(engine, next, options);
  }
}

async function fillShuffle(engine: Engine, source: ShuffleSource, options: ActionOptions): Promise<void> {
  const { id, op, parent } = source;
  const shuffles = shufflesOn(engine);
  const route = await taskRoute(engine, source, options);
  const missing = shuffles.missing(source);
  if (missing.length === 0) return;
  // What the parent needs is made first, so that it gets its part of the memory.
  await fillCaches(engine, parent, missing, op, options);
  await fillShuffles(engine, parent, missing, options);
  await shuffles.withMemory(missing.length, (memoryBytes) => {
    const action: Action = { kind: 'shuffle', id, op, route, memoryBytes };
    return runStage(engine, parent, missing, action, options, (input, output) =>
      shuffles.keep(source, input, output as MapOutput),
    );
  });
}

/** The route of a shuffle's tasks. A sort draws its bounds first, from a sample of the keys. */
async function taskRoute(engine: Engine, source: ShuffleSource, options: ActionOptions): Promise<TaskRoute> {
  const { parent, partitions, route } = source;
  if (route.kind === 'deal') return { kind: 'deal', partitions };
  if (route.kind === 'key') return { kind: 'key', partitions, partitioner: route.partitioner };
  const shuffles = shufflesOn(engine);
  let bounds = shuffles.bounds(source);
  if (bounds === null) {
    const inputs = Array.from({ length: parent.partitions }, (_, p) => p);
    const action: Action = { kind: 'sampleKeys', size: sampleSize(partitions, inputs.length) };
    // One range has no bounds, whatever its keys.
    const samples = partitions === 1 ? [] : await runAction(engine, parent, inputs, action, options);
    bounds = boundsOf(samples as KeySample[], partitions, route.ascending);
    shuffles.setBounds(source, bounds);
  }
  const partitioner: Partitioner = { kind: 'range', partitions, bounds, ascending: route.ascending };
  return { kind: 'key', partitions, partitioner };
}

/** Forgets outputs with lost blocks, so that they are written again: each of them only as often as a task may be tried. */
function forgetLost(
  engine: Engine,
  plan: Plan,
  partitions: readonly number[],
  lost: readonly LostBlocks[],
  losses: Map<string, number>,
): void {
  const lookup = cacheLookup(engine);
  const sources = partitions.flatMap((partition) => shufflesOf(plan, partition, lookup));
  const again = new Map<string, { readonly shuffle: string; readonly producer: number; readonly message: string }>();
  for (const { shuffle, producers, message } of lost)
    for (const producer of producers) again.set(`${shuffle}/${producer}`, { shuffle, producer, message });
  for (const [name, { shuffle, producer, message }] of again) {
    const times = (losses.get(name) ?? 0) + 1;
    losses.set(name, times);
    if (times >= engine.maxAttempts) {
      throw new EngineError(
        'SHUFFLE_BLOCK_LOST',
        `shuffle: blocks must be there when they are read, got those of partition ${producer} lost ${times} times. Last: ${message}`,
        { shuffle, producer },
      );
    }
    const source = sources.find(({ id }) => id === shuffle);
    if (source !== undefined) shufflesOn(engine).forget(source, producer);
  }
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
