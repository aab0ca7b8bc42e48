/** @file Values that travel beside functions: plain data, copied when they are handed over. */
import { EngineError } from '../errors.ts';

/**
 * A deep copy of values, so that the program may go on changing its own. SharedArrayBuffers are shared, not copied.
 *
 * @param op what the error messages start with.
 * @throws EngineError `VALUES_NOT_PLAIN` (an instance of a class, which a copy would lose) | `VALUES_NOT_CLONEABLE`
 */
export function copyOfValues(op: string, values: unknown): unknown {
  if (values === undefined) return undefined;
  const path = findUnplain(values, 'values', new Set());
  if (path !== null) {
    throw new EngineError(
      'VALUES_NOT_PLAIN',
      `${op}: values must be plain data (a copy loses classes), got an instance of a class at ${path}. Pass its fields, or build it on the worker.`,
      { path },
    );
  }
  try {
    return structuredClone(values);
  } catch (cause) {
    throw new EngineError(
      'VALUES_NOT_CLONEABLE',
      `${op}: values must survive a structured clone, got ${cause instanceof Error ? cause.message : String(cause)}. Pass plain data; send functions with task().`,
      {},
      cause,
    );
  }
}

/** Where in `value` an instance of a program's own class is; null: nowhere. */
function findUnplain(value: unknown, path: string, seen: Set<object>): string | null {
  if (typeof value !== 'object' || value === null || seen.has(value)) return null;
  seen.add(value);
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const found = findUnplain(value[i], `${path}[${i}]`, seen);
      if (found !== null) return found;
    }
    return null;
  }
  // Built-in classes that a structured clone knows (Map, typed arrays, Error, ...) have their own tags.
  if (Object.prototype.toString.call(value) !== '[object Object]') return null;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) return path;
  for (const [key, item] of Object.entries(value)) {
    const found = findUnplain(item, `${path}.${key}`, seen);
    if (found !== null) return found;
  }
  return null;
}
