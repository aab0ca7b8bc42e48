/**
 * @file NumPy's .npy format: a magic number, a version, a header that is a Python dict literal with element type, order and shape, then the
 * elements. Only plain numbers in C order are read; nothing in a file is ever evaluated. Bytes <-> values; no files.
 *
 * @see https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
import { arrayConstructor, type DType } from '../dtype.ts';
import { FormatError } from '../errors.ts';
import { sizeOf } from '../shape.ts';
import { decodeElements, elementTypes } from './elements.ts';
import type { NamedArray } from './safetensors.ts';

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

/** NumPy's letter and size, by the names of {@link elementTypes}. */
const types: Readonly<Record<string, string>> = {
  b1: 'BOOL',
  u1: 'U8',
  i1: 'I8',
  i2: 'I16',
  u2: 'U16',
  i4: 'I32',
  u4: 'U32',
  i8: 'I64',
  u8: 'U64',
  f2: 'F16',
  f4: 'F32',
  f8: 'F64',
};

const written: Readonly<Record<DType, string>> = {
  float32: '<f4',
  float64: '<f8',
  int32: '<i4',
  uint8: '|u1',
  bool: '|b1',
};

/** The dict as NumPy writes it, keys in this order, nothing else in it. */
const dict =
  /^\{'descr': '([<>|=])([a-z]\d+)', 'fortran_order': (True|False), 'shape': \(((?:\d+,)?|\d+(?:, \d+)+),?\), ?\}[ \0]*\n?$/;

function fail(rule: string, message: string): never {
  throw new FormatError(`npy: ${message}. Save it with numpy.save as a plain array of numbers.`, { rule });
}

/**
 * Reads a file. Element types that shoal has not are converted as in safetensors.
 *
 * @throws FormatError with field `rule`: `magic`, `version`, `header`, `dtype`, `order`, `size`, `valueRange`
 * @example
 * const bytes = encodeNpy({ dtype: 'int32', shape: [3], data: Int32Array.of(1, 2, 3) });
 * decodeNpy(bytes); // => { dtype: 'int32', shape: [3], data: [1, 2, 3] }
 */
export function decodeNpy(bytes: Uint8Array): NamedArray {
  if (bytes.length < 10 || MAGIC.some((byte, i) => bytes[i] !== byte))
    fail('magic', 'a file starts with \\x93NUMPY, got other bytes');
  const version = bytes[6]!;
  if (version < 1 || version > 3) fail('version', `the version must be 1, 2 or 3, got ${version}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = version === 1 ? 10 : 12;
  if (bytes.length < start)
    fail('header', `a header of version ${version} starts at byte ${start}, got ${bytes.length} bytes`);
  const end = start + (version === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (end > bytes.length || end > 65_536 + start)
    fail('header', `the header must fit the file and 65,536 bytes, got ${end - start} bytes`);
  const header = new TextDecoder().decode(bytes.subarray(start, end));
  const parts = dict.exec(header);
  if (parts === null)
    return fail(
      'header',
      `the header must be a dict of descr, fortran_order and shape, got ${JSON.stringify(header.slice(0, 80))}`,
    );
  const [, order = '', code = '', fortran, sizes = ''] = parts;
  const type = types[code];
  const element = type === undefined ? undefined : elementTypes.get(type);
  if (type === undefined || element === undefined) {
    return fail('dtype', `the element type must be one of ${Object.keys(types).join(', ')}, got ${code}`);
  }
  const shape = sizes.split(',').flatMap((size) => (size.trim() === '' ? [] : [Number(size)]));
  if (fortran === 'True' && shape.length > 1) fail('order', 'arrays must be in C order, got Fortran order');
  const expected = element.bytes * sizeOf(shape);
  if (expected !== bytes.length - end)
    fail('size', `shape [${shape.join(',')}] needs ${expected} bytes, got ${bytes.length - end}`);
  const little = order === '>' ? swapped(bytes.subarray(end), element.bytes) : bytes.subarray(end);
  const data = decodeElements(type, little, (value, at) =>
    fail('valueRange', `values must fit int32 to be read here, got ${value} at element ${at}`),
  );
  return { dtype: element.dtype, shape, data };
}

/** Writes an array as version 1.0; its data start at a multiple of 64. @throws FormatError `size` | `dtype` */
export function encodeNpy({ dtype, shape, data }: NamedArray): Uint8Array {
  if (sizeOf(shape) !== data.length)
    fail('size', `shape [${shape.join(',')}] needs ${sizeOf(shape)} elements, got ${data.length}`);
  if (!(data instanceof arrayConstructor[dtype]))
    fail('dtype', `data must be the array of ${dtype}, got ${data.constructor.name}`);
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const text = `{'descr': '${written[dtype]}', 'fortran_order': False, 'shape': (${sizes}), }`;
  const dataStart = Math.ceil((10 + text.length + 1) / 64) * 64;
  const bytes = new Uint8Array(dataStart + data.byteLength).fill(0x20, 10, dataStart);
  bytes.set([...MAGIC, 1, 0]);
  new DataView(bytes.buffer).setUint16(8, dataStart - 10, true);
  bytes.set(new TextEncoder().encode(text), 10);
  bytes[dataStart - 1] = 0x0a;
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), dataStart);
  return bytes;
}

function swapped(bytes: Uint8Array, size: number): Uint8Array {
  const copy = bytes.slice();
  for (let at = 0; at < copy.length; at += size) copy.subarray(at, at + size).reverse();
  return copy;
}
