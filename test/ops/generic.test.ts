/** @file What must hold for every operation: see shared craft notes G1-G11. Runs over the op table and the samples of each operation. */
import { describe, expect, it } from 'vitest';
import { blockCount } from '../../kernels/runtime/memory.ts';
import { backward, grad } from '../../src/autograd/backward.ts';
import { gradcheck, gradgradcheck } from '../../src/autograd/gradcheck.ts';
import type { DType } from '../../src/dtype.ts';
import '../../src/install.ts';
import { noGrad } from '../../src/ops/define.ts';
import { ops } from '../../src/ops/table.ts';
import { Random } from '../../src/random.ts';
import { sizeOf } from '../../src/shape.ts';
import { fromTypedArray } from '../../src/tensor/create.ts';
import { scope } from '../../src/tensor/scope.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { draw, type Nd, nd, type Sample } from '../samples/define.ts';
import { samples } from '../samples/index.ts';

function valuesOf(sample: Sample): Nd[] {
  const random = new Random(11);
  return sample.inputs.map(({ shape, domain }) => nd(shape, draw(domain, sizeOf(shape), random)));
}

function tensorsOf(values: readonly Nd[], dtype: DType, requiresGrad = true): Tensor[] {
  return values.map(({ shape, data }) => fromTypedArray(data, shape, { dtype, requiresGrad }));
}

function expectClose(got: ArrayLike<number>, expected: ArrayLike<number>, rtol: number, atol: number): void {
  expect(got.length).toBe(expected.length);
  for (let i = 0; i < got.length; i++) {
    const [a, b] = [got[i]!, expected[i]!];
    if (Object.is(a, b) || Math.abs(a - b) <= atol + rtol * Math.abs(b)) continue;
    expect.fail(`element ${i}: got ${a}, expected ${b} within ${atol} + ${rtol} |expected|`);
  }
}

/** A scalar that depends on every element of the result. */
function weighted(result: Tensor): Tensor {
  const weights = Float64Array.from({ length: result.size }, (_, i) => 0.5 + ((i * 5) % 7) / 8);
  return result.mul(fromTypedArray(weights, result.shape, { dtype: result.dtype })).sum();
}

function gradientsOf(
  sample: Sample,
  inputs: readonly Tensor[],
  createGraph: boolean,
): (ArrayLike<number> | undefined)[] {
  return grad(weighted(sample.call(...inputs)), inputs, { createGraph }).map((gradient) => gradient?.toTypedArray());
}

it('every operation has samples and every sample an operation', () => {
  expect(Object.keys(samples).sort()).toEqual([...ops.keys()].sort());
});

describe.each([...ops.values()].map((op) => [op.name, op] as const))('%s', (name, op) => {
  const { samples: own = [], errors = [], differentiable = true } = samples[name] ?? {};
  const usable = own.filter((sample) => sample.inputs.every(({ shape }) => sizeOf(shape) > 0));

  describe.each(own.map((sample) => [sample.name, sample] as const))('%s', (_, sample) => {
    it('has the shape and values of its definition, in float64 and float32', () => {
      const values = valuesOf(sample);
      const expected = sample.reference(...values);
      const wide = sample.call(...tensorsOf(values, 'float64'));
      expect(wide.shape).toEqual(expected.shape);
      expect(wide.dtype).toBe('float64');
      // Two orders of additions of some 60 numbers up to 8, or a function within a few ulp.
      expectClose(wide.toTypedArray(), expected.data, 1e-12, 1e-13);
      const narrow = sample.call(...tensorsOf(values, 'float32'));
      expect(narrow.shape).toEqual(expected.shape);
      expect(narrow.dtype).toBe('float32');
      const rounded = sample.reference(...values.map(({ shape, data }) => nd(shape, Float32Array.from(data))));
      expectClose(narrow.toTypedArray(), rounded.data, sample.rtol ?? 1.3e-6, sample.atol ?? 1e-6);
    });

    it('leaves its inputs as they are and has its own memory unless it says otherwise', () => {
      const inputs = tensorsOf(valuesOf(sample), 'float32');
      const before = inputs.map((input) => input.toTypedArray());
      const result = sample.call(...inputs);
      expect(inputs.map((input) => input.toTypedArray())).toEqual(before);
      if (op.shares || result === inputs[0]) return;
      expect(inputs.some((input) => input.storage === result.storage)).toBe(false);
    });

    it('gives the same bits whether a gradient is wanted or not', () => {
      const values = valuesOf(sample);
      for (const dtype of ['float32', 'float64'] as const) {
        const recorded = sample.call(...tensorsOf(values, dtype, true)).toTypedArray();
        const unrecorded = sample.call(...tensorsOf(values, dtype, false)).toTypedArray();
        const silent = noGrad(() => sample.call(...tensorsOf(values, dtype, true))).toTypedArray();
        expect([unrecorded, silent]).toStrictEqual([recorded, recorded]);
      }
    });

    it('leaves no memory behind, forward and backward', () => {
      const values = valuesOf(sample);
      const once = (): void =>
        scope(() => {
          const result = sample.call(...tensorsOf(values, 'float32'));
          if (differentiable) backward(weighted(result));
        });
      // What earlier tests left resident moves out within three backward passes.
      for (let i = 0; i < 3; i++) once();
      const before = blockCount();
      for (let i = 0; i < 5; i++) once();
      expect(blockCount()).toBe(before);
    });
  });

  if (differentiable) {
    describe.each(usable.map((sample) => [sample.name, sample] as const))('%s', (_, sample) => {
      it('has the gradient of finite differences', () => {
        gradcheck(sample.call, tensorsOf(valuesOf(sample), 'float64'));
      });

      it('has in float32, where the kernels run, the gradient of float64', () => {
        // The same numbers in both: floats. A gradient is a sum of at most as many terms as the largest operand has elements; a term is a product of
        // an incoming gradient (weights below 1.25), inputs or a result, each rounded a few times on its way (16, with those of the function).
        const single = tensorsOf(valuesOf(sample), 'float32');
        const double = tensorsOf(
          single.map((x) => nd(x.shape, Float64Array.from(x.toTypedArray()))),
          'float64',
        );
        const terms = Math.max(...single.map(({ size }) => size), sample.call(...single).size);
        const most = (list: readonly ArrayLike<number>[]): number =>
          list.reduce((found, values) => Array.from(values).reduce((a, b) => Math.max(a, Math.abs(b)), found), 1);
        const expected = gradientsOf(sample, double, false);
        const largest =
          most(expected.filter((values) => values !== undefined)) * most(double.map((x) => x.toTypedArray()));
        gradientsOf(sample, single, false).forEach((gradient, i) => {
          expectClose(gradient ?? [], expected[i] ?? [], 0, 16 * (1 + terms) * 2 ** -24 * 1.25 * largest);
        });
      });

      it('has the second derivatives of finite differences', () => {
        gradgradcheck(sample.call, tensorsOf(valuesOf(sample), 'float64'));
      });

      it('has the same gradient with and without a graph of it', () => {
        const inputs = tensorsOf(valuesOf(sample), 'float64');
        const plain = gradientsOf(sample, inputs, false);
        gradientsOf(sample, inputs, true).forEach((gradient, i) => {
          expectClose(gradient ?? [], plain[i] ?? [], 1e-11, 1e-12);
        });
      });

      it('adds up the gradient of an input that is used twice', () => {
        const values = valuesOf(sample);
        const once = tensorsOf(values, 'float32');
        backward(weighted(sample.call(...once)));
        const twice = tensorsOf(values, 'float32');
        backward(weighted(sample.call(...twice)).add(weighted(sample.call(...twice))));
        once.forEach((input, i) => {
          const doubled = Float32Array.from(input.grad?.toTypedArray() ?? [], (x) => 2 * x);
          expect(twice[i]!.grad?.toTypedArray() ?? new Float32Array(0)).toEqual(doubled);
        });
      });
    });
  }

  if (op.composed !== undefined) {
    it('equals its composed form', () => {
      for (const sample of own) {
        const values = valuesOf(sample);
        for (const [dtype, tolerance] of [['float64', 1e-12] as const, ['float32', 1e-5] as const]) {
          const inputs = tensorsOf(values, dtype);
          const fused = sample.call(...inputs);
          let node = fused.node;
          while (node !== undefined && node.op !== op)
            node = node.edges.find((edge) => edge !== undefined && 'op' in edge) as typeof node;
          if (node === undefined) expect.fail(`${sample.name}: no ${name} in the graph`);
          const composed = op.composed!(node.inputs.map(({ tensor }) => tensor) as never, node.attributes as never);
          expect(composed.shape).toEqual(node.shape);
          if (node.output !== fused.storage) continue;
          expectClose(fused.toTypedArray(), composed.toTypedArray(), tolerance, tolerance);
        }
      }
    });
  }

  if (errors.length > 0) {
    it.each(errors.map((error) => [error.name, error] as const))('refuses: %s', (_, { call, code }) => {
      const before = blockCount();
      const caught = scope(() => {
        try {
          call();
        } catch (error) {
          return error as { code?: string; message: string };
        }
        return undefined;
      });
      expect(caught?.code, caught?.message ?? 'no error').toBe(code);
      expect(caught!.message).toMatch(/^\w+: .+, got [\s\S]+\. .+\.$/);
      expect(blockCount()).toBe(before);
    });
  }
});
