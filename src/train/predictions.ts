/** @file From the outputs of a classifier to its answers. */
import { ShapeError } from '../errors.ts';
import { formatShape } from '../shape.ts';
import type { Tensor } from '../tensor/tensor.ts';

/**
 * The position of the largest value in each row; the first one among equals, and the first NaN before all numbers (as PyTorch).
 *
 * Shapes: outputs [N, classes] -> N integers.
 *
 * @throws ShapeError unless outputs has two dimensions and at least one class.
 * @example
 * argmax(tensor([[1, 5], [4, 3]])); // => [1, 0]
 */
export function argmax(outputs: Tensor): Int32Array {
  const [rows, classes] = outputs.shape;
  if (outputs.rank !== 2 || rows === undefined || classes === undefined || classes === 0) {
    throw new ShapeError(
      `argmax: outputs must be [N, classes], got ${formatShape(outputs.shape)}. Flatten or reshape them.`,
      {
        shape: outputs.shape,
      },
    );
  }
  const values = outputs.toTypedArray();
  return Int32Array.from({ length: rows }, (_, row) => {
    let best = 0;
    for (let c = 0; c < classes; c++) {
      const value = values[row * classes + c]!;
      const largest = values[row * classes + best]!;
      if (value > largest || (Number.isNaN(value) && !Number.isNaN(largest))) best = c;
    }
    return best;
  });
}
