/**
 * @file Kernels at the very end of a memory of their own, where one byte too far traps: it finds reads behind a buffer, which guard bands miss
 * when the lanes that were read are thrown away.
 */
import type { Kernel, KernelArray } from '../../kernels/define.ts';
import { sizesOf } from '../../kernels/runtime/call.ts';
import { compiledModule, pageBytes, wasm } from '../../kernels/runtime/instance.ts';
import { isBuffer, passedParameters } from './harness.ts';

/** The parts of the WebAssembly API that are needed (only the DOM library declares it). */
interface Api {
  readonly Memory: new (descriptor: { initial: number }) => { buffer: ArrayBuffer; grow(pages: number): number };
  readonly Instance: new (
    module: unknown,
    imports: object,
  ) => { exports: Record<string, (...values: number[]) => void> };
}
const { Memory, Instance } = (globalThis as unknown as { WebAssembly: Api }).WebAssembly;

const memory = new Memory({ initial: 64 });
const { exports } = new Instance(compiledModule(), { env: { memory } });

/** Runs the kernel once for each of its buffers, with that buffer ending where memory ends. Throws what traps, with the buffer's name. */
export function runAtMemoryEnd(kernel: Kernel, values: readonly (KernelArray | number)[]): void {
  const parameters = passedParameters(kernel);
  const scratch = kernel.parameters.find((parameter) => parameter.kind === 'scratch');
  const scratchBytes = scratch?.kind === 'scratch' ? scratch.bytes(sizesOf(kernel, values)) : 0;
  const needed = values.reduce<number>(
    (sum, value) => sum + (typeof value === 'number' ? 0 : value.byteLength + 64),
    scratchBytes + wasm().heapBase + 128,
  );
  if (memory.buffer.byteLength < needed) memory.grow(Math.ceil((needed - memory.buffer.byteLength) / pageBytes));
  for (const [last, parameter] of parameters.entries()) {
    if (!isBuffer(parameter)) continue;
    let top = Math.ceil(wasm().heapBase / 64) * 64;
    const place = (bytes: number): number => {
      const pointer = top;
      top += Math.ceil(bytes / 64) * 64;
      return pointer;
    };
    const pointers = values.map((value, index) => {
      if (typeof value === 'number') return value;
      const found = parameters[index]!;
      if (value.length === 0 && isBuffer(found) && found.optional === true) return 0;
      const pointer = index === last ? memory.buffer.byteLength - value.byteLength : place(value.byteLength);
      new Uint8Array(memory.buffer, pointer, value.byteLength).set(
        new Uint8Array(value.buffer, value.byteOffset, value.byteLength),
      );
      return pointer;
    });
    if (scratch !== undefined) pointers.push(place(scratchBytes));
    try {
      exports[kernel.name]!(...pointers);
    } catch (cause) {
      throw new Error(`${kernel.name} touches bytes behind "${parameter.name}": ${String(cause)}`, { cause });
    }
  }
}
