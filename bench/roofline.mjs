/**
 * What the machine allows, probed in turns with the kernel: the peak of multiplications and additions in registers, and a copy loop with the
 * kernel's mix of reads and writes on its footprint. Hand-written in AssemblyScript (bench/assembly), compiled with the published options.
 */
import { performance } from 'node:perf_hooks';
import { compile } from './measure.mjs';
import { inProcess } from './race.mjs';

let compiled;
function probes() {
  compiled ??= { peak: compile('bench/assembly/peak.ts'), stream: compile('bench/assembly/stream.ts') };
  return compiled;
}

/** Whether this process runs pairs of 128-bit operations as 256-bit ones (`--experimental-wasm-revectorize`). */
export const isWide = process.execArgv.some((flag) => flag.includes('revectorize'));

/** What the probe of memory is called in results. Those of before it wrote its arrays called it "copy" (bench/report.mjs). */
const copyProbe = 'copy of written memory';

const iterations = 4096;

/** The two probes of arithmetic; in a wide process the 256-bit ones. */
function arithmeticProbes() {
  const { exports, memory } = probes().peak;
  const at = 1024;
  new Float32Array(memory.buffer, at, 64).fill(1e-3);
  if (!isWide) {
    return [
      { once: () => exports.peak(iterations, 0.5), flops: iterations * exports.flopsPerIteration() },
      { once: () => exports.loaded(at, iterations), flops: iterations * exports.flopsPerIterationLoaded() },
    ];
  }
  const chains = 4096;
  new Float32Array(memory.buffer, chains, 96).fill(1);
  new Float32Array(memory.buffer, chains + 384, 8).fill(0.5);
  return [
    { once: () => exports.peak256(chains, iterations), flops: iterations * exports.flopsPerIteration256() },
    { once: () => exports.loaded256(at, iterations), flops: iterations * exports.flopsPerIterationLoaded256() },
  ];
}

/** How long the two probes take turns before the faster one is chosen. */
const choiceMs = 400;
let chosen;

/** The probe of arithmetic: the faster of the two on this machine and engine, by their best slices. */
function arithmetic() {
  if (chosen === undefined) {
    const raced = arithmeticProbes().map((probe) => ({ ...probe, best: 0 }));
    for (const end = performance.now() + choiceMs; performance.now() < end; ) {
      for (const probe of raced) {
        const start = performance.now();
        for (let i = 0; i < 10; i++) probe.once();
        probe.best = Math.max(probe.best, probe.flops / (performance.now() - start));
      }
    }
    chosen = raced.reduce((a, b) => (b.best > a.best ? b : a));
  }
  const { once, flops } = chosen;
  return { ...inProcess(`mul+add, ${isWide ? 256 : 128} bits`, once), flops };
}

/**
 * The probe of memory: `reads` arrays in, `writes` arrays out, `bytes` altogether. All of them are written beforehand: pages that never were are one
 * and the same page of zeros, which lies in the first cache, and to read them is twice as fast as a copy of memory can be.
 */
function streaming({ reads, writes, bytes }) {
  const { exports, memory } = probes().stream;
  const arrays = reads + writes;
  const length = Math.max(16, Math.round(bytes / arrays / 64) * 16);
  // Arrays lie five cache lines more than their length apart, as in the arena of the kernels: they do not fall into the same sets.
  const stride = 4 * length + 320;
  const start = 1 << 16;
  const missing = start + arrays * stride - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / 65_536));
  new Float32Array(memory.buffer, start, (arrays * stride) / 4).fill(1);
  const name = `${copyProbe}, ${reads} read + ${writes} written`;
  const loops = {
    '1 0': () => exports.stream_1_0(start, length),
    '1 1': () => exports.stream_1_1(start, start + stride, length),
    '2 1': () => exports.stream_2_1(start, start + stride, start + 2 * stride, length),
    '4 3': () => exports.stream_4_3(start, stride, length),
  };
  return { ...inProcess(name, loops[`${reads} ${writes}`]), bytes: 4 * length * arrays };
}

/**
 * The probes of a row's work: `flops` (multiplications and additions), `stream` ({ reads, writes, bytes }), or both. What they allow is the longer of
 * the two times.
 */
export function openRoofline({ flops, stream }) {
  const bounds = [];
  if (flops) bounds.push({ ...arithmetic(), work: flops, unit: 'GFLOP/s' });
  if (stream) bounds.push({ ...streaming(stream), work: stream.bytes, unit: 'GB/s' });
  return bounds.map((bound) => ({ ...bound, scale: bound.work / (bound.flops ?? bound.bytes) }));
}
