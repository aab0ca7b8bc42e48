/**
 * @file The tensor: a shape, a cell of elements and its place in the graph. Elements are contiguous and row-major (ADR 4). The operations are
 * functions in ops/; `installMethods()` (src/install.ts) hangs an explicit list of them on the class.
 */
import { arrayConstructor, type DType, isFloating, type NumericArray } from '../dtype.ts';
import { ArgumentError, AutogradError, DTypeError, ShapeError } from '../errors.ts';
import { formatShape, type Shape, sameShape, sizeOf } from '../shape.ts';
import { freeStorage, viewOf } from './arena.ts';
import type { GraphNode } from './graph.ts';
import { formatTensor } from './print.ts';
import { checkAlive, type Storage } from './storage.ts';

/** Numbers in nested arrays, as deep as the tensor has dimensions; a bare number for a scalar. */
export type NestedNumbers = number | readonly NestedNumbers[];

/**
 * A tensor. Make one with `tensor`, `zeros`, `rand`, ...; the constructor is for the library.
 *
 * @example
 * const t = tensor([[1, 2], [3, 4]]);
 * t.shape; // => [2, 2]
 * t.mul(2).sum().item(); // => 20
 */
export class Tensor {
  readonly storage: Storage;
  readonly shape: Shape;
  /** The operation that made it, if gradients flow through it. */
  readonly node: GraphNode | undefined;
  /** @internal The accumulated gradient, and whether the program has seen it (then it is never freed under its feet). */
  gradient: { readonly tensor: Tensor; escaped: boolean } | undefined;
  /** @internal Set by `requiresGrad_`. */
  leafRequiresGrad = false;

  /** @internal */
  constructor(storage: Storage, shape: Shape, node?: GraphNode) {
    this.storage = storage;
    this.shape = shape;
    this.node = node;
  }

  /** Type of the elements. */
  get dtype(): DType {
    return this.storage.dtype;
  }

  /** Number of dimensions. */
  get rank(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get size(): number {
    return this.storage.length;
  }

  /** Whether `backward()` computes a gradient for it or through it. */
  get requiresGrad(): boolean {
    return this.leafRequiresGrad || this.node !== undefined;
  }

  /** Whether it is not the result of an operation that gradients flow through. Gradients accumulate in leaves. */
  get isLeaf(): boolean {
    return this.node === undefined;
  }

  /**
   * Sets whether a leaf wants a gradient, and returns it.
   *
   * @throws AutogradError if this is not a leaf; @throws DTypeError if it is not floating.
   */
  requiresGrad_(value = true): this {
    if (this.node !== undefined) {
      throw new AutogradError(
        `requiresGrad_: only leaves can be switched, got a result of ${this.node.op.name}. Call detach() first.`,
      );
    }
    if (value && !isFloating(this.dtype)) {
      throw new DTypeError(
        `requiresGrad_: gradients need float32 or float64, got ${this.dtype}. Convert with to('float32').`,
        { dtype: this.dtype },
      );
    }
    this.leafRequiresGrad = value;
    return this;
  }

  /**
   * The gradient that `backward()` has accumulated here, or undefined. What you read stays valid as long as you hold it; a gradient that
   * nobody has read is freed by `zeroGrad()`.
   */
  get grad(): Tensor | undefined {
    if (this.gradient === undefined) return undefined;
    this.gradient.escaped = true;
    return this.gradient.tensor;
  }

  /**
   * @throws ShapeError if the shapes differ.
   */
  set grad(value: Tensor | undefined) {
    if (value !== undefined && (!sameShape(value.shape, this.shape) || value.dtype !== this.dtype)) {
      throw new ShapeError(
        `grad: a gradient has its tensor's shape and dtype, got ${formatShape(value.shape)} ${value.dtype} for ` +
          `${formatShape(this.shape)} ${this.dtype}. Assign another tensor or undefined.`,
        { shape: this.shape, gradient: value.shape },
      );
    }
    this.gradient = value === undefined ? undefined : { tensor: value, escaped: true };
  }

  /** Forgets the gradient, and frees it if the program has never read it. */
  zeroGrad(): void {
    if (this.gradient !== undefined && !this.gradient.escaped) freeStorage(this.gradient.tensor.storage);
    this.gradient = undefined;
  }

  /**
   * The same elements outside the graph: no gradient flows through the result. Shares memory, and keeps it, as `keep()` does.
   */
  detach(): Tensor {
    checkAlive(this.storage, 'detach');
    this.storage.kept = true;
    return new Tensor(this.storage, this.shape);
  }

  /**
   * Promises that the elements stay valid for as long as the program holds the tensor, also when `backward()` consumes its graph or its scope
   * ends. Returns the tensor.
   */
  keep(): this {
    checkAlive(this.storage, 'keep');
    this.storage.kept = true;
    return this;
  }

  /**
   * The only element as a number (0 or 1 for bool).
   *
   * @throws ShapeError if there is not exactly one element.
   */
  item(): number {
    if (this.size !== 1) {
      throw new ShapeError(
        `item: the tensor must have one element, got shape ${formatShape(this.shape)}. Use toArray() or reduce it.`,
        { shape: this.shape },
      );
    }
    return viewOf(this.storage, 'item')[0]!;
  }

  /** A copy of the elements, row-major, in the typed array of the dtype (bytes for bool). */
  toTypedArray(): NumericArray {
    return viewOf(this.storage, 'toTypedArray').slice();
  }

  /** A copy of the elements as nested arrays of numbers; a number for a scalar. */
  toArray(): NestedNumbers {
    const values = viewOf(this.storage, 'toArray');
    const build = (dim: number, start: number, size: number): NestedNumbers => {
      if (dim === this.shape.length) return values[start]!;
      const length = this.shape[dim]!;
      const inner = length === 0 ? 0 : size / length;
      return Array.from({ length }, (_, i) => build(dim + 1, start + i * inner, inner));
    };
    return build(0, 0, sizeOf(this.shape));
  }

  /**
   * Overwrites the elements by those of a typed array or list of the same length: one copy, no graph.
   *
   * @throws AutogradError if this is a result that gradients flow through; @throws ShapeError if the lengths differ.
   */
  copyFrom(values: ArrayLike<number>): this {
    if (this.node !== undefined) {
      throw new AutogradError(
        `copyFrom: only leaves can be overwritten, got a result of ${this.node.op.name}. Call detach() first.`,
      );
    }
    checkLength('copyFrom', values.length, this.size);
    viewOf(this.storage, 'copyFrom').set(values);
    this.storage.version += 1;
    return this;
  }

  /**
   * Copies the elements into a typed array of the same length: one copy.
   *
   * @throws ShapeError if the lengths differ.
   */
  copyInto(target: NumericArray): void {
    checkLength('copyInto', target.length, this.size);
    target.set(viewOf(this.storage, 'copyInto'));
  }

  /**
   * Copies the gradient into a typed array of the tensor's length, zeros if there is none. Does not count as reading `grad`.
   *
   * @throws ShapeError if the lengths differ.
   */
  gradientInto(target: NumericArray): void {
    if (this.gradient !== undefined) this.gradient.tensor.copyInto(target);
    else {
      checkLength('gradientInto', target.length, this.size);
      target.fill(0);
    }
  }

  /** Shape, dtype and elements (the first and last ones of a large tensor). */
  toString(): string {
    if (this.storage.recycled) return `Tensor(${formatShape(this.shape)}, ${this.dtype}, recycled)`;
    return formatTensor(viewOf(this.storage, 'toString'), this.shape, this.dtype);
  }

  /** What Node's `console.log` prints. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }
}

function checkLength(op: string, got: number, expected: number): void {
  if (got === expected) return;
  throw new ShapeError(
    `${op}: the array must have one element per element of the tensor, got ${got} for ${expected}. Check its length.`,
    { got, expected },
  );
}

/**
 * Whether `value` is a tensor of this copy of the library.
 *
 * @example
 * isTensor(zeros([2])); // => true
 */
export function isTensor(value: unknown): value is Tensor {
  return value instanceof Tensor;
}

/** The typed array constructor for a dtype; checks the name for callers without types. */
export function arrayFor(op: string, dtype: DType): (typeof arrayConstructor)[DType] {
  const found = arrayConstructor[dtype];
  if (found === undefined) {
    throw new ArgumentError(
      `${op}: dtype must be one of ${Object.keys(arrayConstructor).join(', ')}, got ${String(dtype)}. Check its name.`,
      { dtype },
    );
  }
  return found;
}
