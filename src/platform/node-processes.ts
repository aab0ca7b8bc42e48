/** @file Processes on Node, Deno and Bun: starting one, and being one. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What a child process reports to whom started it. */
export interface ProcessEvents {
  onOutput(chunk: Uint8Array): void;
  /** What it wrote to stderr. */
  onError(chunk: Uint8Array): void;
  /** Called exactly once, when nothing of the process runs any more and all that it wrote has been given. `detail` says how it ended. */
  onExit(detail: string): void;
}

/** A started process. */
export interface StartedProcess {
  /** Writes to its stdin; false: it does not read as fast, wait for `drained`. After its end this does nothing. */
  write(pieces: readonly Uint8Array[]): boolean;
  /** Resolves when what was written has been taken, or the process has ended. */
  drained(): Promise<void>;
  /** Ends it at once, whatever it does. */
  kill(): void;
  /** Whether the process keeps this one alive. */
  hold(alive: boolean): void;
}

/** How long output may trail after the end of a process whose own children still hold its pipes. */
const TRAILING_OUTPUT_MS = 500;

/** Starts a module in a process of its own, with this one's runtime and flags. */
export function startProcess(module: URL, events: ProcessEvents): StartedProcess {
  const child: ChildProcess = spawn(process.execPath, [...inheritedFlags(process.execArgv), fileURLToPath(module)], {
    stdio: ['pipe', 'pipe', 'pipe'],
    windowsHide: true,
  });
  let ended = false;
  let draining: Promise<void> | undefined;
  let detail = 'the worker process could not be started';
  const end = (): void => {
    if (ended) return;
    ended = true;
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
    events.onExit(detail);
  };
  // Without a file handle left there are no streams, and `error` follows.
  child.stdout?.on('data', (chunk: Uint8Array) => events.onOutput(chunk));
  child.stderr?.on('data', (chunk: Uint8Array) => events.onError(chunk));
  child.stdin?.on('error', () => {}); // it has ended: `exit` says so
  child.on('error', (error) => {
    detail = `the worker process could not be started: ${error.message}`;
    if (child.pid === undefined) end();
  });
  child.on('exit', (code, signal) => {
    const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
    detail = `the worker process ended ${how} before its work was done`;
    setTimeout(end, TRAILING_OUTPUT_MS).unref();
  });
  child.on('close', end);
  return {
    write(pieces) {
      const { stdin } = child;
      if (ended || !stdin?.writable) return true;
      stdin.cork();
      let taken = true;
      for (const piece of pieces) taken = stdin.write(piece);
      stdin.uncork();
      return taken;
    },
    drained() {
      const { stdin } = child;
      if (ended || !stdin?.writableNeedDrain) return Promise.resolve();
      // One promise for all who wait, and no listener left behind: a stream may drain a thousand times.
      draining ??= new Promise((resolve) => {
        const settle = (): void => {
          stdin.off('drain', settle).off('close', settle);
          draining = undefined;
          resolve();
        };
        stdin.on('drain', settle).on('close', settle);
      });
      return draining;
    },
    kill: () => void child.kill('SIGKILL'),
    hold(alive) {
      const handles = [child, child.stdin, child.stdout, child.stderr] as unknown as readonly (
        | Partial<Holdable>
        | null
        | undefined
      )[];
      for (const handle of handles) (alive ? handle?.ref : handle?.unref)?.call(handle);
    },
  };
}

interface Holdable {
  ref(): void;
  unref(): void;
}

/** Flags of the runtime that a child should have too: not those of the debugger (a port is taken once), nor those that say what to run. */
function inheritedFlags(flags: readonly string[]): string[] {
  const inherited: string[] = [];
  for (let i = 0; i < flags.length; i++) {
    const flag = flags[i]!;
    if (/^(-e|--eval|-p|--print|-pe|--input-type)$/.test(flag)) i++;
    else if (!/^--(inspect|eval|print|input-type|test|watch|cpu-prof|heap-prof|prof)/.test(flag)) inherited.push(flag);
  }
  return inherited;
}

/** This process, as the child that another one has started by {@link startProcess}. */
export interface OwnProcess {
  /** What comes on stdin. */
  onInput(listener: (chunk: Uint8Array) => void): void;
  /** The one that started this process has closed stdin: it is gone, or wants this one gone. */
  onInputEnd(listener: () => void): void;
  /** Writes to stdout. */
  write(pieces: readonly Uint8Array[]): void;
  /** Writes a line to stderr. */
  writeError(text: string): void;
  exit(code: number): never;
}

/** This process's pipes. From now on it ignores SIGINT: the terminal sends it to the whole group, and the driver decides. */
export function ownProcess(): OwnProcess {
  process.on('SIGINT', () => {});
  process.stdout.on('error', () => process.exit(1)); // nobody listens any more
  process.stderr.on('error', () => {});
  return {
    onInput: (listener) => void process.stdin.on('data', listener),
    onInputEnd: (listener) => void process.stdin.on('end', listener).on('close', listener).on('error', listener),
    write: (pieces) => {
      for (const piece of pieces) process.stdout.write(piece);
    },
    writeError: (text) => void process.stderr.write(`${text}\n`),
    exit: (code) => process.exit(code),
  };
}

/** Passes bytes on to this process's own stdout or stderr. */
export function passOn(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
  process[stream].write(bytes.slice());
}
