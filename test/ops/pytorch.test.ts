/** @file Values, gradients, SGD and LeNet against PyTorch 1.13 in float64 (test/golden/pytorch.json, written by pytorch.py beside it). */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import '../../src/install.ts';
import { grad } from '../../src/autograd/index.ts';
import type { DType } from '../../src/dtype.ts';
import { lenet5 } from '../../src/models/index.ts';
import * as F from '../../src/ops/index.ts';
import { SGD } from '../../src/optim/index.ts';
import { fromTypedArray, type Tensor, tensor } from '../../src/tensor/index.ts';

interface Case {
  readonly name: string;
  readonly shapes: number[][];
  readonly attributes: Record<string, [number, number]>;
  readonly shape: number[];
  readonly y: number[];
  readonly gradients: number[][];
}

interface Golden {
  readonly cases: Case[];
  readonly sgd: { options: Record<string, number | boolean>; path: number[][] }[];
  readonly lenet: {
    logits: number[];
    loss: number;
    gradients: { name: string; sum: number; squares: number; first: number[] }[];
  };
}

const golden = JSON.parse(readFileSync(new URL('../golden/pytorch.json', import.meta.url), 'utf8')) as Golden;

/** The generator of pytorch.py. */
function values(shape: readonly number[], seed: number, dtype: DType, low = -1, high = 1): Tensor {
  const out = new Float64Array(shape.reduce((a, b) => a * b, 1));
  let state = seed;
  for (let i = 0; i < out.length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    out[i] = low + (high - low) * ((state >>> 8) / 2 ** 24);
  }
  return fromTypedArray(out, shape, { dtype, requiresGrad: true });
}

const targets = tensor([2, -100, 0, 3], { dtype: 'int32' });

const calls: Record<string, (inputs: Tensor[], attributes: Case['attributes']) => Tensor> = {
  conv2d: ([x, w, b], options) => F.conv2d(x!, w!, b, options),
  // Rounded values have ties; x - detached x carries the gradient and adds exactly 0.
  maxPool2d: ([x], { kernel, ties, ...options }) =>
    F.maxPool2d(
      ties
        ? tensor(Float64Array.from(x!.toTypedArray(), roundToEven), { shape: x!.shape })
            .to(x!.dtype)
            .add(x!.sub(x!.detach()))
        : x!,
      kernel!,
      options,
    ),
  linear: ([x, w, b]) => F.linear(x!, w!, b),
  matmul: ([a, b]) => F.matmul(a!, b!),
  logSoftmax: ([x]) => F.logSoftmax(x!.mul(10), 1),
  softmaxDim0: ([x]) => F.softmax(x!, 0),
  crossEntropy: ([x]) => F.crossEntropy(x!.mul(10), targets),
  crossEntropySum: ([x]) => F.crossEntropy(x!.mul(10), targets, { reduction: 'sum' }),
  nllLoss: ([x]) => F.nllLoss(x!, targets),
  mseLoss: ([a, b]) => F.mseLoss(a!, b!),
  sigmoidTanhRelu: ([x]) =>
    F.sigmoid(x!.mul(5))
      .add(F.tanh(x!.mul(3)))
      .add(F.relu(x!)),
  geluSiluSoftplus: ([x]) =>
    F.gelu(x!.mul(4))
      .add(F.gelu(x!.mul(3), { approximate: 'tanh' }))
      .add(F.silu(x!.mul(5)))
      .add(F.softplus(x!.mul(9), { beta: 2, threshold: 12 })),
  erfSinCosPow: ([a, b]) =>
    F.erf(a!.mul(2))
      .add(F.sin(a!.mul(30)).mul(F.cos(b!.mul(7))))
      .add(F.pow(F.abs(a!).add(0.1), b!.mul(3)))
      .add(F.pow(a!.add(2), -1.5))
      .add(F.expm1(a!).mul(F.log1p(F.abs(b!)))),
  expLogSqrtAbs: ([x]) =>
    F.exp(x!)
      .add(F.log(F.abs(x!).add(1)))
      .add(F.sqrt(F.square(x!).add(1))),
  broadcastDiv: ([a, b]) => F.div(a!, b!.add(3)).sub(a!.mul(b!)),
  meanKeepdim: ([x]) => x!.sub(F.mean(x!, [0, 2], { keepdim: true })),
  amax: ([x]) => F.amax(x!, 0),
  indexSelectCat: ([a, b]) => F.cat([F.indexSelect(a!, 0, [3, 0, 3]), F.narrow(b!, 1, 0, 3)], 0).transpose(),
};

function roundToEven(x: number): number {
  const rounded = Math.round(x);
  return Math.abs(x - Math.trunc(x)) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

function expectNear(got: ArrayLike<number>, expected: readonly number[], tolerance: number): void {
  expect(got.length).toBe(expected.length);
  expected.forEach((value, i) => {
    const error = Math.abs(got[i]! - value);
    if (!(error <= tolerance * Math.max(1, Math.abs(value))))
      expect.fail(`element ${i}: got ${got[i]}, expected ${value}`);
  });
}

// Tens of roundings of numbers up to 30: 1e-13 in float64. In float32 also the inputs are rounded: 2e-5.
const precisions = [
  ['float64', 1e-13],
  ['float32', 2e-5],
] as const;

describe.each(precisions)('in %s', (dtype, tolerance) => {
  it.each(golden.cases.map((one, i) => [`${one.name} ${i}`, one] as const))('%s', (_, one) => {
    const inputs = one.shapes.map((shape, i) => values(shape, 100 + i, dtype));
    const y = calls[one.name]!(inputs, one.attributes);
    expect(y.shape).toEqual(one.shape);
    expectNear(y.toTypedArray(), one.y, tolerance);
    const gradients = grad(y.mul(values(one.shape, 99, dtype).detach()).sum(), inputs);
    gradients.forEach((gradient, i) => {
      expectNear(gradient!.toTypedArray(), one.gradients[i]!, tolerance);
    });
  });

  it.each(golden.sgd.map((one) => [JSON.stringify(one.options), one] as const))('SGD %s', (_, { options, path }) => {
    const w = values([5], 1, dtype);
    const { lr, weight_decay: weightDecay = 0, ...rest } = options as Record<string, number>;
    const optimizer = new SGD([w], { lr: lr!, weightDecay, ...rest });
    const factor = values([5], 2, dtype).detach();
    for (const expected of path) {
      optimizer.zeroGrad();
      F.square(w).mul(factor).sum().backward();
      optimizer.step();
      expectNear(w.toTypedArray(), expected, tolerance / 10);
    }
  });
});

it.each(precisions)('LeNet in %s', (dtype, tolerance) => {
  const net = lenet5();
  const parameters = net.namedParameters();
  // Parameters of another dtype are assigned, not copied.
  const replaced = parameters.map(([, { shape }], i) => values(shape, 200 + i, dtype, -0.1, 0.1));
  net.namedChildren().forEach(([, layer]) => {
    for (const name of ['weight', 'bias']) if (name in layer) Object.assign(layer, { [name]: replaced.shift() });
  });
  const logits = net.forward(values([3, 1, 28, 28], 300, dtype, 0, 1));
  expectNear(logits.toTypedArray(), golden.lenet.logits, tolerance);
  const loss = F.crossEntropy(logits, tensor([7, 0, 3], { dtype: 'int32' }));
  expectNear([loss.item()], [golden.lenet.loss], tolerance);
  loss.backward();
  net.namedParameters().forEach(([name, parameter], i) => {
    const expected = golden.lenet.gradients[i]!;
    expect(name).toBe(expected.name);
    const gradient = Array.from(parameter.grad!.toTypedArray());
    expectNear(gradient.slice(0, 3), expected.first, tolerance);
    const total = (f: (x: number) => number): number => gradient.reduce((sum, x) => sum + f(x), 0);
    // Sums of up to 48,000 elements.
    expectNear([total((x) => x), total((x) => x * x)], [expected.sum, expected.squares], 100 * tolerance);
  });
});
