/** @file The process engine: workers are child processes that share nothing and exchange blocks directly. */
import { coreCount } from '#platform';
import { createEngine } from '../driver.ts';
import type { Engine } from '../engine.ts';
import type { EngineOptions } from '../engine-options.ts';
import { ProcessCarrier } from './carrier.ts';

/** Two signs of life a second are sent, by a thread that does nothing else. */
const MAX_HEARTBEAT_TIMEOUT_MS = 15_000;

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
  // Before the silence of a task is noticed: that the process itself is gone says more.
  const silenceMs = options.silenceTimeoutMs ?? Number.POSITIVE_INFINITY;
  const heartbeatTimeoutMs = Math.min(MAX_HEARTBEAT_TIMEOUT_MS, Math.max(1000, silenceMs / 2));
  return createEngine(new ProcessCarrier(heartbeatTimeoutMs), { ...options, workers: options.workers ?? coreCount() });
}
