/**
 * @file Scopes: everything that is created inside and is not part of the result is freed at exit. Backward passes and the tasks of training
 * and prediction run in scopes, which is why their memory does not wait for a garbage collector.
 */
import { ArgumentError } from '../errors.ts';
import { freeStorage } from './arena.ts';
import type { Storage } from './storage.ts';
import { Tensor } from './tensor.ts';

/** What a scope has seen created. */
export interface Scope {
  readonly parent: Scope | undefined;
  readonly created: Storage[];
}

let current: Scope | undefined;

/** The innermost scope that is running. */
export function currentScope(): Scope | undefined {
  return current;
}

/** Tells the innermost scope that a cell was made. Called by the arena for every new cell. */
export function registerInScope(storage: Storage): void {
  if (current === undefined) return;
  storage.scope = current;
  current.created.push(storage);
}

/**
 * Runs `fn`; then frees every cell created inside that `survivors(result)` does not list and that is not kept. Survivors belong to the
 * enclosing scope, if there is one. When `fn` throws, everything created inside is freed.
 */
export function storageScope<T>(fn: () => T, survivors: (result: T) => readonly Storage[] | ReadonlySet<Storage>): T {
  const scope: Scope = { parent: current, created: [] };
  current = scope;
  let alive: readonly Storage[] | ReadonlySet<Storage> = [];
  try {
    const result = fn();
    alive = survivors(result);
    return result;
  } finally {
    current = scope.parent;
    for (const storage of scope.created) {
      if (storage.recycled || storage.scope !== scope) continue;
      if (storage.kept) storage.scope = undefined;
      else if ('has' in alive ? alive.has(storage) : alive.includes(storage)) moveTo(storage, scope.parent);
      else freeStorage(storage);
    }
  }
}

function moveTo(storage: Storage, scope: Scope | undefined): void {
  storage.scope = scope;
  scope?.created.push(storage);
}

/** The cells of all tensors in a result: a tensor, or arrays, maps, sets and plain objects of results. */
export function storagesIn(
  result: unknown,
  found: Set<Storage> = new Set(),
  seen: Set<object> = new Set(),
): Set<Storage> {
  if (typeof result !== 'object' || result === null || seen.has(result) || ArrayBuffer.isView(result)) return found;
  seen.add(result);
  if (result instanceof Tensor) {
    found.add(result.storage);
    if (result.gradient !== undefined) found.add(result.gradient.tensor.storage);
  } else if (result instanceof Map) {
    for (const value of result.values()) storagesIn(value, found, seen);
  } else {
    for (const value of result instanceof Set ? result : Object.values(result)) storagesIn(value, found, seen);
  }
  return found;
}

/**
 * Runs a synchronous function and frees every tensor created inside that its result does not contain (in arrays, maps, sets or plain objects)
 * and that is not kept; also gradients that `backward()` left on parameters inside, unless `keep()` was called on them.
 *
 * @throws ArgumentError if `fn` returns a promise: its tensors would be freed before it uses them.
 * @example
 * const total = scope(() => tensor([1, 2]).square().sum()); // => tensor(5, float32)
 */
export function scope<T>(fn: () => T): T {
  return storageScope(() => {
    const result = fn();
    if (result instanceof Promise) {
      throw new ArgumentError('scope: the function must be synchronous, got a promise. Await outside.');
    }
    return result;
  }, storagesIn);
}
