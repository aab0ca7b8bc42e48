/**
 * @file The WebAssembly instance of this thread: compiled and instantiated on first use, synchronously, from the binary that the package
 * embeds. Each thread has its own instance and its own private memory; only the compiled module may be shared between threads.
 */
import { strict } from '../../build/embedded.ts';
import { KernelError } from '../../src/errors.ts';
import { chooseBuild } from './build.ts';
import { type CompiledModule, compile, type LinearMemory, type WasmFunction, webAssembly } from './webassembly.ts';

export { type CompiledModule, type LinearMemory, pageBytes, type WasmFunction } from './webassembly.ts';

/** What this thread runs. */
export interface WasmInstance {
  readonly memory: LinearMemory;
  readonly exports: Readonly<Record<string, WasmFunction>>;
  /** First byte behind the binary's static data; everything below belongs to the binary. */
  readonly heapBase: number;
}

/** Pages that a memory starts with; enough for the binary's static data. */
const initialPages = 16;

let module: CompiledModule | undefined;
let instance: WasmInstance | undefined;

/**
 * The compiled kernels, for handing to a worker, which passes them to `setModule` and so saves the compilation.
 *
 * @throws KernelError `KERNEL` if this runtime has no WebAssembly SIMD.
 */
export function compiledModule(): CompiledModule {
  module ??= compile(strict);
  return module;
}

/**
 * Uses a module that another thread compiled (`compiledModule()`). Call it before the first kernel runs on this thread.
 *
 * @throws KernelError `KERNEL` if kernels already run here on another module.
 */
export function setModule(compiled: CompiledModule): void {
  if (instance !== undefined && compiled !== module) {
    throw new KernelError(
      'KERNEL',
      'setModule: it must be called before the first kernel, got a running instance. Call it first thing in the worker.',
    );
  }
  module = compiled;
}

/** The instance of this thread; compiles and instantiates on the first call. */
export function wasm(): WasmInstance {
  if (instance === undefined) {
    const { Instance, Memory } = webAssembly();
    const compiled = compiledModule();
    const memory = new Memory({ initial: initialPages });
    const strictExports = new Instance(compiled, { env: { memory } }).exports;
    const exports = { ...strictExports, ...chooseBuild(compiled, memory, strictExports) };
    instance = { memory, exports, heapBase: (exports.heapBase?.() ?? 0) >>> 0 };
  }
  return instance;
}
