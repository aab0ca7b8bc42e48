import { describe, expect, it } from 'vitest';
import { encodeIdx } from '../../src/codec/idx.ts';
import * as data from '../../src/data/index.ts';
import { inline } from '../../src/engine/inline.ts';
import { datasetContract } from './contract.ts';

datasetContract('the inline engine', { data, encodeIdx, engine: (options) => inline(options) });

describe('without an engine', () => {
  it('actions run inline', async () => {
    expect(
      await data
        .parallelize([1, 2, 3])
        .map((x) => x + 1)
        .collect(),
    ).toEqual([2, 3, 4]);
  });
});
