/** @file The backward pass: chains, diamonds, graphs of gradients, misuse, hard numbers; gradcheck catches wrong rules. */
import { describe, expect, it } from 'vitest';
import { neg_f32 as negKernel, square_f32 as squareKernel } from '../../kernels/map.ts';
import { blockCount } from '../../kernels/runtime/memory.ts';
import { grad, gradcheck, gradgradcheck } from '../../src/autograd/index.ts';
import '../../src/install.ts';
import { apply, defineOp, sameAsFirst } from '../../src/ops/define.ts';
import * as F from '../../src/ops/index.ts';
import { noGrad } from '../../src/ops/index.ts';
import { arange, manualSeed, ones, randn, scope, type Tensor, tensor, zeros } from '../../src/tensor/index.ts';

const codeOf = (fn: () => unknown): string | undefined => {
  try {
    fn();
  } catch (error) {
    return (error as { code?: string }).code;
  }
  return undefined;
};

const leaf = (...values: number[]): Tensor => tensor(values, { requiresGrad: true });
const wide = (...values: number[]): Tensor => tensor(values, { dtype: 'float64', requiresGrad: true });

describe('backward', () => {
  it('walks a chain of 100,000 operations', () => {
    const x = leaf(1);
    let y = x.mul(1);
    for (let i = 0; i < 100_000; i++) y = y.add(i % 2 === 0 ? 1 : -1);
    y.backward();
    expect(y.item()).toBe(1);
    expect(x.grad?.toArray()).toEqual([1]);
  });

  it('adds up diamonds and repeated use, once each', () => {
    const x = leaf(3);
    const y = x.mul(x);
    y.add(y).add(y.mul(x)).backward();
    // d(2 x^2 + x^3) = 4 x + 3 x^2.
    expect(x.grad?.item()).toBe(12 + 27);
  });

  it('walks a ladder of 2^60 paths in 120 steps', () => {
    const x = leaf(1);
    let y = x.mul(1);
    for (let i = 0; i < 60; i++) y = y.add(y);
    y.backward();
    expect(x.grad?.item()).toBe(2 ** 60);
  });

  it('accumulates over passes, and leaves what was read as it was', () => {
    const x = leaf(2);
    x.mul(3).backward();
    const first = x.grad!;
    x.mul(4).backward();
    expect([first.item(), x.grad?.item()]).toEqual([3, 7]);
    x.zeroGrad();
    expect(first.item()).toBe(3);
    expect(x.grad).toBeUndefined();
  });

  it('starts from a given gradient or from a leaf', () => {
    const x = leaf(1, 2);
    x.mul(2).backward({ gradient: tensor([10, 20]) });
    expect(x.grad?.toArray()).toEqual([20, 40]);
    const y = leaf(5);
    y.backward();
    expect(y.grad?.item()).toBe(1);
  });

  it('computes only what is wanted', () => {
    const x = leaf(2);
    const constant = tensor([3]);
    x.mul(constant).backward();
    expect(constant.grad).toBeUndefined();
    expect(x.grad?.item()).toBe(3);
  });

  it.each([
    ['no graph', () => tensor([1]).backward(), 'AUTOGRAD'],
    ['computed under noGrad', () => noGrad(() => leaf(1).mul(2)).backward(), 'AUTOGRAD'],
    ['several elements', () => leaf(1, 2).mul(2).backward(), 'SHAPE'],
    [
      'a gradient of another shape',
      () =>
        leaf(1, 2)
          .mul(2)
          .backward({ gradient: ones([3]) }),
      'SHAPE',
    ],
    [
      'a gradient of another dtype',
      () =>
        leaf(1)
          .mul(2)
          .backward({ gradient: ones([1], { dtype: 'float64' }) }),
      'SHAPE',
    ],
    ['grad of a constant', () => grad(leaf(1).mul(2), tensor([1])), 'AUTOGRAD'],
    ['requiresGrad_ of a result', () => leaf(1).mul(2).requiresGrad_(), 'AUTOGRAD'],
    ['a promise under noGrad', () => noGrad(async () => 1), 'AUTOGRAD'],
  ])('refuses: %s', (_, call, code) => {
    expect(codeOf(call)).toBe(code);
  });

  it('walks a graph once unless it is retained', () => {
    const x = leaf(2);
    const y = x.mul(x);
    y.backward({ retainGraph: true });
    y.backward();
    expect(x.grad?.item()).toBe(8);
    expect(() => y.backward()).toThrow(
      /^backward: the graph can be walked once, got the node of mul again\. Pass \{ retainGraph/,
    );
    expect(x.grad?.item()).toBe(8);
  });

  it('notices saved values that were changed in place', () => {
    const x = leaf(2);
    const factor = tensor([3]);
    const y = x.mul(factor);
    factor.add_(1);
    expect(() => y.backward()).toThrow(/^backward: mul needs a value that was changed in place/);
    expect(x.gradient).toBeUndefined();
    const z = x.add(factor);
    factor.add_(1);
    z.backward();
    expect(x.grad?.item()).toBe(1);
  });

  it('notices a change through a detached twin and through copyFrom', () => {
    const x = leaf(2);
    const middle = x.mul(2);
    const loss = middle.mul(middle);
    middle.detach().zero_();
    expect(codeOf(() => loss.backward())).toBe('AUTOGRAD');
    const other = x.mul(x);
    x.copyFrom([5]);
    expect(codeOf(() => other.backward())).toBe('AUTOGRAD');
  });

  it('leaves gradients and memory as they were when a rule throws', () => {
    const failing = defineOp({
      name: 'failing',
      shape: sameAsFirst,
      forward: ({ output, inputs: [x], run }) => run(negKernel, [x, output, output.length]),
      backward: () => {
        throw new Error('in the rule');
      },
    });
    const x = ones([2000], { requiresGrad: true });
    x.sum().backward();
    const once = (): void =>
      scope(() =>
        expect(() =>
          apply(failing, [x.mul(2)], undefined)
            .sum()
            .add(x.sum())
            .backward(),
        ).toThrow('in the rule'),
      );
    once();
    const before = blockCount();
    for (let i = 0; i < 5; i++) once();
    expect(blockCount()).toBe(before);
    expect(x.grad?.toTypedArray().every((value) => value === 1)).toBe(true);
  });
});

describe('grad', () => {
  it('differentiates with respect to leaves and results, and changes no grad', () => {
    const x = leaf(2);
    const y = x.mul(x);
    const z = y.mul(x);
    const [dx, dy] = grad(z, [x, y]);
    expect([dx?.item(), dy?.item()]).toEqual([12, 2]);
    expect(x.gradient).toBeUndefined();
  });

  it('gives undefined for inputs that do not matter', () => {
    const [a, b] = grad(leaf(1).mul(2), [leaf(1), leaf(2)]);
    expect([a, b]).toEqual([undefined, undefined]);
  });

  it('differentiates again', () => {
    const x = wide(2);
    let y = x.mul(x).mul(x).mul(x);
    const found: number[] = [];
    for (let order = 1; order <= 5; order++) {
      const [derivative] = grad(y, x, { createGraph: true });
      found.push(derivative?.item() ?? 0);
      if (derivative === undefined || !derivative.requiresGrad) break;
      y = derivative;
    }
    expect(found).toEqual([32, 48, 48, 24]);
  });

  it('trains through a gradient penalty', () => {
    const x = wide(0.5, -1);
    const [g] = grad(x.tanh().sum(), x, { createGraph: true });
    g!.square().sum().backward();
    const expected = [0.5, -1].map((v) => {
      const t = Math.tanh(v);
      return 2 * (1 - t * t) * (-2 * t * (1 - t * t));
    });
    x.grad?.toTypedArray().forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i]!, 12);
    });
  });

  it('keeps inputs of one fused operation apart when one was computed from the other', () => {
    const weight = arange(1, 5, { dtype: 'float64' }).reshape([2, 2]).requiresGrad_();
    gradgradcheck((w) => F.linear(w.mul(0.5), w), [weight]);
    const x = weight.mul(0.5);
    const [dx, dw] = grad(F.linear(x, weight).sum(), [x, weight], { createGraph: true });
    const [dxPlain, dwPlain] = grad(F.linear(x, weight).sum(), [x, weight]);
    expect(dx?.toArray()).toEqual(dxPlain?.toArray());
    expect(dw?.toArray()).toEqual(dwPlain?.toArray());
  });
});

describe('gradcheck', () => {
  const wrong = defineOp({
    name: 'wrong',
    shape: sameAsFirst,
    forward: ({ output, inputs: [x], run }) => run(squareKernel, [x, output, output.length]),
    saves: [0],
    backward: ({ saved: [x] }, gradient) => [gradient.mul(x)],
  });

  it('catches a wrong rule', () => {
    expect(() => gradcheck((x) => apply(wrong, [x], undefined), [wide(1, 2)])).toThrow(
      /^gradcheck: the gradient must equal .* got 1 and .* element 0 of input 0/,
    );
  });

  it('catches a wrong second derivative', () => {
    const detaching = defineOp({
      name: 'detaching',
      shape: sameAsFirst,
      forward: ({ output, inputs: [x], run }) => run(squareKernel, [x, output, output.length]),
      saves: [0],
      backward: ({ saved: [x] }, gradient) => [gradient.mul(x.detach()).mul(2)],
    });
    const fn = (x: Tensor): Tensor => apply(detaching, [x], undefined);
    gradcheck(fn, [wide(1, 2)]);
    expect(codeOf(() => gradgradcheck(fn, [wide(1, 2)]))).toBe('AUTOGRAD');
  });

  it('refuses float32', () => {
    expect(codeOf(() => gradcheck((x) => x.mul(2), [leaf(1)]))).toBe('DTYPE');
  });
});

describe('hard numbers', () => {
  it('survives large logits and rows that do not count', () => {
    const x = tensor([
      [1000, 0],
      [-1000, 1000],
    ]).requiresGrad_();
    const y = F.logSoftmax(x);
    expect(y.toArray()).toEqual([
      [0, -1000],
      [-2000, 0],
    ]);
    const targets = tensor([1, 1], { dtype: 'int32' });
    const loss = F.crossEntropy(x, targets);
    expect(loss.item()).toBe(500);
    loss.backward();
    expect(x.grad?.toArray()).toEqual([
      [0.5, -0.5],
      [0, 0],
    ]);
    const ignored = tensor([-100, -100], { dtype: 'int32' });
    expect(F.crossEntropy(x, ignored).item()).toBeNaN();
    expect(F.crossEntropySum(x, ignored)).toMatchObject({ weight: 0 });
  });

  it('has finite ends: sigmoid, tanh', () => {
    const x = leaf(-1000, 1000, 0);
    const y = F.sigmoid(x);
    expect(y.toArray()).toEqual([0, 1, 0.5]);
    y.sum().backward();
    expect(x.grad?.toArray()).toEqual([0, 0, 0.25]);
    expect(F.tanh(tensor([-1000, 1000])).toArray()).toEqual([-1, 1]);
  });

  it('chooses at kinks and ties as documented', () => {
    const x = leaf(0, 2, 2);
    F.relu(x).add(F.abs(x)).sum().backward();
    expect(x.grad?.toArray()).toEqual([0, 2, 2]);
    x.zeroGrad();
    F.amax(x).backward();
    expect(x.grad?.toArray()).toEqual([0, 1, 0]);
    const [a, b] = [leaf(1), leaf(1)];
    F.maximum(a, b).backward();
    expect([a.grad?.item(), b.grad?.item()]).toEqual([0, 1]);
    expect(F.argmax(tensor([1, Number.NaN, 3])).item()).toBe(1);
  });

  it('sums ten million tenths and means nothing', () => {
    expect(Math.abs(F.sum(F.mul(ones([10_000_000]), 0.1)).item() - 1e6)).toBeLessThan(1);
    expect(F.mean(zeros([0])).item()).toBeNaN();
    expect(F.sum(zeros([0])).item()).toBe(0);
  });
});

describe('dropout', () => {
  it('drops with the given probability, scales the rest, and repeats with the seed', () => {
    manualSeed(3);
    const x = ones([10_000], { requiresGrad: true });
    const y = F.dropout(x, { p: 0.25 });
    const values = Array.from(y.toTypedArray());
    expect(new Set(values)).toEqual(new Set([0, Math.fround(1 / 0.75)]));
    // Binomial: standard deviation 43; five of them.
    expect(Math.abs(values.filter((value) => value === 0).length - 2500)).toBeLessThan(217);
    y.sum().backward();
    expect(x.grad?.toTypedArray()).toEqual(y.toTypedArray());
    manualSeed(3);
    expect(F.dropout(x, { p: 0.25 }).toTypedArray()).toEqual(y.toTypedArray());
    expect(F.dropout(x, { p: 0.25 }).toTypedArray()).not.toEqual(y.toTypedArray());
    expect(F.dropout(x, { training: false })).toBe(x);
  });
});

describe('a small regression', () => {
  it('finds the line', () => {
    const x = arange(0, 1, { step: 1 / 64, dtype: 'float64' });
    const y = x.mul(3).add(0.5);
    const a = wide(0);
    const b = wide(0);
    for (let i = 0; i < 600; i++) {
      a.zeroGrad();
      b.zeroGrad();
      x.mul(a).add(b).sub(y).square().mean().backward();
      noGrad(() => {
        a.sub_(a.grad!.mul(0.5));
        b.sub_(b.grad!.mul(0.5));
      });
    }
    // Each step multiplies the error by 1 - eigenvalues of the mean of (x, 1)(x, 1)^T, 0.066 and 1.27: 0.934^600 = 2e-18.
    expect(a.item()).toBeCloseTo(3, 6);
    expect(b.item()).toBeCloseTo(0.5, 6);
    expect(randn([0]).size).toBe(0);
  });
});
