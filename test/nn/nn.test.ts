/** @file Modules: parameters, state dicts, modes, specs, losses, LeNet. */
import { describe, expect, it } from 'vitest';
import '../../src/install.ts';
import { lenet5 } from '../../src/models/index.ts';
import {
  Conv2d,
  CrossEntropyLoss,
  Dropout,
  Flatten,
  functional,
  GELU,
  Linear,
  type Loss,
  MaxPool2d,
  Module,
  type ModuleSpec,
  MSELoss,
  moduleFromSpec,
  ReLU,
  Sequential,
  SiLU,
  Softplus,
  Tanh,
} from '../../src/nn/index.ts';
import { fromTypedArray, manualSeed, ones, rand, scope, type Tensor, tensor, zeros } from '../../src/tensor/index.ts';
import { Net } from './fixtures/net.ts';

const codeOf = async (fn: () => unknown): Promise<string | undefined> => {
  try {
    await fn();
  } catch (error) {
    return (error as { code?: string }).code;
  }
  return undefined;
};

const valuesOf = (module: Module): unknown[] => [...module.stateDict()].map(([name, value]) => [name, value.toArray()]);

describe('modules', () => {
  it('names parameters as PyTorch does, in order of assignment', () => {
    const net = new Net({ hidden: 3 });
    expect(net.namedParameters().map(([name]) => name)).toEqual([
      'scale',
      'hidden.weight',
      'hidden.bias',
      'blocks.0.weight',
      'blocks.1.weight',
      'blocks.1.bias',
    ]);
    expect(net.namedBuffers().map(([name]) => name)).toEqual(['mean']);
    expect([...net.stateDict().keys()].slice(0, 2)).toEqual(['scale', 'mean']);
    expect([...lenet5().stateDict()].map(([name, { shape }]) => `${name} ${shape}`)).toEqual([
      '0.weight 6,1,5,5',
      '0.bias 6',
      '3.weight 16,6,5,5',
      '3.bias 16',
      '7.weight 120,400',
      '7.bias 120',
      '9.weight 84,120',
      '9.bias 84',
      '11.weight 10,84',
      '11.bias 10',
    ]);
  });

  it('lists a shared parameter once', () => {
    const layer = new Linear(2, 2);
    expect(new Sequential(layer, layer).parameters().length).toBe(2);
  });

  it('switches modes all the way down', () => {
    const net = new Sequential(new Sequential(new Dropout(0.9)), new ReLU());
    const x = ones([100]);
    expect(net.eval().forward(x).toTypedArray()).toEqual(x.toTypedArray());
    expect(net.train().forward(x).toTypedArray()).toContain(0);
    expect(net.modules[0]!.namedChildren()[0]![1].training).toBe(true);
  });

  it('loads what another one saved, or changes nothing', async () => {
    const [a, b] = [new Net({ hidden: 3 }), new Net({ hidden: 3 })];
    expect(valuesOf(a)).not.toEqual(valuesOf(b));
    b.loadStateDict(a.stateDict());
    expect(valuesOf(b)).toEqual(valuesOf(a));
    const before = valuesOf(b);
    expect(() => b.loadStateDict({ scale: ones([1]), more: ones([1]) })).toThrow(
      /^loadStateDict: .*missing \[mean, hidden\.weight.*unexpected \[more\]/,
    );
    const other = new Net({ hidden: 4 }).stateDict();
    expect(() => b.loadStateDict(other)).toThrow(/^loadStateDict: .*got \[4,2\] for hidden\.weight \[3,2\]/);
    expect(valuesOf(b)).toEqual(before);
    expect(b.parameters().every((parameter) => parameter.requiresGrad)).toBe(true);
  });

  it('initialises within PyTorch’s bounds, from the seed', () => {
    manualSeed(1);
    const a = new Conv2d(3, 40, 5);
    manualSeed(1);
    const b = new Conv2d(3, 40, 5);
    expect(valuesOf(a)).toEqual(valuesOf(b));
    const bound = 1 / Math.sqrt(75);
    const weights = Array.from(a.weight.toTypedArray());
    expect(weights.every((w) => Math.abs(w) <= bound)).toBe(true);
    // Uniform: variance bound^2 / 3; of 3,000 draws it varies by 1.6 %. Five of that.
    const variance = weights.reduce((sum, w) => sum + w * w, 0) / weights.length;
    expect(Math.abs(variance / ((bound * bound) / 3) - 1)).toBeLessThan(0.08);
    expect(a.bias!.toTypedArray().every((w) => Math.abs(w) <= bound)).toBe(true);
  });

  it.each([
    ['features', () => new Linear(0, 3)],
    ['fraction', () => new Linear(2, 1.5)],
    ['window', () => new Conv2d(1, 1, 0)],
    ['probability', () => new Dropout(2)],
    ['not a module', () => new Sequential({} as Module)],
  ])('refuses: %s', async (_, call) => {
    expect(await codeOf(call)).toBe('ARGUMENT');
  });
});

describe('specs', () => {
  const throughWire = (spec: ModuleSpec): ModuleSpec => JSON.parse(JSON.stringify(structuredClone(spec))) as ModuleSpec;

  it.each([
    ['Linear', () => new Linear(4, 3), [2, 4]],
    ['Linear without bias', () => new Linear(4, 3, { bias: false }), [2, 4]],
    ['Conv2d', () => new Conv2d(1, 2, [3, 2], { stride: 2, padding: [1, 0], bias: false }), [1, 1, 6, 6]],
    ['MaxPool2d', () => new MaxPool2d([3, 2], { stride: 1, padding: 1 }), [1, 1, 6, 6]],
    ['Flatten', () => new Flatten(), [2, 3, 4]],
    ['ReLU', () => new ReLU(), [3]],
    ['Tanh', () => new Tanh(), [3]],
    ['Dropout', () => new Dropout(0), [3]],
    ['GELU', () => new GELU({ approximate: 'tanh' }), [3]],
    ['SiLU', () => new SiLU(), [3]],
    ['Softplus', () => new Softplus({ beta: 2, threshold: 0.1 }), [8]],
    ['Sequential', () => new Sequential(new Linear(3, 3), new Sequential(new Tanh(), new Linear(3, 1))), [2, 3]],
    ['LeNet', () => lenet5(), [2, 1, 28, 28]],
    ['custom in Sequential', () => new Sequential(new Net({ hidden: 5 }), new ReLU()), [1, 2]],
  ] as const)('build the same module again: %s', async (_, make, shape) => {
    const module = make();
    const again = await moduleFromSpec(throughWire(module.toSpec()), { seed: 3 });
    expect(again).toBeInstanceOf(module.constructor);
    again.loadStateDict(module.stateDict());
    const x = rand(shape).sub(0.5);
    expect(again.forward(x).toArray()).toEqual(module.forward(x).toArray());
  });

  it('draw the same weights from the same key, whatever the ambient seed', async () => {
    const spec = lenet5().toSpec();
    manualSeed(1);
    const a = await moduleFromSpec(spec, { seed: 3 });
    manualSeed(2);
    const b = await moduleFromSpec(spec, { seed: 3 });
    expect(valuesOf(a)).toEqual(valuesOf(b));
    expect(valuesOf(await moduleFromSpec(spec, { seed: 4 }))).not.toEqual(valuesOf(a));
  });

  it('take a function that builds a module', async () => {
    const { module } = new Net({ hidden: 2 }).toSpec() as { module: string };
    const net = await moduleFromSpec({ module, export: 'buildNet', args: 7 });
    expect(net).toBeInstanceOf(Net);
    expect((net as Net).options.hidden).toBe(7);
  });

  it.each([
    ['unknown type', 'ARGUMENT', { type: 'Transformer', args: {} }],
    ['unknown module', 'MODULE_NOT_FOUND', { module: 'file:///nowhere/net.mjs', export: 'Net' }],
    [
      'unknown export',
      'EXPORT_NOT_FOUND',
      { module: new URL('./fixtures/net.ts', import.meta.url).href, export: 'Other' },
    ],
    ['not a module', 'ARGUMENT', { module: new URL('./fixtures/net.ts', import.meta.url).href, export: 'notAModule' }],
  ] as const)('refuse: %s, %s', async (_, code, spec) => {
    expect(await codeOf(() => moduleFromSpec(spec))).toBe(code);
  });

  it('say what a module without one must do', async () => {
    class Silent extends Module {
      override forward(x: Tensor): Tensor {
        return x;
      }
    }
    expect(() => new Silent().toSpec()).toThrow(/got Silent without toSpec\(\)\. Add `override toSpec\(\)/);
  });
});

describe('losses', () => {
  const labels = tensor([1, -100, 0], { dtype: 'int32' });
  const logits = (): Tensor => fromTypedArray([1, 2, 3, 4, 5, 6], [3, 2], { requiresGrad: true });

  it.each([
    ['cross-entropy', new CrossEntropyLoss(), labels],
    ['ignoreIndex', new CrossEntropyLoss({ ignoreIndex: 1 }), tensor([1, 0, 0], { dtype: 'int32' })],
    ['mean squared error', new MSELoss(), zeros([3, 2])],
  ] as const)('are the sum divided by the weight: %s', async (_, loss, target) => {
    const x = logits();
    const mean = loss.forward(x, target);
    const { sum, weight } = loss.sum(x, target);
    expect(mean.item()).toBe(Math.fround(sum.item() / weight));
    const again = (await moduleFromSpec(structuredClone(loss.toSpec()))) as Loss;
    expect(again.sum(x, target).sum.item()).toBe(sum.item());
  });

  it('count the rows that matter', () => {
    expect(new CrossEntropyLoss().sum(logits(), labels).weight).toBe(2);
    expect(new MSELoss().sum(logits(), zeros([3, 2])).weight).toBe(6);
  });
});

describe('LeNet', () => {
  it('has logits and gradients of every parameter, and learns a batch by heart', () => {
    manualSeed(4);
    const net = lenet5();
    const x = rand([8, 1, 28, 28]);
    const y = tensor(Int32Array.from({ length: 8 }, (_, i) => i));
    const losses: number[] = [];
    for (let i = 0; i < 60; i++) {
      const lossValue = scope(() => {
        const loss = functional.crossEntropy(net.forward(x), y);
        net.zeroGrad();
        loss.backward();
        for (const parameter of net.parameters()) {
          const gradient = new Float32Array(parameter.size);
          parameter.gradientInto(gradient);
          expect(gradient.some((value) => value !== 0)).toBe(true);
          const next = parameter.toTypedArray().map((value, k) => value - 0.2 * gradient[k]!);
          parameter.copyFrom(next);
        }
        net.zeroGrad();
        return loss.item();
      });
      losses.push(lossValue);
    }
    expect(net.forward(x).shape).toEqual([8, 10]);
    expect(losses.at(-1)).toBeLessThan(0.2 * losses[0]!);
  });

  it('gives each image the same bits in a batch of 1 and of 5', () => {
    const net = lenet5();
    const x = rand([5, 1, 28, 28]);
    const together = net.forward(x);
    for (let i = 0; i < 5; i++) {
      expect(net.forward(x.narrow(0, i, 1)).toArray()).toEqual(together.narrow(0, i, 1).toArray());
    }
  });
});
