import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareKeys, hashKey, type Key, keyIdentity, WordHash } from '../../src/data/keys.ts';
import { boundsOf, hashPartitioner, partitionOf, rangePartitioner, sampleSize } from '../../src/data/partitioner.ts';

const coded = (code: string): Error => expect.objectContaining({ code }) as Error;

const primitive = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 5 }),
  fc.double(),
  fc.integer({ min: -3, max: 3 }),
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
  fc.boolean(),
  fc.constantFrom(null, undefined, '\0', '\0s', '', 0, -0, Number.NaN),
);
const key: fc.Arbitrary<Key> = fc.oneof(
  primitive,
  fc.array(fc.oneof(primitive, fc.array(primitive, { maxLength: 2 })), { maxLength: 3 }),
);

/** The definition that keys follow: the same type and value, item by item. */
function same(a: Key, b: Key): boolean {
  if (Array.isArray(a) && Array.isArray(b)) {
    const [x, y]: (readonly Key[])[] = [a, b];
    return x!.length === y!.length && x!.every((item, i) => same(item, y![i]));
  }
  return a === b || (Number.isNaN(a) && Number.isNaN(b));
}

/** MurmurHash3_x86_32 once more, from its description, over bytes in big integers. */
function murmur3(bytes: readonly number[]): number {
  const mask = 0xffffffffn;
  const rotate = (x: bigint, by: bigint): bigint => ((x << by) | (x >> (32n - by))) & mask;
  let h = 0n;
  for (let i = 0; i < bytes.length; i += 4) {
    const word = bytes.slice(i, i + 4).reduce((sum, byte, at) => sum | (BigInt(byte) << BigInt(8 * at)), 0n);
    h ^= (rotate((word * 0xcc9e2d51n) & mask, 15n) * 0x1b873593n) & mask;
    h = (rotate(h, 13n) * 5n + 0xe6546b64n) & mask;
  }
  h ^= BigInt(bytes.length);
  h = ((h ^ (h >> 16n)) * 0x85ebca6bn) & mask;
  h = ((h ^ (h >> 13n)) * 0xc2b2ae35n) & mask;
  return Number(h ^ (h >> 16n));
}

function hashOfBytes(bytes: readonly number[]): number {
  const hash = new WordHash();
  const view = new DataView(Uint8Array.from(bytes).buffer);
  for (let i = 0; i < bytes.length; i += 4) hash.add(view.getInt32(i, true));
  return hash.digest();
}

describe('the hash of keys', () => {
  it.each([
    // Published vectors of MurmurHash3_x86_32 with seed 0.
    [[], 0],
    [[0x74, 0x65, 0x73, 0x74], 0xba6bd213], // "test"
    [[0xff, 0xff, 0xff, 0xff], 0x76293b50],
    [[0x21, 0x43, 0x65, 0x87], 0xf55b516b],
    [[0, 0, 0, 0], 0x2362f9de],
  ])('is MurmurHash3_x86_32 of %j', (bytes, expected) => {
    expect(hashOfBytes(bytes)).toBe(expected);
    expect(murmur3(bytes)).toBe(expected);
  });

  it('is MurmurHash3_x86_32 of many words', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)), { maxLength: 9 }), (words) => {
        expect(hashOfBytes(words.flat())).toBe(murmur3(words.flat()));
      }),
    );
  });

  it('is of the words that the documentation names', () => {
    const ofWords = (...words: number[]): number =>
      murmur3(words.flatMap((word) => [word & 255, (word >>> 8) & 255, (word >>> 16) & 255, word >>> 24]));
    const cases: readonly (readonly [Key, readonly number[]])[] = [
      [undefined, [0]],
      [null, [1]],
      [false, [2]],
      [true, [3]],
      [1, [4, 0, 0x3ff00000]],
      [0.1, [4, 0x9999999a, 0x3fb99999]],
      [-0, [4, 0, 0]],
      [Number.NaN, [4, 0, 0x7ff80000]],
      [0n, [5, 0, 0]],
      [-(2n ** 32n) - 7n, [5, 1, 2, 7, 1]],
      ['', [6, 0]],
      ['abc', [6, 3, 0x00620061, 0x63]],
      ['\ud800', [6, 1, 0xd800]], // half of a pair
      [
        ['abc', [1n]],
        [7, 2, 6, 3, 0x00620061, 0x63, 7, 1, 5, 0, 1, 1],
      ],
    ];
    for (const [value, words] of cases) expect(hashKey('test', value), String(value)).toBe(ofWords(...words));
  });

  it('never changes: pinned when it was first computed', () => {
    expect(['shoal', 42, true, null, ['a', 1]].map((value) => hashKey('test', value))).toEqual(PINNED);
  });

  it('spreads consecutive numbers and strings evenly', () => {
    for (const make of [(i: number): Key => i, (i: number): Key => `user-${i}`, (i: number): Key => [i % 7, i]]) {
      const counts = new Array<number>(16).fill(0);
      for (let i = 0; i < 16_000; i++) counts[partitionOf(hashPartitioner(16), make(i))]!++;
      // Binomial with mean 1000 and standard deviation 31: 6 of them.
      for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(186);
    }
  });

  it.each([[{}], [new Date(0)], [new Uint8Array(2)], [Symbol('s')], [() => 1], [['a', {}]], [new Map()]])(
    'refuses %s',
    (value) => {
      expect(() => hashKey('test', value)).toThrow(coded('KEY_TYPE'));
      expect(() => keyIdentity('test', value)).toThrow(coded('KEY_TYPE'));
      expect(() => compareKeys('test', value, value)).toThrow(coded('KEY_TYPE'));
    },
  );

  it('refuses arrays that hold themselves', () => {
    const cyclic: unknown[] = [];
    cyclic.push(cyclic);
    expect(() => hashKey('test', cyclic)).toThrow(coded('KEY_TYPE'));
    expect(() => keyIdentity('test', cyclic)).toThrow(coded('KEY_TYPE'));
    expect(() => compareKeys('test', cyclic, cyclic)).toThrow(coded('KEY_TYPE'));
  });
});

describe('sameness and order of keys', () => {
  it('identities are equal for the same keys only; the same keys have one hash and no order', () => {
    fc.assert(
      fc.property(key, key, (a, b) => {
        const ids = new Set([keyIdentity('test', a), keyIdentity('test', b)]);
        expect(ids.size).toBe(same(a, b) ? 1 : 2);
        if (!same(a, b)) return;
        expect(hashKey('test', a)).toBe(hashKey('test', b));
        expect(compareKeys('test', a, b)).toBe(0);
      }),
      { numRuns: 2000 },
    );
  });

  it('the order is one: antisymmetric and transitive', () => {
    fc.assert(
      fc.property(key, key, key, (a, b, c) => {
        const order = (x: Key, y: Key): number => Math.sign(compareKeys('test', x, y));
        expect(order(a, b)).toBe(-order(b, a) + 0);
        if (order(a, b) <= 0 && order(b, c) <= 0) expect(order(a, c)).toBeLessThanOrEqual(0);
      }),
      { numRuns: 2000 },
    );
  });

  it('is by type, then by value', () => {
    const sorted: readonly Key[] = [
      null,
      false,
      true,
      Number.NEGATIVE_INFINITY,
      -1,
      0,
      1n,
      1.5,
      2n ** 80n,
      Number.POSITIVE_INFINITY,
      Number.NaN,
      '',
      'B',
      'a',
      'aa',
      [],
      [1],
      [1, 'a'],
      [2],
    ];
    const shuffled = [...sorted].reverse();
    expect(shuffled.sort((a, b) => compareKeys('test', a, b))).toEqual(sorted);
    expect(compareKeys('test', null, undefined)).toBe(0);
  });
});

describe('partitioners', () => {
  it('by range: the bounds belong to the partition before them', () => {
    const up = rangePartitioner([10, 20]);
    expect([up.partitions, ...[-1, 10, 11, 20, 21, Number.NaN].map((k) => partitionOf(up, k))]).toEqual([
      3, 0, 0, 1, 1, 2, 2,
    ]);
    const down = rangePartitioner([20, 10], { ascending: false });
    expect([21, 20, 11, 10, 9].map((k) => partitionOf(down, k))).toEqual([0, 0, 1, 1, 2]);
    expect(partitionOf(rangePartitioner([]), 'anything')).toBe(0);
    expect(() => rangePartitioner([2, 1])).toThrow(coded('ARGUMENT'));
    expect(() => rangePartitioner([1, 1])).toThrow(coded('ARGUMENT'));
    for (const n of [0, -1, 1.5, 65_537, Number.NaN]) expect(() => hashPartitioner(n)).toThrow(coded('ARGUMENT'));
  });

  it('by range: as many bounds as come before the key', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: -20, max: 20 })), fc.integer({ min: -25, max: 25 }), (drawn, k) => {
        const bounds = drawn.sort((a, b) => a - b);
        expect(partitionOf(rangePartitioner(bounds), k)).toBe(bounds.filter((bound) => bound < k).length);
      }),
    );
  });

  it('bounds from samples cut what the samples stand for into equal parts', () => {
    const all = (count: number, from: number): { count: number; keys: number[] } => ({
      count,
      keys: Array.from({ length: count }, (_, i) => from + i),
    });
    expect(boundsOf([all(50, 0), all(50, 50)], 4, true)).toEqual([24, 49, 74]);
    expect(boundsOf([all(100, 0)], 4, false)).toEqual([75, 50, 25]);
    // A sampled key stands for ten records here, and for one there.
    const sparse = { count: 100, keys: [100, 101, 102, 103, 104, 105, 106, 107, 108, 109] };
    expect(boundsOf([all(100, 0), sparse], 2, true)).toEqual([99]);
    expect(boundsOf([all(100, 0), sparse], 4, true)).toEqual([49, 99, 104]);
    // One key for nearly all: fewer bounds, each once.
    expect(boundsOf([{ count: 100, keys: [...new Array<number>(99).fill(7), 8] }], 4, true)).toEqual([7, 8]);
    expect(boundsOf([{ count: 0, keys: [] }], 4, true)).toEqual([]);
    expect([sampleSize(8, 4), sampleSize(1, 0), sampleSize(1_000_000, 3)]).toEqual([120, 60, 1e6]);
  });
});

/** Hashes of 'shoal', 42, true, null and ['a', 1]. */
const PINNED = [3_123_439_776, 1_961_526_301, 847_579_505, 4_226_891_818, 665_919_256];
