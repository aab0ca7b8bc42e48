/** @file The main module of a worker thread: marks the thread as a worker, says hello and hands all messages to the runtime. */
import { thisThread } from '#platform';
import type { FromWorker, ToWorker } from './messages.ts';
import type { ThreadData } from './threads.ts';
import { Vitals } from './vitals.ts';
import { WorkerRuntime } from './worker-runtime.ts';

(globalThis as Record<symbol, unknown>)[Symbol.for('shoal.worker')] = true;

const thread = thisThread();
if (thread !== null) {
  const { worker, vitals } = thread.data as ThreadData;
  const post = (message: FromWorker): void => thread.post(message);
  const runtime = new WorkerRuntime({ worker, vitals: new Vitals(vitals), post, yieldTurn: null });
  thread.onMessage((message) => runtime.receive(message as ToWorker));
  post({ type: 'ready' });
}
