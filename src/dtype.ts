/** @file The data types of tensors and records, and PyTorch's promotion among them. */

/** Element types that tensors can have. */
export type DType = 'float32' | 'float64' | 'int32' | 'uint8' | 'bool';

/** The typed array that holds elements of a dtype; `bool` is one byte, 0 or 1. */
export interface ArrayOf {
  float32: Float32Array;
  float64: Float64Array;
  int32: Int32Array;
  uint8: Uint8Array;
  bool: Uint8Array;
}

/** Any typed array that shoal stores elements in. */
export type NumericArray = ArrayOf[DType];

/** Bytes of one element. */
export const bytesPerElement: Readonly<Record<DType, number>> = { float32: 4, float64: 8, int32: 4, uint8: 1, bool: 1 };

/** The constructor of the typed array of a dtype. */
export const arrayConstructor = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const;

/** Whether gradients can flow through values of this dtype. */
export function isFloating(dtype: DType): boolean {
  return dtype === 'float32' || dtype === 'float64';
}

const rank: Readonly<Record<DType, number>> = { bool: 0, uint8: 1, int32: 2, float32: 3, float64: 4 };

/** The dtype of the result of an arithmetic operation on `a` and `b` (PyTorch's promotion restricted to our types). */
export function promote(a: DType, b: DType): DType {
  return rank[a] >= rank[b] ? a : b;
}
