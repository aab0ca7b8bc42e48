/**
 * conv2d with `winograd`: the convolution and its gradients by another way. In float64, where both ways run the references, they agree to rounding; in
 * float32 the bits are those of the kernels, whose error test/kernels/winograd.test.ts bounds.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { callArrays } from '../../kernels/runtime/arrays.ts';
import { winograd_conv2d_f32_forward } from '../../kernels/winograd.ts';
import { gradcheck, gradgradcheck } from '../../src/autograd/gradcheck.ts';
import '../../src/install.ts';
import { Conv2d } from '../../src/nn/conv.ts';
import { moduleFromSpec } from '../../src/nn/spec.ts';
import { conv2d } from '../../src/ops/conv.ts';
import { randn } from '../../src/tensor/create.ts';
import { manualSeed } from '../../src/tensor/randomness.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

beforeEach(() => manualSeed(5));

const values = (tensor: Tensor | undefined): number[] => [...tensor!.toTypedArray()];

/** Output and gradients of a loss whose gradient is not the same everywhere. */
function everything(
  dtype: 'float32' | 'float64',
  winograd: 2 | 4 | undefined,
  padding: readonly [number, number],
): number[][] {
  manualSeed(5);
  const leaf = (shape: readonly number[]): Tensor => randn(shape, { dtype, requiresGrad: true });
  const [x, weight, bias] = [leaf([2, 3, 6, 7]), leaf([4, 3, 3, 3]), leaf([4])];
  const y = conv2d(x, weight, bias, { padding, ...(winograd === undefined ? {} : { winograd }) });
  y.mul(y).sum().backward();
  return [values(y), values(x.grad), values(weight.grad), values(bias.grad)];
}

describe.each([2, 4] as const)('in tiles of %i', (winograd) => {
  it.each([[[1, 1]], [[0, 2]]] as const)('agrees with the direct way in float64, padding %j', (padding) => {
    const [found, expected] = [everything('float64', winograd, padding), everything('float64', undefined, padding)];
    // Some 100 roundings of 2^-53 relative to sums of less than 10^5 (the constants of the transforms make them up to 2304 times larger).
    found.forEach((list, i) => {
      list.forEach((value, j) => {
        expect(Math.abs(value - expected[i]![j]!), `${i}, ${j}`).toBeLessThan(1e-9);
      });
    });
  });

  it('runs Winograd’s kernels in float32', () => {
    const [x, weight] = [randn([1, 3, 6, 7]), randn([4, 3, 3, 3])];
    const y = new Float32Array(4 * 6 * 7);
    const data = { x: x.toTypedArray() as Float32Array, weight: weight.toTypedArray() as Float32Array, y };
    const sizes = { n: 1, c: 3, h: 6, w: 7, o: 4, paddingH: 1, paddingW: 1, tile: winograd };
    callArrays(winograd_conv2d_f32_forward, { ...data, ...sizes });
    expect(values(conv2d(x, weight, undefined, { padding: 1, winograd }))).toEqual([...y]);
    const [found, direct] = [everything('float32', winograd, [1, 1]), everything('float32', undefined, [1, 1])];
    for (const i of [0, 1, 2]) expect(found[i]).not.toEqual(direct[i]);
  });

  it('has gradients, and gradients of gradients', () => {
    const leaf = (shape: readonly number[]): Tensor => randn(shape, { dtype: 'float64', requiresGrad: true });
    const call = (x: Tensor, weight: Tensor): Tensor => conv2d(x, weight, undefined, { padding: 1, winograd });
    const inputs = [leaf([1, 2, 4, 3]), leaf([2, 2, 3, 3])] as const;
    expect(() => gradcheck(call as never, inputs)).not.toThrow();
    expect(() => gradgradcheck(call as never, inputs)).not.toThrow();
  });
});

it('is an option of the layer, and travels in its spec', async () => {
  const layer = new Conv2d(16, 16, 3, { padding: 1, winograd: 4 });
  const copy = (await moduleFromSpec(layer.toSpec())) as Conv2d;
  expect(copy.options).toEqual({ padding: 1, winograd: 4 });
  const x = randn([1, 16, 9, 9]);
  expect(values(layer.forward(x))).toEqual(values(conv2d(x, layer.weight, layer.bias, { padding: 1, winograd: 4 })));
});
