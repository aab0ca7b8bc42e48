/**
 * @file The WebAssembly instance of this thread: compiled and instantiated on first use, synchronously, from the binary that the package
 * embeds. Each thread has its own instance and its own private memory; only the compiled module may be shared between threads.
 */
import { strict } from '../../build/embedded.ts';
import { KernelError } from '../../src/errors.ts';

/** A compiled `WebAssembly.Module`: opaque, may be posted to workers. (Declared here, because only the DOM library declares WebAssembly.) */
export interface CompiledModule {
  readonly [Symbol.toStringTag]: string;
}

/** A private linear memory. `buffer` is replaced whenever the memory grows. */
export interface LinearMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** A function that the binary exports. */
export type WasmFunction = (...values: number[]) => number | undefined;

/** What this thread runs. */
export interface WasmInstance {
  readonly memory: LinearMemory;
  readonly exports: Readonly<Record<string, WasmFunction>>;
  /** First byte behind the binary's static data; everything below belongs to the binary. */
  readonly heapBase: number;
}

/** Bytes of one page of WebAssembly memory. */
export const pageBytes = 65_536;

/** Pages that a memory starts with; enough for the binary's static data. */
const initialPages = 16;

interface WasmApi {
  readonly Module: new (bytes: Uint8Array) => CompiledModule;
  readonly Memory: new (descriptor: { initial: number; maximum?: number }) => LinearMemory;
  readonly Instance: new (
    module: CompiledModule,
    imports: object,
  ) => { readonly exports: Record<string, WasmFunction> };
}

function api(): WasmApi {
  const found = (globalThis as { WebAssembly?: WasmApi }).WebAssembly;
  if (found === undefined) {
    throw new KernelError(
      'KERNEL',
      'kernels: shoal needs WebAssembly, got a runtime without it. Use Node >= 20, Deno, Bun or a browser.',
    );
  }
  return found;
}

let module: CompiledModule | undefined;
let instance: WasmInstance | undefined;

/** The bytes that `base64` stands for; the native decoder where there is one (it is 10 times faster). */
function decodeBase64(base64: string): Uint8Array {
  const native = (Uint8Array as unknown as { fromBase64?: (text: string) => Uint8Array }).fromBase64;
  if (native !== undefined) return native.call(Uint8Array, base64);
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/**
 * The compiled kernels, for handing to a worker, which passes them to `setModule` and so saves the compilation.
 *
 * @throws KernelError `KERNEL` if this runtime has no WebAssembly SIMD.
 */
export function compiledModule(): CompiledModule {
  if (module === undefined) {
    const { Module } = api();
    try {
      module = new Module(decodeBase64(strict));
    } catch (cause) {
      const message = `kernels: the runtime must support WebAssembly SIMD, got ${String(cause)}. Use Node >= 20, Deno, Bun or a current browser.`;
      throw new KernelError('KERNEL', message, {}, cause);
    }
  }
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
    const { Instance, Memory } = api();
    const compiled = compiledModule();
    const memory = new Memory({ initial: initialPages });
    const { exports } = new Instance(compiled, { env: { memory } });
    instance = { memory, exports, heapBase: (exports.heapBase?.() ?? 0) >>> 0 };
  }
  return instance;
}
