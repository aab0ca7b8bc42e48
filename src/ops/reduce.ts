/** @file Sums, means and maxima over dimensions. */
import * as reduceKernels from '../../kernels/reduce.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { formatShape, resolveDim, type Shape, sizeOf } from '../shape.ts';
import { createStorage } from '../tensor/arena.ts';
import { Tensor } from '../tensor/tensor.ts';
import { apply, defineOp } from './define.ts';
import { div } from './elementwise.ts';
import { scatterAlong } from './indexing.ts';
import { expand, reshape } from './movement.ts';

/** Options of reductions. */
export interface ReduceOptions {
  /** Leaves the reduced dimensions in the shape, with size 1. */
  readonly keepdim?: boolean;
}

/** A run of neighbouring dimensions, first to end - 1. */
interface DimRange {
  readonly first: number;
  readonly end: number;
}

function split(shape: Shape, { first, end }: DimRange): [outer: number, length: number, inner: number] {
  return [sizeOf(shape.slice(0, first)), sizeOf(shape.slice(first, end)), sizeOf(shape.slice(end))];
}

function without(shape: Shape, { first, end }: DimRange): Shape {
  return [...shape.slice(0, first), ...shape.slice(end)];
}

export const sumOp = defineOp<DimRange>({
  name: 'sum',
  shape: ([x], range) => without(x, range),
  forward: ({ run, inputs: [x], attributes, output }) =>
    run(reduceKernels.sum_f32, [x, output, ...split(x.shape, attributes)]),
  backward: ({ inputShapes: [shape], attributes: { first, end } }, gradient) => {
    const kept = shape.map((dim, i) => (i >= first && i < end ? 1 : dim));
    return [expand(reshape(gradient, kept), shape)];
  },
});

/** `indices` receives, per element of the result, the position of the maximum in the reduced dimension. */
export const maxOp = defineOp<DimRange & { readonly indices: Tensor }>({
  name: 'max',
  shape: ([x], range) => without(x, range),
  forward: ({ run, inputs: [x], attributes, output }) =>
    run(reduceKernels.max_f32, [x, output, attributes.indices, ...split(x.shape, attributes)]),
  backward: ({ inputShapes: [shape], attributes: { first, indices } }, gradient) => [
    scatterAlong(gradient, first, indices, shape),
  ],
});

/** The dimensions to reduce, ascending, as runs of neighbours; all if `dim` is undefined. */
function ranges(op: string, x: Tensor, dim: number | readonly number[] | undefined): DimRange[] {
  if (dim === undefined) return [{ first: 0, end: x.rank }];
  const dims = (typeof dim === 'number' ? [dim] : dim).map((d) => resolveDim(op, d, x.rank)).sort((a, b) => a - b);
  if (new Set(dims).size !== dims.length) {
    throw new ArgumentError(
      `${op}: each dimension may be named once, got ${formatShape(dims)}. Remove the repeated one.`,
      {
        dim: dims,
      },
    );
  }
  const found: DimRange[] = [];
  for (const d of dims) {
    const last = found.at(-1);
    if (x.rank === 0) break;
    if (last !== undefined && last.end === d) found[found.length - 1] = { first: last.first, end: d + 1 };
    else found.push({ first: d, end: d + 1 });
  }
  return found;
}

function keptShape(x: Tensor, reduced: readonly DimRange[]): Shape {
  return x.shape.map((dim, i) => (reduced.some(({ first, end }) => i >= first && i < end) ? 1 : dim));
}

/**
 * The sum over dimensions, over all if `dim` is left out; 0 if there are none. In the canonical order of the kernel, so the bits depend on the
 * shape alone.
 *
 * @throws IndexRangeError if a dimension does not exist.
 * @see https://pytorch.org/docs/stable/generated/torch.sum.html
 * @example
 * sum(tensor([[1, 2], [3, 4]])); // => tensor(10, float32)
 * sum(tensor([[1, 2], [3, 4]]), 1, { keepdim: true }); // => tensor([[3], [7]], float32)
 */
export function sum(x: Tensor, dim?: number | readonly number[], options: ReduceOptions = {}): Tensor {
  const reduced = ranges('sum', x, dim);
  // From the last run on, so that the positions of the others stay.
  const result = reduced.reduceRight((value, range) => apply(sumOp, [value], range), x);
  return options.keepdim ? reshape(result, keptShape(x, reduced)) : result;
}

/**
 * The sum over dimensions divided by the number of elements; NaN if there are none.
 *
 * @example
 * mean(tensor([[1, 2], [3, 4]]), 0); // => tensor([2, 3], float32)
 */
export function mean(x: Tensor, dim?: number | readonly number[], options: ReduceOptions = {}): Tensor {
  const reduced = ranges('mean', x, dim);
  const count = reduced.reduce((product, range) => product * split(x.shape, range)[1], 1);
  return div(sum(x, dim, options), count);
}

/**
 * The largest element along a dimension and its position; the first one wins, NaN wins over everything.
 *
 * Shapes: x [..., n, ...] -> values and indices [..., ...] (with keepdim [..., 1, ...]); indices are int32.
 * Gradient: to the position in `indices`.
 *
 * @throws ShapeError if the dimension is empty.
 * @see https://pytorch.org/docs/stable/generated/torch.max.html
 * @example
 * const { values, indices } = max(tensor([[1, 5], [4, 3]]), 1);
 * values; // => tensor([5, 4], float32)
 * indices; // => tensor([1, 0], int32)
 */
export function max(x: Tensor, dim: number, options: ReduceOptions = {}): { values: Tensor; indices: Tensor } {
  const first = resolveDim('max', dim, x.rank);
  const source = x.rank === 0 ? reshape(x, [1]) : x;
  const range = { first, end: first + 1 };
  if (source.shape[first] === 0) {
    throw new ShapeError(
      `max: the dimension must have elements, got ${formatShape(x.shape)} along ${dim}. Check the shape.`,
      {
        shape: x.shape,
        dim,
      },
    );
  }
  const shape = without(source.shape, range);
  const indices = new Tensor(createStorage('int32', sizeOf(shape), 'max'), shape);
  const values = apply(maxOp, [source], { first, end: first + 1, indices });
  if (!options.keepdim || x.rank === 0) return { values, indices };
  const kept = keptShape(x, [range]);
  return { values: reshape(values, kept), indices: reshape(indices, kept) };
}

/**
 * The largest element along a dimension, or of all. Gradient: to the first one at ties. @throws ShapeError if there is none.
 *
 * @example
 * amax(tensor([[1, 5], [4, 3]])); // => tensor(5, float32)
 */
export function amax(x: Tensor, dim?: number, options: ReduceOptions = {}): Tensor {
  if (dim !== undefined) return max(x, dim, options).values;
  const result = max(reshape(x, [x.size]), 0).values;
  return options.keepdim
    ? reshape(
        result,
        x.shape.map(() => 1),
      )
    : result;
}

/**
 * The position of the largest element along a dimension, or in row-major order of all; int32. The first one wins.
 *
 * @example
 * argmax(tensor([[1, 5], [4, 3]]), 1); // => tensor([1, 0], int32)
 */
export function argmax(x: Tensor, dim?: number, options: ReduceOptions = {}): Tensor {
  return dim === undefined ? max(reshape(x, [x.size]), 0).indices : max(x, dim, options).indices;
}
