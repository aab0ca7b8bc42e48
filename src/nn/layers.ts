/** @file Layers with parameters: Linear and Conv2d. */
import { ArgumentError } from '../errors.ts';
import { conv2d, type Pair } from '../ops/conv.ts';
import { linear } from '../ops/linalg.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { defaultBias, defaultWeight } from './init.ts';
import { Module } from './module.ts';
import type { ModuleSpec } from './spec.ts';

/** Refuses sizes that are not whole numbers >= 1. */
function checkSize(op: string, name: string, value: number): void {
  if (Number.isInteger(value) && value >= 1) return;
  throw new ArgumentError(`${op}: ${name} must be a whole number >= 1, got ${value}. Check the layer.`, {
    [name]: value,
  });
}

/** Options of `Linear`. */
export interface LinearOptions {
  /** Whether there is a bias; default true. */
  readonly bias?: boolean;
}

/**
 * y = x weight^T + bias.
 *
 * Shapes: x [..., inFeatures] -> [..., outFeatures]; weight [outFeatures, inFeatures], bias [outFeatures], both uniform within
 * 1 / sqrt(inFeatures).
 *
 * @throws ArgumentError if a size is not a whole number >= 1.
 * @see https://pytorch.org/docs/stable/generated/torch.nn.Linear.html
 * @example
 * new nn.Linear(4, 10).forward(x).shape; // => [8, 10]
 */
export class Linear extends Module {
  readonly inFeatures: number;
  readonly outFeatures: number;
  weight: Tensor;
  bias: Tensor | undefined;

  constructor(inFeatures: number, outFeatures: number, options: LinearOptions = {}) {
    super();
    checkSize('Linear', 'inFeatures', inFeatures);
    checkSize('Linear', 'outFeatures', outFeatures);
    this.inFeatures = inFeatures;
    this.outFeatures = outFeatures;
    this.weight = defaultWeight([outFeatures, inFeatures]);
    this.bias = options.bias === false ? undefined : defaultBias(outFeatures, this.weight.shape);
  }

  override forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias);
  }

  override toSpec(): ModuleSpec {
    const { inFeatures, outFeatures } = this;
    return { type: 'Linear', args: { inFeatures, outFeatures, bias: this.bias !== undefined } };
  }
}

/** Options of `Conv2d`. */
export interface Conv2dLayerOptions {
  /** Step of the window; default 1. */
  readonly stride?: Pair;
  /** Zeros around the image, on each side; default 0. */
  readonly padding?: Pair;
  /** Whether there is a bias; default true. */
  readonly bias?: boolean;
}

/**
 * Convolution of images with trained filters.
 *
 * Shapes: x [N, inChannels, H, W] -> [N, outChannels, Ho, Wo], Ho = floor((H + 2 padding - kH) / stride) + 1; weight
 * [outChannels, inChannels, kH, kW], bias [outChannels], both uniform within 1 / sqrt(inChannels kH kW).
 *
 * @throws ArgumentError if a size is not a whole number >= 1.
 * @see https://pytorch.org/docs/stable/generated/torch.nn.Conv2d.html
 * @example
 * new nn.Conv2d(1, 6, 5, { padding: 2 }).forward(images).shape; // => [8, 6, 28, 28]
 */
export class Conv2d extends Module {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernelSize: readonly [number, number];
  readonly options: Conv2dLayerOptions;
  weight: Tensor;
  bias: Tensor | undefined;

  constructor(inChannels: number, outChannels: number, kernelSize: Pair, options: Conv2dLayerOptions = {}) {
    super();
    this.kernelSize = typeof kernelSize === 'number' ? [kernelSize, kernelSize] : kernelSize;
    checkSize('Conv2d', 'inChannels', inChannels);
    checkSize('Conv2d', 'outChannels', outChannels);
    for (const size of this.kernelSize) checkSize('Conv2d', 'kernelSize', size);
    this.inChannels = inChannels;
    this.outChannels = outChannels;
    this.options = options;
    this.weight = defaultWeight([outChannels, inChannels, ...this.kernelSize]);
    this.bias = options.bias === false ? undefined : defaultBias(outChannels, this.weight.shape);
  }

  override forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, this.bias, this.options);
  }

  override toSpec(): ModuleSpec {
    const { inChannels, outChannels, kernelSize, options } = this;
    return { type: 'Conv2d', args: { inChannels, outChannels, kernelSize, options } };
  }
}
