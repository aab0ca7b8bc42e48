/** @file One worker process, as the driver holds it: its pipes, its end of the rendezvous, and how it ended. */
import { deserialize, passOn, type StartedProcess, serialize, startProcess } from '#platform';
import { encodeHeader, FrameReader } from '../../codec/frames.ts';
import type { CarrierEvents } from '../carrier.ts';
import type { FromWorker } from '../messages.ts';
import type { Vitals } from '../vitals.ts';
import {
  type FromAgent,
  frameType,
  type Hello,
  MAX_PAYLOAD_BYTES,
  type ToAgent,
  type Welcome,
  type WorkMessage,
} from './control.ts';
import type { Peer } from './peer.ts';

/** Characters of a worker's stderr that are kept for the error that says how it ended. */
const KEPT_ERROR = 4000;

/** How long a process whose connection is gone may take to end by itself. */
const EXIT_GRACE_MS = 200;

/** What the carrier hears of a worker. */
export interface WorkerProcessEvents extends CarrierEvents {
  /** Through the rendezvous; `ready` and its like go on to the driver. */
  onControl(message: FromAgent): void;
}

/** See the file's head. */
export class WorkerProcess {
  readonly id: number;
  readonly vitals: Vitals;
  /** Where other workers find it; null until it has said hello. */
  address: Hello | null = null;
  /** When it last gave a sign of life. */
  heardMs = performance.now();
  private readonly events: WorkerProcessEvents;
  private process: StartedProcess | null = null;
  private peer: Peer | null = null;
  private ended = false;
  private isHeld = true;
  private stderr = '';
  private reason: string | null = null;
  private readonly waiting: ToAgent[] = [];
  /** Resolves when all that was written before has been taken. */
  private turn: Promise<void> = Promise.resolve();

  constructor(id: number, vitals: Vitals, events: WorkerProcessEvents) {
    this.id = id;
    this.vitals = vitals;
    this.events = events;
  }

  /** Starts the process. What it prints goes to this process's stdout and stderr. */
  spawn(welcome: Welcome): void {
    if (this.ended) return;
    const reader = new FrameReader({
      maxPayloadBytes: MAX_PAYLOAD_BYTES,
      onFrame: (_header, payload) => this.events.onMessage(deserialize(payload) as FromWorker),
      onNoise: (bytes) => passOn('stdout', bytes),
    });
    const text = new TextDecoder();
    this.process = startProcess(new URL('./process-main.js', import.meta.url), {
      onOutput: (chunk) => {
        try {
          reader.push(chunk);
        } catch (thrown) {
          this.kill(`what it wrote on stdout cannot be read: ${String(thrown)}`);
        }
      },
      onError: (chunk) => {
        this.stderr = (this.stderr + text.decode(chunk, { stream: true })).slice(-KEPT_ERROR);
        passOn('stderr', chunk);
      },
      onExit: (detail) => this.end(this.reason ?? detail),
    });
    this.process.hold(this.isHeld);
    this.write(frameType.welcome, welcome);
  }

  /** It could not even be started, or nothing runs any more. */
  end(detail: string): void {
    if (this.ended) return;
    this.ended = true;
    this.peer?.close();
    const stderr = this.stderr.trim();
    this.events.onExit(stderr === '' ? detail : `${detail}. It wrote on stderr:\n${stderr}`);
  }

  /** Ends it at once; the first reason is the one that is told. */
  kill(reason: string | null = null): void {
    this.reason ??= reason;
    if (this.process !== null) this.process.kill();
    else queueMicrotask(() => this.end(reason ?? 'the worker process was ended before it had started'));
  }

  /** It has said hello. */
  connected(peer: Peer, address: Hello): void {
    this.peer = peer;
    this.address = address;
    this.heardMs = performance.now();
    peer.hold(this.isHeld);
    peer.listen({
      onFrame: (_header, payload) => {
        this.heardMs = performance.now();
        this.events.onControl(deserialize(payload) as FromAgent);
      },
      onClose: (error) => {
        // Mostly because it has ended: then its exit says better why.
        const lost = `its connection to the rendezvous was lost${error === null ? '' : `: ${String(error)}`}`;
        setTimeout(() => !this.ended && this.kill(lost), EXIT_GRACE_MS).unref();
      },
    });
    for (const message of this.waiting.splice(0)) this.tell(message);
  }

  /** Sends work on stdin. */
  work(message: WorkMessage): void {
    this.write(frameType.work, message);
  }

  /** Sends control through the rendezvous, once it is open. */
  tell(message: ToAgent): void {
    if (this.peer === null) this.waiting.push(message);
    else this.peer.send({ type: frameType.control }, serialize(message));
  }

  hold(alive: boolean): void {
    this.isHeld = alive;
    this.process?.hold(alive);
    this.peer?.hold(alive);
  }

  /** What is to go through stdin waits its turn as a value: it becomes bytes when the worker takes them. */
  private write(type: number, message: unknown): void {
    this.turn = this.turn.then(async () => {
      if (this.ended || this.process === null) return;
      try {
        const payload = serialize(message);
        if (!this.process.write([encodeHeader({ type }, [payload]), payload])) await this.process.drained();
      } catch (thrown) {
        this.kill(`what it was to get cannot be sent: ${String(thrown)}`);
      }
    });
  }
}
