/** @file The process engine: workers are child processes that share nothing and exchange blocks directly. */
import { coreCount } from '#platform';
import { createEngine } from '../driver.ts';
import type { Engine } from '../engine.ts';
import type { EngineOptions } from '../engine-options.ts';
import { ProcessCarrier } from './carrier.ts';

/**
 * An engine on child processes, one per core. It costs more than `threads()` (blocks are sent through TCP) and survives more: a worker that runs out of
 * memory or crashes takes nothing with it. It is the shape in which a cluster runs workers; results are the same, bit for bit.
 *
 * @example
 * const engine = processes({ workers: 2 });
 * // ... run datasets and trainers on it
 * await engine.close();
 */
export function processes(options: EngineOptions = {}): Engine {
  return createEngine(new ProcessCarrier(), { ...options, workers: options.workers ?? coreCount() });
}
