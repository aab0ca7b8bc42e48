/** @file Matrix products. */
import { gemm_batched_f32, gemm_f32 } from '../../kernels/gemm.ts';
import * as map from '../../kernels/map.ts';
import { ShapeError } from '../errors.ts';
import { broadcastShapes, formatShape, type Shape, sameShape, sizeOf } from '../shape.ts';
import type { Operand, Shapes } from '../tensor/graph.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { apply, defineOp } from './define.ts';
import { add } from './elementwise.ts';
import { expand, reshape, transpose } from './movement.ts';
import { sum } from './reduce.ts';

interface Transposes {
  readonly a: boolean;
  readonly b: boolean;
}

function rowsAndColumns(shape: Shape, transposed: boolean): [rows: number, columns: number] {
  return transposed ? [shape[1]!, shape[0]!] : [shape[0]!, shape[1]!];
}

/** Values of one gemm call: y = op(A) op(B), all row-major and contiguous. */
function gemmValues(a: Tensor, b: Tensor, y: Operand, transposes: Transposes): Operand[] {
  const [m, k] = rowsAndColumns(a.shape, transposes.a);
  const [, n] = rowsAndColumns(b.shape, transposes.b);
  const flags = [Number(transposes.a), Number(transposes.b)];
  return [...flags, m, n, k, 1, a, Math.max(1, a.shape[1]!), b, Math.max(1, b.shape[1]!), 0, y, Math.max(1, n)];
}

/** y = op(A) op(B) for matrices, where op transposes or not. */
export const matmulOp = defineOp<Transposes>({
  name: 'matmul',
  shape: ([a, b], transposes) => {
    if (a.length !== 2 || b.length !== 2) {
      throw new ShapeError(
        `matmul: operands must be matrices, got ${formatShape(a)} and ${formatShape(b)}. Reshape them.`,
        { a, b },
      );
    }
    const [m, k] = rowsAndColumns(a, transposes.a);
    const [k2, n] = rowsAndColumns(b, transposes.b);
    if (k !== k2) {
      throw new ShapeError(
        `matmul: inner dimensions must match, got ${formatShape([m, k])} × ${formatShape([k2, n])} (${k} ≠ ${k2}). Transpose an operand or ` +
          'use linear().',
        { a, b },
      );
    }
    return [m, n];
  },
  forward: ({ run, inputs: [a, b], attributes, output }) => run(gemm_f32, gemmValues(a, b, output, attributes)),
  saves: [0, 1],
  backward: ({ saved: [a, b], attributes: { a: ta, b: tb }, needs }, gradient) => [
    needs[0] ? (ta ? product(b, gradient, tb, true) : product(gradient, b, false, !tb)) : undefined,
    needs[1] ? (tb ? product(gradient, a, true, ta) : product(a, gradient, !ta, false)) : undefined,
  ],
});

function product(a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): Tensor {
  return apply(matmulOp, [a, b], { a: transposeA, b: transposeB });
}

/** y[i] = op(A[i]) op(B[i]) for [batch, rows, columns]; a batch of 1 is one matrix for all. */
export const batchedMatmulOp = defineOp<Transposes>({
  name: 'batchedMatmul',
  shape: ([a, b], transposes) => {
    if (a.length !== 3 || b.length !== 3 || (a[0] !== b[0] && a[0] !== 1 && b[0] !== 1)) {
      throw new ShapeError(
        `batchedMatmul: operands must be [batch, rows, columns] of one batch (or 1), got ${formatShape(a)} and ${formatShape(b)}. Use matmul().`,
        { a, b },
      );
    }
    return [a[0] === 1 ? b[0]! : a[0]!, ...matmulOp.shape([a.slice(1), b.slice(1)] as unknown as Shapes, transposes)];
  },
  forward: ({ run, inputs: [a, b], attributes, output, shape: [batch, m, n] }) => {
    const k = a.shape[attributes.a ? 1 : 2]!;
    const [lda, strideA] = [Math.max(1, a.shape[2]!), a.shape[0] === 1 ? 0 : m! * k];
    const [ldb, strideB] = [Math.max(1, b.shape[2]!), b.shape[0] === 1 ? 0 : k * n!];
    const flags = [Number(attributes.a), Number(attributes.b)];
    const sizes = [batch!, m!, n!, k];
    run(gemm_batched_f32, [
      ...flags,
      ...sizes,
      ...[1, a, lda, strideA],
      ...[b, ldb, strideB],
      ...[0, output, Math.max(1, n!), m! * n!],
    ]);
  },
  saves: [0, 1],
  backward: ({ saved: [a, b], attributes: { a: ta, b: tb }, needs }, gradient) => [
    needs[0]
      ? overBatch(a, ta ? batchedProduct(b, gradient, tb, true) : batchedProduct(gradient, b, false, !tb))
      : undefined,
    needs[1]
      ? overBatch(b, tb ? batchedProduct(gradient, a, true, ta) : batchedProduct(a, gradient, !ta, false))
      : undefined,
  ],
});

function batchedProduct(a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): Tensor {
  return apply(batchedMatmulOp, [a, b], { a: transposeA, b: transposeB });
}

/** The gradient of a batch of 1: the sum over the batch. */
function overBatch(operand: Tensor, gradient: Tensor): Tensor {
  return operand.shape[0] === gradient.shape[0] ? gradient : sum(gradient, 0, { keepdim: true });
}

/**
 * The matrix product, of one pair of matrices or of many.
 *
 * Shapes: [m, k] × [k, n] -> [m, n]; [..., m, k] × [..., k, n] -> [..., m, n], where the leading dimensions broadcast; a vector on the left is
 * a row, one on the right a column, and its dimension is dropped: [k] × [k, n] -> [n], [..., k] × [k] -> [...].
 *
 * @throws ShapeError if the inner dimensions differ, the others do not broadcast, or an operand is a scalar.
 * @see https://pytorch.org/docs/stable/generated/torch.matmul.html
 * @example
 * matmul(tensor([[1, 2], [3, 4]]), tensor([[5, 6], [7, 8]])); // => tensor([[19, 22], [43, 50]], float32)
 * matmul(ones([8, 1, 2, 3]), ones([5, 3, 4])).shape; // => [8, 5, 2, 4]
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  if (a.rank === 0 || b.rank === 0) {
    throw new ShapeError(
      `matmul: operands must be [..., k] and [..., k, n] or [k], got ${formatShape(a.shape)} and ${formatShape(b.shape)}. Reshape them.`,
      { a: a.shape, b: b.shape },
    );
  }
  if (b.rank > 2) return manyProducts(a, b);
  const k = a.shape[a.rank - 1]!;
  const rows = a.rank === 2 ? a : reshape(a, [k === 0 ? sizeOf(a.shape.slice(0, -1)) : -1, k]);
  const columns = b.rank === 2 ? b : reshape(b, [b.size, 1]);
  const result = product(rows, columns, false, false);
  return reshape(result, [...a.shape.slice(0, -1), ...b.shape.slice(1)]);
}

/** The products of all pairs of matrices of `a` and `b`, whose leading dimensions broadcast. */
function manyProducts(a: Tensor, b: Tensor): Tensor {
  const left = a.rank === 1 ? reshape(a, [1, a.size]) : a;
  const lead = broadcastShapes('matmul', left.shape.slice(0, -2), b.shape.slice(0, -2));
  const [m, k] = left.shape.slice(-2);
  const [k2, n] = b.shape.slice(-2);
  if (k !== k2) {
    throw new ShapeError(
      `matmul: inner dimensions must match, got ${formatShape(a.shape)} × ${formatShape(b.shape)} (${k} ≠ ${k2}). Transpose an operand.`,
      { a: a.shape, b: b.shape },
    );
  }
  const result = batchedProduct(asBatch(left, lead), asBatch(b, lead), false, false);
  return reshape(result, a.rank === 1 ? [...lead, n!] : [...lead, m!, n!]);
}

/** The matrices of `x` as [batch, rows, columns] for the leading dimensions `lead`; one matrix for all stays one. */
function asBatch(x: Tensor, lead: Shape): Tensor {
  const own = x.shape.slice(0, -2);
  const matrix = x.shape.slice(-2);
  if (sizeOf(own) === 1) return reshape(x, [1, ...matrix]);
  // A batch that broadcasts in part is laid out: the kernel has one stride from matrix to matrix.
  return reshape(sameShape(own, lead) ? x : expand(x, [...lead, ...matrix]), [sizeOf(lead), ...matrix]);
}

/** x [rows, in], weight [out, in], bias [out] -> [rows, out]; the bias is optional. */
export const linearOp = defineOp({
  name: 'linear',
  shape: ([x, weight, bias]) => {
    if (weight.length !== 2 || x[1] !== weight[1]) {
      throw new ShapeError(
        `linear: x must be [..., in] and weight [out, in], got ${formatShape(x)} and ${formatShape(weight)}. Check the layer's inFeatures.`,
        { x, weight },
      );
    }
    if (bias !== undefined && (bias.length !== 1 || bias[0] !== weight[0])) {
      throw new ShapeError(
        `linear: bias must be [out], got ${formatShape(bias)} for weight ${formatShape(weight)}. Check the bias.`,
        { bias, weight },
      );
    }
    return [x[0]!, weight[0]!];
  },
  forward: ({ run, inputs, output, shape: [rows, columns] }) => {
    const [x, weight, bias] = inputs;
    run(gemm_f32, gemmValues(x, weight, output, { a: false, b: true }));
    if (inputs.length === 3) run(map.add_bias_f32, [output, bias, output, rows, columns]);
  },
  saves: [0, 1],
  backward: ({ saved: [x, weight], needs }, gradient) => [
    needs[0] ? product(gradient, weight, false, false) : undefined,
    needs[1] ? product(gradient, x, true, false) : undefined,
    needs[2] ? sum(gradient, 0) : undefined,
  ],
  composed: (inputs) => {
    const y = matmul(inputs[0], transpose(inputs[1]));
    return inputs.length === 3 ? add(y, inputs[2]) : y;
  },
});

/**
 * y = x weight^T + bias.
 *
 * Shapes: x [..., in], weight [out, in], bias [out] -> [..., out].
 *
 * @throws ShapeError if the shapes do not fit.
 * @see https://pytorch.org/docs/stable/generated/torch.nn.functional.linear.html
 * @example
 * nn.functional.linear(tensor([1, 2]), tensor([[3, 4]]), tensor([5])); // => tensor([16], float32)
 */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  if (x.rank === 0) {
    throw new ShapeError('linear: x must be [..., in], got []. Reshape it to [1].', { x: x.shape });
  }
  const features = x.shape[x.rank - 1]!;
  const lead = x.shape.slice(0, -1);
  const rows = x.rank === 2 ? x : reshape(x, [lead.reduce((a, b) => a * b, 1), features]);
  const result = apply(linearOp, bias === undefined ? [rows, weight] : [rows, weight, bias], undefined);
  return reshape(result, [...lead, weight.shape[0]!]);
}
