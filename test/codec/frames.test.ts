import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  encodeHeader,
  type FrameFields,
  type FrameHeader,
  FrameReader,
  frameHeaderBytes,
} from '../../src/codec/frames.ts';
import { FrameError } from '../../src/errors.ts';

const runs = Number(process.env.SHOAL_FUZZ ?? 300); // longer: npm run test:long;
const maxPayloadBytes = 4096;

interface Frame {
  readonly fields: FrameFields;
  readonly pieces: readonly Uint8Array[];
}

interface Received {
  readonly header: FrameHeader;
  readonly payload: number[];
}

const word = fc.oneof(fc.constantFrom(0, 1, 0xffff_ffff), fc.nat());
const fields: fc.Arbitrary<FrameFields> = fc.record(
  { type: fc.nat(0xffff), channel: word, unit: word, version: word, attempt: word },
  { requiredKeys: ['type'] },
);
const frame: fc.Arbitrary<Frame> = fc.record({
  fields,
  pieces: fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 3 }),
});
const frames = fc.array(frame, { maxLength: 5 });
/** Sizes of chunks, used in turns. */
const chunking = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 8 });

function join(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function encode({ fields, pieces }: Frame, checksum = true): Uint8Array {
  return join([encodeHeader(fields, pieces, checksum), ...pieces]);
}

function expected({ fields, pieces }: Frame): Received {
  const payload = [...join(pieces)];
  return {
    header: { channel: 0, unit: 0, version: 0, attempt: 0, ...fields, length: payload.length },
    payload,
  };
}

function* chunks(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length]!;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

/** Reads a whole stream. Chunks are overwritten once read, as sockets do. */
function read(
  bytes: Uint8Array,
  sizes: readonly number[],
  options: { noise?: boolean; sink?: (header: FrameHeader) => Uint8Array | null } = {},
): { received: Received[]; noise: number[]; error: unknown } {
  const received: Received[] = [];
  const noise: number[] = [];
  const reader = new FrameReader({
    maxPayloadBytes,
    onFrame: (header, payload) => received.push({ header, payload: [...payload] }),
    ...(options.sink === undefined ? {} : { sink: options.sink }),
    ...(options.noise === true ? { onNoise: (part: Uint8Array) => noise.push(...part) } : {}),
  });
  try {
    for (const chunk of chunks(bytes, sizes)) {
      const own = chunk.slice();
      expect(reader.push(own)).toBe(own.length);
      own.fill(0xaa);
    }
    reader.end();
    return { received, noise, error: null };
  } catch (error) {
    expect(() => reader.push(Uint8Array.of(1))).toThrow(error as Error);
    expect(() => reader.end()).toThrow(error as Error);
    return { received, noise, error };
  }
}

function codeOf(error: unknown): string {
  if (!(error instanceof FrameError)) throw error;
  return error.code;
}

const good: Frame = {
  fields: { type: 7, channel: 1, unit: 2, version: 3, attempt: 4 },
  pieces: [Uint8Array.of(1, 2, 3)],
};

describe('frames', () => {
  it('have the bytes that the table says', () => {
    expect([...encodeHeader(good.fields, good.pieces)]).toEqual([
      ...[0xf5, 0x53, 0x48, 0x4c, 1, 1, 7, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0],
      ...[0x1e, 0xf2, 0x30, 0xf1], // crc32c of 1, 2, 3
      ...[0x5c, 0x28, 0xb4, 0xe5], // crc32c of the 32 bytes above
    ]);
  });

  it('come back, with any chunks, from any pieces', () => {
    fc.assert(
      fc.property(frames, chunking, fc.boolean(), (sent, sizes, checksum) => {
        const bytes = join(sent.map((one) => encode(one, checksum)));
        expect(read(bytes, sizes)).toEqual({ received: sent.map(expected), noise: [], error: null });
        expect(read(bytes, sizes, { noise: true })).toEqual({ received: sent.map(expected), noise: [], error: null });
      }),
      { numRuns: runs },
    );
  });

  it('go straight to the place that sink gives, also of shared memory', () => {
    const shared = new Uint8Array(new SharedArrayBuffer(20));
    const seen: number[] = [];
    const reader = new FrameReader({
      maxPayloadBytes,
      sink: ({ unit, length }) => (unit === 2 ? shared.subarray(5, 5 + length) : null),
      onFrame: (_header, payload) => seen.push(payload.buffer === shared.buffer ? 1 : 0),
    });
    reader.push(join([encode(good), encode({ ...good, fields: { type: 1 } })]));
    expect(seen).toEqual([1, 0]);
    expect([...shared]).toEqual([0, 0, 0, 0, 0, 1, 2, 3, ...Array(12).fill(0)]);
  });

  it('a place of another length, and a callback that throws, end the reading', () => {
    expect(read(encode(good), [9], { sink: () => new Uint8Array(4) }).error).toMatchObject({ code: 'ARGUMENT' });
    const reader = new FrameReader({
      maxPayloadBytes,
      onFrame: () => {
        throw new Error('of the listener');
      },
    });
    expect(() => reader.push(encode(good))).toThrow('of the listener');
    expect(() => reader.push(encode(good))).toThrow('of the listener');
  });

  it('stop leaves the rest of the chunk', () => {
    const received: number[] = [];
    const reader: FrameReader = new FrameReader({
      maxPayloadBytes,
      onFrame: ({ type }) => {
        received.push(type);
        reader.stop();
      },
    });
    const bytes = join([encode(good), encode({ fields: { type: 8 }, pieces: [] }), Uint8Array.of(0xf5)]);
    expect(reader.push(bytes.subarray(0, 10))).toBe(10);
    const first = reader.push(bytes.subarray(10));
    expect(first).toBe(frameHeaderBytes + 3 - 10);
    expect(received).toEqual([7]);
    expect(reader.push(bytes.subarray(10 + first))).toBe(frameHeaderBytes);
    expect(received).toEqual([7, 8]);
  });

  it.each<[string, Partial<FrameFields>]>([
    ['type', { type: 0x1_0000 }],
    ['channel', { channel: -1 }],
    ['unit', { unit: 0.5 }],
    ['version', { version: 2 ** 32 }],
    ['attempt', { attempt: Number.NaN }],
  ])('refuse a wrong %s', (_name, wrong) => {
    expect(() => encodeHeader({ type: 1, ...wrong })).toThrow(expect.objectContaining({ code: 'ARGUMENT' }));
  });
});

describe('hostile bytes', () => {
  const bytes = encode(good);
  const changed = (at: number, value: number): Uint8Array => {
    const copy = bytes.slice();
    copy[at] = value;
    return copy;
  };
  /** A header with a right checksum of its own. */
  const claiming = (length: number): Uint8Array => encodeHeader({ type: 1 }, [new Uint8Array(length)]);

  it.each<[string, string, Uint8Array]>([
    ['FRAME_MAGIC', 'text', new TextEncoder().encode('GET / HTTP/1.1')],
    ['FRAME_MAGIC', 'one wrong byte', Uint8Array.of(0)],
    ['FRAME_MAGIC', 'a wrong fourth byte', changed(3, 0)],
    ['FRAME_VERSION', 'another protocol', changed(4, 2)],
    ['FRAME_CRC', 'a length that was changed', changed(26, 255)],
    ['FRAME_CRC', 'a flag that was changed', changed(5, 0)],
    ['FRAME_CRC', 'a damaged payload', changed(frameHeaderBytes + 1, 0)],
    ['FRAME_TOO_LARGE', 'a true length beyond the limit', claiming(maxPayloadBytes + 1)],
    ['FRAME_TRUNCATED', 'half a header', bytes.subarray(0, 20)],
    ['FRAME_TRUNCATED', 'half a magic', bytes.subarray(0, 2)],
    ['FRAME_TRUNCATED', 'no payload', bytes.subarray(0, frameHeaderBytes)],
    ['FRAME_TRUNCATED', 'half a payload', bytes.subarray(0, frameHeaderBytes + 2)],
  ])('%s: %s', (code, _name, stream) => {
    for (const size of [1, 7, 100]) {
      const { received, error } = read(stream, [size]);
      expect([codeOf(error), received]).toEqual([code, []]);
    }
  });

  it('a frame behind a damaged one is not believed', () => {
    const { received, error } = read(join([bytes, changed(38, 0), bytes]), [64]);
    expect(codeOf(error)).toBe('FRAME_CRC');
    expect(received).toEqual([expected(good)]);
  });

  it('any change of a stream gives a prefix of its frames, and an error', () => {
    const mutation = fc.record({ at: fc.nat(), flip: fc.integer({ min: 1, max: 255 }), cut: fc.boolean() });
    fc.assert(
      fc.property(
        fc.array(frame, { minLength: 1, maxLength: 4 }),
        chunking,
        mutation,
        (sent, sizes, { at, flip, cut }) => {
          const stream = join(sent.map((one) => encode(one)));
          const where = at % stream.length;
          const hostile = cut ? stream.slice(0, where) : stream.slice();
          if (!cut) hostile[where]! ^= flip;
          const { received, error } = read(hostile, sizes);
          expect(received).toEqual(sent.map(expected).slice(0, received.length));
          const lengths = sent.map((one) => encode(one).length);
          const wholeUpToCut = cut && lengths.some((_, i) => lengths.slice(0, i).reduce((a, b) => a + b, 0) === where);
          if (wholeUpToCut) expect(error).toBeNull();
          else expect(codeOf(error)).toMatch(/^FRAME_/);
        },
      ),
      { numRuns: runs },
    );
  });

  it('random bytes are an error, or nothing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), chunking, (random, sizes) => {
        const { received, error } = read(random, sizes);
        expect(received).toEqual([]);
        if (random.length > 0) expect(codeOf(error)).toMatch(/^FRAME_/);
      }),
      { numRuns: runs },
    );
  });
});

describe('frames amid noise', () => {
  /** Noise as user code makes it, and worse: with pieces of the magic. */
  const noise = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => new TextEncoder().encode(text)),
    fc.array(fc.constantFrom(0xf5, 0x53, 0x48, 0x4c, 0x0a), { maxLength: 60 }).map((bytes) => Uint8Array.from(bytes)),
  );

  it('are read, and the noise is given in order', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(noise, frame), { maxLength: 4 }), noise, chunking, (parts, last, sizes) => {
        const stream = join([...parts.flatMap(([before, one]) => [before, encode(one)]), last]);
        const result = read(stream, sizes, { noise: true });
        expect(result.received).toEqual(parts.map(([, one]) => expected(one)));
        const all = [...join([...parts.map(([before]) => before), last])];
        // Noise that ends with the start of a header may as well be a frame that was cut.
        if (result.error !== null) {
          expect(codeOf(result.error)).toBe('FRAME_TRUNCATED');
          expect(result.noise).toEqual(all.slice(0, result.noise.length));
        } else expect(result.noise).toEqual(all);
      }),
      { numRuns: runs },
    );
  });

  it('text is given at once, and the last bytes at the end', () => {
    const noise: string[] = [];
    const reader = new FrameReader({
      maxPayloadBytes,
      onFrame: () => expect.unreachable(),
      onNoise: (bytes) => noise.push(new TextDecoder('latin1').decode(bytes)),
    });
    reader.push(new TextEncoder().encode('epoch 1'));
    expect(noise).toEqual(['epoch 1']);
    reader.push(Uint8Array.of(0x21, 0xf5, 0x53));
    expect(noise).toEqual(['epoch 1', '!']);
    reader.end();
    expect(noise).toEqual(['epoch 1', '!', 'õS']);
  });

  it.each<[string, string, number, number]>([
    ['a damaged header is noise', '', 10, 255],
    ['a damaged payload is an error', 'FRAME_CRC', frameHeaderBytes, 0],
  ])('%s', (_name, code, at, value) => {
    const bytes = encode(good);
    bytes[at] = value;
    const { received, noise, error } = read(join([bytes, encode(good)]), [50], { noise: true });
    if (code === '') expect([received, noise, error]).toEqual([[expected(good)], [...bytes], null]);
    else expect([received, codeOf(error)]).toEqual([[], code]);
  });
});
