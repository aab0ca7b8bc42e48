/** @file Masks by the counter-based random numbers of src/random.ts. */
import { defineKernel, flag, of, type Round, size } from './define.ts';

const multiplier0 = 0xd2511f53n;
const multiplier1 = 0xcd9e8d57n;
const weyl0 = 0x9e3779b9n;
const weyl1 = 0xbb67ae85n;
const low32 = 0xffffffffn;

/** The four words of a Philox4x32-10 block, by whole numbers of any size: the definition, not the fast way. */
function blockOf(counter: bigint, stream: readonly [bigint, bigint], seed: readonly [bigint, bigint]): bigint[] {
  let [key0, key1] = seed;
  let words = [counter & low32, (counter >> 32n) & low32, ...stream];
  for (let round = 0; round < 10; round++) {
    const [product0, product1] = [words[0]! * multiplier0, words[2]! * multiplier1];
    words = [
      (product1 >> 32n) ^ words[1]! ^ key0,
      product1 & low32,
      (product0 >> 32n) ^ words[3]! ^ key1,
      product0 & low32,
    ];
    key0 = (key0 + weyl0) & low32;
    key1 = (key1 + weyl1) & low32;
  }
  return words;
}

const word = (value: number): bigint => BigInt(value >>> 0);

/**
 * mask[i] = 0 with probability threshold 2^-24, else 1: word i of the sequence (seed, stream) from block `counter` on, shifted right by 8, is
 * below the threshold or not. The words are those of `Random` in src/random.ts, whose `float32() < p` is the same question for
 * threshold = ceil(p 2^24).
 */
export const dropout_mask_u8 = defineKernel({
  name: 'dropout_mask_u8',
  summary: 'mask[i] = (word i of the sequence >> 8) < threshold ? 0 : 1',
  parameters: [
    { name: 'mask', kind: 'output', type: 'u8', length: of('length'), doc: '0 or 1' },
    size('length', 'number of elements'),
    flag('threshold', 'probability of 0 in units of 2^-24: 0 to 2^24'),
    flag('seed0', 'low word of the seed'),
    flag('seed1', 'high word of the seed'),
    flag('stream0', 'low word of the stream'),
    flag('stream1', 'high word of the stream'),
    flag('counter0', 'low word of the first block'),
    flag('counter1', 'high word of the first block'),
  ],
  rules: {
    order: 'Exact. Philox4x32-10: the key is the seed, the counter is (block, stream); four words a block.',
    aliasing: 'none.',
    alignment: 'any.',
    edges: 'length 0 touches nothing. Blocks count to 2^64.',
  },
  reference: (
    _round: Round,
    mask: Uint8Array,
    length: number,
    threshold: number,
    seed0: number,
    seed1: number,
    stream0: number,
    stream1: number,
    counter0: number,
    counter1: number,
  ) => {
    const first = (word(counter1) << 32n) | word(counter0);
    const [stream, seed] = [[word(stream0), word(stream1)] as const, [word(seed0), word(seed1)] as const];
    for (let i = 0; i < length; i += 4) {
      const words = blockOf(first + BigInt(i / 4), stream, seed);
      for (let j = 0; j < Math.min(4, length - i); j++) mask[i + j] = Number(words[j]! >> 8n) < threshold ? 0 : 1;
    }
  },
});
