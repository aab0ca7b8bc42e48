/**
 * @file Which build of the kernels this thread runs: chosen once, when the first kernel runs. `strict` is the default. `wide` is the same binary
 * with a wider tile, for a Node that was started with V8's revectoriser; it has the same bits. `relaxed` replaces products and convolutions by
 * ones with fused multiply-adds, whose bits depend on the machine, and so must be asked for.
 */
import { relaxed } from '../../build/embedded.ts';
import { ArgumentError, KernelError } from '../../src/errors.ts';
import { productsAreExact } from './exact-products.ts';
import { type CompiledModule, compile, webAssembly } from './webassembly.ts';

const builds = ['strict', 'wide', 'relaxed'] as const;

/** A build of the kernels. */
export type Build = (typeof builds)[number];

/** The build in use, and why. */
export interface BuildChoice {
  readonly build: Build;
  /** What was asked for or seen, and what came of it. */
  readonly reason: string;
  /** Whether results are the same bits on every machine and engine. */
  readonly reproducible: boolean;
}

/** What Node says of itself; other runtimes say less. */
interface RuntimeProcess {
  readonly execArgv?: readonly string[];
  readonly versions?: Readonly<Record<string, string | undefined>>;
  readonly arch?: string;
  readonly env?: Record<string, string | undefined>;
}

/** The option of Node that makes V8 fuse neighbouring 128-bit operations into 256-bit ones. */
const wideFlag = '--experimental-wasm-revectorize';
const variable = 'SHOAL_BUILD';

let asked: Build | undefined;
let chosen: BuildChoice | undefined;

/**
 * Asks for a build of the kernels, on this thread and on workers that are started later (it sets the environment variable SHOAL_BUILD, which
 * does the same from outside). Call it before anything is computed. A build that this runtime cannot run is not an error: `config()` then says
 * `strict`, and why.
 *
 * - `strict`: the default. The same bits everywhere.
 * - `wide`: 256-bit products, the same bits. Chosen by itself when Node (24 or later, x64) runs with `--experimental-wasm-revectorize`.
 * - `relaxed`: fused multiply-adds in products and convolutions: a little faster and more exact, but not reproducible on other machines.
 *
 * @throws ArgumentError for another name; KernelError `KERNEL` if kernels already run here on another build.
 * @example
 * useBuild('strict');
 * config().build; // => 'strict'
 */
export function useBuild(build: Build): void {
  checkName('useBuild', build);
  if (chosen !== undefined && chosen.build !== build) {
    throw new KernelError(
      'KERNEL',
      `useBuild: it must be called before the first kernel, got "${build}" with ${chosen.build} in use. Call it first thing in the program.`,
    );
  }
  asked = build;
  const { env } = runtime();
  if (env !== undefined) env[variable] = build;
}

/** The choice of this thread, once there is one. */
export function chosenBuild(): BuildChoice | undefined {
  return chosen;
}

/** Makes the choice; `modules` are the binaries that it needs beside the strict one. */
export function chooseBuild(module: CompiledModule): { build: Build; modules: { relaxed?: CompiledModule } } {
  const { execArgv = [], env } = runtime();
  const fromOutside = env?.[variable];
  if (asked === undefined && fromOutside) checkName(variable, fromOutside);
  const wanted = asked ?? (fromOutside as Build | '' | undefined);
  const hasFlag = execArgv.includes(wideFlag);
  const by = asked === undefined ? `${variable}=${wanted}` : `useBuild('${wanted}')`;
  let modules = {};
  if (wanted === 'relaxed') modules = chooseRelaxed(by);
  else if (wanted === 'strict') chosen = strict(by);
  else if (hasFlag) chosen = chooseWide(module);
  else if (wanted === 'wide') chosen = strict(`${by}, but Node was started without ${wideFlag}`);
  else chosen = strict('the default');
  return { build: chosen!.build, modules };
}

function strict(reason: string): BuildChoice {
  return { build: 'strict', reason, reproducible: true };
}

function chooseWide(module: CompiledModule): BuildChoice {
  const { versions = {}, arch } = runtime();
  // Bun takes any option of V8's and ignores it.
  const able = versions.bun === undefined && arch === 'x64' && v8Version() >= 13;
  if (!able) return strict(`${wideFlag} is set, but this engine does not have it: it needs Node >= 24 on x64`);
  if (!productsAreExact(webAssembly(), module)) {
    return strict(`${wideFlag} is set, but its products differ from the reference. Start Node without it`);
  }
  return {
    build: 'wide',
    reason: `${wideFlag} is set, and products have the bits of the reference`,
    reproducible: true,
  };
}

function chooseRelaxed(by: string): { relaxed?: CompiledModule } {
  try {
    const module = compile(relaxed());
    chosen = { build: 'relaxed', reason: by, reproducible: false };
    return { relaxed: module };
  } catch (error) {
    const cause = error instanceof KernelError ? error.cause : error;
    chosen = strict(`${by}, but this engine refuses fused multiply-adds: ${String(cause)}`);
    return {};
  }
}

function checkName(caller: string, name: string): void {
  if ((builds as readonly string[]).includes(name)) return;
  throw new ArgumentError(
    `${caller}: the build must be strict, wide or relaxed, got "${name}". Leave it out for strict.`,
  );
}

/** The major version of V8; of another engine, infinity. */
export function v8Version(): number {
  const version = runtime().versions?.v8;
  return version === undefined ? Infinity : Number.parseInt(version, 10);
}

function runtime(): RuntimeProcess {
  return (globalThis as { process?: RuntimeProcess }).process ?? {};
}
