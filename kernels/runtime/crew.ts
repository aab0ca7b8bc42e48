/**
 * @file Threads inside one operation. This thread and its helpers run one kernel call together: each takes shares of its results (assembly/shares.ts) on an
 * instance of its own in one shared memory, with working memory of its own. Which thread takes which share is open, and does not matter to a bit.
 *
 * They talk through a few words in that memory. `TICKET` holds the number of the call, its shares and the next one to take, in one word: who takes a
 * share has read the arguments of its call, or the exchange fails. A helper that sleeps holds nobody up, because who offered the call takes shares, too.
 */
import { KernelError } from '../../src/errors.ts';
import type { Build } from './build.ts';
import { instantiate, type LinearMemory, type Modules, shareMemory, type WasmInstance, wasm } from './instance.ts';
import { allocate, f64, i32, type Pointer } from './memory.ts';

/** What a helper is started with: plain, and to be posted to it. */
export interface HelperData {
  readonly build: Build;
  readonly modules: Modules;
  readonly memory: LinearMemory;
  /** Where the words of the crew are. */
  readonly words: Pointer;
  /** Exports by number. */
  readonly names: readonly string[];
  /** Which helper it is, from 1. */
  readonly helper: number;
}

/** A started helper. */
export interface Helper {
  /** Ends it; what it does at the moment is lost. */
  terminate(): void;
}

/** How a crew gets its helpers and how many it may use. */
export interface CrewOptions {
  /** Threads, with this one: at least 2, at most 32. */
  readonly threads: number;
  /** Starts a thread that calls `serve(data)`; `onExit` is to be called when it has ended by itself, with how. */
  readonly start: (data: HelperData, onExit: (detail: string) => void) => Helper;
  /** Threads that may run now, with this one. Asked before each divided call. */
  readonly limit: () => number;
  /** A call with fewer multiplications is not divided (default 2^18, some 20 us): waking a helper would take longer than it saves. */
  readonly leastWork?: number;
  /** How long a call waits for helpers before it fails (default 20 s), with a nanosecond more for each multiplication. */
  readonly patienceMs?: number;
}

// Words of 32 bits, then arguments as doubles (exact for addresses, sizes and floats).
const TICKET = 0;
/** Shares that are done. */
const DONE = 1;
/** Shares whose kernel trapped. */
const FAILED = 2;
/** Number of the export. */
const EXPORT = 3;
const ARGUMENTS = 4;
/** Bytes from one thread's working memory to the next one's; 0: the kernel takes none. Otherwise its address is the last argument. */
const SCRATCH_STRIDE = 5;
/** Helpers that run. */
const PRESENT = 6;
/** Shares that helpers have done, of all calls. */
const HELPED = 7;
const argumentsAt = 64;
const mostArguments = 40;
const crewBytes = argumentsAt + 8 * mostArguments;

// The ticket: 20 bits of call, 6 of shares, 6 of the next share.
const STOP = -1;
const ticketOf = (call: number, shares: number): number => (call << 12) | (shares << 6);
const sharesOf = (ticket: number): number => (ticket >> 6) & 63;
const nextOf = (ticket: number): number => ticket & 63;

const usualLeastWork = 1 << 18;
const usualPatienceMs = 20_000;

/** How long a thread looks again and again for what it waits for, before it sleeps. Waking takes some 50 us. */
const spinMs = 0.1;
const looksPerClock = 64;

interface Crew {
  readonly options: CrewOptions;
  readonly words: Pointer;
  readonly helpers: readonly Helper[];
  readonly numbers: ReadonlyMap<string, number>;
  call: number;
}

let crew: Crew | undefined;
/** What ended a helper by itself. */
let trouble: string | undefined;

const controlOf = ({ words }: Crew): Int32Array => i32(words, argumentsAt / 4);

/** Threads that a large call would run on now, with this one. */
export function crewThreads(): number {
  return crew === undefined ? 1 : Math.max(1, Math.min(crew.options.threads, crew.options.limit()));
}

/** What ended a helper by itself, since the crew was last made. */
export function crewTrouble(): string | undefined {
  return trouble;
}

/** How many shares a call of `work` multiplications is divided into; 1: none. Helpers that are still starting do not count. */
export function sharesFor(work: number): number {
  if (crew === undefined || work < (crew.options.leastWork ?? usualLeastWork)) return 1;
  return Math.min(crewThreads(), 1 + crewCounts().present);
}

/** How many helpers are there, and how many shares they have computed. */
export function crewCounts(): { readonly present: number; readonly helped: number } {
  if (crew === undefined) return { present: 0, helped: 0 };
  const control = controlOf(crew);
  return { present: Atomics.load(control, PRESENT), helped: Atomics.load(control, HELPED) };
}

/** Threads of the crew, with this one: each needs working memory of its own. */
export function crewSize(): number {
  return crew?.options.threads ?? 1;
}

/** Divides large calls among threads from now on. A former crew is dismissed. The memory becomes a shared one: views die. */
export function makeCrew(options: CrewOptions): void {
  dismissCrew();
  const { build, modules, memory } = shareMemory();
  const names = Object.keys(wasm().exports);
  const words = allocate(crewBytes);
  i32(words, argumentsAt / 4).fill(0);
  trouble = undefined;
  const onExit = (detail: string): void => {
    if (crew !== made) return;
    dismissCrew();
    trouble = detail;
  };
  const helpers = Array.from({ length: options.threads - 1 }, (_, i) =>
    options.start({ build, modules, memory, words, names, helper: i + 1 }, onExit),
  );
  const made = { options, words, helpers, numbers: new Map(names.map((name, i) => [name, i])), call: 0 };
  crew = made;
}

/** Lets the helpers go; calls run on this thread alone again. The words stay as they are: a helper that is still starting will read them. */
export function dismissCrew(): void {
  if (crew === undefined) return;
  const control = controlOf(crew);
  crew = undefined;
  Atomics.store(control, TICKET, STOP);
  Atomics.notify(control, TICKET);
}

/**
 * Runs an export in `shares` shares. `args` are its arguments; if `scratchStride` is not 0, the last one is working memory for as many threads as the crew
 * has, that far apart.
 *
 * @throws what the kernel threw on this thread; KernelError `KERNEL` if it trapped on another, or a helper is silent for too long.
 */
export function runShares(
  name: string,
  args: readonly number[],
  scratchStride: number,
  shares: number,
  work: number,
): void {
  const { words, numbers, options } = crew!;
  const control = controlOf(crew!);
  f64(words + argumentsAt, args.length).set(args);
  control[EXPORT] = numbers.get(name)!;
  control[ARGUMENTS] = args.length;
  control[SCRATCH_STRIDE] = scratchStride;
  Atomics.store(control, DONE, 0);
  Atomics.store(control, FAILED, 0);
  crew!.call = (crew!.call + 1) & 0x7ffff;
  Atomics.store(control, TICKET, ticketOf(crew!.call, shares));
  Atomics.notify(control, TICKET, Math.min(shares, options.threads) - 1);
  const instance = wasm();
  let thrown: unknown;
  for (let share = take(control); share >= 0; share = take(control)) {
    try {
      runShare(instance, instance.exports[name]!, args, share, shares);
    } catch (error) {
      thrown ??= error;
    }
    Atomics.add(control, DONE, 1);
  }
  waitForAll(control, shares, (options.patienceMs ?? usualPatienceMs) + work * 1e-6);
  if (thrown !== undefined) throw thrown;
  if (Atomics.load(control, FAILED) > 0) {
    throw new KernelError(
      'KERNEL',
      `${name}: the kernel must not trap, got a trap on a helper. Check pointers and sizes.`,
    );
  }
}

function runShare(
  instance: WasmInstance,
  run: (...args: number[]) => unknown,
  args: readonly number[],
  share: number,
  shares: number,
): void {
  instance.setShare(share, shares);
  try {
    run.apply(undefined, args as number[]);
  } finally {
    instance.setShare(0, 1);
  }
}

/** Takes the next share of the call that is on offer; -1 if there is none. */
function take(control: Int32Array): number {
  for (;;) {
    const ticket = Atomics.load(control, TICKET);
    if (ticket === STOP || nextOf(ticket) >= sharesOf(ticket)) return -1;
    if (Atomics.compareExchange(control, TICKET, ticket, ticket + 1) === ticket) return nextOf(ticket);
  }
}

function waitForAll(control: Int32Array, shares: number, patience: number): void {
  const end = performance.now() + patience;
  spin(() => Atomics.load(control, DONE) === shares);
  for (let done = Atomics.load(control, DONE); done < shares; done = Atomics.load(control, DONE)) {
    Atomics.wait(control, DONE, done, 100);
    if (performance.now() < end) continue;
    for (const helper of crew!.helpers) helper.terminate();
    dismissCrew();
    trouble = 'a helper was silent for too long';
    throw new KernelError(
      'KERNEL',
      `threads: a helper must finish its share, got none in ${Math.round(patience)} ms. Results of this call are incomplete; go on with one thread.`,
      { patienceMs: patience },
    );
  }
}

/** Looks until the condition holds, for at most `spinMs`. */
function spin(condition: () => boolean): void {
  const end = performance.now() + spinMs;
  do {
    for (let i = 0; i < looksPerClock; i++) if (condition()) return;
  } while (performance.now() < end);
}

/**
 * The life of a helper: runs shares of whatever call is on offer, sleeps when there is none, and returns when the crew is dismissed.
 */
export function serve({ build, modules, memory, words, names, helper }: HelperData): void {
  const instance = instantiate(build, modules, memory);
  // The memory may have grown while this thread received it. V8 tells threads of that only once they have it; until it grows again, `memory.fill` and
  // `memory.copy` of this instance would trap in what is new. This brings its size up to date.
  memory.grow(0);
  // These views stay valid when the memory grows: it is shared.
  const control = new Int32Array(memory.buffer, words, argumentsAt / 4);
  const given = new Float64Array(memory.buffer, words + argumentsAt, mostArguments);
  Atomics.add(control, PRESENT, 1);
  for (;;) {
    const ticket = Atomics.load(control, TICKET);
    if (ticket === STOP) return;
    if (nextOf(ticket) >= sharesOf(ticket)) {
      spin(() => Atomics.load(control, TICKET) !== ticket);
      Atomics.wait(control, TICKET, ticket);
      continue;
    }
    const name = names[control[EXPORT]!]!;
    const stride = control[SCRATCH_STRIDE]!;
    const args = [...given.subarray(0, control[ARGUMENTS])];
    if (stride > 0) args[args.length - 1]! += helper * stride;
    if (Atomics.compareExchange(control, TICKET, ticket, ticket + 1) !== ticket) continue;
    try {
      runShare(instance, instance.exports[name]!, args, nextOf(ticket), sharesOf(ticket));
    } catch {
      // Whoever offered the call says so, with its name and values.
      Atomics.add(control, FAILED, 1);
    }
    Atomics.add(control, HELPED, 1);
    Atomics.add(control, DONE, 1);
    Atomics.notify(control, DONE);
  }
}
