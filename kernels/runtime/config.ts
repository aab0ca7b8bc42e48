/** @file Which build of the kernels this thread runs, and why. */
import type { BuildChoice } from './build.ts';
import { chosenBuild } from './build.ts';
import { crewThreads } from './crew.ts';
import { wasm } from './instance.ts';
import { capacityBytes, peakBytes, usedBytes } from './memory.ts';

/** What `config()` tells. */
export interface KernelConfig extends BuildChoice {
  /** Threads that a large product or convolution runs on now, with this one: `setNumThreads`. */
  readonly threads: number;
  /** Bytes of this thread's WebAssembly memory: in use, the most ever in use, and reserved. */
  readonly memory: { readonly usedBytes: number; readonly peakBytes: number; readonly capacityBytes: number };
}

/**
 * The build in use, the reason, and this thread's memory. Chooses the build, if no kernel has run yet.
 *
 * @example
 * config().build; // => 'strict'
 */
export function config(): KernelConfig {
  wasm();
  return {
    ...chosenBuild()!,
    threads: crewThreads(),
    memory: { usedBytes: usedBytes(), peakBytes: peakBytes(), capacityBytes: capacityBytes() },
  };
}
