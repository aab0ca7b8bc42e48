/** @file Kernels on typed arrays by parameter name: arguments are checked against the contract, copied in, run in WebAssembly, copied out. */
import { ArgumentError, DTypeError } from '../../src/errors.ts';
import type { BufferParameter, Kernel, KernelArray, KernelParameter, Sizes } from '../define.ts';
import { callPointers, callReference, type ReferenceDType, sizesOf } from './call.ts';
import { allocate, free, type Pointer, u8 } from './memory.ts';

type Argument<P> = P extends { readonly kind: 'input' | 'output' | 'inout'; readonly type: infer T }
  ? T extends 'i32'
    ? Int32Array
    : T extends 'u8'
      ? Uint8Array
      : T extends 'f64'
        ? Float64Array
        : Float32Array
  : number;

type Optional<P> = P extends { readonly optional: true } ? P : never;
type Required<P> = P extends { readonly optional: true } | { readonly kind: 'scratch' } ? never : P;

/** The arguments of a kernel by parameter name: typed arrays for buffers, numbers for the rest; optional buffers may be left out. */
export type KernelArguments<K extends Kernel> = {
  readonly [P in Required<K['parameters'][number]> as P['name']]: Argument<P>;
} & { readonly [P in Optional<K['parameters'][number]> as P['name']]?: Argument<P> | undefined };

const arrayTypes = { float: Float32Array, f64: Float64Array, i32: Int32Array, u8: Uint8Array } as const;

/**
 * Runs a kernel in WebAssembly on typed arrays, given by the names of its parameters. Outputs are written into the arrays passed for them;
 * the same array passed for two parameters is one buffer, where the kernel's aliasing rule allows it.
 *
 * @throws ArgumentError for a missing, unknown or out-of-range argument or a length that does not fit the sizes; DTypeError for another kind
 * of array; KernelError `OUT_OF_MEMORY`.
 *
 * @example
 * const y = new Float32Array(4);
 * callArrays(relu_f32, { x: Float32Array.of(-1, 0, 1, 2), y, length: 4 });
 * y; // => [0, 0, 1, 2]
 */
export function callArrays<K extends Kernel>(kernel: K, given: KernelArguments<K>): void {
  callCopied(kernel, checkedValues(kernel, given as GivenArguments, 'float32'));
}

/** As `KernelArguments`, with double-precision arrays in the place of float32 ones. */
export type KernelArguments64<K extends Kernel> = {
  readonly [P in keyof KernelArguments<K>]: KernelArguments<K>[P] extends Float32Array | undefined
    ? Float64Array
    : KernelArguments<K>[P];
};

/**
 * Runs the reference of a kernel in double precision on typed arrays, in plain TypeScript: the definition that WebAssembly is tested against.
 * Float buffers are Float64Arrays. Counted by `referenceKernelCalls()`.
 *
 * @throws as `callArrays`.
 *
 * @example
 * const y = new Float64Array(1);
 * referenceArrays(sqrt_f32, { x: Float64Array.of(2), y, length: 1 });
 * y; // => [Math.SQRT2]
 */
export function referenceArrays<K extends Kernel>(kernel: K, given: KernelArguments64<K>): void {
  const values = checkedValues(kernel, given as GivenArguments, 'float64');
  const empty = { float: new Float64Array(0), f64: new Float64Array(0), i32: new Int32Array(0), u8: new Uint8Array(0) };
  const absent = (index: number) => {
    const parameter = kernel.parameters[index];
    return empty[isBuffer(parameter) ? parameter.type : 'float'];
  };
  callReference(
    kernel,
    'float64',
    values.map((value, index) => value ?? absent(index)),
  );
}

type GivenArguments = Readonly<Record<string, KernelArray | number | undefined>>;

/** The arguments in contract order; undefined for an absent optional buffer. */
function checkedValues(
  kernel: Kernel,
  args: GivenArguments,
  dtype: ReferenceDType,
): (KernelArray | number | undefined)[] {
  for (const name of Object.keys(args)) {
    if (!kernel.parameters.some((parameter) => parameter.name === name && parameter.kind !== 'scratch')) {
      throw new ArgumentError(`${kernel.name}: arguments are ${names(kernel)}, got "${name}". Remove it.`, {
        kernel: kernel.name,
        name,
      });
    }
  }
  const values = kernel.parameters
    .filter(({ kind }) => kind !== 'scratch')
    .map((parameter) => checked(kernel, parameter, args[parameter.name], dtype));
  const sizes = sizesOf(kernel, values);
  for (const [index, parameter] of kernel.parameters.entries()) checkLength(kernel, parameter, values[index], sizes);
  return values;
}

function names(kernel: Kernel): string {
  return kernel.parameters.flatMap(({ kind, name }) => (kind === 'scratch' ? [] : [name])).join(', ');
}

function isBuffer(parameter: KernelParameter | undefined): parameter is BufferParameter {
  return parameter !== undefined && 'length' in parameter;
}

function checked(
  kernel: Kernel,
  parameter: KernelParameter,
  value: KernelArray | number | undefined,
  dtype: ReferenceDType,
): KernelArray | number | undefined {
  const fields = { kernel: kernel.name, parameter: parameter.name };
  if (isBuffer(parameter)) {
    if (value === undefined && parameter.optional === true) return undefined;
    const type = parameter.type === 'float' && dtype === 'float64' ? Float64Array : arrayTypes[parameter.type];
    if (value instanceof type) return value;
    const got = typeof value === 'object' ? value.constructor.name : String(value);
    throw new DTypeError(
      `${kernel.name}: "${parameter.name}" must be a ${type.name}, got ${got}. Pass one of the right type.`,
      fields,
    );
  }
  const fits = parameter.kind === 'scalar' || (Number.isInteger(value) && Math.abs(Number(value)) < 2_147_483_648);
  if (typeof value === 'number' && fits && !(parameter.kind === 'size' && value < 0)) return value;
  const rule = {
    size: 'a whole number, 0 to 2^31 - 1',
    flag: 'a whole number of 32 bits',
    scalar: 'a number',
    scratch: '',
  }[parameter.kind];
  const got = typeof value === 'object' ? value.constructor.name : String(value);
  throw new ArgumentError(
    `${kernel.name}: "${parameter.name}" must be ${rule}, got ${got}. ${capital(parameter.doc)}.`,
    fields,
  );
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function checkLength(
  kernel: Kernel,
  parameter: KernelParameter,
  value: KernelArray | number | undefined,
  sizes: Sizes,
): void {
  if (!isBuffer(parameter) || typeof value !== 'object') return;
  const needed = parameter.length(sizes);
  if (value.length >= needed) return;
  throw new ArgumentError(
    `${kernel.name}: "${parameter.name}" must hold ${needed} elements for these sizes, got ${value.length}. Pass a longer array or smaller sizes.`,
    { kernel: kernel.name, parameter: parameter.name, needed, length: value.length },
  );
}

interface Copy {
  readonly array: KernelArray;
  readonly pointer: Pointer;
  written: boolean;
}

function bytesOf(array: KernelArray): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** Runs a kernel in WebAssembly on arrays outside its memory, in contract order and unchecked: they are copied in, and results out. */
export function callCopied(kernel: Kernel, values: readonly (KernelArray | number | undefined)[]): void {
  const copies: Copy[] = [];
  try {
    const pointers = values.map((value, index) => {
      if (typeof value !== 'object') return value ?? 0;
      const written = kernel.parameters[index]?.kind !== 'input';
      let copy = copies.find(({ array }) => array === value);
      if (copy === undefined) {
        copy = { array: value, pointer: allocate(value.byteLength), written };
        copies.push(copy);
      }
      copy.written ||= written;
      return copy.pointer;
    });
    for (const { array, pointer } of copies) u8(pointer, array.byteLength).set(bytesOf(array));
    callPointers(kernel, pointers);
    for (const { array, pointer, written } of copies) if (written) bytesOf(array).set(u8(pointer, array.byteLength));
  } finally {
    for (const { pointer } of copies) free(pointer);
  }
}
