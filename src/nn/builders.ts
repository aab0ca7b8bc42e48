/** @file The built-in modules by the names that specs use. A new layer adds its line here. */

import type { Pair } from '../ops/conv.ts';
import type { GeluOptions, SoftplusOptions } from '../ops/gelu.ts';
import type { MaxPool2dOptions } from '../ops/pool.ts';
import { GELU, SiLU, Softplus } from './activations.ts';
import {
  Conv1d,
  type Conv1dLayerOptions,
  Conv2d,
  type Conv2dLayerOptions,
  ConvTranspose1d,
  type ConvTranspose1dLayerOptions,
  ConvTranspose2d,
  type ConvTranspose2dLayerOptions,
} from './conv.ts';
import { Linear } from './layers.ts';
import { CrossEntropyLoss, type CrossEntropyLossOptions, MSELoss } from './loss.ts';
import type { Module } from './module.ts';
import { Sequential } from './sequential.ts';
import type { ModuleSpec } from './spec.ts';
import { Dropout, Flatten, MaxPool2d, ReLU, Tanh } from './stateless.ts';

/** Builds a module from the arguments in its spec; `build` builds the modules inside. */
export type Builder = (args: never, build: (spec: ModuleSpec) => Module) => Module;

interface LinearArguments {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly bias: boolean;
}

interface ConvArguments<Kernel, Options> {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernelSize: Kernel;
  readonly options: Options;
}

/** What each built-in type is built by. */
export const builders: Readonly<Record<string, Builder>> = {
  Linear: ({ inFeatures, outFeatures, bias }: LinearArguments) => new Linear(inFeatures, outFeatures, { bias }),
  Conv1d: ({ inChannels, outChannels, kernelSize, options }: ConvArguments<number, Conv1dLayerOptions>) =>
    new Conv1d(inChannels, outChannels, kernelSize, options),
  Conv2d: ({ inChannels, outChannels, kernelSize, options }: ConvArguments<Pair, Conv2dLayerOptions>) =>
    new Conv2d(inChannels, outChannels, kernelSize, options),
  ConvTranspose1d: ({
    inChannels,
    outChannels,
    kernelSize,
    options,
  }: ConvArguments<number, ConvTranspose1dLayerOptions>) =>
    new ConvTranspose1d(inChannels, outChannels, kernelSize, options),
  ConvTranspose2d: ({
    inChannels,
    outChannels,
    kernelSize,
    options,
  }: ConvArguments<Pair, ConvTranspose2dLayerOptions>) =>
    new ConvTranspose2d(inChannels, outChannels, kernelSize, options),
  MaxPool2d: ({ kernelSize, options }: { kernelSize: Pair; options: MaxPool2dOptions }) =>
    new MaxPool2d(kernelSize, options),
  Sequential: ({ modules }: { modules: readonly ModuleSpec[] }, build) => new Sequential(...modules.map(build)),
  Dropout: ({ p }: { p: number }) => new Dropout(p),
  Flatten: () => new Flatten(),
  GELU: ({ options }: { options: GeluOptions }) => new GELU(options),
  SiLU: () => new SiLU(),
  Softplus: ({ options }: { options: SoftplusOptions }) => new Softplus(options),
  ReLU: () => new ReLU(),
  Tanh: () => new Tanh(),
  CrossEntropyLoss: ({ options }: { options: CrossEntropyLossOptions }) => new CrossEntropyLoss(options),
  MSELoss: () => new MSELoss(),
};
