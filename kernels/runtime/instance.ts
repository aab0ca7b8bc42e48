/**
 * @file The WebAssembly instance of this thread: compiled and instantiated on first use, synchronously, from the binary that the package
 * embeds. Each thread has its own instance and, unless its calls are divided among threads (crew.ts), its own private memory; only the compiled
 * module may be shared between threads.
 */
import { relaxed, strict } from '../../build/embedded.ts';
import { KernelError } from '../../src/errors.ts';
import { type Build, chooseBuild, v8Version } from './build.ts';
import {
  type CompiledModule,
  compile,
  type LinearMemory,
  maximumPages,
  pageBytes,
  type WasmFunction,
  webAssembly,
} from './webassembly.ts';

export { type CompiledModule, type LinearMemory, maximumPages, pageBytes, type WasmFunction } from './webassembly.ts';

/** What this thread runs. */
export interface WasmInstance {
  readonly memory: LinearMemory;
  readonly exports: Readonly<Record<string, WasmFunction>>;
  /** First byte behind the binary's static data; everything below belongs to the binary. */
  readonly heapBase: number;
  /** From the next call on, kernels with `work` compute share `which` of `total` of their results. */
  readonly setShare: (which: number, total: number) => void;
}

/** The binaries that a build runs. */
export interface Modules {
  readonly strict: CompiledModule;
  readonly relaxed?: CompiledModule;
}

/** Pages that a memory starts with; enough for the binary's static data. */
const initialPages = 16;

let module: CompiledModule | undefined;
let instance: WasmInstance | undefined;
/** The build of the instance. */
let build: Build = 'strict';
/** The binaries for a shared memory, once the instance has one. */
let shared: Modules | undefined;

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
    const strictModule = compiledModule();
    const chosen = chooseBuild(strictModule);
    build = chosen.build;
    const { Memory } = webAssembly();
    instance = instantiate(build, { strict: strictModule, ...chosen.modules }, new Memory({ initial: initialPages }));
  }
  return instance;
}

/** A build's binaries on a memory. */
export function instantiate(build: Build, modules: Modules, memory: LinearMemory): WasmInstance {
  const { Instance } = webAssembly();
  const strictExports = new Instance(modules.strict, { env: { memory } }).exports;
  strictExports.useWideTiles!(build === 'wide' ? 1 : 0);
  if (modules.relaxed === undefined) return describe(memory, strictExports, [strictExports]);
  const { useTallTiles, ...relaxedExports } = new Instance(modules.relaxed, { env: { memory } }).exports;
  // V8 before 13 keeps all broadcasts of a tile in registers at once, and spills.
  useTallTiles!(v8Version() >= 13 ? 1 : 0);
  return describe(memory, { ...strictExports, ...relaxedExports }, [strictExports, relaxedExports]);
}

function describe(
  memory: LinearMemory,
  exports: WasmInstance['exports'],
  parts: readonly WasmInstance['exports'][],
): WasmInstance {
  const setters = parts.map(({ setShare }) => setShare!);
  return {
    memory,
    exports,
    heapBase: (exports.heapBase?.() ?? 0) >>> 0,
    setShare(which, total) {
      for (const set of setters) set(which, total);
    },
  };
}

/**
 * Moves this thread's kernels to a shared memory, if they are not in one: contents and addresses stay, views die. Returns what another thread needs to
 * run the same build on it.
 *
 * @throws KernelError `OUT_OF_MEMORY` if the runtime cannot reserve one; nothing has changed then.
 */
export function shareMemory(): { readonly build: Build; readonly modules: Modules; readonly memory: LinearMemory } {
  const { memory } = wasm();
  if (shared !== undefined) return { build, modules: shared, memory };
  const { Memory } = webAssembly();
  let larger: LinearMemory;
  try {
    const initial = memory.buffer.byteLength / pageBytes;
    larger = new Memory({ initial, maximum: maximumPages, shared: true });
  } catch (cause) {
    const message = `shareMemory: the runtime must reserve 4 GiB of addresses, got ${String(cause)}. Stay with one thread.`;
    throw new KernelError('OUT_OF_MEMORY', message, {}, cause);
  }
  const modules: Modules = {
    strict: compile(strict, true),
    ...(build === 'relaxed' ? { relaxed: compile(relaxed(), true) } : {}),
  };
  new Uint8Array(larger.buffer).set(new Uint8Array(memory.buffer));
  instance = instantiate(build, modules, larger);
  shared = modules;
  return { build, modules, memory: larger };
}
