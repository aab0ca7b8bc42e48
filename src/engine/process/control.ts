/**
 * @file What the driver and worker processes say to each other, and workers among themselves. Work and data go through the pipes of a worker
 * (tasks and inputs on its stdin, results on its stdout), control through the rendezvous, blocks from worker to worker.
 */
import type { FromWorker, ToWorker } from '../messages.ts';

/** Types of frames. The wire's own handshake is below the frames. */
export const frameType = {
  /** Driver to worker, first on stdin: {@link Welcome}. */
  welcome: 1,
  /** Driver to worker on stdin: {@link WorkMessage}. */
  work: 2,
  /** Worker to driver on stdout: a {@link FromWorker} with the result of a task. */
  result: 3,
  /** Either way through the rendezvous: {@link ToAgent}, {@link FromAgent}. */
  control: 4,
  /** Worker to worker: {@link AskPeer}, {@link AnswerPeer}. */
  ask: 5,
  answer: 6,
  /**
   * Worker to worker: a range of a part of a block. `channel` is the subscription, `unit` the index of the range, `version` the part's version,
   * `attempt` the epoch in which it was sent.
   */
  block: 7,
} as const;

/** Longest payload that is believed: more than any range of a block or message that is sent. */
export const MAX_PAYLOAD_BYTES = 0xffff_0000;

/** Who a worker is and where the others are. */
export interface Welcome {
  readonly worker: number;
  /** Of this engine: who does not know it is not talked to. */
  readonly secret: Uint8Array;
  readonly host: string;
  readonly port: number;
  /** The JS heap that its thread may have. */
  readonly heapBytes: number;
}

/** What each side says when a connection begins. */
export interface Hello {
  readonly worker: number;
  /** Where it gives its blocks to others. */
  readonly host: string;
  readonly port: number;
}

type Message<T extends ToWorker['type']> = Extract<ToWorker, { type: T }>;

/** What a worker gets on stdin: tasks, and what a loop is made of. Loops are entered through the rendezvous, when all that is there. */
export type WorkMessage =
  | Message<'task'>
  | Message<'openLoop'>
  | { readonly type: 'input'; readonly job: number; readonly unit: number; readonly input: unknown };

/** `enterLoop` as it goes through the rendezvous: without the inputs, with what the driver knows. */
export interface EnterMessage extends Omit<Message<'enterLoop'>, 'inputs'> {
  /** Units whose inputs are on their way through stdin. */
  readonly newUnits: readonly number[];
  readonly limit: number;
  /** The newest version of each unit that the driver has heard of. */
  readonly versions: readonly number[];
  /** Fault points that have been reached by some worker. */
  readonly reached: readonly number[];
}

/** Driver to worker. */
export type ToAgent =
  | EnterMessage
  | Message<'closeLoop'>
  | { readonly type: 'peers'; readonly peers: readonly Hello[] }
  | { readonly type: 'owners'; readonly job: number; readonly epoch: number; readonly owners: readonly number[] }
  /** Do not begin iterations past the newest one begun, and say which limit that is. */
  | { readonly type: 'meet'; readonly job: number; readonly epoch: number }
  | { readonly type: 'limit'; readonly job: number; readonly limit: number };

/** How far the units of a worker are in a loop. */
export interface LoopStatus {
  readonly job: number;
  /** By block: unit and version, alternating. */
  readonly versions: Readonly<Record<string, readonly number[]>>;
  /** What iterations from `firstLine` on have reported. */
  readonly firstLine: number;
  readonly lines: readonly (readonly number[])[];
}

/** Worker to driver. */
export type FromAgent =
  | Exclude<FromWorker, { type: 'taskSucceeded' | 'taskFailed' }>
  | { readonly type: 'status'; readonly vitals: Int32Array; readonly loops: readonly LoopStatus[] }
  | { readonly type: 'met'; readonly job: number; readonly epoch: number; readonly limit: number };

/** Which bytes of a part are wanted, from which version on. */
export interface Subscription {
  readonly id: number;
  readonly job: number;
  readonly block: string;
  readonly unit: number;
  readonly ranges: readonly { readonly offsetBytes: number; readonly lengthBytes: number }[];
  readonly from: number;
  /** Only this version, once. */
  readonly once: boolean;
}

/** Worker to worker: a request. */
export type AskPeer =
  | { readonly type: 'subscribe'; readonly subscription: Subscription }
  | { readonly type: 'unsubscribe'; readonly id: number }
  | {
      readonly type: 'holdings';
      readonly request: number;
      readonly job: number;
      readonly unit: number;
      readonly firstLine: number;
    };

/** What a worker has of a unit: the version of its whole state (-1: none), and the newest version that it has seen of it. */
export interface Holdings {
  readonly state: number;
  readonly seen: number;
  /** What iterations have reported, from the one asked for up to `state`. */
  readonly lines: readonly (readonly number[])[];
}

/** Worker to worker: the answer. */
export type AnswerPeer =
  | ({ readonly type: 'holdings'; readonly request: number } & Holdings)
  /** There is nothing of that version here. */
  | { readonly type: 'missing'; readonly id: number };
