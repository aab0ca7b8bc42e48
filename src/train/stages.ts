/** @file What workers do for a run besides its iterations: initial weights, validation, checkpoints, hashes. Stage functions by export name. */
import { sha256 } from '#platform';
import { type Columns, gather, type Schema } from '../data/columns.ts';
import { type BlockHandles, BlockTable } from '../engine/blocks.ts';
import type { TaskContext } from '../engine/engine.ts';
import type { FunctionSpec } from '../engine/functions.ts';
import type { Module } from '../nn/module.ts';
import type { ModuleSpec } from '../nn/spec.ts';
import { noGrad } from '../ops/define.ts';
import { scope } from '../tensor/scope.ts';
import { flatValues, floats } from './blocks.ts';
import {
  type CheckpointSearch,
  type CheckpointState,
  type FlatState,
  findCheckpoint,
  readCheckpoint,
  writeCheckpoint,
} from './checkpoint.ts';
import { type MetricSpec, metricFromSpec } from './metrics.ts';
import { type FlatValues, initialModule, loadFlat, storeFlat } from './model-state.ts';
import type { Layout } from './plan.ts';
import { loadPrepare, noTarget } from './prepare.ts';
import { weightsSha256 } from './weights-hash.ts';

/** This module's address, for stages. */
export const stagesModule: string = import.meta.url;

/** The blocks of a run at one version. */
export interface PinnedBlocks {
  readonly blocks: BlockHandles;
  readonly version: number;
  readonly layout: Layout;
  readonly stateNames: readonly string[];
}

function flatState({ blocks, version, layout, stateNames }: PinnedBlocks): FlatState {
  const table = new BlockTable(blocks);
  const moments = floats(table.whole('moments', version));
  return { layout, ...flatValues(table, version), moments, stateNames, slices: blocks.units };
}

/** What a run starts from: a checkpoint's folder, flat values, or nothing but the seed. */
export type StartingPoint = { readonly path: string } | FlatValues | null;

/** Fills the blocks' first version. */
export async function initialise(
  _context: TaskContext,
  input: { readonly pinned: PinnedBlocks; readonly from: StartingPoint },
  args: { readonly model: ModuleSpec; readonly seed: number },
): Promise<void> {
  const flat = flatState(input.pinned);
  const { from } = input;
  if (from === null) {
    const model = await initialModule(args.model, args.seed, flat.layout);
    storeFlat(model.stateDict(), flat.layout, flat);
  } else if ('path' in from) {
    await readCheckpoint(from.path, flat);
  } else {
    flat.weights.set(from.weights);
    flat.constants.set(from.constants);
  }
}

/** SHA-256 of the columns of a partition: of its schema and all values. */
export function hashColumns(_context: TaskContext, columns: Columns): string {
  const hash = sha256();
  for (const [name, { dtype, shape, data }] of Object.entries(columns.fields)) {
    hash.update(new TextEncoder().encode(JSON.stringify([name, dtype, shape, columns.count])));
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest();
}

/** SHA-256 of the weights. */
export function hashWeights(_context: TaskContext, pinned: PinnedBlocks): string {
  return weightsSha256(pinned.layout, pinnedValues(pinned));
}

/** The newest whole checkpoint in a folder, and what was passed over. */
export function findNewest(_context: TaskContext, directory: string): Promise<CheckpointSearch> {
  return findCheckpoint(directory);
}

/** Writes a checkpoint; returns its folder. */
export function saveCheckpoint(
  context: TaskContext,
  input: {
    readonly pinned: PinnedBlocks;
    readonly directory: string;
    readonly state: Omit<CheckpointState, 'format' | 'modelSha256' | 'optimizerSha256'>;
  },
): Promise<string> {
  const { pinned, directory, state } = input;
  const between = (offset: number): void => context.faultPoint('checkpoint', 0, state.iteration, offset);
  return writeCheckpoint(directory, state, flatState(pinned), between);
}

/** What a worker needs to apply the model of a run. */
export interface ModelOfRun {
  readonly model: ModuleSpec;
  readonly seed: number;
  readonly prepare: FunctionSpec | null;
  /** Of the training data: how fields of the same names are read for prediction. */
  readonly schema: Schema;
  readonly pinned: PinnedBlocks;
}

/** The partials of metrics over a partition. The weights are pinned: nobody updates them meanwhile. */
export async function validate(
  context: TaskContext,
  columns: Columns,
  args: { readonly run: ModelOfRun; readonly metrics: readonly MetricSpec[]; readonly batchSize: number },
): Promise<unknown[]> {
  const model = await loadModel(context.store, args.run);
  const prepare = await loadPrepare(args.run.prepare);
  const metrics = await Promise.all(args.metrics.map(metricFromSpec));
  const partials = metrics.map((metric) => metric.init());
  for (let start = 0; start < columns.count; start += args.batchSize) {
    context.progress();
    const rows = Int32Array.from({ length: Math.min(args.batchSize, columns.count - start) }, (_, i) => start + i);
    noGrad(() =>
      scope(() => {
        const { input, target } = prepare(gather(columns, rows));
        if (target === null) throw noTarget('validation');
        const outputs = model.forward(input);
        metrics.forEach((metric, i) => {
          partials[i] = metric.add(partials[i], outputs, target);
        });
      }),
    );
  }
  return partials;
}

/** The model of a run in eval mode with the pinned weights. The module is built once a worker and belongs to one task at a time. */
async function loadModel(store: Map<string, unknown>, run: ModelOfRun): Promise<Module> {
  const { model: spec, pinned } = run;
  const key = `model:${JSON.stringify([spec, pinned.layout])}`;
  let model = store.get(key) as Module | undefined;
  if (model === undefined) {
    model = await buildModel(run);
    store.set(key, model);
  } else {
    loadFlat(model, pinned.layout, pinnedValues(pinned));
  }
  return model;
}

/** A module of its own with the pinned weights, in eval mode. */
export async function buildModel({ model: spec, seed, pinned }: ModelOfRun): Promise<Module> {
  const model = (await initialModule(spec, seed, pinned.layout)).eval();
  loadFlat(model, pinned.layout, pinnedValues(pinned));
  return model;
}

function pinnedValues({ blocks, version }: PinnedBlocks): FlatValues {
  return flatValues(new BlockTable(blocks), version);
}
