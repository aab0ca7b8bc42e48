/**
 * @file The arithmetic of synchronous training: which records make a batch, which floats make a slice, where a parameter lies in the flat vector.
 * Everything follows from (seed, data, model, number of partitions), never from the number of workers. Pure functions.
 */
import type { Stream } from '../random.ts';
import { permutation } from '../random.ts';
import { type Shape, sizeOf } from '../shape.ts';

/** Floats per unit of slicing: 64 bytes, so that copies between blocks and kernels keep their alignment. */
export const FLOATS_PER_UNIT = 16;

/** A tensor of the state dict in its flat vector. `offset` and `size` are in floats; gaps up to the next unit hold zeros. */
export interface LayoutEntry {
  readonly name: string;
  readonly shape: Shape;
  /** Whether it is trained and lies in the vector of weights; frozen parameters and buffers lie in that of constants. */
  readonly trained: boolean;
  readonly offset: number;
  readonly size: number;
}

/** The two flat vectors of a model: weights, which are trained, and constants, which are not. */
export interface Layout {
  /** In state-dict order. */
  readonly entries: readonly LayoutEntry[];
  /** Floats of the weights, gaps included; also the length of a gradient. */
  readonly weightsLength: number;
  /** Floats of the constants, gaps included. */
  readonly constantsLength: number;
}

/** Lays tensors out in their vector one behind the other, each at the start of a unit. */
export function layoutOf(tensors: readonly Pick<LayoutEntry, 'name' | 'shape' | 'trained'>[]): Layout {
  let weightsLength = 0;
  let constantsLength = 0;
  const entries = tensors.map((tensor) => {
    const entry = { ...tensor, offset: tensor.trained ? weightsLength : constantsLength, size: sizeOf(tensor.shape) };
    const end = FLOATS_PER_UNIT * Math.ceil((entry.offset + entry.size) / FLOATS_PER_UNIT);
    if (tensor.trained) weightsLength = end;
    else constantsLength = end;
    return entry;
  });
  return { entries, weightsLength, constantsLength };
}

/** First float of slice `slice` of a vector cut into `slices` slices of whole units; `sliceStart(length, n, n)` is the length. */
export function sliceStart(length: number, slices: number, slice: number): number {
  const units = Math.ceil(length / FLOATS_PER_UNIT);
  return Math.min(length, FLOATS_PER_UNIT * (slice * Math.floor(units / slices) + Math.min(slice, units % slices)));
}

/** Floats of each slice. */
export function sliceLengths(length: number, slices: number): number[] {
  return Array.from({ length: slices }, (_, k) => sliceStart(length, slices, k + 1) - sliceStart(length, slices, k));
}

/** Iterations of an epoch: every record is used once. */
export function iterationsPerEpoch(records: number, batchSize: number): number {
  return Math.ceil(records / batchSize);
}

/** The records (positions in the epoch's order) that a partition of `count` records gives to iteration `step` of an epoch of `steps`. */
export function share(count: number, step: number, steps: number): { readonly start: number; readonly end: number } {
  return { start: Math.floor((step * count) / steps), end: Math.floor(((step + 1) * count) / steps) };
}

/** The order in which a partition gives its records in an epoch. */
export function epochOrder(seed: number, epoch: number, partition: number, count: number): Int32Array {
  return permutation(seed, stream('order', epoch, partition), count);
}

const domains = { draw: 0, order: 1, initial: 2, chaos: 3 } as const;

/** The stream of random numbers of a purpose; two purposes never share one. `time` < 2^30, `partition` < 2^32. */
export function stream(domain: keyof typeof domains, time: number, partition: number): Stream {
  return [partition, domains[domain] * 2 ** 30 + time];
}
