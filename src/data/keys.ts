/**
 * @file Keys of pairs: which values may be keys, when two are the same, how they hash, and how they are ordered. All of it is defined by value and
 * in integer arithmetic, so that a record goes to the same partition on every engine and platform.
 */
import { EngineError } from '../errors.ts';

/**
 * What a key may be: a string, number, bigint, boolean, null, undefined, or an array of these (tuples). `0` and `-0` are the same key, and `NaN`
 * equals itself; `1`, `1n` and `'1'` are three keys.
 */
export type Key = string | number | bigint | boolean | null | undefined | readonly Key[];

/** A record with a key. */
export type Pair = readonly [key: unknown, value: unknown];

/** Arrays inside arrays that a key may have; deeper ones are taken for cyclic. */
const MAX_DEPTH = 32;

/** The record as a pair. @throws EngineError `PAIR_EXPECTED` */
export function asPair(op: string, record: unknown): Pair {
  if (Array.isArray(record) && record.length === 2) return record as unknown as Pair;
  throw new EngineError(
    'PAIR_EXPECTED',
    `${op}: records must be pairs [key, value], got ${describe(record)}. Use keyBy(fn), or map((record) => [key, value]).`,
  );
}

// ---- sameness ----

/**
 * A value that is the same (as keys of a Map are) for the same keys and for no others: primitive keys are their own, arrays become a text.
 *
 * @throws EngineError `KEY_TYPE`
 */
export function keyIdentity(op: string, key: unknown): unknown {
  // Texts of arrays start with a zero; strings that do get another start, so that they do not meet.
  if (typeof key === 'string') return key.charCodeAt(0) === 0 ? `\0s${key}` : key;
  return Array.isArray(key) ? `\0${textOf(op, key, 1)}` : checkPrimitive(op, key);
}

function textOf(op: string, key: unknown, depth: number): string {
  if (typeof key === 'string') return `s${key.length}:${key}`;
  if (Array.isArray(key)) {
    let text = `a${key.length}:`;
    for (const item of checkDepth(op, key, depth)) text += textOf(op, item, depth + 1);
    return text;
  }
  // A number's shortest text gives it back exactly; `${-0}` is "0".
  return `${typeof checkPrimitive(op, key)}:${key};`;
}

// ---- hash ----

const NUMBER_BITS = new DataView(new ArrayBuffer(8));

/** MurmurHash3_x86_32 with seed 0 over little-endian 32-bit words. */
export class WordHash {
  private state = 0;
  private words = 0;

  /** Takes the next word. */
  add(word: number): void {
    let k = Math.imul(word, 0xcc9e2d51);
    k = (k << 15) | (k >>> 17);
    const mixed = this.state ^ Math.imul(k, 0x1b873593);
    this.state = (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
    this.words++;
  }

  /** The hash of the words so far, 0 to 2^32 - 1. */
  digest(): number {
    let h = this.state ^ (4 * this.words);
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    return (h ^ (h >>> 16)) >>> 0;
  }
}

/**
 * The hash of a key, 0 to 2^32 - 1: MurmurHash3_x86_32 (Appleby, public domain), seed 0, over the key as little-endian words: undefined 0; null
 * 1; false 2; true 3; number 4 and its float64 bits, low word first (-0 as 0, NaN as 0x7ff80000_00000000); bigint 5, 1 if negative else 0, count
 * of words, magnitude, low word first; string 6, length, UTF-16 units, two a word; array 7, length, items.
 *
 * @throws EngineError `KEY_TYPE`
 */
export function hashKey(op: string, key: unknown): number {
  const hash = new WordHash();
  addKey(op, hash, key, 1);
  return hash.digest();
}

function addKey(op: string, hash: WordHash, key: unknown, depth: number): void {
  switch (typeof key) {
    case 'string':
      return addString(hash, key);
    case 'number':
      return addNumber(hash, key);
    case 'bigint':
      return addBigint(hash, key);
    case 'boolean':
      return hash.add(key ? 3 : 2);
    case 'undefined':
      return hash.add(0);
  }
  if (key === null) return hash.add(1);
  if (!Array.isArray(key)) throw keyError(op, key);
  hash.add(7);
  hash.add(key.length);
  for (const item of checkDepth(op, key, depth)) addKey(op, hash, item, depth + 1);
}

function addString(hash: WordHash, text: string): void {
  hash.add(6);
  hash.add(text.length);
  const even = text.length & ~1;
  for (let i = 0; i < even; i += 2) hash.add(text.charCodeAt(i) | (text.charCodeAt(i + 1) << 16));
  if (even < text.length) hash.add(text.charCodeAt(even));
}

function addNumber(hash: WordHash, value: number): void {
  hash.add(4);
  if (Number.isNaN(value)) {
    // A language may keep any of NaN's bit patterns.
    hash.add(0);
    hash.add(0x7ff80000);
  } else {
    NUMBER_BITS.setFloat64(0, value + 0, true); // -0 + 0 is 0
    hash.add(NUMBER_BITS.getInt32(0, true));
    hash.add(NUMBER_BITS.getInt32(4, true));
  }
}

function addBigint(hash: WordHash, value: bigint): void {
  const words: number[] = [];
  for (let rest = value < 0n ? -value : value; rest > 0n; rest >>= 32n) words.push(Number(rest & 0xffffffffn));
  hash.add(5);
  hash.add(value < 0n ? 1 : 0);
  hash.add(words.length);
  for (const word of words) hash.add(word);
}

// ---- order ----

/**
 * The order of keys: negative when `a` comes before `b`, 0 when neither does. undefined and null (equal), false, true, numbers and bigints by value
 * with NaN last, strings by UTF-16 units, arrays item by item.
 *
 * @throws EngineError `KEY_TYPE`
 */
export function compareKeys(op: string, a: unknown, b: unknown, depth = 1): number {
  if (typeof a === 'number' && typeof b === 'number') return compareNumbers(a, b);
  const rank = rankOf(op, a);
  const difference = rank - rankOf(op, b);
  if (difference !== 0) return difference;
  if (rank === ARRAY_RANK) return compareArrays(op, a as readonly unknown[], b as readonly unknown[], depth);
  if (rank === NUMBER_RANK) return compareNumbers(a as number, b as number);
  const [x, y] = [a as string, b as string];
  return x < y ? -1 : x > y ? 1 : 0;
}

const NUMBER_RANK = 2;
const ARRAY_RANK = 4;

function rankOf(op: string, key: unknown): number {
  if (key === null || key === undefined) return 0;
  if (typeof key === 'boolean') return 1;
  if (typeof key === 'number' || typeof key === 'bigint') return NUMBER_RANK;
  if (typeof key === 'string') return 3;
  if (Array.isArray(key)) return ARRAY_RANK;
  throw keyError(op, key);
}

function compareNumbers(a: number | bigint, b: number | bigint): number {
  if (a < b) return -1;
  if (a > b) return 1;
  // Equal, or one of them is NaN.
  return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
}

function compareArrays(op: string, a: readonly unknown[], b: readonly unknown[], depth: number): number {
  checkDepth(op, a, depth);
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const order = compareKeys(op, a[i], b[i], depth + 1);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

// ---- refusals ----

function checkPrimitive(op: string, key: unknown): unknown {
  if ((typeof key === 'object' && key !== null) || typeof key === 'function' || typeof key === 'symbol')
    throw keyError(op, key);
  return key;
}

function checkDepth(op: string, key: readonly unknown[], depth: number): readonly unknown[] {
  if (depth <= MAX_DEPTH) return key;
  throw new EngineError(
    'KEY_TYPE',
    `${op}: arrays in a key must be at most ${MAX_DEPTH} deep, got a deeper one. Use a string made of its parts.`,
  );
}

function keyError(op: string, key: unknown): EngineError {
  return new EngineError(
    'KEY_TYPE',
    `${op}: a key must be a string, number, bigint, boolean, null, undefined or an array of these, got ${describe(key)}. ` +
      'Use the fields that tell keys apart: [record.year, record.name].',
  );
}

function describe(value: unknown): string {
  if (value === null || typeof value !== 'object') return typeof value === 'symbol' ? 'a symbol' : `a ${typeof value}`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return `an object (${Object.prototype.toString.call(value).slice(8, -1)})`;
}
