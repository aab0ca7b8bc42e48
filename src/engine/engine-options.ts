/** @file The options of an engine: its policy as one record of plain data, and where an engine may be created. */
import { EngineError } from '../errors.ts';
import { isWorker, refuseModule } from '../import-module.ts';
import type { Command, SchedulerEvent } from './scheduler-types.ts';

/** When an engine starts a second attempt of a slow task beside the first. The first result wins. */
export interface Speculation {
  /** A task is slow when it has run longer than so many times the median of the stage's finished tasks. Default 1.5. */
  readonly multiplier: number;
  /** The share of the stage that must have finished before any task is called slow. Default 0.75. */
  readonly quantile: number;
  /** No task is called slow before it has run so long. Default 100. */
  readonly minimumMs: number;
}

/** How patient an engine is and what it does when its patience ends. Plain data; docs/operations.md explains each value. */
export interface EnginePolicy {
  /** Attempts of one task, or of one phase of a unit in one iteration, before its job fails. Default 4. */
  readonly maxAttempts: number;
  /**
   * A worker on which so many attempts failed in a row, of the same task or of several, ends what it has begun and is replaced by a fresh one.
   * Default 3: with one worker the last attempt of a failing task has a fresh heap. `Infinity` never replaces.
   */
  readonly excludeAfter: number;
  /** A worker that gives no sign of life for so long while it works is ended and its work done again. Default 120,000. */
  readonly silenceTimeoutMs: number;
  /** A worker that is not gone so long after it was told to end fails all jobs with `WORKER_STUCK`. Default 10,000. */
  readonly stuckTimeoutMs: number;
  /**
   * Second attempts of slow tasks of stages. Default none. Only where a worker shares nothing with the others (the process engine): on threads
   * a second live attempt would write into the same slots.
   */
  readonly speculation: Speculation | null;
  /**
   * Bytes that one worker may hold: JS heap, array buffers and WebAssembly memory; shared blocks do not count. More of it ends the worker and its
   * job with `MEMORY_BUDGET`, instead of letting the machine swap. On threads it also bounds the JS heap, whose end costs one worker and
   * not the process. Default `Infinity`: no budget.
   */
  readonly memoryBudgetBytes: number;
}

/** Options of an engine. What is left out has the default of {@link EnginePolicy}. */
export interface EngineOptions extends Partial<Omit<EnginePolicy, 'speculation'>> {
  /** Workers to keep alive. Default: the number of cores (threads). */
  readonly workers?: number;
  /** As {@link EnginePolicy.speculation}; `{}` takes its defaults. */
  readonly speculation?: Partial<Speculation> | null;
  /** Bytes of shuffle blocks that stay in memory, of all shuffles of the engine together; what is beyond goes to files. Default 268,435,456. */
  readonly shuffleMemoryBytes?: number;
  /** Where the folder for those files is made (only if they are needed; it is gone when the engine is closed). Default: the system's temporary folder. */
  readonly spillFolder?: string;
  /** Keeps every scheduler event with the commands that followed, for replay. Default none. */
  readonly log?: (event: SchedulerEvent, commands: readonly Command[]) => void;
}

/** The policy of an engine that is told nothing. */
export const defaultPolicy: EnginePolicy = {
  maxAttempts: 4,
  excludeAfter: 3,
  silenceTimeoutMs: 120_000,
  stuckTimeoutMs: 10_000,
  speculation: null,
  memoryBudgetBytes: Number.POSITIVE_INFINITY,
};

const defaultSpeculation: Speculation = { multiplier: 1.5, quantile: 0.75, minimumMs: 100 };

/** A budget below what an idle worker holds would end every job. */
const LEAST_BUDGET_BYTES = 32 * 2 ** 20;

/**
 * The whole policy that an engine's options ask for.
 *
 * @param speculates whether two attempts of a task may live at the same time on the engine's carrier.
 * @throws EngineError `ARGUMENT` with the option's name and value; `SPECULATION_UNSAFE` if the carrier does not allow it
 */
export function completePolicy(op: string, options: EngineOptions, speculates: boolean): EnginePolicy {
  const policy: EnginePolicy = {
    maxAttempts: options.maxAttempts ?? defaultPolicy.maxAttempts,
    excludeAfter: options.excludeAfter ?? defaultPolicy.excludeAfter,
    silenceTimeoutMs: options.silenceTimeoutMs ?? defaultPolicy.silenceTimeoutMs,
    stuckTimeoutMs: options.stuckTimeoutMs ?? defaultPolicy.stuckTimeoutMs,
    speculation: options.speculation ? { ...defaultSpeculation, ...options.speculation } : null,
    memoryBudgetBytes: options.memoryBudgetBytes ?? defaultPolicy.memoryBudgetBytes,
  };
  const check = (name: string, value: number, isValid: boolean, rule: string): void => {
    if (isValid) return;
    const message = `${op}: ${name} must be ${rule}, got ${value}. Leave it out for the default.`;
    throw new EngineError('ARGUMENT', message, { option: name, value });
  };
  for (const name of ['maxAttempts', 'excludeAfter'] as const) {
    const endless = name === 'excludeAfter' && policy[name] === Number.POSITIVE_INFINITY;
    const isValid = endless || (Number.isInteger(policy[name]) && policy[name] >= 1);
    check(name, policy[name], isValid, `an integer >= 1${name === 'excludeAfter' ? ' or Infinity' : ''}`);
  }
  for (const name of ['silenceTimeoutMs', 'stuckTimeoutMs'] as const)
    check(name, policy[name], policy[name] > 0, 'a number of milliseconds > 0');
  const budget = policy.memoryBudgetBytes;
  check('memoryBudgetBytes', budget, budget >= LEAST_BUDGET_BYTES, `a number of bytes >= ${LEAST_BUDGET_BYTES}`);
  if (policy.speculation === null) return policy;
  const { multiplier, quantile, minimumMs } = policy.speculation;
  check('speculation.multiplier', multiplier, multiplier >= 1, 'a number >= 1');
  check('speculation.quantile', quantile, quantile > 0 && quantile <= 1, 'a number in (0, 1]');
  check('speculation.minimumMs', minimumMs, minimumMs >= 0, 'a number of milliseconds >= 0');
  if (speculates) return policy;
  throw new EngineError(
    'SPECULATION_UNSAFE',
    `${op}: speculation needs workers that share no memory, got the ${op} engine, where a second live attempt would write into the slots of the ` +
      'first. Leave speculation out, or use the process engine.',
    { engine: op },
  );
}

/** Refuses numbers of workers that are none. @throws EngineError `ARGUMENT` */
export function checkWorkers(op: string, workers: number): void {
  if (Number.isInteger(workers) && workers >= 1) return;
  throw new EngineError(
    'ARGUMENT',
    `${op}: workers must be an integer >= 1, got ${workers}. Leave it out for one per core.`,
    { workers },
  );
}

/** The memory for shuffles that options ask for. @throws EngineError `ARGUMENT` */
export function shuffleMemory({ shuffleMemoryBytes = 2 ** 28 }: EngineOptions): number {
  if (Number.isSafeInteger(shuffleMemoryBytes) && shuffleMemoryBytes >= 0) return shuffleMemoryBytes;
  throw new EngineError(
    'ARGUMENT',
    `engine: shuffleMemoryBytes must be an integer >= 0, got ${shuffleMemoryBytes}. Use 0 to keep all shuffles in files.`,
    { shuffleMemoryBytes },
  );
}

/**
 * Refuses to create an engine where shoal's files were put into one bundle: workers would look for them in vain.
 *
 * @param url of a file of this package, as the file itself sees it; none in CommonJS bundles.
 * @throws EngineError `BUNDLED`
 */
export function checkFiles(url: string | undefined = import.meta.url): void {
  if (/\/engine\/engine-options\.[jt]s(?:\?.*)?$/.test(url ?? '')) return;
  throw new EngineError(
    'BUNDLED',
    `engine: shoal must stay a package of files, because workers load them, got its code in the bundle ${url ?? '(CommonJS)'}. Mark it as ` +
      "external: esbuild --external:shoal, Vite ssr: { external: ['shoal'] }, Rollup and Rolldown external: [/^shoal/].",
    { url: url ?? null },
  );
}

/** Refuses to create an engine inside a worker, or out of a bundle. @throws EngineError `MAIN_IN_WORKER` | `BUNDLED` */
export function checkThread(): void {
  checkFiles();
  if (!isWorker()) return;
  throw refuseModule(
    new EngineError(
      'MAIN_IN_WORKER',
      'engine: an engine must not be created inside a worker. Your main module was imported by a task, so it started its job again: put the ' +
        'functions and classes that tasks use into a module of their own, and export them from there; with a bundler, make it an entry of its own.',
    ),
  );
}
