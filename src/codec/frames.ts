/**
 * @file Frames: what processes send each other through pipes and sockets. A header of fixed size, then the payload:
 *
 * | byte | field | |
 * | ---: | --- | --- |
 * | 0 | magic | F5 (which no UTF-8 text contains) `SHL` |
 * | 4 | protocol | {@link frameProtocol} |
 * | 5 | flags | bit 0: the payload has a checksum |
 * | 6 | type | u16, what the frame is; the meaning is the caller's, as that of the next four |
 * | 8 | channel, unit, version, attempt | u32 each |
 * | 24 | length | u32, bytes of the payload |
 * | 28 | CRC32C of the payload | u32, 0 without checksum |
 * | 32 | CRC32C of the 32 bytes before | u32 |
 *
 * All numbers are little-endian. No length is believed before the header's own checksum was right.
 */
import { crc32c, crc32cCopy } from '../../kernels/crc32c.ts';
import { ArgumentError, FrameError } from '../errors.ts';

/** Version of the format. Another one is refused. */
export const frameProtocol = 1;

/** Bytes of a header. */
export const frameHeaderBytes = 36;

const magic = Uint8Array.of(0xf5, 0x53, 0x48, 0x4c);
const checksumFlag = 1;
const maxWord = 0xffff_ffff;

/** What a sender says of a frame. `type` is below 2^16, the others are below 2^32 and 0 when absent. */
export interface FrameFields {
  readonly type: number;
  readonly channel?: number;
  /** Which block or unit of work. */
  readonly unit?: number;
  readonly version?: number;
  readonly attempt?: number;
}

/** What a receiver reads of a frame. */
export interface FrameHeader extends Required<FrameFields> {
  /** Bytes of the payload. */
  readonly length: number;
}

/**
 * The header of a frame. Send it, then the pieces of the payload in order; they are read here for the checksum, and not copied.
 *
 * @param payload may be views of SharedArrayBuffers, and must not change until they are sent.
 * @param checksum `false` leaves the payload's checksum out: for pipes that check themselves.
 * @throws ArgumentError for a field out of range or a payload of 4 GiB or more.
 */
export function encodeHeader(fields: FrameFields, payload: readonly Uint8Array[] = [], checksum = true): Uint8Array {
  const { type, channel = 0, unit = 0, version = 0, attempt = 0 } = fields;
  let length = 0;
  let crc = 0;
  for (const piece of payload) {
    length += piece.length;
    if (checksum) crc = crc32c(piece, crc);
  }
  const words = [channel, unit, version, attempt, length];
  if (!isWord(type, 0xffff) || !words.every((word) => isWord(word, maxWord))) {
    throw new ArgumentError(
      `encodeHeader: type must be a whole number below 2^16, the other fields and the length below 2^32, got type ${type}, channel ${channel}, unit ${unit}, version ${version}, attempt ${attempt}, ${length} bytes. Send a large payload as several frames.`,
      { type, channel, unit, version, attempt, length },
    );
  }
  const header = new Uint8Array(frameHeaderBytes);
  const view = new DataView(header.buffer);
  header.set(magic);
  header[4] = frameProtocol;
  header[5] = checksum ? checksumFlag : 0;
  view.setUint16(6, type, true);
  words.forEach((word, index) => {
    view.setUint32(8 + 4 * index, word, true);
  });
  view.setUint32(28, crc, true);
  view.setUint32(32, crc32c(header.subarray(0, 32)), true);
  return header;
}

function isWord(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= max;
}

/** What a {@link FrameReader} needs. */
export interface FrameReaderOptions {
  /** A longer payload is an error, before anything of it is stored. */
  readonly maxPayloadBytes: number;
  /** A frame whose checksums were right. The payload is what `sink` gave, or an array of its own. */
  onFrame(header: FrameHeader, payload: Uint8Array): void;
  /**
   * Where a payload goes as it arrives: exactly `header.length` bytes, perhaps of a SharedArrayBuffer; null for an array of its own. Until
   * `onFrame` what is written there is not checked. Not asked for an empty payload.
   */
  sink?(header: FrameHeader): Uint8Array | null;
  /**
   * With it, bytes that are not frames may come between frames (what user code prints on stdout). They are given in order, as views that are
   * valid during the call, as soon as it is clear that they start no frame. Without it such bytes are the error `FRAME_MAGIC`.
   */
  onNoise?(bytes: Uint8Array): void;
}

/** A header with what only the reader needs to know. */
interface ParsedHeader {
  readonly header: FrameHeader;
  readonly hasChecksum: boolean;
  readonly payloadCrc: number;
}

const empty = new Uint8Array(0);

/**
 * Reads frames from a stream of chunks of any size.
 *
 * Errors are thrown by `push` and `end` as {@link FrameError}: `FRAME_MAGIC` (no frame where one must start), `FRAME_VERSION` (another protocol),
 * `FRAME_CRC` (field `part`: header or payload), `FRAME_TOO_LARGE`, `FRAME_TRUNCATED` (the stream ended inside a frame). After an error, also
 * one that a callback threw, every further call throws it again.
 */
export class FrameReader {
  readonly #options: FrameReaderOptions;
  /** Start of a header whose rest is still to come. */
  #held: Uint8Array = empty;
  /** The frame whose payload is coming. */
  #current: (ParsedHeader & { readonly payload: Uint8Array }) | null = null;
  #filled = 0;
  #crc = 0;
  #isStopped = false;
  #failure: { readonly error: unknown } | null = null;

  constructor(options: FrameReaderOptions) {
    this.#options = options;
  }

  /**
   * Reads a chunk. It is not kept: its memory may be reused afterwards.
   * @returns how many bytes were read: all, unless a callback called {@link stop}.
   */
  push(chunk: Uint8Array): number {
    return this.#guarded(() => {
      this.#isStopped = false;
      const held = this.#held.length;
      const data = held === 0 ? chunk : concatenate(this.#held, chunk);
      this.#held = empty;
      let at = 0;
      while (at < data.length && !this.#isStopped) {
        at = this.#current === null ? this.#readHeader(data, at) : this.#readPayload(data, at);
      }
      return at - held;
    });
  }

  /** The stream has ended. @throws FrameError `FRAME_TRUNCATED` inside a frame. */
  end(): void {
    this.#guarded(() => {
      if (this.#current !== null) {
        const { header, payload } = this.#current;
        const message = `frames: a payload of ${payload.length} bytes must come, got the end after ${this.#filled}. The other side has died or closed too early.`;
        throw new FrameError('FRAME_TRUNCATED', message, { ...header, received: this.#filled });
      }
      const held = this.#held;
      this.#held = empty;
      if (held.length === 0) return;
      if (this.#options.onNoise !== undefined && held.length < magic.length) return this.#options.onNoise(held);
      const message = `frames: a header has ${frameHeaderBytes} bytes, got the end after ${held.length}. The other side has died or closed too early.`;
      throw new FrameError('FRAME_TRUNCATED', message, { received: held.length });
    });
  }

  /** Called in a callback: `push` returns behind the current frame, and leaves the rest of the chunk to the caller. */
  stop(): void {
    this.#isStopped = true;
  }

  #guarded<T>(action: () => T): T {
    if (this.#failure !== null) throw this.#failure.error;
    try {
      return action();
    } catch (error) {
      this.#failure = { error };
      this.#current = null;
      throw error;
    }
  }

  /** Reads the header at `at` (behind noise) and starts its payload; what is no whole header yet is held. Returns where to go on. */
  #readHeader(data: Uint8Array, at: number): number {
    const start = this.#options.onNoise === undefined ? at : this.#skipNoise(data, at);
    const matching = matchingMagic(data, start);
    if (matching < magic.length) {
      const got = [...data.subarray(start, start + magic.length)].map((byte) => byte.toString(16).padStart(2, '0'));
      const message = `frames: a frame must start with f5 53 48 4c, got ${got.join(' ')}. The other side does not speak this protocol.`;
      throw new FrameError('FRAME_MAGIC', message, { got: got.join(' ') });
    }
    if (start + frameHeaderBytes > data.length) {
      this.#held = data.slice(start);
      return data.length;
    }
    this.#begin(parseHeader(data, start));
    return start + frameHeaderBytes;
  }

  /** Reports bytes up to the next header, or to what may become one. */
  #skipNoise(data: Uint8Array, at: number): number {
    let start = at;
    for (;;) {
      start = data.indexOf(magic[0]!, start);
      if (start < 0) start = data.length;
      const isWhole = start + frameHeaderBytes <= data.length;
      if (matchingMagic(data, start) === magic.length && (!isWhole || isHeaderRight(data, start))) break;
      start++;
    }
    if (start > at) this.#options.onNoise?.(data.subarray(at, start));
    return start;
  }

  #begin(parsed: ParsedHeader): void {
    const { header } = parsed;
    const { maxPayloadBytes, sink } = this.#options;
    if (header.length > maxPayloadBytes) {
      const message = `frames: a payload may have ${maxPayloadBytes} bytes here, got ${header.length}. Send smaller frames.`;
      throw new FrameError('FRAME_TOO_LARGE', message, { ...header, maxPayloadBytes });
    }
    const payload = header.length === 0 ? empty : (sink?.call(this.#options, header) ?? new Uint8Array(header.length));
    if (payload.length !== header.length) {
      const message = `frames: sink must give ${header.length} bytes for this payload, got ${payload.length}. Check its place.`;
      throw new ArgumentError(message, { ...header, given: payload.length });
    }
    this.#current = { ...parsed, payload };
    this.#filled = 0;
    this.#crc = 0;
    if (header.length === 0) this.#finish();
  }

  #readPayload(data: Uint8Array, at: number): number {
    const { payload } = this.#current!;
    const part = data.subarray(at, at + payload.length - this.#filled);
    this.#crc = crc32cCopy(part, payload.subarray(this.#filled), this.#crc);
    this.#filled += part.length;
    if (this.#filled === payload.length) this.#finish();
    return at + part.length;
  }

  #finish(): void {
    const { header, payload, payloadCrc, hasChecksum } = this.#current!;
    this.#current = null;
    if (hasChecksum && this.#crc !== payloadCrc) throw wrongCrc('payload', payloadCrc, this.#crc, header);
    this.#options.onFrame(header, payload);
  }
}

function concatenate(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

/** How many bytes at `at` are those of the magic; what is beyond the end counts as equal. */
function matchingMagic(data: Uint8Array, at: number): number {
  let index = 0;
  while (index < magic.length && (at + index >= data.length || data[at + index] === magic[index])) index++;
  return index;
}

function viewOf(data: Uint8Array, at: number): DataView {
  return new DataView(data.buffer, data.byteOffset + at, frameHeaderBytes);
}

function isHeaderRight(data: Uint8Array, at: number): boolean {
  return crc32c(data.subarray(at, at + 32)) === viewOf(data, at).getUint32(32, true);
}

/** The version comes first: what another protocol has at the place of the checksum is not known. */
function parseHeader(data: Uint8Array, at: number): ParsedHeader {
  const view = viewOf(data, at);
  const protocol = view.getUint8(4);
  if (protocol !== frameProtocol) {
    const message = `frames: the protocol must be version ${frameProtocol}, got ${protocol}. Use the same version of shoal on both sides.`;
    throw new FrameError('FRAME_VERSION', message, { expected: frameProtocol, got: protocol });
  }
  const crc = crc32c(data.subarray(at, at + 32));
  const sent = view.getUint32(32, true);
  if (crc !== sent) throw wrongCrc('header', sent, crc, {});
  return {
    header: {
      type: view.getUint16(6, true),
      channel: view.getUint32(8, true),
      unit: view.getUint32(12, true),
      version: view.getUint32(16, true),
      attempt: view.getUint32(20, true),
      length: view.getUint32(24, true),
    },
    hasChecksum: (view.getUint8(5) & checksumFlag) !== 0,
    payloadCrc: view.getUint32(28, true),
  };
}

function wrongCrc(part: 'header' | 'payload', sent: number, got: number, fields: Partial<FrameHeader>): FrameError {
  const message = `frames: the checksum of the ${part} must be ${sent}, got ${got}. The bytes were damaged on their way; send them again.`;
  return new FrameError('FRAME_CRC', message, { part, sent, got, ...fields });
}
