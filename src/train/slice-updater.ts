/** @file The update of a slice of parameters on kernels: sum of the partitions' gradients in order, mean, optimizer. */
import type { Kernel } from '../../kernels/define.ts';
import { add_f32, mul_scalar_f32 } from '../../kernels/map.ts';
import { callPointers } from '../../kernels/runtime/call.ts';
import { allocate, f32, free, type Pointer } from '../../kernels/runtime/memory.ts';
import type { OptimizerRecord, UpdateStep } from '../optim/optimizer.ts';

/**
 * Floats that are summed and stepped at a time. It bounds the kernel memory of an update (2 MiB with one state buffer; whole slices took 88 MB a
 * worker at 11 M parameters on two), and slices of 5-15 M floats take 0.85 of the time (best to best; below 100,000 floats at a time it is slower
 * with many partitions). Every element is updated by itself, so the cut does not show in the bits.
 */
const CHUNK_FLOATS = 131_072;

/** A slice's values of one version: weights and optimizer state (its buffers one behind the other). */
export interface SliceValues {
  readonly weights: Float32Array;
  readonly moments: Float32Array;
}

/** An update of one slice. */
export interface SliceUpdate {
  /** The slice's part of each partition's gradient, in the order in which they are added. */
  readonly gradients: readonly Float32Array[];
  /** By which the sum is divided (as a product with the rounded reciprocal). */
  readonly totalWeight: number;
  readonly old: SliceValues;
  /** Where the new values go. The same arrays as `old` will do where nothing must survive a kill. */
  readonly next: SliceValues;
  readonly step: UpdateStep;
}

/** Kernel memory for updates of slices of up to `longest` floats. One a worker; lives as long as the worker. */
export class SliceUpdater {
  private readonly optimizer: OptimizerRecord;
  private readonly capacity: number;
  private readonly total: Pointer;
  private readonly incoming: Pointer;
  private readonly weight: Pointer;
  private readonly state: readonly Pointer[];

  constructor(optimizer: OptimizerRecord, longest: number) {
    this.optimizer = optimizer;
    this.capacity = Math.min(Math.max(longest, 1), CHUNK_FLOATS);
    const bytes = 4 * this.capacity;
    this.total = allocate(bytes);
    this.incoming = allocate(bytes);
    this.weight = allocate(bytes);
    this.state = optimizer.stateNames.map(() => allocate(bytes));
  }

  /** Sums, steps and writes `next`. `onHalf` is called once, when half of `next` is written (fault tests). */
  update(update: SliceUpdate, onHalf: () => void = () => {}): void {
    const { next } = update;
    const { length } = next.weights;
    const half = length >> 1;
    if (length === 0) onHalf();
    for (let start = 0; start < length; start += this.capacity) {
      const end = Math.min(start + this.capacity, length);
      this.sum(update, start, end);
      this.step(update, start, end);
      next.weights.subarray(start, end).set(f32(this.weight, end - start));
      if (start <= half && half < end) onHalf();
      this.state.forEach((pointer, i) => void momentsOf(next, i, start, end).set(f32(pointer, end - start)));
    }
  }

  /** Frees the kernel memory. */
  close(): void {
    for (const pointer of [this.total, this.incoming, this.weight, ...this.state]) free(pointer);
  }

  private sum({ gradients, totalWeight }: SliceUpdate, start: number, end: number): void {
    const length = end - start;
    gradients.forEach((gradient, i) => {
      f32(i === 0 ? this.total : this.incoming, length).set(gradient.subarray(start, end));
      if (i > 0) callPointers(add_f32, [this.total, this.incoming, this.total, length]);
    });
    callPointers(mul_scalar_f32, [this.total, Math.fround(1 / totalWeight), this.total, length]);
  }

  private step({ old, step }: SliceUpdate, start: number, end: number): void {
    const length = end - start;
    f32(this.weight, length).set(old.weights.subarray(start, end));
    this.state.forEach((pointer, i) => void f32(pointer, length).set(momentsOf(old, i, start, end)));
    const slice = {
      length,
      weight: this.weight,
      gradient: this.total,
      state: this.state,
      weightOut: this.weight,
      stateOut: this.state,
    };
    const run = (kernel: Kernel, values: readonly (Pointer | number | undefined)[]): void =>
      callPointers(
        kernel,
        values.map((value) => value ?? 0),
      );
    this.optimizer.update(run, slice, step);
  }
}

/** Floats `start` to `end` of the slice in its state buffer `i`. */
function momentsOf({ weights, moments }: SliceValues, i: number, start: number, end: number): Float32Array {
  return moments.subarray(i * weights.length + start, i * weights.length + end);
}
