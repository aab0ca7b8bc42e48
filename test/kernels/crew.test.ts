/**
 * Kernels with `work` on several threads in one shared memory (kernels/runtime/crew.ts), with helpers from the built package. This file has its memory
 * shared from the first test on.
 */
import { readdirSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { gemm_f32 } from '../../kernels/gemm.ts';
import { config } from '../../kernels/index.ts';
import { callPointers } from '../../kernels/runtime/call.ts';
import {
  type CrewOptions,
  crewCounts,
  crewThreads,
  crewTrouble,
  dismissCrew,
  type HelperData,
  makeCrew,
} from '../../kernels/runtime/crew.ts';
import { wasm } from '../../kernels/runtime/instance.ts';
import { allocate, f32, free, i32 } from '../../kernels/runtime/memory.ts';
import { importShared, webAssembly } from '../../kernels/runtime/webassembly.ts';
import { helperModule, until } from './crew-helpers.ts';
import {
  drawValues,
  firstDifference,
  isBuffer,
  type KernelSamples,
  passedParameters,
  runGuarded,
  runReference32,
} from './harness.ts';

const folder = new URL('./samples/', import.meta.url);
const modules = await Promise.all(
  readdirSync(folder).map((file) => import(new URL(file, folder).pathname) as Promise<{ default: KernelSamples[] }>),
);
const divided = modules.flatMap((module) => module.default).filter(({ kernel }) => kernel.work !== undefined);

const workers: Worker[] = [];
const startWorker: CrewOptions['start'] = (data, onExit) => {
  const worker = new Worker(helperModule, { workerData: data });
  worker.on('exit', (code) => onExit(`a helper ended with exit code ${code}`));
  workers.push(worker);
  return { terminate: () => void worker.terminate() };
};

/** A crew that divides every call, with all its helpers there. */
async function ready(threads: number, more: Partial<CrewOptions> = {}): Promise<void> {
  makeCrew({ threads, start: startWorker, limit: () => threads, leastWork: 0, ...more });
  await until(() => crewCounts().present === threads - 1);
}

/**
 * Repeats `work` until a helper has taken a share of it: when that is, is the system's affair, which may not run the helper for a while.
 *
 * @throws after `patienceMs`
 */
function untilHelped(work: () => void, patienceMs = 20_000): void {
  const before = crewCounts().helped;
  const end = performance.now() + patienceMs;
  do work();
  while (crewCounts().helped === before && performance.now() < end);
  expect(crewCounts().helped, `shares that helpers took in ${patienceMs} ms`).toBeGreaterThan(before);
}

afterEach(() => dismissCrew());
afterAll(async () => void (await Promise.all(workers.map((worker) => worker.terminate()))));

describe.each([2, 3])('%i threads give the bits of the references', (threads) => {
  it.each(divided.map((samples) => [samples.kernel.name, samples] as const))('%s', async (name, samples) => {
    await ready(threads);
    untilHelped(() => {
      for (const [index, numbers] of samples.grid.entries()) {
        const values = drawValues(samples, numbers, index, index % 2 === 0 ? 'special' : 'ordinary');
        const expected = runReference32(samples.kernel, values);
        for (const round of [0, 1, 2]) {
          const actual = runGuarded(samples.kernel, values, (index + round) % 4);
          passedParameters(samples.kernel).forEach((parameter, at) => {
            if (!isBuffer(parameter)) return;
            const difference = firstDifference(actual.values[at] as never, expected[at] as never);
            if (difference !== undefined)
              expect.fail(`${name} ${JSON.stringify(numbers)}: ${parameter.name}, ${difference}`);
          });
          expect(actual.brokenGuards).toEqual([]);
        }
      }
    });
  });
});

/** A product of ones [n, n], from fresh memory: every element is n. */
function productOfOnes(n: number): Set<number> {
  const [a, b, c] = [allocate(4 * n * n), allocate(4 * n * n), allocate(4 * n * n)];
  try {
    for (const pointer of [a, b]) f32(pointer, n * n).fill(1);
    callPointers(gemm_f32, [0, 0, n, n, n, 1, a, n, b, n, 0, c, n]);
    return new Set(f32(c, n * n));
  } finally {
    for (const pointer of [a, b, c]) free(pointer);
  }
}

/** What `f` throws. */
function thrown(f: () => void): { code: string; message: string } {
  try {
    f();
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error('nothing was thrown');
}

describe('the crew', () => {
  it('keeps the contents and addresses of the memory, and follows it when it grows', async () => {
    const pointer = allocate(64);
    f32(pointer, 16).fill(7);
    await ready(2);
    expect(wasm().memory.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(new Set(f32(pointer, 16))).toEqual(new Set([7]));
    const before = wasm().memory.buffer.byteLength;
    expect(productOfOnes(40)).toEqual(new Set([40]));
    const large = allocate(before);
    expect(wasm().memory.buffer.byteLength).toBeGreaterThan(before);
    expect(productOfOnes(41)).toEqual(new Set([41]));
    for (const block of [pointer, large]) free(block);
  });

  it('divides large calls only, among the threads that may run', async () => {
    let limit = 2;
    await ready(2, { leastWork: 1000, limit: () => limit });
    productOfOnes(9); // 729 multiplications
    expect([crewThreads(), config().threads, crewCounts().helped]).toEqual([2, 2, 0]);
    limit = 1;
    for (let i = 0; i < 50; i++) productOfOnes(60);
    expect([crewThreads(), crewCounts().helped]).toEqual([1, 0]);
    limit = -3;
    expect(crewThreads()).toBe(1);
    limit = 2;
    untilHelped(() => expect(productOfOnes(60)).toEqual(new Set([60])));
  });

  it('does a call alone while its helpers are not there, or asleep', () => {
    makeCrew({ threads: 3, start: () => ({ terminate() {} }), limit: () => 3, leastWork: 0 });
    expect(productOfOnes(30)).toEqual(new Set([30]));
    expect(crewCounts()).toEqual({ present: 0, helped: 0 });
  });

  it('says that a kernel trapped, whoever ran it, and goes on', async () => {
    await ready(2);
    const block = allocate(4 * 64 * 64);
    for (let i = 0; i < 20; i++) {
      const outside = 0xfffffff0;
      const error = thrown(() => callPointers(gemm_f32, [0, 0, 64, 64, 64, 1, block, 64, outside, 64, 0, block, 64]));
      expect(error.code).toBe('KERNEL');
      expect(error.message).toMatch(/^gemm_f32: the kernel must not trap, got /);
    }
    free(block);
    expect(productOfOnes(30)).toEqual(new Set([30]));
    expect(crewTrouble()).toBeUndefined();
  });

  it('gives up a helper that took a share and is silent, and goes on alone', () => {
    let data: HelperData | undefined;
    let isTerminated = false;
    const start: CrewOptions['start'] = (given) => {
      data = given;
      return { terminate: () => void (isTerminated = true) };
    };
    makeCrew({ threads: 2, start, limit: () => 2, leastWork: 0, patienceMs: 50 });
    // A helper that is there, and takes a share as soon as it is asked how many there are.
    const control = i32(data!.words, 16);
    const { exchange } = silentHelper(control);
    const error = thrown(() => productOfOnes(30));
    exchange.mockRestore();
    expect([error.code, isTerminated]).toEqual(['KERNEL', true]);
    expect(error.message).toMatch(/^threads: a helper must finish its share, got none in 50 ms/);
    expect(crewTrouble()).toBe('a helper was silent for too long');
    expect([crewThreads(), productOfOnes(30)]).toEqual([1, new Set([30])]);
  });

  it('goes on alone when a helper ends by itself, and says why', async () => {
    await ready(2);
    await workers.at(-1)!.terminate();
    await until(() => crewThreads() === 1);
    expect(crewTrouble()).toBe('a helper ended with exit code 1');
    expect(productOfOnes(30)).toEqual(new Set([30]));
    await ready(2);
    expect([crewThreads(), crewTrouble()]).toEqual([2, undefined]);
  });

  it('lets its helpers go when it is dismissed', async () => {
    await ready(3);
    const ended = workers.slice(-2).map((worker) => new Promise((resolve) => worker.once('exit', resolve)));
    dismissCrew();
    expect(await Promise.all(ended)).toEqual([0, 0]);
    expect(crewTrouble()).toBeUndefined();
  });
});

/** Marks a helper as present, and lets it take the first share of the next call for ever. */
function silentHelper(control: Int32Array) {
  Atomics.store(control, 6, 1); // PRESENT
  const original = Atomics.compareExchange.bind(Atomics) as (...values: unknown[]) => number;
  let stolen = false;
  const exchange = vi.spyOn(Atomics, 'compareExchange').mockImplementation(((...values: unknown[]) => {
    if (!stolen) {
      stolen = true;
      const ticket = Atomics.load(control, 0);
      Atomics.store(control, 0, ticket + 1);
      return ticket + 1; // somebody else was faster
    }
    return original(...values);
  }) as never);
  return { exchange };
}

describe('a binary for a shared memory', () => {
  it('differs from the private one in the limits of its import', () => {
    // (module (import "env" "memory" (memory 1)))
    const privately = [
      0, 97, 115, 109, 1, 0, 0, 0, 2, 15, 1, 3, 101, 110, 118, 6, 109, 101, 109, 111, 114, 121, 2, 0, 1,
    ];
    const shared = importShared(Uint8Array.from([...privately, 10, 1, 0]), 65_535);
    expect([...shared]).toEqual([
      ...privately.slice(0, 9),
      18,
      ...privately.slice(10, 23),
      3,
      1,
      255,
      255,
      3,
      10,
      1,
      0,
    ]);
    expect(() => new (webAssembly().Module)(shared)).not.toThrow();
    expect(() => importShared(Uint8Array.from(privately.slice(0, 8)), 1)).toThrow(/the binary imports a memory/);
  });
});
