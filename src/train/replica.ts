/**
 * @file The worker's side of training: a replica of the model, the cached partitions that it owns, and the two phases of an iteration. This is the
 * only place where tensors meet the engine's loop.
 */
import { referenceKernelCalls } from '../../kernels/runtime/call.ts';
import { config } from '../../kernels/runtime/config.ts';
import { type Columns, gather } from '../data/columns.ts';
import type { LoopContext, LoopProgram } from '../engine/engine.ts';
import type { FunctionSpec } from '../engine/functions.ts';
import { ShoalError } from '../errors.ts';
import type { Loss } from '../nn/loss.ts';
import type { Module } from '../nn/module.ts';
import { type ModuleSpec, moduleFromSpec } from '../nn/spec.ts';
import { type AnyOptimizerSpec, optimizerFromSpec } from '../optim/index.ts';
import { learningRateAt, type Schedule } from '../optim/schedule.ts';
import { withRandomKey } from '../tensor/randomness.ts';
import { scope } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { flatValues, floats, gradientFloats, readHeader, sumHeaders, writeHeader } from './blocks.ts';
import { noTimes, type PhaseTimes, phaseNames } from './events.ts';
import type { FlatState } from './flat-state.ts';
import { initialModule, loadFlat, valuesOf } from './model-state.ts';
import { epochOrder, type Layout, type LayoutEntry, share, sliceStart, stream } from './plan.ts';
import { type BatchTensors, loadPrepare, noTarget } from './prepare.ts';
import { SliceUpdater } from './slice-updater.ts';
import { initialState, type StartingPoint } from './start.ts';

/** This module's address, for the loop's spec. */
export const replicaModule: string = import.meta.url;

/** What follows from the user's choices and does not change during a run. */
export interface RunPlan {
  readonly model: ModuleSpec;
  readonly loss: ModuleSpec;
  readonly optimizer: AnyOptimizerSpec;
  readonly schedule: Schedule;
  readonly prepare: FunctionSpec | null;
  readonly layout: Layout;
  readonly seed: number;
  readonly partitions: number;
  readonly iterationsPerEpoch: number;
  readonly totalIterations: number;
  /** Values to start from: a checkpoint's folder, flat values, or nothing but the seed. */
  readonly from: StartingPoint;
  /** Negative control of tests: sums gradients in the order in which they were published. */
  readonly arrivalOrder?: boolean;
}

/** What a replica tells the driver when it leaves the loop. */
export interface ReplicaReport {
  /** Its times since it entered. */
  readonly times: PhaseTimes;
  /** Reference kernels that it has called since it was opened. */
  readonly referenceKernelCalls: number;
  /** Whether its build of the kernels gives the same bits on every machine. */
  readonly reproducible: boolean;
}

/** Opens a replica: the loop function of training. */
export async function openReplica(context: LoopContext, plan: RunPlan): Promise<LoopProgram> {
  const model = await initialModule(plan.model, plan.seed, plan.layout);
  const loss = (await moduleFromSpec(plan.loss)) as Loss;
  return new Replica(context, plan, model.train(), loss, await loadPrepare(plan.prepare));
}

interface OwnedPartition {
  readonly columns: Columns;
  epoch: number;
  order: Int32Array;
}

interface GradientTotal {
  readonly iteration: number;
  readonly lossSum: number;
  readonly weight: number;
  readonly records: number;
}

class Replica implements LoopProgram {
  private readonly context: LoopContext;
  private readonly plan: RunPlan;
  private readonly model: Module;
  private readonly loss: Loss;
  private readonly prepare: (batch: Columns) => BatchTensors;
  private readonly layout: Layout;
  private readonly trained: readonly { readonly parameter: Tensor; readonly entry: LayoutEntry }[];
  private readonly constants: readonly Tensor[];
  private readonly updater: SliceUpdater;
  private readonly partitions = new Map<number, OwnedPartition>();
  private readonly referenceCallsBefore = referenceKernelCalls();
  /** All values of the first version, while units are being initialised. */
  private initial: Promise<FlatState> | null = null;
  private loadedVersion = -1;
  private constantVersions: readonly number[] = [];
  private times = noTimes();
  private markMs = 0;
  private total: GradientTotal | null = null;
  private enteredMs = 0;

  constructor(
    context: LoopContext,
    plan: RunPlan,
    model: Module,
    loss: Loss,
    prepare: (batch: Columns) => BatchTensors,
  ) {
    this.context = context;
    this.plan = plan;
    this.model = model;
    this.loss = loss;
    this.prepare = prepare;
    this.layout = plan.layout;
    this.trained = plan.layout.entries.flatMap((entry) => {
      const parameter = model.stateDict().get(entry.name)!;
      return entry.trained ? [{ parameter, entry }] : [];
    });
    this.constants = [...model.stateDict().values()].filter((tensor) => !tensor.requiresGrad);
    // Slices differ by one unit at the most; the first is the longest.
    const longest = sliceStart(this.layout.weightsLength, plan.partitions, 1);
    this.updater = new SliceUpdater(optimizerFromSpec(plan.optimizer), longest);
  }

  adopt(unit: number, input: unknown): void {
    this.partitions.set(unit, { columns: input as Columns, epoch: -1, order: new Int32Array() });
  }

  async initialise(unit: number): Promise<void> {
    this.initial ??= initialState(this.plan, optimizerFromSpec(this.plan.optimizer).stateNames);
    const { weights, moments, constants } = await this.initial;
    const { layout, context, plan } = this;
    const version = plan.from !== null && 'iteration' in plan.from ? plan.from.iteration : 0;
    const [start, end] = [0, 1].map((next) => sliceStart(layout.weightsLength, plan.partitions, unit + next));
    const states = moments.length / weights.length;
    floats(context.blocks.part('weights', unit, version)).set(weights.subarray(start, end));
    floats(context.blocks.part('moments', unit, version)).set(moments.subarray(states * start!, states * end!));
    if (unit === 0) floats(context.blocks.part('constants', 0, version)).set(constants);
  }

  run(phase: string, unit: number, iteration: number): void {
    this.initial = null; // done with: it is as large as the model and its optimizer
    this.markMs = performance.now();
    if (phase === 'task') this.computeGradient(unit, iteration);
    else this.updateSlice(unit, iteration);
  }

  account(name: 'wait' | 'schedule', durationMs: number): void {
    this.times[name] += durationMs;
    if (name === 'schedule') this.enteredMs = performance.now() - durationMs;
  }

  leave(): void {
    // Between the phases: choosing what runs next, publishing versions.
    const accounted = phaseNames.reduce((sum, name) => sum + this.times[name], 0);
    this.times.schedule += Math.max(0, performance.now() - this.enteredMs - accounted);
    const report: ReplicaReport = {
      times: this.times,
      referenceKernelCalls: referenceKernelCalls() - this.referenceCallsBefore,
      reproducible: config().reproducible,
    };
    this.context.emit(report);
    this.times = noTimes();
  }

  private computeGradient(partition: number, iteration: number): void {
    const at = (phase: string, offset: number): void => this.context.faultPoint(phase, partition, iteration, offset);
    const block = this.context.blocks.part('gradient', partition, iteration + 1);
    for (const { parameter } of this.trained) parameter.zeroGrad(); // of an attempt that failed
    const batch = this.batchOf(partition, iteration);
    this.lap('data');
    this.loadWeights(iteration);
    this.lap('weights');
    if (batch.count === 0) {
      gradientFloats(block).fill(0);
      writeHeader(block, { lossSum: 0, weight: 0, records: 0 });
      this.lap('publish');
      return;
    }
    scope(() => {
      const { input, target } = this.prepare(batch);
      if (target === null) throw noTarget('training');
      this.lap('data');
      at('forward', 0);
      const key = { seed: this.plan.seed, stream: stream('draw', iteration, partition) };
      const { sum, weight } = withRandomKey(key, () => this.loss.sum(this.model.forward(input), target));
      this.checkConstants();
      at('forward', 1);
      this.lap('forward');
      this.context.progress();
      at('backward', 0);
      sum.backward();
      at('backward', 1);
      this.lap('backward');
      writeHeader(block, { lossSum: sum.item(), weight, records: batch.count });
      this.publishGradients(block, at);
      this.lap('publish');
    });
  }

  close(): void {
    this.updater.close();
  }

  private publishGradients(block: Uint8Array, at: (phase: string, offset: number) => void): void {
    const flat = gradientFloats(block);
    at('publish', 0);
    this.trained.forEach(({ parameter, entry: { offset, size } }, i) => {
      parameter.gradientInto(flat.subarray(offset, offset + size));
      parameter.zeroGrad();
      if (i === this.trained.length >> 1) at('publish', 1);
    });
    at('publish', 2);
  }

  private updateSlice(slice: number, iteration: number): void {
    const { blocks } = this.context;
    const { plan } = this;
    const at = (offset: number): void => this.context.faultPoint('update', slice, iteration, offset);
    const start = sliceStart(this.layout.weightsLength, plan.partitions, slice);
    const end = sliceStart(this.layout.weightsLength, plan.partitions, slice + 1);
    const total = this.totalOf(iteration);
    const lr = learningRateAt(plan.schedule, plan.optimizer.lr, iteration, plan.totalIterations);
    const values = (version: number) => ({
      weights: floats(blocks.part('weights', slice, version)),
      moments: floats(blocks.part('moments', slice, version)),
    });
    const old = values(iteration);
    const next = values(iteration + 1);
    at(0);
    if (total.weight === 0) {
      next.weights.set(old.weights);
      at(1);
      next.moments.set(old.moments);
    } else {
      const gradients = this.gradientsOf(iteration, start, end);
      this.updater.update({ gradients, totalWeight: total.weight, old, next, step: { step: iteration, lr } }, () =>
        at(1),
      );
    }
    at(2);
    if (slice === 0) {
      const { weight, records } = total;
      this.context.report(iteration, [total.lossSum / weight, weight, records, lr]);
    }
    this.lap('update');
  }

  /** Loss, weight and records of an iteration, summed once for all slices of this worker. */
  private totalOf(iteration: number): GradientTotal {
    if (this.total?.iteration !== iteration) this.total = { iteration, ...sumHeaders(this.context.blocks, iteration) };
    return this.total;
  }

  /** Every partition's part of a slice, in the order of summation. */
  private gradientsOf(iteration: number, start: number, end: number): Float32Array[] {
    const { partitions, arrivalOrder } = this.plan;
    const blocks = Array.from({ length: partitions }, (_, partition) =>
      this.context.blocks.part('gradient', partition, iteration + 1),
    );
    if (arrivalOrder) blocks.sort((a, b) => readHeader(a).publishedMs - readHeader(b).publishedMs);
    return blocks.map((block) => gradientFloats(block, start, end));
  }

  private batchOf(partition: number, iteration: number): Columns {
    const owned = this.partitions.get(partition)!;
    const { iterationsPerEpoch, seed } = this.plan;
    const epoch = Math.floor(iteration / iterationsPerEpoch);
    if (owned.epoch !== epoch) {
      owned.order = epochOrder(seed, epoch, partition, owned.columns.count);
      owned.epoch = epoch;
    }
    const { start, end } = share(owned.columns.count, iteration % iterationsPerEpoch, iterationsPerEpoch);
    return gather(owned.columns, owned.order.subarray(start, end));
  }

  private loadWeights(version: number): void {
    if (this.loadedVersion === version) return;
    const values = flatValues(this.context.blocks, version);
    if (this.loadedVersion === -1) {
      loadFlat(this.model, this.layout, values);
      this.constantVersions = this.constants.map(({ storage }) => storage.version);
    } else {
      for (const { parameter, entry } of this.trained) parameter.copyFrom(valuesOf(values, entry));
    }
    this.loadedVersion = version;
  }

  /** What a forward pass changed in place would be lost, and would differ between workers. */
  private checkConstants(): void {
    if (this.constants.every(({ storage }, i) => storage.version === this.constantVersions[i])) return;
    throw new ShoalError(
      'BUFFERS_CHANGED',
      'forward: a Trainer keeps frozen parameters and buffers as they are, got a forward pass that changes one in place. Compute it in a ' +
        'dataset stage, or make it a parameter.',
    );
  }

  /** Adds the time since the last lap to a phase. */
  private lap(name: keyof PhaseTimes): void {
    const now = performance.now();
    this.times[name] += now - this.markMs;
    this.markMs = now;
  }
}
