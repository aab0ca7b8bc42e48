/** @file The vital signs of a worker: a few shared words that the worker writes and the driver reads, without a message. */
import { memoryBytes } from '#platform';

/** What a worker is doing. */
export const vitalState = { idle: 0, task: 1, phase: 2, waiting: 3 } as const;

const STATE = 0;
const PHASE = 1;
const UNIT = 2;
const ITERATION = 3;
const PROGRESS = 4;
const RECEIVED = 5;
const MEMORY = 6;
const WORDS = 7;
const MEMORY_UNIT_BYTES = 1024;

/** One worker's vital signs. Written by the worker, read by the driver. */
export class Vitals {
  readonly buffer: SharedArrayBuffer;
  private readonly words: Int32Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(4 * WORDS)) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
  }

  get state(): number {
    return Atomics.load(this.words, STATE);
  }

  set state(state: number) {
    Atomics.store(this.words, STATE, state);
    this.progress();
  }

  /** Index of the phase, unit and iteration of the last phase begun. */
  get position(): { phase: number; unit: number; iteration: number } {
    return {
      phase: Atomics.load(this.words, PHASE),
      unit: Atomics.load(this.words, UNIT),
      iteration: Atomics.load(this.words, ITERATION),
    };
  }

  /** Marks the begin of a phase. */
  begin(phase: number, unit: number, iteration: number): void {
    Atomics.store(this.words, PHASE, phase);
    Atomics.store(this.words, UNIT, unit);
    Atomics.store(this.words, ITERATION, iteration);
    this.state = vitalState.phase;
  }

  /** Counts up: the sign of life. Says also how much memory this thread holds (0.5 us). */
  progress(): void {
    this.memoryBytes = memoryBytes();
    Atomics.add(this.words, PROGRESS, 1);
  }

  /** Counts what has arrived from other workers, where memory is not shared: who waits for it does not stand still. */
  received(): void {
    Atomics.add(this.words, RECEIVED, 1);
  }

  /** The count of arrivals. */
  get receivedCount(): number {
    return Atomics.load(this.words, RECEIVED);
  }

  /** All words, to be sent. */
  copy(): Int32Array {
    return this.words.slice();
  }

  /** Takes over words that were sent. */
  apply(words: Int32Array): void {
    words.forEach((word, index) => void Atomics.store(this.words, index, word));
  }

  /** Bytes that the worker held at its last sign of life. */
  get memoryBytes(): number {
    return Atomics.load(this.words, MEMORY) * MEMORY_UNIT_BYTES;
  }

  set memoryBytes(bytes: number) {
    Atomics.store(this.words, MEMORY, Math.ceil(bytes / MEMORY_UNIT_BYTES));
  }

  /** The count of signs of life. */
  get progressCount(): number {
    return Atomics.load(this.words, PROGRESS);
  }
}
