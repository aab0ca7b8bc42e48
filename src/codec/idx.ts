/**
 * @file The IDX format of MNIST: a magic number that says element type and rank, sizes as big-endian 32-bit numbers, then the elements in
 * row-major order, big-endian. The first dimension counts records. Bytes in, values out; no files.
 *
 * @see http://yann.lecun.com/exdb/mnist/ (the end of the page describes the format)
 */
import type { DType, NumericArray } from '../dtype.ts';
import { FormatError } from '../errors.ts';
import { sizeOf } from '../shape.ts';

/** What the header of an idx file says. */
export interface IdxHeader {
  /** Element type in the file. */
  readonly type: 'ubyte' | 'byte' | 'short' | 'int' | 'float' | 'double';
  /** The dtype that its values have here; `byte` and `short` widen to int32. */
  readonly dtype: DType;
  /** Number of records: the first size. */
  readonly count: number;
  /** Shape of one record: the other sizes. */
  readonly shape: readonly number[];
  /** Bytes of one record in the file. */
  readonly recordBytes: number;
  /** Where the first record starts. */
  readonly headerBytes: number;
}

/** A header has at most this many bytes: magic and 255 sizes. */
export const MAX_IDX_HEADER_BYTES = 4 + 4 * 255;

const types: Readonly<Record<number, { type: IdxHeader['type']; dtype: DType; bytes: number }>> = {
  8: { type: 'ubyte', dtype: 'uint8', bytes: 1 },
  9: { type: 'byte', dtype: 'int32', bytes: 1 },
  11: { type: 'short', dtype: 'int32', bytes: 2 },
  12: { type: 'int', dtype: 'int32', bytes: 4 },
  13: { type: 'float', dtype: 'float32', bytes: 4 },
  14: { type: 'double', dtype: 'float64', bytes: 8 },
};

/**
 * Reads and checks a header.
 *
 * @param head the first bytes of the file; {@link MAX_IDX_HEADER_BYTES} are always enough.
 * @param fileBytes length of the whole file, which must be exactly what the header says.
 * @param name for messages, such as the path.
 * @throws FormatError with field `rule`: `truncated`, `magic`, `type`, `rank`, `size`
 */
export function parseIdxHeader(head: Uint8Array, fileBytes: number, name = 'idx'): IdxHeader {
  const fail = (rule: string, message: string, fields: Record<string, unknown> = {}): never => {
    throw new FormatError(`idx: ${message} Check that ${name} is an uncompressed idx file.`, {
      rule,
      file: name,
      ...fields,
    });
  };
  if (head.length < 4) fail('truncated', `a header has at least 4 bytes, got ${head.length}.`);
  if (head[0] !== 0 || head[1] !== 0) {
    const gzip = head[0] === 0x1f && head[1] === 0x8b ? ' (gzip)' : '';
    fail('magic', `the first two bytes must be 0, got ${head[0]} ${head[1]}${gzip}.`);
  }
  const element = types[head[2]!];
  if (element === undefined)
    return fail('type', `the element type must be one of 8, 9, 11, 12, 13, 14, got ${head[2]}.`);
  const rank = head[3]!;
  if (rank < 1) fail('rank', 'there must be at least one dimension, got 0.');
  const headerBytes = 4 + 4 * rank;
  if (head.length < headerBytes)
    fail('truncated', `a header of ${rank} dimensions has ${headerBytes} bytes, got ${head.length}.`);
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const sizes = Array.from({ length: rank }, (_, dim) => view.getUint32(4 + 4 * dim));
  const [count = 0, ...shape] = sizes;
  const recordBytes = element.bytes * sizeOf(shape);
  const expected = headerBytes + count * recordBytes;
  if (expected !== fileBytes) {
    fail('size', `sizes [${sizes.join(',')}] need ${expected} bytes, got a file of ${fileBytes}.`, {
      expected,
      fileBytes,
    });
  }
  return { type: element.type, dtype: element.dtype, count, shape, recordBytes, headerBytes };
}

/** The elements in `bytes` (any number of whole records) in row-major order, in this machine's byte order. */
export function decodeIdx(header: IdxHeader, bytes: Uint8Array): NumericArray {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (header.type) {
    case 'ubyte':
      return bytes;
    case 'byte':
      return Int32Array.from({ length: bytes.length }, (_, i) => view.getInt8(i));
    case 'short':
      return Int32Array.from({ length: bytes.length / 2 }, (_, i) => view.getInt16(2 * i));
    case 'int':
      return Int32Array.from({ length: bytes.length / 4 }, (_, i) => view.getInt32(4 * i));
    case 'float':
      return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i));
    case 'double':
      return Float64Array.from({ length: bytes.length / 8 }, (_, i) => view.getFloat64(8 * i));
  }
}

/** Writes values of `shape` (records first) as an idx file of their dtype; bool is written as ubyte. */
export function encodeIdx(dtype: DType, shape: readonly number[], values: ArrayLike<number>): Uint8Array {
  const [code, size] = ({ uint8: [8, 1], bool: [8, 1], int32: [12, 4], float32: [13, 4], float64: [14, 8] } as const)[
    dtype
  ];
  if (shape.length < 1 || shape.length > 255 || sizeOf(shape) !== values.length) {
    throw new FormatError(
      `idx: the values must fill the shape, got ${values.length} values for [${shape.join(',')}]. Check the shape.`,
      {
        rule: 'size',
      },
    );
  }
  const headerBytes = 4 + 4 * shape.length;
  const bytes = new Uint8Array(headerBytes + size * values.length);
  const view = new DataView(bytes.buffer);
  bytes.set([0, 0, code, shape.length]);
  for (const [dim, length] of shape.entries()) view.setUint32(4 + 4 * dim, length);
  for (let i = 0; i < values.length; i++) {
    const at = headerBytes + size * i;
    const value = values[i]!;
    if (code === 8) bytes[at] = value;
    else if (code === 12) view.setInt32(at, value);
    else if (code === 13) view.setFloat32(at, value);
    else view.setFloat64(at, value);
  }
  return bytes;
}
