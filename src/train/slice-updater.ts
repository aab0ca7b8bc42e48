/** @file The update of a slice of parameters on kernels: sum of the partitions' gradients in order, mean, optimizer. */
import type { Kernel } from '../../kernels/define.ts';
import { add_f32, mul_scalar_f32 } from '../../kernels/map.ts';
import { callPointers } from '../../kernels/runtime/call.ts';
import { allocate, f32, free, type Pointer } from '../../kernels/runtime/memory.ts';
import type { OptimizerRecord, UpdateStep } from '../optim/optimizer.ts';

/** A slice's values of one version: weights and optimizer state (its buffers one behind the other). */
export interface SliceValues {
  readonly weights: Float32Array;
  readonly moments: Float32Array;
}

/** Kernel memory for the update of slices of up to `capacity` floats. One a worker; lives as long as the worker. */
export class SliceUpdater {
  private readonly optimizer: OptimizerRecord;
  private readonly sum: Pointer;
  private readonly incoming: Pointer;
  private readonly weight: Pointer;
  private readonly state: readonly Pointer[];

  constructor(optimizer: OptimizerRecord, capacity: number) {
    const bytes = Math.max(4 * capacity, 4);
    this.optimizer = optimizer;
    this.sum = allocate(bytes);
    this.incoming = allocate(bytes);
    this.weight = allocate(bytes);
    this.state = optimizer.stateNames.map(() => allocate(bytes));
  }

  /** Starts the sum with the first partition's gradient. */
  begin(gradient: Float32Array): void {
    f32(this.sum, gradient.length).set(gradient);
  }

  /** Adds the next partition's gradient. */
  add(gradient: Float32Array): void {
    f32(this.incoming, gradient.length).set(gradient);
    callPointers(add_f32, [this.sum, this.incoming, this.sum, gradient.length]);
  }

  /** Divides the sum by `totalWeight` (as a product with the rounded reciprocal) and writes the updated slice into `next`. */
  finish(totalWeight: number, old: SliceValues, step: UpdateStep): SliceValues {
    const { length } = old.weights;
    callPointers(mul_scalar_f32, [this.sum, Math.fround(1 / totalWeight), this.sum, length]);
    f32(this.weight, length).set(old.weights);
    this.state.forEach(
      (pointer, i) => void f32(pointer, length).set(old.moments.subarray(i * length, (i + 1) * length)),
    );
    const slice = {
      length,
      weight: this.weight,
      gradient: this.sum,
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
    return { weights: f32(this.weight, length), moments: this.momentsView(length) };
  }

  /** Frees the kernel memory. */
  close(): void {
    for (const pointer of [this.sum, this.incoming, this.weight, ...this.state]) free(pointer);
  }

  private momentsView(length: number): Float32Array {
    if (this.state.length === 1) return f32(this.state[0]!, length);
    const moments = new Float32Array(this.state.length * length);
    this.state.forEach((pointer, i) => void moments.set(f32(pointer, length), i * length));
    return moments;
  }
}
