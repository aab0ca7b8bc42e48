import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { permutation, philox, philox4x32, Random } from '../src/random.ts';

function block(key: [number, number], counter: [number, number, number, number]): string {
  const out = new Uint32Array(4);
  philox4x32(key, counter, out);
  return [...out].map((word) => word.toString(16).padStart(8, '0')).join(' ');
}

describe('Philox4x32-10', () => {
  it('gives the known answers of Random123', () => {
    expect(block([0, 0], [0, 0, 0, 0])).toBe('6627e8d5 e169c58d bc57ac4c 9b00dbd8');
    const ones = 0xffffffff;
    expect(block([ones, ones], [ones, ones, ones, ones])).toBe('408f276d 41c83b0e a20bc7c6 6d5451fd');
    expect(block([0xa4093822, 0x299f31d0], [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344])).toBe(
      'd16cfe09 94fdcceb 5001e420 24126ea1',
    );
  });

  it('equals a plain BigInt version on any key and counter', () => {
    const mask = 0xffffffffn;
    const word = fc.integer({ min: 0, max: 0xffffffff });
    fc.assert(
      fc.property(fc.tuple(word, word), fc.tuple(word, word, word, word), (key, counter) => {
        let [k0, k1] = key.map(BigInt) as [bigint, bigint];
        let [a, b, c, d] = counter.map(BigInt) as [bigint, bigint, bigint, bigint];
        for (let round = 0; round < 10; round++) {
          const p = 0xd2511f53n * a;
          const q = 0xcd9e8d57n * c;
          [a, b, c, d] = [(q >> 32n) ^ b ^ k0, q & mask, (p >> 32n) ^ d ^ k1, p & mask];
          k0 = (k0 + 0x9e3779b9n) & mask;
          k1 = (k1 + 0xbb67ae85n) & mask;
        }
        expect(block(key, counter)).toBe([a, b, c, d].map((value) => value.toString(16).padStart(8, '0')).join(' '));
      }),
    );
  });

  it('is keyed by seed, stream and counter, with all their bits', () => {
    const seen = new Set<string>();
    const values = [0, 1, 2 ** 31, 2 ** 32, 2 ** 52, 2 ** 53 - 1];
    for (const seed of values)
      for (const stream of values) for (const counter of values) seen.add(philox(seed, stream, counter).join());
    expect(seen.size).toBe(values.length ** 3);
    expect(philox(7, [3, 5], 9)).toEqual(philox(7, 5 * 2 ** 32 + 3, 9));
  });
});

describe('Random', () => {
  it('reads the blocks word by word, from any counter', () => {
    const random = new Random(11, 13);
    const words = Array.from({ length: 10 }, () => random.uint32());
    expect(words).toEqual([...philox(11, 13, 0), ...philox(11, 13, 1), ...philox(11, 13, 2)].slice(0, 10));
    expect(random.position).toBe(10);
    expect(new Random(11, 13, 2).uint32()).toBe(words[8]);
    expect(new Random(11, 13, 2).position).toBe(8);
  });

  it('draws uniform numbers that are exact, in range and even', () => {
    const random = new Random(1);
    const n = 100_000;
    let sum32 = 0;
    let sum64 = 0;
    for (let i = 0; i < n; i++) {
      const single = random.float32();
      const double = random.float64();
      if (!(single >= 0 && single < 1 && Math.fround(single) === single && double >= 0 && double < 1))
        expect([single, double]).toBe('in range');
      sum32 += single;
      sum64 += double;
    }
    // Standard error of a mean of n uniforms: sqrt(1/12/n) = 0.0009; 5 of them.
    expect(Math.abs(sum32 / n - 0.5)).toBeLessThan(0.0046);
    expect(Math.abs(sum64 / n - 0.5)).toBeLessThan(0.0046);
  });

  it('draws normals with the moments and the distribution of a normal', () => {
    const random = new Random(2);
    const n = 200_000;
    const moments = [0, 0, 0, 0];
    const within = [0, 0, 0];
    for (let i = 0; i < n; i++) {
      const z = random.normal();
      for (const power of moments.keys()) moments[power]! += z ** (power + 1) / n;
      for (const sigma of within.keys()) within[sigma]! += Math.abs(z) < sigma + 1 ? 1 / n : 0;
    }
    // Five standard errors: sqrt(var(z^k) / n) with variances 1, 2, 15, 96.
    const bounds = [1, 2, 15, 96].map((variance) => 5 * Math.sqrt(variance / n));
    for (const [power, expected] of [0, 1, 0, 3].entries()) {
      expect(Math.abs(moments[power]! - expected)).toBeLessThan(bounds[power]!);
    }
    for (const [sigma, expected] of [0.6827, 0.9545, 0.9973].entries()) {
      expect(Math.abs(within[sigma]! - expected)).toBeLessThan(0.0053);
    }
  });

  it('computes Box-Muller to double accuracy (checked against Math, which the library must not use)', () => {
    for (let stream = 0; stream < 2000; stream++) {
      const uniform = new Random(3, stream);
      const normal = new Random(3, stream);
      const radius = Math.sqrt(-2 * Math.log(1 - uniform.float64()));
      const angle = 2 * Math.PI * uniform.float64();
      // A few roundings of each factor: 8 * 2^-53 of the radius, which bounds both coordinates.
      expect(Math.abs(normal.normal() - radius * Math.cos(angle))).toBeLessThan(radius * 9e-16 + 1e-300);
      expect(Math.abs(normal.normal() - radius * Math.sin(angle))).toBeLessThan(radius * 9e-16 + 1e-300);
    }
  });

  it('has fixed answers (any change of these breaks every recorded run)', () => {
    const random = new Random(42, [1, 2]);
    expect([random.uint32(), random.float32(), random.float64(), random.below(10)]).toMatchInlineSnapshot(`
      [
        4090560323,
        0.8987151980400085,
        0.03398087543934469,
        2,
      ]
    `);
    expect([random.normal(), random.normal()]).toMatchInlineSnapshot(`
      [
        1.415812781668741,
        0.511857389359583,
      ]
    `);
  });

  it('draws whole numbers below n without bias', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 32 - 1 }), fc.nat(), (n, seed) => {
        const value = new Random(seed).below(n);
        expect(value >= 0 && value < n && Number.isInteger(value)).toBe(true);
      }),
    );
    const n = 3 * 2 ** 30; // A quarter of the words must be refused; a plain remainder would give the lowest third twice as often.
    const random = new Random(4);
    let low = 0;
    for (let i = 0; i < 30_000; i++) low += random.below(n) < 2 ** 30 ? 1 : 0;
    expect(Math.abs(low / 30_000 - 1 / 3)).toBeLessThan(5 * Math.sqrt(2 / 9 / 30_000));
  });
});

describe('permutation', () => {
  it('holds each index once and depends on seed and stream', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.integer({ min: 0, max: 300 }), (seed, stream, n) => {
        const order = permutation(seed, stream, n);
        expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, index) => index));
        expect(permutation(seed, stream, n)).toEqual(order);
        if (n > 20) expect(permutation(seed, stream + 1, n)).not.toEqual(order);
      }),
    );
  });

  it('gives all 24 orders of 4 equally often', () => {
    const counts = new Map<string, number>();
    const n = 24_000;
    for (let stream = 0; stream < n; stream++) {
      const key = permutation(5, stream, 4).join();
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    expect(counts.size).toBe(24);
    const chiSquare = [...counts.values()].reduce((sum, count) => sum + (count - n / 24) ** 2 / (n / 24), 0);
    expect(chiSquare).toBeLessThan(58); // 23 degrees of freedom: exceeded by chance once in 15,000.
  });
});
