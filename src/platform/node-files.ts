/**
 * @file Files and hashes for Node, Deno and Bun. Reading gives bytes; writing is atomic: a file or folder is there whole, with its bytes
 * on the disk, or not at all. Every failure is a ShoalError `FILE_NOT_FOUND`, `FILE_READ` or `FILE_WRITE` with the path and the system's code.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ArgumentError, ShoalError } from '../errors.ts';

/** The absolute path of a path (relative to the working directory) or a `file:` URL. */
export function toPath(pathOrUrl: string | URL): string {
  const text = String(pathOrUrl);
  if (text.startsWith('file:')) return fileURLToPath(text);
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(text)) {
    throw new ArgumentError(`file: a path or a file: URL is needed, got ${text}. Download it first.`, { path: text });
  }
  return resolve(text);
}

/** A path made of a folder and names inside it. */
export function joinPath(folder: string, ...names: string[]): string {
  return join(folder, ...names);
}

/** Length of a file in bytes. */
export async function fileSize(path: string): Promise<number> {
  return reading(path, async () => (await stat(path)).size);
}

/** All bytes of a file. */
export async function readFile(path: string): Promise<Uint8Array> {
  return readFileRange(path, 0, await fileSize(path));
}

/** `length` bytes of a file from byte `start`. Fewer in the file is an error. */
export async function readFileRange(path: string, start: number, length: number): Promise<Uint8Array> {
  return reading(path, async () => {
    const file = await open(path, 'r');
    try {
      const bytes = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const { bytesRead } = await file.read(bytes, done, Math.min(length - done, MAX_READ), start + done);
        if (bytesRead === 0) {
          throw new ShoalError(
            'FILE_READ',
            `file: ${length} bytes from byte ${start} are needed, got ${done} of ${path}. The file is shorter than its format says.`,
            { path, start, length, available: done },
          );
        }
        done += bytesRead;
      }
      return bytes;
    } finally {
      await file.close();
    }
  });
}

/** One read call takes at most this much: the system's limit is 2 GiB. */
const MAX_READ = 2 ** 30;

/** Names in a folder, sorted; an absent folder has none. */
export async function listFolder(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).sort();
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') return [];
    throw fileError('FILE_READ', 'read', path, cause);
  }
}

/** Removes a file, or a folder with all that is in it. Absent is fine. */
export async function removePath(path: string): Promise<void> {
  await writing(path, () => rm(path, { recursive: true, force: true }));
}

/**
 * Writes a file atomically: a temporary file beside it, fsync, rename, fsync of the folder. Folders above it are made.
 * @param chunks written one after the other.
 */
export async function writeFileAtomic(path: string, chunks: Uint8Array | readonly Uint8Array[]): Promise<void> {
  await writing(path, async () => {
    const folder = dirname(path);
    await mkdir(folder, { recursive: true });
    const temporary = temporaryName(path);
    try {
      await writeDurably(temporary, chunks);
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    await syncFolder(folder);
  });
}

/** A folder that is being written; it appears under its name when it is committed. */
export interface FolderDraft {
  /** Where to write its files now. */
  readonly path: string;
  /** Puts all bytes on the disk and gives the folder its name, in place of one that had it. */
  commit(): Promise<void>;
  /** Removes what was written. */
  discard(): Promise<void>;
}

/**
 * Starts a folder that will appear at `path` whole or not at all. Other threads may write files into the draft's path. A folder that is there
 * already is replaced by two renames: a crash between them leaves neither under the name, so give every version a name of its own.
 */
export async function draftFolder(path: string): Promise<FolderDraft> {
  const parent = dirname(path);
  const draft = temporaryName(path);
  await writing(path, () => mkdir(draft, { recursive: true }));
  return {
    path: draft,
    commit: () =>
      writing(path, async () => {
        for (const name of await readdir(draft)) await syncFile(join(draft, name));
        await syncFolder(draft);
        // A folder cannot be renamed over a folder with files: the old one steps aside first.
        const old = temporaryName(path);
        const replaced = await rename(path, old).then(
          () => true,
          (error: unknown) => {
            if (systemCode(error) === 'ENOENT') return false;
            throw error;
          },
        );
        await rename(draft, path);
        await syncFolder(parent);
        if (replaced) await rm(old, { recursive: true, force: true });
      }),
    discard: () => removePath(draft),
  };
}

/** Writes a folder of files atomically. */
export async function writeFolderAtomic(
  path: string,
  files: ReadonlyMap<string, Uint8Array | readonly Uint8Array[]>,
): Promise<void> {
  const draft = await draftFolder(path);
  try {
    for (const [name, chunks] of files) await writeInto(join(draft.path, name), chunks);
    await draft.commit();
  } catch (error) {
    await draft.discard();
    throw error;
  }
}

/** Writes a file without the ceremony of {@link writeFileAtomic}: for the files of a {@link FolderDraft}. */
export async function writeInto(path: string, chunks: Uint8Array | readonly Uint8Array[]): Promise<void> {
  await writing(path, () => writeDurably(path, chunks));
}

/** A SHA-256 that is fed piece by piece. */
export interface Sha256 {
  update(bytes: Uint8Array): Sha256;
  /** The digest in hexadecimal; ends the hash. */
  digest(): string;
}

/** Starts a SHA-256. */
export function sha256(): Sha256 {
  const hash = createHash('sha256');
  const self: Sha256 = {
    update(bytes) {
      hash.update(bytes);
      return self;
    },
    digest: () => hash.digest('hex'),
  };
  return self;
}

/** The SHA-256 of a file in hexadecimal, read in pieces. */
export async function fileSha256(path: string): Promise<string> {
  const bytes = await fileSize(path);
  const hash = sha256();
  for (let at = 0; at < bytes; at += HASH_PIECE)
    hash.update(await readFileRange(path, at, Math.min(HASH_PIECE, bytes - at)));
  return hash.digest();
}

const HASH_PIECE = 2 ** 22;

let drafts = 0;

/** Names of drafts start with a dot and say who writes, so that two writers do not meet and leftovers are seen for what they are. */
function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}-${++drafts}-${Date.now().toString(36)}.tmp`);
}

async function writeDurably(path: string, chunks: Uint8Array | readonly Uint8Array[]): Promise<void> {
  const file = await open(path, 'w');
  try {
    for (const chunk of chunks instanceof Uint8Array ? [chunks] : chunks) await writeFully(file, chunk);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function writeFully(file: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, Math.min(bytes.length - done, MAX_READ));
    done += bytesWritten;
  }
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes a rename durable. Systems that cannot open or sync a folder (Windows) do without. */
async function syncFolder(path: string): Promise<void> {
  let folder: FileHandle | undefined;
  try {
    folder = await open(path, 'r');
    await folder.sync();
  } catch (error) {
    if (!['EPERM', 'EISDIR', 'EACCES', 'EINVAL', 'ENOTSUP'].includes(systemCode(error))) throw error;
  } finally {
    await folder?.close();
  }
}

async function reading<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    throw fileError('FILE_READ', 'read', path, cause);
  }
}

async function writing<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    throw fileError('FILE_WRITE', 'write', path, cause);
  }
}

function systemCode(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : '';
}

/** A failure of the file system as an error of ours. */
export function fileError(code: 'FILE_READ' | 'FILE_WRITE', verb: string, path: string, cause: unknown): ShoalError {
  if (cause instanceof ShoalError) return cause;
  const system = systemCode(cause);
  if (system === 'ENOENT' && code === 'FILE_READ') {
    return new ShoalError('FILE_NOT_FOUND', `file: it must exist, got ${path}. Check the path.`, { path }, cause);
  }
  const next = system === 'ENOSPC' ? 'Free some space.' : 'Check the path and its permissions.';
  return new ShoalError(
    code,
    `file: cannot ${verb} ${path}, got ${system || String(cause)}. ${next}`,
    { path, system },
    cause,
  );
}
