/**
 * @file Where cells live. Results of kernels are made in WebAssembly memory. The arena holds the resident cells (never tensors) in order of
 * last use and moves the oldest ones out to plain typed arrays: when their bytes exceed a budget, and when they were not used during the
 * last two backward passes. A moved-out cell is no longer known here, so the engine frees its array as soon as the program drops it, which
 * happens even inside a synchronous loop; a cell that the program still holds comes back on its next use. So nothing is ever lost, and
 * nothing needs a finalizer (finalizers never run inside a synchronous loop, and a WeakRef pins its target there).
 *
 * Cells are only moved out between operations (`beginOperation`), so the pointers of one kernel call stay valid while it is prepared.
 */
import * as memory from '../../kernels/runtime/memory.ts';
import { arrayConstructor, type DType, type NumericArray } from '../dtype.ts';
import { KernelError } from '../errors.ts';
import { registerInScope } from './scope.ts';
import { checkAlive, Storage } from './storage.ts';

const initialBudgetBytes = 64 << 20;
const largestBudgetBytes = 2 ** 31;

/** What the arena holds and has done, for tests and reports. Bytes are of elements, without the allocator's padding. */
export interface ArenaStatistics {
  readonly residentCells: number;
  readonly residentBytes: number;
  readonly budgetBytes: number;
  readonly movedOut: number;
  readonly cameBack: number;
  /** Bytes of this thread's WebAssembly memory in use, and its size. */
  readonly usedBytes: number;
  readonly capacityBytes: number;
}

let oldest: Storage | undefined;
let newest: Storage | undefined;
let residentCells = 0;
let residentBytes = 0;
let budgetBytes = initialBudgetBytes;
let movedOut = 0;
let cameBack = 0;
/** Bytes that came back since the budget last changed. */
let returnedBytes = 0;
/** Counts operations; a cell's `lastUse` is compared with it. */
let clock = 0;
/** The clock at the end of the last two backward passes. */
let passes: readonly [number, number] = [0, 0];

/** A cell for the result of a kernel, contents arbitrary: float64 in a plain array, everything else in WebAssembly memory. */
export function createStorage(dtype: DType, length: number, origin: string): Storage {
  const storage = new Storage(dtype, length, origin);
  if (dtype === 'float64') storage.array = new Float64Array(length);
  else admit(storage);
  registerInScope(storage);
  return storage;
}

/** A cell with a copy of `values`; a float32 one starts resident, the others in a plain array. */
export function storageOf(dtype: DType, values: ArrayLike<number>, origin: string): Storage {
  if (dtype === 'float32') {
    const storage = createStorage(dtype, values.length, origin);
    viewOf(storage, origin).set(values);
    return storage;
  }
  const storage = new Storage(dtype, values.length, origin);
  storage.array = arrayConstructor[dtype].from(values);
  registerInScope(storage);
  return storage;
}

/** Marks the start of an operation, and moves old cells out if there are too many bytes. No pointer may be held across it. */
export function beginOperation(): void {
  clock += 1;
  if (residentBytes > budgetBytes) {
    // Half of the budget at once, so that a program that runs over it does not pay a little on every operation.
    while (residentBytes > budgetBytes / 2 && oldest !== undefined) moveOut(oldest);
  }
}

/** The address of the elements; brings them into WebAssembly memory if need be. Valid until the next `beginOperation`. */
export function pointerOf(storage: Storage, op: string): number {
  checkAlive(storage, op);
  if (storage.pointer === 0) bringIn(storage);
  else if (storage.lastUse !== clock) touch(storage);
  return storage.pointer;
}

/** The elements as a view, wherever they are. Valid until the next allocation: never keep it, never hand it out. */
export function viewOf(storage: Storage, op: string): NumericArray {
  checkAlive(storage, op);
  if (storage.pointer === 0) return storage.array!;
  if (storage.lastUse !== clock) touch(storage);
  return residentView(storage);
}

/** Frees the memory of a cell for good; a later use throws RecycledError. Freeing twice is harmless. */
export function freeStorage(storage: Storage): void {
  if (storage.recycled) return;
  if (storage.pointer !== 0) dismiss(storage);
  storage.array = undefined;
  storage.recycled = true;
}

/**
 * Marks the end of a backward pass: cells that nothing has used since the pass before the last one are moved out, except those that a use
 * has brought back before (they are revisited at a longer period, and only pressure moves them).
 */
export function endPass(): void {
  const [older, last] = passes;
  passes = [last, clock];
  clock += 1;
  for (let storage = oldest; storage !== undefined && storage.lastUse <= older; ) {
    const next = storage.newer;
    if (!storage.wasMovedOut) moveOut(storage);
    storage = next;
  }
}

/**
 * The state of this thread's arena.
 *
 * @example
 * const { residentBytes } = arenaStatistics();
 */
export function arenaStatistics(): ArenaStatistics {
  const capacityBytes = memory.capacityBytes();
  return {
    residentCells,
    residentBytes,
    budgetBytes,
    movedOut,
    cameBack,
    usedBytes: memory.usedBytes(),
    capacityBytes,
  };
}

/** Sets the bytes that may be resident before the oldest cells are moved out (it still doubles when they keep coming back). For tests. */
export function setArenaBudget(bytes: number = initialBudgetBytes): void {
  budgetBytes = bytes;
  returnedBytes = 0;
}

function residentView(storage: Storage): NumericArray {
  if (storage.dtype === 'float32') return memory.f32(storage.pointer, storage.length);
  if (storage.dtype === 'int32') return memory.i32(storage.pointer, storage.length);
  return memory.u8(storage.pointer, storage.length);
}

/** Gives a cell an address, as the newest of the list. */
function admit(storage: Storage): void {
  storage.pointer = allocateOrMakeRoom(storage.bytes);
  storage.lastUse = clock;
  residentCells += 1;
  residentBytes += storage.bytes;
  append(storage);
}

/** When memory runs out, all cells that the current operation does not use make room. */
function allocateOrMakeRoom(bytes: number): number {
  try {
    return memory.allocate(bytes);
  } catch (error) {
    if (!(error instanceof KernelError) || oldest === undefined || oldest.lastUse === clock) throw error;
    while (oldest !== undefined && oldest.lastUse !== clock) moveOut(oldest);
    return memory.allocate(bytes);
  }
}

function bringIn(storage: Storage): void {
  const array = storage.array!;
  admit(storage);
  residentView(storage).set(array);
  storage.array = undefined;
  if (!storage.wasMovedOut) return;
  cameBack += 1;
  returnedBytes += storage.bytes;
  if (returnedBytes > budgetBytes && budgetBytes < largestBudgetBytes) setArenaBudget(budgetBytes * 2);
}

function moveOut(storage: Storage): void {
  storage.array = residentView(storage).slice();
  storage.wasMovedOut = true;
  movedOut += 1;
  dismiss(storage);
}

/** Takes a cell's address away. */
function dismiss(storage: Storage): void {
  unlink(storage);
  memory.free(storage.pointer);
  storage.pointer = 0;
  residentCells -= 1;
  residentBytes -= storage.bytes;
}

function touch(storage: Storage): void {
  storage.lastUse = clock;
  if (storage === newest) return;
  unlink(storage);
  append(storage);
}

function append(storage: Storage): void {
  storage.older = newest;
  if (newest === undefined) oldest = storage;
  else newest.newer = storage;
  newest = storage;
}

function unlink(storage: Storage): void {
  const { older, newer } = storage;
  if (older === undefined) oldest = newer;
  else older.newer = newer;
  if (newer === undefined) newest = older;
  else newer.older = older;
  storage.older = undefined;
  storage.newer = undefined;
}
