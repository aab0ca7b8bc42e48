/**
 * @file `shoal/kernels`: the kernels as a library on typed arrays, without tensors. Each kernel is a record (what it computes, its parameters,
 * the order of its operations, an executable reference in plain TypeScript) and a WebAssembly export of the same name.
 *
 * @example
 * import { callArrays, sum_f32 } from 'shoal/kernels';
 * const y = new Float32Array(2);
 * callArrays(sum_f32, { x: new Float32Array([1, 2, 3, 4, 5, 6]), y, outer: 2, length: 3, inner: 1 }); // y is [6, 15]
 */
import * as conv from './conv.ts';
import * as copy from './copy.ts';
import type { Kernel } from './define.ts';
import * as embedding from './embedding.ts';
import * as gemm from './gemm.ts';
import * as map from './map.ts';
import * as normalize from './normalize.ts';
import * as pool from './pool.ts';
import * as random from './random.ts';
import * as reduce from './reduce.ts';
import * as softmax from './softmax.ts';
import * as update from './update.ts';
import * as winograd from './winograd.ts';

/** The families. A new one is a line here, an import and an `export *`. */
const families: readonly object[] = [
  conv,
  copy,
  embedding,
  gemm,
  map,
  normalize,
  pool,
  random,
  reduce,
  softmax,
  update,
  winograd,
];

function isKernel(value: unknown): value is Kernel {
  return typeof value === 'object' && value !== null && 'reference' in value && 'parameters' in value;
}

/** Every kernel by name. */
export const kernels: Readonly<Record<string, Kernel>> = Object.fromEntries(
  families
    .flatMap((family) => Object.values<unknown>({ ...family }))
    .filter(isKernel)
    .map((kernel) => [kernel.name, kernel]),
);

export * from './conv.ts';
export * from './copy.ts';
export type { Kernel, KernelArray, KernelParameter, TypedKernel } from './define.ts';
export * from './embedding.ts';
export * from './gemm.ts';
export * from './map.ts';
export * from './normalize.ts';
export * from './pool.ts';
export * from './random.ts';
export * from './reduce.ts';
export { callArrays, type KernelArguments, referenceArrays } from './runtime/arrays.ts';
export { type Build, type BuildChoice, useBuild } from './runtime/build.ts';
export { referenceKernelCalls } from './runtime/call.ts';
export { config, type KernelConfig } from './runtime/config.ts';
export * from './softmax.ts';
export * from './update.ts';
export * from './winograd.ts';
