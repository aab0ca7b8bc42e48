/** @file The threads engine: one worker thread per core, which share nothing but blocks and cached partitions in SharedArrayBuffers. */
import { coreCount, startThread } from '#platform';
import type { Carrier } from './carrier.ts';
import { createEngine } from './driver.ts';
import type { Engine } from './engine.ts';
import type { EngineOptions } from './engine-options.ts';
import type { FromWorker } from './messages.ts';

/** What a worker thread is started with. */
export interface ThreadData {
  readonly worker: number;
  readonly vitals: SharedArrayBuffer;
  /** Whether the blocks of a loop are those of all workers. */
  readonly sharesMemory: boolean;
}

const threadsCarrier: Carrier = {
  name: 'threads',
  sharesMemory: true,
  start(worker, vitals, events, { memoryBudgetBytes }) {
    const data: ThreadData = { worker, vitals: vitals.buffer, sharesMemory: true };
    const thread = startThread(new URL('./thread-main.js', import.meta.url), data, memoryBudgetBytes, {
      onMessage: (message) => events.onMessage(message as FromWorker),
      onExit: (detail) => events.onExit(detail),
    });
    return {
      send: (message) => thread.post(message),
      terminate: () => thread.terminate(),
      hold: (alive) => thread.hold(alive),
    };
  },
};

/**
 * An engine on worker threads. Any of them may be killed at any moment: what it did is done again, and results do not change by a bit.
 *
 * @example
 * const engine = threads({ workers: 2 });
 * // ... run datasets and trainers on it
 * await engine.close();
 */
export function threads(options: EngineOptions = {}): Engine {
  return createEngine(threadsCarrier, { ...options, workers: options.workers ?? coreCount() });
}
