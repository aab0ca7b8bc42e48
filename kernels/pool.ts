/** @file Max-pooling and average-pooling of planes [h, w] (a plane is one channel of one image) and their gradients. */
import {
  anyAlignment,
  defineKernel,
  flag,
  input,
  of,
  output,
  type Round,
  type Sizes,
  scratch,
  size,
} from './define.ts';
import { rowOrder, sumRow } from './row.ts';

type Floats = Float32Array | Float64Array;

/**
 * The number of windows along a dimension: floor((size + 2 padding - kernel) / stride) + 1, or 0 if the kernel does not fit.
 *
 * @example
 * poolOutputSize(28, 2, 2, 0); // => 14
 */
export function poolOutputSize(length: number, kernel: number, stride: number, padding: number): number {
  const room = length + 2 * padding - kernel;
  return room < 0 ? 0 : Math.floor(room / stride) + 1;
}

function outputs(s: Sizes): number {
  return (
    s.planes! *
    poolOutputSize(s.h!, s.kh!, s.strideH!, s.paddingH!) *
    poolOutputSize(s.w!, s.kw!, s.strideW!, s.paddingW!)
  );
}

/** Sizes of windows over planes; `padding`: what becomes of rows and columns outside. */
const windowSizes = (padding: string) =>
  [
    size('planes', 'images times channels'),
    size('h', 'rows of x'),
    size('w', 'columns of x'),
    size('kh', 'rows of the window, >= 1'),
    size('kw', 'columns of the window, >= 1'),
    size('strideH', '>= 1'),
    size('strideW', '>= 1'),
    size('paddingH', `rows outside on each side, which ${padding}`),
    size('paddingW', `columns outside on each side, which ${padding}`),
  ] as const;

/** The values of `windowSizes`, in order. */
type WindowNumbers = readonly [
  planes: number,
  h: number,
  w: number,
  kh: number,
  kw: number,
  strideH: number,
  strideW: number,
  paddingH: number,
  paddingW: number,
];

/** A window: the part of it that is inside. */
interface Window {
  readonly firstRow: number;
  readonly endRow: number;
  readonly firstColumn: number;
  readonly endColumn: number;
}

/** How many elements of a window are inside. */
function areaOf({ firstRow, endRow, firstColumn, endColumn }: Window): number {
  return (endRow - firstRow) * (endColumn - firstColumn);
}

/** Calls `use` with every window, in order of (plane, oy, ox). */
function eachWindow(
  [planes, h, w, kh, kw, strideH, strideW, paddingH, paddingW]: readonly [...WindowNumbers, ...number[]],
  use: (plane: number, out: number, window: Window) => void,
): void {
  const ho = poolOutputSize(h, kh, strideH, paddingH);
  const wo = poolOutputSize(w, kw, strideW, paddingW);
  for (let out = 0; out < planes * ho * wo; out++) {
    const ox = out % wo;
    const oy = ((out - ox) / wo) % ho;
    const [top, left] = [oy * strideH - paddingH, ox * strideW - paddingW];
    const [firstRow, firstColumn] = [Math.max(0, top), Math.max(0, left)];
    const endRow = Math.max(firstRow, Math.min(h, top + kh));
    const endColumn = Math.max(firstColumn, Math.min(w, left + kw));
    use(Math.floor(out / (ho * wo)), out, { firstRow, endRow, firstColumn, endColumn });
  }
}

/** Calls `use` with the largest of every window and its row * w + column. */
function eachLargest(x: Floats, numbers: WindowNumbers, use: (out: number, best: number, index: number) => void): void {
  const [, h, w] = numbers;
  eachWindow(numbers, (plane, out, { firstRow, endRow, firstColumn, endColumn }) => {
    let best = -Infinity;
    let index = firstRow < endRow && firstColumn < endColumn ? firstRow * w + firstColumn : -1;
    for (let row = firstRow; row < endRow; row++) {
      for (let column = firstColumn; column < endColumn; column++) {
        const value = x[(plane * h + row) * w + column]!;
        if (value > best || Number.isNaN(value)) {
          best = value;
          index = row * w + column;
        }
      }
    }
    use(out, best, index);
  });
}

const maxOrder =
  'Elements of a window row by row, from -inf: an element wins if it is larger than the best, or NaN. So the first of equals and the last NaN win, as in PyTorch.';

/** y = the largest of each window, indices = where it is (row * w + column inside its plane). */
export const max_pool2d_f32 = defineKernel({
  name: 'max_pool2d_f32',
  summary:
    'y[p, oy, ox] = max of x[p] in the window from (oy * strideH - paddingH, ox * strideW - paddingW), indices = its row * w + column',
  parameters: [
    input('x', of('planes', 'h', 'w'), '[planes, h, w]'),
    output('y', outputs, '[planes, ho, wo]'),
    {
      name: 'indices',
      kind: 'output',
      type: 'i32',
      length: outputs,
      doc: '[planes, ho, wo], row * w + column inside the plane',
    },
    ...windowSizes('never win'),
  ],
  rules: {
    order: maxOrder,
    aliasing: 'none.',
    alignment: anyAlignment,
    edges: 'A window of padding only gives -inf and index -1 (PyTorch refuses such padding).',
  },
  reference: (_round: Round, x: Floats, y: Floats, indices: Int32Array, ...numbers: WindowNumbers) => {
    eachLargest(x, numbers, (out, best, index) => {
      y[out] = best;
      indices[out] = index;
    });
  },
});

/** y = the largest of each window, where no gradient will ask for its place: half of the time. */
export const max_pool2d_f32_values = defineKernel({
  name: 'max_pool2d_f32_values',
  summary: 'y[p, oy, ox] = max of x[p] in the window from (oy * strideH - paddingH, ox * strideW - paddingW)',
  parameters: [
    input('x', of('planes', 'h', 'w'), '[planes, h, w]'),
    output('y', outputs, '[planes, ho, wo]'),
    ...windowSizes('never win'),
  ],
  rules: {
    order: `${maxOrder} The bits are those of max_pool2d_f32.`,
    aliasing: 'none.',
    alignment: anyAlignment,
    edges: 'A window of padding only gives -inf (PyTorch refuses such padding).',
  },
  reference: (_round: Round, x: Floats, y: Floats, ...numbers: WindowNumbers) => {
    eachLargest(x, numbers, (out, best) => {
      y[out] = best;
    });
  },
});

/** gradX = gradY added where each window's largest was. */
export const max_pool2d_f32_gradient = defineKernel({
  name: 'max_pool2d_f32_gradient',
  summary: 'gradX[p, indices[p, o]] += gradY[p, o], from 0',
  parameters: [
    input('gradY', of('planes', 'ho', 'wo'), '[planes, ho, wo]'),
    {
      name: 'indices',
      kind: 'input',
      type: 'i32',
      length: of('planes', 'ho', 'wo'),
      doc: 'as max_pool2d_f32 left them',
    },
    output('gradX', of('planes', 'h', 'w'), '[planes, h, w]'),
    size('planes', 'images times channels'),
    size('h', 'rows of gradX'),
    size('w', 'columns of gradX'),
    size('ho', 'rows of gradY'),
    size('wo', 'columns of gradY'),
  ],
  rules: {
    order: 'gradX starts at +0; overlapping windows add in order of (oy, ox).',
    aliasing: 'none.',
    alignment: anyAlignment,
    edges: 'An index outside the plane adds nothing.',
  },
  reference: (
    round: Round,
    gradY: Floats,
    indices: Int32Array,
    gradX: Floats,
    planes: number,
    h: number,
    w: number,
    ho: number,
    wo: number,
  ) => {
    gradX.fill(0, 0, planes * h * w);
    for (let out = 0; out < planes * ho * wo; out++) {
      const index = indices[out]!;
      if (index < 0 || index >= h * w) continue;
      const at = Math.floor(out / (ho * wo)) * h * w + index;
      gradX[at] = round(gradX[at]! + gradY[out]!);
    }
  },
});

const averageSizes = [
  ...windowSizes('count as 0'),
  flag('countIncludePad', "1: divide by kh * kw (PyTorch's default); 0: by the elements of the window that are inside"),
] as const;

/** The values of `averageSizes`, in order. */
type AverageNumbers = readonly [...WindowNumbers, countIncludePad: number];

/** What the sum of a window is divided by. */
function divisorOf([, , , kh, kw, , , , , countIncludePad]: AverageNumbers, window: Window): number {
  return countIncludePad === 0 ? areaOf(window) : kh * kw;
}

/** Calls `use` with every window of adaptive average-pooling, in order of (plane, oy, ox). */
function eachAdaptiveWindow(
  [planes, h, w, ho, wo]: readonly [number, number, number, number, number],
  use: (plane: number, out: number, window: Window) => void,
): void {
  for (let out = 0; out < planes * ho * wo; out++) {
    const ox = out % wo;
    const oy = ((out - ox) / wo) % ho;
    const [firstRow, endRow] = [Math.floor((oy * h) / ho), Math.ceil(((oy + 1) * h) / ho)];
    const [firstColumn, endColumn] = [Math.floor((ox * w) / wo), Math.ceil(((ox + 1) * w) / wo)];
    use(Math.floor(out / (ho * wo)), out, { firstRow, endRow, firstColumn, endColumn });
  }
}

/** gradX += share, everywhere in the window. */
function spread(round: Round, gradX: Floats, planeStart: number, w: number, share: number, window: Window): void {
  for (let row = window.firstRow; row < window.endRow; row++) {
    for (let column = window.firstColumn; column < window.endColumn; column++) {
      const at = planeStart + row * w + column;
      gradX[at] = round(gradX[at]! + share);
    }
  }
}

/** y = the mean of each window. */
export const avg_pool2d_f32 = defineKernel({
  name: 'avg_pool2d_f32',
  summary:
    'y[p, oy, ox] = sum of x[p] in the window from (oy * strideH - paddingH, ox * strideW - paddingW) / (countIncludePad ? kh * kw : elements inside)',
  parameters: [
    input('x', of('planes', 'h', 'w'), '[planes, h, w]'),
    output('y', outputs, '[planes, ho, wo]'),
    ...averageSizes,
  ],
  rules: {
    order: 'Elements inside are added row by row, from +0; then the sum is divided.',
    aliasing: 'none.',
    alignment: anyAlignment,
    edges: 'A window of padding only gives +0, or NaN (0 / 0) without countIncludePad; PyTorch refuses such padding.',
  },
  reference: (round: Round, x: Floats, y: Floats, ...numbers: AverageNumbers) => {
    const [, h, w] = numbers;
    eachWindow(numbers, (plane, out, window) => {
      let sum = 0;
      for (let row = window.firstRow; row < window.endRow; row++)
        for (let column = window.firstColumn; column < window.endColumn; column++)
          sum = round(sum + x[(plane * h + row) * w + column]!);
      y[out] = sum / divisorOf(numbers, window);
    });
  },
});

/** gradX = the gradient of each mean, shared among its elements. */
export const avg_pool2d_f32_gradient = defineKernel({
  name: 'avg_pool2d_f32_gradient',
  summary: 'gradX[p, i, j] = sum over the windows that hold (i, j) of gradY[p, oy, ox] / divisor, as in avg_pool2d_f32',
  parameters: [
    input('gradY', outputs, '[planes, ho, wo]'),
    output('gradX', of('planes', 'h', 'w'), '[planes, h, w]'),
    ...averageSizes,
  ],
  rules: {
    order: 'gradX starts at +0; overlapping windows add gradY / divisor in order of (oy, ox).',
    aliasing: 'none.',
    alignment: anyAlignment,
    edges: 'Elements in no window are +0.',
  },
  reference: (round: Round, gradY: Floats, gradX: Floats, ...numbers: AverageNumbers) => {
    const [planes, h, w] = numbers;
    gradX.fill(0, 0, planes * h * w);
    eachWindow(numbers, (plane, out, window) => {
      spread(round, gradX, plane * h * w, w, round(gradY[out]! / divisorOf(numbers, window)), window);
    });
  },
});

const adaptiveSizes = [
  size('planes', 'images times channels'),
  size('h', 'rows of x'),
  size('w', 'columns of x'),
  size('ho', 'rows of y; 1 for the mean of the whole plane'),
  size('wo', 'columns of y'),
] as const;

/** y = the means of ho x wo windows that cover the plane; 1 x 1 is global average-pooling. */
export const adaptive_avg_pool2d_f32 = defineKernel({
  name: 'adaptive_avg_pool2d_f32',
  summary:
    'y[p, oy, ox] = mean of x[p] in rows floor(oy * h / ho) .. ceil((oy + 1) * h / ho) - 1, columns likewise (ends of the window excluded)',
  parameters: [
    input('x', of('planes', 'h', 'w'), '[planes, h, w]'),
    output('y', of('planes', 'ho', 'wo'), '[planes, ho, wo]'),
    ...adaptiveSizes,
    scratch('workspace', () => 128, 'partial sums'),
  ],
  rules: {
    order: `Row sums of the window are added from +0, from top to bottom; then the sum is divided by the number of elements. Row sum: ${rowOrder}`,
    aliasing: 'none.',
    alignment: anyAlignment,
    edges: 'An empty plane gives NaN (0 / 0).',
  },
  reference: (round: Round, x: Floats, y: Floats, planes: number, h: number, w: number, ho: number, wo: number) => {
    eachAdaptiveWindow([planes, h, w, ho, wo], (plane, out, window) => {
      const { firstRow, endRow, firstColumn, endColumn } = window;
      let sum = 0;
      for (let row = firstRow; row < endRow; row++)
        sum = round(sum + sumRow(round, x, (plane * h + row) * w + firstColumn, endColumn - firstColumn));
      y[out] = sum / areaOf(window);
    });
  },
});

/** gradX = the gradient of each adaptive mean, shared among its elements. */
export const adaptive_avg_pool2d_f32_gradient = defineKernel({
  name: 'adaptive_avg_pool2d_f32_gradient',
  summary:
    'gradX[p, i, j] = sum over the windows of adaptive_avg_pool2d_f32 that hold (i, j) of gradY[p, oy, ox] / elements',
  parameters: [
    input('gradY', of('planes', 'ho', 'wo'), '[planes, ho, wo]'),
    output('gradX', of('planes', 'h', 'w'), '[planes, h, w]'),
    ...adaptiveSizes,
  ],
  rules: {
    order:
      'gradX starts at +0; windows (neighbours overlap where h is no multiple of ho) add gradY / elements in order of (oy, ox).',
    aliasing: 'none.',
    alignment: anyAlignment,
    edges: 'ho 0 or wo 0 gives +0.',
  },
  reference: (
    round: Round,
    gradY: Floats,
    gradX: Floats,
    planes: number,
    h: number,
    w: number,
    ho: number,
    wo: number,
  ) => {
    gradX.fill(0, 0, planes * h * w);
    eachAdaptiveWindow([planes, h, w, ho, wo], (plane, out, window) => {
      spread(round, gradX, plane * h * w, w, round(gradY[out]! / areaOf(window)), window);
    });
  },
});
