/** @file What `// => value` behind a statement of an example becomes. */
import { deepStrictEqual } from 'node:assert/strict';
import { isTensor } from 'shoal';

/** Typed arrays as arrays, however deep: examples write `[1, 2]`. */
function plain(value: unknown): unknown {
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return [...(value as Float32Array)];
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]));
}

/** Tensors are compared as they print, on one line; other values as they are. @throws AssertionError */
export function same(actual: unknown, text: string, expected?: () => unknown): void {
  if (expected === undefined || isTensor(actual)) deepStrictEqual(String(actual).replace(/\n */g, ' '), text);
  else deepStrictEqual(plain(actual), expected());
}
