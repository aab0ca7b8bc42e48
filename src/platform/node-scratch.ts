/**
 * @file Scratch files for Node, Deno and Bun: written without ceremony, read synchronously, and gone when the process ends. For bytes that can be
 * made again.
 */
import { randomUUID } from 'node:crypto';
import { closeSync, openSync, readSync, rmSync } from 'node:fs';
import { mkdir, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileError } from './node-files.ts';

/** Scratch folders that this process named. */
const folders = new Set<string>();

/**
 * The name of a folder for scratch files inside `parent` (the system's temporary folder if absent), which nobody can guess. It is removed with all
 * that is in it when this process exits; making it is left to {@link writeScratch}.
 */
export function scratchFolder(parent: string = tmpdir()): string {
  if (folders.size === 0) process.once('exit', removeScratchFolders);
  const folder = join(resolve(parent), `shoal-${process.pid}-${randomUUID()}`);
  folders.add(folder);
  return folder;
}

function removeScratchFolders(): void {
  for (const folder of folders) {
    try {
      rmSync(folder, { recursive: true, force: true, maxRetries: 2 });
    } catch {
      // The process ends; there is nobody to tell.
    }
  }
}

/** Writes a new file, and the folders above it, which only this user may read. What was written of a file that fails is removed. */
export async function writeScratch(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const file = await open(path, 'wx', 0o600);
    try {
      let done = 0;
      while (done < bytes.length) done += (await file.write(bytes, done)).bytesWritten;
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw fileError('FILE_WRITE', 'write', path, cause);
  }
}

/** `length` bytes of a file from byte `start`; fewer if the file ends before. */
export function readRangeSync(path: string, start: number, length: number): Uint8Array {
  try {
    const file = openSync(path, 'r');
    try {
      const bytes = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const read = readSync(file, bytes, done, length - done, start + done);
        if (read === 0) return bytes.subarray(0, done);
        done += read;
      }
      return bytes;
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    throw fileError('FILE_READ', 'read', path, cause);
  }
}
