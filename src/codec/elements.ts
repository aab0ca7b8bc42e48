/**
 * @file Element types that files have and shoal has not: how each becomes one of its dtypes. Halves become float32, which holds them all; integers
 * of other sizes become int32, and a value that does not fit is refused, never bent.
 */
import type { DType, NumericArray } from '../dtype.ts';

/** An element type of files. */
export interface ElementType {
  readonly bytes: number;
  /** What its values become. */
  readonly dtype: DType;
}

/** By the names that safetensors uses. */
export const elementTypes: ReadonlyMap<string, ElementType> = new Map([
  ['BOOL', { bytes: 1, dtype: 'bool' }],
  ['U8', { bytes: 1, dtype: 'uint8' }],
  ['I8', { bytes: 1, dtype: 'int32' }],
  ['I16', { bytes: 2, dtype: 'int32' }],
  ['U16', { bytes: 2, dtype: 'int32' }],
  ['I32', { bytes: 4, dtype: 'int32' }],
  ['U32', { bytes: 4, dtype: 'int32' }],
  ['I64', { bytes: 8, dtype: 'int32' }],
  ['U64', { bytes: 8, dtype: 'int32' }],
  ['F16', { bytes: 2, dtype: 'float32' }],
  ['BF16', { bytes: 2, dtype: 'float32' }],
  ['F32', { bytes: 4, dtype: 'float32' }],
  ['F64', { bytes: 8, dtype: 'float64' }],
]);

/**
 * Little-endian elements as an array of their own.
 *
 * @param type a key of {@link elementTypes}; `bytes` holds whole elements.
 * @param refuse throws for an integer that does not fit int32.
 */
export function decodeElements(
  type: string,
  bytes: Uint8Array,
  refuse: (value: number | bigint, at: number) => never,
): NumericArray {
  // A copy starts at offset 0, so that any element type may look at it. All machines that shoal runs on are little-endian.
  const copy = new Uint8Array(bytes).buffer;
  switch (type) {
    case 'F32':
      return new Float32Array(copy);
    case 'F64':
      return new Float64Array(copy);
    case 'I32':
      return new Int32Array(copy);
    case 'U8':
      return new Uint8Array(copy);
    case 'BOOL':
      return new Uint8Array(copy).map((value) => (value === 0 ? 0 : 1));
    case 'I8':
      return Int32Array.from(new Int8Array(copy));
    case 'I16':
      return Int32Array.from(new Int16Array(copy));
    case 'U16':
      return Int32Array.from(new Uint16Array(copy));
    case 'U32':
      return narrow(new Uint32Array(copy), refuse);
    case 'I64':
      return narrow(new BigInt64Array(copy), refuse);
    case 'U64':
      return narrow(new BigUint64Array(copy), refuse);
    case 'F16':
      return Float32Array.from(new Uint16Array(copy), halfToFloat);
    case 'BF16': {
      const words = new Uint32Array(new Uint16Array(copy));
      for (let i = 0; i < words.length; i++) words[i] = words[i]! << 16;
      return new Float32Array(words.buffer);
    }
    default:
      throw new RangeError(`decodeElements: the type must be one of elementTypes, got ${type}.`);
  }
}

function narrow(
  wide: Uint32Array | BigInt64Array | BigUint64Array,
  refuse: (value: number | bigint, at: number) => never,
): Int32Array {
  const values = new Int32Array(wide.length);
  for (let i = 0; i < wide.length; i++) {
    const value = Number(wide[i]);
    if ((value | 0) !== value) refuse(wide[i]!, i);
    values[i] = value;
  }
  return values;
}

/** The value of an IEEE 754 half: 1 sign, 5 exponent, 10 fraction bits. */
function halfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * powersOfTwo[1]! * fraction;
  return sign * powersOfTwo[exponent]! * (1024 + fraction);
}

/** 2^(exponent - 25), exact: the weight of the last fraction bit. */
const powersOfTwo: readonly number[] = Array.from({ length: 31 }, (_, exponent) => {
  let power = 1;
  for (let i = exponent; i < 25; i++) power /= 2;
  for (let i = 25; i < exponent; i++) power *= 2;
  return power;
});
