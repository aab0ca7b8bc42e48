import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32c, crc32cCopy, crc32cReference } from '../../kernels/crc32c.ts';
import { Random } from '../../src/random.ts';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** The definition, bit by bit: division of the message by the polynomial, without any table. */
function division(bytes: Uint8Array): number {
  let state = 0xffffffff;
  for (const byte of bytes) {
    for (let bit = 0; bit < 8; bit++) {
      const carry = (state ^ (byte >>> bit)) & 1;
      state = (state >>> 1) ^ (carry === 1 ? 0x82f63b78 : 0);
    }
  }
  return ~state >>> 0;
}

const noise = (() => {
  const random = new Random(7);
  return Uint8Array.from({ length: 300_000 }, () => random.uint32() & 255);
})();

describe('crc32c', () => {
  it.each([
    ['the check value', text('123456789'), 0xe3069283],
    ['nothing', new Uint8Array(0), 0],
    ['RFC 3720: 32 zeros', new Uint8Array(32), 0x8a9136aa],
    ['RFC 3720: 32 ones', new Uint8Array(32).fill(255), 0x62a8ab43],
    ['RFC 3720: ascending', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    ['RFC 3720: descending', Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
    ['a letter', text('a'), 0xc1d04330],
  ])('%s', (_name, bytes, expected) => {
    expect(crc32c(bytes)).toBe(expected);
    expect(crc32cReference(bytes)).toBe(expected);
  });

  it('equals the division at every length from 0 to 300, at every offset mod 16', () => {
    for (let length = 0; length <= 300; length++) {
      const bytes = noise.subarray(length % 16, (length % 16) + length);
      const expected = division(bytes);
      expect([length, crc32c(bytes), crc32cReference(bytes)]).toEqual([length, expected, expected]);
    }
  });

  it('equals the reference around the lengths where the way of folding changes, and the edges of pieces', () => {
    for (const base of [8192, 65_536, 131_072]) {
      for (const more of [-129, -128, -16, -1, 0, 1, 15, 16, 17, 63, 64, 127, 128, 129, 3344]) {
        const bytes = noise.subarray(3, 3 + base + more);
        expect(crc32c(bytes)).toBe(crc32cReference(bytes));
      }
    }
  });

  it('comes piece by piece, with any splits', () => {
    const cuts = fc.array(fc.nat(200_000), { maxLength: 6 });
    fc.assert(
      fc.property(fc.nat(200_000), fc.nat(100), cuts, (length, offset, at) => {
        const bytes = noise.subarray(offset, offset + length);
        const edges = [0, ...at.map((cut) => Math.min(cut, length)).sort((a, b) => a - b), length];
        let crc = 0;
        for (let i = 1; i < edges.length; i++) crc = crc32c(bytes.subarray(edges[i - 1]!, edges[i]!), crc);
        expect(crc).toBe(crc32cReference(bytes));
      }),
      { numRuns: 30 },
    );
  });

  it('takes views of shared memory', () => {
    const shared = new Uint8Array(new SharedArrayBuffer(100_000), 5, 70_000);
    shared.set(noise.subarray(0, 70_000));
    expect(crc32c(shared)).toBe(crc32cReference(noise.subarray(0, 70_000)));
  });

  it('copies on the way, from any address to any address, and touches nothing beside', () => {
    for (const length of [0, 5, 127, 128, 1000, 9001, 65_536, 140_001]) {
      for (let from = 0; from < 9; from++) {
        const bytes = noise.subarray(from, from + length);
        const to = (5 * from) % 9;
        const whole = new Uint8Array(new SharedArrayBuffer(length + 20)).fill(0xaa);
        expect(crc32cCopy(bytes, whole.subarray(to), 77)).toBe(crc32cReference(bytes, 77));
        const expected = new Uint8Array(length + 20).fill(0xaa);
        expected.set(bytes, to);
        expect(Buffer.compare(whole, expected)).toBe(0);
      }
    }
  });

  it('sees each flipped bit', () => {
    const bytes = noise.slice(0, 1000);
    const crc = crc32c(bytes);
    for (let bit = 0; bit < 8000; bit += 7) {
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(crc32c(bytes)).not.toBe(crc);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
  });
});
