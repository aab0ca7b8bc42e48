/**
 * Kernels lay out their scratch region in AssemblyScript, and its size is computed in TypeScript: this holds the two together. Each kernel with
 * scratch runs on a region of exactly the promised size between guards; it must leave the guards alone and, whatever the region held, compute
 * the same bits.
 */
import { readdirSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sizesOf } from '../../kernels/runtime/call.ts';
import { wasm } from '../../kernels/runtime/instance.ts';
import { allocate, free, u8 } from '../../kernels/runtime/memory.ts';
import { drawValues, isBuffer, type KernelSamples, type Numbers, passedParameters } from './harness.ts';

const folder = new URL('./samples/', import.meta.url);
const modules = await Promise.all(
  readdirSync(folder).map(
    (file) => import(new URL(file, folder).pathname) as Promise<{ default: readonly KernelSamples[] }>,
  ),
);
const withScratch = modules
  .flatMap((module) => module.default)
  .filter(({ kernel }) => kernel.parameters.some(({ kind }) => kind === 'scratch'));

const guardBytes = 512;

/** Runs the kernel with scratch full of `filling`; the bytes of all buffers afterwards, and whether the guards are intact. */
function run(samples: KernelSamples, numbers: Numbers, seed: number, filling: number) {
  const { kernel } = samples;
  const values = drawValues(samples, numbers, seed, 'ordinary');
  const scratch = kernel.parameters.find((parameter) => parameter.kind === 'scratch')!;
  const bytes = Math.ceil(scratch.bytes(sizesOf(kernel, values)));
  const region = allocate(bytes + 2 * guardBytes);
  const pointers = values.map((value, index) => {
    if (typeof value === 'number') return value;
    const parameter = passedParameters(kernel)[index]!;
    if (value.length === 0 && isBuffer(parameter) && parameter.optional === true) return 0;
    return allocate(value.byteLength);
  });
  const views = () =>
    values.map((value, index) =>
      typeof value === 'number' || pointers[index] === 0 ? new Uint8Array(0) : u8(pointers[index]!, value.byteLength),
    );
  views().forEach((view, index) => {
    const value = values[index]!;
    if (typeof value !== 'number') view.set(new Uint8Array(value.buffer, value.byteOffset, view.byteLength));
  });
  u8(region, bytes + 2 * guardBytes).fill(0xff);
  u8(region + guardBytes, bytes).fill(filling);
  wasm().exports[kernel.name]!(...pointers, region + guardBytes);
  const guards = [...u8(region, guardBytes), ...u8(region + guardBytes + bytes, guardBytes)];
  const results = views().map((view) => view.slice());
  values.forEach((value, index) => {
    if (typeof value !== 'number' && pointers[index] !== 0) free(pointers[index]!);
  });
  free(region);
  return { results, intact: guards.every((byte) => byte === 0xff) };
}

function check(samples: KernelSamples, numbers: Numbers, seed: number): void {
  const zeros = run(samples, numbers, seed, 0);
  const nans = run(samples, numbers, seed, 0xff);
  const context = `${samples.kernel.name} ${JSON.stringify(numbers)}`;
  expect(zeros.intact && nans.intact, `${context}: guards`).toBe(true);
  expect(
    zeros.results.every((bytes, index) => Buffer.compare(bytes, nans.results[index]!) === 0),
    `${context}: same bits whatever scratch held`,
  ).toBe(true);
}

describe.each(withScratch.map((samples) => [samples.kernel.name, samples] as const))(
  'scratch of %s',
  (_name, samples) => {
    it('is as large as promised and never read before it is written, over the grid', () => {
      samples.grid.forEach((numbers, seed) => {
        check(samples, numbers, seed);
      });
    });

    it.runIf(samples.numbers !== undefined)('and on random sizes', () => {
      fc.assert(
        fc.property(samples.numbers!, fc.nat(), (numbers, seed) => check(samples, numbers, seed)),
        { numRuns: 100 },
      );
    });
  },
);
