/** @file What workers do for a run besides its iterations: validation, checkpoints, hashes. Stage functions by export name. */
import { sha256 } from '#platform';
import { type Columns, gather, type Schema } from '../data/columns.ts';
import { BlockTable, type PinnedBlocks } from '../engine/blocks.ts';
import type { TaskContext } from '../engine/engine.ts';
import type { FunctionSpec } from '../engine/functions.ts';
import type { Module } from '../nn/module.ts';
import type { ModuleSpec } from '../nn/spec.ts';
import { noGrad } from '../ops/define.ts';
import { scope } from '../tensor/scope.ts';
import { flatValues } from './blocks.ts';
import { type CheckpointSearch, type CheckpointState, findCheckpoint, writeCheckpoint } from './checkpoint.ts';
import { stateInBlocks } from './flat-state.ts';
import { type MetricSpec, metricFromSpec } from './metrics.ts';
import { type FlatValues, initialModule, loadFlat } from './model-state.ts';
import type { Layout } from './plan.ts';
import { loadPrepare, noTarget } from './prepare.ts';
import { weightsSha256 } from './weights-hash.ts';

/** This module's address, for stages. */
export const stagesModule: string = import.meta.url;

/** The blocks of a run at one version. */
export interface PinnedRun extends PinnedBlocks {
  readonly layout: Layout;
  readonly stateNames: readonly string[];
}

/** The blocks that a model's values are in. */
export const modelBlocks: readonly string[] = ['weights', 'constants'];

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
export async function hashWeights(context: TaskContext, pinned: PinnedRun): Promise<string> {
  return weightsSha256(pinned.layout, flatValues(await context.openBlocks(pinned, modelBlocks), pinned.version));
}

/** The newest whole checkpoint in a folder, and what was passed over. */
export function findNewest(_context: TaskContext, directory: string): Promise<CheckpointSearch> {
  return findCheckpoint(directory);
}

/** Writes a checkpoint; returns its folder. */
export async function saveCheckpoint(
  context: TaskContext,
  input: {
    readonly pinned: PinnedRun;
    readonly directory: string;
    readonly state: Omit<CheckpointState, 'format' | 'modelSha256' | 'optimizerSha256'>;
  },
): Promise<string> {
  const { pinned, directory, state } = input;
  const between = (offset: number): void => context.faultPoint('checkpoint', 0, state.iteration, offset);
  const blocks = await context.openBlocks(pinned, [...modelBlocks, 'moments']);
  const values = stateInBlocks(blocks, pinned.version, pinned.layout, pinned.stateNames);
  return writeCheckpoint(directory, state, values, between);
}

/** What a worker needs to apply the model of a run. */
export interface ModelOfRun {
  readonly model: ModuleSpec;
  readonly seed: number;
  readonly prepare: FunctionSpec | null;
  /** Of the training data: how fields of the same names are read for prediction. */
  readonly schema: Schema;
  readonly pinned: PinnedRun;
}

/** The partials of metrics over a partition. The weights are pinned: nobody updates them meanwhile. */
export async function validate(
  context: TaskContext,
  columns: Columns,
  args: { readonly run: ModelOfRun; readonly metrics: readonly MetricSpec[]; readonly batchSize: number },
): Promise<unknown[]> {
  const model = await loadModel(context, args.run);
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
async function loadModel(context: TaskContext, run: ModelOfRun): Promise<Module> {
  const { model: spec, pinned } = run;
  const key = `model:${JSON.stringify([spec, pinned.layout])}`;
  const values = flatValues(await context.openBlocks(pinned, modelBlocks), pinned.version);
  let model = context.store.get(key) as Module | undefined;
  if (model === undefined) {
    model = await buildModel(run, values);
    context.store.set(key, model);
  } else {
    loadFlat(model, pinned.layout, values);
  }
  return model;
}

/** A module of its own in eval mode, with the given weights: those that the run has in this thread's memory. */
export async function buildModel(
  { model: spec, seed, pinned }: ModelOfRun,
  values: FlatValues = flatValues(new BlockTable(pinned.blocks), pinned.version),
): Promise<Module> {
  const model = (await initialModule(spec, seed, pinned.layout)).eval();
  loadFlat(model, pinned.layout, values);
  return model;
}
