/**
 * What the machine allows, probed in turns with the kernel: the peak of multiplications and additions in registers, and a copy loop with the
 * kernel's mix of reads and writes on its footprint. Hand-written in AssemblyScript (bench/assembly), compiled with the published options.
 */
import { compile } from './measure.mjs';
import { inProcess } from './race.mjs';

let compiled;
function probes() {
  compiled ??= { peak: compile('bench/assembly/peak.ts'), stream: compile('bench/assembly/stream.ts') };
  return compiled;
}

/** Whether this process runs pairs of 128-bit operations as 256-bit ones (`--experimental-wasm-revectorize`). */
export const isWide = process.execArgv.some((flag) => flag.includes('revectorize'));

const iterations = 4096;

/** The probe of arithmetic; `flops` of one run. In a wide process it is the 256-bit one. */
function arithmetic() {
  const { exports, memory } = probes().peak;
  if (!isWide) {
    const once = () => exports.peak(iterations, 0.5);
    return { ...inProcess('mul+add, 128 bits', once), flops: iterations * exports.flopsPerIteration() };
  }
  const at = 1024;
  new Float32Array(memory.buffer, at, 96).fill(1);
  new Float32Array(memory.buffer, at + 384, 8).fill(0.5);
  const once = () => exports.peak256(at, iterations);
  return { ...inProcess('mul+add, 256 bits', once), flops: iterations * exports.flopsPerIteration256() };
}

/** The probe of memory: `reads` arrays in, `writes` arrays out, `bytes` altogether. */
function streaming({ reads, writes, bytes }) {
  const { exports, memory } = probes().stream;
  const arrays = reads + writes;
  const length = Math.max(16, Math.round(bytes / arrays / 64) * 16);
  // Arrays lie a cache line more than their length apart, so that they do not fall into the same sets.
  const stride = 4 * length + 64;
  const start = 1 << 16;
  const missing = start + arrays * stride - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / 65_536));
  const name = `copy, ${reads} read + ${writes} written`;
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
