/** @file `shoal/io`: reading and writing files of named arrays. Tensors are made of them by their own rooms. */

import { fileSha256, fileSize, readFile, readFileRange, toPath, writeFileAtomic } from '#platform';
import { decodeNpy, encodeNpy } from '../codec/npy.ts';
import {
  decodeEntry,
  encodeSafetensors,
  headerLength,
  type NamedArray,
  parseSafetensorsHeader,
} from '../codec/safetensors.ts';

export type { NamedArray } from '../codec/safetensors.ts';

/** The contents of a safetensors file. */
export interface NamedArrays {
  /** By name, in the order of the file. */
  readonly arrays: Map<string, NamedArray>;
  /** Strings that the writer left, such as `format: 'pt'`. */
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Reads a safetensors file: PyTorch's, Hugging Face's, or one of {@link writeSafetensors}. Half precision becomes float32; integers of other sizes
 * become int32, if they fit. Reads the header first and one tensor after the other, so memory holds the arrays and not the file beside them.
 *
 * @param names only these arrays; absent: all.
 * @throws FormatError (rejects) with field `rule`; ShoalError `FILE_NOT_FOUND` | `FILE_READ`
 * @example
 * await writeSafetensors('model.safetensors', [['bias', { dtype: 'float32', shape: [2], data: Float32Array.of(1, 2) }]]);
 * const { arrays } = await readSafetensors('model.safetensors');
 * arrays.get('bias'); // => { dtype: 'float32', shape: [2], data: [1, 2] }
 */
export async function readSafetensors(file: string | URL, names?: readonly string[]): Promise<NamedArrays> {
  const path = toPath(file);
  const fileBytes = await fileSize(path);
  const start = await readFileRange(path, 0, Math.min(8, fileBytes));
  const head = await readFileRange(path, 0, 8 + headerLength(start, fileBytes));
  const { entries, metadata, dataStart } = parseSafetensorsHeader(head, fileBytes);
  const arrays = new Map<string, NamedArray>();
  for (const [name, entry] of entries) {
    if (names !== undefined && !names.includes(name)) continue;
    const bytes = await readFileRange(path, dataStart + entry.begin, entry.end - entry.begin);
    arrays.set(name, decodeEntry(name, entry, bytes));
  }
  return { arrays, metadata };
}

/**
 * Writes named arrays as a safetensors file, atomically: the file is there with all its bytes on the disk, or as it was before.
 *
 * @param arrays in the order that the header shall have.
 * @param metadata strings to leave in the file; `{ format: 'pt' }` if absent.
 * @throws FormatError (rejects) for arrays that cannot be written; ShoalError `FILE_WRITE`
 * @example
 * const weight = { dtype: 'float32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) } as const;
 * await writeSafetensors('weight.safetensors', new Map([['weight', weight]]));
 */
export async function writeSafetensors(
  file: string | URL,
  arrays: Iterable<readonly [string, NamedArray]>,
  metadata?: Readonly<Record<string, string>>,
): Promise<void> {
  await writeFileAtomic(toPath(file), encodeSafetensors(arrays, metadata));
}

/**
 * Reads an array that `numpy.save` wrote: plain numbers in C order. Types are converted as by {@link readSafetensors}.
 *
 * @throws FormatError (rejects) with field `rule`; ShoalError `FILE_NOT_FOUND` | `FILE_READ`
 * @example
 * await writeNpy('x.npy', { dtype: 'int32', shape: [3], data: Int32Array.of(1, 2, 3) });
 * await readNpy('x.npy'); // => { dtype: 'int32', shape: [3], data: [1, 2, 3] }
 */
export async function readNpy(file: string | URL): Promise<NamedArray> {
  return decodeNpy(await readFile(toPath(file)));
}

/**
 * Writes an array for `numpy.load`, atomically. @throws FormatError (rejects); ShoalError `FILE_WRITE`
 *
 * @example
 * await writeNpy('x.npy', { dtype: 'int32', shape: [3], data: Int32Array.of(1, 2, 3) });
 */
export async function writeNpy(file: string | URL, array: NamedArray): Promise<void> {
  await writeFileAtomic(toPath(file), encodeNpy(array));
}

/**
 * The SHA-256 of a file's bytes in hexadecimal, to say which data a run used.
 *
 * @throws ShoalError `FILE_NOT_FOUND` | `FILE_READ` (rejects)
 * @example
 * (await sha256File('train-images-idx3-ubyte')).length; // => 64
 */
export async function sha256File(file: string | URL): Promise<string> {
  return fileSha256(toPath(file));
}
