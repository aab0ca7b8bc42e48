/**
 * @file The safetensors format: 8 bytes with the length of a JSON header, the header (name -> dtype, shape, range of bytes), then the bytes of
 * all tensors. PyTorch reads what is written here and the other way round. A file is not trusted: everything that its header claims is checked
 * before a byte of data is looked at, and the ranges must cover the data exactly. Bytes <-> values; no files.
 *
 * @see https://github.com/huggingface/safetensors#format
 */
import type { DType, NumericArray } from '../dtype.ts';
import { arrayConstructor, bytesPerElement } from '../dtype.ts';
import { FormatError } from '../errors.ts';
import { sizeOf } from '../shape.ts';
import { decodeElements, elementTypes } from './elements.ts';
import { HeaderSyntaxError, type HeaderValue, parseHeaderJson } from './header-json.ts';

/** An array with dtype and shape: what a tensor is without its graph. `data` is flat, row-major. */
export interface NamedArray {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: NumericArray;
}

/** A tensor as the header of a file describes it. */
export interface SafetensorsEntry {
  /** The element type in the file, such as `BF16`. */
  readonly fileDtype: string;
  /** The dtype that {@link decodeEntry} gives. */
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** First byte and the one behind the last, counted from {@link SafetensorsHeader.dataStart}. */
  readonly begin: number;
  readonly end: number;
}

/** A checked header. */
export interface SafetensorsHeader {
  /** By name, in the order of the file. */
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: ReadonlyMap<string, string>;
  /** Where the data start in the file. */
  readonly dataStart: number;
}

/** Longest header, as in the reference implementation. */
export const MAX_HEADER_BYTES = 100_000_000;
/** Most tensors in a file: far more than any model has, few enough that an entry for nothing costs nothing. */
export const MAX_TENSORS = 262_144;

const writtenTypes: Readonly<Record<DType, string>> = {
  float32: 'F32',
  float64: 'F64',
  int32: 'I32',
  uint8: 'U8',
  bool: 'BOOL',
};

/** What can be wrong with a file: the field `rule` of the FormatError. */
export type SafetensorsRule =
  | 'tooShort'
  | 'headerTooLong'
  | 'headerPastEnd'
  | 'headerStart'
  | 'headerUtf8'
  | HeaderSyntaxError['rule']
  | 'metadata'
  | 'entry'
  | 'dtype'
  | 'shape'
  | 'sizeOverflow'
  | 'offsetsReversed'
  | 'offsetsPastEnd'
  | 'length'
  | 'overlap'
  | 'hole'
  | 'trailing'
  | 'tooManyTensors'
  | 'valueRange';

function fail(rule: SafetensorsRule, message: string, name?: string): never {
  throw new FormatError(`safetensors: ${message}. The file is damaged or not a safetensors file; get it again.`, {
    rule,
    ...(name === undefined ? {} : { name }),
  });
}

/**
 * The length of the header in bytes, from the first 8 bytes of a file.
 *
 * @throws FormatError `tooShort` | `headerTooLong` | `headerPastEnd`
 */
export function headerLength(head: Uint8Array, fileBytes: number): number {
  if (head.length < 8 || fileBytes < 8)
    fail('tooShort', `a file has at least 8 bytes, got ${Math.min(head.length, fileBytes)}`);
  const length = new DataView(head.buffer, head.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES))
    fail('headerTooLong', `a header has at most ${MAX_HEADER_BYTES} bytes, got ${length}`);
  if (8 + Number(length) > fileBytes)
    fail('headerPastEnd', `the header of ${length} bytes must fit the file, got a file of ${fileBytes} bytes`);
  return Number(length);
}

/**
 * Reads and checks a header.
 *
 * @param head the start of the file, at least 8 bytes and the header.
 * @param fileBytes length of the whole file; the tensors must cover it to its last byte.
 * @throws FormatError with a {@link SafetensorsRule} in the field `rule`
 */
export function parseSafetensorsHeader(head: Uint8Array, fileBytes: number = head.length): SafetensorsHeader {
  const dataStart = 8 + headerLength(head, fileBytes);
  if (head.length < dataStart)
    fail('headerPastEnd', `${dataStart} bytes are needed to read the header, got ${head.length}`);
  const root = parseText(head.subarray(8, dataStart));
  const metadata = readMetadata(root.get('__metadata__'));
  root.delete('__metadata__');
  if (root.size > MAX_TENSORS) fail('tooManyTensors', `a file has at most ${MAX_TENSORS} tensors, got ${root.size}`);
  const dataBytes = fileBytes - dataStart;
  const entries = new Map<string, SafetensorsEntry>();
  for (const [name, value] of root) entries.set(name, readEntry(name, value, dataBytes));
  checkCoverage(entries, dataBytes);
  return { entries, metadata, dataStart };
}

/**
 * The array of an entry from its bytes.
 *
 * @throws FormatError `valueRange` when an integer does not fit int32
 */
export function decodeEntry(name: string, entry: SafetensorsEntry, bytes: Uint8Array): NamedArray {
  const { fileDtype, dtype, shape } = entry;
  if (bytes.length !== entry.end - entry.begin) {
    fail('length', `${name} needs ${entry.end - entry.begin} bytes, got ${bytes.length}`, name);
  }
  const data = decodeElements(fileDtype, bytes, (value, at) =>
    fail('valueRange', `${name} must fit int32 to be read here, got ${value} at element ${at}`, name),
  );
  return { dtype, shape, data };
}

/** Everything in a file. The arrays are copies of their own. @throws FormatError */
export function decodeSafetensors(bytes: Uint8Array): {
  arrays: Map<string, NamedArray>;
  metadata: ReadonlyMap<string, string>;
} {
  const { entries, metadata, dataStart } = parseSafetensorsHeader(bytes);
  const arrays = new Map<string, NamedArray>();
  for (const [name, entry] of entries) {
    arrays.set(name, decodeEntry(name, entry, bytes.subarray(dataStart + entry.begin, dataStart + entry.end)));
  }
  return { arrays, metadata };
}

/**
 * Arrays as a file, in chunks to be written one after the other (the data are views, not copies). The header lists them in the given order;
 * the data lie by falling element size, so that each is aligned. The metadata `{ format: 'pt' }` is what PyTorch's tools look for.
 *
 * @throws FormatError `entry` | `shape` | `metadata` for arrays that cannot be written
 */
export function encodeSafetensors(
  arrays: Iterable<readonly [string, NamedArray]>,
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
): Uint8Array[] {
  const list = [...arrays];
  const names = new Set<string>();
  for (const [name, array] of list) {
    refuseUnwritable(name, array, names);
    names.add(name);
  }
  const layout = [...list].sort(([, a], [, b]) => bytesPerElement[b.dtype] - bytesPerElement[a.dtype]);
  const ranges = new Map<string, readonly [number, number]>();
  let end = 0;
  for (const [name, { data }] of layout) {
    ranges.set(name, [end, end + data.byteLength]);
    end += data.byteLength;
  }
  const fields = list.map(([name, { dtype, shape }]) => {
    const value = { dtype: writtenTypes[dtype], shape, data_offsets: ranges.get(name) };
    return `${JSON.stringify(name)}:${JSON.stringify(value)}`;
  });
  if (Object.values(metadata).some((value) => typeof value !== 'string'))
    fail('metadata', 'values of metadata must be strings, got others');
  if (Object.keys(metadata).length > 0) fields.unshift(`"__metadata__":${JSON.stringify(metadata)}`);
  return [encodeHeader(`{${fields.join(',')}}`), ...layout.map(([, { data }]) => bytesOf(data))];
}

// ---- reading ----

function parseText(bytes: Uint8Array): Map<string, HeaderValue> {
  if (bytes[0] !== 0x7b) fail('headerStart', `the header must start with {, got byte ${bytes[0] ?? 'none'}`);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return fail('headerUtf8', 'the header must be UTF-8, got other bytes');
  }
  try {
    return parseHeaderJson(text) as Map<string, HeaderValue>;
  } catch (error) {
    if (error instanceof HeaderSyntaxError)
      return fail(error.rule, `the header must be its kind of JSON: ${error.message}`);
    throw error;
  }
}

function readMetadata(value: HeaderValue | undefined): Map<string, string> {
  const metadata = new Map<string, string>();
  if (value === undefined) return metadata;
  if (!(value instanceof Map)) return fail('metadata', '__metadata__ must be an object, got another value');
  for (const [key, item] of value) {
    if (typeof item !== 'string')
      return fail('metadata', `__metadata__ must hold strings, got another value for ${key}`);
    metadata.set(key, item);
  }
  return metadata;
}

function readEntry(name: string, value: HeaderValue, dataBytes: number): SafetensorsEntry {
  if (!(value instanceof Map) || value.size !== 3)
    return fail('entry', `${name} must have dtype, shape and data_offsets, got others`, name);
  const [fileDtype, shape, offsets] = [value.get('dtype'), value.get('shape'), value.get('data_offsets')];
  const type = typeof fileDtype === 'string' ? elementTypes.get(fileDtype) : undefined;
  if (typeof fileDtype !== 'string' || type === undefined) {
    return fail(
      'dtype',
      `the dtype of ${name} must be one of ${[...elementTypes.keys()].join(', ')}, got ${String(fileDtype)}`,
      name,
    );
  }
  if (!isNumbers(shape)) return fail('shape', `the shape of ${name} must be a list of sizes, got another value`, name);
  if (!isNumbers(offsets) || offsets.length !== 2)
    return fail('entry', `data_offsets of ${name} must be two numbers, got others`, name);
  const [begin = 0, end = 0] = offsets;
  if (begin > end) fail('offsetsReversed', `data_offsets of ${name} must rise, got ${begin} and ${end}`, name);
  if (end > dataBytes)
    fail('offsetsPastEnd', `data_offsets of ${name} must end inside the ${dataBytes} bytes of data, got ${end}`, name);
  let bytes = type.bytes;
  for (const size of shape) {
    bytes *= size;
    if (!Number.isSafeInteger(bytes))
      fail('sizeOverflow', `${name} must have less than 2^53 bytes, got shape [${shape.join(',')}]`, name);
  }
  if (bytes !== end - begin) fail('length', `${name} must have ${bytes} bytes for its shape, got ${end - begin}`, name);
  return { fileDtype, dtype: type.dtype, shape, begin, end };
}

function isNumbers(value: HeaderValue | undefined): value is number[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'number');
}

/** Each byte of data belongs to exactly one tensor: otherwise a small file could claim much, or carry something else along. */
function checkCoverage(entries: ReadonlyMap<string, SafetensorsEntry>, dataBytes: number): void {
  const sorted = [...entries].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const [name, { begin, end }] of sorted) {
    if (begin < covered)
      fail('overlap', `no two tensors may share bytes, got ${name} at ${begin} before ${covered}`, name);
    if (begin > covered)
      fail('hole', `tensors must follow each other, got nothing from ${covered} to ${begin} before ${name}`, name);
    covered = end;
  }
  if (covered < dataBytes)
    fail('trailing', `the tensors must reach the end of the file, got ${dataBytes - covered} bytes behind them`);
}

// ---- writing ----

function refuseUnwritable(name: string, { dtype, shape, data }: NamedArray, names: ReadonlySet<string>): void {
  if (name === '__metadata__' || names.has(name) || /\p{Surrogate}/u.test(name)) {
    throw new FormatError(
      `safetensors: names must be unique, well-formed and not __metadata__, got ${JSON.stringify(name)}. Rename the array.`,
      { rule: 'entry', name },
    );
  }
  if (!(data instanceof arrayConstructor[dtype]) || sizeOf(shape) !== data.length) {
    throw new FormatError(
      `safetensors: ${name} must be ${dtype} of shape [${shape.join(',')}], got ${data.constructor.name} of ${data.length}. Check dtype and shape.`,
      { rule: 'shape', name },
    );
  }
}

/** Padded with spaces, so that the data start at a multiple of 8. */
function encodeHeader(json: string): Uint8Array {
  const text = new TextEncoder().encode(json);
  const length = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text, 8);
  return bytes;
}

function bytesOf({ buffer, byteOffset, byteLength }: NumericArray): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
