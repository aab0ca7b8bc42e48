/**
 * @file A worker process: its main thread speaks with the driver and the other workers, and never computes; a thread of its own does the work, as in
 * the threads engine. So a process answers, and can be asked, whatever its task does.
 */
import { startThread, type Thread } from '#platform';
import type { PinnedBlocks } from '../blocks.ts';
import type { FromThread, FromWorker, ToThread, ToWorker } from '../messages.ts';
import type { ThreadData } from '../threads.ts';
import { Vitals } from '../vitals.ts';
import type { FromAgent, ToAgent, Welcome, WorkMessage } from './control.ts';
import { Exchange } from './exchange.ts';
import { fetchPinned } from './fetch-pinned.ts';
import type { LocalLoop } from './local-loop.ts';
import { LoopSession } from './loop-session.ts';

/** How often the driver is told how far the loops are, and that this process is alive. */
const STATUS_MS = 20;
const HEARTBEAT_MS = 500;

/** What may come through the rendezvous before the loop has come through stdin. */
type EarlyMessage = Extract<ToAgent, { type: 'enterLoop' | 'meet' }>;

/** How an agent is connected. */
export interface AgentLinks {
  /** A result, to stdout. */
  toOutput(message: FromWorker): void;
  /** To the rendezvous. */
  toDriver(message: FromAgent): void;
  /** The thread is gone: so is this worker. */
  onThreadExit(detail: string): void;
}

/** See the file's head. */
export class Agent {
  readonly exchange: Exchange;
  private readonly worker: number;
  private readonly links: AgentLinks;
  private readonly vitals = new Vitals();
  private readonly thread: Thread;
  private readonly sessions = new Map<number, LoopSession>();
  /** Sessions that were closed and wait for the thread to come back: the driver counts its return. */
  private readonly closing = new Map<number, LoopSession>();
  /** Blocks by job: of open loops, and of those that tasks have asked for. */
  private readonly loops = new Map<number, LocalLoop>();
  /** Who owns what, as the driver said last: also of loops that are not open here. */
  private readonly owners = new Map<number, Extract<ToAgent, { type: 'owners' }>>();
  /** What came through the rendezvous before the loop had come through stdin. */
  private readonly early = new Map<number, EarlyMessage[]>();
  private readonly closedJobs = new Set<number>();
  private lastStatus = '';
  private lastStatusMs = 0;

  constructor({ worker, secret, host, heapBytes }: Welcome, links: AgentLinks) {
    this.worker = worker;
    this.links = links;
    const onReceived = (): void => this.vitals.received();
    this.exchange = new Exchange({ worker, host, secret, loops: this.loops, onReceived });
    const data: ThreadData = { worker, vitals: this.vitals.buffer, sharesMemory: false };
    this.thread = startThread(new URL('../thread-main.js', import.meta.url), data, heapBytes, {
      onMessage: (message) => this.fromThread(message as FromThread),
      onExit: (detail) => links.onThreadExit(detail),
    });
    setInterval(() => this.sendStatus(), STATUS_MS);
  }

  /** What came on stdin. */
  work(message: WorkMessage): void {
    switch (message.type) {
      case 'task':
        return this.toThread(message);
      case 'openLoop':
        return this.open(message);
      case 'input':
        return this.sessions.get(message.job)?.input(message.unit, message.input);
    }
  }

  /** What came through the rendezvous. */
  control(message: ToAgent): void {
    switch (message.type) {
      case 'peers':
        return this.exchange.setPeers(message.peers);
      case 'owners':
        this.owners.set(message.job, message);
        this.sessions.get(message.job)?.owners(message.epoch, message.owners);
        return;
      case 'enterLoop':
      case 'meet':
        return this.whenOpen(message);
      case 'limit':
        return this.sessions.get(message.job)?.limit(message.limit);
      case 'closeLoop':
        this.close(message.job);
        this.loops.delete(message.job);
        this.owners.delete(message.job);
        this.closedJobs.add(message.job);
        for (const early of this.early.get(message.job) ?? []) this.whenOpen(early);
        this.early.delete(message.job);
        return;
    }
  }

  private open(message: Extract<ToWorker, { type: 'openLoop' }>): void {
    const { job } = message;
    if (this.closedJobs.has(job)) return;
    const session = new LoopSession(message, {
      worker: this.worker,
      exchange: this.exchange,
      toThread: (told) => this.toThread(told),
      toDriver: (told) => this.links.toDriver(told),
      onProgress: () => this.vitals.received(),
      sendStatus: () => this.sendStatus(true),
    });
    this.sessions.set(job, session);
    this.loops.set(job, session.loop);
    const owners = this.owners.get(job);
    if (owners !== undefined) session.owners(owners.epoch, owners.owners);
    for (const early of this.early.get(job) ?? []) this.whenOpen(early);
    this.early.delete(job);
  }

  private close(job: number): void {
    const session = this.sessions.get(job);
    if (session === undefined) return;
    this.sessions.delete(job);
    this.closing.set(job, session);
    void session.close().then(() => this.closing.delete(job));
  }

  /** Does what the driver says of a loop when that is open. Every enter has its return, also if the loop is closed before it was open. */
  private whenOpen(message: EarlyMessage): void {
    const { job, type } = message;
    const session = this.sessions.get(job);
    if (session === undefined && !this.closedJobs.has(job)) {
      this.early.set(job, [...(this.early.get(job) ?? []), message]);
    } else if (type === 'enterLoop') {
      if (session !== undefined) session.enter(message);
      else this.links.toDriver({ type: 'loopReturned', job, epoch: message.epoch, limit: null });
    } else if (session !== undefined) {
      session.meet(message.epoch);
    }
  }

  private fromThread(message: FromThread): void {
    switch (message.type) {
      case 'published': {
        const loop = this.loops.get(message.job);
        if (loop === undefined) return;
        loop.published(message.block, message.unit, message.version);
        return this.exchange.published(loop, message.block, message.unit);
      }
      case 'fetch':
        return void this.fetch(message.id, message.pinned, message.names);
      case 'loopReturned':
      case 'loopFailed':
        return (this.sessions.get(message.job) ?? this.closing.get(message.job))?.fromThread(message);
      case 'taskSucceeded':
      case 'taskFailed':
        return this.links.toOutput(message);
      default:
        return this.links.toDriver(message);
    }
  }

  private async fetch(id: number, pinned: PinnedBlocks, names: readonly string[]): Promise<void> {
    const job = pinned.blocks.id;
    const owners = this.owners.get(job)?.owners ?? [];
    this.toThread({
      type: 'fetched',
      id,
      handles: await fetchPinned(pinned, names, owners, this.loops, this.exchange),
    });
  }

  private toThread(message: ToThread): void {
    this.thread.post(message);
  }

  /** Tells the driver how far everything is, if something has changed. */
  private sendStatus(now = false): void {
    const loops = [...this.sessions.values()].map((session) => session.status());
    const words = this.vitals.copy();
    const told = `${words.join()} ${JSON.stringify(loops)}`;
    const isDue = performance.now() - this.lastStatusMs > HEARTBEAT_MS;
    if (told === this.lastStatus && !isDue && !now) return;
    this.lastStatus = told;
    this.lastStatusMs = performance.now();
    this.links.toDriver({ type: 'status', vitals: words, loops });
  }
}
