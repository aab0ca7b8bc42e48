/** What the programs share: assertions on memory. They run in plain `node`, without flags. */
import assert from 'node:assert/strict';
import { arenaStatistics } from 'shoal';

/** Bytes of WebAssembly memory, which never shrinks. */
export const wasmBytes = () => arenaStatistics().capacityBytes;

export const rssBytes = () => process.memoryUsage.rss();

/** Runs `step` n times and asserts that WebAssembly memory has its final size after `settled` steps. */
export function runFlat(n, settled, step) {
  let bytes = 0;
  for (let i = 1; i <= n; i++) {
    step(i);
    if (i === settled) bytes = wasmBytes();
  }
  assert.equal(
    wasmBytes(),
    bytes,
    `WebAssembly memory grew from ${bytes} bytes at step ${settled} to ${wasmBytes()} at step ${n}`,
  );
}

/** Deterministic values in [-0.5, 0.5). */
export function values(length, seed = 1) {
  const out = new Float32Array(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    out[i] = (state >>> 8) / 2 ** 24 - 0.5;
  }
  return out;
}
