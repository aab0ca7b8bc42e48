/** An asynchronous program that keeps 200,000 results: none is lost, and WebAssembly memory stays near its budget. */
import assert from 'node:assert/strict';
import { arenaStatistics, tensor } from 'shoal';

const base = tensor(Float32Array.from({ length: 128 }, (_, i) => i));
const kept = [];
for (let i = 0; i < 200_000; i++) {
  kept.push(base.mul(i));
  if (i % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
}
assert.ok(arenaStatistics().capacityBytes < 100 * 2 ** 20, 'results beyond 64 MiB are in plain arrays');
for (let i = 0; i < kept.length; i += 97) assert.equal(kept[i].toTypedArray()[127], Math.fround(127 * i));
