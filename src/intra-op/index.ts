/**
 * @file Threads inside one operation: a large matrix product or convolution of this thread's divides its results among helpers that share its memory. For
 * inference and training in one process; an engine's workers each have a core's worth of work already. See kernels/runtime/crew.ts and docs/adr/0011.
 */
import { coreCount, idleCores, startThread } from '#platform';
import {
  crewCounts,
  crewSize,
  crewThreads,
  crewTrouble,
  type HelperData,
  makeCrew,
} from '../../kernels/runtime/crew.ts';
import { ArgumentError, KernelError } from '../errors.ts';
import { isWorker } from '../import-module.ts';

/** What `numThreads()` tells. */
export interface NumThreads {
  /** Threads that a large operation runs on now, with this one. */
  readonly threads: number;
  /** What was asked for, and why it is another number, if it is. */
  readonly reason: string;
  /** Shares of operations that helpers have computed so far. */
  readonly helped: number;
}

const mostThreads = 32;
let asked = 1;
/** Why nothing came of what was asked for. */
let refusal: string | undefined;

/**
 * Runs large matrix products and convolutions of this thread on `threads` threads: this one and helpers, which spin for 0.1 ms after each operation
 * and then sleep. Results have the same bits with any number. With 1 (the default) helpers that were started go on sleeping.
 *
 * Asking for more than is possible is not an error: no more threads run than there are cores; none but this one while the workers of an engine of
 * this program are at work, in such a worker itself, or where the runtime has no shared memory. `numThreads()` says so. The helpers do not keep
 * the program alive, and start while it goes on: operations meanwhile run on fewer threads.
 *
 * As PyTorch's `torch.set_num_threads`.
 *
 * @throws ArgumentError if `threads` is not a whole number from 1 to 32.
 * @example
 * setNumThreads(2);
 * matmul(ones([512, 512]), ones([512, 512])); // may run on two threads
 * setNumThreads(1);
 */
export function setNumThreads(threads: number): void {
  if (!(Number.isInteger(threads) && threads >= 1 && threads <= mostThreads)) {
    throw new ArgumentError(
      `setNumThreads: threads must be a whole number from 1 to ${mostThreads}, got ${threads}. Pass the number of cores to use.`,
      { threads },
    );
  }
  asked = threads;
  refusal = undefined;
  const possible = Math.min(threads, coreCount());
  if (possible <= crewSize()) return;
  if (isWorker()) refusal = 'this is a worker of an engine';
  else start(possible);
}

function start(threads: number): void {
  try {
    makeCrew({ threads, limit: () => Math.min(asked, idleCores()), start: startHelper });
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    refusal = error.message;
  }
}

function startHelper(data: HelperData, onExit: (detail: string) => void): { terminate(): void } {
  const thread = startThread(new URL('./thread-main.js', import.meta.url), data, Number.POSITIVE_INFINITY, {
    onMessage() {},
    onExit,
  });
  thread.hold(false);
  return thread;
}

/**
 * How many threads a large operation of this thread runs on now, and why.
 *
 * @example
 * numThreads().threads; // => 1
 */
export function numThreads(): NumThreads {
  const threads = crewThreads();
  return { threads, reason: reasonFor(threads), helped: crewCounts().helped };
}

function reasonFor(threads: number): string {
  const wanted = asked === 1 ? 'the default' : `setNumThreads(${asked})`;
  if (threads === asked) return wanted;
  const trouble = refusal ?? crewTrouble();
  if (trouble !== undefined) return `${wanted}, but ${trouble}`;
  if (threads === coreCount()) return `${wanted}, but there are ${threads} cores`;
  return `${wanted}, but the workers of an engine are at work`;
}
