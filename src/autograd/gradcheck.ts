/** @file Checking gradients against finite differences, in float64. */
import { AutogradError, DTypeError } from '../errors.ts';
import { fromTypedArray } from '../tensor/create.ts';
import { Tensor } from '../tensor/tensor.ts';
import { grad } from './backward.ts';

/** Options of `gradcheck` and `gradgradcheck`, with PyTorch's defaults. */
export interface GradcheckOptions {
  /** Step of the central differences; default 1e-6. */
  readonly eps?: number;
  /** Absolute tolerance; default 1e-5. */
  readonly atol?: number;
  /** Tolerance relative to the numeric gradient; default 1e-3. */
  readonly rtol?: number;
}

/** A function of tensors that is checked: pure, with one or several results. */
export type Checked = (...inputs: Tensor[]) => Tensor | readonly Tensor[];

/**
 * Compares the gradients of `fn` at `inputs` with central differences, element by element, and throws at the first one outside the tolerance.
 * `fn` must be smooth around the inputs: keep away from kinks.
 *
 * Units/ranges: inputs that require a gradient must be float64; the error of a difference is about eps^2 + 2e-16 / eps.
 *
 * @throws DTypeError for float32 inputs; @throws AutogradError naming input, element, output, both values.
 * @see https://pytorch.org/docs/stable/generated/torch.autograd.gradcheck.gradcheck.html
 * @example
 * gradcheck((x) => tanh(x), [randn([3], { dtype: 'float64', requiresGrad: true })]);
 */
export function gradcheck(fn: Checked, inputs: readonly Tensor[], options: GradcheckOptions = {}): void {
  const eps = options.eps ?? 1e-6;
  const atol = options.atol ?? 1e-5;
  const rtol = options.rtol ?? 1e-3;
  const wanted = inputs.filter((input) => input.requiresGrad);
  for (const input of wanted) {
    if (input.dtype !== 'float64') {
      throw new DTypeError(
        `gradcheck: inputs must be float64, got ${input.dtype}. Finite differences need the digits.`,
        {
          dtype: input.dtype,
        },
      );
    }
  }
  const outputs = differentiable(fn(...inputs));
  const analytic = outputs.map((output) => jacobian(output, wanted));
  wanted.forEach((input, w) => {
    const values = Float64Array.from(input.toTypedArray());
    const moved = (element: number, by: number): ArrayLike<number>[] => {
      const nearby = values.slice();
      nearby[element]! += by;
      const replaced = fromTypedArray(nearby, input.shape, { requiresGrad: true });
      const results = differentiable(fn(...inputs.map((other) => (other === input ? replaced : other))));
      return results.map((result) => result.toTypedArray());
    };
    for (let element = 0; element < values.length; element++) {
      const above = moved(element, eps);
      const below = moved(element, -eps);
      outputs.forEach((output, o) => {
        for (let k = 0; k < output.size; k++) {
          const numeric = (above[o]![k]! - below[o]![k]!) / (2 * eps);
          const found = analytic[o]![k]![w]?.[element] ?? 0;
          if (Math.abs(found - numeric) <= atol + rtol * Math.abs(numeric)) continue;
          throw new AutogradError(
            `gradcheck: the gradient must equal the central difference within ${atol} + ${rtol} |difference|, got ${found} and ${numeric} for ` +
              `element ${element} of input ${inputs.indexOf(input)} and element ${k} of output ${o}. Check the backward rule.`,
            { input: inputs.indexOf(input), element, output: o, outputElement: k, analytic: found, numeric },
          );
        }
      });
    }
  });
}

/** The results that gradients flow through. */
function differentiable(results: Tensor | readonly Tensor[]): Tensor[] {
  return (results instanceof Tensor ? [results] : results).filter((result) => result.requiresGrad);
}

/** By element of the output and by input: the gradient's values, undefined for no dependence. */
function jacobian(output: Tensor, inputs: readonly Tensor[]): (ArrayLike<number> | undefined)[][] {
  return Array.from({ length: output.size }, (_, k) => {
    const seed = new Float64Array(output.size);
    seed[k] = 1;
    const gradients = grad(output, inputs, { gradients: [fromTypedArray(seed, output.shape)], retainGraph: true });
    return gradients.map((gradient) => gradient?.toTypedArray());
  });
}

/**
 * `gradcheck` of the gradients themselves: of the function that maps inputs and the gradients of the outputs to the gradients of the inputs.
 * Checks second derivatives and that rules leave a right graph under `createGraph`.
 *
 * @throws DTypeError, AutogradError as `gradcheck`.
 * @example
 * gradgradcheck((x) => tanh(x), [randn([3], { dtype: 'float64', requiresGrad: true })]);
 */
export function gradgradcheck(fn: Checked, inputs: readonly Tensor[], options: GradcheckOptions = {}): void {
  // Fixed weights of about 1, all different, stand for the gradients that come from behind.
  const seeds = differentiable(fn(...inputs)).map(({ size, shape }) => {
    const values = Float64Array.from({ length: size }, (_, i) => 0.5 + ((i * 7) % 11) / 10);
    return fromTypedArray(values, shape, { requiresGrad: true });
  });
  const gradients = (...args: Tensor[]): Tensor[] => {
    const own = args.slice(0, inputs.length);
    const wanted = own.filter((input) => input.requiresGrad);
    const behind = { gradients: args.slice(inputs.length), createGraph: true };
    return grad(differentiable(fn(...own)), wanted, behind).filter((gradient) => gradient !== undefined);
  };
  gradcheck(gradients, [...inputs, ...seeds], options);
}
