/** @file The worker's side of the idx source: reads the bytes of one partition out of each file. */

import { fileSize, readFileRange } from '#platform';
import { decodeIdx, type IdxHeader, MAX_IDX_HEADER_BYTES, parseIdxHeader } from '../codec/idx.ts';
import { FormatError } from '../errors.ts';
import type { Column, Columns } from './columns.ts';
import { type IdxSource, partitionStart } from './plan.ts';

/** The records of one partition, read from the files. @throws FormatError, or ShoalError `FILE_NOT_FOUND` | `FILE_READ` (rejects) */
export async function openIdx(source: IdxSource, partition: number): Promise<Columns> {
  const headers = new Map<string, IdxHeader>();
  for (const [field, path] of Object.entries(source.files)) headers.set(field, await readHeader(path));
  const count = Math.min(commonCount(source, headers), source.limit ?? Number.POSITIVE_INFINITY);
  const first = partitionStart(count, source.partitions, partition);
  const end = partitionStart(count, source.partitions, partition + 1);
  const fields: Record<string, Column> = {};
  for (const [field, header] of headers) {
    const { dtype, shape, headerBytes, recordBytes } = header;
    const bytes = await readFileRange(
      source.files[field]!,
      headerBytes + first * recordBytes,
      (end - first) * recordBytes,
    );
    fields[field] = { dtype, shape, data: decodeIdx(header, bytes) };
  }
  return { count: end - first, fields };
}

async function readHeader(path: string): Promise<IdxHeader> {
  const bytes = await fileSize(path);
  return parseIdxHeader(await readFileRange(path, 0, Math.min(bytes, MAX_IDX_HEADER_BYTES)), bytes, path);
}

function commonCount(source: IdxSource, headers: ReadonlyMap<string, IdxHeader>): number {
  const counts = [...headers].map(([field, { count }]) => ({ file: source.files[field], count }));
  const count = counts[0]!.count;
  if (counts.some((other) => other.count !== count)) {
    throw new FormatError(
      `idx: all files must have equally many records, got ${counts.map((c) => `${c.count} in ${c.file}`).join(', ')}. Check the paths.`,
      { rule: 'count', counts },
    );
  }
  return count;
}
