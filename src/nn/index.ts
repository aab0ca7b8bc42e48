/** @file `shoal/nn`: modules, losses, their plain specs. */
import '../install.ts';

export { GELU, SiLU, Softplus } from './activations.ts';
export {
  Conv1d,
  type Conv1dLayerOptions,
  Conv2d,
  type Conv2dLayerOptions,
  ConvTranspose1d,
  type ConvTranspose1dLayerOptions,
  ConvTranspose2d,
  type ConvTranspose2dLayerOptions,
} from './conv.ts';
export * as functional from './functional.ts';
export { Linear, type LinearOptions } from './layers.ts';
export { CrossEntropyLoss, type CrossEntropyLossOptions, Loss, MSELoss } from './loss.ts';
export { Module, type StateDict } from './module.ts';
export { Sequential } from './sequential.ts';
export { type BuiltinSpec, type CustomSpec, type ModuleSpec, moduleFromSpec } from './spec.ts';
export { Dropout, Flatten, MaxPool2d, ReLU, Tanh } from './stateless.ts';
