/** @file What carries a worker: a thread, this very thread, later a process. A carrier starts workers and moves messages; it decides nothing. */
import type { BlockTable } from './blocks.ts';
import type { Engine } from './engine.ts';
import type { EnginePolicy } from './engine-options.ts';
import type { FromWorker, ToWorker } from './messages.ts';
import type { Vitals } from './vitals.ts';

/** What a carrier reports of a worker. */
export interface CarrierEvents {
  onMessage(message: FromWorker): void;
  /** The worker is gone for good: nothing of it runs any more. */
  onExit(detail: string): void;
}

/** A running worker, as its carrier holds it. */
export interface CarriedWorker {
  /** Sends a message. @throws if it cannot be cloned. */
  send(message: ToWorker): void;
  /** Ends the worker, whatever it does; `onExit` follows. */
  terminate(): void;
  /** Whether the worker keeps this process alive. */
  hold(alive: boolean): void;
}

/** A way to run workers. */
export interface Carrier {
  readonly name: Engine['carrier'];
  /** Whether the blocks that the driver makes are those that the workers use. Where not, the carrier keeps the copies in step. */
  readonly sharesMemory: boolean;
  /** @param policy for limits that the carrier itself can set. */
  start(worker: number, vitals: Vitals, events: CarrierEvents, policy: EnginePolicy): CarriedWorker;
  /** Where memory is not shared: tells all workers the owners and the epoch that the driver has written into a loop's table. */
  ownersChanged?(blocks: BlockTable): void;
  /** Where memory is not shared: lowers the limit of a loop to the earliest iteration at which all units can meet, as soon as that is known. */
  meet?(blocks: BlockTable): void;
  /** Lets go of what serves all workers; they are gone. */
  close?(): void;
}
