/**
 * The generic suite: every kernel of the table keeps its contract. A family adds `samples/<family>.ts` with a default export of
 * `KernelSamples[]`; a kernel without samples fails here.
 */
import { readdirSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KernelArray } from '../../kernels/define.ts';
import { kernels } from '../../kernels/index.ts';
import { wasm } from '../../kernels/runtime/instance.ts';
import { blockCount } from '../../kernels/runtime/memory.ts';
import {
  type DataKind,
  drawValues,
  firstDifference,
  isBuffer,
  type KernelSamples,
  type Numbers,
  passedParameters,
  runGuarded,
  runReference32,
  runReference64,
} from './harness.ts';
import { runAtMemoryEnd } from './memory-end.ts';

const folder = new URL('./samples/', import.meta.url);
const modules = await Promise.all(
  readdirSync(folder).map((file) => import(new URL(file, folder).pathname) as Promise<{ default: KernelSamples[] }>),
);
const allSamples = modules.flatMap((module) => module.default);

/** Exports of the binary that are not kernels. */
const others = ['heapBase', 'setShare', 'useWideTiles'];

describe('the table of kernels', () => {
  it('has a record for every export of the binary and the other way round', () => {
    const exported = Object.keys(wasm().exports).filter((name) => !others.includes(name));
    expect(Object.keys(kernels).sort()).toEqual(exported.sort());
    for (const [name, kernel] of Object.entries(kernels)) expect(kernel.name).toBe(name);
  });

  it('has samples for every kernel', () => {
    expect(allSamples.map(({ kernel }) => kernel.name).sort()).toEqual(Object.keys(kernels).sort());
  });

  it('takes as many parameters in the binary as in the record', () => {
    for (const kernel of Object.values(kernels))
      expect(`${kernel.name} ${wasm().exports[kernel.name]?.length}`).toBe(
        `${kernel.name} ${kernel.parameters.length}`,
      );
  });
});

const kinds: readonly DataKind[] = ['integers', 'ordinary', 'special'];

/** WebAssembly against the f32 reference on one call: bits, guards, untouched inputs, same bits when repeated. */
function checkCall(samples: KernelSamples, numbers: Numbers, seed: number, kind: DataKind, offset: number): void {
  const { kernel } = samples;
  const values = drawValues(samples, numbers, seed, kind);
  const outcome = runGuarded(kernel, values, offset);
  const expected = runReference32(kernel, values);
  const context = `${kernel.name} ${JSON.stringify(numbers)} ${kind}, seed ${seed}, offset ${offset}`;
  passedParameters(kernel).forEach((parameter, index) => {
    if (!isBuffer(parameter)) return;
    const actual = outcome.values[index] as KernelArray;
    const wanted = (parameter.kind === 'input' ? values : expected)[index] as KernelArray;
    const difference = firstDifference(actual, wanted);
    if (difference !== undefined)
      expect.fail(
        `${context}: ${parameter.name} differs from the ${parameter.kind === 'input' ? 'input' : 'reference'} at ${difference}`,
      );
  });
  expect(outcome.brokenGuards, context).toEqual([]);
}

/** The call with outputs in the place of inputs, against the call with separate buffers. */
function checkAlias(samples: KernelSamples, numbers: Numbers, seed: number, alias: readonly [string, string]): void {
  const { kernel } = samples;
  const values = drawValues(samples, numbers, seed, 'special');
  const position = (name: string) => passedParameters(kernel).findIndex((parameter) => parameter.name === name);
  const [target, source] = [position(alias[0]), position(alias[1])];
  // What is read and written starts with the contents of the buffer that it shares.
  if (passedParameters(kernel)[target]?.kind === 'inout') values[target] = (values[source] as KernelArray).slice();
  const separate = runGuarded(kernel, values, 1);
  const shared = runGuarded(kernel, values, 1, alias);
  passedParameters(kernel).forEach((parameter, index) => {
    if (!isBuffer(parameter) || parameter.kind === 'input') return;
    const difference = firstDifference(shared.values[index] as KernelArray, separate.values[index] as KernelArray);
    if (difference !== undefined)
      expect.fail(
        `${kernel.name} ${JSON.stringify(numbers)} with ${alias.join(' in place of ')}: ${parameter.name}, ${difference}`,
      );
  });
  expect(shared.brokenGuards).toEqual([]);
}

describe.each(allSamples.map((samples) => [samples.kernel.name, samples] as const))('%s', (_name, samples) => {
  const { kernel } = samples;
  const numbers = samples.numbers ?? fc.constantFrom(...samples.grid);

  it('equals its f32 reference bit for bit and stays inside its buffers, over the grid', () => {
    for (const [index, sizes] of samples.grid.entries()) checkCall(samples, sizes, index, kinds[index % 3]!, index % 4);
  });

  it('equals its f32 reference bit for bit and stays inside its buffers, on random calls', () => {
    const call = fc.tuple(numbers, fc.nat(), fc.constantFrom(...kinds), fc.constantFrom(0, 1, 2, 3, 5));
    fc.assert(
      fc.property(call, ([sizes, seed, kind, offset]) => checkCall(samples, sizes, seed, kind, offset)),
      { numRuns: 60 },
    );
  });

  it('touches no byte behind a buffer, at the end of memory', () => {
    for (const [index, sizes] of samples.grid.entries())
      runAtMemoryEnd(kernel, drawValues(samples, sizes, index, 'ordinary'));
  });

  it('gives the same bits when repeated and at any alignment', () => {
    fc.assert(
      fc.property(numbers, fc.nat(), (sizes, seed) => {
        const values = drawValues(samples, sizes, seed, 'ordinary');
        const first = runGuarded(kernel, values, 0);
        for (const offset of [0, 1, 2, 3]) {
          runGuarded(kernel, values, offset).values.forEach((value, index) => {
            // Not toEqual, which takes a minute on large arrays.
            if (typeof value !== 'number')
              expect(firstDifference(value, first.values[index] as KernelArray)).toBeUndefined();
          });
        }
      }),
      { numRuns: 8 },
    );
  });

  for (const alias of samples.aliases ?? []) {
    it(`may write ${alias[0]} in the place of ${alias[1]}`, () => {
      fc.assert(
        fc.property(numbers, fc.nat(), (sizes, seed) => checkAlias(samples, sizes, seed, alias)),
        { numRuns: 20 },
      );
    });
  }

  it.runIf(samples.exact)('computes whole numbers exactly: f32 = f64 with zero tolerance', () => {
    fc.assert(
      fc.property(numbers, fc.nat(), (sizes, seed) => {
        const values = drawValues(samples, sizes, seed, 'integers');
        const actual = runGuarded(kernel, values, 0).values;
        const truth = runReference64(kernel, values);
        passedParameters(kernel).forEach((parameter, index) => {
          if (!isBuffer(parameter)) return;
          const exact = truth[index] as KernelArray;
          expect(firstDifference(actual[index] as KernelArray, exact), parameter.name).toBeUndefined();
          expect(
            exact.every((value) => Number.isFinite(value)),
            `${parameter.name} is finite`,
          ).toBe(true);
        });
      }),
      { numRuns: 40 },
    );
  });

  it('leaves no memory behind', () => {
    checkCall(samples, samples.grid[0]!, 1, 'ordinary', 0); // The shared scratch region may be made here.
    const before = blockCount();
    checkCall(samples, samples.grid[0]!, 1, 'ordinary', 0);
    expect(blockCount()).toBe(before);
  });
});
