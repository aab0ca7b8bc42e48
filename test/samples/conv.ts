import * as c from '../../src/ops/conv.ts';
import { apply } from '../../src/ops/define.ts';
import { ones } from '../../src/tensor/create.ts';
import { at, build, ins, type Nd, type OpSamples, type Sample, unit } from './define.ts';

type Two = readonly [number, number];
interface Case {
  readonly x: readonly [number, number, number, number];
  readonly w: readonly [number, number, number, number];
  readonly stride: Two;
  readonly padding: Two;
  readonly dilation: Two;
  readonly groups: number;
}

const sizes = (
  name: string,
  x: Case['x'],
  w: Case['w'],
  stride: Two = [1, 1],
  padding: Two = [0, 0],
  dilation: Two = [1, 1],
  groups = 1,
): Case & { name: string } => ({ name, x, w, stride, padding, dilation, groups });

const cases = [
  sizes('3x3', [2, 1, 5, 4], [2, 1, 3, 3]),
  sizes('padded', [1, 2, 4, 4], [3, 2, 3, 3], [1, 1], [1, 1]),
  sizes('strided', [1, 2, 6, 5], [2, 2, 3, 2], [2, 2], [1, 0]),
  sizes('uneven', [1, 1, 5, 7], [1, 1, 2, 3], [3, 2], [1, 2]),
  sizes('1x1', [2, 3, 2, 2], [2, 3, 1, 1]),
  sizes('pixels left over', [1, 1, 6, 6], [1, 1, 2, 2], [4, 3]),
  sizes('dilated', [1, 2, 7, 6], [2, 2, 3, 2], [1, 2], [1, 0], [2, 3]),
  sizes('grouped', [2, 4, 3, 4], [6, 2, 2, 2], [1, 1], [0, 1], [1, 1], 2),
  sizes('depthwise', [1, 3, 5, 4], [3, 1, 3, 3], [2, 1], [1, 1], [1, 1], 3),
  sizes('batch', [5, 2, 4, 3], [3, 2, 3, 3], [1, 1], [1, 1]),
  sizes('no images', [0, 1, 3, 3], [1, 1, 2, 2]),
];

function outputShape({ x, w, stride, padding, dilation }: Case): readonly [number, number, number, number] {
  const count = (d: 0 | 1): number =>
    Math.floor((x[d + 2]! + 2 * padding[d] - dilation[d] * (w[d + 2]! - 1) - 1) / stride[d]) + 1;
  return [x[0], w[0], count(0), count(1)];
}

/** Calls `visit` for every product that the convolution adds up. */
function products(size: Case, visit: (y: number[], x: number[], w: number[]) => void): void {
  const [n, o, ho, wo] = outputShape(size);
  const [, channels, kh, kw] = size.w;
  build([n, o, ho, wo, channels, kh, kw], ([b, f, i, j, ch, p, q]) => {
    const row = i! * size.stride[0] + p! * size.dilation[0] - size.padding[0];
    const column = j! * size.stride[1] + q! * size.dilation[1] - size.padding[1];
    const source = Math.floor((f! * size.groups) / o) * channels + ch!;
    if (row >= 0 && row < size.x[2] && column >= 0 && column < size.x[3])
      visit([b!, f!, i!, j!], [b!, source, row, column], [f!, ch!, p!, q!]);
    return 0;
  });
}

function flat(shape: readonly number[], index: readonly number[]): number {
  return index.reduce((sum, i, d) => sum * shape[d]! + i, 0);
}

function accumulate(size: Case, which: 'y' | 'x' | 'w', term: (y: number[], x: number[], w: number[]) => number): Nd {
  const shape = which === 'y' ? outputShape(size) : size[which];
  const result = build(shape, () => 0);
  products(size, (y, x, w) => {
    result.data[flat(shape, { y, x, w }[which])]! += term(y, x, w);
  });
  return result;
}

/** At most 60 products of numbers up to 2 in these cases, in any order: 61 u 4 60. */
const tolerance = { rtol: 0, atol: 61 * 240 * unit };

const forward = (size: Case & { name: string }, bias: boolean): Sample => ({
  name: `${size.name}${bias ? ' with bias' : ''}`,
  inputs: ins('any', size.x, size.w, ...(bias ? [[size.w[0]]] : [])),
  call: (x, w, b) => c.conv2d(x!, w!, b, size),
  reference: (x, w, b) => {
    const sum = accumulate(size, 'y', (_, xi, wi) => at(x!, xi) * at(w!, wi));
    return build(sum.shape, (index) => at(sum, index) + (b === undefined ? 0 : at(b, [index[1]!])));
  },
  ...tolerance,
});

const attributes = ({ x, w, stride, padding, dilation, groups }: Case) => ({
  x,
  weight: w,
  stride,
  padding,
  dilation,
  groups,
  winograd: 0 as const,
});

export const conv: Record<string, OpSamples> = {
  conv2d: {
    samples: cases.flatMap((size, i) => [forward(size, i % 2 === 0), ...(i < 2 ? [forward(size, i % 2 === 1)] : [])]),
    errors: [
      { name: 'channels', call: () => c.conv2d(ones([1, 2, 3, 3]), ones([1, 1, 2, 2])), code: 'SHAPE' },
      { name: 'rank', call: () => c.conv2d(ones([2, 3, 3]), ones([1, 2, 2, 2])), code: 'SHAPE' },
      {
        name: 'window larger than the image',
        call: () => c.conv2d(ones([1, 1, 2, 2]), ones([1, 1, 3, 3])),
        code: 'SHAPE',
      },
      {
        name: 'stride 0',
        call: () => c.conv2d(ones([1, 1, 2, 2]), ones([1, 1, 1, 1]), undefined, { stride: 0 }),
        code: 'ARGUMENT',
      },
      {
        name: 'negative padding',
        call: () => c.conv2d(ones([1, 1, 2, 2]), ones([1, 1, 1, 1]), undefined, { padding: [-1, 0] }),
        code: 'ARGUMENT',
      },
      {
        name: 'dilated window larger than the image',
        call: () => c.conv2d(ones([1, 1, 4, 4]), ones([1, 1, 3, 3]), undefined, { dilation: 2 }),
        code: 'SHAPE',
      },
      {
        name: 'groups that do not divide the filters',
        call: () => c.conv2d(ones([1, 2, 2, 2]), ones([3, 1, 1, 1]), undefined, { groups: 2 }),
        code: 'SHAPE',
      },
      {
        name: 'groups 0',
        call: () => c.conv2d(ones([1, 1, 2, 2]), ones([1, 1, 1, 1]), undefined, { groups: 0 }),
        code: 'ARGUMENT',
      },
      {
        name: 'dilation 0',
        call: () => c.conv2d(ones([1, 1, 2, 2]), ones([1, 1, 1, 1]), undefined, { dilation: [1, 0] }),
        code: 'ARGUMENT',
      },
      {
        name: 'Winograd with another stride',
        call: () => c.conv2d(ones([1, 1, 5, 5]), ones([1, 1, 3, 3]), undefined, { stride: [1, 2], winograd: 2 }),
        code: 'ARGUMENT',
      },
      {
        name: 'Winograd with another filter',
        call: () => c.conv2d(ones([1, 1, 5, 5]), ones([1, 1, 3, 2]), undefined, { winograd: 4 }),
        code: 'ARGUMENT',
      },
      {
        name: 'Winograd in other tiles',
        call: () => c.conv2d(ones([1, 1, 5, 5]), ones([1, 1, 3, 3]), undefined, { winograd: 6 as 4 }),
        code: 'ARGUMENT',
      },
      { name: 'no channels', call: () => c.conv2d(ones([1, 0, 2, 2]), ones([1, 0, 1, 1])), code: 'SHAPE' },
      { name: 'bias', call: () => c.conv2d(ones([1, 1, 2, 2]), ones([2, 1, 1, 1]), ones([1])), code: 'SHAPE' },
    ],
  },
  conv2dBackwardData: {
    samples: cases.map((size) => ({
      name: size.name,
      inputs: ins('any', outputShape(size), size.w),
      call: (g, w) => apply(c.conv2dBackwardDataOp, [g!, w!], attributes(size)),
      reference: (g, w) => accumulate(size, 'x', (yi, _, wi) => at(g!, yi) * at(w!, wi)),
      ...tolerance,
    })),
    errors: [],
  },
  conv2dBackwardFilter: {
    samples: cases.map((size) => ({
      name: size.name,
      inputs: ins('any', size.x, outputShape(size)),
      call: (x, g) => apply(c.conv2dBackwardFilterOp, [x!, g!], attributes(size)),
      reference: (x, g) => accumulate(size, 'w', (yi, xi) => at(x!, xi) * at(g!, yi)),
      ...tolerance,
    })),
    errors: [],
  },
};
