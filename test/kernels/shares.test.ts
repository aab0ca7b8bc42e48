/**
 * A kernel with `work` may be run by several threads at once, each computing its share. Here one thread computes all shares, one after the other: every
 * element belongs to exactly one of them, and the bits are those of an undivided call. (Real threads: test/intra-op.)
 */
import { readdirSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import type { KernelArray } from '../../kernels/define.ts';
import { kernels } from '../../kernels/index.ts';
import { wasm } from '../../kernels/runtime/instance.ts';
import {
  drawValues,
  firstDifference,
  isBuffer,
  type KernelSamples,
  type Numbers,
  passedParameters,
  runGuarded,
} from './harness.ts';

const folder = new URL('./samples/', import.meta.url);
const modules = await Promise.all(
  readdirSync(folder).map((file) => import(new URL(file, folder).pathname) as Promise<{ default: KernelSamples[] }>),
);
const divided = modules.flatMap((module) => module.default).filter(({ kernel }) => kernel.work !== undefined);

const setShare = (which: number, total: number): void => void wasm().exports.setShare!(which, total);
afterEach(() => setShare(0, 1));

/** Numbers of buffers that the kernel writes, at their places among the values. */
function written({ kernel }: KernelSamples): readonly number[] {
  return passedParameters(kernel).flatMap((parameter, index) =>
    isBuffer(parameter) && parameter.kind !== 'input' ? [index] : [],
  );
}

function checkShares(samples: KernelSamples, numbers: Numbers, seed: number, total: number): void {
  const context = `${samples.kernel.name} ${JSON.stringify(numbers)}, ${total} shares`;
  const values = drawValues(samples, numbers, seed, 'ordinary');
  setShare(0, 1);
  const whole = runGuarded(samples.kernel, values, 0).values;
  const outputs = written(samples);
  const owners = outputs.map((index) => new Int8Array((values[index] as KernelArray).length).fill(-1));
  let together: readonly (KernelArray | number)[] = values;
  for (let which = 0; which < total; which++) {
    setShare(which, total);
    const alone = runGuarded(samples.kernel, values, 0);
    expect(alone.brokenGuards, context).toEqual([]);
    outputs.forEach((index, place) => {
      const before = values[index] as KernelArray;
      const after = alone.values[index] as KernelArray;
      for (let i = 0; i < after.length; i++) {
        if (Object.is(after[i], before[i])) continue;
        const owner = owners[place]![i]!;
        if (owner !== -1) expect.fail(`${context}: element ${i} is computed by shares ${owner} and ${which}`);
        owners[place]![i] = which;
      }
    });
    together = runGuarded(samples.kernel, together, 0).values;
  }
  for (const index of outputs) {
    const difference = firstDifference(together[index] as KernelArray, whole[index] as KernelArray);
    if (difference !== undefined) expect.fail(`${context}: differs from the undivided call at ${difference}`);
  }
}

describe.each(divided.map((samples) => [samples.kernel.name, samples] as const))('%s in shares', (_name, samples) => {
  it.each([2, 3, 5])('%i together give the bits of one, each element computed once', (total) => {
    for (const [index, numbers] of samples.grid.entries()) checkShares(samples, numbers, index, total);
  });
});

it('products and convolutions have shares', () => {
  const names = divided.map(({ kernel }) => kernel.name);
  const expected = Object.keys(kernels).filter((name) => /^(gemm|.*conv2d)/.test(name) && !/f64|pack_b/.test(name));
  expect(names.sort()).toEqual(expected.sort());
});
