/** @file Moving weights between modules, flat vectors and state dicts. */
import '../nn/index.ts';
import type { Module } from '../nn/module.ts';
import { type ModuleSpec, moduleFromSpec } from '../nn/spec.ts';
import { type Layout, layoutOf, stream } from './plan.ts';

/** The flat layout of a module's parameters. */
export function moduleLayout(model: Module): Layout {
  return layoutOf(model.namedParameters().map(([name, { shape }]) => ({ name, shape })));
}

/** A module with its initial weights, which follow from (spec, seed) on every thread. */
export function initialModule(spec: ModuleSpec, seed: number): Promise<Module> {
  return moduleFromSpec(spec, { seed, stream: stream('initial', 0, 0) });
}

/** Copies the flat vector into the module's parameters. */
export function loadFlat(model: Module, layout: Layout, flat: Float32Array): void {
  model.parameters().forEach((parameter, i) => {
    const { offset, size } = layout.entries[i]!;
    parameter.copyFrom(flat.subarray(offset, offset + size));
  });
}

/** Copies the module's parameters into the flat vector. */
export function storeFlat(model: Module, layout: Layout, flat: Float32Array): void {
  model.parameters().forEach((parameter, i) => {
    const { offset, size } = layout.entries[i]!;
    parameter.copyInto(flat.subarray(offset, offset + size));
  });
}
