/** @file Convolution layers: names, shapes, initial values and specs as in PyTorch, groups and dilation, errors. */
import { describe, expect, it } from 'vitest';
import '../../src/install.ts';
import {
  Conv1d,
  Conv2d,
  ConvTranspose1d,
  ConvTranspose2d,
  functional,
  type Module,
  moduleFromSpec,
} from '../../src/nn/index.ts';
import { manualSeed, rand, type Tensor } from '../../src/tensor/index.ts';

const images = (channels: number) => rand([2, channels, 7, 6]);
const sequences = (channels: number) => rand([2, channels, 9]);

describe('convolution layers', () => {
  it('have the names and shapes of PyTorch', () => {
    const shapes = (module: Module) => [...module.stateDict()].map(([name, { shape }]) => `${name} ${shape}`);
    expect(shapes(new Conv2d(4, 6, [3, 2], { groups: 2 }))).toEqual(['weight 6,2,3,2', 'bias 6']);
    expect(shapes(new Conv1d(4, 6, 3, { bias: false }))).toEqual(['weight 6,4,3']);
    expect(shapes(new ConvTranspose2d(4, 6, [3, 2], { groups: 2 }))).toEqual(['weight 4,3,3,2', 'bias 6']);
    expect(shapes(new ConvTranspose1d(4, 6, 3))).toEqual(['weight 4,6,3', 'bias 6']);
  });

  it('start within 1 / sqrt of the second and later sizes of the weight, which PyTorch takes for transposed ones as well', () => {
    manualSeed(1);
    for (const [layer, fan] of [
      [new Conv2d(8, 64, 3, { groups: 4 }), 2 * 9],
      [new ConvTranspose2d(64, 8, 3, { groups: 2 }), 4 * 9],
      [new Conv1d(6, 64, 5), 30],
      [new ConvTranspose1d(64, 6, 5), 30],
    ] as const) {
      const largest = Math.max(...layer.weight.abs().toTypedArray());
      expect(largest).toBeLessThanOrEqual(1 / Math.sqrt(fan));
      // Of some 1000 uniform numbers the largest is below 0.95 of the bound with a chance of 0.95^1000 < 1e-22.
      expect(largest).toBeGreaterThan(0.95 / Math.sqrt(fan));
    }
  });

  it('compute what the functions compute', () => {
    const options = { stride: 2, padding: 1, dilation: 2, groups: 2 };
    const conv2d = new Conv2d(4, 6, 3, options);
    const [x2, x1] = [images(4), sequences(4)];
    const same = (a: Tensor, b: Tensor) => expect(a.toArray()).toEqual(b.toArray());
    same(conv2d.forward(x2), functional.conv2d(x2, conv2d.weight, conv2d.bias, options));
    const conv1d = new Conv1d(4, 6, 3, options);
    same(conv1d.forward(x1), functional.conv1d(x1, conv1d.weight, conv1d.bias, options));
    const up = { ...options, outputPadding: 1 };
    const transposed2d = new ConvTranspose2d(4, 6, 3, up);
    const expected = functional.convTranspose2d(x2, transposed2d.weight, transposed2d.bias, up);
    expect(transposed2d.forward(x2).shape).toEqual([2, 6, 16, 14]);
    same(transposed2d.forward(x2), expected);
    const transposed1d = new ConvTranspose1d(4, 6, 3, up);
    expect(transposed1d.forward(x1).shape).toEqual([2, 6, 20]);
  });

  it('come back from their specs', async () => {
    const options = { stride: 2, groups: 2, bias: false };
    for (const [layer, x] of [
      [new Conv2d(4, 6, 3, options), images(4)],
      [new Conv1d(4, 6, 3, options), sequences(4)],
      [new ConvTranspose2d(4, 6, 3, options), images(4)],
      [new ConvTranspose1d(4, 6, 3, options), sequences(4)],
    ] as const) {
      const spec = JSON.parse(JSON.stringify(layer.toSpec()));
      expect(spec.type).toBe(layer.constructor.name);
      const copy = await moduleFromSpec(spec);
      copy.loadStateDict(layer.stateDict());
      expect(copy.forward(x).toArray()).toEqual(layer.forward(x).toArray());
    }
  });

  it('refuse groups that do not divide the channels, and sizes below 1', () => {
    const wrong = [
      () => new Conv2d(4, 6, 3, { groups: 4 }),
      () => new Conv2d(3, 6, 3, { groups: 2 }),
      () => new Conv1d(4, 6, 0),
      () => new ConvTranspose2d(4, 6, [1, 0]),
      () => new ConvTranspose1d(0, 6, 1),
      () => new Conv2d(4, 6, 3, { groups: 0 }),
    ];
    for (const call of wrong) expect(call).toThrow(expect.objectContaining({ code: 'ARGUMENT' }));
  });
});
