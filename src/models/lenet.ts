/** @file LeNet-5 for 28 x 28 images. */
import { Conv2d } from '../nn/conv.ts';
import { Linear } from '../nn/layers.ts';
import { Sequential } from '../nn/sequential.ts';
import { Flatten, MaxPool2d, Tanh } from '../nn/stateless.ts';

/**
 * LeNet-5 with max-pooling, 61,706 parameters: conv 6@5x5 (padding 2), tanh, pool 2, conv 16@5x5, tanh, pool 2, 120, 84, `classes`.
 *
 * Shapes: images [N, 1, 28, 28] -> logits [N, classes].
 *
 * @see LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, 1998
 * @example
 * lenet5().forward(images).shape; // => [8, 10]
 */
export function lenet5(options: { readonly classes?: number } = {}): Sequential {
  return new Sequential(
    new Conv2d(1, 6, 5, { padding: 2 }),
    new Tanh(),
    new MaxPool2d(2),
    new Conv2d(6, 16, 5),
    new Tanh(),
    new MaxPool2d(2),
    new Flatten(),
    new Linear(400, 120),
    new Tanh(),
    new Linear(120, 84),
    new Tanh(),
    new Linear(84, options.classes ?? 10),
  );
}
