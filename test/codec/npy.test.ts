import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeNpy, encodeNpy } from '../../src/codec/npy.ts';
import type { NamedArray } from '../../src/codec/safetensors.ts';
import { FormatError } from '../../src/errors.ts';

/** A file as NumPy writes it. */
function file(dict: string, data: readonly number[], version = 1): Uint8Array {
  const text = new TextEncoder().encode(`${dict.padEnd(117)}\n`);
  const length = version === 1 ? [text.length & 255, text.length >> 8] : [text.length & 255, text.length >> 8, 0, 0];
  return Uint8Array.from([0x93, ...new TextEncoder().encode('NUMPY'), version, 0, ...length, ...text, ...data]);
}
const dict = (descr: string, shape: string, fortran = 'False'): string =>
  `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': ${shape}, }`;

function ruleOf(bytes: Uint8Array): unknown {
  try {
    decodeNpy(bytes);
    return 'accepted';
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return error.fields.rule;
  }
}

describe('npy', () => {
  it.each<[string, string, number[], NamedArray['dtype'], number[], number[]]>([
    ['<f4', '(2, 1)', [0, 0, 128, 63, 0, 0, 0, 192], 'float32', [2, 1], [1, -2]],
    ['>f4', '(1,)', [63, 128, 0, 0], 'float32', [1], [1]],
    ['<f8', '()', [0, 0, 0, 0, 0, 0, 240, 63], 'float64', [], [1]],
    ['<i8', '(1,)', [255, 255, 255, 255, 255, 255, 255, 255], 'int32', [1], [-1]],
    ['>i2', '(1,)', [1, 0], 'int32', [1], [256]],
    ['<f2', '(1,)', [0, 60], 'float32', [1], [1]],
    ['|b1', '(2,)', [1, 0], 'bool', [2], [1, 0]],
    ['|u1', '(0, 3)', [], 'uint8', [0, 3], []],
  ])('reads %s %s', (descr, shape, data, dtype, sizes, values) => {
    for (const version of [1, 2, 3]) {
      const array = decodeNpy(file(dict(descr, shape), data, version));
      expect([array.dtype, array.shape, [...array.data]]).toEqual([dtype, sizes, values]);
    }
  });

  it.each([
    ['magic', Uint8Array.of(1, 2, 3)],
    ['version', file(dict('|u1', '(0,)'), [], 9)],
    ['header', file("{'descr': '|u1'}", [])],
    ['header', file(dict("|O', __import__('os')", '(0,)'), [])],
    ['header', file(dict('|u1', '(-1,)'), [])],
    ['header', file(dict('|u1', '(1)'), [1])],
    ['header', file(dict('|u1', '(0,)'), []).subarray(0, 60)],
    ['dtype', file(dict('|o8', '(0,)'), [])],
    ['dtype', file(dict('<c8', '(0,)'), [])],
    ['order', file(dict('|u1', '(1, 2)', 'True'), [1, 2])],
    ['size', file(dict('|u1', '(3,)'), [1, 2])],
    ['size', file(dict('|u1', '(1,)'), [1, 2])],
    ['size', file(dict('<f8', '(99999999999, 99999999999)'), [])],
    ['valueRange', file(dict('<u4', '(1,)'), [0, 0, 0, 128])],
  ])('refuses with rule %s', (rule, bytes) => {
    expect(ruleOf(bytes)).toBe(rule);
  });

  it('writes what it reads, aligned to 64 bytes', () => {
    const array: NamedArray = { dtype: 'int32', shape: [2, 3], data: Int32Array.of(1, -2, 3, 4, 5, 6) };
    const bytes = encodeNpy(array);
    expect(decodeNpy(bytes)).toEqual(array);
    expect((bytes.length - 24) % 64).toBe(0);
    for (const shape of [[], [1], [1, 1, 1]])
      expect(decodeNpy(encodeNpy({ dtype: 'bool', shape, data: Uint8Array.of(1) })).shape).toEqual(shape);
    expect(() => encodeNpy({ ...array, shape: [2] })).toThrow(FormatError);
    expect(() => encodeNpy({ ...array, dtype: 'float32' })).toThrow(FormatError);
  });

  it('mutated files give an array or a FormatError', () => {
    const good = encodeNpy({ dtype: 'float32', shape: [2, 3], data: new Float32Array(6) });
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, value, cut) => {
        const bytes = good.slice(0, cut === 0 ? good.length : cut);
        if (at < bytes.length) bytes[at] = value;
        ruleOf(bytes);
      }),
      { numRuns: 1000 },
    );
  });
});
