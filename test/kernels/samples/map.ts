import fc from 'fast-check';
import { kernels } from '../../../kernels/index.ts';
import * as map from '../../../kernels/map.ts';
import type { KernelSamples } from '../harness.ts';

/** Every tail of the unrolled loop of 16, and around it. */
const lengths = [
  0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 15, 16, 17, 18, 19, 20, 23, 31, 32, 33, 47, 48, 63, 64, 65, 67, 127,
];
const grid = lengths.map((length) => ({ length }));
const numbers = fc.record({ length: fc.integer({ min: 0, max: 400 }) });

/** Kernels whose result on whole numbers is a whole number. */
const exact = [
  'neg_f32',
  'relu_f32',
  'square_f32',
  'abs_f32',
  'add_f32',
  'sub_f32',
  'mul_f32',
  'maximum_f32',
  'tanh_f32_gradient',
  'relu_f32_gradient',
];

const unaryOrBinary: KernelSamples[] = Object.values(kernels)
  .filter((kernel) => Object.values<unknown>(map).includes(kernel) && kernel.parameters.at(-1)?.name === 'length')
  .filter((kernel) => kernel.parameters.every(({ kind }) => kind === 'input' || kind === 'output' || kind === 'size'))
  .map((kernel) => {
    const inputs = kernel.parameters.filter(({ kind }) => kind === 'input');
    const output = kernel.parameters.find(({ kind }) => kind === 'output')!;
    return {
      kernel,
      grid,
      numbers,
      aliases: inputs.map(({ name }) => [output.name, name] as const),
      exact: exact.includes(kernel.name),
    };
  });

const numbersWithScalar = fc.record({
  length: fc.nat(300),
  s: fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constantFrom(0.25, -0)),
});

const scalars: KernelSamples[] = [map.add_scalar_f32, map.mul_scalar_f32, map.axpy_f32].map((kernel) => ({
  kernel,
  grid: lengths.map((length) => ({ length, s: length % 5 === 0 ? 0.1 : -2 })),
  numbers: numbersWithScalar,
  aliases: [['y', 'x']],
  exact: false,
}));

const others: KernelSamples[] = [
  {
    kernel: map.pow_scalar_f32,
    grid: lengths.map((length) => ({ length, s: [2, 0.5, -1, 3, 0, -0.5][length % 6]! })),
    numbers: fc.record({
      length: fc.nat(100),
      s: fc.constantFrom(0, -0, 1, 2, -3, 0.5, 1e9, Infinity, -Infinity, Number.NaN),
    }),
    aliases: [['y', 'x']],
    exact: false,
  },
  {
    kernel: map.softplus_f32,
    grid: lengths.map((length) => ({ length, beta: [1, 2, 0.3][length % 3]!, threshold: 20 })),
    numbers: fc.record({
      length: fc.nat(100),
      beta: fc.constantFrom(1, -1, 0.5, 7),
      threshold: fc.constantFrom(20, 1, -1, 0, Infinity),
    }),
    aliases: [['y', 'x']],
    exact: false,
  },
  {
    kernel: map.mask_f32,
    grid: lengths.map((length) => ({ length, scale: 2 })),
    fill: { mask: ({ length }, random) => Uint8Array.from({ length: length! }, () => random.below(3)) },
    aliases: [['y', 'x']],
    exact: true,
  },
  {
    kernel: map.add_bias_f32,
    grid: [0, 1, 2, 3].flatMap((rows) => lengths.map((columns) => ({ rows, columns }))),
    numbers: fc.record({ rows: fc.nat(9), columns: fc.nat(70) }),
    aliases: [['y', 'x']],
    exact: true,
  },
];

export default [...unaryOrBinary, ...scalars, ...others];
