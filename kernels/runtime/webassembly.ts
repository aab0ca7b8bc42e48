/** @file What the kernels need from the runtime's WebAssembly (declared here, because only the DOM library declares it), and their bytes. */
import { KernelError } from '../../src/errors.ts';

/** A compiled `WebAssembly.Module`: opaque, may be posted to workers. */
export interface CompiledModule {
  readonly [Symbol.toStringTag]: string;
}

/** A private linear memory. `buffer` is replaced whenever the memory grows. */
export interface LinearMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** A function that a binary exports. */
export type WasmFunction = (...values: number[]) => number | undefined;

/** The constructors of `WebAssembly`. */
export interface WasmApi {
  readonly Module: new (bytes: Uint8Array) => CompiledModule;
  readonly Memory: new (descriptor: { initial: number; maximum?: number }) => LinearMemory;
  readonly Instance: new (
    module: CompiledModule,
    imports: object,
  ) => { readonly exports: Record<string, WasmFunction> };
}

/** Bytes of one page of WebAssembly memory. */
export const pageBytes = 65_536;

/** The runtime's WebAssembly. @throws KernelError `KERNEL` if it has none. */
export function webAssembly(): WasmApi {
  const found = (globalThis as { WebAssembly?: WasmApi }).WebAssembly;
  if (found === undefined) {
    throw new KernelError(
      'KERNEL',
      'kernels: shoal needs WebAssembly, got a runtime without it. Use Node >= 20, Deno, Bun or a browser.',
    );
  }
  return found;
}

/** Compiles a binary that is embedded as base64. @throws KernelError `KERNEL` if this runtime has no WebAssembly SIMD. */
export function compile(base64: string): CompiledModule {
  const { Module } = webAssembly();
  try {
    return new Module(decodeBase64(base64));
  } catch (cause) {
    const message = `kernels: the runtime must support WebAssembly SIMD, got ${String(cause)}. Use Node >= 20, Deno, Bun or a current browser.`;
    throw new KernelError('KERNEL', message, {}, cause);
  }
}

/** The bytes that `base64` stands for; the native decoder where there is one (it is 10 times faster). */
function decodeBase64(base64: string): Uint8Array {
  const native = (Uint8Array as unknown as { fromBase64?: (text: string) => Uint8Array }).fromBase64;
  if (native !== undefined) return native.call(Uint8Array, base64);
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
