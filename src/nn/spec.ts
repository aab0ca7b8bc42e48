/**
 * @file Modules as plain data and back. Built-in modules travel by name and arguments, custom ones by the URL of the JavaScript module that
 * exports them. A spec holds no weights: these come from a seed or a state dict.
 */
import { ArgumentError } from '../errors.ts';
import { importFunction } from '../import-module.ts';
import { type RandomKey, withRandomKey } from '../tensor/randomness.ts';
import { builders } from './builders.ts';
import { Module } from './module.ts';

/** A built-in module: its class name and plain arguments. */
export interface BuiltinSpec {
  readonly type: string;
  readonly args: Readonly<Record<string, unknown>>;
}

/** A custom module: an export of a JavaScript module, a class that extends Module or a function that returns one; called with `args`. */
export interface CustomSpec {
  readonly module: string;
  readonly export: string;
  readonly args?: unknown;
}

/** A module as plain data that structured clone and JSON keep. */
export type ModuleSpec = BuiltinSpec | CustomSpec;

type CustomExport = (new (args: unknown) => Module) | ((args: unknown) => Module);

function keyOf(spec: CustomSpec): string {
  return `${spec.module}#${spec.export}`;
}

/** Loads the JavaScript modules that a spec names, also inside others. */
async function loadCustom(spec: unknown, found: Map<string, CustomExport>): Promise<void> {
  if (typeof spec !== 'object' || spec === null) return;
  if ('module' in spec && 'export' in spec) {
    const custom = spec as CustomSpec;
    if (!found.has(keyOf(custom)))
      found.set(keyOf(custom), (await importFunction(custom.module, custom.export)) as unknown as CustomExport);
  }
  for (const inner of Object.values(spec)) await loadCustom(inner, found);
}

/**
 * Builds the module that a spec describes. Its initial weights are drawn from `key`, so that every thread that builds it gets the same ones;
 * without a key they come from the ambient seed.
 *
 * @throws ArgumentError if a type is unknown or an export does not give a module; EngineError if a JavaScript module or its export is not there.
 * @example
 * const copy = await moduleFromSpec(net.toSpec(), { seed: 1 });
 * copy.forward(x).shape; // => [8, 3]
 */
export async function moduleFromSpec(spec: ModuleSpec, key?: RandomKey): Promise<Module> {
  const customs = new Map<string, CustomExport>();
  await loadCustom(spec, customs);
  const build = (inner: ModuleSpec): Module => buildModule(inner, customs, build);
  return key === undefined ? build(spec) : withRandomKey(key, () => build(spec));
}

function buildModule(
  spec: ModuleSpec,
  customs: ReadonlyMap<string, CustomExport>,
  build: (spec: ModuleSpec) => Module,
): Module {
  if ('module' in spec) {
    const exported = customs.get(keyOf(spec))!;
    const isClass = exported.prototype instanceof Module;
    const built = isClass
      ? new (exported as new (args: unknown) => Module)(spec.args)
      : (exported as (args: unknown) => Module)(spec.args);
    if (built instanceof Module) return built;
    throw new ArgumentError(
      `moduleFromSpec: the export must be or return a Module of this copy of shoal, got ${typeof built} from ${spec.export} of ${spec.module}. ` +
        'Extend nn.Module, and import shoal from one place.',
      { module: spec.module, export: spec.export },
    );
  }
  const builder = Object.hasOwn(builders, spec.type) ? builders[spec.type] : undefined;
  if (builder === undefined) {
    throw new ArgumentError(
      `moduleFromSpec: type must be one of ${Object.keys(builders).join(', ')}, got ${spec.type}. Use { module, export, args } for own modules.`,
      { type: spec.type },
    );
  }
  return builder(spec.args as never, build);
}
