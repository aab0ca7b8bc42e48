/** @file What a run starts from: weights, optimizer state and constants at its first iteration, the same on every worker. */
import type { ModuleSpec } from '../nn/spec.ts';
import { readCheckpoint } from './checkpoint.ts';
import { emptyState, type FlatState } from './flat-state.ts';
import { type FlatValues, initialModule, storeFlat } from './model-state.ts';
import type { Layout } from './plan.ts';

/** A checkpoint's folder with its iteration, values that the user gave, or nothing but (spec, seed). */
export type StartingPoint = { readonly path: string; readonly iteration: number } | FlatValues | null;

/** What the initial state follows from. */
export interface StartPlan {
  readonly model: ModuleSpec;
  readonly seed: number;
  readonly layout: Layout;
  readonly partitions: number;
  readonly from: StartingPoint;
}

/** The state before the first iteration. */
export async function initialState(plan: StartPlan, stateNames: readonly string[]): Promise<FlatState> {
  const { model: spec, seed, layout, partitions, from } = plan;
  const state = emptyState(layout, partitions, stateNames);
  if (from === null) {
    const model = await initialModule(spec, seed, layout);
    storeFlat(model.stateDict(), layout, state);
  } else if ('path' in from) {
    await readCheckpoint(from.path, state);
  } else {
    state.weights.set(from.weights);
    state.constants.set(from.constants);
  }
  return state;
}
