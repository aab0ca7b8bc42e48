/**
 * @file Hangs an explicit list of operations on the tensor class, so that they chain: `x.mul(2).sum()`. The free functions are primary; a
 * method passes its tensor as the first argument. Every public entry that hands out tensors imports this file (it is listed in
 * `sideEffects`).
 */
import { backward } from './autograd/backward.ts';
import * as ops from './ops/index.ts';
import { Tensor } from './tensor/tensor.ts';

const methods = {
  backward,
  abs: ops.abs,
  add: ops.add,
  add_: ops.add_,
  amax: ops.amax,
  argmax: ops.argmax,
  copy_: ops.copy_,
  cos: ops.cos,
  div: ops.div,
  erf: ops.erf,
  exp: ops.exp,
  expand: ops.expand,
  expm1: ops.expm1,
  flatten: ops.flatten,
  indexSelect: ops.indexSelect,
  log: ops.log,
  log1p: ops.log1p,
  logSoftmax: ops.logSoftmax,
  matmul: ops.matmul,
  max: ops.max,
  mean: ops.mean,
  mul: ops.mul,
  mul_: ops.mul_,
  narrow: ops.narrow,
  neg: ops.neg,
  permute: ops.permute,
  pow: ops.pow,
  relu: ops.relu,
  reshape: ops.reshape,
  select: ops.select,
  sigmoid: ops.sigmoid,
  sin: ops.sin,
  softmax: ops.softmax,
  sqrt: ops.sqrt,
  square: ops.square,
  sub: ops.sub,
  sub_: ops.sub_,
  sum: ops.sum,
  tanh: ops.tanh,
  to: ops.to,
  transpose: ops.transpose,
  zero_: ops.zero_,
} as const;

/** A function on a tensor as a method of it. */
type Method<F> = F extends (tensor: Tensor, ...rest: infer Rest) => infer Result ? (...rest: Rest) => Result : never;

/** The methods that `installMethods` adds. */
export type TensorMethods = { readonly [Name in keyof typeof methods]: Method<(typeof methods)[Name]> };

declare module './tensor/tensor.ts' {
  interface Tensor extends TensorMethods {}
}

/** Adds the methods to the class; calling it again changes nothing. */
export function installMethods(): void {
  for (const [name, operation] of Object.entries(methods)) {
    const method = function (this: Tensor, ...rest: unknown[]): unknown {
      return (operation as (...values: unknown[]) => unknown)(this, ...rest);
    };
    Object.defineProperty(Tensor.prototype, name, { value: method, writable: true, configurable: true });
  }
}

installMethods();
