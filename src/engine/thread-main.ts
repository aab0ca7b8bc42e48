/** @file The main module of a worker thread: marks the thread as a worker, says hello and hands all messages to the runtime. */
import { thisThread } from '#platform';
import { EngineError } from '../errors.ts';
import { becomeWorker } from '../import-module.ts';
import type { BlockHandles } from './blocks.ts';
import type { FromThread, ToThread } from './messages.ts';
import type { ThreadData } from './threads.ts';
import { Vitals } from './vitals.ts';
import { type BlockExchange, WorkerRuntime } from './worker-runtime.ts';

becomeWorker();

const thread = thisThread();
if (thread !== null) {
  const { worker, vitals, sharesMemory } = thread.data as ThreadData;
  const post = (message: FromThread): void => thread.post(message);
  const fetches = new Map<number, (handles: BlockHandles | null) => void>();
  let nextFetch = 0;
  /** Where memory is not shared, the main thread of this process exchanges blocks with the other workers. */
  const exchange: BlockExchange = {
    published: (job, block, unit, version) => post({ type: 'published', job, block, unit, version }),
    async fetch(pinned, names) {
      const id = nextFetch++;
      const fetched = new Promise<BlockHandles | null>((resolve) => fetches.set(id, resolve));
      post({ type: 'fetch', id, pinned, names });
      const handles = await fetched;
      if (handles !== null) return handles;
      throw new EngineError(
        'BLOCKS_LOST',
        `task: some worker must have the blocks ${names.join(', ')} at version ${pinned.version}, got none that has all. Go on from the last checkpoint.`,
        { names, version: pinned.version },
      );
    },
  };
  const runtime = new WorkerRuntime({
    worker,
    vitals: new Vitals(vitals),
    post,
    yieldTurn: null,
    ...(sharesMemory ? {} : { exchange }),
  });
  thread.onMessage((received) => {
    const message = received as ToThread;
    if (message.type !== 'fetched') return runtime.receive(message);
    fetches.get(message.id)?.(message.handles);
    fetches.delete(message.id);
  });
  post({ type: 'ready' });
}
