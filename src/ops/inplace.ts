/**
 * @file Changes in place: of tensors outside the graph, and of leaves under `noGrad`. Each one counts the cell's version up, so that a
 * backward pass which needs the old value fails instead of being wrong.
 */

import type { Kernel } from '../../kernels/define.ts';
import * as map from '../../kernels/map.ts';
import { isFloating } from '../dtype.ts';
import { AutogradError, DTypeError } from '../errors.ts';
import { beginOperation } from '../tensor/arena.ts';
import { full } from '../tensor/create.ts';
import { Tensor } from '../tensor/tensor.ts';
import { elementsOf, isGradEnabled, runKernel } from './define.ts';
import { to } from './elementwise.ts';
import { expand } from './movement.ts';

function checkInPlace(op: string, x: Tensor): void {
  if (x.node !== undefined) {
    throw new AutogradError(
      `${op}: only leaves can be changed in place, got a result of ${x.node.op.name}. Use the operation without underscore, or detach().`,
    );
  }
  if (x.requiresGrad && isGradEnabled()) {
    throw new AutogradError(
      `${op}: a leaf that requires a gradient must not be changed while the graph is recorded. Wrap it in noGrad().`,
    );
  }
}

/** The other operand with x's shape and dtype, outside the graph. */
function operandFor(x: Tensor, other: Tensor | number): Tensor {
  const tensor =
    typeof other === 'number' ? full([], other, { dtype: x.dtype }) : new Tensor(other.storage, other.shape);
  return expand(to(tensor, x.dtype), x.shape);
}

function binaryInPlace(op: string, kernel: Kernel, x: Tensor, other: Tensor | number): Tensor {
  checkInPlace(op, x);
  if (!isFloating(x.dtype)) {
    throw new DTypeError(`${op}: the tensor must be float32 or float64, got ${x.dtype}. Convert with to('float32').`, {
      dtype: x.dtype,
    });
  }
  const operand = operandFor(x, other);
  beginOperation();
  // Kernels of this family allow y to be an input.
  runKernel(op, kernel, x.dtype, [x, operand, x, x.size]);
  x.storage.version += 1;
  return x;
}

/** Overwrites x by `other`, which is expanded and converted. @throws AutogradError if x is part of a graph. */
export function copy_(x: Tensor, other: Tensor | number): Tensor {
  checkInPlace('copy_', x);
  const operand = operandFor(x, other);
  const source = elementsOf('copy_', operand);
  elementsOf('copy_', x).set(source);
  x.storage.version += 1;
  return x;
}

/** x += other. @throws AutogradError if x is part of a graph; @throws ShapeError if x's shape would change. */
export function add_(x: Tensor, other: Tensor | number): Tensor {
  return binaryInPlace('add_', map.add_f32, x, other);
}

/** x -= other. @throws AutogradError if x is part of a graph; @throws ShapeError if x's shape would change. */
export function sub_(x: Tensor, other: Tensor | number): Tensor {
  return binaryInPlace('sub_', map.sub_f32, x, other);
}

/** x *= other. @throws AutogradError if x is part of a graph; @throws ShapeError if x's shape would change. */
export function mul_(x: Tensor, other: Tensor | number): Tensor {
  return binaryInPlace('mul_', map.mul_f32, x, other);
}

/** All elements become 0. @throws AutogradError if x is part of a graph. */
export function zero_(x: Tensor): Tensor {
  checkInPlace('zero_', x);
  elementsOf('zero_', x).fill(0);
  x.storage.version += 1;
  return x;
}
