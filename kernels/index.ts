/** @file `shoal/kernels`: the kernels as a library on typed arrays, without tensors. */
import type { Kernel } from './define.ts';
import * as map from './map.ts';
import * as reduce from './reduce.ts';
import * as softmax from './softmax.ts';

/** Every kernel by name. A family is one line here. */
export const kernels: Readonly<Record<string, Kernel>> = { ...map, ...reduce, ...softmax };

export type { Kernel, KernelArray, KernelParameter, TypedKernel } from './define.ts';
export { callArrays, type KernelArguments } from './runtime/arrays.ts';
export { referenceKernelCalls } from './runtime/call.ts';
