/** @file The hash that names weights: equal hash, equal bits. */
import { sha256 } from '#platform';
import { type FlatValues, valuesOf } from './model-state.ts';
import type { Layout } from './plan.ts';

const CANONICAL_NAN = 0x7fc00000;
const LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/** SHA-256 over the little-endian float32 values of the state dict in its order (without gaps), every NaN as 0x7fc00000. */
export function weightsSha256(layout: Layout, flat: FlatValues): string {
  const hash = sha256();
  for (const entry of layout.entries) {
    const values = valuesOf(flat, entry).slice();
    const words = new Uint32Array(values.buffer);
    for (let i = 0; i < values.length; i++) {
      if (Number.isNaN(values[i]!)) words[i] = CANONICAL_NAN;
      if (!LITTLE_ENDIAN) words[i] = swapBytes(words[i]!);
    }
    hash.update(new Uint8Array(values.buffer));
  }
  return hash.digest();
}

function swapBytes(word: number): number {
  return ((word >>> 24) | ((word >>> 8) & 0xff00) | ((word << 8) & 0xff0000) | (word << 24)) >>> 0;
}
