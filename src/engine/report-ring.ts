/**
 * @file How the driver learns of iterations without being woken by each: one unit's owner writes a line into a ring in shared memory before it
 * publishes, and the driver reads the lines up to the published version when it has time. A message per iteration would cost the driver's
 * thread, and so one of the cores, about a quarter of a millisecond each.
 */

/** Lines in the ring: no more iterations may be advanced at once, so none is overwritten before it is read. */
export const RING_LINES = 1024;
/** Numbers in a line. */
export const LINE_NUMBERS = 4;
/** Where memory is not shared, the block in which the last line travels with unit 0: it must not be lost with its owner. */
export const reportBlock = '#report';

/** The ring, as one thread sees it. */
export class ReportRing {
  readonly buffer: SharedArrayBuffer;
  private readonly numbers: Float64Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(8 * LINE_NUMBERS * RING_LINES)) {
    this.buffer = buffer;
    this.numbers = new Float64Array(buffer);
  }

  /** Writes the line of an iteration: up to four numbers. Written again (by another owner), it is the same. */
  write(iteration: number, line: readonly number[]): void {
    this.numbers.set(line, LINE_NUMBERS * (iteration % RING_LINES));
  }

  /** Reads the line of a published iteration. */
  read(iteration: number): number[] {
    const start = LINE_NUMBERS * (iteration % RING_LINES);
    return [...this.numbers.subarray(start, start + LINE_NUMBERS)];
  }
}
