import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readNpy, readSafetensors, sha256File, writeNpy, writeSafetensors } from '../../src/io/index.ts';
import {
  draftFolder,
  listFolder,
  readFileRange,
  removePath,
  sha256,
  toPath,
  writeFileAtomic,
  writeFolderAtomic,
  writeInto,
} from '../../src/platform/node-files.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'shoal ïo '));
});
afterAll(() => rmSync(folder, { recursive: true }));
const coded = (code: string): unknown => expect.objectContaining({ code });
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('files of named arrays', () => {
  const shared = new Float32Array(new SharedArrayBuffer(12));
  shared.set([1, 2, 3]);
  const arrays = new Map([
    ['w', { dtype: 'float32' as const, shape: [3], data: shared }],
    ['n', { dtype: 'int32' as const, shape: [], data: Int32Array.of(-7) }],
  ]);

  it('come back from a path with spaces, from a URL, whole or by name', async () => {
    const path = join(folder, 'new folder', 'a model.safetensors');
    await writeSafetensors(path, arrays, { step: '3' });
    const read = await readSafetensors(pathToFileURL(path));
    expect([...read.arrays]).toEqual([
      ['w', { dtype: 'float32', shape: [3], data: Float32Array.of(1, 2, 3) }],
      ['n', { dtype: 'int32', shape: [], data: Int32Array.of(-7) }],
    ]);
    expect([...read.metadata]).toEqual([['step', '3']]);
    expect([...(await readSafetensors(path, ['n'])).arrays.keys()]).toEqual(['n']);
  });

  it('that are absent, cut or empty fail with codes', async () => {
    const path = join(folder, 'cut.safetensors');
    await writeSafetensors(path, arrays);
    writeFileSync(path, readFileSync(path).subarray(0, -1));
    await expect(readSafetensors(path)).rejects.toEqual(coded('FORMAT'));
    writeFileSync(path, '');
    await expect(readSafetensors(path)).rejects.toEqual(coded('FORMAT'));
    await expect(readSafetensors(join(folder, 'absent'))).rejects.toEqual(coded('FILE_NOT_FOUND'));
    await expect(readSafetensors(folder)).rejects.toEqual(coded('FILE_READ'));
  });
});

it('a numpy array comes back', async () => {
  const array = { dtype: 'float64' as const, shape: [2, 1], data: Float64Array.of(1, 2) };
  await writeNpy(join(folder, 'a.npy'), array);
  expect(await readNpy(join(folder, 'a.npy'))).toEqual(array);
});

describe('atomic writing', () => {
  it('replaces a file, leaves nothing else behind', async () => {
    const path = join(folder, 'files', 'a');
    await writeFileAtomic(path, bytes('old'));
    await writeFileAtomic(path, [bytes('ne'), bytes('w')]);
    expect(readFileSync(path, 'utf8')).toBe('new');
    expect(readdirSync(join(folder, 'files'))).toEqual(['a']);
  });

  it('that fails leaves the old file', async () => {
    const path = join(folder, 'kept', 'a');
    await writeFileAtomic(path, bytes('old'));
    await expect(writeFileAtomic(path, [bytes('x'), null as never])).rejects.toEqual(coded('FILE_WRITE'));
    expect([readFileSync(path, 'utf8'), readdirSync(join(folder, 'kept'))]).toEqual(['old', ['a']]);
    await expect(writeFileAtomic(join(path, 'below a file'), bytes('x'))).rejects.toEqual(coded('FILE_WRITE'));
  });

  it.runIf(existsSync('/dev/full'))('says that the disk is full', async () => {
    const path = join(folder, 'full');
    symlinkSync('/dev/full', path);
    await expect(writeInto(path, bytes('x'))).rejects.toThrow(/ENOSPC.*Free some space/);
  });

  it('of a folder: all files or none, in place of an old one', async () => {
    const path = join(folder, 'steps', 'step-1');
    await writeFolderAtomic(path, new Map([['a', bytes('1')]]));
    await writeFolderAtomic(path, new Map([['b', [bytes('2'), bytes('3')]]]));
    expect([readdirSync(path), readFileSync(join(path, 'b'), 'utf8')]).toEqual([['b'], '23']);
    await expect(writeFolderAtomic(path, new Map([['c/d', bytes('1')]]))).rejects.toEqual(coded('FILE_WRITE'));
    expect(await listFolder(join(folder, 'steps'))).toEqual(['step-1']);
    const draft = await draftFolder(path);
    await writeInto(join(draft.path, 'z'), bytes('z'));
    expect(readdirSync(path)).toEqual(['b']);
    await draft.commit();
    expect(readdirSync(path)).toEqual(['z']);
    const dropped = await draftFolder(path);
    await dropped.discard();
    expect(await listFolder(join(folder, 'steps'))).toEqual(['step-1']);
    await removePath(path);
    expect(await listFolder(path)).toEqual([]);
  });
});

describe('small things', () => {
  it('ranges, paths, hashes', async () => {
    const path = join(folder, 'range');
    writeFileSync(path, 'abcdef');
    expect(new TextDecoder().decode(await readFileRange(path, 2, 3))).toBe('cde');
    expect((await readFileRange(path, 6, 0)).length).toBe(0);
    await expect(readFileRange(path, 4, 3)).rejects.toEqual(coded('FILE_READ'));
    expect(toPath(pathToFileURL(path))).toBe(path);
    expect(() => toPath('s3://bucket/x')).toThrow(coded('ARGUMENT') as Error);
    const large = join(folder, 'large');
    writeFileSync(large, new Uint8Array(5_000_000).fill(7));
    expect(await sha256File(large)).toBe(sha256().update(new Uint8Array(5_000_000).fill(7)).digest());
    expect(sha256().update(bytes('ab')).update(bytes('c')).digest()).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
  });
});
