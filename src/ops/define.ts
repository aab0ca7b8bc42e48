/**
 * @file Applying an operation: the shape rule, the kernel, and the node of the graph. Everything that operations have in common is here; an
 * operation itself is one record (`Op`), in the file of its family.
 */
import type { Kernel, KernelArray } from '../../kernels/define.ts';
import { callCopied } from '../../kernels/runtime/arrays.ts';
import { callPointers, callReference } from '../../kernels/runtime/call.ts';
import { bytesPerElement, type DType, isFloating, type NumericArray } from '../dtype.ts';
import { AutogradError, DTypeError } from '../errors.ts';
import { type Shape, sizeOf } from '../shape.ts';
import { beginOperation, createStorage, freeStorage, pointerOf, viewOf } from '../tensor/arena.ts';
import type { AnyOp, GraphNode, Op, Operand, SavedTensor, Shapes, Tensors } from '../tensor/graph.ts';
import { checkAlive, Storage } from '../tensor/storage.ts';
import { Tensor } from '../tensor/tensor.ts';

/** Declares an operation; only for the type of its attributes. */
export function defineOp<A = undefined>(op: Op<A>): Op<A> {
  return op;
}

let gradEnabled = true;
let applications = 0;

/**
 * Whether operations leave a graph behind.
 *
 * @example
 * isGradEnabled(); // => true
 * noGrad(() => isGradEnabled()); // => false
 */
export function isGradEnabled(): boolean {
  return gradEnabled;
}

/** Runs a synchronous function with the graph switched on or off. For the library; users have `noGrad`. */
export function withGrad<T>(enabled: boolean, fn: () => T): T {
  const outer = gradEnabled;
  gradEnabled = enabled;
  try {
    return fn();
  } finally {
    gradEnabled = outer;
  }
}

/**
 * Runs a synchronous function without leaving a graph behind: for inference and for changing parameters. Its results stay valid for as long
 * as the program holds them.
 *
 * @throws AutogradError if `fn` returns a promise: the rest of it would run with the graph switched on again.
 * @see https://pytorch.org/docs/stable/generated/torch.no_grad.html
 * @example
 * const weight = tensor([1, 2], { requiresGrad: true });
 * weight.square().sum().backward();
 * noGrad(() => weight.add_(weight.grad!.mul(-0.1)));
 * weight; // => tensor([0.8, 1.6], float32)
 */
export function noGrad<T>(fn: () => T): T {
  const result = withGrad(false, fn);
  if (result instanceof Promise) {
    throw new AutogradError(
      'noGrad: the function must be synchronous, got a promise. Await outside and wrap the computation alone.',
    );
  }
  return result;
}

/** The dtype rule of most operations: all inputs have one floating dtype. */
export function oneFloat(op: string, inputs: readonly Tensor[]): DType {
  const dtype = inputs[0]!.dtype;
  if (!inputs.every((input) => isFloating(input.dtype) && input.dtype === dtype)) {
    const dtypes = inputs.map((input) => input.dtype);
    throw new DTypeError(
      `${op}: operands must all be float32 or all be float64, got ${dtypes.join(' and ')}. Convert with to('${
        dtypes.includes('float64') ? 'float64' : 'float32'
      }').`,
      { dtypes },
    );
  }
  return dtype;
}

/** The dtype rule of operations that only move elements: all inputs have one dtype, any. */
export function oneDType(op: string, inputs: readonly Tensor[]): DType {
  const dtype = inputs[0]!.dtype;
  if (!inputs.every((input) => input.dtype === dtype)) {
    const dtypes = inputs.map((input) => input.dtype);
    throw new DTypeError(`${op}: operands must have one dtype, got ${dtypes.join(' and ')}. Convert with to().`, {
      dtypes,
    });
  }
  return dtype;
}

const nothing: readonly never[] = [];

/** Applies an operation: checks, computes, and records a node if gradients flow through an input. */
export function apply<A>(op: Op<A>, inputs: readonly Tensor[], attributes: A): Tensor {
  const operands = inputs as unknown as Tensors;
  const inputShapes = inputs.map((input) => input.shape) as unknown as Shapes;
  const shape = op.shape(inputShapes, attributes);
  const dtype = (op.dtype ?? oneFloat)(op.name, inputs, attributes);
  beginOperation();
  const output = op.shares ? sharedStorage(op.name, operands[0]) : createStorage(dtype, sizeOf(shape), op.name);
  const differentiable = (op.backward !== undefined || op.composed !== undefined) && isFloating(dtype);
  const recorded = gradEnabled && differentiable && inputs.some((input) => input.requiresGrad);
  const hidden = op.forward === undefined ? nothing : compute(op, operands, attributes, shape, dtype, output, recorded);
  if (!recorded) {
    hidden.forEach(freeStorage);
    return new Tensor(output, shape);
  }
  const node: GraphNode = {
    op: op as unknown as AnyOp,
    attributes,
    sequence: ++applications,
    shape,
    dtype,
    inputShapes,
    edges: inputs.map((input) => input.node ?? (input.requiresGrad ? input : undefined)),
    saved: nothing,
    inputs: op.composed === undefined ? nothing : inputs.map(save),
    hidden,
    output: op.shares ? undefined : output,
    consumed: false,
  };
  const result = new Tensor(output, shape, node);
  if (op.saves !== undefined) node.saved = op.saves.map((index) => save(index === 'output' ? result : inputs[index]!));
  return result;
}

/** Runs `forward`; returns the cells that it hid. When it throws, nothing is left behind. */
function compute<A>(
  op: Op<A>,
  inputs: Tensors,
  attributes: A,
  shape: Shape,
  dtype: DType,
  output: Storage,
  recorded: boolean,
): readonly Storage[] {
  let hidden: Storage[] | undefined;
  try {
    op.forward!({
      inputs,
      attributes,
      shape,
      dtype,
      output,
      recorded,
      run: (kernel, values) => runKernel(op.name, kernel, dtype, values),
      hide: (hiddenDType, length) => {
        const storage = createStorage(hiddenDType, length, op.name);
        hidden = [...(hidden ?? nothing), storage];
        return storage;
      },
    });
    return hidden ?? nothing;
  } catch (error) {
    freeStorage(output);
    hidden?.forEach(freeStorage);
    throw error;
  }
}

function sharedStorage(op: string, tensor: Tensor): Storage {
  checkAlive(tensor.storage, op);
  return tensor.storage;
}

function save(tensor: Tensor): SavedTensor {
  return { tensor, version: tensor.storage.version };
}

/** Runs a kernel on operands in contract order: WebAssembly for float32, for float64 too where the kernel has it, else the reference. */
export function runKernel(op: string, kernel: Kernel, dtype: DType, values: readonly Operand[]): void {
  if (dtype === 'float32') {
    const pointers = pointersOfLength(values.length);
    for (let i = 0; i < values.length; i++) pointers[i] = toPointer(op, values[i]);
    callPointers(kernel, pointers);
  } else if (kernel.double !== undefined) {
    // Cells of float64 are plain arrays: copying them costs little beside a product.
    callCopied(
      kernel.double,
      values.map((value) => toArray(op, value)),
    );
  } else {
    // Bringing a cell in may grow the memory, which kills views: no operand of a reference is brought in.
    callReference(
      kernel,
      'float64',
      values.map((value) => toArray(op, value)),
    );
  }
}

const pointerLists: number[][] = [];

/** A list that the next kernel call of as many values will use again. */
function pointersOfLength(length: number): number[] {
  return (pointerLists[length] ??= Array.from({ length }, () => 0));
}

function toPointer(op: string, value: Operand): number {
  if (value === undefined) return 0;
  if (typeof value === 'number') return value;
  if (value instanceof Tensor) return pointerOf(value.storage, op);
  if (value instanceof Storage) return pointerOf(value, op);
  return pointerOf(value.storage, op) + value.offset * bytesPerElement[value.storage.dtype];
}

const absent = new Float64Array(0);

function toArray(op: string, value: Operand): KernelArray | number {
  if (value === undefined) return absent;
  if (typeof value === 'number') return value;
  if (value instanceof Tensor) return viewOf(value.storage, op);
  if (value instanceof Storage) return viewOf(value, op);
  return viewOf(value.storage, op).subarray(value.offset);
}

/** The elements of a tensor or cell for a loop in plain TypeScript. Valid until the next allocation. */
export function elementsOf(op: string, value: Tensor | Storage): NumericArray {
  return viewOf(value instanceof Tensor ? value.storage : value, op);
}

/** Shape rule: the first input's. */
export function sameAsFirst(inputs: Shapes): Shape {
  return inputs[0];
}
