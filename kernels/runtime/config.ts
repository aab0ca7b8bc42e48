/** @file Which build of the kernels this thread runs, and why. */
import { capacityBytes, peakBytes, usedBytes } from './memory.ts';

/** What `config()` tells. */
export interface KernelConfig {
  /** `strict`: 128-bit SIMD, every product and sum rounds once; the same bits on every machine. */
  readonly build: 'strict';
  /** Why this build was chosen. */
  readonly reason: string;
  /** Whether results are the same bits on every machine and engine. */
  readonly reproducible: boolean;
  /** Bytes of this thread's WebAssembly memory: in use, the most ever in use, and reserved. */
  readonly memory: { readonly usedBytes: number; readonly peakBytes: number; readonly capacityBytes: number };
}

/**
 * The build in use, the reason, and this thread's memory.
 *
 * @example
 * config().build; // => 'strict'
 */
export function config(): KernelConfig {
  return {
    build: 'strict',
    reason:
      'the only build so far; relaxed (fused multiply-add) and wide (256 bits) are opt-in and not in this version',
    reproducible: true,
    memory: { usedBytes: usedBytes(), peakBytes: peakBytes(), capacityBytes: capacityBytes() },
  };
}
