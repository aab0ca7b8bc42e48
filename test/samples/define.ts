/**
 * @file Samples of operations: valid inputs with a naive float64 definition, and invalid ones with the code of their error. The generic suite
 * (test/ops/generic.test.ts) runs over all of them.
 */
import type { Random } from '../../src/random.ts';
import { sizeOf } from '../../src/shape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

/** Plain values with a shape: what naive definitions compute on. */
export interface Nd {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/**
 * Which values an input gets. `any`: -2 to 2. `positive`: 0.25 to 3. `kinked`: like any, but at least 0.1 from 0. `distinct`: multiples of 0.1,
 * all different, so that maxima stay where they are under the steps of finite differences.
 */
export type Domain = 'any' | 'positive' | 'kinked' | 'distinct';

export interface Sample {
  readonly name: string;
  readonly inputs: readonly { readonly shape: readonly number[]; readonly domain: Domain }[];
  readonly call: (...inputs: Tensor[]) => Tensor;
  readonly reference: (...inputs: Nd[]) => Nd;
  /** Bound of |f32 - reference| <= atol + rtol |reference|; by default that of a few roundings. */
  readonly rtol?: number;
  readonly atol?: number;
}

export interface ErrorSample {
  readonly name: string;
  readonly call: () => unknown;
  readonly code: string;
}

export interface OpSamples {
  readonly samples: readonly Sample[];
  readonly errors: readonly ErrorSample[];
  /** The gradient flows (default), or not. */
  readonly differentiable?: boolean;
}

/** Float32 rounding unit. */
export const unit = 2 ** -24;

export function ins(domain: Domain, ...shapes: (readonly number[])[]): Sample['inputs'] {
  return shapes.map((shape) => ({ shape, domain }));
}

export function draw(domain: Domain, size: number, random: Random): Float64Array {
  const values = new Float64Array(size);
  if (domain === 'distinct') {
    const order = Array.from({ length: size }, (_, i) => i);
    for (let i = size - 1; i > 0; i--) {
      const j = random.below(i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    return values.map((_, i) => order[i]! * 0.1 - size * 0.04);
  }
  return values.map(() => {
    const u = random.float32();
    if (domain === 'positive') return 0.25 + 2.75 * u;
    const x = 4 * u - 2;
    return domain === 'kinked' && Math.abs(x) < 0.1 ? x + 0.3 : x;
  });
}

export function nd(shape: readonly number[], data: ArrayLike<number>): Nd {
  return { shape, data: Float64Array.from(data) };
}

/** Values by multi-index. */
export function build(shape: readonly number[], value: (index: readonly number[]) => number): Nd {
  const data = new Float64Array(sizeOf(shape));
  for (let i = 0; i < data.length; i++) data[i] = value(unravel(i, shape));
  return { shape, data };
}

export function unravel(flat: number, shape: readonly number[]): number[] {
  const index = new Array<number>(shape.length);
  for (let d = shape.length - 1; d >= 0; d--) {
    index[d] = flat % shape[d]!;
    flat = Math.floor(flat / shape[d]!);
  }
  return index;
}

export function at(x: Nd, index: readonly number[]): number {
  return x.data[index.reduce((flat, i, d) => flat * x.shape[d]! + i, 0)]!;
}

export function mapNd(f: (x: number) => number): (x: Nd) => Nd {
  return (x) => nd(x.shape, x.data.map(f));
}

/** Element by element with NumPy's broadcasting. */
export function zipNd(f: (a: number, b: number) => number): (a: Nd, b: Nd) => Nd {
  return (a, b) => {
    const rank = Math.max(a.shape.length, b.shape.length);
    const size = (x: Nd, d: number): number => x.shape[d - rank + x.shape.length] ?? 1;
    const shape = Array.from({ length: rank }, (_, d) => (size(a, d) === 1 ? size(b, d) : size(a, d)));
    const pick = (x: Nd, index: readonly number[]): number =>
      at(
        x,
        index.slice(rank - x.shape.length).map((i, d) => (x.shape[d] === 1 ? 0 : i)),
      );
    return build(shape, (index) => f(pick(a, index), pick(b, index)));
  };
}
