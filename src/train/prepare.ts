/** @file From a batch of records to the tensors that a model takes. */
import type { Column, Columns } from '../data/columns.ts';
import type { NumericArray } from '../dtype.ts';
import { type FunctionSpec, resolveFunction } from '../engine/functions.ts';
import { ArgumentError, DTypeError, EngineError } from '../errors.ts';
import type { Shape } from '../shape.ts';
import { fromTypedArray } from '../tensor/create.ts';
import { isTensor, type Tensor } from '../tensor/tensor.ts';

/** Values with a shape: what a `prepare` function without tensors returns. */
export interface ShapedValues {
  readonly data: NumericArray;
  readonly shape: Shape;
}

/** What `prepare` gives: the model's input, and the loss's target (not needed for prediction). */
export interface PreparedBatch {
  readonly input: Tensor | ShapedValues;
  readonly target?: Tensor | ShapedValues;
}

/** Turns a batch, field by field, into input and target. Synchronous, and a pure function of the batch. */
export type Prepare = (batch: Columns) => PreparedBatch;

/** Input and target as tensors. */
export interface BatchTensors {
  readonly input: Tensor;
  readonly target: Tensor | null;
}

/**
 * The function that a worker prepares batches with. Without a spec, records must have the fields `input` and `target`, which are taken as they
 * are.
 */
export async function loadPrepare(spec: FunctionSpec | null): Promise<(batch: Columns) => BatchTensors> {
  const prepare = spec === null ? byFieldNames : ((await resolveFunction(spec)) as unknown as Prepare);
  return (batch) => {
    const prepared = prepare(batch);
    if (prepared instanceof Promise) {
      throw new EngineError(
        'PREPARE_ASYNC',
        'prepare: it must be synchronous, got a promise. Do slow work in a map before cache().',
      );
    }
    if (prepared?.input === undefined) {
      throw new ArgumentError(
        'prepare: it must return { input, target }, got no input. Return tensors or { data, shape }.',
      );
    }
    return {
      input: toTensor(prepared.input),
      target: prepared.target === undefined ? null : toTensor(prepared.target),
    };
  };
}

function byFieldNames({ count, fields }: Columns): PreparedBatch {
  const { input, target } = fields;
  if (input === undefined) {
    const names = Object.keys(fields).join(', ');
    throw new ArgumentError(
      `prepare: without a function, records need the fields input and target, got ${names}. Pass prepare.`,
      { names },
    );
  }
  const shaped = (name: string, { data, shape, dtype }: Column): ShapedValues => {
    if (dtype !== 'float64') return { data, shape: [count, ...shape] };
    throw new DTypeError(
      `prepare: ${name} must be float32, int32, uint8 or bool, got float64, which plain numbers are. Say what they are, as in ` +
        `cache({ ${name}: { dtype: '${name === 'target' ? 'int32' : 'float32'}', shape: [${shape}] }, ... }), or pass prepare.`,
      { field: name },
    );
  };
  const prepared = { input: shaped('input', input) };
  return target === undefined ? prepared : { ...prepared, target: shaped('target', target) };
}

function toTensor(value: Tensor | ShapedValues): Tensor {
  return isTensor(value) ? value : fromTypedArray(value.data, value.shape);
}

/** The error of a batch without labels where they are needed. */
export function noTarget(use: string): ArgumentError {
  return new ArgumentError(`prepare: ${use} needs { input, target }, got no target. Return the labels as target.`);
}
