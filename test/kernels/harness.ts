/**
 * @file What the contract suite needs to run any kernel: samples (which sizes, which data), and buffers in WebAssembly memory with guard
 * bands around them. A family describes its kernels in `samples/<family>.ts`; `contract.test.ts` runs them all.
 */
import type fc from 'fast-check';
import type { BufferParameter, Kernel, KernelArray, KernelParameter, Sizes } from '../../kernels/define.ts';
import { callPointers, callReference, sizesOf } from '../../kernels/runtime/call.ts';
import { allocate, free, u8 } from '../../kernels/runtime/memory.ts';
import { Random } from '../../src/random.ts';

/** How float inputs are filled: whole numbers (sums are exact), ordinary numbers, or ordinary numbers with NaN, inf, -0 and subnormals. */
export type DataKind = 'integers' | 'ordinary' | 'special';

/** The kernel's numbers by name: sizes, flags and scalars. */
export type Numbers = Readonly<Record<string, number>>;

/** How to exercise one kernel. */
export interface KernelSamples {
  readonly kernel: Kernel;
  /** Numbers that are always run: every tail, zero sizes, edges of blocks. */
  readonly grid: readonly Numbers[];
  /** Random numbers beyond the grid; for an `exact` kernel all of them must be ones that are exact (the grid need not). */
  readonly numbers?: fc.Arbitrary<Numbers>;
  /** Contents of buffers that are not free (indices, layouts, non-negative moments, ...), by parameter. */
  readonly fill?: Readonly<Record<string, (numbers: Numbers, random: Random, kind: DataKind) => KernelArray>>;
  /** Pairs [output, input] that the contract allows to be one buffer. */
  readonly aliases?: readonly (readonly [output: string, input: string])[];
  /** Whether whole-number data gives results without any rounding, so that f32 and f64 must agree with zero tolerance. */
  readonly exact: boolean;
  /** Largest absolute value of whole-number data (default 4): keep all sums below 2^24. */
  readonly largestInteger?: number;
}

/** Bytes of guard on each side of a buffer: more than one iteration of any kernel. */
const guardBytes = 256;
/**
 * The byte of a guard at an address: four of a NaN, and four of 0.0115, as f32. NaN shows in what was computed from it, but hides where a kernel wrote what it had computed from a NaN;
 * as i32 one is negative.
 */
const guardByte = (address: number): number => (address & 4 ? 0x3c : 0xff);

/** A buffer of the parameter's type in WebAssembly memory, at `offset` bytes from a 64-byte boundary, with guards. */
class GuardedBuffer {
  readonly pointer: number;
  readonly #block: number;
  readonly #bytes: number;
  readonly #total: number;

  constructor(array: KernelArray, offset: number) {
    this.#bytes = array.byteLength;
    this.#total = guardBytes + offset + this.#bytes + guardBytes;
    this.#block = allocate(this.#total);
    this.pointer = this.#block + guardBytes + offset;
    const all = u8(this.#block, this.#total);
    for (let index = 0; index < this.#total; index++) all[index] = guardByte(this.#block + index);
    u8(this.pointer, this.#bytes).set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  }

  read<A extends KernelArray>(like: A): A {
    const bytes = u8(this.pointer, this.#bytes).slice();
    return new (like.constructor as new (buffer: ArrayBuffer) => A)(bytes.buffer);
  }

  guardsIntact(): boolean {
    const start = this.pointer - this.#block;
    const all = u8(this.#block, this.#total);
    const isOutside = (index: number) => index < start || index >= start + this.#bytes;
    return all.every((byte, index) => !isOutside(index) || byte === guardByte(this.#block + index));
  }

  free(): void {
    free(this.#block);
  }
}

/** Whether the parameter is memory that the caller passes. */
export function isBuffer(parameter: KernelParameter): parameter is BufferParameter {
  return 'length' in parameter;
}

/** The parameters that a caller passes, in order. */
export function passedParameters(kernel: Kernel): readonly Exclude<KernelParameter, { kind: 'scratch' }>[] {
  return kernel.parameters.filter((parameter) => parameter.kind !== 'scratch');
}

const specials = [
  Number.NaN,
  Infinity,
  -Infinity,
  -0,
  0,
  1e-40,
  -1e-45,
  3.4e38,
  -3.4e38,
  1.1754943508222875e-38,
  88.8,
  -103.9,
  1,
  -1,
];

/** One float of the data kind. */
export function drawFloat(random: Random, kind: DataKind, largestInteger = 4): number {
  if (kind === 'integers') return random.below(2 * largestInteger + 1) - largestInteger;
  if (kind === 'special' && random.below(4) === 0) return specials[random.below(specials.length)]!;
  return Math.fround(random.normal() * [1, 1, 10, 0.01][random.below(4)]!);
}

/** One double: as `drawFloat`, but ordinary numbers have all their 53 bits. */
function drawDouble(random: Random, kind: DataKind, { largestInteger }: KernelSamples): number {
  const value = drawFloat(random, kind, largestInteger);
  return kind === 'integers' ? value : value * (1 + random.float32() * 2 ** -20);
}

/** The values of one call, as arrays of exactly the contract's length and numbers. Outputs hold NaN (or -1), absent optionals are empty. */
export function drawValues(
  samples: KernelSamples,
  numbers: Numbers,
  seed: number,
  kind: DataKind,
): (KernelArray | number)[] {
  const { kernel, fill } = samples;
  const random = new Random(seed);
  const sizes: Sizes = sizesOf(
    kernel,
    passedParameters(kernel).map(({ name }) => numbers[name] ?? 0),
  );
  return passedParameters(kernel).map((parameter) => {
    if (!isBuffer(parameter)) return numbers[parameter.name]!;
    const filled = fill?.[parameter.name]?.(numbers, random, kind);
    if (filled !== undefined) return filled;
    const length = parameter.optional === true && random.below(2) === 0 ? 0 : parameter.length(sizes);
    if (parameter.type === 'i32') return new Int32Array(length).fill(-1);
    if (parameter.type === 'f64') return Float64Array.from({ length }, () => drawDouble(random, kind, samples));
    if (parameter.type === 'u8') return Uint8Array.from({ length }, () => random.below(256));
    if (parameter.kind === 'output') return new Float32Array(length).fill(Number.NaN);
    return Float32Array.from({ length }, () => drawFloat(random, kind, samples.largestInteger));
  });
}

/** What one run in WebAssembly left behind. */
export interface Outcome {
  /** The buffers after the call, in contract order (numbers are passed through). */
  readonly values: readonly (KernelArray | number)[];
  /** Parameters whose guard bands were overwritten. */
  readonly brokenGuards: readonly string[];
}

/** Runs the kernel in WebAssembly on guarded copies of `values`; `alias` makes the first parameter share the second one's buffer. */
export function runGuarded(
  kernel: Kernel,
  values: readonly (KernelArray | number)[],
  offset: number,
  alias?: readonly [string, string],
): Outcome {
  const parameters = passedParameters(kernel);
  const buffers = values.map((value) => {
    return typeof value === 'number' ? undefined : new GuardedBuffer(value, (offset * value.BYTES_PER_ELEMENT) % 64);
  });
  const position = (name: string) => parameters.findIndex((parameter) => parameter.name === name);
  const pointers = values.map((value, index) => {
    if (typeof value === 'number') return value;
    const parameter = parameters[index]!;
    if (value.length === 0 && isBuffer(parameter) && parameter.optional === true) return 0;
    const source = alias?.[0] === parameter.name ? position(alias[1]) : index;
    return buffers[source]!.pointer;
  });
  callPointers(kernel, pointers);
  const after = values.map((value, index) => {
    if (typeof value === 'number') return value;
    const source = alias?.[0] === parameters[index]!.name ? position(alias[1]) : index;
    return buffers[source]!.read(value);
  });
  const brokenGuards = parameters
    .filter((_, index) => buffers[index]?.guardsIntact() === false)
    .map(({ name }) => name);
  for (const buffer of buffers) buffer?.free();
  return { values: after, brokenGuards };
}

/** Runs the f32 reference on copies of `values` and gives the buffers after the call. */
export function runReference32(kernel: Kernel, values: readonly (KernelArray | number)[]): (KernelArray | number)[] {
  const copies = values.map((value) => (typeof value === 'number' ? value : value.slice()));
  callReference(kernel, 'float32', copies);
  return copies;
}

/** Runs the f64 reference on widened copies of `values` and gives the buffers after the call. */
export function runReference64(kernel: Kernel, values: readonly (KernelArray | number)[]): (KernelArray | number)[] {
  const copies = values.map((value) => {
    if (typeof value === 'number') return value;
    return value instanceof Float32Array ? Float64Array.from(value) : value.slice();
  });
  callReference(kernel, 'float64', copies);
  return copies;
}

/** The first element where two arrays differ in bits (all NaNs are one), or undefined. */
export function firstDifference(a: KernelArray, b: KernelArray): string | undefined {
  if (a.length !== b.length) return `lengths ${a.length} and ${b.length}`;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return `element ${i}: ${a[i]} and ${b[i]}`;
  return undefined;
}
