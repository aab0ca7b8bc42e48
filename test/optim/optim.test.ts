/** @file SGD against PyTorch's rule written out in float64, the record on tensors, pointers and arrays, schedules. */
import { describe, expect, it } from 'vitest';
import type { KernelArray } from '../../kernels/define.ts';
import { callPointers, callReference } from '../../kernels/runtime/call.ts';
import { allocate, f32, free } from '../../kernels/runtime/memory.ts';
import '../../src/install.ts';
import {
  constant,
  type KernelRunner,
  learningRateAt,
  linearDecay,
  optimizerFromSpec,
  SGD,
  type SgdOptions,
  sgd,
  step,
} from '../../src/optim/index.ts';
import { manualSeed, ones, rand, type Tensor } from '../../src/tensor/index.ts';

const codeOf = (fn: () => unknown): string | undefined => {
  try {
    fn();
  } catch (error) {
    return (error as { code?: string }).code;
  }
  return undefined;
};

const variants: readonly (readonly [string, SgdOptions])[] = [
  ['plain', { lr: 0.1 }],
  ['momentum', { lr: 0.1, momentum: 0.9 }],
  ['dampening', { lr: 0.1, momentum: 0.9, dampening: 0.3 }],
  ['nesterov', { lr: 0.1, momentum: 0.9, nesterov: true }],
  ['weight decay', { lr: 0.1, weightDecay: 0.05 }],
  ['all', { lr: 0.05, momentum: 0.8, weightDecay: 0.01, nesterov: true }],
];

/** torch.optim.SGD, one scalar at a time. */
function torchSgd(options: SgdOptions): (weight: number, gradient: number) => number {
  const { lr, momentum = 0, dampening = 0, weightDecay = 0, nesterov = false } = options;
  let buffer: number | undefined;
  return (weight, gradient) => {
    let d = gradient + weightDecay * weight;
    if (momentum !== 0) {
      buffer = buffer === undefined ? d : momentum * buffer + (1 - dampening) * d;
      d = nesterov ? d + momentum * buffer : buffer;
    }
    return weight - lr * d;
  };
}

describe.each(variants)('SGD: %s', (_, options) => {
  it.each(['float64', 'float32'] as const)('follows PyTorch’s rule in %s', (dtype) => {
    manualSeed(1);
    const x = rand([7], { dtype, requiresGrad: true });
    const expected = Array.from(x.toTypedArray());
    const rules = expected.map(() => torchSgd(options));
    const optimizer = new SGD([x], options);
    for (let i = 0; i < 10; i++) {
      optimizer.zeroGrad();
      x.square().sum().backward();
      optimizer.step();
      expected.forEach((value, k) => {
        expected[k] = rules[k]!(value, 2 * value);
      });
    }
    // Ten steps of fewer than ten roundings each of numbers up to about 1.
    const tolerance = 100 * (dtype === 'float64' ? 2 ** -53 : 2 ** -24);
    x.toTypedArray().forEach((value, k) => {
      expect(Math.abs(value - expected[k]!)).toBeLessThan(tolerance);
    });
  });

  it('gives the same bits on tensors, on slices by pointer out of place, and on arrays', () => {
    manualSeed(2);
    const length = 37;
    const x = rand([length], { requiresGrad: true });
    const start = x.toTypedArray();
    const optimizer = new SGD([x], options);
    const record = optimizerFromSpec(structuredClone(sgd(options)));
    expect(record.stateNames).toEqual(options.momentum ? ['momentum'] : []);

    const arrays = { weight: start.slice(), state: record.stateNames.map(() => new Float32Array(length)) };
    const byArray: KernelRunner<KernelArray> = (kernel, values) =>
      callReference(
        kernel,
        'float32',
        values.map((value) => value ?? new Float32Array(0)),
      );
    const slots = [0, 1].map(() => ({
      weight: allocate(4 * length),
      state: record.stateNames.map(() => allocate(4 * length)),
    }));
    const gradientPointer = allocate(4 * length);
    f32(slots[0]!.weight, length).set(start as Float32Array);
    for (const pointer of slots[0]!.state) f32(pointer, length).fill(0);
    const byPointer: KernelRunner<number> = (kernel, values) =>
      callPointers(
        kernel,
        values.map((value) => value ?? 0),
      );
    for (let i = 0; i < 4; i++) {
      optimizer.zeroGrad();
      x.square().sum().backward();
      const gradient = x.gradient!.tensor.toTypedArray();
      optimizer.step();
      const at = { step: i, lr: options.lr };
      const array = {
        length,
        gradient,
        weight: arrays.weight,
        state: arrays.state,
        weightOut: arrays.weight,
        stateOut: arrays.state,
      };
      record.update(byArray, array, at);
      f32(gradientPointer, length).set(gradient);
      const [from, to] = i % 2 === 0 ? [slots[0]!, slots[1]!] : [slots[1]!, slots[0]!];
      const sliceOf = {
        length,
        gradient: gradientPointer,
        weight: from.weight,
        state: from.state,
        weightOut: to.weight,
        stateOut: to.state,
      };
      record.update(byPointer, sliceOf, at);
      expect(arrays.weight).toEqual(x.toTypedArray());
      expect(f32(to.weight, length).slice()).toEqual(x.toTypedArray());
    }
    for (const slot of slots) [slot.weight, ...slot.state].forEach(free);
    free(gradientPointer);
  });
});

describe('an optimizer', () => {
  it('skips parameters without a gradient and takes a new learning rate', () => {
    const a = ones([1], { requiresGrad: true });
    const b = ones([1], { requiresGrad: true });
    const optimizer = new SGD([a, b], { lr: 1 });
    optimizer.lr = 0.25;
    a.mul(2).backward();
    optimizer.step();
    expect([a.item(), b.item()]).toEqual([0.5, 1]);
  });

  it('does not spoil the gradient that it reads', () => {
    const a = ones([3], { requiresGrad: true });
    const optimizer = new SGD([a], { lr: 1, weightDecay: 1 });
    a.mul(2).sum().backward();
    optimizer.step();
    expect(a.grad?.toArray()).toEqual([2, 2, 2]);
  });

  it('makes a later backward pass through the old values fail', () => {
    const a = ones([1], { requiresGrad: true });
    const optimizer = new SGD([a], { lr: 1 });
    const loss = a.mul(a);
    loss.backward({ retainGraph: true });
    optimizer.step();
    expect(codeOf(() => loss.backward())).toBe('AUTOGRAD');
  });

  it.each([
    ['negative lr', () => sgd({ lr: -1 })],
    ['lr NaN', () => sgd({ lr: Number.NaN })],
    ['negative momentum', () => sgd({ lr: 1, momentum: -0.1 })],
    ['nesterov without momentum', () => sgd({ lr: 1, nesterov: true })],
    ['nesterov with dampening', () => sgd({ lr: 1, nesterov: true, momentum: 0.9, dampening: 0.1 })],
    ['no leaf', () => new SGD([ones([1], { requiresGrad: true }).mul(2)], { lr: 1 })],
    ['no gradient wanted', () => new SGD([ones([1]) as Tensor], { lr: 1 })],
    ['unknown optimizer', () => optimizerFromSpec({ name: 'lion' } as never)],
    ['step of 0', () => step({ every: 0, gamma: 0.1 })],
  ])('refuses: %s', (_, call) => {
    expect(codeOf(call)).toBe('ARGUMENT');
  });
});

describe('schedules', () => {
  const rates = (schedule: Parameters<typeof learningRateAt>[0], base: number, total: number): number[] =>
    Array.from({ length: total }, (_, i) => learningRateAt(schedule, base, i, total));

  it('stay, fall in a line, or in steps', () => {
    expect(rates(constant(), 0.1, 3)).toEqual([0.1, 0.1, 0.1]);
    expect(rates(linearDecay(), 1, 4)).toEqual([1, 0.75, 0.5, 0.25]);
    expect(learningRateAt(linearDecay(), 1, 5, 4)).toBe(0);
    expect(rates(step({ every: 2, gamma: 0.5 }), 1, 6)).toEqual([1, 1, 0.5, 0.5, 0.25, 0.25]);
    expect(learningRateAt(step({ every: 1, gamma: 0.1 }), 1, 2, 9)).toBe(1 * 0.1 * 0.1);
    expect(structuredClone(step({ every: 2, gamma: 0.5 }))).toEqual({ name: 'step', every: 2, gamma: 0.5 });
  });
});
