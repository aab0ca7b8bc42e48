/**
 * @file How the driver learns of iterations without being woken by each: the owner of slice 0 writes a line into a ring in shared memory before it
 * publishes, and the driver reads the lines up to the published version when it has time. A message per iteration would cost the driver's
 * thread, and so one of the cores, about a quarter of a millisecond each.
 */

/** What an iteration's line says. */
export interface IterationReport {
  readonly loss: number;
  /** By which the loss and the gradients were divided. */
  readonly weight: number;
  readonly records: number;
  readonly lr: number;
}

/** Lines in the ring: more than a group has iterations, so none is overwritten before it is read. */
export const RING_LINES = 1024;
const NUMBERS = 4;

/** The ring, as one thread sees it. */
export class ReportRing {
  readonly buffer: SharedArrayBuffer;
  private readonly numbers: Float64Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(8 * NUMBERS * RING_LINES)) {
    this.buffer = buffer;
    this.numbers = new Float64Array(buffer);
  }

  /** Writes the line of an iteration; written again (by another owner), it is the same. */
  write(iteration: number, { loss, weight, records, lr }: IterationReport): void {
    this.numbers.set([loss, weight, records, lr], NUMBERS * (iteration % RING_LINES));
  }

  /** Reads the line of a published iteration. */
  read(iteration: number): IterationReport {
    const start = NUMBERS * (iteration % RING_LINES);
    const [loss, weight, records, lr] = this.numbers.subarray(start, start + NUMBERS);
    return { loss: loss!, weight: weight!, records: records!, lr: lr! };
  }
}
