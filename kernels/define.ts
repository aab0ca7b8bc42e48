/**
 * @file What a kernel is: one record that says what it computes, in which order, on which arguments, and a reference in plain TypeScript. The
 * WebAssembly export has the record's name and takes the parameters in the record's order. Everything else (calls by pointer, calls on typed
 * arrays, tests, documentation) is derived from the record.
 */

/** A typed array that a kernel reads or writes. */
export type KernelArray = Float32Array | Float64Array | Int32Array | Uint8Array;

/** Values of the `size` and `flag` parameters by name, from which lengths are computed. */
export type Sizes = Readonly<Record<string, number>>;

/**
 * A parameter that is memory. `float` is the kernel's floating type: f32 in WebAssembly, f32 or f64 in the reference. `f64` is double precision
 * everywhere.
 * `input` is only read, `output` is fully overwritten and never read, `inout` is read and written.
 */
export interface BufferParameter {
  readonly name: string;
  readonly kind: 'input' | 'output' | 'inout';
  readonly type: 'float' | 'f64' | 'i32' | 'u8';
  /** Elements that the kernel may touch, from the sizes. */
  readonly length: (sizes: Sizes) => number;
  /** May be absent: pointer 0 in WebAssembly, an empty array in the reference. */
  readonly optional?: boolean;
  readonly doc: string;
}

/** A parameter that is a number: `size` (i32 >= 0), `flag` (i32) or `scalar` (of the floating type). */
export interface NumberParameter {
  readonly name: string;
  readonly kind: 'size' | 'flag' | 'scalar';
  readonly doc: string;
}

/** Working memory that the runtime provides; callers and references never see it. */
export interface ScratchParameter {
  readonly name: string;
  readonly kind: 'scratch';
  readonly bytes: (sizes: Sizes) => number;
  readonly doc: string;
}

/** One parameter of a kernel. */
export type KernelParameter = BufferParameter | NumberParameter | ScratchParameter;

/** Rounds to the kernel's floating type after every operation: `Math.fround` for f32, identity for f64. */
export type Round = (value: number) => number;

/** A kernel: contract and reference. */
export interface Kernel {
  /** The name of the WebAssembly export: `<op>_f32`. */
  readonly name: string;
  /** What it computes, in one sentence or formula. */
  readonly summary: string;
  /** Parameters in the order of the WebAssembly signature; scratch comes last. */
  readonly parameters: readonly KernelParameter[];
  /** The contract beyond the signature. `order` is the canonical order of floating-point operations, which no build may change. */
  readonly rules: {
    readonly order: string;
    readonly aliasing: string;
    readonly alignment: string;
    readonly edges: string;
    readonly beta?: string;
  };
  /** The executable definition: parameters in order without scratch; absent optional buffers are empty arrays. */
  readonly reference: (round: Round, ...values: (KernelArray & number)[]) => void;
  /**
   * Multiplications of a call. A kernel that has this divides its results among threads (assembly/shares.ts) without changing a bit, where that is
   * worth it.
   */
  readonly work?: (sizes: Sizes) => number;
  /** The same in double precision, in WebAssembly: the same parameters, with `f64` in the place of `float`, and the same order. */
  readonly double?: Kernel;
}

/** A kernel that remembers the names and kinds of its parameters in its type, so that `callArrays` can check its arguments. */
export type TypedKernel<P extends readonly KernelParameter[] = readonly KernelParameter[]> = Kernel & {
  readonly parameters: P;
};

/**
 * Declares a kernel. The reference is typed by its own parameter list, `(round, ...values)`, with arrays and numbers in contract order.
 */
export function defineKernel<const P extends readonly KernelParameter[]>(
  kernel: Omit<Kernel, 'reference' | 'parameters'> & {
    readonly parameters: P;
    readonly reference: (round: Round, ...values: never[]) => void;
  },
): TypedKernel<P> {
  return kernel as unknown as TypedKernel<P>;
}

/** The length of a buffer as a product of sizes: `of('rows', 'columns')`. `of()` is 1. */
export function of(...names: readonly string[]): (sizes: Sizes) => number {
  return (sizes) => names.reduce((product, name) => product * (sizes[name] ?? Number.NaN), 1);
}

/** A float buffer that is only read. */
export function input<const N extends string>(name: N, length: (sizes: Sizes) => number, doc: string) {
  return { name, kind: 'input', type: 'float', length, doc } as const;
}

/** A float buffer that is fully overwritten and never read. */
export function output<const N extends string>(name: N, length: (sizes: Sizes) => number, doc: string) {
  return { name, kind: 'output', type: 'float', length, doc } as const;
}

/** A size: a whole number >= 0. */
export function size<const N extends string>(name: N, doc: string) {
  return { name, kind: 'size', doc } as const;
}

/** A switch or small whole number. */
export function flag<const N extends string>(name: N, doc: string) {
  return { name, kind: 'flag', doc } as const;
}

/** A number of the kernel's floating type. Callers' numbers are rounded to it before anything else happens. */
export function scalar<const N extends string>(name: N, doc: string) {
  return { name, kind: 'scalar', doc } as const;
}

/** Working memory, last in the list. */
export function scratch<const N extends string>(name: N, bytes: (sizes: Sizes) => number, doc: string) {
  return { name, kind: 'scratch', bytes, doc } as const;
}

/** What most kernels promise about alignment. */
export const anyAlignment = 'Any multiple of the element size; 64 bytes are fastest.';
