/** @file What iterations report, as the driver reads it, and how fast they come. */
import type { Loop } from '../engine/engine.ts';

/** What the owner of slice 0 reports of an iteration. */
export interface IterationReport {
  readonly loss: number;
  /** By which the loss and the gradients were divided. */
  readonly weight: number;
  readonly lr: number;
  readonly records: number;
}

/** The report of a published iteration. */
export function reportOf(loop: Loop, iteration: number): IterationReport {
  const [loss, weight, records, lr] = loop.report(iteration);
  return { loss: loss!, weight: weight!, records: records!, lr: lr! };
}

/** Readings over which the rate is taken. */
const WINDOW = 25;

/** Records per second over the last readings. */
export class RateMeter {
  private readings: { readonly ms: number; readonly records: number }[] = [];

  /** Forgets what was before: no records were trained meanwhile. */
  start(ms: number, records: number): void {
    this.readings = [{ ms, records }];
  }

  /** Takes a reading of the clock and of all records trained so far. */
  read(ms: number, records: number): number {
    this.readings.push({ ms, records });
    if (this.readings.length > WINDOW) this.readings.shift();
    const [oldest] = this.readings;
    return (1000 * (records - oldest!.records)) / Math.max(ms - oldest!.ms, 1);
  }
}
