/**
 * @file A program of its own for builds.test.ts and test/runtimes, because a build is chosen once in a process: prints which build it runs and why, where its
 * kernels differ from the references, and what (1 + 2^-12)^2 - 1 - 2^-11 is to a product (0 rounded, 2^-24 fused). Needs a runtime that runs
 * TypeScript. Arguments: how the names of the kernels to check begin (a
 * regular expression), and how many threads divide every call that can be.
 */
import { readdirSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { gemm_f32 } from '../../kernels/gemm.ts';
import { callArrays } from '../../kernels/runtime/arrays.ts';
import { config } from '../../kernels/runtime/config.ts';
import { type CrewOptions, crewCounts, dismissCrew, makeCrew } from '../../kernels/runtime/crew.ts';
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
  readdirSync(folder).map((file) => import(new URL(file, folder).href) as Promise<{ default: KernelSamples[] }>),
);
const asked = new RegExp(`^(${process.argv[2] ?? ''})`);
const meant = modules.flatMap((module) => module.default).filter(({ kernel }) => asked.test(kernel.name));

const threads = Number(process.argv[3] ?? 1);
const helpers: Worker[] = [];
if (threads > 1) {
  const start: CrewOptions['start'] = (data) => {
    const worker = new Worker(helperModule, { workerData: data });
    helpers.push(worker);
    return { terminate: () => void worker.terminate() };
  };
  makeCrew({ threads, start, limit: () => threads, leastWork: 0 });
  await until(() => crewCounts().present === threads - 1);
}

const { build, reason, reproducible } = config();
const differences: string[] = [];
let calls = 0;
for (const samples of meant) {
  const { kernel } = samples;
  // Twice: V8 optimises a kernel only when it has run for a while.
  for (const round of [0, 1]) {
    for (const [index, numbers] of samples.grid.entries()) {
      const values = drawValues(samples, numbers, index, 'special');
      const actual = runGuarded(kernel, values, (index + round) % 4);
      const expected = runReference32(kernel, values);
      calls++;
      passedParameters(kernel).forEach((parameter, at) => {
        if (!isBuffer(parameter)) return;
        const difference = firstDifference(actual.values[at] as never, expected[at] as never);
        if (difference !== undefined) differences.push(`${kernel.name} ${JSON.stringify(numbers)}: ${difference}`);
      });
      if (actual.brokenGuards.length > 0) differences.push(`${kernel.name} ${JSON.stringify(numbers)}: guards`);
    }
  }
}

const x = 1 + 2 ** -12;
const c = new Float32Array(64);
callArrays(gemm_f32, {
  ...{ transposeA: 0, transposeB: 0, m: 8, n: 8, k: 2, alpha: 1, lda: 2, ldb: 8, beta: 0, c, ldc: 8 },
  a: Float32Array.from({ length: 16 }, (_, i) => (i % 2 === 0 ? -1 - 2 ** -11 : x)),
  b: Float32Array.from({ length: 16 }, (_, i) => (i < 8 ? 1 : x)),
});
const { helped } = crewCounts();
dismissCrew();
process.stdout.write(
  JSON.stringify({ build, reason, reproducible, calls, helped, differences, fused: [...new Set(c)] }),
);
