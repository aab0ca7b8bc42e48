/** @file Threads on Node, Deno and Bun: starting one, and being one. */
import { availableParallelism } from 'node:os';
import { parentPort, Worker, workerData } from 'node:worker_threads';

/** A started thread. */
export interface Thread {
  post(message: unknown): void;
  terminate(): void;
  /** Whether the thread keeps the process alive. */
  hold(alive: boolean): void;
}

/** What a thread reports to whom started it. */
export interface ThreadEvents {
  onMessage(message: unknown): void;
  /** Called exactly once, when nothing of the thread runs any more. */
  onExit(detail: string): void;
}

/** Starts a module in a thread. `data` is what {@link thisThread} gives it. */
export function startThread(module: URL, data: unknown, events: ThreadEvents): Thread {
  const worker = new Worker(module, { workerData: data });
  let error: unknown;
  worker.on('message', (message) => events.onMessage(message));
  worker.on('messageerror', (thrown) => {
    error = thrown;
    void worker.terminate();
  });
  worker.on('error', (thrown) => {
    error = thrown;
  });
  worker.on('exit', (code) => events.onExit(exitDetail(code, error)));
  return {
    post: (message) => worker.postMessage(message),
    terminate: () => void worker.terminate(),
    hold: (alive) => (alive ? worker.ref() : worker.unref()),
  };
}

function exitDetail(code: number, error: unknown): string {
  if (error === undefined) return `the worker thread ended with exit code ${code} before its work was done`;
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `the worker thread ended with an uncaught error: ${text}`;
}

/** This thread's door to the one that started it; `null` on the main thread. */
export function thisThread(): {
  data: unknown;
  post(message: unknown): void;
  onMessage(listener: (message: unknown) => void): void;
} | null {
  const port = parentPort;
  if (port === null) return null;
  return {
    data: workerData,
    post: (message) => port.postMessage(message),
    onMessage: (listener) => void port.on('message', listener),
  };
}

/** Cores that this process may use, at least 1. */
export function coreCount(): number {
  return availableParallelism();
}
