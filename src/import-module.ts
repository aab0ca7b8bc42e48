/** @file Loading a user's module, and a function of it, by its URL, in a worker or in the thread of the program itself. */
import { EngineError } from './errors.ts';

/** A module that this thread has waited for so long is not going to load. */
const PATIENCE_MS = 10_000;

/** Set in worker threads. */
const workerMark = Symbol.for('shoal.worker');
/** In a worker: the refusal to create an engine, until it is told to who imported the module that tried. */
const refusalMark = Symbol.for('shoal.refusal');

const globals = globalThis as Record<symbol, unknown>;

/** Whether this thread is a worker of an engine. */
export function isWorker(): boolean {
  return globals[workerMark] === true;
}

/** Marks this thread as a worker of an engine. */
export function becomeWorker(): void {
  globals[workerMark] = true;
}

/** Remembers why a module that is being loaded here must not be: it may catch the error, and go on as if nothing had been. */
export function refuseModule(error: EngineError): EngineError {
  globals[refusalMark] = error;
  return error;
}

/** Modules that were refused before: they are loaded once, and refused each time. */
const refused = new Map<string, unknown>();

const notFoundCodes = new Set([
  'ERR_MODULE_NOT_FOUND',
  'ERR_UNKNOWN_FILE_EXTENSION',
  'ERR_UNSUPPORTED_DIR_IMPORT',
  'ERR_UNSUPPORTED_ESM_URL_SCHEME',
  'ERR_INVALID_MODULE_SPECIFIER',
  'ENOENT',
]);

/**
 * The exports of a module.
 *
 * @throws EngineError (rejects) `MODULE_NOT_FOUND`; `MODULE_FAILED` with what the module threw as its cause; `MAIN_IN_WORKER` if it tried to create
 * an engine in a worker; `MODULE_NOT_LOADED` if it awaits, at its top level, the very job that needs it.
 */
export async function importModule(url: string, patienceMs = PATIENCE_MS): Promise<Record<string, unknown>> {
  try {
    const loading = import(/* @vite-ignore */ url) as Promise<Record<string, unknown>>;
    return isWorker() ? await checked(url, loading) : await inTime(url, loading, patienceMs);
  } catch (cause) {
    throw explained(url, cause);
  }
}

async function checked(url: string, loading: Promise<Record<string, unknown>>): Promise<Record<string, unknown>> {
  try {
    return await loading;
  } finally {
    const refusal = globals[refusalMark] ?? refused.get(url);
    globals[refusalMark] = undefined;
    if (refusal !== undefined) {
      refused.set(url, refusal);
      // biome-ignore lint/correctness/noUnsafeFinally: it stands above what the module did with it
      throw refusal;
    }
  }
}

/** In the program's own thread a module may await the result that needs it: then neither would ever go on. */
async function inTime<T>(url: string, loading: Promise<T>, patienceMs: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const waiting = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const message =
        `import: a module must finish loading, got ${url}, which has not for ${patienceMs / 1000} s. It seems to await this very job at its ` +
        'top level: put the functions and classes that tasks use into a module of their own.';
      reject(new EngineError('MODULE_NOT_LOADED', message, { module: url }));
    }, patienceMs);
  });
  return Promise.race([loading, waiting]).finally(() => clearTimeout(timer));
}

function explained(url: string, cause: unknown): EngineError {
  if (cause instanceof EngineError && (cause.code === 'MAIN_IN_WORKER' || cause.code === 'MODULE_NOT_LOADED')) {
    return cause;
  }
  const message = cause instanceof Error ? cause.message : String(cause);
  const code = (cause as { code?: unknown } | null)?.code;
  if (typeof code !== 'string' || !notFoundCodes.has(code)) {
    return new EngineError(
      'MODULE_FAILED',
      `import: the module must load without an error, got ${message} from ${url}. Fix what runs when it is imported.`,
      { module: url },
      cause,
    );
  }
  const next = /\.[cm]?tsx?$/.test(url)
    ? 'Node loads TypeScript in workers from 22.18 on: build the program first, or use a newer Node'
    : 'Check the URL; a bundler must make the module an entry of its own';
  return new EngineError(
    'MODULE_NOT_FOUND',
    `import: the module must be loadable here, got ${url}: ${message}. ${next}.`,
    { module: url },
    cause,
  );
}

// biome-ignore lint/complexity/noBannedTypes: functions and classes of any signature are loaded here
type AnyFunction = Function;

/**
 * A function or class that a module exports.
 *
 * @throws EngineError (rejects) as {@link importModule}, and `EXPORT_NOT_FOUND`
 */
export async function importFunction(url: string, name: string): Promise<AnyFunction> {
  const namespace = await importModule(url);
  const found = Object.hasOwn(namespace, name) ? namespace[name] : undefined;
  if (typeof found === 'function') return found;
  const functions = Object.keys(namespace).filter((key) => typeof namespace[key] === 'function');
  throw new EngineError(
    'EXPORT_NOT_FOUND',
    `import: ${url} must export a function ${name}, got ${found === null ? 'null' : typeof found}. It exports the functions ` +
      `[${functions.join(', ')}]. A bundler that shares chunks gives exports other names: make the module an entry, and name the entry's file.`,
    { module: url, export: name },
  );
}
