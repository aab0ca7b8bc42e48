/** What a process holds of the operating system, and an assertion that a test gave all of it back. Threads, children and file handles by /proc (Linux). */
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What the process holds, by kind; each thing as a line of text. */
export interface Held {
  readonly threads: readonly string[];
  readonly children: readonly string[];
  readonly files: readonly string[];
  /** What keeps the event loop alive: sockets, message ports, timers. */
  readonly handles: readonly string[];
  /** All that is in the folder for temporary files: give the test one of its own by {@link ownTemporaryFolder}. */
  readonly temporaryFiles: readonly string[];
}

/** What this process holds now. */
export function held(): Held {
  return {
    threads: listed('/proc/self/task', (id) => `thread ${id}`),
    children: childrenOf(process.pid),
    files: listed('/proc/self/fd', (fd) => readlinkSync(`/proc/self/fd/${fd}`)),
    handles: process.getActiveResourcesInfo(),
    temporaryFiles: readdirSync(tmpdir()),
  };
}

/** Gives this process, and what it starts, an empty folder for temporary files. Returns the function that removes it. */
export function ownTemporaryFolder(): () => void {
  const { TMPDIR } = process.env;
  const folder = mkdtempSync(join(tmpdir(), 'leaks-'));
  process.env.TMPDIR = folder;
  return () => {
    if (TMPDIR === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = TMPDIR;
    rmSync(folder, { recursive: true, force: true });
  };
}

/** Names of a folder of /proc, described; nothing on systems without it. What is gone before it can be read is left out. */
function listed(folder: string, describe: (name: string) => string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((name) => {
    try {
      return [describe(name)];
    } catch {
      return [];
    }
  });
}

/** Processes whose parent is `pid`: their ids and names. Zombies count: nobody has waited for them. */
export function childrenOf(pid: number): string[] {
  return listed('/proc', (name) => {
    if (!/^\d+$/.test(name)) throw new Error('not a process');
    const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
    // `id (name) state parent ...`; the name may hold anything.
    const [, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (Number(parent) !== pid) throw new Error('not a child');
    return `child ${name} ${stat.slice(stat.indexOf('('), stat.lastIndexOf(')') + 1)}`;
  });
}

/** Processes whose environment holds `text`, wherever they hang in the tree. */
export function processesWith(text: string): string[] {
  return listed('/proc', (name) => {
    if (!/^\d+$/.test(name) || !readFileSync(`/proc/${name}/environ`, 'utf8').includes(text)) throw new Error('other');
    return name;
  });
}

/**
 * Fails if the process holds anything that it did not hold `before`. What ends on its own (a thread that was told to) gets `timeoutMs` to do so.
 * Threads count by number, because the runtime replaces its own; so do handles and files of one kind.
 */
export async function assertNoLeaks(before: Held, timeoutMs = 10_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const leaks = leaksBetween(before, held());
    if (leaks.length === 0) return;
    if (performance.now() > end) throw new Error(`leaked: ${leaks.join(', ')}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function leaksBetween(before: Held, after: Held): string[] {
  const more = after.threads.length - before.threads.length;
  return [
    ...(more > 0 ? [`${more} threads`] : []),
    ...surplus(before.children, after.children),
    ...surplus(before.files, after.files),
    ...surplus(before.handles.filter(isLasting), after.handles),
    ...surplus(before.temporaryFiles, after.temporaryFiles),
  ];
}

/** The test runner's own timers come and go: none of `before` excuses one that stays. */
function isLasting(handle: string): boolean {
  return handle !== 'Timeout';
}

/** Elements of `after` that are not matched by one of `before`. */
function surplus(before: readonly string[], after: readonly string[]): string[] {
  const left = [...before];
  return after.filter((text) => {
    const index = left.indexOf(text);
    if (index >= 0) left.splice(index, 1);
    return index < 0;
  });
}
