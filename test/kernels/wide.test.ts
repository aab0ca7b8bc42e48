/** Wide tiles without the flag that fuses them: 128 bits at a time, slowly, but on every Node, and in the mutants' tests. With the flag: builds.test.ts. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { wasm } from '../../kernels/runtime/instance.ts';
import { drawValues, firstDifference, passedParameters, runGuarded, runReference32 } from './harness.ts';
import convSamples from './samples/conv.ts';
import gemmSamples from './samples/gemm.ts';

describe('wide tiles', () => {
  beforeAll(() => void wasm().exports.useWideTiles!(1));
  afterAll(() => void wasm().exports.useWideTiles!(0));

  const all = [...gemmSamples, ...convSamples].filter(({ kernel }) => kernel.name.includes('f32'));
  it.each(all.map((samples) => [samples.kernel.name, samples] as const))('%s equals its reference', (name, samples) => {
    for (const [index, numbers] of samples.grid.entries()) {
      const values = drawValues(samples, numbers, index, index % 2 === 0 ? 'special' : 'ordinary');
      const actual = runGuarded(samples.kernel, values, index % 4);
      const expected = runReference32(samples.kernel, values);
      const at = passedParameters(samples.kernel).findIndex(({ kind }) => kind === 'inout' || kind === 'output');
      const difference = firstDifference(actual.values[at] as never, expected[at] as never);
      if (difference !== undefined || actual.brokenGuards.length > 0)
        expect.fail(`${name} ${JSON.stringify(numbers)}: ${difference}, guards ${actual.brokenGuards}`);
    }
  });
});
