/**
 * @file Values as bytes, for processes that share nothing: what structured clone copies between threads, by V8's serializer. Two differences:
 *
 * - Each typed array travels alone, as the bytes it looks at (structured clone copies the whole buffer behind it, shares it between views, and
 *   does not copy shared memory at all). From {@link sharedFromBytes} on it arrives over a SharedArrayBuffer, so that posting it on to a thread
 *   copies nothing; a smaller one over an ArrayBuffer of its own.
 * - A SharedArrayBuffer travels by content, and arrives as one.
 *
 * Bytes from others must be authenticated before they are read here: V8 does not promise to withstand hostile ones.
 */
import { DefaultDeserializer, DefaultSerializer } from 'node:v8';
import { FormatError, invariant } from '../errors.ts';

/** Typed arrays of this many bytes or more arrive over SharedArrayBuffers. */
export const sharedFromBytes = 65_536;

type ViewConstructor = new (buffer: ArrayBufferLike) => ArrayBufferView;

/** Kinds of views; the position is what is written. */
const viewTypes: readonly ViewConstructor[] = [
  Uint8Array,
  Int8Array,
  Uint8ClampedArray,
  Uint16Array,
  Int16Array,
  Uint32Array,
  Int32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  DataView,
  ...[(globalThis as { Float16Array?: ViewConstructor }).Float16Array ?? []].flat(),
];

/** V8's format, which browsers keep on disks and so never changes: a shared buffer by id, and a transferred buffer by id. */
const sharedTag = 0x75;
const transferTag = 0x74;

/** Ids from here on take five bytes. */
const firstId = 2 ** 28;
let nextId = firstId;

class ValueWriter extends DefaultSerializer {
  /** Buffers that were met, by id. */
  readonly shared = new Map<number, SharedArrayBuffer>();

  _writeHostObject(value: object): void {
    if (!ArrayBuffer.isView(value)) throw this._getDataCloneError(`${String(value)} could not be cloned.`);
    const type = viewTypes.findIndex((one) => value instanceof one);
    invariant(type >= 0, `a view is none of the known types: ${Object.prototype.toString.call(value)}`);
    this.writeUint32(type);
    this.writeUint32(value.byteLength);
    this.writeRawBytes(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  }

  _getDataCloneError(message: string): Error {
    return new DOMException(message, 'DataCloneError');
  }

  _getSharedArrayBufferId(buffer: SharedArrayBuffer): number {
    const id = nextId++;
    this.shared.set(id, buffer);
    return id;
  }

  /** Behind the value: contents of the shared buffers, then id and length of each, then their number. */
  writeShared(): void {
    for (const buffer of this.shared.values()) this.writeRawBytes(new Uint8Array(buffer));
    const table = [...this.shared].flatMap(([id, { byteLength }]) => [id, byteLength]);
    this.writeRawBytes(new Uint8Array(Uint32Array.of(...table, this.shared.size).buffer));
  }
}

class ValueReader extends DefaultDeserializer {
  _readHostObject(): ArrayBufferView {
    const type = viewTypes[this.readUint32()];
    const length = this.readUint32();
    if (type === undefined) throw new Error('a view of unknown type');
    const bytes = this.readRawBytes(length);
    return new type(length < sharedFromBytes ? new Uint8Array(bytes).buffer : toShared(bytes));
  }
}

/**
 * A value as bytes.
 *
 * @throws DOMException `DataCloneError` for what structured clone refuses too (functions, symbols, ports, ...).
 */
export function serialize(value: unknown): Uint8Array {
  for (;;) {
    const writer = new ValueWriter();
    writer.writeHeader();
    writer.writeValue(value);
    writer.writeShared();
    const bytes = writer.releaseBuffer();
    if (markTransferred(bytes, [...writer.shared.keys()])) return bytes;
    // Data that look like the mark of a buffer: another id will do.
    nextId += 0x1234567;
  }
}

/**
 * The value that {@link serialize} took.
 *
 * @throws FormatError for bytes that it did not write.
 */
export function deserialize(bytes: Uint8Array): unknown {
  try {
    const reader = new ValueReader(bytes);
    for (const [id, buffer] of readShared(bytes)) reader.transferArrayBuffer(id, buffer as unknown as ArrayBuffer);
    reader.readHeader();
    return reader.readValue();
  } catch (cause) {
    const message = `deserialize: bytes of serialize are needed, got ${bytes.length} others (${String(cause)}). Use one version of Node on both sides.`;
    throw new FormatError(message, { rule: 'value', bytes: bytes.length });
  }
}

/**
 * Node writes ids of shared buffers but cannot read them; it can read ids of transferred ones. So their tags are changed in place.
 * @returns false if data look like a tag, and nothing was changed.
 */
function markTransferred(bytes: Buffer, ids: readonly number[]): boolean {
  const places = ids.map((id) => {
    const mark = Buffer.from([sharedTag, ...varint(id)]);
    const place = bytes.indexOf(mark);
    invariant(place >= 0, `V8 has written the id ${id} of a SharedArrayBuffer in another way`);
    return bytes.indexOf(mark, place + 1) < 0 ? place : -1;
  });
  if (places.includes(-1)) return false;
  for (const place of places) bytes[place] = transferTag;
  return true;
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}

/** Between addresses that differ modulo 8, V8 copies to shared memory byte by byte: pieces go through memory that starts at 0. */
function toShared(bytes: Uint8Array): SharedArrayBuffer {
  const target = new Uint8Array(new SharedArrayBuffer(bytes.length));
  const piece = new Uint8Array(Math.min(bytes.length, 65_536));
  for (let at = 0; at < bytes.length; at += piece.length) {
    const part = bytes.subarray(at, at + piece.length);
    piece.set(part);
    target.set(part.length < piece.length ? piece.subarray(0, part.length) : piece, at);
  }
  return target.buffer;
}

/** What {@link ValueWriter.writeShared} wrote, from the end. */
function readShared(bytes: Uint8Array): Map<number, SharedArrayBuffer> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const tableEnd = bytes.length - 4;
  const tableStart = tableEnd - 8 * view.getUint32(tableEnd, true);
  const shared = new Map<number, SharedArrayBuffer>();
  let end = tableStart;
  for (let at = tableEnd - 8; at >= tableStart; at -= 8) {
    const start = end - view.getUint32(at + 4, true);
    shared.set(view.getUint32(at, true), toShared(bytes.subarray(start, end)));
    end = start;
  }
  return shared;
}
