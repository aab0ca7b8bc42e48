/** @file Copies: any strided view to contiguous, a constant, rows of bytes as floats. */
import { anyAlignment, defineKernel, input, of, output, type Round, scalar, scratch, size } from './define.ts';

type Floats = Float32Array | Float64Array;

/** Most dimensions of a strided copy. */
export const maxCopyRank = 6;

/**
 * y = the strided view of x, contiguous in row-major order. Transposition, slicing (`offset`), expansion (stride 0) and flipping (negative
 * stride) are all this copy.
 */
export const copy_strided_f32 = defineKernel({
  name: 'copy_strided_f32',
  summary: 'y[i0, i1, ...] = x[offset + i0 * stride0 + i1 * stride1 + ...]',
  parameters: [
    input('x', of('span'), 'the elements that the view lies in'),
    {
      name: 'layout',
      kind: 'input',
      type: 'i32',
      length: (sizes) => 2 * sizes.rank!,
      doc: 'rank sizes, then rank strides in elements (0 and negative allowed), outermost first',
    },
    output('y', of('length'), 'contiguous copy'),
    size('span', 'elements of x; the view must stay inside'),
    size('offset', 'element of x at index 0, 0, ...'),
    size('rank', `dimensions of the view, 0 to ${maxCopyRank}`),
    size('length', 'elements of the view: the product of its sizes'),
    scratch('merged', () => 64 + 4 * 32 * 32, 'the layout with neighbouring dimensions merged, and a tile'),
  ],
  rules: {
    order: 'Exact copies, NaN payloads included.',
    aliasing: 'none.',
    alignment: anyAlignment,
    edges: 'length 0 touches nothing; rank 0 copies one element.',
  },
  reference: (
    _round: Round,
    x: Floats,
    layout: Int32Array,
    y: Floats,
    _span: number,
    offset: number,
    rank: number,
    length: number,
  ) => {
    const index = new Array<number>(rank).fill(0);
    for (let i = 0; i < length; i++) {
      y[i] = x[index.reduce((at, position, dim) => at + position * layout[rank + dim]!, offset)]!;
      for (let dim = rank - 1; dim >= 0; dim--) {
        index[dim] = index[dim]! + 1;
        if (index[dim]! < layout[dim]!) break;
        index[dim] = 0;
      }
    }
  },
});

/** y = value, everywhere. */
export const fill_f32 = defineKernel({
  name: 'fill_f32',
  summary: 'y = value',
  parameters: [
    output('y', of('length'), 'result'),
    scalar('value', 'the number'),
    size('length', 'number of elements'),
  ],
  rules: { order: 'Exact.', aliasing: 'none.', alignment: anyAlignment, edges: 'length 0 touches nothing.' },
  reference: (_round: Round, y: Floats, value: number, length: number) => {
    y.fill(value, 0, length);
  },
});

/** y[i, j] = x[rows[i], j] * scale + shift: chosen records of bytes (images) as a batch of floats. */
export const gather_rows_u8_to_f32 = defineKernel({
  name: 'gather_rows_u8_to_f32',
  summary: 'y[i, j] = x[rows[i], j] * scale + shift',
  parameters: [
    { name: 'x', kind: 'input', type: 'u8', length: of('xRows', 'length'), doc: '[xRows, length], records of bytes' },
    { name: 'rows', kind: 'input', type: 'i32', length: of('count'), doc: '[count], which records' },
    output('y', of('count', 'length'), '[count, length]'),
    size('xRows', 'number of records'),
    size('count', 'number of records to take'),
    size('length', 'bytes of a record'),
    scalar('scale', 'factor, such as 1 / 255'),
    scalar('shift', 'what is added after scaling'),
  ],
  rules: {
    order: 'x * scale, then + shift.',
    aliasing: 'none.',
    alignment: 'x: any; the others: a multiple of 4.',
    edges: 'A row outside 0 .. xRows - 1 gives NaN throughout.',
  },
  reference: (
    round: Round,
    x: Uint8Array,
    rows: Int32Array,
    y: Floats,
    xRows: number,
    count: number,
    length: number,
    scale: number,
    shift: number,
  ) => {
    for (let i = 0; i < count; i++) {
      const row = rows[i]!;
      for (let j = 0; j < length; j++) {
        y[i * length + j] = row >= 0 && row < xRows ? round(x[row * length + j]! * scale) + shift : Number.NaN;
      }
    }
  },
});

/** y[n, c, i] = x[n, c, i] * scale[c] + shift[c]: images of bytes as floats, normalised by channel. */
export const normalize_u8_to_f32 = defineKernel({
  name: 'normalize_u8_to_f32',
  summary: 'y[n, c, i] = x[n, c, i] * scale[c] + shift[c]',
  parameters: [
    {
      name: 'x',
      kind: 'input',
      type: 'u8',
      length: of('images', 'channels', 'inner'),
      doc: '[images, channels, inner]',
    },
    input('scale', of('channels'), '[channels], factors, such as 1 / (255 deviation)'),
    input('shift', of('channels'), '[channels], what is added after scaling, such as -mean / deviation'),
    output('y', of('images', 'channels', 'inner'), '[images, channels, inner]'),
    size('images', 'number of images; pixels of all images where channels lie innermost (inner = 1)'),
    size('channels', 'number of channels'),
    size('inner', 'pixels of an image'),
  ],
  rules: {
    order: 'x * scale, then + shift.',
    aliasing: 'none.',
    alignment: 'x: any; the others: a multiple of 4.',
    edges: 'A size of 0 touches nothing.',
  },
  reference: (
    round: Round,
    x: Uint8Array,
    scale: Floats,
    shift: Floats,
    y: Floats,
    images: number,
    channels: number,
    inner: number,
  ) => {
    for (let at = 0; at < images * channels * inner; at++) {
      const channel = Math.floor(at / inner) % channels;
      y[at] = round(x[at]! * scale[channel]!) + shift[channel]!;
    }
  },
});
