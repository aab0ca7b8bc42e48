/** @file Threads on Node, Deno and Bun: starting one, and being one. */
import { getHeapStatistics } from 'node:v8';
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

/**
 * Starts a module in a thread. `data` is what {@link thisThread} gives it. A JS heap that grows beyond `heapBytes` ends the thread, and nothing else.
 */
export function startThread(module: URL, data: unknown, heapBytes: number, events: ThreadEvents): Thread {
  const megabytes = Math.ceil(heapBytes / 2 ** 20);
  const resourceLimits = Number.isFinite(megabytes) ? { maxOldGenerationSizeMb: megabytes } : {};
  const worker = new Worker(module, { workerData: data, resourceLimits });
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
  if ((error as { code?: unknown } | null)?.code === 'ERR_WORKER_OUT_OF_MEMORY') {
    return 'the worker thread ran out of JS heap. Make partitions smaller, or raise memoryBudgetBytes or node --max-old-space-size';
  }
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

/**
 * Bytes that this thread holds: its JS heap, its array buffers and its WebAssembly memory, with garbage that V8 has not collected yet. Shared
 * buffers do not count.
 */
export function memoryBytes(): number {
  const { used_heap_size, external_memory, malloced_memory } = getHeapStatistics();
  return used_heap_size + external_memory + malloced_memory;
}
