import { describe, expect, it } from 'vitest';
import { callArrays, referenceArrays } from '../../kernels/index.ts';
import { adam_rows_f32, sgd_f32 } from '../../kernels/update.ts';

interface Settings {
  readonly lr: number;
  readonly momentum: number;
  readonly dampening: number;
  readonly weightDecay: number;
  readonly nesterov: boolean;
}

/** The algorithm box of PyTorch's SGD, one weight, gradient 2 * (w - 1). */
function torchSteps(settings: Settings, steps: number): number[] {
  const { lr, momentum, dampening, weightDecay, nesterov } = settings;
  let w = 5;
  let b = 0;
  return Array.from({ length: steps }, (_, t) => {
    let g = 2 * (w - 1);
    if (weightDecay !== 0) g += weightDecay * w;
    if (momentum !== 0) {
      b = t === 0 ? g : momentum * b + (1 - dampening) * g;
      g = nesterov ? g + momentum * b : b;
    }
    w -= lr * g;
    return w;
  });
}

const plain: Settings = { lr: 0.1, momentum: 0, dampening: 0, weightDecay: 0, nesterov: false };
const cases: readonly [string, Settings][] = [
  ['plain', plain],
  ['weight decay', { ...plain, weightDecay: 0.5 }],
  ['momentum', { ...plain, momentum: 0.9 }],
  ['dampening', { ...plain, momentum: 0.9, dampening: 0.3 }],
  ['Nesterov with weight decay', { ...plain, momentum: 0.9, weightDecay: 0.01, nesterov: true }],
];

describe.each(cases)('sgd_f32: %s', (_name, settings) => {
  const expected = torchSteps(settings, 6);
  const numbers = { ...settings, nesterov: settings.nesterov ? 1 : 0, length: 1 };

  it('takes the steps of PyTorch in double precision', () => {
    let [weight, momentumBuffer] = [Float64Array.of(5), new Float64Array(1)];
    expected.forEach((value, t) => {
      const [weightOut, momentumOut] = [new Float64Array(1), new Float64Array(1)];
      const gradient = weight.map((w) => 2 * (w - 1));
      referenceArrays(sgd_f32, {
        weight,
        gradient,
        momentumBuffer,
        weightOut,
        momentumOut,
        ...numbers,
        first: t === 0 ? 1 : 0,
      });
      expect(weightOut[0]).toBeCloseTo(value, 13);
      [weight, momentumBuffer] = [weightOut, momentumOut];
    });
  });

  it('takes them in float32, in place too, with the same bits', () => {
    let [weight, momentumBuffer] = [Float32Array.of(5), new Float32Array(1)];
    const [inPlace, state] = [Float32Array.of(5), new Float32Array(1)];
    expected.forEach((value, t) => {
      const first = t === 0 ? 1 : 0;
      const [weightOut, momentumOut] = [new Float32Array(1), new Float32Array(1)];
      callArrays(sgd_f32, {
        weight,
        gradient: weight.map((w) => 2 * (w - 1)),
        momentumBuffer,
        weightOut,
        momentumOut,
        ...numbers,
        first,
      });
      const gradient = inPlace.map((w) => 2 * (w - 1));
      callArrays(sgd_f32, {
        weight: inPlace,
        gradient,
        momentumBuffer: state,
        weightOut: inPlace,
        momentumOut: state,
        ...numbers,
        first,
      });
      // Six steps of at most 8 roundings of numbers below 8.
      expect(Math.abs(weightOut[0]! - value)).toBeLessThan(48 * 2 ** -22);
      expect(inPlace).toEqual(weightOut);
      [weight, momentumBuffer] = [weightOut, momentumOut];
    });
  });
});

describe('sgd_f32 without state', () => {
  it('ignores NaN in an unused momentum buffer on the first step, and needs none at momentum 0', () => {
    const [weightOut, momentumOut] = [new Float32Array(1), new Float32Array(1)];
    const [weight, gradient] = [Float32Array.of(1), Float32Array.of(2)];
    const numbers = { lr: 0.5, dampening: 0.5, weightDecay: 0, nesterov: 0, length: 1 };
    callArrays(sgd_f32, {
      weight,
      gradient,
      momentumBuffer: Float32Array.of(Number.NaN),
      weightOut,
      momentumOut,
      ...numbers,
      momentum: 0.9,
      first: 1,
    });
    expect([weightOut[0], momentumOut[0]]).toEqual([0, 2]);
    callArrays(sgd_f32, { weight, gradient, weightOut, ...numbers, momentum: 0, first: 0 });
    expect(weightOut[0]).toBe(0);
  });
});

describe('adam_rows_f32', () => {
  it('does three steps of PyTorch 1.13’s SparseAdam, in float64; rows without a gradient stay', () => {
    const weight = Float64Array.from({ length: 8 }, (_, i) => i / 4);
    const [mean, square] = [new Float64Array(8), new Float64Array(8)];
    [[2, 0], [2], [3, 2]].forEach((rows, t) => {
      const gradient = Float64Array.from(rows.flatMap((row) => [(row + 1) * 0.5 - t * 0.2, -(row + 1) * 0.25 + t]));
      const stepSize = (0.1 * Math.sqrt(1 - 0.99 ** (t + 1))) / (1 - 0.9 ** (t + 1));
      const numbers = {
        tableRows: 4,
        count: rows.length,
        columns: 2,
        stepSize,
        share1: 0.1,
        share2: 0.01,
        epsilon: 1e-6,
      };
      referenceArrays(adam_rows_f32, { weight, rows: Int32Array.from(rows), gradient, mean, square, ...numbers });
    });
    const expected = [
      -0.0999980000399992, 0.3499960001599936, 0.5, 0.75, 0.7023454286150229, 1.3526915117343274, 1.436406382454211,
      1.686406620927892,
    ];
    // A few roundings a step of numbers below 2.
    for (let i = 0; i < 8; i++) expect(Math.abs(weight[i]! - expected[i]!), `element ${i}`).toBeLessThan(1e-14);
  });
});
