/**
 * @file How code reaches workers. A worker has its own heap, so a function cannot travel as an object: either its *address* travels (a module's
 * URL and an export: {@link task}), or its *source* does, with the values it uses passed beside it ({@link describeFunction}). What cannot
 * travel is refused where it is written, with a stable code, and not silently on a worker. Nothing here knows threads or datasets.
 */
import { EngineError } from '../errors.ts';
import { importFunction } from '../import-module.ts';
import { loaderShims } from './compiler-helpers.ts';
import { copyOfValues } from './plain-values.ts';

/** A function by address: the export of a module, with plain data that is passed to it as the last argument. */
export interface ModuleTask {
  readonly kind: 'module';
  /** Absolute URL of the module. */
  readonly module: string;
  /** Name of the export; `default` for the default export. */
  readonly export: string;
  /** Passed as the last argument unless undefined; survives a structured clone. */
  readonly args: unknown;
}

/** A function by source. It closes over nothing; `values` is passed to it as the last argument. */
export interface InlineFunction {
  readonly kind: 'inline';
  /** What `Function.prototype.toString` gave. */
  readonly source: string;
  /** For messages; empty for an anonymous function. */
  readonly name: string;
  /** Passed as the last argument unless undefined; survives a structured clone. */
  readonly values: unknown;
}

/** A function as plain data, ready to cross threads. */
export type FunctionSpec = ModuleTask | InlineFunction;

/** A function that came back from its spec: takes the inputs; args or values are bound behind them. */
export type ResolvedFunction = (...inputs: readonly unknown[]) => unknown;

/** What calling a function gives: a value, a promise, an iterator, or an async iterator. */
export type FunctionKind = 'sync' | 'async' | 'generator' | 'asyncGenerator';

// biome-ignore lint/complexity/noBannedTypes: functions of any signature are described and compiled here
type AnyFunction = Function;
type Callable = (...inputs: readonly unknown[]) => unknown;

/**
 * Codes of errors that the same code gives again on every attempt, so that an engine need not try again.
 */
export const permanentCodes: ReadonlySet<string> = new Set([
  'MODULE_NOT_FOUND',
  'MODULE_FAILED',
  'MODULE_NOT_LOADED',
  'EXPORT_NOT_FOUND',
  'FREE_VARIABLE',
  'FUNCTION_SYNTAX',
  'FUNCTION_EVAL_BLOCKED',
]);

/**
 * Names a module's export as a function that workers can run. `args` is copied now, so later changes to it are not seen.
 *
 * @param url absolute URL of the module, usually `import.meta.url`; SharedArrayBuffers in `args` are shared, not copied.
 * @throws EngineError `TASK_URL` | `TASK_EXPORT` | `VALUES_NOT_CLONEABLE` | `VALUES_NOT_PLAIN`
 * @example
 * export const scale = (x: number, { k }: { k: number }) => x * k;
 * const scaled = dataset.map(task(import.meta.url, 'scale', { k: 3 }));
 */
export function task(url: string | URL, exportName: string, args?: unknown): ModuleTask {
  const module = String(url);
  if (!URL.canParse(module)) {
    throw new EngineError(
      'TASK_URL',
      `task: the module must be an absolute URL, got ${JSON.stringify(module)}. Pass import.meta.url or new URL('./file.js', import.meta.url)` +
        (url === undefined ? '; CommonJS has none: there, pass pathToFileURL(__filename).' : '.'),
      { module },
    );
  }
  if (typeof exportName !== 'string' || exportName === '') {
    throw new EngineError(
      'TASK_EXPORT',
      `task: the export must be a non-empty name, got ${describe(exportName)}. Name an export of ${module}.`,
      { module },
    );
  }
  return { kind: 'module', module, export: exportName, args: copyOfValues('task', args) };
}

/**
 * The spec of a function: a {@link FunctionSpec} as it is, a function as its source together with a copy of `values`.
 *
 * @throws EngineError `FUNCTION_NONE` (not a function), `FUNCTION_NATIVE`, `FUNCTION_BOUND`, `FUNCTION_CLASS`, `FUNCTION_METHOD`,
 * `FUNCTION_IMPORT` (a relative `import()`), `FUNCTION_SYNTAX`, `FUNCTION_VALUES` (values beside a module task), `VALUES_NOT_CLONEABLE`, `VALUES_NOT_PLAIN`
 * @example describeFunction((x: number, { k }: { k: number }) => x * k, { k: 3 })
 */
export function describeFunction(fn: unknown, values?: unknown): FunctionSpec {
  if (isFunctionSpec(fn)) {
    if (values === undefined) return fn;
    throw new EngineError(
      'FUNCTION_VALUES',
      'describeFunction: a task takes its values as args, got both a task and values. Use task(url, "name", values).',
    );
  }
  if (typeof fn !== 'function') {
    throw new EngineError(
      'FUNCTION_NONE',
      `describeFunction: a function or a task() is needed, got ${describe(fn)}. Pass (x) => ... or task(import.meta.url, "name").`,
    );
  }
  const source = Function.prototype.toString.call(fn);
  refuse(fn, source);
  compile({ kind: 'inline', source, name: fn.name, values: undefined });
  return { kind: 'inline', source, name: fn.name, values: copyOfValues('describeFunction', values) };
}

/** Whether a value is a {@link FunctionSpec}. */
export function isFunctionSpec(value: unknown): value is FunctionSpec {
  if (typeof value !== 'object' || value === null) return false;
  const kind = (value as { kind?: unknown }).kind;
  return (
    (kind === 'module' && typeof (value as ModuleTask).module === 'string') ||
    (kind === 'inline' && typeof (value as InlineFunction).source === 'string')
  );
}

/**
 * The function of a spec, ready to call with its inputs; args or values come behind them. An inline function that meets a free variable throws
 * `FREE_VARIABLE`; it keeps its kind (see {@link functionKind}).
 *
 * @throws EngineError (rejects) as {@link importFunction}, `FUNCTION_SYNTAX`
 */
export async function resolveFunction(spec: FunctionSpec): Promise<ResolvedFunction> {
  if (spec.kind === 'inline') return guard(compile(spec), spec);
  const fn = await importFunction(spec.module, spec.export);
  if (spec.args === undefined) return fn as Callable;
  const { args } = spec;
  return keepKind(fn, (...inputs) => (fn as Callable)(...inputs, args));
}

/** What a resolved function gives when it is called. Static: a function that is not declared `async` counts as synchronous. */
export function functionKind(fn: ResolvedFunction): FunctionKind {
  switch (Object.prototype.toString.call(fn)) {
    case '[object AsyncFunction]':
      return 'async';
    case '[object GeneratorFunction]':
      return 'generator';
    case '[object AsyncGeneratorFunction]':
      return 'asyncGenerator';
    default:
      return 'sync';
  }
}

/** A function's name for plans and messages: `scale`, or the start of an anonymous function's source. */
export function functionLabel(spec: FunctionSpec): string {
  return spec.kind === 'module' ? spec.export : spec.name || excerpt(spec.source, 40);
}

// ---- what cannot travel ----

function refuse(fn: AnyFunction, source: string): void {
  const name = fn.name || 'anonymous';
  const fail = (code: string, rule: string, next: string): never => {
    throw new EngineError(code, `describeFunction: ${rule}, got ${name}. ${next}`, { function: name });
  };
  if (/\{\s*\[native code\]\s*\}\s*$/.test(source)) {
    if (name.startsWith('bound ')) {
      fail(
        'FUNCTION_BOUND',
        'a bound function has no source to send',
        'Pass what it is bound to as values: (x, { self }) => ..., { self }.',
      );
    }
    fail(
      'FUNCTION_NATIVE',
      'a native function has no source to send',
      'Wrap it in a function that names it in full, such as (x) => Math.sqrt(x).',
    );
  }
  if (/^class\b/.test(source)) {
    fail(
      'FUNCTION_CLASS',
      'a class is not a function of its inputs',
      'Wrap it in a module function: task(import.meta.url, "make").',
    );
  }
  if (/(?<![\w$.])import\s*\(\s*['"`]\.{1,2}\//.test(source)) {
    fail(
      'FUNCTION_IMPORT',
      'a relative import() means nothing on a worker, which has the source but not its place',
      'Put the function into a module and use task(import.meta.url, "name").',
    );
  }
  if (!parses(`(${source}\n)`) && parses(`({${source}\n})`)) {
    fail(
      'FUNCTION_METHOD',
      'a method (shorthand, getter or setter) cannot be sent without its object',
      `Write it as a function: { ${/^[\w$]+$/.test(name) ? name : 'name'}: (x) => ... }.`,
    );
  }
}

function parses(expression: string): boolean {
  try {
    new Function(`"use strict"; return ${expression}`);
    return true;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw evalBlocked(error);
    return false;
  }
}

// ---- inline functions ----

/** Compiled functions by source: one compilation a thread, however many tasks use the function. */
const compiled = new Map<string, AnyFunction>();

function compile(spec: InlineFunction): AnyFunction {
  const known = compiled.get(spec.source);
  if (known !== undefined) return known;
  const shims = loaderShims(spec.source);
  let fn: unknown;
  try {
    const make = new Function(...shims.keys(), `"use strict"; return (${spec.source}\n);`);
    fn = make.call(outerThis(spec), ...shims.values());
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw evalBlocked(cause);
    throw new EngineError(
      'FUNCTION_SYNTAX',
      `inline function: the source must stand alone, got ${messageOf(cause)} in "${excerpt(spec.source)}". ` +
        'Move it into a module and use task(import.meta.url, "name").',
      { function: spec.name },
      cause,
    );
  }
  compiled.set(spec.source, fn as AnyFunction);
  return fn as AnyFunction;
}

function guard(fn: AnyFunction, spec: InlineFunction): ResolvedFunction {
  const call = fn as Callable;
  const { values } = spec;
  const bound = values === undefined ? call : (...inputs: readonly unknown[]) => call(...inputs, values);
  const explain = (error: unknown): unknown => explainFreeVariable(error, spec);
  switch (inlineKind(call, spec.source)) {
    case 'async':
      return async (...inputs) => {
        try {
          return await bound(...inputs);
        } catch (error) {
          throw explain(error);
        }
      };
    case 'generator':
      return function* (...inputs) {
        try {
          return yield* bound(...inputs) as Iterable<unknown>;
        } catch (error) {
          throw explain(error);
        }
      };
    case 'asyncGenerator':
      return async function* (...inputs) {
        try {
          return yield* bound(...inputs) as AsyncIterable<unknown>;
        } catch (error) {
          throw explain(error);
        }
      };
    default:
      return (...inputs) => {
        try {
          return bound(...inputs);
        } catch (error) {
          throw explain(error);
        }
      };
  }
}

/** What `this` is in an arrow function that was written where `this` meant something: an error at the first use. */
function outerThis(spec: InlineFunction): object {
  const refuseUse = (): never => {
    throw new EngineError(
      'FREE_VARIABLE',
      `inline function: it must close over nothing, got this in "${excerpt(spec.source)}". Pass what it uses as a value, fn(x, { k }) with { k: this.k }.`,
      { variable: 'this', function: spec.name },
    );
  };
  return new Proxy({}, { get: refuseUse, set: refuseUse, has: refuseUse });
}

/** The kind of an inline function as its author wrote it: compilers for old targets make of `async` a call of a helper. */
function inlineKind(fn: ResolvedFunction, source: string): FunctionKind {
  const helper = /__(?:awaiter|async|asyncGenerator)\(/.exec(source);
  const opening = /^(?:(?:\([^()]*\)|[\w$]+)\s*=>\s*(?:\{\s*return\s*)?|function\b[^()]*\([^()]*\)\s*\{\s*return\s*)$/;
  if (helper === null || !opening.test(source.slice(0, helper.index))) return functionKind(fn);
  return helper[0] === '__asyncGenerator(' ? 'asyncGenerator' : 'async';
}

/** `call` as a function of the same kind as `fn`, so that {@link functionKind} still tells the truth. */
function keepKind(fn: AnyFunction, call: Callable): ResolvedFunction {
  switch (functionKind(fn as Callable)) {
    case 'async':
      return async (...inputs) => call(...inputs);
    case 'generator':
      return function* (...inputs) {
        return yield* call(...inputs) as Iterable<unknown>;
      };
    case 'asyncGenerator':
      return async function* (...inputs) {
        return yield* call(...inputs) as AsyncIterable<unknown>;
      };
    default:
      return call;
  }
}

/** V8: "k is not defined"; JavaScriptCore: "Can't find variable: k". */
const undefinedName = /^(?:Can't find variable: )?([\p{ID_Start}$_][\p{ID_Continue}$]*)(?: is not defined)?$/u;

/** A ReferenceError about a name in an inline function's own source, as an error that says what to do; any other error as it is. */
function explainFreeVariable(error: unknown, spec: InlineFunction): unknown {
  if (!(error instanceof Error) || error.name !== 'ReferenceError') return error;
  const variable = undefinedName.exec(error.message)?.[1];
  if (variable === undefined || !spec.source.includes(variable)) return error;
  const imported = importedName(variable, spec.source);
  const what =
    imported === null
      ? `the free variable ${variable}`
      : imported.startsWith('import')
        ? imported
        : `the import ${imported}`;
  // Where esbuild minifies and keeps names, its helper, t(function, "its name"), has a name that nobody can know.
  const isHelper = variable.length <= 2 && /,\s*"[\w$]+"\)/.test(spec.source) && spec.source.includes(`${variable}(`);
  const hint = isHelper ? ' (It looks like the helper of a minifier that keeps names: let it not keep them.)' : '';
  return new EngineError(
    'FREE_VARIABLE',
    `inline function: it must close over nothing, got ${what} in "${excerpt(spec.source)}". ` +
      'Pass it as a value, fn(x, { k }) with { k }, or put the function into a module and use task(import.meta.url, "name").' +
      hint,
    { variable: imported ?? variable, function: spec.name },
    error,
  );
}

/** What the user calls a variable that a loader made of an import. */
function importedName(variable: string, source: string): string | null {
  if (/^__(?:vi|vite_ssr)_import_meta__$/.test(variable)) return 'import.meta';
  if (/^__vite_ssr_dynamic_import__$|^__vi_dynamic_import__$/.test(variable)) return 'import()';
  if (!/^__(?:vi|vite_ssr)_import_\d+__$/.test(variable)) return null;
  const property = new RegExp(`${variable}\\s*\\.\\s*([\\w$]+)|${variable}\\["([^"]+)"\\]`).exec(source);
  return property?.[1] ?? property?.[2] ?? variable;
}

// ---- texts ----

function evalBlocked(cause: unknown): EngineError {
  return new EngineError(
    'FUNCTION_EVAL_BLOCKED',
    `inline function: functions can be sent as source only where code may be compiled, got ${messageOf(cause)}. Use task(import.meta.url, "name").`,
    {},
    cause,
  );
}

function excerpt(source: string, length = 80): string {
  const line = source.replace(/\s+/g, ' ');
  return line.length <= length ? line : `${line.slice(0, length - 1)}…`;
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return JSON.stringify(excerpt(value, 40));
  return typeof value === 'object' || typeof value === 'function' ? `a ${typeof value}` : String(value);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
