/**
 * @file A loop on a worker process, from opening to closing: it brings what the driver says, what other workers give and what the computing thread does
 * into one order. Enters are worked off one after the other, each when the thread has come back from the last one: only then may the tables
 * be changed under it.
 */
import { EngineError } from '../../errors.ts';
import { lowerLimit } from '../loop-runner.ts';
import type { FromWorker, ToWorker } from '../messages.ts';
import { toPlainError } from '../plain-error.ts';
import type { EnterMessage, FromAgent, LoopStatus } from './control.ts';
import type { Exchange } from './exchange.ts';
import { LocalLoop } from './local-loop.ts';
import { takeOverUnit } from './takeover.ts';

type OpenMessage = Extract<ToWorker, { type: 'openLoop' }>;

/** What a session works with. */
export interface SessionLinks {
  readonly worker: number;
  readonly exchange: Exchange;
  toThread(message: ToWorker): void;
  toDriver(message: FromAgent): void;
  /** A sign of life while the thread waits for this. */
  onProgress(): void;
  /** Tells the driver how far everything is, before it is told that something has ended. */
  sendStatus(): void;
}

/** How long to wait before asking again for what is not there yet. */
const ASK_AGAIN_MS = 5;
const PROGRESS_MS = 200;

/** See the file's head. */
export class LoopSession {
  readonly loop: LocalLoop;
  private readonly links: SessionLinks;
  private readonly job: number;
  private readonly reached: Int32Array;
  private readonly inputs = new Map<number, unknown>();
  private readonly inputWaits = new Map<number, () => void>();
  /** Units whose newest state is here, because this worker has owned them without a break. */
  private owned = new Set<number>();
  private queue: Promise<void> = Promise.resolve();
  /** Resolves when the thread has come back from the loop. */
  private returned: (() => void) | null = null;
  /** The driver is asking where all can meet: nobody returns, or goes on past the limit, until it has said. */
  private meeting = false;
  private heldBack: FromWorker[] = [];
  private closed = false;

  constructor(message: OpenMessage, links: SessionLinks) {
    const { job, blocks, phases, startIteration, faults } = message;
    this.job = job;
    this.links = links;
    this.loop = new LocalLoop(blocks, phases, startIteration);
    this.reached = new Int32Array(faults?.reached ?? new SharedArrayBuffer(0));
    links.toThread({ ...message, blocks: this.loop.blocks.handles });
  }

  /** What a unit needs has arrived. */
  input(unit: number, input: unknown): void {
    this.inputs.set(unit, input);
    this.inputWaits.get(unit)?.();
  }

  /** The driver has changed the owners. */
  owners(epoch: number, owners: readonly number[]): void {
    if (epoch <= this.loop.blocks.epoch) return;
    this.meeting = false;
    this.loop.blocks.reassign(owners, epoch);
    this.owned = new Set([...this.owned].filter((unit) => owners[unit] === this.links.worker));
    this.letGo();
  }

  /** The driver wants this worker to work on its units. */
  enter(message: EnterMessage): void {
    if (!this.meeting) this.loop.blocks.limit = message.limit;
    this.queue = this.queue.then(() => this.work(message)).catch((thrown) => this.fail(message, thrown));
  }

  /** Prepares what the units need, and lets the thread work on them until it comes back. */
  private async work(message: EnterMessage): Promise<void> {
    // The thread waits meanwhile, but not for something that nobody will do.
    const alive = setInterval(() => this.links.onProgress(), PROGRESS_MS);
    try {
      if (!(await this.prepare(message))) return this.superseded(message);
    } finally {
      clearInterval(alive);
    }
    const { job } = this;
    const { epoch, owners, units, floor } = message;
    const inputs = [...this.inputs].map(([unit, input]) => ({ unit, input }));
    this.inputs.clear();
    const back = new Promise<void>((resolve) => {
      this.returned = resolve;
    });
    this.links.toThread({ type: 'enterLoop', job, epoch, owners, units, floor, inputs });
    await back;
  }

  /** Gets what the units need; false if the epoch ends meanwhile. */
  private async prepare(message: EnterMessage): Promise<boolean> {
    const { epoch, owners, units, newUnits, reached } = message;
    const { blocks } = this.loop;
    const { exchange, worker } = this.links;
    const isOver = (): boolean => blocks.epoch !== epoch || this.closed;
    if (isOver()) return false;
    reached.forEach((flag, fault) => void Atomics.store(this.reached, fault, flag));
    const taken = units.filter((unit) => !this.owned.has(unit));
    await Promise.all(taken.map((unit) => takeOverUnit(this.loop, unit, message, exchange)));
    if (isOver()) return false;
    for (const unit of taken) {
      this.owned.add(unit);
      // Who subscribed before the state was here, and lacks the version that the last owner died with, would wait for it: this unit's next version needs theirs.
      exchange.published(this.loop, this.loop.main, unit);
    }
    exchange.subscribe(this.loop, this.loop.wants(owners, worker));
    await this.getShared(owners, isOver);
    for (const unit of newUnits) {
      if (!this.inputs.has(unit)) await new Promise<void>((resolve) => this.inputWaits.set(unit, resolve));
      this.inputWaits.delete(unit);
    }
    return !isOver();
  }

  /** Parts that are written once and read by all, such as what is not trained. */
  private async getShared(owners: readonly number[], isOver: () => boolean): Promise<void> {
    const { loop } = this;
    const { specs } = loop.blocks.handles;
    for (const [block, { slots, versionOf, isPrivate, unitBytes }] of Object.entries(specs)) {
      if (slots === 2 || versionOf === undefined || isPrivate) continue;
      for (const [unit, bytes] of unitBytes.entries()) {
        const owner = owners[unit]!;
        const isWanted = (): boolean =>
          bytes > 0 && owner !== this.links.worker && !loop.held.has(block, unit, 0) && !isOver();
        while (isWanted()) {
          const ranges = [{ offsetBytes: 0, lengthBytes: bytes }];
          const want = { block, unit, owner, ranges, from: loop.startIteration };
          if (await this.links.exchange.get(loop, want)) loop.held.add(block, unit, loop.startIteration);
          else await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
        }
      }
    }
  }

  /** The epoch ended before the thread was told of it. */
  private superseded({ epoch }: EnterMessage): void {
    this.links.toDriver({ type: 'loopReturned', job: this.job, epoch, limit: null });
  }

  private fail({ epoch }: EnterMessage, thrown: unknown): void {
    const final = thrown instanceof EngineError && thrown.code === 'BLOCKS_LOST';
    const error = toPlainError(thrown, final);
    this.links.toDriver({ type: 'loopFailed', job: this.job, epoch, at: 'taking units over', error });
  }

  /** The thread has left the loop, or failed in it. */
  fromThread(message: Extract<FromWorker, { type: 'loopReturned' | 'loopFailed' }>): void {
    this.returned?.();
    this.returned = null;
    this.heldBack.push(message);
    this.letGo();
  }

  private letGo(): void {
    if (this.meeting || this.heldBack.length === 0) return;
    this.links.sendStatus();
    for (const message of this.heldBack.splice(0)) this.links.toDriver(message as FromAgent);
  }

  /** No unit of this worker begins an iteration past the newest one that one of them has begun. */
  meet(epoch: number): void {
    this.meeting = true;
    const { blocks, phases } = this.loop;
    const mine = blocks.owners().flatMap((owner, unit) => (owner === this.links.worker ? [unit] : []));
    lowerLimit(blocks, phases, mine);
    this.links.toDriver({ type: 'met', job: this.job, epoch, limit: blocks.limit });
  }

  /** All have met, or will at this limit. */
  limit(limit: number): void {
    this.meeting = false;
    this.loop.blocks.limit = limit;
    this.letGo();
  }

  status(): LoopStatus {
    return this.loop.status([...this.owned]);
  }

  /** Calls the thread back. Resolves when it has come, and has been told to forget the loop. */
  close(): Promise<void> {
    this.closed = true;
    this.meeting = false;
    this.letGo();
    for (const arrived of this.inputWaits.values()) arrived();
    this.links.exchange.close(this.loop);
    const { blocks } = this.loop;
    blocks.reassign(blocks.owners(), blocks.epoch + 1); // calls the thread back
    this.queue = this.queue.then(() => this.links.toThread({ type: 'closeLoop', job: this.job }));
    return this.queue;
  }
}
