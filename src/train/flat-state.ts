/** @file All values of a run at one version, as flat vectors: those of the model, and the optimizer's state by slice as the moments block holds it. */
import type { BlockTable } from '../engine/blocks.ts';
import { flatValues, floats } from './blocks.ts';
import type { FlatValues } from './model-state.ts';
import type { Layout } from './plan.ts';

/** See the file's head. */
export interface FlatState extends FlatValues {
  readonly layout: Layout;
  readonly moments: Float32Array;
  readonly stateNames: readonly string[];
  readonly slices: number;
}

/** A state of zeros. */
export function emptyState(layout: Layout, slices: number, stateNames: readonly string[]): FlatState {
  return {
    layout,
    slices,
    stateNames,
    weights: new Float32Array(layout.weightsLength),
    constants: new Float32Array(layout.constantsLength),
    moments: new Float32Array(layout.weightsLength * stateNames.length),
  };
}

/** The state in the blocks of a run. */
export function stateInBlocks(
  blocks: BlockTable,
  version: number,
  layout: Layout,
  stateNames: readonly string[],
): FlatState {
  const moments = floats(blocks.whole('moments', version));
  return { layout, stateNames, slices: blocks.units, ...flatValues(blocks, version), moments };
}
