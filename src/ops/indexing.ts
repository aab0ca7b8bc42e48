/**
 * @file Parts of tensors: ranges, rows by index, concatenation, elements by index. They copy blocks of bytes, so they are plain TypeScript on
 * the cells' views, for every dtype.
 */

import type { NumericArray } from '../dtype.ts';
import { ArgumentError, DTypeError, IndexRangeError, ShapeError } from '../errors.ts';
import { formatShape, resolveDim, type Shape, sameShape, sizeOf } from '../shape.ts';
import { fromTypedArray } from '../tensor/create.ts';
import type { Op } from '../tensor/graph.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { apply, defineOp, elementsOf, oneDType } from './define.ts';
import { reshape } from './movement.ts';

/** [elements before, in, behind] dimension `dim`: x[o, i, k] = values[(o * length + i) * inner + k]. */
function around(shape: Shape, dim: number): [outer: number, length: number, inner: number] {
  return [sizeOf(shape.slice(0, dim)), shape[dim]!, sizeOf(shape.slice(dim + 1))];
}

function withSize(shape: Shape, dim: number, size: number): Shape {
  return shape.map((old, i) => (i === dim ? size : old));
}

/** Refuses anything but int32 indices in 0 .. length - 1. */
export function checkIndices(op: string, indices: Tensor, length: number): Int32Array {
  if (indices.dtype !== 'int32') {
    throw new DTypeError(`${op}: indices must be int32, got ${indices.dtype}. Convert with to('int32').`, {
      dtype: indices.dtype,
    });
  }
  const values = elementsOf(op, indices) as Int32Array;
  for (let i = 0; i < values.length; i++) {
    const index = values[i]!;
    if (index < 0 || index >= length) {
      throw new IndexRangeError(
        `${op}: indices must be in 0..${length - 1}, got ${index} at ${i}. Check the indices.`,
        {
          index,
          position: i,
          length,
        },
      );
    }
  }
  return values;
}

interface Range {
  readonly dim: number;
  readonly start: number;
  readonly length: number;
}

export const narrowOp = defineOp<Range>({
  name: 'narrow',
  shape: ([x], { dim, length }) => withSize(x, dim, length),
  dtype: oneDType,
  forward: ({ inputs: [x], attributes: { dim, start, length }, output }) => {
    const [outer, full, inner] = around(x.shape, dim);
    copyBlocks(elementsOf('narrow', x), elementsOf('narrow', output), outer, {
      from: start * inner,
      fromStep: full * inner,
      to: 0,
      toStep: length * inner,
      size: length * inner,
    });
  },
  backward: ({ inputShapes: [shape], attributes: { dim, start } }, gradient) => [
    embed(gradient, dim, start, shape[dim]!),
  ],
});

/** The inverse of narrow: x between zeros. */
export const embedOp = defineOp<Range>({
  name: 'embed',
  shape: ([x], { dim, length }) => withSize(x, dim, length),
  dtype: oneDType,
  forward: ({ inputs: [x], attributes: { dim, start, length }, output }) => {
    const [outer, own, inner] = around(x.shape, dim);
    const target = elementsOf('embed', output).fill(0);
    copyBlocks(elementsOf('embed', x), target, outer, {
      from: 0,
      fromStep: own * inner,
      to: start * inner,
      toStep: length * inner,
      size: own * inner,
    });
  },
  backward: ({ inputShapes: [shape], attributes: { dim, start } }, gradient) => [
    narrow(gradient, dim, start, shape[dim]!),
  ],
});

function embed(x: Tensor, dim: number, start: number, length: number): Tensor {
  return apply(embedOp, [x], { dim, start, length });
}

interface Blocks {
  readonly from: number;
  readonly fromStep: number;
  readonly to: number;
  readonly toStep: number;
  readonly size: number;
}

function copyBlocks(source: NumericArray, target: NumericArray, count: number, blocks: Blocks): void {
  for (let i = 0; i < count; i++) {
    const from = blocks.from + i * blocks.fromStep;
    target.set(source.subarray(from, from + blocks.size), blocks.to + i * blocks.toStep);
  }
}

export const catOp = defineOp<{ readonly dim: number }>({
  name: 'cat',
  shape: (inputs, { dim }) => {
    const first = inputs[0];
    for (const shape of inputs) {
      if (shape.length !== first.length || !sameShape(withSize(shape, dim, 0), withSize(first, dim, 0))) {
        throw new ShapeError(
          `cat: shapes must agree except in dimension ${dim}, got ${formatShape(first)} and ${formatShape(shape)}. Check the tensors.`,
          { first, shape, dim },
        );
      }
    }
    return withSize(
      first,
      dim,
      inputs.reduce((total, shape) => total + shape[dim]!, 0),
    );
  },
  dtype: oneDType,
  forward: ({ inputs, attributes: { dim }, shape, output }) => {
    const [outer, total, inner] = around(shape, dim);
    const target = elementsOf('cat', output);
    let start = 0;
    for (const x of inputs) {
      const length = x.shape[dim]!;
      copyBlocks(elementsOf('cat', x), target, outer, {
        from: 0,
        fromStep: length * inner,
        to: start * inner,
        toStep: total * inner,
        size: length * inner,
      });
      start += length;
    }
  },
  backward: ({ inputShapes, attributes: { dim }, needs }, gradient) => {
    let start = 0;
    return inputShapes.map((shape, i) => {
      const length = shape[dim]!;
      start += length;
      return needs[i] ? narrow(gradient, dim, start - length, length) : undefined;
    });
  },
});

export const indexSelectOp: Op<{ readonly dim: number; readonly indices: Tensor }> = defineOp({
  name: 'indexSelect',
  shape: ([x], { dim, indices }) => withSize(x, dim, indices.size),
  dtype: oneDType,
  forward: ({ inputs: [x], attributes: { dim, indices }, output }) => {
    const [outer, length, inner] = around(x.shape, dim);
    const chosen = checkIndices('indexSelect', indices, length);
    const source = elementsOf('indexSelect', x);
    const target = elementsOf('indexSelect', output);
    let to = 0;
    for (let o = 0; o < outer; o++) {
      for (const index of chosen) {
        const from = (o * length + index) * inner;
        target.set(source.subarray(from, from + inner), to);
        to += inner;
      }
    }
  },
  backward: ({ inputShapes: [shape], attributes: { dim, indices } }, gradient) => [
    apply(indexAddOp, [gradient], { dim, indices, length: shape[dim]! }),
  ],
});

/** The gradient of indexSelect: slices added at their indices, in order, to zeros. */
export const indexAddOp: Op<{ readonly dim: number; readonly indices: Tensor; readonly length: number }> = defineOp({
  name: 'indexAdd',
  shape: ([x], { dim, length }) => withSize(x, dim, length),
  forward: ({ inputs: [x], attributes: { dim, indices, length }, output }) => {
    const [outer, count, inner] = around(x.shape, dim);
    const chosen = checkIndices('indexAdd', indices, length);
    const source = elementsOf('indexAdd', x);
    const target = elementsOf('indexAdd', output).fill(0);
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < count; i++) {
        const from = (o * count + i) * inner;
        const to = (o * length + chosen[i]!) * inner;
        for (let k = 0; k < inner; k++) target[to + k]! += source[from + k]!;
      }
    }
  },
  backward: ({ attributes: { dim, indices } }, gradient) => [apply(indexSelectOp, [gradient], { dim, indices })],
});

/** y[o, j, k] = x[o, indices[o, j, k], k]; y has the shape of `indices`, which lacks dimension `dim` if there is one j. */
export const gatherOp = defineOp<{ readonly dim: number; readonly indices: Tensor }>({
  name: 'gather',
  shape: (_, { indices }) => indices.shape,
  forward: ({ inputs: [x], attributes: { dim, indices }, output }) => {
    const [outer, length, inner] = around(x.shape, dim);
    const positions = checkIndices('gather', indices, length);
    const source = elementsOf('gather', x);
    const target = elementsOf('gather', output);
    const block = target.length / outer;
    for (let i = 0; i < target.length; i++) {
      target[i] = source[(Math.floor(i / block) * length + positions[i]!) * inner + (i % inner)]!;
    }
  },
  backward: ({ inputShapes: [shape], attributes: { dim, indices } }, gradient) => [
    scatterAlong(gradient, dim, indices, shape),
  ],
});

/** The gradient of gather: elements added at their positions, in order, to zeros of shape `to`. */
export const scatterOp = defineOp<{ readonly dim: number; readonly indices: Tensor; readonly to: Shape }>({
  name: 'scatter',
  shape: (_, { to }) => to,
  forward: ({ inputs: [x], attributes: { dim, indices, to }, output }) => {
    const [outer, length, inner] = around(to, dim);
    const positions = checkIndices('scatter', indices, length);
    const source = elementsOf('scatter', x);
    const target = elementsOf('scatter', output).fill(0);
    const block = source.length / outer;
    for (let i = 0; i < source.length; i++) {
      target[(Math.floor(i / block) * length + positions[i]!) * inner + (i % inner)]! += source[i]!;
    }
  },
  backward: ({ attributes: { dim, indices } }, gradient) => [gatherAlong(gradient, dim, indices)],
});

/** Elements of x at int32 positions along `dim`; see `gatherOp` for the shape. */
export function gatherAlong(x: Tensor, dim: number, indices: Tensor): Tensor {
  return apply(gatherOp, [x], { dim, indices });
}

/** The gradient of `gatherAlong`; `to` is the shape that it gathered from. */
export function scatterAlong(x: Tensor, dim: number, indices: Tensor, to: Shape): Tensor {
  return apply(scatterOp, [x], { dim, indices, to });
}

/**
 * `length` elements along a dimension from `start` on.
 *
 * @throws IndexRangeError if they do not exist.
 * @see https://pytorch.org/docs/stable/generated/torch.narrow.html
 * @example
 * narrow(tensor([1, 2, 3, 4]), 0, 1, 2); // => tensor([2, 3], float32)
 */
export function narrow(x: Tensor, dim: number, start: number, length: number): Tensor {
  const d = resolveDim('narrow', dim, x.rank);
  const size = x.shape[d] ?? 0;
  if (!(Number.isInteger(start) && Number.isInteger(length) && start >= 0 && length >= 0 && start + length <= size)) {
    throw new IndexRangeError(
      `narrow: start and start + length must be in 0..${size}, got ${start} and ${start + length}. Check the range.`,
      { dim: d, start, length, size },
    );
  }
  return start === 0 && length === size ? x : apply(narrowOp, [x], { dim: d, start, length });
}

/**
 * One index along a dimension, which then is gone. @throws IndexRangeError if it does not exist.
 *
 * @example
 * select(tensor([[1, 2], [3, 4]]), 0, 1); // => tensor([3, 4], float32)
 */
export function select(x: Tensor, dim: number, index: number): Tensor {
  const d = resolveDim('select', dim, x.rank);
  const size = x.shape[d] ?? 0;
  const resolved = index < 0 ? index + size : index;
  if (!Number.isInteger(index) || resolved < 0 || resolved >= size) {
    throw new IndexRangeError(`select: index must be in ${-size}..${size - 1}, got ${index}. Check the index.`, {
      dim: d,
      index,
      size,
    });
  }
  return reshape(narrow(x, d, resolved, 1), [...x.shape.slice(0, d), ...x.shape.slice(d + 1)]);
}

/**
 * The slices with the given indices along a dimension, in that order, repeats allowed.
 *
 * @throws DTypeError if the indices are not whole numbers; @throws IndexRangeError if one does not exist.
 * @see https://pytorch.org/docs/stable/generated/torch.index_select.html
 * @example
 * indexSelect(tensor([[1, 2], [3, 4]]), 1, [1, 0]); // => tensor([[2, 1], [4, 3]], float32)
 */
export function indexSelect(x: Tensor, dim: number, indices: Tensor | ArrayLike<number>): Tensor {
  const d = resolveDim('indexSelect', dim, x.rank);
  if (x.rank === 0)
    throw new ShapeError('indexSelect: the tensor must have dimensions, got []. Reshape it to [1].', {
      shape: x.shape,
    });
  const list = 'dtype' in indices ? indices : fromTypedArray(indices, [indices.length], { dtype: 'int32' });
  checkIndices('indexSelect', list, x.shape[d]!);
  return apply(indexSelectOp, [x], { dim: d, indices: list });
}

/**
 * Tensors behind one another along an existing dimension.
 *
 * @throws ArgumentError without tensors; @throws ShapeError if they disagree elsewhere; @throws DTypeError if dtypes differ.
 * @see https://pytorch.org/docs/stable/generated/torch.cat.html
 * @example
 * cat([tensor([[1, 2]]), tensor([[3, 4]])], 1); // => tensor([[1, 2, 3, 4]], float32)
 */
export function cat(tensors: readonly Tensor[], dim = 0): Tensor {
  const first = tensors[0];
  if (first === undefined)
    throw new ArgumentError('cat: at least one tensor is needed, got none. Pass a list with tensors.');
  if (first.rank === 0)
    throw new ShapeError('cat: scalars cannot be concatenated, got []. Use stack().', { shape: first.shape });
  return apply(catOp, tensors, { dim: resolveDim('cat', dim, first.rank) });
}

/**
 * Tensors of one shape as slices of a new dimension.
 *
 * @example
 * stack([tensor([1, 2]), tensor([3, 4])]); // => tensor([[1, 2], [3, 4]], float32)
 */
export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  const first = tensors[0];
  if (first === undefined)
    throw new ArgumentError('stack: at least one tensor is needed, got none. Pass a list with tensors.');
  const d = resolveDim('stack', dim, first.rank + 1);
  return cat(
    tensors.map((x) => reshape(x, [...x.shape.slice(0, d), 1, ...x.shape.slice(d)])),
    d,
  );
}
