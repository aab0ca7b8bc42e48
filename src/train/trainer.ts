/** @file The Trainer: synchronous data-parallel training on an engine, as BigDL does it, with the same bits however it runs. */
import type { Dataset } from '../data/dataset.ts';
import type { AnyDataset } from '../data/materialize.ts';
import { BlockTable } from '../engine/blocks.ts';
import type { Engine } from '../engine/engine.ts';
import { describeFunction, type FunctionSpec, task } from '../engine/functions.ts';
import { ArgumentError, ShoalError } from '../errors.ts';
import { Loss } from '../nn/loss.ts';
import { Module } from '../nn/module.ts';
import type { AnyOptimizerSpec } from '../optim/index.ts';
import { Optimizer } from '../optim/optimizer.ts';
import { constant, type Schedule } from '../optim/schedule.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { flatValues } from './blocks.ts';
import { EventQueue } from './event-queue.ts';
import type { TrainEvent } from './events.ts';
import { type FlatValues, initialModule, loadFlat, moduleLayout, storeFlat } from './model-state.ts';
import type { Layout } from './plan.ts';
import { predictModule } from './predict.ts';
import type { Prepare } from './prepare.ts';
import { type FitOptions, type RunSetup, runTraining } from './run.ts';
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
  private readonly plan: RunSetup['plan'];
  private trained: ModelOfRun | null = null;
  private running = false;
  private loadedBytes = 0;

  constructor(options: TrainerOptions) {
    checkOptions(options);
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
   * Trains from the start (or from a checkpoint, with `resume`); yields events as they happen. Leaving the loop early interrupts the run after
   * the iteration that is running. A second `fit` starts anew, with a warning.
   *
   * @throws ArgumentError, EngineError, CheckpointError
   */
  async *fit(train: AnyDataset, options: FitOptions = {}): AsyncGenerator<TrainEvent, void, undefined> {
    if (this.running)
      throw new ShoalError(
        'TRAINER_BUSY',
        'fit: the trainer must be idle, got one that is training. Await the last fit first.',
      );
    if (typeof train?.plan !== 'object') {
      throw new ArgumentError(
        'fit: the data must be a dataset, got another value. Pass parallelize(records), idx(...) or the like.',
      );
    }
    this.running = true;
    const leave = new AbortController();
    const abort = (): void => leave.abort(options.signal?.reason);
    if (options.signal?.aborted) abort();
    options.signal?.addEventListener('abort', abort);
    const events = new EventQueue<TrainEvent>();
    if (this.trained !== null && options.resume !== true) {
      const message =
        'fit starts anew: pass more epochs at once, or startFrom, or resume from a checkpoint, to go on from trained weights';
      events.push({ event: 'warning', iteration: 0, elapsedMs: 0, message });
    }
    const setup = {
      engine: this.engine,
      layout: this.layout,
      plan: this.plan,
      startFrom: this.startFrom,
      events,
      onTrained: (run: ModelOfRun): void => {
        this.trained = run;
      },
    };
    const run = runTraining(setup, train, { ...options, signal: leave.signal }).then(
      () => events.end(),
      (error: unknown) => events.fail(error),
    );
    try {
      yield* events.read();
    } finally {
      leave.abort();
      options.signal?.removeEventListener('abort', abort);
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
    const { model: spec, seed, pinned } = this.state('model');
    const model = (await initialModule(spec, seed, this.layout)).eval();
    const values = flatValues(new BlockTable(pinned.blocks), pinned.version);
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
    const args = { run: this.state('predict'), batchSize: options.batchSize ?? 256 };
    return dataset.on(this.engine).mapPartitions(task(predictModule, 'predictPartition', args));
  }

  private state(op: string): ModelOfRun {
    if (this.trained !== null) return this.trained;
    throw new ShoalError(
      'NOT_TRAINED',
      `${op}: the trainer must have been trained, got one that was not. Await fit() first.`,
    );
  }
}

/** Catches what types do not: plain JavaScript, and PyTorch's habits. */
function checkOptions({ model, loss, optimizer, engine, seed = 0, startFrom }: TrainerOptions): void {
  const refuse = (rule: string, next: string): never => {
    throw new ArgumentError(`Trainer: ${rule}. ${next}.`);
  };
  if (!(model instanceof Module))
    refuse('model must be a Module, got another value', 'Pass an nn.Module of this copy of shoal');
  if (!(loss instanceof Loss))
    refuse('loss must be a loss module, got another value', 'Pass new nn.CrossEntropyLoss()');
  if (optimizer instanceof Optimizer || typeof optimizer?.name !== 'string') {
    refuse(
      'optimizer must be a plain spec, got another value',
      'Pass optim.sgd({ lr }), not new optim.SGD(...): its state lives on workers',
    );
  }
  if (typeof engine?.openLoop !== 'function')
    refuse('engine must be an engine, got another value', 'Pass threads() or inline()');
  if (!Number.isSafeInteger(seed) || seed < 0)
    refuse(`seed must be an integer, 0 to 2^53 - 1, got ${seed}`, 'Check the seed');
  if (startFrom === undefined && model.parameters().some(({ storage }) => storage.version > 0)) {
    refuse(
      'the values of the model are not where training starts, got a model whose parameters were changed',
      'Pass startFrom: model.stateDict() to start from them, or build the model anew',
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
