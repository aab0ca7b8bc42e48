/** @file Max-pooling of planes [h, w] (a plane is one channel of one image) and its gradient. */
import { anyAlignment, defineKernel, input, of, output, type Round, type Sizes, size } from './define.ts';

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
    size('planes', 'images times channels'),
    size('h', 'rows of x'),
    size('w', 'columns of x'),
    size('kh', 'rows of the window, >= 1'),
    size('kw', 'columns of the window, >= 1'),
    size('strideH', '>= 1'),
    size('strideW', '>= 1'),
    size('paddingH', 'rows outside on each side, which never win'),
    size('paddingW', 'columns outside on each side'),
  ],
  rules: {
    order:
      'Elements of a window row by row, from -inf: an element wins if it is larger than the best, or NaN. So the first of equals and the last NaN win, as in PyTorch.',
    aliasing: 'none.',
    alignment: anyAlignment,
    edges: 'A window of padding only gives -inf and index -1 (PyTorch refuses such padding).',
  },
  reference: (
    _round: Round,
    x: Floats,
    y: Floats,
    indices: Int32Array,
    planes: number,
    h: number,
    w: number,
    kh: number,
    kw: number,
    strideH: number,
    strideW: number,
    paddingH: number,
    paddingW: number,
  ) => {
    const ho = poolOutputSize(h, kh, strideH, paddingH);
    const wo = poolOutputSize(w, kw, strideW, paddingW);
    for (let out = 0; out < planes * ho * wo; out++) {
      const ox = out % wo;
      const oy = ((out - ox) / wo) % ho;
      const plane = Math.floor(out / (ho * wo));
      let best = -Infinity;
      let index = -1;
      for (let row = oy * strideH - paddingH; row < oy * strideH - paddingH + kh; row++) {
        for (let column = ox * strideW - paddingW; column < ox * strideW - paddingW + kw; column++) {
          if (row < 0 || row >= h || column < 0 || column >= w) continue;
          const value = x[(plane * h + row) * w + column]!;
          if (index === -1) index = row * w + column;
          if (value > best || Number.isNaN(value)) {
            best = value;
            index = row * w + column;
          }
        }
      }
      y[out] = best;
      indices[out] = index;
    }
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
