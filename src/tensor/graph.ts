/**
 * @file The form of operations and of the graph that they leave behind: types only. ops/define.ts applies operations and makes nodes,
 * autograd/backward.ts walks them.
 */
import type { Kernel } from '../../kernels/define.ts';
import type { DType } from '../dtype.ts';
import type { Shape } from '../shape.ts';
import type { Storage } from './storage.ts';
import type { Tensor } from './tensor.ts';

/** Tensors by position. Typed long enough for destructuring: an operation reads no more of them than it is given. */
export type Tensors = readonly [Tensor, Tensor, Tensor, ...Tensor[]];

/** Shapes by position; see `Tensors`. */
export type Shapes = readonly [Shape, Shape, Shape, ...Shape[]];

/** What a kernel takes: a tensor's or a cell's elements, elements from an offset on, a number, or nothing for an absent optional buffer. */
export type Operand = Tensor | Storage | { readonly storage: Storage; readonly offset: number } | number | undefined;

/** What `forward` gets. */
export interface ForwardContext<A> {
  readonly inputs: Tensors;
  readonly attributes: A;
  readonly shape: Shape;
  readonly dtype: DType;
  /** The result's cell, contents arbitrary; `forward` fills it. */
  readonly output: Storage;
  /** Runs a kernel on values in contract order: WebAssembly for float32, the reference for float64. */
  readonly run: (kernel: Kernel, values: readonly Operand[]) => void;
  /** Whether the result will have a gradient: if not, nothing reads what `hide` returns. */
  readonly recorded: boolean;
  /** A new cell that `backward` will find in `hidden`, in order of creation. It is freed when the graph is consumed. */
  readonly hide: (dtype: DType, length: number) => Storage;
}

/** What `backward` gets beside the gradient. */
export interface BackwardContext<A> {
  /** The tensors that `saves` lists, in that order. */
  readonly saved: Tensors;
  /** The cells that `forward` made with `hide`. */
  readonly hidden: readonly Storage[];
  readonly attributes: A;
  readonly inputShapes: Shapes;
  /** Whether input i wants a gradient; others may be returned as undefined. */
  readonly needs: readonly boolean[];
}

/**
 * One operation: everything that the library knows about it. `backward` is written in other operations, so that gradients have gradients.
 * An operation whose `backward` is a fused kernel has `composed`, its definition in other operations, which `createGraph` differentiates.
 */
export interface Op<A> {
  readonly name: string;
  /** The result's shape. Pure; throws ShapeError. */
  readonly shape: (inputs: Shapes, attributes: A) => Shape;
  /** The result's dtype; throws DTypeError. By default all inputs must have one floating dtype, which is the result's. */
  readonly dtype?: (op: string, inputs: readonly Tensor[], attributes: A) => DType;
  /** Whether the result shares the first input's cell (a new shape for the same elements); then there is no `forward`. */
  readonly shares?: true;
  readonly forward?: (context: ForwardContext<A>) => void;
  /** Inputs by position, and the result, that `backward` reads. An operation with `composed` saves all inputs besides. */
  readonly saves?: readonly (number | 'output')[];
  /** Gradients of the inputs, from the gradient of the result. Absent: no gradient flows. */
  readonly backward?: (context: BackwardContext<A>, gradient: Tensor) => readonly (Tensor | undefined)[];
  readonly composed?: (inputs: Tensors, attributes: A) => Tensor;
}

/** An operation of which only the generic machinery knows the attributes. */
export type AnyOp = Op<never>;

/** A tensor that backward needs, and the version that it had. */
export interface SavedTensor {
  readonly tensor: Tensor;
  readonly version: number;
}

/** One application of an operation. Consumed by the first `backward()` that does not retain the graph. */
export interface GraphNode {
  readonly op: AnyOp;
  readonly attributes: unknown;
  /** Counts applications on this thread: inputs have smaller numbers than results, which is a topological order. */
  readonly sequence: number;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly inputShapes: Shapes;
  /** Where gradients go: the node or the leaf behind each input, undefined where none is wanted. */
  edges: readonly (GraphNode | Tensor | undefined)[];
  saved: readonly SavedTensor[];
  /** The inputs of an operation with `composed`. */
  inputs: readonly SavedTensor[];
  hidden: readonly Storage[];
  /** The result's cell, unless it is shared with an input. */
  readonly output: Storage | undefined;
  consumed: boolean;
}
