/**
 * @file One run of a Trainer: the driver's side. It counts, opens the loop, advances it from trigger to trigger and reports; it touches no byte of
 * a block between the first and the last iteration.
 */
import { sha256 } from '#platform';
import { type Columns, type Schema, schemaOf } from '../data/columns.ts';
import { type AnyDataset, materialize } from '../data/materialize.ts';
import type { BlockHandles } from '../engine/blocks.ts';
import type { Engine, Loop, Stage } from '../engine/engine.ts';
import type { EngineEvent } from '../engine/events.ts';
import { task } from '../engine/functions.ts';
import { ArgumentError, EngineError } from '../errors.ts';
import { optimizerFromSpec } from '../optim/index.ts';
import { Random } from '../random.ts';
import { trainingBlocks, trainingPhases } from './blocks.ts';
import { drawChaos } from './chaos.ts';
import { type CheckpointSearch, checkIdentity, type FoundCheckpoint, type RunIdentity } from './checkpoint.ts';
import type { EventQueue } from './event-queue.ts';
import { type KillCounts, noTimes, type PhaseTimes, phaseNames, type Summary, type TrainEvent } from './events.ts';
import { type IterationReport, RateMeter, reportOf } from './iteration-report.ts';
import { type Metric, metricFromSpec } from './metrics.ts';
import type { FlatValues } from './model-state.ts';
import { iterationsPerEpoch, type Layout, stream } from './plan.ts';
import { type ReplicaReport, type RunPlan, replicaModule } from './replica.ts';
import { type ModelOfRun, modelBlocks, type PinnedRun, stagesModule } from './stages.ts';
import { weightsSha256 } from './weights-hash.ts';

/** Most iterations per scheduling message. */
const GROUP = 256;
/** How often the driver reads what iterations have reported, in milliseconds. */
const REPORT_MS = 40;
const VALIDATION_BATCH = 256;
/** How often a run goes on from the same snapshot. */
const MAX_LOSSES = 4;

/** Options of `Trainer.fit`. */
export interface FitOptions {
  /** Passes over the data. Default 1. */
  readonly epochs?: number;
  /** Records per iteration over all partitions; any size. Default 128. */
  readonly batchSize?: number;
  /** Validated at the end of every epoch. */
  readonly validation?: AnyDataset;
  readonly metrics?: readonly Metric[];
  /** Where checkpoints go: at the end of every epoch, at `everyIterations`, and when interrupted. */
  readonly checkpoint?: { readonly directory: string; readonly everyIterations?: number };
  /** Goes on from the newest checkpoint in the directory, if there is one. */
  readonly resume?: boolean;
  /**
   * Ends the run after the iteration that is running, with a checkpoint and an `interrupted` event; before the first iteration `fit` rejects
   * with `CANCELLED` instead.
   */
  readonly signal?: AbortSignal;
  /** Kills workers by a plan drawn from this seed, to prove that it does not matter. */
  readonly chaos?: number;
}

/** What a run takes from its Trainer. */
export interface RunSetup {
  readonly engine: Engine;
  readonly layout: Layout;
  readonly plan: Omit<RunPlan, 'partitions' | 'iterationsPerEpoch' | 'totalIterations' | 'from'>;
  /** Values to start from instead of drawn ones. */
  readonly startFrom: FlatValues | null;
  readonly events: EventQueue<TrainEvent>;
  /** Told at the end of a run: what the model of it is. */
  readonly onTrained: (run: ModelOfRun) => void;
}

/** Runs training to its end; events go to the queue. */
export async function runTraining(setup: RunSetup, train: AnyDataset, options: FitOptions): Promise<void> {
  await new Run(setup, options).execute(train);
}

class Run {
  private readonly setup: RunSetup;
  private readonly options: FitOptions;
  private readonly epochs: number;
  private readonly batchSize: number;
  private readonly startMs = performance.now();
  private readonly kills: KillCounts = { forward: 0, backward: 0, publish: 0, update: 0, checkpoint: 0, random: 0 };
  private readonly times: PhaseTimes = noTimes();
  private readonly referenceCalls = new Map<number, number>();
  private reproducible = true;
  /** When each worker last left the loop, since the advance that is running began. */
  private readonly leftMs = new Map<number, number>();
  private readonly rate = new RateMeter();
  private killTimes: number[] = [];
  private readonly killTimers = new Set<ReturnType<typeof setTimeout>>();
  private records = 0;
  private trainMs = 0;
  private warnedOfLoss = false;
  /** The next iteration that has not been reported. */
  private next = 0;
  private plan!: RunPlan;
  private schema: Schema = {};
  /** Where to go on when the state is lost: the last checkpoint, or the start. */
  private snapshot: { readonly iteration: number; readonly path: string | null } = { iteration: 0, path: null };
  /** The checkpoint that this run wrote last. */
  private saved: string | null = null;
  private validatedIteration = -1;

  constructor(setup: RunSetup, options: FitOptions) {
    this.setup = setup;
    this.options = options;
    this.epochs = positive('epochs', options.epochs ?? 1);
    this.batchSize = positive('batchSize', options.batchSize ?? 128);
    positive('checkpoint.everyIterations', options.checkpoint?.everyIterations ?? 1);
  }

  async execute(train: AnyDataset): Promise<void> {
    const { engine } = this.setup;
    const unsubscribe = engine.subscribe((event) => this.onEngineEvent(event));
    try {
      const columns = await materialize(train, engine, signalOf(this.options));
      const validation =
        this.options.validation && (await materialize(this.options.validation, engine, signalOf(this.options)));
      const identity = await this.identify(columns);
      const found = this.options.resume ? await this.find(identity) : null;
      const start = found?.state.iteration ?? 0;
      this.next = start;
      this.planKills(start);
      this.snapshot = { iteration: start, path: found?.path ?? null };
      let isStarted = false;
      await this.startedLoop(columns, async (loop) => {
        if (isStarted) return this.iterate(loop, identity, validation ?? null);
        isStarted = true;
        Object.assign(this.times, noTimes()); // opening the loop is not training
        if (this.options.signal?.aborted) throw cancelled(this.options.signal);
        this.report({
          event: 'start',
          totalIterations: this.plan.totalIterations,
          iterationsPerEpoch: this.plan.iterationsPerEpoch,
          records: columns.reduce((sum, { count }) => sum + count, 0),
          parameters: this.setup.layout.entries.reduce((sum, { size, trained }) => sum + (trained ? size : 0), 0),
          partitions: columns.length,
          workers: engine.workers,
          engine: engine.carrier,
          dataSha256: identity.dataSha256,
          resumedFrom: found?.path ?? null,
        });
        await this.iterate(loop, identity, validation ?? null);
      });
    } finally {
      unsubscribe();
      engine.setFaults([]);
      for (const timer of this.killTimers) clearTimeout(timer);
    }
  }

  /**
   * Opens the loop at the last snapshot and lets `train` use it; again, when so many workers were lost at once that nobody has the state any more.
   * Gives up when that happens too often in a row without a newer snapshot.
   */
  private async startedLoop(columns: readonly Columns[], train: (loop: Loop) => Promise<void>): Promise<void> {
    for (let losses = 0, last = -1; ; ) {
      const { iteration, path } = this.snapshot;
      if (path !== null) this.plan = { ...this.plan, from: { path, iteration } };
      const loop = await this.open(columns, iteration);
      try {
        await loop.advance(iteration); // opens the loop on all workers with its first weights
        return await train(loop);
      } catch (thrown) {
        losses = this.snapshot.iteration > last ? 1 : losses + 1;
        last = this.snapshot.iteration;
        if (!isStateLost(thrown) || losses >= MAX_LOSSES) throw thrown;
        const message = `too many workers were lost at once: going on from iteration ${last}`;
        this.report({ event: 'warning', message });
      } finally {
        await loop.close();
      }
    }
  }

  private async iterate(loop: Loop, identity: RunIdentity, validation: Columns[] | null): Promise<void> {
    const { engine } = this.setup;
    const { signal } = this.options;
    const { totalIterations } = this.plan;
    const onAbort = (): void => loop.stop();
    signal?.addEventListener('abort', onAbort);
    const crossedBefore = engine.sampleBytesCrossed();
    const viewedBefore = loop.blocks.viewedBytes;
    let { iteration } = loop;
    try {
      while (iteration < totalIterations && !signal?.aborted) {
        iteration = await this.advance(loop, Math.min(this.nextTrigger(iteration), iteration + GROUP));
        if (signal?.aborted && iteration < totalIterations) break;
        if (this.isCheckpoint(iteration)) await this.save(loop, iteration, identity);
        if (iteration % this.plan.iterationsPerEpoch === 0 && validation !== null)
          await this.validate(loop, iteration, validation);
      }
      const counted = {
        driverParameterBytes: loop.blocks.viewedBytes - viewedBefore,
        sampleBytesCrossed: engine.sampleBytesCrossed() - crossedBefore,
      };
      if (this.options.checkpoint && this.snapshot.iteration !== iteration) await this.save(loop, iteration, identity);
      this.setup.onTrained(this.modelOfRun(loop, iteration, await loop.fetch(modelBlocks)));
      const [weightsSha256] = await this.stage('hashWeights', [this.pinned(loop, iteration)]);
      const event = iteration < totalIterations ? 'interrupted' : 'done';
      const checkpoint = this.saved;
      this.report({ event, checkpoint, ...this.summary(weightsSha256 as string, counted) });
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Advances the loop, reading reports meanwhile; counts the time as training. */
  private async advance(loop: Loop, to: number): Promise<number> {
    const before = performance.now();
    this.rate.start(before, this.records);
    this.leftMs.clear();
    const read = (): void => this.readReports(loop);
    const timer = setInterval(read, REPORT_MS);
    try {
      const reached = await loop.advance(to);
      const now = performance.now();
      this.trainMs += now - before;
      // A worker that was done before the others has waited for them.
      for (const leftMs of this.leftMs.values()) this.times.wait += now - leftMs;
      read();
      return reached;
    } finally {
      clearInterval(timer);
    }
  }

  // Preparation.

  private async identify(columns: readonly Columns[]): Promise<RunIdentity> {
    const records = columns.reduce((sum, { count }) => sum + count, 0);
    if (records === 0)
      throw new ArgumentError('fit: the training data must have a record, got none. Check its source and filters.');
    const perEpoch = iterationsPerEpoch(records, this.batchSize);
    const totalIterations = perEpoch * this.epochs;
    this.plan = {
      ...this.setup.plan,
      partitions: columns.length,
      iterationsPerEpoch: perEpoch,
      totalIterations,
      from: this.setup.startFrom,
    };
    this.schema = schemaOf(columns[0]!);
    const hashes = (await this.stage('hashColumns', columns)) as string[];
    const { model, loss, optimizer, schedule, prepare, seed, layout } = this.plan;
    return {
      seed,
      partitions: columns.length,
      batchSize: this.batchSize,
      specSha256: hashOf(
        JSON.stringify([model, loss, optimizer, schedule, prepare, layout.entries, this.startSha256()]),
      ),
      dataSha256: hashOf(hashes.join('\n')),
      totalIterations: schedule.name === 'linearDecay' ? totalIterations : 0,
    };
  }

  private startSha256(): string | null {
    const { startFrom, layout } = this.setup;
    return startFrom === null ? null : weightsSha256(layout, startFrom);
  }

  private planKills(start: number): void {
    const { chaos } = this.options;
    if (chaos === undefined) return;
    const { totalIterations, partitions } = this.plan;
    const checkpoints: number[] = [];
    for (let t = start + 1; t <= totalIterations; t++) if (this.isCheckpoint(t)) checkpoints.push(t);
    const plan = drawChaos(chaos, { from: start, to: totalIterations, partitions, checkpoints });
    this.setup.engine.setFaults(plan.points);
    this.killTimes = [...plan.times];
  }

  private open(columns: readonly Columns[], startIteration: number): Promise<Loop> {
    const { engine, layout } = this.setup;
    const partitions = columns.length;
    return engine.openLoop({
      name: 'train',
      program: task(replicaModule, 'openReplica', this.plan),
      units: partitions,
      inputs: columns,
      blocks: trainingBlocks(layout, partitions, this.stateNames().length),
      phases: trainingPhases(layout, partitions),
      startIteration,
      onEmit: (value, worker) => this.onReplica(value as ReplicaReport, worker),
    });
  }

  private stateNames(): readonly string[] {
    return optimizerFromSpec(this.plan.optimizer).stateNames;
  }

  private async find(identity: RunIdentity): Promise<FoundCheckpoint | null> {
    const [search] = (await this.stage('findNewest', [this.directory('resume')])) as CheckpointSearch[];
    const { found, damaged } = search!;
    if (damaged.length > 0) {
      this.report({ event: 'warning', message: `damaged checkpoints were passed over: ${damaged.join(', ')}` });
    }
    if (found !== null) checkIdentity(found, identity);
    return found;
  }

  // Triggers.

  private nextTrigger(iteration: number): number {
    const { iterationsPerEpoch: perEpoch, totalIterations } = this.plan;
    const after = (every: number): number => every * (Math.floor(iteration / every) + 1);
    const checkpoint = this.options.checkpoint?.everyIterations;
    return Math.min(totalIterations, after(perEpoch), checkpoint === undefined ? totalIterations : after(checkpoint));
  }

  private isCheckpoint(iteration: number): boolean {
    const { checkpoint } = this.options;
    if (checkpoint === undefined) return false;
    const every = checkpoint.everyIterations;
    return iteration % this.plan.iterationsPerEpoch === 0 || (every !== undefined && iteration % every === 0);
  }

  private async save(loop: Loop, iteration: number, identity: RunIdentity): Promise<void> {
    if (iteration <= this.snapshot.iteration) return; // done before the state was lost
    const state = { ...identity, iteration, epoch: Math.floor(iteration / this.plan.iterationsPerEpoch) };
    const input = { pinned: this.pinned(loop, iteration), directory: this.directory('checkpoint'), state };
    const [path] = (await this.stage('saveCheckpoint', [input])) as string[];
    this.saved = path!;
    this.snapshot = { iteration, path: path! };
    this.report({ event: 'checkpoint', path: path! });
  }

  private async validate(loop: Loop, iteration: number, columns: readonly Columns[]): Promise<void> {
    if (iteration <= this.validatedIteration) return;
    const metrics = this.options.metrics ?? [];
    const specs = metrics.map((metric) => metric.toSpec());
    const run = this.modelOfRun(loop, iteration, loop.blocks.handles);
    const args = { run, metrics: specs, batchSize: VALIDATION_BATCH };
    const partials = (await this.stage('validate', columns, args)) as unknown[][];
    const results: Record<string, unknown> = {};
    for (const [i, metric] of metrics.entries()) {
      const record = await metricFromSpec(specs[i]!);
      results[metric.name] = record.result(partials.map((partial) => partial[i]).reduce((a, b) => record.merge(a, b)));
    }
    const records = columns.reduce((sum, { count }) => sum + count, 0);
    this.validatedIteration = iteration;
    this.report({
      event: 'validation',
      epoch: Math.ceil(iteration / this.plan.iterationsPerEpoch) - 1,
      metrics: results,
      records,
    });
  }

  private stage(name: string, inputs: readonly unknown[], args?: unknown): Promise<unknown[]> {
    const stage: Stage = {
      name,
      run: task(stagesModule, name, args),
      inputs: inputs.map((input, partition) => ({ partition, input })),
    };
    return this.setup.engine.run(stage).catch((error: EngineError) => {
      // A checkpoint's own error says more than that a stage failed.
      throw String(error.fields?.causeCode).startsWith('CHECKPOINT_') ? error.cause : error;
    });
  }

  private pinned(loop: Loop, version: number): PinnedRun {
    return { blocks: loop.blocks.handles, version, layout: this.setup.layout, stateNames: this.stateNames() };
  }

  private modelOfRun(loop: Loop, version: number, blocks: BlockHandles): ModelOfRun {
    const { model, seed, prepare } = this.plan;
    return { model, seed, prepare, schema: this.schema, pinned: { ...this.pinned(loop, version), blocks } };
  }

  private directory(op: string): string {
    const { checkpoint } = this.options;
    if (checkpoint !== undefined) return checkpoint.directory;
    throw new ArgumentError(`fit: ${op} needs a checkpoint directory, got none. Pass checkpoint: { directory }.`);
  }

  // Reports.

  private onReplica({ times, referenceKernelCalls, reproducible }: ReplicaReport, worker: number): void {
    this.reproducible &&= reproducible;
    for (const name of phaseNames) this.times[name] += times[name];
    this.referenceCalls.set(worker, referenceKernelCalls);
    this.leftMs.set(worker, performance.now());
  }

  /** Reports the iterations that have been published since the last time. */
  private readReports(loop: Loop): void {
    const published = loop.blocks.version('weights', 0);
    const first = this.next;
    for (let iteration = first; iteration < published; iteration++) this.records += reportOf(loop, iteration).records;
    const recordsPerSecond = this.rate.read(performance.now(), this.records);
    for (let iteration = first; iteration < published; iteration++)
      this.reportIteration(iteration, reportOf(loop, iteration), recordsPerSecond);
  }

  private reportIteration(
    iteration: number,
    { loss, weight, lr, records }: IterationReport,
    recordsPerSecond: number,
  ): void {
    this.next = iteration + 1;
    if (weight === 0) {
      this.report({ event: 'warning', message: 'the total weight of the batch is 0 (all targets ignored): no update' });
    } else if (!Number.isFinite(loss) && !this.warnedOfLoss) {
      this.warnedOfLoss = true;
      const message = `the loss is ${loss}: the weights will not recover. Lower the learning rate, or look for values that are not finite in the data`;
      this.report({ event: 'warning', message });
    }
    this.report({
      event: 'iteration',
      epoch: Math.floor(iteration / this.plan.iterationsPerEpoch),
      loss,
      lr,
      records,
      recordsPerSecond,
      workersAlive: this.setup.engine.liveWorkers().length,
    });
    this.killByTime(iteration);
  }

  /** Random kills of the chaos plan: a random worker, a random moment after the given fraction of the run. */
  private killByTime(iteration: number): void {
    while (this.killTimes.length > 0 && iteration >= this.killTimes[0]! * this.plan.totalIterations) {
      const random = new Random(this.options.chaos!, stream('chaos', 1, this.killTimes.length));
      this.killTimes.shift();
      const timer = setTimeout(() => {
        const live = this.setup.engine.liveWorkers();
        const victim = live[random.below(Math.max(live.length, 1))];
        if (victim !== undefined) this.setup.engine.killWorker(victim);
      }, random.below(50));
      this.killTimers.add(timer);
    }
  }

  private onEngineEvent(event: EngineEvent): void {
    if (event.event === 'killed') {
      const phase = event.planned?.phase as keyof KillCounts | undefined;
      this.kills[phase ?? 'random'] += 1;
    } else if (event.event === 'workerLost') {
      const { worker, reason, running } = event;
      this.report({
        event: 'workerLost',
        worker,
        reason,
        phase: running?.phase ?? null,
        partition: running?.unit ?? null,
      });
    } else if (event.event === 'workerStarted') {
      this.report({ event: 'workerStarted', worker: event.worker });
    }
  }

  private summary(
    weightsSha256: string,
    counted: { readonly driverParameterBytes: number; readonly sampleBytesCrossed: number },
  ): Summary {
    const { engine } = this.setup;
    const phasesMs = noTimes();
    for (const name of phaseNames) phasesMs[name] = this.times[name] / engine.workers;
    return {
      weightsSha256,
      recordsPerSecond: this.trainMs === 0 ? 0 : (1000 * this.records) / this.trainMs,
      trainSeconds: this.trainMs / 1000,
      workers: engine.workers,
      partitions: this.plan.partitions,
      kills: this.kills,
      ...counted,
      referenceKernelCalls: [...this.referenceCalls.values()].reduce((sum, calls) => sum + calls, 0),
      phasesMs,
      reproducible: this.reproducible,
    };
  }

  private report(event: DistributiveOmit<TrainEvent, 'iteration' | 'elapsedMs'>): void {
    const full = { iteration: this.next, elapsedMs: performance.now() - this.startMs, ...event };
    this.setup.events.push(full as TrainEvent);
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

function positive(name: string, value: number): number {
  if (Number.isInteger(value) && value >= 1) return value;
  throw new ArgumentError(`fit: ${name} must be an integer >= 1, got ${value}. Check ${name}.`, { [name]: value });
}

function signalOf({ signal }: FitOptions): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

function hashOf(text: string): string {
  return sha256().update(new TextEncoder().encode(text)).digest();
}

/** Whether a job has ended because no worker has the loop's blocks any more. */
function isStateLost(thrown: unknown): boolean {
  return thrown instanceof EngineError && thrown.fields.causeCode === 'BLOCKS_LOST';
}

/** An abort before the first iteration: there is nothing to save and nothing to report. */
function cancelled({ reason }: AbortSignal): EngineError {
  return new EngineError('CANCELLED', 'fit: it was cancelled by its signal before the first iteration.', {}, reason);
}
