/** @file Shapes: lists of sizes, row-major strides, broadcasting. Pure functions on plain arrays. */
import { IndexRangeError, ShapeError } from './errors.ts';

/** Sizes by dimension, outermost first; `[]` is a scalar. */
export type Shape = readonly number[];

/** Number of elements: the product of the sizes, 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const dim of shape) size *= dim;
  return size;
}

/** `[2, 3]` as a message prints it. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(',')}]`;
}

/** Element strides of a contiguous row-major tensor. */
export function contiguousStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= shape[i]!;
  }
  return strides;
}

/** Whether two shapes have the same sizes. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

/** Checks that every size is an integer >= 0 and that the product is a safe array length (< 2^31 elements). */
export function checkShape(op: string, shape: Shape): void {
  for (const dim of shape) {
    if (!Number.isInteger(dim) || dim < 0) {
      throw new ShapeError(`${op}: sizes must be integers >= 0, got ${formatShape(shape)}. Check the shape.`, {
        shape,
      });
    }
  }
  if (sizeOf(shape) >= 2 ** 31) {
    throw new ShapeError(`${op}: a tensor has fewer than 2^31 elements, got ${formatShape(shape)}. Split it.`, {
      shape,
    });
  }
}

/** A dimension counted from the front, from one that may be negative. */
export function resolveDim(op: string, dim: number, rank: number): number {
  const resolved = dim < 0 ? dim + rank : dim;
  if (!Number.isInteger(dim) || resolved < 0 || resolved >= Math.max(rank, 1)) {
    throw new IndexRangeError(
      `${op}: dim must be in ${-Math.max(rank, 1)}..${Math.max(rank, 1) - 1}, got ${dim}. Check dim.`,
      {
        dim,
        rank,
      },
    );
  }
  return resolved;
}

/** The shape that NumPy's broadcasting gives to a pair: aligned at the last dimension, sizes equal or 1. */
export function broadcastShapes(op: string, a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  const out = new Array<number>(rank);
  for (let i = 1; i <= rank; i++) {
    const x = a[a.length - i] ?? 1;
    const y = b[b.length - i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) {
      throw new ShapeError(
        `${op}: shapes must broadcast (sizes equal or 1, from the last dimension), got ${formatShape(a)} and ${formatShape(b)}. Reshape one.`,
        { a, b },
      );
    }
    out[rank - i] = x === 1 ? y : x;
  }
  return out;
}
