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

/** How long a thread that is to end may go on loading its modules. */
const START_GRACE_MS = 2000;

const threadsCarrier: Carrier = {
  name: 'threads',
  sharesMemory: true,
  start(worker, vitals, events, { memoryBudgetBytes }) {
    const data: ThreadData = { worker, vitals: vitals.buffer, sharesMemory: true };
    let isReady = false;
    let grace: ReturnType<typeof setTimeout> | undefined;
    const thread = startThread(new URL('./thread-main.js', import.meta.url), data, memoryBudgetBytes, {
      onMessage: (message) => {
        isReady = true;
        if (grace === undefined) events.onMessage(message as FromWorker);
        else thread.terminate();
      },
      onExit: (detail) => {
        clearTimeout(grace);
        events.onExit(detail);
      },
    });
    return {
      send: (message) => thread.post(message),
      terminate: () => {
        // Node loses the file that a thread is reading when it is ended, so one that still loads its modules is ended when it has done so.
        if (isReady) thread.terminate();
        else grace ??= setTimeout(() => thread.terminate(), START_GRACE_MS);
      },
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
