/** @file What the driver remembers of caches: which partitions of a cache step are kept, and where. */
import type { Engine } from '../engine/engine.ts';
import { type Columns, type Schema, shareColumns } from './columns.ts';
import type { CacheEntry, CacheLookup, CacheStep, Plan } from './plan.ts';

// Columns are shared memory and serve every engine; a heap cache belongs to one engine's workers. Both go when nobody holds the step any more.
const columnCaches = new WeakMap<CacheStep, Map<number, Columns>>();
const heapCaches = new WeakMap<Engine, WeakMap<CacheStep, Map<number, number>>>();

let steps = 0;

/** A cache step with an identity of its own. */
export function newCacheStep(schema: Schema | null, storage: CacheStep['storage']): CacheStep {
  steps++;
  return { kind: 'cache', id: String(steps), storage, schema };
}

/** How the partitions of a cache step are kept, as far as `engine` can use it. */
export function cacheLookup(engine: Engine): CacheLookup {
  return (step, partition): CacheEntry | undefined => {
    const columns = columnCaches.get(step)?.get(partition);
    if (columns !== undefined) return { kind: 'columns', columns };
    const worker = heapCaches.get(engine)?.get(step)?.get(partition);
    return worker === undefined ? undefined : { kind: 'heap', worker };
  };
}

/** The columns of a cached partition. */
export function cachedColumns(step: CacheStep, partition: number): Columns | undefined {
  return columnCaches.get(step)?.get(partition);
}

/** Remembers a partition that is kept as columns. */
export function keepColumns(step: CacheStep, partition: number, columns: Columns): void {
  const known = columnCaches.get(step) ?? new Map<number, Columns>();
  columnCaches.set(step, known.set(partition, shareColumns(columns)));
}

/** Remembers a partition that is kept in the heap of a worker. */
export function keepInHeap(engine: Engine, step: CacheStep, partition: number, worker: number): void {
  let steps = heapCaches.get(engine);
  if (steps === undefined) {
    steps = new WeakMap();
    heapCaches.set(engine, steps);
  }
  const known = steps.get(step);
  if (known === undefined) steps.set(step, new Map([[partition, worker]]));
  else known.set(partition, worker);
}

/** The cache steps of a plan that a task may meet, those of zipped and joined plans included; the last first. */
export function cacheStepsOf(plan: Plan): CacheStep[] {
  return plan.steps
    .flatMap((step) => (step.kind === 'cache' ? [step] : 'other' in step ? cacheStepsOf(step.other) : []))
    .reverse();
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
