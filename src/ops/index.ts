/** @file The operations on tensors, as functions. */
export { abs, maximum, relu, sigmoid, tanh } from './activation.ts';
export { type Conv2dOptions, conv2d, type Pair } from './conv.ts';
export { type ConvTranspose2dOptions, convTranspose2d } from './conv-transpose.ts';
export { type Conv1dOptions, type ConvTranspose1dOptions, conv1d, convTranspose1d } from './conv1d.ts';
export { isGradEnabled, noGrad } from './define.ts';
export { add, div, exp, log, mul, neg, reciprocal, sqrt, square, sub, to } from './elementwise.ts';
export { type GeluOptions, gelu, type SoftplusOptions, silu, softplus } from './gelu.ts';
export { cat, indexSelect, narrow, select, stack } from './indexing.ts';
export { add_, copy_, mul_, sub_, zero_ } from './inplace.ts';
export { linear, matmul } from './linalg.ts';
export {
  crossEntropy,
  crossEntropySum,
  type LabelLossOptions,
  type LossSum,
  mseLoss,
  nllLoss,
} from './loss.ts';
export { expand, flatten, permute, reshape, transpose } from './movement.ts';
export { logSoftmax, softmax } from './normalize.ts';
export { type MaxPool2dOptions, maxPool2d } from './pool.ts';
export { type DropoutOptions, dropout } from './random.ts';
export { amax, argmax, max, mean, type ReduceOptions, sum } from './reduce.ts';
export { cos, erf, expm1, log1p, pow, sin } from './special.ts';
