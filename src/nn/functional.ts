/** @file Layers as functions, under PyTorch's names. */
export { abs, maximum, relu, sigmoid, tanh } from '../ops/activation.ts';
export { conv2d } from '../ops/conv.ts';
export { convTranspose2d } from '../ops/conv-transpose.ts';
export { conv1d, convTranspose1d } from '../ops/conv1d.ts';
export { type GeluOptions, gelu, type SoftplusOptions, silu, softplus } from '../ops/gelu.ts';
export { linear } from '../ops/linalg.ts';
export { crossEntropy, mseLoss, nllLoss } from '../ops/loss.ts';
export { logSoftmax, softmax } from '../ops/normalize.ts';
export { maxPool2d } from '../ops/pool.ts';
export { dropout } from '../ops/random.ts';
