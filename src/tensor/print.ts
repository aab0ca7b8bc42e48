/** @file How tensors print. */
import type { DType, NumericArray } from '../dtype.ts';
import { type Shape, sizeOf } from '../shape.ts';

/** Tensors with more elements are shortened to the first and last few of each dimension. */
const mostElements = 1000;
const edgeElements = 3;

/** `tensor([[1, 2], [3, 4]], float32)`; six significant digits; large tensors are shortened. */
export function formatTensor(values: NumericArray, shape: Shape, dtype: DType): string {
  const shorten = sizeOf(shape) > mostElements;
  const one = (value: number): string => {
    if (dtype === 'bool') return value === 0 ? 'false' : 'true';
    return Object.is(value, -0) ? '-0' : String(Number(value.toPrecision(6)));
  };
  const build = (dim: number, start: number, size: number): string => {
    if (dim === shape.length) return one(values[start]!);
    const length = shape[dim]!;
    const inner = length === 0 ? 0 : size / length;
    const parts: string[] = [];
    for (let i = 0; i < length; i++) {
      if (shorten && length > 2 * edgeElements && i === edgeElements) {
        parts.push('...');
        i = length - edgeElements - 1;
      } else parts.push(build(dim + 1, start + i * inner, inner));
    }
    const last = dim === shape.length - 1;
    return `[${parts.join(last ? ', ' : `,\n${' '.repeat('tensor('.length + dim + 1)}`)}]`;
  };
  const suffix = sizeOf(shape) === 0 || shorten ? `, shape [${shape.join(',')}]` : '';
  return `tensor(${build(0, 0, sizeOf(shape))}${suffix}, ${dtype})`;
}
