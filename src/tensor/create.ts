/** @file Making tensors from values, sizes and random numbers. */
import { bytesPerElement, type DType, isFloating, type NumericArray } from '../dtype.ts';
import { ArgumentError, DTypeError, ShapeError } from '../errors.ts';
import type { Random } from '../random.ts';
import { checkShape, formatShape, type Shape, sizeOf } from '../shape.ts';
import { createStorage, storageOf, viewOf } from './arena.ts';
import { drawRandom } from './randomness.ts';
import { arrayFor, type NestedNumbers, Tensor } from './tensor.ts';

/** Options of every function that makes a tensor. */
export interface TensorOptions {
  /** Default: that of the typed array; `bool` for booleans; otherwise `float32`. */
  readonly dtype?: DType;
  /** Whether `backward()` computes its gradient; default false. */
  readonly requiresGrad?: boolean;
}

/** Nested arrays of booleans. */
export type NestedBooleans = boolean | readonly NestedBooleans[];

/** What `tensor` takes: a number, nested arrays, or a typed array. */
export type TensorData = NestedNumbers | NestedBooleans | NumericArray;

function finish(storage: Tensor['storage'], shape: Shape, options: TensorOptions): Tensor {
  const result = new Tensor(storage, shape);
  return options.requiresGrad ? result.requiresGrad_() : result;
}

/** Refuses values that a whole-number dtype would change silently (`Int32Array` turns NaN and 1.5 into 0 and 1). */
function checkWhole(op: string, values: ArrayLike<number>, dtype: DType): void {
  if (isFloating(dtype)) return;
  const largest = dtype === 'bool' ? 1 : dtype === 'uint8' ? 255 : 2 ** 31 - 1;
  const smallest = dtype === 'int32' ? -(2 ** 31) : 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!(Number.isInteger(value) && value >= smallest && value <= largest)) {
      throw new DTypeError(
        `${op}: values of ${dtype} must be whole numbers, ${smallest} to ${largest}, got ${value} at ${i}. Use float32 or round first.`,
        { dtype, index: i, value },
      );
    }
  }
}

const dtypeOfArray = new Map<unknown, DType>([
  [Float32Array, 'float32'],
  [Float64Array, 'float64'],
  [Int32Array, 'int32'],
  [Uint8Array, 'uint8'],
]);

function shapeOfNested(data: TensorData): number[] {
  const shape: number[] = [];
  for (let inner: unknown = data; Array.isArray(inner); inner = inner[0]) shape.push(inner.length);
  return shape;
}

function flatten(data: unknown, shape: Shape, dim: number, out: number[]): void {
  if (dim === shape.length) {
    if (typeof data !== 'number' && typeof data !== 'boolean') {
      throw new ArgumentError(
        `tensor: elements must be numbers or booleans, got ${Array.isArray(data) ? 'a deeper array' : typeof data}. Convert them first.`,
      );
    }
    out.push(Number(data));
    return;
  }
  if (!Array.isArray(data) || data.length !== shape[dim]) {
    throw new ShapeError(
      `tensor: nested arrays must have equal lengths, got ${Array.isArray(data) ? data.length : typeof data} where dimension ${dim} has ` +
        `${shape[dim]}. Pad the rows.`,
      { shape, dim },
    );
  }
  for (const inner of data) flatten(inner, shape, dim + 1, out);
}

/**
 * A tensor with a copy of `data`: a number, nested arrays (the shape is theirs), or a typed array (one dimension unless `shape` says otherwise).
 *
 * @throws ShapeError for ragged arrays or a shape with another number of elements; @throws DTypeError for values that the dtype cannot hold; @throws ArgumentError for other elements.
 * @see https://pytorch.org/docs/stable/generated/torch.tensor.html
 * @example
 * const pixels = new Uint8Array(2 * 28 * 28);
 * const matrix = tensor([[1, 2], [3, 4]], { requiresGrad: true });
 * const batch = tensor(pixels, { shape: [2, 1, 28, 28] });
 */
export function tensor(data: TensorData, options: TensorOptions & { readonly shape?: Shape } = {}): Tensor {
  if (ArrayBuffer.isView(data)) {
    const found = dtypeOfArray.get(data.constructor);
    if (found === undefined) {
      throw new ArgumentError(
        `tensor: typed arrays must be Float32Array, Float64Array, Int32Array or Uint8Array, got ${data.constructor.name}. Convert it first.`,
      );
    }
    return fromTypedArray(data, options.shape ?? [data.length], { dtype: found, ...options });
  }
  const nested = shapeOfNested(data);
  const values: number[] = [];
  flatten(data, nested, 0, values);
  let first: unknown = data;
  while (Array.isArray(first)) first = first[0];
  const dtype = options.dtype ?? (typeof first === 'boolean' ? 'bool' : 'float32');
  return fromTypedArray(values, options.shape ?? nested, { ...options, dtype });
}

/**
 * A tensor of `shape` with a copy of `values`, row-major.
 *
 * @throws ShapeError if the number of values is not the product of the sizes; @throws DTypeError for values that the dtype cannot hold.
 * @example
 * fromTypedArray(Float32Array.of(1, 2, 3, 4), [2, 2]); // => tensor([[1, 2], [3, 4]], float32)
 */
export function fromTypedArray(values: ArrayLike<number>, shape: Shape, options: TensorOptions = {}): Tensor {
  checkShape('fromTypedArray', shape);
  const dtype = options.dtype ?? dtypeOfArray.get(values.constructor) ?? 'float32';
  arrayFor('fromTypedArray', dtype);
  if (values.length !== sizeOf(shape)) {
    throw new ShapeError(
      `fromTypedArray: the shape must have as many elements as there are values, got ${formatShape(shape)} for ${values.length} values. ` +
        'Check the shape.',
      { shape, length: values.length },
    );
  }
  if (dtypeOfArray.get(values.constructor) !== dtype) checkWhole('tensor', values, dtype);
  return finish(storageOf(dtype, values, 'tensor'), [...shape], options);
}

/**
 * A tensor whose elements all are `value`.
 *
 * @example
 * full([2, 2], 0.5); // => tensor([[0.5, 0.5], [0.5, 0.5]], float32)
 */
export function full(shape: Shape, value: number, options: TensorOptions = {}): Tensor {
  checkShape('full', shape);
  const dtype = options.dtype ?? 'float32';
  arrayFor('full', dtype);
  checkWhole('full', [value], dtype);
  const storage = createStorage(dtype, sizeOf(shape), 'full');
  viewOf(storage, 'full').fill(value);
  return finish(storage, [...shape], options);
}

/**
 * A tensor of zeros.
 *
 * @example
 * zeros([2]); // => tensor([0, 0], float32)
 */
export function zeros(shape: Shape, options: TensorOptions = {}): Tensor {
  return full(shape, 0, options);
}

/**
 * A tensor of ones.
 *
 * @example
 * ones([2], { dtype: 'int32' }); // => tensor([1, 1], int32)
 */
export function ones(shape: Shape, options: TensorOptions = {}): Tensor {
  return full(shape, 1, options);
}

/**
 * Zeros with the shape and dtype of another tensor.
 *
 * @example
 * zerosLike(tensor([1, 2])); // => tensor([0, 0], float32)
 */
export function zerosLike(other: Tensor): Tensor {
  return zeros(other.shape, { dtype: other.dtype });
}

/**
 * Ones with the shape and dtype of another tensor.
 *
 * @example
 * onesLike(tensor([1, 2])); // => tensor([1, 1], float32)
 */
export function onesLike(other: Tensor): Tensor {
  return ones(other.shape, { dtype: other.dtype });
}

/**
 * The numbers start, start + step, ... below `end`, computed as start + i * step. `arange(n)` starts at 0.
 *
 * @throws ArgumentError if the step is 0 or points away from the end.
 * @example
 * arange(0, 10, { step: 2, dtype: 'int32' }); // => tensor([0, 2, 4, 6, 8], int32)
 */
export function arange(start: number, end?: number, options: TensorOptions & { readonly step?: number } = {}): Tensor {
  const [from, to] = end === undefined ? [0, start] : [start, end];
  const step = options.step ?? 1;
  const count = Math.ceil((to - from) / step);
  if (!(Number.isFinite(count) && count >= 0)) {
    throw new ArgumentError(
      `arange: the step must lead from start to end, got ${from} to ${to} by ${step}. Change the sign of the step.`,
      { start: from, end: to, step },
    );
  }
  const values = Float64Array.from({ length: count }, (_, i) => from + i * step);
  return fromTypedArray(values, [count], { ...options, dtype: options.dtype ?? 'float32' });
}

function random(op: string, shape: Shape, options: TensorOptions, next: (random: Random) => number): Tensor {
  checkShape(op, shape);
  const dtype = options.dtype ?? 'float32';
  if (!isFloating(dtype)) {
    throw new DTypeError(`${op}: random tensors must be float32 or float64, got ${dtype}. Leave dtype out.`, { dtype });
  }
  const storage = createStorage(dtype, sizeOf(shape), op);
  const view = viewOf(storage, op);
  drawRandom((numbers) => {
    for (let i = 0; i < view.length; i++) view[i] = next(numbers);
  });
  return finish(storage, [...shape], options);
}

/**
 * Uniform random numbers in [low, high), default [0, 1), from the ambient seed: multiples of 2^-24 (float32) of the range.
 *
 * @throws DTypeError if the dtype is not floating.
 * @example
 * rand([2, 3], { low: -1, high: 1 });
 */
export function rand(
  shape: Shape,
  options: TensorOptions & { readonly low?: number; readonly high?: number } = {},
): Tensor {
  const low = options.low ?? 0;
  const range = (options.high ?? 1) - low;
  const wide = bytesPerElement[options.dtype ?? 'float32'] === 8;
  return random('rand', shape, options, (numbers) => low + range * (wide ? numbers.float64() : numbers.float32()));
}

/**
 * Random numbers of the standard normal distribution from the ambient seed.
 *
 * @throws DTypeError if the dtype is not floating.
 * @example
 * manualSeed(1);
 * const noise = randn([2, 3]); // the same on every machine
 */
export function randn(shape: Shape, options: TensorOptions = {}): Tensor {
  return random('randn', shape, options, (numbers) => numbers.normal());
}
