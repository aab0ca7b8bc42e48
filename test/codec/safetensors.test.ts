import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeSafetensors,
  encodeSafetensors,
  MAX_HEADER_BYTES,
  MAX_TENSORS,
  type NamedArray,
  parseSafetensorsHeader,
  type SafetensorsRule,
} from '../../src/codec/safetensors.ts';
import { FormatError } from '../../src/errors.ts';

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** A file of a header as text (or bytes) and data. */
function file(header: string | Uint8Array, data: Uint8Array | number = 0, length?: bigint): Uint8Array {
  const text = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const start = new Uint8Array(8);
  new DataView(start.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  return concat([start, text, typeof data === 'number' ? new Uint8Array(data) : data]);
}

const entry = (dtype: string, shape: readonly unknown[], offsets: readonly unknown[]): string =>
  `{"dtype":"${dtype}","shape":[${shape}],"data_offsets":[${offsets}]}`;

function ruleOf(bytes: Uint8Array, fileBytes?: number): SafetensorsRule | 'accepted' {
  try {
    if (fileBytes === undefined) decodeSafetensors(bytes);
    else parseSafetensorsHeader(bytes, fileBytes);
    return 'accepted';
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return error.fields.rule as SafetensorsRule;
  }
}

const ok = entry('U8', [2], [0, 2]);

describe('safetensors: what is refused, each with its own rule', () => {
  it.each<[SafetensorsRule, string, Uint8Array, number?]>([
    ['tooShort', 'no bytes', new Uint8Array(0)],
    ['tooShort', '7 bytes', new Uint8Array(7)],
    ['headerTooLong', 'over the cap', file('{}', 0, BigInt(MAX_HEADER_BYTES) + 1n), MAX_HEADER_BYTES + 100],
    ['headerTooLong', '2^63', file('{}', 0, 2n ** 63n)],
    ['headerTooLong', '2^53 + 1', file('{}', 0, 2n ** 53n + 1n)],
    ['headerPastEnd', 'longer than the file', file('{}', 0, 3n)],
    ['headerStart', 'empty header', file('')],
    ['headerStart', 'a space first', file(' {}')],
    ['headerStart', 'a byte order mark first', file('\ufeff{}')],
    ['headerStart', 'a list', file('[]')],
    ['headerUtf8', 'not UTF-8', file(Uint8Array.of(0x7b, 0xff, 0x7d))],
    ['headerUtf8', 'a surrogate in UTF-8', file(Uint8Array.of(0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x7d))],
    ['json', 'cut', file('{"a":')],
    ['json', 'cut in a string', file('{"a')],
    ['json', 'cut in an escape', file('{"a\\')],
    ['json', 'a bad escape', file('{"\\x": 1}')],
    ['json', 'a control character', file('{"\n": 1}')],
    ['json', 'trailing text', file('{}x')],
    ['json', 'trailing comma', file('{"a":1,}')],
    ['json', 'a zero byte behind', file('{}\0')],
    ['json', 'null', file('{"a":null}')],
    ['json', 'true', file('{"a":true}')],
    ['json', 'leading zero', file(`{"a":${entry('U8', ['02'], [0, 2])}}`, 2)],
    ['json', 'hexadecimal', file(`{"a":${entry('U8', ['0x2'], [0, 2])}}`, 2)],
    ['depth', 'nested lists', file(`{"a":${'['.repeat(100_000)}`)],
    ['duplicateKey', 'the same tensor twice', file(`{"a":${ok},"a":${ok}}`, 2)],
    ['duplicateKey', 'the same key in other letters', file(`{"a":${ok},"\\u0061":${ok}}`, 2)],
    ['duplicateKey', 'inside an entry', file('{"a":{"dtype":"U8","dtype":"U8","shape":[2],"data_offsets":[0,2]}}', 2)],
    ['duplicateKey', 'inside the metadata', file('{"__metadata__":{"a":"1","a":"2"}}')],
    ['metadata', 'a number in the metadata', file('{"__metadata__":{"a":1}}')],
    ['metadata', 'metadata as a list', file('{"__metadata__":[]}')],
    ['entry', 'a missing key', file('{"a":{"dtype":"U8","shape":[0]}}')],
    ['entry', 'a key too many', file('{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2],"x":1}}', 2)],
    ['entry', 'a number as tensor', file('{"a":1}')],
    ['entry', 'one offset', file(`{"a":${entry('U8', [0], [0])}}`)],
    ['entry', 'offsets as text', file('{"a":{"dtype":"U8","shape":[0],"data_offsets":"00"}}')],
    ['dtype', 'unknown', file(`{"a":${entry('F7', [2], [0, 2])}}`, 2)],
    ['dtype', 'of an object', file(`{"a":${entry('constructor', [2], [0, 2])}}`, 2)],
    ['shape', 'text in the shape', file('{"a":{"dtype":"U8","shape":["2"],"data_offsets":[0,2]}}', 2)],
    ['number', 'negative size', file(`{"a":${entry('U8', [-2], [0, 2])}}`, 2)],
    ['number', 'fractional size', file(`{"a":${entry('U8', [1.5], [0, 2])}}`, 2)],
    ['number', 'size as a float', file(`{"a":${entry('U8', ['2.0'], [0, 2])}}`, 2)],
    ['number', 'exponent', file(`{"a":${entry('U8', ['2e0'], [0, 2])}}`, 2)],
    ['number', '-0', file(`{"a":${entry('U8', ['-0'], [0, 0])}}`)],
    ['number', 'over 2^53', file(`{"a":${entry('U8', ['9007199254740993'], [0, 2])}}`, 2)],
    ['number', 'negative offset', file(`{"a":${entry('U8', [2], [-2, 0])}}`, 2)],
    ['sizeOverflow', 'product', file(`{"a":${entry('F64', [2 ** 40, 2 ** 40], [0, 2])}}`, 2)],
    ['sizeOverflow', 'product before a zero', file(`{"a":${entry('F64', [2 ** 40, 2 ** 40, 0], [0, 0])}}`)],
    ['offsetsReversed', 'begin > end', file(`{"a":${entry('U8', [2], [2, 0])}}`, 2)],
    ['offsetsPastEnd', 'end past the data', file(`{"a":${entry('U8', [3], [0, 3])}}`, 2)],
    ['length', 'too few bytes for the shape', file(`{"a":${entry('F32', [1], [0, 2])}}`, 2)],
    ['length', 'none for a scalar', file(`{"a":${entry('F32', [], [0, 0])}}`)],
    ['overlap', 'two on the same bytes', file(`{"a":${ok},"b":${ok}}`, 2)],
    ['overlap', 'an empty one inside another', file(`{"a":${ok},"b":${entry('U8', [0], [1, 1])}}`, 2)],
    ['hole', 'bytes in front', file(`{"a":${entry('U8', [2], [1, 3])}}`, 3)],
    ['hole', 'bytes between', file(`{"a":${ok},"b":${entry('U8', [1], [3, 4])}}`, 4)],
    ['trailing', 'bytes behind', file(`{"a":${ok}}`, 3)],
    ['trailing', 'bytes and no tensor', file('{}', 1)],
    [
      'valueRange',
      'int64 over int32',
      file(`{"a":${entry('I64', [1], [0, 8])}}`, Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0)),
    ],
    ['valueRange', 'uint32 over int32', file(`{"a":${entry('U32', [1], [0, 4])}}`, Uint8Array.of(0, 0, 0, 128))],
  ])('%s: %s', (rule, _, bytes, fileBytes) => {
    expect(ruleOf(bytes, fileBytes)).toBe(rule);
  });

  it('tooManyTensors: a million for nothing', () => {
    const many = Array.from({ length: MAX_TENSORS + 1 }, (_, i) => `"${i}":${entry('U8', [0], [0, 0])}`);
    expect(ruleOf(file(`{${many.join(',')}}`))).toBe('tooManyTensors');
  });

  it('overlap: many large tensors over one small range do not allocate', () => {
    const claims = Array.from({ length: 10_000 }, (_, i) => `"${i}":${entry('U8', [160_000], [0, 160_000])}`);
    const before = process.memoryUsage().arrayBuffers;
    expect(ruleOf(file(`{${claims.join(',')}}`, 160_000))).toBe('overlap');
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10e6);
  });
});

describe('safetensors: what is read', () => {
  it('rank 0, empty sizes, padding, names that objects would trip over, in the order of the file', () => {
    const header =
      `{"__metadata__":{"format":"pt","":""},"10":${entry('F32', [], [0, 4])},"2":${entry('F32', [0, 3], [4, 4])},` +
      `"__proto__":${entry('BOOL', [2], [4, 6])},"constructor":${entry('U8', [2], [6, 8])}}   \n`;
    const { arrays, metadata } = decodeSafetensors(file(header, Uint8Array.of(0, 0, 128, 63, 2, 0, 7, 8)));
    expect([...arrays.keys()]).toEqual(['10', '2', '__proto__', 'constructor']);
    expect([...metadata]).toEqual([
      ['format', 'pt'],
      ['', ''],
    ]);
    expect(arrays.get('10')).toEqual({ dtype: 'float32', shape: [], data: Float32Array.of(1) });
    expect(arrays.get('2')).toEqual({ dtype: 'float32', shape: [0, 3], data: new Float32Array(0) });
    expect(arrays.get('__proto__')!.data).toEqual(Uint8Array.of(1, 0));
    expect(arrays.get('constructor')!.data).toEqual(Uint8Array.of(7, 8));
  });

  it('what other tools write: data in another order than names, unaligned', () => {
    const header = `{"b":${entry('F32', [1], [1, 5])},"a":${entry('U8', [1], [0, 1])}}`;
    const { arrays } = decodeSafetensors(file(header, Uint8Array.of(9, 0, 0, 0, 64)));
    expect([arrays.get('a')!.data[0], arrays.get('b')!.data[0]]).toEqual([9, 2]);
  });

  it.each<[string, number[], NamedArray['dtype'], number[]]>([
    ['I8', [255, 127], 'int32', [-1, 127]],
    ['I16', [255, 255, 0, 1], 'int32', [-1, 256]],
    ['U16', [255, 255, 0, 1], 'int32', [65_535, 256]],
    ['U32', [1, 0, 0, 0, 255, 255, 255, 127], 'int32', [1, 2 ** 31 - 1]],
    ['I64', [255, 255, 255, 255, 255, 255, 255, 255, 5, 0, 0, 0, 0, 0, 0, 0], 'int32', [-1, 5]],
    ['U64', [5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0], 'int32', [5, 6]],
    ['F64', [0, 0, 0, 0, 0, 0, 240, 63, 0, 0, 0, 0, 0, 0, 0, 192], 'float64', [1, -2]],
    ['BF16', [128, 63, 0, 192], 'float32', [1, -2]],
    // 1, -2, the largest half, the smallest subnormal, the smallest normal, infinity, -0
    [
      'F16',
      [0, 60, 0, 192, 255, 123, 1, 0, 0, 4, 0, 124, 0, 128],
      'float32',
      [1, -2, 65_504, 2 ** -24, 2 ** -14, Infinity, -0],
    ],
  ])('%s', (dtype, bytes, expected, values) => {
    const { arrays } = decodeSafetensors(
      file(`{"a":${entry(dtype, [values.length], [0, bytes.length])}}`, Uint8Array.from(bytes)),
    );
    expect(arrays.get('a')!.dtype).toBe(expected);
    expect([...arrays.get('a')!.data]).toEqual(values);
  });

  it('NaN payloads survive', () => {
    const bytes = Uint8Array.of(1, 2, 192, 255);
    const { data } = decodeSafetensors(file(`{"a":${entry('F32', [1], [0, 4])}}`, bytes)).arrays.get('a')!;
    expect(new Uint8Array(data.buffer)).toEqual(bytes);
  });
});

describe('safetensors: what is written', () => {
  const arrays: [string, NamedArray][] = [
    ['flags', { dtype: 'bool', shape: [3], data: Uint8Array.of(1, 0, 1) }],
    ['7', { dtype: 'float32', shape: [2, 1], data: Float32Array.of(1.5, -0) }],
    ['1', { dtype: 'float64', shape: [], data: Float64Array.of(0.1) }],
    ['ünïcode "\\ 🐟', { dtype: 'int32', shape: [0, 5], data: new Int32Array(0) }],
    ['bytes', { dtype: 'uint8', shape: [1], data: Uint8Array.of(255) }],
  ];

  it('comes back equal, in order', () => {
    const { arrays: read, metadata } = decodeSafetensors(concat(encodeSafetensors(arrays)));
    expect([...read]).toEqual(arrays);
    expect([...metadata]).toEqual([['format', 'pt']]);
  });

  it('is aligned, header and data, and deterministic', () => {
    const bytes = concat(encodeSafetensors(arrays, {}));
    const { entries, dataStart, metadata } = parseSafetensorsHeader(bytes);
    expect(dataStart % 8).toBe(0);
    expect(metadata.size).toBe(0);
    for (const { begin, fileDtype } of entries.values())
      expect(begin % ({ F64: 8, F32: 4, I32: 4 }[fileDtype] ?? 1)).toBe(0);
    expect(concat(encodeSafetensors(arrays, {}))).toEqual(bytes);
  });

  it('is, byte for byte, what the format page describes', () => {
    const text = '{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}';
    const expected = file(text.padEnd(Math.ceil(text.length / 8) * 8), Uint8Array.of(0, 0, 128, 63));
    expect(concat(encodeSafetensors([['w', { dtype: 'float32', shape: [1], data: Float32Array.of(1) }]]))).toEqual(
      expected,
    );
  });

  it('refuses arrays and names that cannot be read back', () => {
    const good: NamedArray = { dtype: 'float32', shape: [1], data: Float32Array.of(1) };
    const write =
      (...list: [string, NamedArray][]) =>
      () =>
        encodeSafetensors(list);
    expect(write(['__metadata__', good])).toThrow(FormatError);
    expect(write(['a', good], ['a', good])).toThrow(FormatError);
    expect(write(['\ud800', good])).toThrow(FormatError);
    expect(write(['a', { ...good, shape: [2] }])).toThrow(FormatError);
    expect(write(['a', { ...good, dtype: 'int32' }])).toThrow(FormatError);
    expect(() => encodeSafetensors([], { a: 1 as never })).toThrow(FormatError);
  });
});

describe('safetensors: mutated files', () => {
  const name = fc
    .string({ unit: 'grapheme', maxLength: 6 })
    .filter((text) => text !== '__metadata__' && !/\p{Surrogate}/u.test(text));
  const array: fc.Arbitrary<NamedArray> = fc
    .array(fc.nat(3), { maxLength: 3 })
    .chain((shape) =>
      fc
        .array(fc.float(), { minLength: shape.reduce((a, b) => a * b, 1), maxLength: shape.reduce((a, b) => a * b, 1) })
        .map((values) => ({ dtype: 'float32' as const, shape, data: Float32Array.from(values) })),
    );
  const files = fc
    .uniqueArray(fc.tuple(name, array), { maxLength: 4, selector: ([key]) => key })
    .map((list) => ({ list, bytes: concat(encodeSafetensors(list)) }));
  // Longer at night: SHOAL_FUZZ=100000 npx vitest run test/codec
  const numRuns = Number(process.env.SHOAL_FUZZ ?? 2000);

  it('round trip', () => {
    const property = fc.property(files, ({ list, bytes }) => {
      expect([...decodeSafetensors(bytes).arrays]).toEqual(list);
    });
    fc.assert(property, { numRuns: 200 });
  });

  it('give arrays or a FormatError, nothing else, soon', () => {
    const mutation = fc.record({
      at: fc.nat(),
      kind: fc.constantFrom('flip', 'cut', 'insert', 'splice', 'digit'),
      value: fc.nat(255),
    });
    fc.assert(
      fc.property(files, fc.array(mutation, { minLength: 1, maxLength: 4 }), ({ bytes }, mutations) => {
        let mutated = bytes;
        for (const { at: anywhere, kind, value } of mutations) {
          const at = anywhere % (mutated.length + 1);
          const [head, tail] = [mutated.subarray(0, at), mutated.subarray(at)];
          if (kind === 'cut') mutated = head;
          else if (kind === 'insert') mutated = concat([head, Uint8Array.of(value), tail]);
          else if (kind === 'splice')
            mutated = concat([head, mutated.subarray(value % mutated.length), tail.subarray(value)]);
          else {
            mutated = mutated.slice();
            // Digits in the header reach the checks behind the JSON.
            const digit = mutated.findIndex((byte, i) => i >= at && i > 8 && byte >= 48 && byte <= 57);
            if (kind === 'digit' && digit > 0) mutated[digit] = 48 + (value % 10);
            else if (at < mutated.length) mutated[at] = value;
          }
        }
        const started = performance.now();
        const rule = ruleOf(mutated);
        if (rule === 'accepted') {
          const read = decodeSafetensors(mutated);
          const total = [...read.arrays.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
          expect(total).toBeLessThanOrEqual(mutated.length);
        }
        // Typically microseconds; the bound leaves room for a pause of the machine.
        expect(performance.now() - started).toBeLessThan(500);
      }),
      { numRuns },
    );
  });
});
