/** @file Moving weights between modules, flat vectors and state dicts. */
import '../install.ts';
import { ArgumentError, DTypeError, ShoalError } from '../errors.ts';
import type { Module } from '../nn/module.ts';
import { type ModuleSpec, moduleFromSpec } from '../nn/spec.ts';
import { formatShape, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type Layout, type LayoutEntry, layoutOf, stream } from './plan.ts';

/** The tensors of a module's state dict, those with several names once, in order. */
function tensorsOf(model: Module): [name: string, tensor: Tensor][] {
  const seen = new Set<Tensor>();
  return [...model.stateDict()].filter(([, tensor]) => !seen.has(tensor) && seen.add(tensor));
}

/** The values of a model, as flat vectors. */
export interface FlatValues {
  readonly weights: Float32Array;
  readonly constants: Float32Array;
}

/** The place of a tensor's values. */
export function valuesOf({ weights, constants }: FlatValues, { trained, offset, size }: LayoutEntry): Float32Array {
  return (trained ? weights : constants).subarray(offset, offset + size);
}

/**
 * The flat layout of a module's state dict.
 *
 * @throws DTypeError if a trained tensor is not float32; ArgumentError if nothing is trained.
 */
export function moduleLayout(model: Module): Layout {
  const tensors = tensorsOf(model);
  for (const [name, { requiresGrad, dtype }] of tensors) {
    if (!requiresGrad || dtype === 'float32') continue;
    throw new DTypeError(
      `Trainer: trained parameters must be float32, got ${dtype} for ${name}. Build the model in float32.`,
      { name, dtype },
    );
  }
  const layout = layoutOf(tensors.map(([name, { shape, requiresGrad }]) => ({ name, shape, trained: requiresGrad })));
  if (layout.weightsLength > 0) return layout;
  throw new ArgumentError('Trainer: the model must have a parameter that requires a gradient, got none. Unfreeze one.');
}

/**
 * A module with its initial weights, which follow from (spec, seed) on every thread, and with the layout's choice of what is trained.
 *
 * @throws ShoalError `MODEL_MISMATCH` if the spec builds another model than the layout is of.
 */
export async function initialModule(spec: ModuleSpec, seed: number, layout: Layout): Promise<Module> {
  const model = await moduleFromSpec(spec, { seed, stream: stream('initial', 0, 0) });
  const tensors = tensorsOf(model);
  const print = (list: readonly { readonly name: string; readonly shape: readonly number[] }[]): string =>
    list.map(({ name, shape }) => `${name} ${formatShape(shape)}`).join(', ');
  const matches = layout.entries.every(
    ({ name, shape }, i) => name === tensors[i]?.[0] && sameShape(shape, tensors[i][1].shape),
  );
  if (tensors.length !== layout.entries.length || !matches) {
    const built = print(tensors.map(([name, { shape }]) => ({ name, shape })));
    throw new ShoalError(
      'MODEL_MISMATCH',
      `model: toSpec() must describe the module that the trainer was given, got ${built} instead of ${print(layout.entries)}. Put all ` +
        'constructor arguments into args.',
    );
  }
  tensors.forEach(([, tensor], i) => void tensor.requiresGrad_(layout.entries[i]!.trained));
  return model;
}

/** Copies flat values into the module. */
export function loadFlat(model: Module, layout: Layout, values: FlatValues): void {
  tensorsOf(model).forEach(([, tensor], i) => void tensor.copyFrom(valuesOf(values, layout.entries[i]!)));
}

/** Copies tensors, by the layout's names, into flat values. */
export function storeFlat(tensors: ReadonlyMap<string, Tensor>, layout: Layout, values: FlatValues): void {
  for (const entry of layout.entries) tensors.get(entry.name)!.copyInto(valuesOf(values, entry));
}
