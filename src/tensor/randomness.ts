/**
 * @file Where operations get their random numbers: an ambient, synchronous key (seed, stream) and a counter of what was drawn. `manualSeed`
 * sets it for the program; the Trainer sets (seed, [iteration, partition]) around each task, so that a task draws the same numbers wherever
 * and however often it runs.
 */
import { ArgumentError } from '../errors.ts';
import { Random, type Stream, words } from '../random.ts';

/** Names a sequence of random numbers. */
export interface RandomKey {
  /** A whole number, 0 to 2^53 - 1. */
  readonly seed: number;
  /** Which sequence of the seed; default 0. */
  readonly stream?: Stream;
}

interface Position extends Required<RandomKey> {
  /** The next Philox block that nobody has drawn from. */
  counter: number;
}

let ambient: Position = { seed: 0, stream: 0, counter: 0 };

function checkSeed(op: string, seed: number): void {
  if (Number.isSafeInteger(seed) && seed >= 0) return;
  throw new ArgumentError(`${op}: the seed must be a whole number, 0 to 2^53 - 1, got ${seed}. Pass such a number.`, {
    seed,
  });
}

/**
 * Starts the random numbers of this thread anew from `seed`: initial weights, `rand`, `randn` and dropout outside a Trainer. Without a call
 * the seed is 0.
 *
 * @throws ArgumentError if the seed is not a whole number, 0 to 2^53 - 1.
 * @example
 * manualSeed(42);
 */
export function manualSeed(seed: number): void {
  checkSeed('manualSeed', seed);
  ambient = { seed, stream: 0, counter: 0 };
}

/**
 * Runs a synchronous function on the random numbers of `key`, from their beginning, and restores the outer ones.
 *
 * @throws ArgumentError if `fn` returns a promise: what it would draw later would come from another key.
 * @example
 * const mask = withRandomKey({ seed: 1, stream: [0, 3] }, () => rand([4]));
 */
export function withRandomKey<T>(key: RandomKey, fn: () => T): T {
  checkSeed('withRandomKey', key.seed);
  const outer = ambient;
  ambient = { seed: key.seed, stream: key.stream ?? 0, counter: 0 };
  try {
    const result = fn();
    if (result instanceof Promise) {
      throw new ArgumentError('withRandomKey: the function must be synchronous, got a promise. Await outside.');
    }
    return result;
  } finally {
    ambient = outer;
  }
}

/** Lets `draw` take numbers from the ambient sequence, which then goes on behind them. */
export function drawRandom<T>(draw: (random: Random) => T): T {
  const position = ambient;
  const random = new Random(position.seed, position.stream, position.counter);
  const result = draw(random);
  position.counter = Math.ceil(random.position / 4);
  return result;
}

/** Where a kernel draws from, as the words that it takes: key, stream and first block. */
export interface DrawnBlocks {
  readonly seed: readonly [low: number, high: number];
  readonly stream: readonly [low: number, high: number];
  readonly counter: readonly [low: number, high: number];
}

/** The next words of the ambient sequence, which then goes on behind them: for kernels that draw `count` words themselves. */
export function drawBlocks(count: number): DrawnBlocks {
  const { seed, stream, counter } = ambient;
  ambient.counter += Math.ceil(count / 4);
  return {
    seed: words(seed),
    stream: typeof stream === 'number' ? words(stream) : stream,
    counter: words(counter),
  };
}
