/**
 * @file Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11). A
 * number is a pure function of (seed, stream, counter), so any thread can draw any part of any sequence, in any order, with the same bits.
 *
 * Only operations that IEEE 754 and ECMAScript define exactly are used (integer arithmetic, + - * / and Math.sqrt), never Math.log or
 * Math.cos, whose results differ between engines.
 */

/**
 * Names one sequence of a seed: a whole number below 2^53, or two uint32 words `[low, high]`, such as `[partition, iteration]`. Sequences of
 * different streams are independent.
 */
export type Stream = number | readonly [low: number, high: number];

const multiplier0 = 0xd2511f53;
const multiplier1 = 0xcd9e8d57;
const weyl0 = 0x9e3779b9;
const weyl1 = 0xbb67ae85;
const rounds = 10;
const two32 = 4_294_967_296;
const twoToMinus24 = 1 / 16_777_216;
const twoToMinus53 = 1 / 9_007_199_254_740_992;

/** The upper 32 bits of the 64-bit product of two uint32. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  // Each product is below 2^32 and each sum below 2^34: exact in doubles.
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const upper = aLow * bHigh + (middle % 65_536);
  return (aHigh * bHigh + Math.floor(middle / 65_536) + Math.floor(upper / 65_536)) >>> 0;
}

/**
 * The Philox4x32-10 block function: writes the four uint32 of the block with this key and counter into `out`.
 *
 * @see Random123's `kat_vectors` for the known answers that the tests check.
 */
export function philox4x32(
  key: readonly [number, number],
  counter: readonly [number, number, number, number],
  out: Uint32Array,
): void {
  let [key0, key1] = key;
  let [c0, c1, c2, c3] = counter;
  for (let round = 0; round < rounds; round++) {
    const high0 = multiplyHigh(multiplier0, c0);
    const low0 = Math.imul(multiplier0, c0);
    const high1 = multiplyHigh(multiplier1, c2);
    const low1 = Math.imul(multiplier1, c2);
    c0 = (high1 ^ c1 ^ key0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ key1) >>> 0;
    c3 = low0 >>> 0;
    key0 = (key0 + weyl0) >>> 0;
    key1 = (key1 + weyl1) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** The two uint32 words of a whole number below 2^53 (of a negative one: of its two's complement). */
export function words(value: number): [low: number, high: number] {
  return [value >>> 0, Math.floor(value / two32) >>> 0];
}

/**
 * Four uint32 that belong to (seed, stream, counter): the key is the seed, the lower half of the block's counter is `counter`, the upper half
 * is the stream.
 *
 * Units/ranges: `seed` and `counter` are whole numbers, 0 to 2^53 - 1.
 *
 * @example
 * const [a, b, c, d] = philox(42, 0, 0);
 */
export function philox(seed: number, stream: Stream, counter: number): Uint32Array {
  const out = new Uint32Array(4);
  const [streamLow, streamHigh] = typeof stream === 'number' ? words(stream) : stream;
  philox4x32(words(seed), [...words(counter), streamLow >>> 0, streamHigh >>> 0], out);
  return out;
}

/**
 * The sequence of (seed, stream), read word by word. It starts at block `counter` (4 words a block) and moves on with each draw; `position`
 * tells how far it is.
 *
 * @example
 * const [partition, epoch] = [3, 0];
 * const random = new Random(42, [partition, epoch]);
 * const u = random.float32();
 */
export class Random {
  readonly #seed: readonly [number, number];
  readonly #stream: readonly [number, number];
  readonly #block = new Uint32Array(4);
  #counter: number;
  #next = 4;
  #spareNormal = Number.NaN;

  constructor(seed: number, stream: Stream = 0, counter = 0) {
    this.#seed = words(seed);
    const [low, high] = typeof stream === 'number' ? words(stream) : stream;
    this.#stream = [low >>> 0, high >>> 0];
    this.#counter = counter;
  }

  /** The number of words drawn since block 0. A kept second normal counts as drawn. */
  get position(): number {
    return this.#counter * 4 - (4 - this.#next);
  }

  /** A whole number, 0 to 2^32 - 1, all equally likely. */
  uint32(): number {
    if (this.#next === 4) {
      const [low, high] = words(this.#counter);
      philox4x32(this.#seed, [low, high, this.#stream[0], this.#stream[1]], this.#block);
      this.#counter += 1;
      this.#next = 0;
    }
    return this.#block[this.#next++]!;
  }

  /** A multiple of 2^-24 in [0, 1): a float32 without rounding. Draws one word. */
  float32(): number {
    return (this.uint32() >>> 8) * twoToMinus24;
  }

  /** A multiple of 2^-53 in [0, 1). Draws two words. */
  float64(): number {
    const high = this.uint32() >>> 5;
    const low = this.uint32() >>> 6;
    return (high * 67_108_864 + low) * twoToMinus53;
  }

  /**
   * A number of the standard normal distribution, as a double, |z| <= 8.6. Box-Muller: z = sqrt(-2 ln u) * (cos, sin)(2 pi v), with own
   * logarithm, sine and cosine. Two normals come from four words; the second is kept for the next call.
   */
  normal(): number {
    const spare = this.#spareNormal;
    if (!Number.isNaN(spare)) {
      this.#spareNormal = Number.NaN;
      return spare;
    }
    const u = 1 - this.float64();
    const radius = Math.sqrt(-2 * logarithm(u));
    const [cosine, sine] = cosineAndSine(this.float64());
    this.#spareNormal = radius * sine;
    return radius * cosine;
  }

  /** A whole number, 0 to n - 1, all exactly equally likely. `n` is a whole number, 1 to 2^32. */
  below(n: number): number {
    // Words at or above the largest multiple of n are drawn again: each remainder is left with the same number of words.
    const limit = two32 - (two32 % n);
    let word = this.uint32();
    while (word >= limit) word = this.uint32();
    return word % n;
  }
}

/**
 * A random order of 0 to n - 1 that depends on (seed, stream, n) only: Fisher-Yates with unbiased draws, from the last element down.
 *
 * @example
 * const [partition, epoch] = [3, 0];
 * const order = permutation(42, [partition, epoch], 100);
 */
export function permutation(seed: number, stream: Stream, n: number): Int32Array {
  const random = new Random(seed, stream);
  const order = Int32Array.from({ length: n }, (_, index) => index);
  for (let last = n - 1; last > 0; last--) {
    const other = random.below(last + 1);
    const kept = order[last]!;
    order[last] = order[other]!;
    order[other] = kept;
  }
  return order;
}

/** [k, 2^k]. */
const powersOfTwo: readonly (readonly [number, number])[] = [
  [32, two32],
  [16, 65_536],
  [8, 256],
  [4, 16],
  [2, 4],
  [1, 2],
];

/** ln(u) for a double u in [2^-53, 1], within 3 ulp. ln(2^e m) = e ln 2 + 2 artanh((m - 1) / (m + 1)), m in [1/sqrt 2, sqrt 2). */
function logarithm(u: number): number {
  let exponent = 0;
  let m = u;
  for (const [step, power] of powersOfTwo) {
    if (m * power <= 1) {
      m *= power;
      exponent -= step;
    }
  }
  if (m < Math.SQRT1_2) {
    m *= 2;
    exponent -= 1;
  }
  const s = (m - 1) / (m + 1);
  const square = s * s;
  // artanh(s) / s = sum of square^k / (2k + 1); square <= 0.0295, so 12 terms leave less than 1e-19.
  let sum = 0;
  for (let k = 12; k >= 1; k--) sum = (sum + 1 / (2 * k + 1)) * square;
  return exponent * Math.LN2 + 2 * (s + s * sum);
}

/** [cos, sin] of 2 pi v for v in [0, 1), within 2 ulp of 1: reduced to a quarter turn around the nearest axis, then Taylor's series. */
function cosineAndSine(v: number): [number, number] {
  const quarters = Math.floor(4 * v + 0.5);
  const angle = (4 * v - quarters) * (Math.PI / 2);
  const square = angle * angle;
  let sine = 0;
  let cosine = 0;
  for (let k = 9; k >= 1; k--) {
    sine = -((1 + sine) * square) / (2 * k * (2 * k + 1));
    cosine = -((1 + cosine) * square) / (2 * k * (2 * k - 1));
  }
  sine = angle * (1 + sine);
  cosine = 1 + cosine;
  if (quarters === 1) return [-sine, cosine];
  if (quarters === 2) return [-cosine, -sine];
  if (quarters === 3) return [sine, -cosine];
  return [cosine, sine];
}
