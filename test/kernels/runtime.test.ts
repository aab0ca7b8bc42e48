import { describe, expect, expectTypeOf, it } from 'vitest';
import { callArrays, config, kernels, referenceArrays, referenceKernelCalls } from '../../kernels/index.ts';
import { add_f32, exp_f32, type mask_f32, neg_f32 } from '../../kernels/map.ts';
import { max_pool2d_f32 } from '../../kernels/pool.ts';
import { max_f32, type sum_f32 } from '../../kernels/reduce.ts';
import type { KernelArguments } from '../../kernels/runtime/arrays.ts';
import { callPointers, callReference } from '../../kernels/runtime/call.ts';
import { allocate, blockCount, f32, free } from '../../kernels/runtime/memory.ts';

/** The code, fields and message of what `f` throws. */
function thrown(f: () => void): { code: string; message: string; fields: Record<string, unknown> } {
  try {
    f();
  } catch (error) {
    return error as { code: string; message: string; fields: Record<string, unknown> };
  }
  throw new Error('nothing was thrown');
}

describe('calls on pointers', () => {
  it('run the binary, and the reference gives the same result and is counted', () => {
    const x = allocate(28);
    const y = allocate(28);
    f32(x, 7).set([1, -2, 3, -4, 5, -6, 7]);
    const before = referenceKernelCalls();
    callPointers(neg_f32, [x, y, 7]);
    expect(referenceKernelCalls()).toBe(before);
    const expected = new Float32Array(7);
    callReference(neg_f32, 'float32', [f32(x, 7), expected, 7]);
    expect(referenceKernelCalls()).toBe(before + 1);
    expect([...f32(y, 7)]).toEqual([...expected]);
    free(x);
    free(y);
  });

  it('turn a trap into an error with the kernel’s name, and the next call works', () => {
    const error = thrown(() => callPointers(neg_f32, [0xfffffff0, 0xffff0000, 1_000_000]));
    expect(error.code).toBe('KERNEL');
    expect(error.message).toMatch(/^neg_f32: the kernel must not trap, got ".*out of bounds/);
    expect(error.fields.kernel).toBe('neg_f32');
    const zeroStride = thrown(() => callPointers(max_pool2d_f32, [64, 64, 64, 1, 2, 2, 2, 2, 0, 2, 0, 0]));
    expect(zeroStride.message).toMatch(/^max_pool2d_f32: .*divide by zero/);
    const pointer = allocate(4);
    f32(pointer, 1)[0] = 3;
    callPointers(neg_f32, [pointer, pointer, 1]);
    expect(f32(pointer, 1)[0]).toBe(-3);
    free(pointer);
  });

  it('refuse another number of values', () => {
    expect(thrown(() => callPointers(neg_f32, [1, 2])).code).toBe('INVARIANT');
  });
});

describe('calls on typed arrays', () => {
  it('copy in, compute, copy out, and leave no memory behind', () => {
    const before = blockCount();
    const y = new Float32Array(3);
    callArrays(add_f32, { a: new Float32Array([1, 2, 3]), b: new Float32Array([10, 20, 30]), y, length: 3 });
    expect([...y]).toEqual([11, 22, 33]);
    expect(blockCount()).toBe(before);
  });

  it('take views, one array in two places, arrays that are longer, and optional buffers', () => {
    const all = new Float32Array([9, 9, 1, 2, 3, 9]);
    const view = all.subarray(2, 5);
    callArrays(add_f32, { a: view, b: view, y: view, length: 3 });
    expect([...all]).toEqual([9, 9, 2, 4, 6, 9]);
    const y = new Float32Array(2).fill(-7);
    const x = new Float32Array([3, 8, 5]);
    callArrays(max_f32, { x, y, outer: 1, length: 3, inner: 1 });
    expect([...y]).toEqual([8, -7]);
    const indices = new Int32Array(1);
    callArrays(max_f32, { x, y, indices, outer: 1, length: 3, inner: 1 });
    expect(indices[0]).toBe(1);
  });

  it('run the reference in double precision', () => {
    const y = new Float64Array(1);
    referenceArrays(exp_f32, { x: new Float64Array([1]), y, length: 1 });
    expect(y[0]).toBeCloseTo(Math.E, 15);
    const best = new Float64Array(1);
    referenceArrays(max_f32, { x: new Float64Array([1, 4]), y: best, outer: 1, length: 2, inner: 1 });
    expect(best[0]).toBe(4);
  });

  it('name what is wrong with an argument', () => {
    const x = new Float32Array(4);
    const y = new Float32Array(4);
    const call = (args: object) => thrown(() => callArrays(neg_f32, args as KernelArguments<typeof neg_f32>));
    expect(call({ x, y, length: 5 })).toMatchObject({
      code: 'ARGUMENT',
      message: 'neg_f32: "x" must hold 5 elements for these sizes, got 4. Pass a longer array or smaller sizes.',
    });
    expect(call({ x, y, length: -1 }).message).toBe(
      'neg_f32: "length" must be a whole number, 0 to 2^31 - 1, got -1. Number of elements.',
    );
    expect(call({ x, y, length: 1.5 }).code).toBe('ARGUMENT');
    expect(call({ x, y, length: Number.NaN }).code).toBe('ARGUMENT');
    expect(call({ x, y }).message).toMatch(/"length" must be .* got undefined/);
    expect(call({ x: new Float64Array(4), y, length: 4 })).toMatchObject({
      code: 'DTYPE',
      message: 'neg_f32: "x" must be a Float32Array, got Float64Array. Pass one of the right type.',
    });
    expect(call({ x: [1, 2], y, length: 2 }).message).toMatch(/got Array/);
    expect(call({ y, length: 2 }).message).toMatch(/got undefined/);
    expect(call({ x, y, length: 4, z: 1 }).message).toBe('neg_f32: arguments are x, y, length, got "z". Remove it.');
  });

  it('are typed by the record', () => {
    type Mask = KernelArguments<typeof mask_f32>;
    expectTypeOf<Mask['mask']>().toEqualTypeOf<Uint8Array>();
    expectTypeOf<Mask['x']>().toEqualTypeOf<Float32Array>();
    expectTypeOf<Mask['scale']>().toEqualTypeOf<number>();
    expectTypeOf<keyof Mask>().toEqualTypeOf<'x' | 'mask' | 'scale' | 'y' | 'length'>();
    expectTypeOf<KernelArguments<typeof max_f32>['indices']>().toEqualTypeOf<Int32Array | undefined>();
    expectTypeOf<KernelArguments<typeof sum_f32>>().not.toHaveProperty('partials');
  });
});

describe('the records', () => {
  it('document every parameter and rule', () => {
    for (const kernel of Object.values(kernels)) {
      expect(kernel.name).toMatch(/^[a-z0-9_]+$/);
      for (const text of [kernel.summary, ...Object.values(kernel.rules), ...kernel.parameters.map(({ doc }) => doc)])
        expect(text.length, kernel.name).toBeGreaterThan(2);
      const kinds = kernel.parameters.map(({ kind }) => kind);
      expect(kinds.filter((kind) => kind === 'scratch').length, kernel.name).toBeLessThanOrEqual(1);
      if (kinds.includes('scratch')) expect(kinds.at(-1), kernel.name).toBe('scratch');
      expect(new Set(kernel.parameters.map(({ name }) => name)).size, kernel.name).toBe(kinds.length);
    }
  });

  it('belong to the build that config() names', () => {
    expect(config()).toMatchObject({ build: 'strict', reproducible: true });
    expect(config().memory.capacityBytes).toBeGreaterThanOrEqual(config().memory.usedBytes);
  });
});
