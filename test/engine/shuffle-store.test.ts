import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { blockOf, LocalShuffleStore, memoryBytes, type ShuffleOutput } from '../../src/engine/shuffle-store.ts';

const coded = (code: string): Error => expect.objectContaining({ code }) as Error;
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

describe('blocks of shuffles', () => {
  let folder: string;
  let store: LocalShuffleStore;
  beforeEach(() => {
    folder = join(mkdtempSync(join(tmpdir(), 'shoal-store-')), 'inner');
    store = new LocalShuffleStore(folder, 3);
  });
  afterEach(() => rmSync(dirname(folder), { recursive: true }));
  const pieces = [[bytes(1, 2), bytes(3)], [], [bytes(4, 5, 6, 7)]];
  const readAll = (output: ShuffleOutput): (number[] | null)[] =>
    pieces.map((_, p) => {
      const block = blockOf(output, p);
      // As they arrive on another worker.
      return block === null ? null : [...store.read(structuredClone(block))];
    });

  it.each([true, false])('give back what was put, in memory: %s', async (inMemory) => {
    const output = await store.put('7', pieces, inMemory);
    expect(readAll(output)).toEqual([[1, 2, 3], null, [4, 5, 6, 7]]);
    expect(memoryBytes(output)).toBe(inMemory ? 7 : 0);
    expect(existsSync(folder)).toBe(!inMemory);
  });

  it('in files: one a put, which only this user may read', async () => {
    const first = await store.put('7', pieces, false);
    const second = await new LocalShuffleStore(folder, 4).put('7', pieces, false);
    expect(first.place).not.toBe(second.place);
    expect(readFileSync(first.place as string)).toEqual(Buffer.from([1, 2, 3, 4, 5, 6, 7]));
    if (process.platform !== 'win32') {
      expect([folder, first.place as string].map((path) => statSync(path).mode & 0o777)).toEqual([0o700, 0o600]);
    }
  });

  it.each([
    ['is gone', (path: string) => rmSync(path), /got no file/],
    ['is cut short', (path: string) => truncateSync(path, 6), /got 3 of them/],
    ['is cut before it', (path: string) => truncateSync(path, 1), /got 0 of them/],
    [
      'has another bit',
      (path: string) => {
        const data = readFileSync(path);
        data[5]! ^= 1;
        writeFileSync(path, data);
      },
      /checksum/,
    ],
  ])('a block whose file %s is lost', async (_, damage, message) => {
    const output = await store.put('7', pieces, false);
    damage(output.place as string);
    const read = (): unknown => store.read(blockOf(output, 2)!);
    expect(read).toThrow(coded('SHUFFLE_BLOCK_LOST'));
    expect(read).toThrow(message);
  });

  it('an error says what to do when files cannot be written, and nothing is left', async () => {
    writeFileSync(join(dirname(folder), 'file'), '');
    const blocked = new LocalShuffleStore(join(dirname(folder), 'file', 'below'), 0);
    await expect(blocked.put('7', pieces, false)).rejects.toEqual(coded('SHUFFLE_SPILL_FAILED'));
    await expect(blocked.put('7', pieces, false)).rejects.toThrow(/7 bytes.*ENOTDIR.*spillFolder/);
    expect(await blocked.put('7', pieces, true)).toMatchObject({ offsets: [0, 3, 3, 7] });
    expect(readdirSync(dirname(folder))).toEqual(['file']);
  });
});
