/**
 * @file Operations that move elements: reshape shares memory; permute, expand and the ones built on them copy, because tensors are contiguous
 * (ADR 4).
 */
import * as copy from '../../kernels/copy.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { checkShape, contiguousStrides, formatShape, resolveDim, type Shape, sameShape, sizeOf } from '../shape.ts';
import { freeStorage, storageOf } from '../tensor/arena.ts';
import type { ForwardContext } from '../tensor/graph.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { apply, defineOp, oneDType } from './define.ts';
import { sum } from './reduce.ts';

export const reshapeOp = defineOp<{ readonly from: Shape; readonly to: Shape }>({
  name: 'reshape',
  shape: (_, { to }) => to,
  dtype: oneDType,
  shares: true,
  backward: ({ attributes }, gradient) => [reshape(gradient, attributes.from)],
});

/** Most dimensions that the copying kernel takes. */
const mostDimensions = 6;

function checkRank(op: string, shape: Shape): Shape {
  if (shape.length <= mostDimensions) return shape;
  throw new ShapeError(
    `${op}: at most ${mostDimensions} dimensions can be moved, got ${formatShape(shape)}. Merge some with reshape.`,
    {
      shape,
    },
  );
}

/** Fills the contiguous result from x, `strides[i]` elements of x apart per step of result dimension i. */
function copyStrided({ run, shape, inputs: [x], output }: ForwardContext<unknown>, strides: readonly number[]): void {
  const layout = storageOf('int32', [...shape, ...strides], 'copy');
  run(copy.copy_strided_f32, [x, layout, output, x.size, 0, shape.length, output.length]);
  freeStorage(layout);
}

export const permuteOp = defineOp<{ readonly dims: readonly number[] }>({
  name: 'permute',
  shape: ([x], { dims }) =>
    checkRank(
      'permute',
      dims.map((dim) => x[dim]!),
    ),
  dtype: oneDType,
  forward: (context) => {
    const strides = contiguousStrides(context.inputs[0].shape);
    copyStrided(
      context,
      context.attributes.dims.map((dim) => strides[dim]!),
    );
  },
  backward: ({ attributes: { dims } }, gradient) => [permute(gradient, invert(dims))],
});

function invert(dims: readonly number[]): number[] {
  const inverse = new Array<number>(dims.length);
  dims.forEach((dim, i) => {
    inverse[dim] = i;
  });
  return inverse;
}

export const expandOp = defineOp<{ readonly from: Shape; readonly to: Shape }>({
  name: 'expand',
  shape: ([x], { to }) => {
    const aligned = [...new Array<number>(Math.max(0, to.length - x.length)).fill(1), ...x];
    if (aligned.length !== to.length || aligned.some((dim, i) => dim !== to[i] && dim !== 1)) {
      throw new ShapeError(
        `expand: only sizes of 1 can grow, from the last dimension on, got ${formatShape(x)} to ${formatShape(to)}. Reshape first.`,
        { from: x, to },
      );
    }
    return checkRank('expand', to);
  },
  dtype: oneDType,
  forward: (context) => {
    const { shape } = context;
    const from = context.inputs[0].shape;
    const own = contiguousStrides(from);
    const lead = shape.length - from.length;
    copyStrided(
      context,
      shape.map((_, i) => (i < lead || from[i - lead] === 1 ? 0 : own[i - lead]!)),
    );
  },
  backward: ({ attributes: { from } }, gradient) => [sumTo(gradient, from)],
});

/** The gradient of `expand`: sums the dimensions that were grown. */
function sumTo(x: Tensor, shape: Shape): Tensor {
  const lead = x.rank - shape.length;
  const grown = x.shape.flatMap((dim, i) => (i < lead || (shape[i - lead] === 1 && dim !== 1) ? [i] : []));
  return reshape(grown.length === 0 ? x : sum(x, grown), shape);
}

/**
 * The same elements, row-major, in another shape; one size may be -1 and is computed. Shares memory with `x`.
 *
 * @throws ShapeError if the numbers of elements differ or -1 cannot be computed.
 * @see https://pytorch.org/docs/stable/generated/torch.reshape.html
 * @example
 * reshape(tensor([1, 2, 3, 4]), [2, -1]); // => tensor([[1, 2], [3, 4]], float32)
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const resolved = inferSize(shape, x.size);
  checkShape('reshape', resolved);
  if (sizeOf(resolved) !== x.size) {
    throw new ShapeError(
      `reshape: the number of elements must stay, got ${formatShape(x.shape)} (${x.size}) to ${formatShape(shape)}. Check the sizes.`,
      { from: x.shape, to: shape },
    );
  }
  return sameShape(resolved, x.shape) ? x : apply(reshapeOp, [x], { from: x.shape, to: resolved });
}

/** The same tensor through an identity node: another place in the graph for the same elements. For the library. */
export function standIn(x: Tensor): Tensor {
  return apply(reshapeOp, [x], { from: x.shape, to: x.shape });
}

function inferSize(shape: Shape, size: number): Shape {
  const open = shape.indexOf(-1);
  if (open < 0) return [...shape];
  const rest = shape.reduce((product, dim, i) => (i === open ? product : product * dim), 1);
  if (shape.indexOf(-1, open + 1) >= 0 || rest === 0 || size % rest !== 0) {
    throw new ShapeError(
      `reshape: one size may be -1 if the others divide the number of elements, got ${formatShape(shape)} for ${size}. Name all sizes.`,
      { to: shape, size },
    );
  }
  return shape.map((dim, i) => (i === open ? size / rest : dim));
}

/**
 * All dimensions from `start` on as one; from 1 on it keeps the batch. @see https://pytorch.org/docs/stable/generated/torch.flatten.html
 *
 * @example
 * flatten(images, 1).shape; // => [8, 784]
 */
export function flatten(x: Tensor, start = 0): Tensor {
  if (x.rank === 0) return reshape(x, [1]);
  const first = resolveDim('flatten', start, x.rank);
  return reshape(x, [...x.shape.slice(0, first), sizeOf(x.shape.slice(first))]);
}

/**
 * The dimensions in another order: dimension i of the result is dimension dims[i] of x.
 *
 * @throws ArgumentError if `dims` is not an order of all dimensions.
 * @example
 * permute(images, [0, 2, 3, 1]).shape; // => [8, 28, 28, 1]
 */
export function permute(x: Tensor, dims: readonly number[]): Tensor {
  const resolved = dims.map((dim) => resolveDim('permute', dim, x.rank));
  if (resolved.length !== x.rank || new Set(resolved).size !== x.rank) {
    throw new ArgumentError(
      `permute: dims must name each of the ${x.rank} dimensions once, got ${formatShape(dims)}. Complete the list.`,
      { dims, rank: x.rank },
    );
  }
  return resolved.every((dim, i) => dim === i) ? x : apply(permuteOp, [x], { dims: resolved });
}

/**
 * Exchanges two dimensions, by default the last two.
 *
 * @example
 * transpose(tensor([[1, 2], [3, 4]])); // => tensor([[1, 3], [2, 4]], float32)
 */
export function transpose(x: Tensor, first = -2, second = -1): Tensor {
  const a = resolveDim('transpose', first, x.rank);
  const b = resolveDim('transpose', second, x.rank);
  return permute(
    x,
    x.shape.map((_, i) => (i === a ? b : i === b ? a : i)),
  );
}

/**
 * Repeats along dimensions of size 1 and new leading ones, until the shape is `shape`.
 *
 * @throws ShapeError if another size would change.
 * @example
 * expand(tensor([[1], [2]]), [2, 3]); // => tensor([[1, 1, 1], [2, 2, 2]], float32)
 */
export function expand(x: Tensor, shape: Shape): Tensor {
  checkShape('expand', shape);
  return sameShape(x.shape, shape) ? x : apply(expandOp, [x], { from: x.shape, to: [...shape] });
}
