/** @file Adam, AdamW, RMSprop and Adagrad against PyTorch's paths; the same record on tensors, pointers, arrays and the Trainer's slices. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { KernelArray } from '../../kernels/define.ts';
import { callPointers, callReference } from '../../kernels/runtime/call.ts';
import { allocate, f32, free } from '../../kernels/runtime/memory.ts';
import '../../src/install.ts';
import { powers } from '../../src/optim/adam.ts';
import {
  Adagrad,
  Adam,
  AdamW,
  type AnyOptimizerSpec,
  adagrad,
  adam,
  adamw,
  type KernelRunner,
  type Optimizer,
  optimizerFromSpec,
  RMSprop,
  rmsprop,
} from '../../src/optim/index.ts';
import { manualSeed, rand, type Tensor, tensor } from '../../src/tensor/index.ts';
import { SliceUpdater } from '../../src/train/slice-updater.ts';

type Options = Readonly<Record<string, number | boolean | readonly [number, number]>>;
interface Run {
  readonly name: keyof typeof kinds;
  readonly options: Options;
  readonly path: readonly (readonly number[])[];
}

const kinds = {
  Adam: [(options: Options) => adam(options), (w: Tensor, options: Options) => new Adam([w], options)],
  AdamW: [(options: Options) => adamw(options), (w: Tensor, options: Options) => new AdamW([w], options)],
  RMSprop: [(options: Options) => rmsprop(options), (w: Tensor, options: Options) => new RMSprop([w], options)],
  Adagrad: [(options: Options) => adagrad(options), (w: Tensor, options: Options) => new Adagrad([w], options)],
} satisfies Record<string, readonly [(o: Options) => AnyOptimizerSpec, (w: Tensor, o: Options) => Optimizer]>;

const golden = JSON.parse(readFileSync(new URL('../golden/pytorch-optim.json', import.meta.url), 'utf8')) as {
  readonly runs: readonly Run[];
};
const camel = (options: Options): Options =>
  Object.fromEntries(
    Object.entries(options).map(([name, value]) => [
      name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
      value,
    ]),
  );
const runs = golden.runs.map(({ name, options, path }) => {
  const [specOf, optimizerOf] = kinds[name];
  return [`${name} ${JSON.stringify(options)}`, { options: camel(options), path, specOf, optimizerOf }] as const;
});

const codeOf = (fn: () => unknown): string | undefined => {
  try {
    fn();
  } catch (error) {
    return (error as { code?: string }).code;
  }
  return undefined;
};

describe.each(runs)('%s', (_, { options, path, specOf, optimizerOf }) => {
  it.each(['float64', 'float32'] as const)('follows PyTorch for 20 steps in %s', (dtype) => {
    const w = tensor([0.5, -1.25, 0.75, 1.5, -0.625], { dtype, requiresGrad: true });
    const factor = tensor([1, 0.25, 2, -0.5, 0.75], { dtype });
    const optimizer = optimizerOf(w, options);
    // A step rounds the weight (below 2: half an ulp is 2^-24 or 2^-53) and about 16 other numbers, which move a step of at most 0.2 by a fraction
    // of 16 half ulps: together below 8 of them a step. Ten times that, because wrong weights make wrong gradients in the steps that follow.
    const perStep = 10 * 8 * (dtype === 'float64' ? 2 ** -53 : 2 ** -24);
    path.forEach((expected, t) => {
      optimizer.zeroGrad();
      w.square().mul(factor).sum().backward();
      optimizer.step();
      w.toTypedArray().forEach((value, i) => {
        expect(Math.abs(value - expected[i]!), `step ${t}, element ${i}`).toBeLessThan((t + 1) * perStep);
      });
    });
  });

  it('gives the same bits on tensors, pointers out of place, arrays, and the slices of the Trainer', () => {
    manualSeed(3);
    const length = 37;
    const cut = 16;
    const x = rand([length], { requiresGrad: true });
    const start = x.toTypedArray() as Float32Array;
    const optimizer = optimizerOf(x, options);
    const spec = specOf(options);
    const record = optimizerFromSpec(structuredClone(spec));
    const states = record.stateNames;
    expect(optimizer.record.stateNames).toEqual(states);

    const arrays = { weight: start.slice(), state: states.map(() => new Float32Array(length)) };
    const byArray: KernelRunner<KernelArray> = (kernel, values) =>
      callReference(
        kernel,
        'float32',
        values.map((value) => value ?? new Float32Array(0)),
      );
    const slots = [0, 1].map(() => ({ weight: allocate(4 * length), state: states.map(() => allocate(4 * length)) }));
    const gradientPointer = allocate(4 * length);
    f32(slots[0]!.weight, length).set(start);
    for (const pointer of slots[0]!.state) f32(pointer, length).fill(0);
    const byPointer: KernelRunner<number> = (kernel, values) =>
      callPointers(
        kernel,
        values.map((value) => value ?? 0),
      );
    const updater = new SliceUpdater(optimizerFromSpec(spec), length);
    let slices = [start.slice(0, cut), start.slice(cut)].map((weights) => ({
      weights,
      moments: new Float32Array(states.length * weights.length),
    }));
    for (let step = 0; step < 4; step++) {
      optimizer.zeroGrad();
      x.square().sum().backward();
      const gradient = x.gradient!.tensor.toTypedArray() as Float32Array;
      optimizer.step();
      const at = { step, lr: spec.lr };
      const { weight, state } = arrays;
      record.update(byArray, { length, gradient, weight, state, weightOut: weight, stateOut: state }, at);
      f32(gradientPointer, length).set(gradient);
      const [from, to] = step % 2 === 0 ? [slots[0]!, slots[1]!] : [slots[1]!, slots[0]!];
      const slice = { weight: from.weight, state: from.state, weightOut: to.weight, stateOut: to.state };
      record.update(byPointer, { length, gradient: gradientPointer, ...slice }, at);
      slices = slices.map((old, k) => {
        const gradients = [gradient.subarray(k * cut, k * cut + old.weights.length)];
        const next = { weights: new Float32Array(old.weights.length), moments: new Float32Array(old.moments.length) };
        updater.update({ gradients, totalWeight: 1, old, next, step: at });
        return next;
      });
      const expected = x.toTypedArray();
      expect(weight).toEqual(expected);
      expect(f32(to.weight, length).slice()).toEqual(expected);
      expect(slices.flatMap(({ weights }) => [...weights])).toEqual([...expected]);
    }
    updater.close();
    for (const slot of slots) [slot.weight, ...slot.state].forEach(free);
    free(gradientPointer);
  });
});

describe('powers', () => {
  it('are running products from the left, in any order of asking', () => {
    const power = powers(0.999);
    const product = (n: number): number => Array.from({ length: n }).reduce<number>((p) => p * 0.999, 1);
    for (const exponent of [1, 2, 3, 1000, 7, 0, 8]) expect(power(exponent)).toBe(product(exponent));
  });
});

describe('state', () => {
  it('is what the options need', () => {
    const namesOf = (spec: AnyOptimizerSpec) => optimizerFromSpec(spec).stateNames;
    expect(namesOf(adam())).toEqual(['expAvg', 'expAvgSq']);
    expect(namesOf(rmsprop())).toEqual(['squareAvg']);
    expect(namesOf(rmsprop({ momentum: 0.9 }))).toEqual(['squareAvg', 'momentum']);
    expect(namesOf(rmsprop({ centered: true }))).toEqual(['squareAvg', 'gradAvg']);
    expect(namesOf(adagrad())).toEqual(['sum']);
  });
});

describe('options', () => {
  it('have the defaults of PyTorch', () => {
    expect(adam()).toEqual({ name: 'adam', lr: 0.001, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0 });
    expect(adamw()).toMatchObject({ name: 'adamw', weightDecay: 0.01 });
    expect(rmsprop()).toMatchObject({ lr: 0.01, alpha: 0.99, eps: 1e-8, momentum: 0, centered: false });
    expect(adagrad()).toMatchObject({ lr: 0.01, lrDecay: 0, initialAccumulatorValue: 0, eps: 1e-10 });
  });

  it.each([
    ['beta of 1', () => adam({ betas: [0.9, 1] })],
    ['beta NaN', () => adam({ betas: [Number.NaN, 0.9] })],
    ['negative eps', () => adam({ eps: -1 })],
    ['negative decay', () => adamw({ weightDecay: -1 })],
    ['negative lr', () => rmsprop({ lr: -1 })],
    ['alpha above 1', () => rmsprop({ alpha: 1.1 })],
    ['negative momentum', () => rmsprop({ momentum: -0.1 })],
    ['negative lrDecay', () => adagrad({ lrDecay: -0.1 })],
    ['negative start', () => adagrad({ initialAccumulatorValue: -0.1 })],
  ])('refuse: %s', (_, call) => {
    expect(codeOf(call)).toBe('ARGUMENT');
  });
});
