/** @file The Trainer: synchronous data-parallel training on an engine, as BigDL does it, with the same bits however it runs. */
import type { AnyDataset, Dataset } from '../data/dataset.ts';
import type { BlockTable } from '../engine/blocks.ts';
import type { Engine } from '../engine/engine.ts';
import { describeFunction, type FunctionSpec, task } from '../engine/functions.ts';
import { ShoalError } from '../errors.ts';
import type { Loss } from '../nn/loss.ts';
import type { Module } from '../nn/module.ts';
import type { AnyOptimizerSpec } from '../optim/index.ts';
import { constant, type Schedule } from '../optim/schedule.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { flatValues } from './blocks.ts';
import { EventQueue } from './event-queue.ts';
import type { TrainEvent } from './events.ts';
import { type FlatValues, initialModule, loadFlat, moduleLayout, storeFlat } from './model-state.ts';
import type { Layout } from './plan.ts';
import { predictModule } from './predict.ts';
import type { Prepare } from './prepare.ts';
import type { RunPlan } from './replica.ts';
import { type FitOptions, runTraining } from './run.ts';
import type { ModelOfRun } from './stages.ts';

/** What a Trainer is made of. */
export interface TrainerOptions {
  /**
   * The architecture, and which of its parameters are trained (those that require a gradient). Its present values are used only if they are
   * passed as `startFrom`: otherwise initial ones follow from (model, seed) on every worker.
   */
  readonly model: Module;
  /** Values to start from, such as `model.stateDict()` after loading a file. Must have all names of the model. */
  readonly startFrom?: ReadonlyMap<string, Tensor>;
  readonly loss: Loss;
  /** Such as `optim.sgd({ lr: 0.1, momentum: 0.9 })`. */
  readonly optimizer: AnyOptimizerSpec;
  /** Default `optim.constant()`. */
  readonly schedule?: Schedule;
  readonly engine: Engine;
  /** Of initial weights, order of records and dropout. Default 0. */
  readonly seed?: number;
  /**
   * Turns a batch (columns) into `{ input, target }`: tensors, or `{ data, shape }`. A function that closes over nothing, or `task(url, name)`.
   * Default: the fields `input` and `target` as they are.
   */
  readonly prepare?: Prepare | FunctionSpec;
}

/**
 * Trains a model on a dataset: every partition computes the gradient of its share of the batch, every slice of the weights is updated by its
 * owner from all gradients in partition order. The weights depend on (seed, data, model, options, number of partitions) alone.
 *
 * @see Dai et al.: BigDL: A Distributed Deep Learning Framework for Big Data, SoCC 2019
 * @example
 * const trainer = new Trainer({ model: net, loss, optimizer: optim.sgd({ lr: 0.1 }), engine });
 * for await (const event of trainer.fit(dataset, { epochs: 3, batchSize: 16 })) console.log(event);
 * const trained = await trainer.model();
 * trained.forward(x).shape; // => [8, 3]
 */
export class Trainer {
  private readonly engine: Engine;
  private readonly layout: Layout;
  private readonly startFrom: FlatValues | null;
  private readonly plan: Omit<RunPlan, 'partitions' | 'iterationsPerEpoch' | 'totalIterations'>;
  private trained: { readonly run: ModelOfRun; readonly blocks: BlockTable } | null = null;
  private running = false;
  private loadedBytes = 0;

  constructor(options: TrainerOptions) {
    const { model, loss, optimizer, schedule = constant(), engine, seed = 0, prepare, startFrom } = options;
    this.engine = engine;
    this.layout = moduleLayout(model);
    this.startFrom = startFrom === undefined ? null : flatten(model, startFrom, this.layout);
    this.plan = {
      layout: this.layout,
      model: model.toSpec(),
      loss: loss.toSpec(),
      optimizer,
      schedule,
      seed,
      prepare: prepare === undefined ? null : describeFunction(prepare),
    };
  }

  /** Bytes of parameters that `model()` has loaded into this thread. */
  get driverLoadBytes(): number {
    return this.loadedBytes;
  }

  /**
   * Trains; yields events as they happen. Leaving the loop early interrupts the run after the iteration that is running.
   *
   * @throws ArgumentError, EngineError, CheckpointError
   */
  async *fit(train: AnyDataset, options: FitOptions = {}): AsyncGenerator<TrainEvent, void, undefined> {
    if (this.running)
      throw new ShoalError(
        'TRAINER_BUSY',
        'fit: the trainer must be idle, got one that is training. Await the last fit first.',
      );
    this.running = true;
    const leave = new AbortController();
    const signal = options.signal === undefined ? leave.signal : AbortSignal.any([options.signal, leave.signal]);
    const events = new EventQueue<TrainEvent>();
    const setup = {
      engine: this.engine,
      layout: this.layout,
      plan: this.plan,
      startFrom: this.startFrom,
      events,
      onBlocks: (run: ModelOfRun, { blocks }: { readonly blocks: BlockTable }): void => {
        this.trained = { run, blocks };
      },
    };
    const run = runTraining(setup, train, { ...options, signal }).then(
      () => events.end(),
      (error: unknown) => events.fail(error),
    );
    try {
      yield* events.read();
    } finally {
      leave.abort();
      await run;
      this.running = false;
    }
  }

  /**
   * The trained model, in eval mode, in this thread.
   *
   * @throws ShoalError `NOT_TRAINED` before `fit` has ended.
   */
  async model(): Promise<Module> {
    const { run, blocks } = this.state('model');
    const model = (await initialModule(run.model, run.seed, this.layout)).eval();
    const values = flatValues(blocks, run.pinned.version);
    this.loadedBytes += values.weights.byteLength + values.constants.byteLength;
    loadFlat(model, this.layout, values);
    return model;
  }

  /**
   * The model's outputs for every record of a dataset, lazily, on the workers: a Float32Array per record. Records go through `prepare`, which
   * need not give a target.
   *
   * @throws ShoalError `NOT_TRAINED` before `fit` has ended.
   * @example
   * for await (const _ of trainer.fit(dataset, { batchSize: 16 }));
   * const [outputs] = await trainer.predict(dataset).take(1);
   * outputs!.length; // => 3
   */
  predict<T>(dataset: Dataset<T>, options: { readonly batchSize?: number } = {}): Dataset<Float32Array> {
    const { run } = this.state('predict');
    const args = { run, batchSize: options.batchSize ?? 256 };
    return dataset.on(this.engine).mapPartitions(task(predictModule, 'predictPartition', args));
  }

  private state(op: string): { readonly run: ModelOfRun; readonly blocks: BlockTable } {
    if (this.trained !== null) return this.trained;
    throw new ShoalError(
      'NOT_TRAINED',
      `${op}: the trainer must have been trained, got one that was not. Await fit() first.`,
    );
  }
}

/** The given tensors as flat values. @throws ArgumentError, ShapeError as `loadStateDict`: every name of the model, with its shape */
function flatten(model: Module, tensors: ReadonlyMap<string, Tensor>, layout: Layout): FlatValues {
  model.checkStateDict(tensors);
  const values = {
    weights: new Float32Array(layout.weightsLength),
    constants: new Float32Array(layout.constantsLength),
  };
  storeFlat(tensors, layout, values);
  return values;
}
