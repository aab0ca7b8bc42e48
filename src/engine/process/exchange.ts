/**
 * @file Blocks from worker to worker. Who needs a part subscribes to it at its owner, who from then on sends every version as it is published:
 * nobody asks twice, and nothing travels that nobody needs. What arrives goes straight to its place in the loop's memory. A connection that
 * breaks is made again, and the subscriptions go on from what had arrived.
 *
 * Parts are sent from where they lie, without a copy. A slot is not written again before the version after it has been used by all, for which
 * they must have got it: so what is being sent does not change. If it did, the checksum would say so, and it would be sent again.
 */
import { deserialize, type Listener, listen, serialize } from '#platform';
import type { FrameHeader } from '../../codec/frames.ts';
import { EngineError } from '../../errors.ts';
import type { Subscription } from './control.ts';
import { type AnswerPeer, type AskPeer, frameType, type Hello, type Holdings, MAX_PAYLOAD_BYTES } from './control.ts';
import type { LocalLoop, Want } from './local-loop.ts';
import { acceptPeer, connectPeer, type Peer } from './peer.ts';

/** How long a peer may take to answer a question. */
const ANSWER_MS = 5000;
/** Waiting before a broken connection is made again; doubled each time up to the last. */
const RETRY_MS = [20, 1000] as const;

/** A subscription of this worker at another one. */
interface Incoming {
  readonly subscription: Subscription;
  readonly loop: LocalLoop;
  readonly owner: number;
  /** The newest version that has arrived whole. */
  received: number;
  /** For what is wanted once. */
  readonly settle?: (arrived: boolean) => void;
}

/** A subscription of another worker at this one. */
interface Outgoing {
  readonly subscription: Subscription;
  readonly peer: Peer;
  next: number;
}

/** A question that has not been answered. */
interface Question {
  readonly worker: number;
  readonly settle: (answer: Holdings | null) => void;
}

/** What the exchange is made of. */
export interface ExchangeOptions {
  readonly worker: number;
  readonly host: string;
  readonly secret: Uint8Array;
  readonly loops: ReadonlyMap<number, LocalLoop>;
  /** Something arrived: a sign of life. */
  readonly onReceived: () => void;
}

/** See the file's head. */
export class Exchange {
  private readonly options: ExchangeOptions;
  private port = 0;
  private listener: Listener | null = null;
  private readonly served = new Set<Peer>();
  private addresses = new Map<number, Hello>();
  private readonly links = new Map<number, Promise<Peer | null>>();
  private readonly incoming = new Map<number, Incoming>();
  private readonly outgoing = new Set<Outgoing>();
  private readonly questions = new Map<number, Question>();
  private readonly retryMs = new Map<number, number>();
  private nextId = 1;

  constructor(options: ExchangeOptions) {
    this.options = options;
  }

  /** Begins to listen; this worker's address. */
  async open(): Promise<Hello> {
    const { host, worker, secret } = this.options;
    const listener = await listen(host, (connection) => {
      const hello = { worker, host, port: this.port };
      acceptPeer(connection, { secret, hello, maxPayloadBytes: MAX_PAYLOAD_BYTES }).then(
        (peer) => this.serve(peer),
        () => {}, // somebody who does not know the secret, or went away: the connection is closed
      );
    });
    this.port = listener.port;
    this.listener = listener;
    return { worker, host, port: listener.port };
  }

  /** Closes everything. */
  shut(): void {
    this.setPeers([]);
    for (const peer of this.served) peer.destroy();
    void this.listener?.close();
  }

  /** Who lives where now. Nothing is expected any more of those who are gone. */
  setPeers(peers: readonly Hello[]): void {
    this.addresses = new Map(peers.map((peer) => [peer.worker, peer]));
    for (const [worker, link] of this.links) {
      if (this.addresses.has(worker)) continue;
      this.links.delete(worker);
      void link.then((peer) => peer?.close());
      this.lose(worker);
    }
  }

  /** The workers that others can be asked of. */
  get peers(): readonly number[] {
    return [...this.addresses.keys()].filter((worker) => worker !== this.options.worker);
  }

  // What this worker gives.

  /** A part has a new version here: those who want it get it. */
  published(loop: LocalLoop, block: string, unit: number): void {
    for (const name of loop.publishedWith(block)) {
      for (const outgoing of this.outgoing) {
        const { subscription } = outgoing;
        if (subscription.job === loop.job && subscription.block === name && subscription.unit === unit) {
          this.send(outgoing, loop);
        }
      }
    }
  }

  /** Sends the versions that are there and have not been sent. */
  private send(outgoing: Outgoing, loop: LocalLoop): void {
    const { subscription, peer } = outgoing;
    const { block, unit } = subscription;
    const newest = loop.held.newest(block, unit);
    for (let v = Math.max(outgoing.next, loop.held.oldest(block, unit)); v <= newest; v++) {
      sendVersion(peer, subscription, loop, v);
      outgoing.next = v + 1;
    }
  }

  private serve(peer: Peer): void {
    const mine = new Set<Outgoing>();
    this.served.add(peer);
    peer.listen({
      onFrame: (header, payload) => {
        if (header.type !== frameType.ask) throw unexpected(header);
        const ask = deserialize(payload) as AskPeer;
        if (ask.type === 'subscribe') this.subscribed(peer, ask.subscription, mine);
        else if (ask.type === 'holdings') this.answerHoldings(peer, ask);
        else {
          for (const outgoing of mine) if (outgoing.subscription.id === ask.id) this.forget(outgoing, mine);
        }
      },
      onClose: () => {
        this.served.delete(peer);
        for (const outgoing of mine) this.forget(outgoing, mine);
      },
    });
  }

  private subscribed(peer: Peer, subscription: Subscription, mine: Set<Outgoing>): void {
    const { job, block, unit, from, once, id } = subscription;
    const loop = this.options.loops.get(job);
    if (once) {
      if (loop?.held.has(block, unit, from)) sendVersion(peer, subscription, loop, from);
      else answer(peer, { type: 'missing', id });
      return;
    }
    for (const known of mine) if (known.subscription.id === id) this.forget(known, mine);
    const outgoing: Outgoing = { subscription, peer, next: from };
    this.outgoing.add(outgoing);
    mine.add(outgoing);
    if (loop !== undefined) this.send(outgoing, loop);
  }

  private forget(outgoing: Outgoing, mine: Set<Outgoing>): void {
    this.outgoing.delete(outgoing);
    mine.delete(outgoing);
  }

  private answerHoldings(peer: Peer, ask: Extract<AskPeer, { type: 'holdings' }>): void {
    const { request, job, unit, firstLine } = ask;
    const holdings = this.options.loops.get(job)?.holdings(unit, firstLine) ?? { state: -1, seen: -1, lines: [] };
    answer(peer, { type: 'holdings', request, ...holdings });
  }

  // What this worker wants.

  /** From now on a loop gets these parts and no others. */
  subscribe(loop: LocalLoop, wants: readonly Want[]): void {
    const kept = new Set<number>();
    for (const want of wants) {
      const same = [...this.incoming].find(([, known]) => known.loop === loop && isSame(known, want));
      if (same !== undefined && same[1].received + 1 >= want.from) kept.add(same[0]);
      else kept.add(this.begin(loop, want, false));
    }
    for (const [id, { loop: of, owner, settle }] of this.incoming) {
      if (of !== loop || kept.has(id) || settle !== undefined) continue;
      this.incoming.delete(id);
      void this.ask(owner, { type: 'unsubscribe', id });
    }
  }

  /** Gets one version of a part; false: it is not there, or the worker is gone. */
  get(loop: LocalLoop, want: Want): Promise<boolean> {
    return new Promise((resolve) => void this.begin(loop, want, true, resolve));
  }

  /** What a worker has of a unit; null if it does not say. */
  async holdings(worker: number, job: number, unit: number, firstLine: number): Promise<Holdings | null> {
    const request = this.nextId++;
    return new Promise((resolve) => {
      const settle = (holdings: Holdings | null): void => {
        clearTimeout(timer);
        this.questions.delete(request);
        resolve(holdings);
      };
      const timer = setTimeout(() => settle(null), ANSWER_MS);
      this.questions.set(request, { worker, settle });
      void this.ask(worker, { type: 'holdings', request, job, unit, firstLine }).then((asked) => asked || settle(null));
    });
  }

  /** Ends all subscriptions of a loop. */
  close(loop: LocalLoop): void {
    this.subscribe(loop, []);
    for (const outgoing of this.outgoing) {
      if (outgoing.subscription.job === loop.job) this.outgoing.delete(outgoing);
    }
  }

  private begin(loop: LocalLoop, want: Want, once: boolean, settle?: (arrived: boolean) => void): number {
    const id = this.nextId++;
    const { block, unit, ranges, from, owner } = want;
    const subscription = { id, job: loop.job, block, unit, ranges, from, once };
    this.incoming.set(id, {
      subscription,
      loop,
      owner,
      received: from - 1,
      ...(settle === undefined ? {} : { settle: (arrived) => this.incoming.delete(id) && settle(arrived) }),
    });
    void this.ask(owner, { type: 'subscribe', subscription }).then(
      (asked) => asked || this.incoming.get(id)?.settle?.(false),
    );
    return id;
  }

  /** Sends a request; false if the worker cannot be reached. */
  private async ask(worker: number, message: AskPeer): Promise<boolean> {
    const peer = await this.link(worker);
    if (peer !== null) tell(peer, message);
    return peer !== null;
  }

  private link(worker: number): Promise<Peer | null> {
    let link = this.links.get(worker);
    if (link === undefined) {
      link = this.connect(worker);
      this.links.set(worker, link);
    }
    return link;
  }

  private async connect(worker: number): Promise<Peer | null> {
    const address = this.addresses.get(worker);
    if (address === undefined) {
      this.links.delete(worker);
      return null;
    }
    const { worker: self, host, secret } = this.options;
    const hello = { worker: self, host, port: this.port };
    try {
      const { host: peerHost, port } = address;
      const peer = await connectPeer(peerHost, port, { secret, hello, maxPayloadBytes: MAX_PAYLOAD_BYTES });
      peer.listen({
        onFrame: (header, payload) => this.arrived(worker, header, payload),
        sink: (header) => this.place(worker, header),
        onClose: () => this.broken(worker),
      });
      this.retryMs.delete(worker);
      for (const { owner, subscription, received } of this.incoming.values()) {
        if (owner !== worker || subscription.once) continue;
        tell(peer, { type: 'subscribe', subscription: { ...subscription, from: received + 1 } });
      }
      return peer;
    } catch {
      // The driver will say whether the worker is gone; until then it is tried again.
      this.broken(worker);
      return null;
    }
  }

  /** A connection is gone: as long as the worker lives and something is wanted of it, it is made again. */
  private broken(worker: number): void {
    this.links.delete(worker);
    this.lose(worker);
    const waitMs = this.retryMs.get(worker) ?? RETRY_MS[0];
    this.retryMs.set(worker, Math.min(2 * waitMs, RETRY_MS[1]));
    setTimeout(() => {
      const isWanted = [...this.incoming.values()].some(({ owner }) => owner === worker);
      if (isWanted && this.addresses.has(worker)) void this.link(worker);
    }, waitMs);
  }

  /** Who asked that worker for something once gets no answer. */
  private lose(worker: number): void {
    for (const question of [...this.questions.values()]) if (question.worker === worker) question.settle(null);
    for (const { owner, settle } of [...this.incoming.values()]) if (owner === worker) settle?.(false);
  }

  /** Where the bytes of a frame go. */
  private place(worker: number, header: FrameHeader): Uint8Array | null {
    if (header.type !== frameType.block) return null;
    const incoming = this.incoming.get(header.channel);
    if (incoming === undefined || incoming.owner !== worker || header.version <= incoming.received) return null;
    const { block, unit, ranges } = incoming.subscription;
    const range = ranges[header.unit];
    if (range === undefined || range.lengthBytes !== header.length) throw unexpected(header);
    const part = incoming.loop.blocks.part(block, unit, header.version);
    return part.subarray(range.offsetBytes, range.offsetBytes + range.lengthBytes);
  }

  private arrived(worker: number, header: FrameHeader, payload: Uint8Array): void {
    this.options.onReceived();
    if (header.type === frameType.answer) {
      const message = deserialize(payload) as AnswerPeer;
      if (message.type === 'holdings') this.questions.get(message.request)?.settle(message);
      else this.incoming.get(message.id)?.settle?.(false);
      return;
    }
    if (header.type !== frameType.block) throw unexpected(header);
    const incoming = this.incoming.get(header.channel);
    // What was sent before the subscription ended, or by who is not its owner any more, is not believed.
    if (incoming === undefined || incoming.owner !== worker || header.version <= incoming.received) return;
    const { subscription, loop, settle } = incoming;
    if (header.unit < subscription.ranges.length - 1) return;
    incoming.received = header.version;
    if (settle !== undefined) settle(true);
    else loop.received(subscription, header.version);
  }
}

function isSame({ subscription, owner, settle }: Incoming, want: Want): boolean {
  const { block, unit, ranges } = subscription;
  return (
    settle === undefined &&
    owner === want.owner &&
    block === want.block &&
    unit === want.unit &&
    JSON.stringify(ranges) === JSON.stringify(want.ranges)
  );
}

/** Sends the wanted ranges of a part's version, a frame each, from where they lie. */
function sendVersion(
  peer: Peer,
  { id, block, unit, ranges }: Subscription,
  { blocks }: LocalLoop,
  version: number,
): void {
  const part = blocks.part(block, unit, version);
  ranges.forEach(({ offsetBytes, lengthBytes }, index) => {
    const fields = { type: frameType.block, channel: id, unit: index, version, attempt: blocks.epoch };
    peer.send(fields, part.subarray(offsetBytes, offsetBytes + lengthBytes));
  });
}

function tell(peer: Peer, message: AskPeer): void {
  peer.send({ type: frameType.ask }, serialize(message));
}

function answer(peer: Peer, message: AnswerPeer): void {
  peer.send({ type: frameType.answer }, serialize(message));
}

function unexpected({ type, unit, length }: FrameHeader): EngineError {
  return new EngineError(
    'PEER_PROTOCOL',
    `exchange: a frame must be what was asked for, got type ${type}, range ${unit}, ${length} bytes. Use one version of shoal everywhere.`,
    { type, unit, length },
  );
}
