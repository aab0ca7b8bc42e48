/** @file What the kernels need from the runtime's WebAssembly (declared here, because only the DOM library declares it), and their bytes. */
import { invariant, KernelError } from '../../src/errors.ts';

/** A compiled `WebAssembly.Module`: opaque, may be posted to workers. */
export interface CompiledModule {
  readonly [Symbol.toStringTag]: string;
}

/** A linear memory: private to this thread or shared. `buffer` is replaced whenever the memory grows. */
export interface LinearMemory {
  readonly buffer: ArrayBufferLike;
  grow(pages: number): number;
}

/** A function that a binary exports. */
export type WasmFunction = (...values: number[]) => number | undefined;

/** The constructors of `WebAssembly`. */
export interface WasmApi {
  readonly Module: new (bytes: Uint8Array) => CompiledModule;
  readonly Memory: new (descriptor: { initial: number; maximum?: number; shared?: boolean }) => LinearMemory;
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

/** The most pages that 32-bit addresses allow, less one, so that the end of a block is an address too. */
export const maximumPages = 65_535;

/**
 * Compiles a binary that is embedded as base64; `isShared`: for a shared memory.
 *
 * @throws KernelError `KERNEL` if this runtime has no WebAssembly SIMD.
 */
export function compile(base64: string, isShared = false): CompiledModule {
  const { Module } = webAssembly();
  try {
    const bytes = decodeBase64(base64);
    return new Module(isShared ? importShared(bytes, maximumPages) : bytes);
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

/** A number in LEB128 at `at`, and where it ends. */
function readNumber(bytes: Uint8Array, at: number): [value: number, end: number] {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++]!;
    value |= (byte & 127) << shift;
    if (byte < 128) return [value >>> 0, at];
  }
}

function numberBytes(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...numberBytes(value >>> 7)];
}

const importSection = 2;
const memoryKind = 2;
const sharedWithMaximum = 3;

/**
 * The binary, with its memory import declared shared: other limits, no other change. The binary must import a memory and nothing else.
 *
 * @see WebAssembly core specification, 5.5 (modules) and 5.3 (limits); threads proposal for the flag
 */
export function importShared(bytes: Uint8Array, maximum: number): Uint8Array {
  let at = 8;
  for (let id = bytes[at]; id !== importSection; id = bytes[at]) {
    invariant(at < bytes.length, 'the binary imports a memory');
    const [size, start] = readNumber(bytes, at + 1);
    at = start + size;
  }
  const [size, start] = readNumber(bytes, at + 1);
  const [count, first] = readNumber(bytes, start);
  const [moduleLength, moduleName] = readNumber(bytes, first);
  const [nameLength, name] = readNumber(bytes, moduleName + moduleLength);
  const kindAt = name + nameLength;
  invariant(count === 1 && bytes[kindAt] === memoryKind, 'the binary imports a memory and nothing else');
  const [minimum] = readNumber(bytes, kindAt + 2);
  const limits = [sharedWithMaximum, ...numberBytes(minimum), ...numberBytes(maximum)];
  const section = [...bytes.subarray(start, kindAt + 1), ...limits];
  const before = bytes.subarray(0, at);
  const after = bytes.subarray(start + size);
  return Uint8Array.from([...before, importSection, ...numberBytes(section.length), ...section, ...after]);
}
