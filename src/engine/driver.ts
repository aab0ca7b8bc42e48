/**
 * @file The live engine: executes the commands of the pure scheduler on a carrier's workers and tells the scheduler what happened. It holds what
 * the scheduler does not know: promises, inputs, results, clocks.
 */
import { joinPath, keepBusy, removePath, scratchFolder } from '#platform';
import { EngineError } from '../errors.ts';
import { type BlockHandles, pickBlocks, placeBlocks } from './blocks.ts';
import type { Carrier } from './carrier.ts';
import type { Engine, FaultPoint, Loop, LoopSpec, RunOptions, Stage } from './engine.ts';
import {
  checkThread,
  checkWorkers,
  completePolicy,
  type EngineOptions,
  type EnginePolicy,
  shuffleMemory,
} from './engine-options.ts';
import { callUser, EventStream } from './event-stream.ts';
import type { EndReason, EngineEvent, RunningUnit } from './events.ts';
import { fetchModule } from './fetch.ts';
import { inputError, type JobEnd, jobError } from './job-error.ts';
import { createLiveLoop, iterationOf, type LiveLoop, standsStill } from './live-loop.ts';
import { type LiveWorker, lossReason, runningUnit, troubleOf } from './live-worker.ts';
import { lowerLimit } from './loop-runner.ts';
import type { FaultPlan, FromWorker } from './messages.ts';
import { recordBytes } from './record-bytes.ts';
import { type Command, Scheduler, type SchedulerEvent } from './scheduler.ts';
import { StragglerWatch } from './stragglers.ts';
import { Vitals } from './vitals.ts';

interface Job {
  readonly name: string;
  readonly stage?: { readonly spec: Stage; readonly options: RunOptions; readonly results: unknown[] };
  readonly loop?: LiveLoop;
  readonly resolve: (value: unknown[]) => void;
  readonly reject: (error: Error) => void;
  onEnd?: () => void;
}

const WATCH_MS = 50;
const MAX_START_FAILURES = 4;

/** An engine on a carrier. */
export function createEngine(carrier: Carrier, options: EngineOptions & { readonly workers: number }): Engine {
  checkThread();
  checkWorkers('engine', options.workers);
  return new LiveEngine(carrier, options);
}

class LiveEngine implements Engine {
  readonly carrier: Engine['carrier'];
  private readonly sharesMemory: boolean;
  workers: number;
  readonly maxAttempts: number;
  readonly shuffleMemoryBytes: number;
  private readonly spillFolder: string;
  private readonly source: Carrier;
  private readonly policy: EnginePolicy;
  private readonly stragglers: StragglerWatch;
  private readonly log: EngineOptions['log'];
  private readonly scheduler: Scheduler;
  private readonly live = new Map<number, LiveWorker>();
  private readonly jobs = new Map<number, Job>();
  private readonly events = new EventStream();
  private nextJob = 0;
  private faults: FaultPlan | null = null;
  private crossedBytes = 0;
  /** Events that wait for the scheduler; the first one is being handled. */
  private readonly happened: SchedulerEvent[] = [];
  /** The result in the message that is being handled. */
  private arrived: unknown;
  private watch: ReturnType<typeof setInterval> | null = null;
  private closed: Promise<void> | null = null;
  private onEmpty: (() => void) | null = null;

  constructor(carrier: Carrier, options: EngineOptions & { readonly workers: number }) {
    this.source = carrier;
    this.carrier = carrier.name;
    this.sharesMemory = carrier.sharesMemory;
    this.workers = options.workers;
    this.policy = completePolicy(carrier.name, options, !carrier.sharesMemory);
    this.maxAttempts = this.policy.maxAttempts;
    const shuffleMemoryBytes = shuffleMemory(options);
    this.shuffleMemoryBytes = carrier.sharesMemory ? shuffleMemoryBytes : 0;
    this.spillFolder = scratchFolder(options.spillFolder);
    this.stragglers = new StragglerWatch(this.policy.speculation);
    this.log = options.log;
    this.scheduler = new Scheduler({
      ...this.policy,
      maxStartFailures: MAX_START_FAILURES,
      sharesMemory: carrier.sharesMemory,
    });
    this.dispatch({ type: 'start', workers: options.workers });
  }

  resize(workers: number): void {
    checkWorkers('resize', workers);
    if (this.carrier === 'inline') return;
    this.workers = workers;
    this.dispatch({ type: 'resize', workers });
  }

  liveWorkers(): readonly number[] {
    return [...this.live.values()]
      .filter((worker) => worker.ready && worker.terminatedMs === null)
      .map((worker) => worker.id);
  }

  run(stage: Stage, options: RunOptions = {}): Promise<unknown[]> {
    return new Promise((resolve, reject) => {
      const refusal = this.refusal(options.signal);
      if (refusal !== null) return reject(refusal);
      let spec: Stage;
      try {
        // A copy: every attempt must see what the caller passed, not what the caller changed since.
        spec = { ...stage, run: structuredClone(stage.run), inputs: structuredClone(stage.inputs) };
      } catch (thrown) {
        return reject(inputError(stage.name, thrown));
      }
      const job = this.nextJob++;
      const results = new Array<unknown>(spec.inputs.length);
      this.begin(job, { name: spec.name, stage: { spec, options, results }, resolve, reject }, spec.inputs.length);
      this.cancelBy(options.signal, job);
      this.dispatch({
        type: 'submitStage',
        job,
        preferred: stage.inputs.map((input) => input.preferredWorker ?? null),
      });
    });
  }

  async openLoop(given: LoopSpec): Promise<Loop> {
    const refusal = this.refusal();
    if (refusal !== null) throw refusal;
    const job = this.nextJob++;
    const loop = createLiveLoop(job, given, this.sharesMemory);
    const { spec, blocks } = loop;
    const ended = (error: Error): void => {
      loop.failed = error as EngineError;
      loop.pending?.reject(error);
      loop.pending = null;
    };
    this.begin(job, { name: spec.name, loop, resolve: () => {}, reject: ended }, spec.units);
    this.dispatch({ type: 'openLoop', job, units: spec.units });
    return {
      blocks,
      get iteration(): number {
        return iterationOf(loop);
      },
      report: (iteration) => loop.reports.read(iteration),
      fetch: (names) => this.fetch(loop, names),
      advance: (to) => this.advance(job, loop, to),
      stop: () => this.stop(loop),
      close: async () => {
        if (this.jobs.has(job)) this.dispatch({ type: 'closeLoop', job });
      },
    };
  }

  subscribe(listener: (event: EngineEvent) => void): () => void {
    return this.events.subscribe(listener);
  }

  killWorker(worker: number): void {
    this.killWith(worker, null);
  }

  setFaults(points: readonly FaultPoint[]): void {
    this.faults = points.length === 0 ? null : { points, reached: new SharedArrayBuffer(4 * points.length) };
  }

  sampleBytesCrossed(): number {
    return this.crossedBytes;
  }

  dropShuffle(shuffle: string): void {
    // Files that cannot be removed now go with the folder.
    removePath(joinPath(this.spillFolder, shuffle)).catch(() => undefined);
  }

  close(): Promise<void> {
    if (this.closed === null) {
      const empty = new Promise<void>((resolve) => {
        this.onEmpty = resolve;
      });
      // A folder that cannot be removed now is tried again when the process exits.
      this.closed = empty.then(() => removePath(this.spillFolder).catch(() => undefined));
      this.dispatch({ type: 'close' });
      this.hold(); // watches workers that do not go
      this.endIfEmpty();
    }
    return this.closed;
  }

  // Jobs.

  private refusal(signal?: AbortSignal): EngineError | null {
    if (this.closed !== null) return new EngineError('ENGINE_CLOSED', 'engine: it was closed. Create a new one.');
    if (signal?.aborted)
      return new EngineError('CANCELLED', 'engine: the job was cancelled by its signal.', {}, signal.reason);
    return null;
  }

  /** Cancels the job when the signal says so; a signal that outlives the job keeps nothing of it. */
  private cancelBy(signal: AbortSignal | undefined, job: number): void {
    if (signal === undefined) return;
    const cancel = (): void => this.dispatch({ type: 'cancel', job });
    signal.addEventListener('abort', cancel, { once: true });
    this.jobs.get(job)!.onEnd = () => signal.removeEventListener('abort', cancel);
  }

  private begin(id: number, job: Job, tasks: number): void {
    this.jobs.set(id, job);
    this.events.jobStarted(id, job.loop === undefined ? 'stage' : 'loop', job.name, tasks);
    this.hold();
  }

  private advance(job: number, loop: LiveLoop, to: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const refuse = (code: string, message: string): void =>
        reject(new EngineError(code, `advance: ${message}`, { to }));
      const present = iterationOf(loop);
      if (loop.failed !== null) return reject(loop.failed);
      if (!this.jobs.has(job)) return refuse('LOOP_CLOSED', 'the loop must be open, got a closed one. Open a new one.');
      if (loop.pending !== null)
        return refuse('LOOP_BUSY', 'one at a time, got another one. Await the last one first.');
      if (!Number.isInteger(to) || to < present) {
        return refuse('ARGUMENT', `to must be an integer >= the present iteration ${present}, got ${to}. Check it.`);
      }
      loop.pending = { from: present, to, stopped: false, resolve, reject };
      loop.blocks.limit = to;
      loop.looks = 0;
      loop.entered = false;
      this.dispatch({ type: 'advance', job });
    });
  }

  private stop(loop: LiveLoop): void {
    if (loop.pending === null) return;
    loop.pending.stopped = true;
    this.meet(loop);
  }

  /** Ends the advance at the earliest iteration at which all units can meet. */
  private meet(loop: LiveLoop): void {
    const { blocks, spec, pending } = loop;
    if (pending === null) return;
    if (this.source.meet !== undefined) this.source.meet(blocks);
    else lowerLimit(blocks, spec.phases, [...spec.inputs.keys()]);
  }

  private async fetch({ spec, blocks }: LiveLoop, names: readonly string[]): Promise<BlockHandles> {
    if (this.sharesMemory) return pickBlocks(blocks.handles, names);
    const input = { pinned: { blocks: blocks.handles, version: blocks.version(names[0]!, 0) }, names };
    const run = { kind: 'module', module: fetchModule, export: 'readBlocks', args: undefined } as const;
    const [bytes] = await this.run({ name: `fetch ${spec.name}`, run, inputs: [{ partition: 0, input }] });
    return placeBlocks(blocks.handles, input.pinned.version, bytes as Record<string, Uint8Array>);
  }

  /** Keeps the process alive, and watches, while there are jobs or workers that are ending. */
  private hold(): void {
    const active = this.jobs.size > 0 || this.closed !== null;
    for (const worker of this.live.values()) worker.carried.hold(active);
    keepBusy(this, this.carrier !== 'inline' && this.jobs.size > 0 ? this.workers : 0);
    if (active && this.watch === null) {
      const now = performance.now();
      for (const worker of this.live.values()) worker.seenMs = now;
      this.watch = setInterval(() => this.look(), WATCH_MS);
    } else if (!active && this.watch !== null) {
      clearInterval(this.watch);
      this.watch = null;
    }
  }

  // Commands.

  /** Tells the scheduler what happened and does what it says. What happens meanwhile (a listener that cancels, say) comes after. */
  private dispatch(event: SchedulerEvent): void {
    this.happened.push(event);
    if (this.happened.length > 1) return;
    for (; this.happened.length > 0; this.happened.shift()) {
      const commands = this.scheduler.step(this.happened[0]!);
      this.log?.(this.happened[0]!, commands);
      for (const command of commands) this.execute(command);
    }
  }

  private execute(command: Command): void {
    switch (command.type) {
      case 'startWorker':
        return this.startWorker(command.worker);
      case 'terminate':
        return this.terminate(command.worker, command.reason);
      case 'runTask':
        return this.sendTask(command.worker, command.job, command.task, command.attempt);
      case 'deliver':
        return this.deliver(command.job, command.task, command.worker);
      case 'attemptFailed': {
        const { job, task, attempt, reason, message } = command;
        this.stragglers.fail(job, task);
        return this.events.taskFailed(job, task, attempt, reason, message);
      }
      case 'setOwners': {
        const loop = this.jobs.get(command.job)?.loop;
        if (loop === undefined) return;
        loop.blocks.reassign(command.owners);
        this.source.ownersChanged?.(loop.blocks);
        if (!loop.entered) loop.floor = iterationOf(loop);
        loop.entered = true;
        return this.events.emit({
          event: 'reassigned',
          job: command.job,
          epoch: loop.blocks.epoch,
          owners: command.owners,
        });
      }
      case 'enterLoop':
        return this.enterLoop(command.worker, command.job, command.units);
      case 'leaveLoop':
        this.live.get(command.worker)?.loops.delete(command.job);
        return this.live.get(command.worker)?.carried.send({ type: 'closeLoop', job: command.job });
      case 'regroup':
        return this.meet(this.jobs.get(command.job)!.loop!);
      case 'advanced':
        return this.advanced(command.job);
      case 'endJob':
        return this.endJob(command);
    }
  }

  private startWorker(id: number): void {
    const vitals = new Vitals();
    const now = performance.now();
    const worker: LiveWorker = {
      id,
      vitals,
      startedMs: now,
      ready: false,
      busy: 0,
      loops: new Map(),
      seenProgress: 0,
      seenMs: now,
      terminatedMs: null,
      endReason: null,
      carried: this.source.start(
        id,
        vitals,
        {
          onMessage: (message) => this.onMessage(worker, message),
          onExit: (detail) => this.onExit(worker, detail),
        },
        this.policy,
      ),
    };
    this.live.set(id, worker);
    worker.carried.hold(this.jobs.size > 0 || this.closed !== null);
  }

  private terminate(id: number, reason: EndReason): void {
    const worker = this.live.get(id);
    if (worker === undefined || worker.terminatedMs !== null) return;
    worker.terminatedMs = performance.now();
    worker.endReason = reason;
    worker.carried.terminate();
  }

  private sendTask(id: number, job: number, task: number, attempt: number): void {
    const worker = this.live.get(id)!;
    const { spec } = this.jobs.get(job)!.stage!;
    const { partition, input } = spec.inputs[task]!;
    worker.busy++;
    this.touch(worker);
    this.events.taskStarted({ job, task, partition, attempt, worker: id });
    this.crossedBytes += recordBytes(input);
    this.stragglers.begin(job, spec.inputs.length, task, performance.now());
    const { faults, spillFolder } = this;
    worker.carried.send({ type: 'task', job, task, attempt, partition, run: spec.run, input, faults, spillFolder });
  }

  private enterLoop(id: number, job: number, units: readonly number[]): void {
    const worker = this.live.get(id)!;
    const loop = this.jobs.get(job)!.loop!;
    const { spec, blocks } = loop;
    let given = worker.loops.get(job);
    if (given === undefined) {
      given = new Set();
      worker.loops.set(job, given);
      const { program, phases, startIteration } = spec;
      const { handles } = blocks;
      const { faults } = this;
      worker.carried.send({ type: 'openLoop', job, program, phases, startIteration, blocks: handles, faults });
    }
    const inputs = units.filter((unit) => !given.has(unit)).map((unit) => ({ unit, input: spec.inputs[unit] }));
    for (const { unit, input } of inputs) {
      given.add(unit);
      this.crossedBytes += recordBytes(input);
    }
    worker.busy++;
    this.touch(worker);
    const { epoch } = blocks;
    const owners = blocks.owners();
    worker.carried.send({ type: 'enterLoop', job, epoch, owners, units, floor: loop.floor, inputs });
  }

  /** All units stand at the limit: the end of the advance, or the place where units move before it goes on. */
  private advanced(job: number): void {
    const loop = this.jobs.get(job)!.loop!;
    const pending = loop.pending!;
    const iteration = iterationOf(loop);
    if (iteration < pending.to && !pending.stopped) {
      loop.blocks.limit = pending.to;
      loop.entered = false;
      return this.dispatch({ type: 'advance', job });
    }
    loop.pending = null;
    const { units, phases } = loop.spec;
    for (const { writes: block } of phases) {
      this.events.emit({ event: 'blockPublished', job, block, units, from: pending.from, to: iteration });
    }
    pending.resolve(iteration);
  }

  private endJob(end: JobEnd): void {
    const { job: id, reason } = end;
    const job = this.jobs.get(id);
    if (job === undefined) return;
    this.jobs.delete(id);
    this.stragglers.forget(id);
    job.onEnd?.();
    this.events.jobEnded(id, reason);
    this.hold();
    const closed = new EngineError('LOOP_CLOSED', 'advance: the loop was closed while it advanced. Open a new one.');
    if (reason === 'success' && job.loop?.pending) job.reject(closed);
    else if (reason === 'success') job.resolve(job.stage?.results ?? []);
    else job.reject(jobError(job.name, job.stage, end));
  }

  // What workers say.

  private onMessage(worker: LiveWorker, message: FromWorker): void {
    this.touch(worker);
    switch (message.type) {
      case 'ready':
        worker.ready = true;
        this.events.emit({ event: 'workerStarted', worker: worker.id, startMs: performance.now() - worker.startedMs });
        return this.dispatch({ type: 'workerReady', worker: worker.id });
      case 'taskSucceeded': {
        worker.busy--;
        const { job, task, attempt, result } = message;
        this.crossedBytes += recordBytes(result);
        this.arrived = result;
        return this.dispatch({ type: 'taskSucceeded', worker: worker.id, job, task, attempt });
      }
      case 'taskFailed': {
        worker.busy--;
        const { job, task, attempt, error } = message;
        return this.dispatch({ type: 'taskFailed', worker: worker.id, job, task, attempt, error });
      }
      case 'loopReturned': {
        worker.busy--;
        const { job, epoch, limit } = message;
        const outcome =
          limit === null ? 'reassigned' : limit < (this.jobs.get(job)?.loop?.blocks.limit ?? 0) ? 'early' : 'done';
        return this.dispatch({ type: 'loopReturned', worker: worker.id, job, epoch, outcome });
      }
      case 'loopFailed': {
        worker.busy--;
        const { job, epoch, at, error } = message;
        worker.loops.get(job)?.clear();
        return this.dispatch({ type: 'loopFailed', worker: worker.id, job, epoch, at, error });
      }
      case 'emit':
        return callUser(() => this.jobs.get(message.job)?.loop?.spec.onEmit?.(message.value, worker.id));
      case 'parked':
        // A worker that shares no memory has marked its own copy only.
        if (this.faults !== null) Atomics.store(new Int32Array(this.faults.reached), message.fault, 1);
        return this.killWith(worker.id, this.faults?.points[message.fault] ?? null);
    }
  }

  /** The scheduler has accepted the result that has just arrived: it is the first one of its task. */
  private deliver(job: number, task: number, worker: number): void {
    const { results, options } = this.jobs.get(job)!.stage!;
    results[task] = this.arrived;
    this.events.taskSucceeded(job, task, worker);
    this.stragglers.finish(job, task, performance.now());
    callUser(() => options.onResult?.(task, this.arrived, worker));
  }

  private killWith(id: number, planned: FaultPoint | null): void {
    const worker = this.live.get(id);
    if (worker === undefined || worker.terminatedMs !== null) return;
    this.events.emit({ event: 'killed', worker: id, planned, running: this.running(worker) });
    this.dispatch({ type: 'kill', worker: id });
  }

  private onExit(worker: LiveWorker, detail: string): void {
    const running = this.running(worker);
    this.live.delete(worker.id);
    const { endReason } = worker;
    if (endReason === 'left' || endReason === 'closed') this.events.emit({ event: 'workerLeft', worker: worker.id });
    else this.events.emit({ event: 'workerLost', worker: worker.id, reason: lossReason(endReason, detail), running });
    this.dispatch({ type: 'workerExited', worker: worker.id, running, detail });
    this.endIfEmpty();
  }

  /** The end of a closed engine: nothing of it runs any more. */
  private endIfEmpty(): void {
    if (this.live.size > 0 || this.closed === null) return;
    this.jobs.clear();
    if (this.watch !== null) clearInterval(this.watch);
    this.watch = null;
    this.events.metrics(() => this.totals(), true);
    this.source.close?.();
    this.onEmpty?.();
  }

  private totals(): { workersAlive: number; recordBytes: number } {
    return { workersAlive: this.liveWorkers().length, recordBytes: this.crossedBytes };
  }

  /** What the worker does in a loop now, by its vital signs. */
  private running(worker: LiveWorker): RunningUnit | null {
    const loops = [...worker.loops.keys()].flatMap((job) => this.jobs.get(job)?.loop ?? []);
    return runningUnit(worker, loops);
  }

  // Watching: silence, stuck workers, deadlock.

  private touch(worker: LiveWorker): void {
    worker.seenMs = performance.now();
  }

  private look(): void {
    const now = performance.now();
    const workers = [...this.live.values()];
    for (const worker of workers) {
      const trouble = troubleOf(worker, now, this.policy);
      if (trouble?.type === 'stuck') this.onStuck(worker);
      else if (trouble !== null) this.dispatch(trouble);
    }
    for (const straggler of this.stragglers.look(now)) this.dispatch({ type: 'straggler', ...straggler });
    this.events.metrics(() => this.totals());
    for (const [job, { loop }] of [...this.jobs]) {
      if (loop && standsStill(loop, workers)) this.dispatch({ type: 'deadlock', job });
    }
  }

  private onStuck(worker: LiveWorker): void {
    this.live.delete(worker.id);
    worker.carried.hold(false);
    this.dispatch({ type: 'stuck', worker: worker.id });
    this.endIfEmpty();
  }
}
