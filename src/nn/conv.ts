/** @file Convolution layers, over sequences and images, plain and transposed. */
import { ArgumentError } from '../errors.ts';
import { type Conv2dOptions, conv2d, type Pair } from '../ops/conv.ts';
import { type ConvTranspose2dOptions, convTranspose2d } from '../ops/conv-transpose.ts';
import { type Conv1dOptions, type ConvTranspose1dOptions, conv1d, convTranspose1d } from '../ops/conv1d.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { defaultBias, defaultWeight } from './init.ts';
import { checkSize } from './layers.ts';
import { Module } from './module.ts';
import type { ModuleSpec } from './spec.ts';

interface WithBias {
  /** Whether there is a bias; default true. */
  readonly bias?: boolean;
}

/** Options of `Conv1d`. */
export interface Conv1dLayerOptions extends Conv1dOptions, WithBias {}

/** Options of `Conv2d`. */
export interface Conv2dLayerOptions extends Conv2dOptions, WithBias {}

/** Options of `ConvTranspose1d`. */
export interface ConvTranspose1dLayerOptions extends ConvTranspose1dOptions, WithBias {}

/** Options of `ConvTranspose2d`. */
export interface ConvTranspose2dLayerOptions extends ConvTranspose2dOptions, WithBias {}

/** What a convolution layer is made of; its arguments are those of the spec. */
abstract class Convolution<Kernel, Options extends WithBias & { readonly groups?: number }> extends Module {
  readonly #type: string;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernelSize: Kernel;
  readonly options: Options;
  weight: Tensor;
  bias: Tensor | undefined;

  constructor(
    type: string,
    transposed: boolean,
    [inChannels, outChannels]: readonly [number, number],
    kernelSize: Kernel,
    lengths: readonly number[],
    options: Options,
  ) {
    super();
    checkSize(type, 'inChannels', inChannels);
    checkSize(type, 'outChannels', outChannels);
    for (const size of lengths) checkSize(type, 'kernelSize', size);
    const groups = options.groups ?? 1;
    checkSize(type, 'groups', groups);
    if (inChannels % groups !== 0 || outChannels % groups !== 0) {
      throw new ArgumentError(
        `${type}: groups must divide inChannels and outChannels, got ${groups} for ${inChannels} and ${outChannels}. Check the layer.`,
        { groups, inChannels, outChannels },
      );
    }
    this.#type = type;
    this.inChannels = inChannels;
    this.outChannels = outChannels;
    this.kernelSize = kernelSize;
    this.options = options;
    const [first, second] = transposed ? [inChannels, outChannels] : [outChannels, inChannels];
    this.weight = defaultWeight([first, second / groups, ...lengths]);
    this.bias = options.bias === false ? undefined : defaultBias(outChannels, this.weight.shape);
  }

  override toSpec(): ModuleSpec {
    const { inChannels, outChannels, kernelSize, options } = this;
    return { type: this.#type, args: { inChannels, outChannels, kernelSize, options } };
  }
}

const bothOf = (size: Pair): readonly [number, number] => (typeof size === 'number' ? [size, size] : size);

/**
 * Convolution of images with trained filters.
 *
 * Shapes: x [N, inChannels, H, W] -> [N, outChannels, Ho, Wo], Ho = floor((H + 2 padding - dilation (kH - 1) - 1) / stride) + 1; weight
 * [outChannels, inChannels / groups, kH, kW], bias [outChannels], both uniform within 1 / sqrt(inChannels / groups kH kW).
 *
 * @throws ArgumentError if a size is not a whole number >= 1, or groups do not divide both numbers of channels.
 * @see https://pytorch.org/docs/stable/generated/torch.nn.Conv2d.html
 * @example
 * new nn.Conv2d(1, 6, 5, { padding: 2 }).forward(images).shape; // => [8, 6, 28, 28]
 */
export class Conv2d extends Convolution<readonly [number, number], Conv2dLayerOptions> {
  constructor(inChannels: number, outChannels: number, kernelSize: Pair, options: Conv2dLayerOptions = {}) {
    const size = bothOf(kernelSize);
    super('Conv2d', false, [inChannels, outChannels], size, size, options);
  }

  override forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, this.bias, this.options);
  }
}

/**
 * Convolution of sequences with trained filters.
 *
 * Shapes: x [N, inChannels, L] -> [N, outChannels, Lo], Lo = floor((L + 2 padding - dilation (k - 1) - 1) / stride) + 1; weight [outChannels,
 * inChannels / groups, k], bias [outChannels], both uniform within 1 / sqrt(inChannels / groups k).
 *
 * @throws ArgumentError if a size is not a whole number >= 1, or groups do not divide both numbers of channels.
 * @see https://pytorch.org/docs/stable/generated/torch.nn.Conv1d.html
 * @example
 * new nn.Conv1d(4, 8, 3, { padding: 1 }).forward(randn([2, 4, 10])).shape; // => [2, 8, 10]
 */
export class Conv1d extends Convolution<number, Conv1dLayerOptions> {
  constructor(inChannels: number, outChannels: number, kernelSize: number, options: Conv1dLayerOptions = {}) {
    super('Conv1d', false, [inChannels, outChannels], kernelSize, [kernelSize], options);
  }

  override forward(x: Tensor): Tensor {
    return conv1d(x, this.weight, this.bias, this.options);
  }
}

/**
 * Transposed convolution of images, which makes them larger by the stride.
 *
 * Shapes: x [N, inChannels, H, W] -> [N, outChannels, Ho, Wo], Ho = (H - 1) stride - 2 padding + dilation (kH - 1) + outputPadding + 1; weight
 * [inChannels, outChannels / groups, kH, kW], bias [outChannels], both uniform within 1 / sqrt(outChannels / groups kH kW), as in PyTorch.
 *
 * @throws ArgumentError if a size is not a whole number >= 1, or groups do not divide both numbers of channels.
 * @see https://pytorch.org/docs/stable/generated/torch.nn.ConvTranspose2d.html
 * @example
 * new nn.ConvTranspose2d(1, 3, 2, { stride: 2 }).forward(images).shape; // => [8, 3, 56, 56]
 */
export class ConvTranspose2d extends Convolution<readonly [number, number], ConvTranspose2dLayerOptions> {
  constructor(inChannels: number, outChannels: number, kernelSize: Pair, options: ConvTranspose2dLayerOptions = {}) {
    const size = bothOf(kernelSize);
    super('ConvTranspose2d', true, [inChannels, outChannels], size, size, options);
  }

  override forward(x: Tensor): Tensor {
    return convTranspose2d(x, this.weight, this.bias, this.options);
  }
}

/**
 * Transposed convolution of sequences.
 *
 * Shapes: x [N, inChannels, L] -> [N, outChannels, Lo], Lo = (L - 1) stride - 2 padding + dilation (k - 1) + outputPadding + 1; weight
 * [inChannels, outChannels / groups, k], bias [outChannels], both uniform within 1 / sqrt(outChannels / groups k).
 *
 * @throws ArgumentError if a size is not a whole number >= 1, or groups do not divide both numbers of channels.
 * @see https://pytorch.org/docs/stable/generated/torch.nn.ConvTranspose1d.html
 * @example
 * new nn.ConvTranspose1d(4, 2, 4, { stride: 2, padding: 1 }).forward(randn([2, 4, 10])).shape; // => [2, 2, 20]
 */
export class ConvTranspose1d extends Convolution<number, ConvTranspose1dLayerOptions> {
  constructor(inChannels: number, outChannels: number, kernelSize: number, options: ConvTranspose1dLayerOptions = {}) {
    super('ConvTranspose1d', true, [inChannels, outChannels], kernelSize, [kernelSize], options);
  }

  override forward(x: Tensor): Tensor {
    return convTranspose1d(x, this.weight, this.bias, this.options);
  }
}
