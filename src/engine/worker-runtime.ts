/**
 * @file What runs in a worker, whatever carries it: takes messages in order, runs tasks and loops, answers. Tiny and free of tensors: tensor code
 * arrives through the import { coreCount } from '#platform';
import { coreCount } from '#platform';
import graph of the task's own module, so that a program has one `Tensor` class.
 */
import { coreCount } from '#platform';
import { type BlockHandles, BlockTable, type PinnedBlocks } from './blocks.ts';
import type { LoopContext, LoopFunction, LoopProgram, Phase, TaskContext } from './engine.ts';
import { permanentCodes, resolveFunction } from './functions.ts';
import { type Publish, runLoop } from './loop-runner.ts';
import type { FaultPlan, FromWorker, ToWorker } from './messages.ts';
import { toPlainError } from './plain-error.ts';
import { LINE_NUMBERS, ReportRing, reportBlock } from './report-ring.ts';
import { LocalShuffleStore, type ShuffleStore } from './shuffle-store.ts';
import { type Vitals, vitalState } from './vitals.ts';

interface OpenLoop {
  readonly blocks: BlockTable;
  readonly phases: readonly Phase[];
  readonly startIteration: number;
  readonly program: LoopProgram;
  readonly adopted: Set<number>;
}

/** How a carrier connects a worker. */
export interface WorkerLink {
  readonly worker: number;
  readonly vitals: Vitals;
  /** Sends a message to the driver; throws if the message cannot be cloned. */
  post(message: FromWorker): void;
  /** Inline: give the event loop a turn after each phase of a loop. `null` where the worker has its own thread. */
  readonly yieldTurn: (() => Promise<void>) | null;
  /** Blocks of shuffles; if absent, memory of this process and files of this machine. */
  readonly shuffles?: ShuffleStore;
  /** Where memory is not shared. */
  readonly exchange?: BlockExchange;
}

/** How blocks reach a worker that does not share memory with the others. */
export interface BlockExchange {
  /** A part of this worker has a new version. */
  published(job: number, block: string, unit: number, version: number): void;
  /** Gets the named blocks, whole, at a version. */
  fetch(pinned: PinnedBlocks, names: readonly string[]): Promise<BlockHandles>;
}

type Message<T extends ToWorker['type']> = Extract<ToWorker, { type: T }>;

/** A worker's state machine. */
export class WorkerRuntime {
  private readonly link: WorkerLink;
  private readonly store = new Map<string, unknown>();
  private readonly loops = new Map<number, OpenLoop>();
  private readonly failedLoops = new Map<number, unknown>();
  private shuffles: ShuffleStore | undefined;
  private queue: Promise<void> = Promise.resolve();

  constructor(link: WorkerLink) {
    this.link = link;
  }

  /** Takes a message; messages are worked off one after the other. */
  receive(message: ToWorker): void {
    const receivedMs = performance.now();
    this.queue = this.queue.then(() => this.handle(message, receivedMs));
  }

  private async handle(message: ToWorker, receivedMs: number): Promise<void> {
    switch (message.type) {
      case 'task':
        await this.runTask(message);
        break;
      case 'openLoop':
        await this.openLoop(message);
        break;
      case 'enterLoop':
        await this.enterLoop(message, receivedMs);
        break;
      case 'closeLoop':
        this.loops.get(message.job)?.program.close?.();
        this.loops.delete(message.job);
        this.failedLoops.delete(message.job);
        break;
    }
    this.link.vitals.state = vitalState.idle;
  }

  private async runTask(message: Message<'task'>): Promise<void> {
    const { job, task, attempt, partition, run, input, faults, spillFolder } = message;
    const { vitals, worker } = this.link;
    vitals.state = vitalState.task;
    const context: TaskContext = {
      partition,
      attempt,
      worker,
      store: this.store,
      shuffles: (this.shuffles ??= this.link.shuffles ?? new LocalShuffleStore(spillFolder, worker)),
      progress: () => vitals.progress(),
      faultPoint: this.faultPoint(faults),
      openBlocks: (pinned, names) => this.openBlocks(pinned, names),
    };
    let result: unknown;
    try {
      const stageFunction = await resolveFunction(run);
      result = await stageFunction(context, input);
    } catch (thrown) {
      this.link.post({ type: 'taskFailed', job, task, attempt, error: toPlainError(thrown, isFinal(thrown)) });
      return;
    }
    try {
      this.link.post({ type: 'taskSucceeded', job, task, attempt, result });
    } catch (thrown) {
      const error = {
        name: 'EngineError',
        code: 'RESULT_NOT_CLONEABLE',
        message: `task: the result must survive a structured clone, got one that does not (${String(thrown)}). Return plain data.`,
        final: true,
      };
      this.link.post({ type: 'taskFailed', job, task, attempt, error });
    }
  }

  private async openBlocks(pinned: PinnedBlocks, names: readonly string[]): Promise<BlockTable> {
    const isHere = names.every((name) => pinned.blocks.data[name] !== undefined);
    return new BlockTable(isHere ? pinned.blocks : await this.link.exchange!.fetch(pinned, names));
  }

  private async openLoop(message: Message<'openLoop'>): Promise<void> {
    const { job, program, phases, startIteration, faults } = message;
    const { vitals, worker } = this.link;
    vitals.state = vitalState.task;
    const blocks = new BlockTable(message.blocks);
    const reports = new ReportRing(message.blocks.reports);
    const context: LoopContext = {
      worker,
      blocks,
      emit: (value) => this.link.post({ type: 'emit', job, value }),
      report: (iteration, line) => {
        reports.write(iteration, line);
        if (message.blocks.specs[reportBlock] === undefined) return;
        const { buffer, byteOffset } = blocks.part(reportBlock, 0, iteration + 1);
        new Float64Array(buffer, byteOffset, LINE_NUMBERS).set(line);
      },
      progress: () => vitals.progress(),
      faultPoint: this.faultPoint(faults),
    };
    try {
      const loopFunction = await resolveFunction(program);
      const opened = (await loopFunction(context)) as Awaited<ReturnType<LoopFunction>>;
      this.loops.set(job, { blocks, phases, startIteration, program: opened, adopted: new Set() });
    } catch (thrown) {
      // Told when the loop is entered: only then does the driver wait for an answer.
      this.failedLoops.set(job, thrown);
    }
  }

  private async enterLoop({ job, epoch, units, inputs }: Message<'enterLoop'>, receivedMs: number): Promise<void> {
    const { vitals, yieldTurn, exchange } = this.link;
    vitals.state = vitalState.task;
    const fail = (at: string, thrown: unknown): void =>
      this.link.post({ type: 'loopFailed', job, epoch, at, error: toPlainError(thrown, isFinal(thrown)) });
    const loop = this.loops.get(job);
    if (loop === undefined) return fail('opening the loop', this.failedLoops.get(job));
    const { blocks, phases, program, adopted } = loop;
    const publish = (block: string, unit: number, version: number): void => {
      blocks.publish(block, unit, version);
      exchange?.published(job, block, unit, version);
    };
    try {
      for (const { unit, input } of inputs) {
        vitals.progress();
        if (!adopted.has(unit)) await program.adopt?.(unit, input);
        adopted.add(unit);
      }
      for (const unit of units) await initialise(loop, unit, publish);
    } catch (thrown) {
      return fail('adopting a unit', thrown);
    }
    program.account?.('schedule', performance.now() - receivedMs);
    // Where memory is not shared, the core is needed by the thread that brings what is waited for.
    const spins = exchange === undefined && new Set(blocks.owners()).size <= coreCount();
    const run = { blocks, phases, program, vitals, units, epoch, publish, spins, yields: yieldTurn !== null };
    for (;;) {
      const outcome = runLoop(run);
      if (outcome === 'yielded') {
        await yieldTurn?.();
      } else if (outcome === 'reassigned' || 'limit' in outcome) {
        program.leave?.();
        this.link.post({ type: 'loopReturned', job, epoch, limit: outcome === 'reassigned' ? null : outcome.limit });
        return;
      } else {
        return fail(outcome.at, outcome.error);
      }
    }
  }

  /** The function behind `faultPoint`: parks this worker for ever at a planned point that nobody has reached before. */
  private faultPoint(plan: FaultPlan | null): LoopContext['faultPoint'] {
    if (plan === null) return () => {};
    const reached = new Int32Array(plan.reached);
    return (phase, unit, iteration, offset) => {
      const fault = plan.points.findIndex(
        (point) =>
          point.iteration === iteration && point.unit === unit && point.phase === phase && point.offset === offset,
      );
      if (fault < 0 || Atomics.compareExchange(reached, fault, 0, 1) !== 0) return;
      this.link.post({ type: 'parked', fault });
      const never = new Int32Array(new SharedArrayBuffer(4));
      for (;;) Atomics.wait(never, 0, 0, 1000); // ended from outside by terminate()
    };
  }
}

/** Writes the first version of a unit that has none. */
async function initialise(loop: OpenLoop, unit: number, publish: Publish): Promise<void> {
  const { blocks, phases, startIteration, program } = loop;
  const last = phases[phases.length - 1]!;
  if (blocks.version(last.writes, unit) >= startIteration) return;
  await program.initialise?.(unit);
  for (const { writes } of phases) publish(writes, unit, startIteration);
}

/** Codes of errors that the same input gives again, besides those of functions that cannot be loaded. */
const deterministicCodes: ReadonlySet<string> = new Set([
  'BLOCKS_LOST',
  'DEADLOCK',
  'MAIN_IN_WORKER',
  'FUNCTION_NOT_ASYNC',
  'FUNCTION_RESULT',
  'PREPARE_ASYNC',
  'SCHEMA',
  'ZIP_LENGTH',
  'PAIR_EXPECTED',
  'KEY_TYPE',
  'RECORDS_NOT_CLONEABLE',
  'SHUFFLE_SPILL_FAILED',
  'SHAPE',
  'DTYPE',
  'ARGUMENT',
  'INDEX_RANGE',
  'AUTOGRAD',
  'RECYCLED',
  'MODEL_MISMATCH',
  'BUFFERS_CHANGED',
]);

/** Whether another attempt cannot help. */
function isFinal(thrown: unknown): boolean {
  const code = thrown instanceof Error ? String((thrown as { code?: unknown }).code) : '';
  return permanentCodes.has(code) || deterministicCodes.has(code);
}
