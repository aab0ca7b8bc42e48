/** @file Operations on each element by itself: arithmetic, powers, exponential and logarithm. Pairs broadcast as in NumPy. */
import type { Kernel } from '../../kernels/define.ts';
import * as map from '../../kernels/map.ts';
import { type DType, promote } from '../dtype.ts';
import { broadcastShapes } from '../shape.ts';
import { full } from '../tensor/create.ts';
import type { Op, Tensors } from '../tensor/graph.ts';
import { arrayFor, type Tensor } from '../tensor/tensor.ts';
import { apply, defineOp, elementsOf, sameAsFirst } from './define.ts';
import { expand } from './movement.ts';

type Gradient = (gradient: Tensor, saved: Tensors) => readonly (Tensor | undefined)[];

/** An operation whose forward is one kernel `(x, y, length)`. */
export function unaryOp(
  name: string,
  kernel: Kernel,
  saves: readonly (number | 'output')[],
  backward: (gradient: Tensor, saved: Tensor) => Tensor,
): Op<undefined> {
  return defineOp({
    name,
    shape: sameAsFirst,
    forward: ({ run, inputs: [x], output }) => run(kernel, [x, output, output.length]),
    saves,
    backward: ({ saved: [value] }, gradient) => [backward(gradient, value)],
  });
}

/** An operation on two tensors of one shape whose forward is one kernel `(a, b, y, length)`. */
export function binaryOp(
  name: string,
  kernel: Kernel,
  saves: readonly (number | 'output')[],
  backward: Gradient,
): Op<undefined> {
  return defineOp({
    name,
    shape: sameAsFirst,
    forward: ({ run, inputs: [a, b], output }) => run(kernel, [a, b, output, output.length]),
    saves,
    backward: ({ saved }, gradient) => backward(gradient, saved),
  });
}

export const negOp = unaryOp('neg', map.neg_f32, [], (gradient) => neg(gradient));
export const expOp = unaryOp('exp', map.exp_f32, ['output'], (gradient, y) => mul(gradient, y));
export const logOp = unaryOp('log', map.log_f32, [0], (gradient, x) => div(gradient, x));
export const sqrtOp = unaryOp('sqrt', map.sqrt_f32, ['output'], (gradient, y) => div(mul(gradient, 0.5), y));
export const squareOp = unaryOp('square', map.square_f32, [0], (gradient, x) => mul(gradient, mul(x, 2)));
export const reciprocalOp = unaryOp('reciprocal', map.reciprocal_f32, ['output'], (gradient, y) =>
  neg(mul(gradient, square(y))),
);

export const addOp = binaryOp('add', map.add_f32, [], (gradient) => [gradient, gradient]);
export const subOp = binaryOp('sub', map.sub_f32, [], (gradient) => [gradient, neg(gradient)]);

export const mulOp = defineOp({
  name: 'mul',
  shape: sameAsFirst,
  forward: ({ run, inputs: [a, b], output }) => run(map.mul_f32, [a, b, output, output.length]),
  saves: [0, 1],
  backward: ({ saved: [a, b], needs }, gradient) => [
    needs[0] ? mul(gradient, b) : undefined,
    needs[1] ? mul(gradient, a) : undefined,
  ],
});

export const divOp = defineOp({
  name: 'div',
  shape: sameAsFirst,
  forward: ({ run, inputs: [a, b], output }) => run(map.div_f32, [a, b, output, output.length]),
  saves: [1, 'output'],
  backward: ({ saved: [b, y], needs }, gradient) => {
    const byB = div(gradient, b);
    return [byB, needs[1] ? neg(mul(byB, y)) : undefined];
  },
});

export const addScalarOp = defineOp<number>({
  name: 'addScalar',
  shape: sameAsFirst,
  forward: ({ run, inputs: [x], attributes, output }) =>
    run(map.add_scalar_f32, [x, attributes, output, output.length]),
  backward: (_, gradient) => [gradient],
});

export const mulScalarOp: Op<number> = defineOp({
  name: 'mulScalar',
  shape: sameAsFirst,
  forward: ({ run, inputs: [x], attributes, output }) =>
    run(map.mul_scalar_f32, [x, attributes, output, output.length]),
  backward: ({ attributes }, gradient) => [apply(mulScalarOp, [gradient], attributes)],
});

export const toOp = defineOp<{ readonly from: DType; readonly to: DType }>({
  name: 'to',
  shape: sameAsFirst,
  dtype: (_op, _inputs, { to }) => to,
  forward: ({ inputs: [x], attributes, output }) => {
    const target = elementsOf('to', output);
    const source = elementsOf('to', x);
    if (attributes.to !== 'bool') target.set(source);
    else for (let i = 0; i < target.length; i++) target[i] = source[i] === 0 ? 0 : 1;
  },
  backward: ({ attributes }, gradient) => [to(gradient, attributes.from)],
});

/**
 * The elements in another dtype; the tensor itself if it has it. Floats become whole numbers by truncation, and wrap around outside the range;
 * anything but 0 is true.
 *
 * Gradient: flows between float32 and float64.
 *
 * @example
 * tensor([1.5, -1.5]).to('int32'); // => tensor([1, -1], int32)
 */
export function to(x: Tensor, dtype: DType): Tensor {
  arrayFor('to', dtype);
  return x.dtype === dtype ? x : apply(toOp, [x], { from: x.dtype, to: dtype });
}

/** Applies a binary operation with NumPy's broadcasting and PyTorch's promotion. */
export function broadcast(op: Op<undefined>, a: Tensor, b: Tensor): Tensor {
  const dtype = promote(a.dtype, b.dtype);
  const shape = broadcastShapes(op.name, a.shape, b.shape);
  return apply(op, [expand(to(a, dtype), shape), expand(to(b, dtype), shape)], undefined);
}

/**
 * a + b. @throws ShapeError if the shapes do not broadcast.
 *
 * @example
 * add(tensor([[1, 2], [3, 4]]), tensor([10, 20])); // => tensor([[11, 22], [13, 24]], float32)
 */
export function add(a: Tensor, b: Tensor | number): Tensor {
  return typeof b === 'number' ? apply(addScalarOp, [a], b) : broadcast(addOp, a, b);
}

/**
 * a - b. @throws ShapeError if the shapes do not broadcast.
 *
 * @example
 * sub(tensor([5, 7]), 2); // => tensor([3, 5], float32)
 */
export function sub(a: Tensor, b: Tensor | number): Tensor {
  return typeof b === 'number' ? apply(addScalarOp, [a], -b) : broadcast(subOp, a, b);
}

/**
 * a * b, element by element. @throws ShapeError if the shapes do not broadcast.
 *
 * @example
 * mul(tensor([[1, 2]]), tensor([[3], [4]])); // => tensor([[3, 6], [4, 8]], float32)
 */
export function mul(a: Tensor, b: Tensor | number): Tensor {
  return typeof b === 'number' ? apply(mulScalarOp, [a], b) : broadcast(mulOp, a, b);
}

/**
 * a / b, element by element, rounded once. @throws ShapeError if the shapes do not broadcast.
 *
 * @example
 * div(tensor([1, 2]), 4); // => tensor([0.25, 0.5], float32)
 */
export function div(a: Tensor, b: Tensor | number): Tensor {
  return broadcast(divOp, a, typeof b === 'number' ? full([], b, { dtype: a.dtype }) : b);
}

/**
 * -x.
 *
 * @example
 * neg(tensor([1, -2])); // => tensor([-1, 2], float32)
 */
export function neg(x: Tensor): Tensor {
  return apply(negOp, [x], undefined);
}

/**
 * e^x, by the library's own kernel: the same bits everywhere.
 *
 * @example
 * exp(tensor([0, 1])); // => tensor([1, 2.71828], float32)
 */
export function exp(x: Tensor): Tensor {
  return apply(expOp, [x], undefined);
}

/**
 * Natural logarithm; -Infinity at 0, NaN below.
 *
 * @example
 * log(tensor([0, 1])); // => tensor([-Infinity, 0], float32)
 */
export function log(x: Tensor): Tensor {
  return apply(logOp, [x], undefined);
}

/**
 * Square root. Gradient: Infinity at 0.
 *
 * @example
 * sqrt(tensor([4, 9])); // => tensor([2, 3], float32)
 */
export function sqrt(x: Tensor): Tensor {
  return apply(sqrtOp, [x], undefined);
}

/**
 * x * x.
 *
 * @example
 * square(tensor([-2, 3])); // => tensor([4, 9], float32)
 */
export function square(x: Tensor): Tensor {
  return apply(squareOp, [x], undefined);
}

/**
 * 1 / x.
 *
 * @example
 * reciprocal(tensor([2, 4])); // => tensor([0.5, 0.25], float32)
 */
export function reciprocal(x: Tensor): Tensor {
  return apply(reciprocalOp, [x], undefined);
}
