/**
 * @file The arena: which bytes of this thread's WebAssembly memory are in use. Blocks are 64-byte aligned and have size classes that waste at
 * most 25 %; a freed block is reused by its class, and before the memory grows, neighbouring free blocks are merged and cut anew.
 *
 * Views (`f32(pointer, length)` and so on) die when the memory grows: make them fresh, and never keep one across a call that may allocate.
 */
import { ArgumentError, invariant, KernelError } from '../../src/errors.ts';
import { maximumPages, pageBytes, wasm } from './instance.ts';

/** An address in this thread's WebAssembly memory; 0 stands for "absent". */
export type Pointer = number;

/** Every block starts at a multiple of this: a cache line. */
export const alignmentBytes = 64;

const addressableBytes = maximumPages * pageBytes;

/** The memory grows by a quarter, but at least and at most by this much (unless one block needs more). */
const minimumStepBytes = 1 << 20;
const maximumStepBytes = 64 << 20;

interface Run {
  readonly pointer: Pointer;
  readonly bytes: number;
}

/**
 * Bytes of each block, by address; negative while the block is in a free list. Entries stay when a block is freed: a Map that loses entries is
 * rebuilt again and again, and V8 chains the old tables to the new ones, which carried 3 KB a training step into the old generation.
 */
const blocks = new Map<Pointer, number>();
let usedBlocks = 0;
/** Addresses of free blocks, by their bytes. */
const freeLists = new Map<number, Pointer[]>();
/** Free stretches of any length, left by merging. */
let runs: Run[] = [];
/** The first byte that was never handed out; 0 before the first allocation. */
let top = 0;
let used = 0;
let peak = 0;
let freeListBytes = 0;
let maximum = addressableBytes;
let scratchBlock: Run = { pointer: 0, bytes: 0 };

/** Lines up to which blocks are as long as their class. */
const shortLines = 64;
/**
 * Longer blocks are this many lines longer than their class. Classes are multiples of large powers of two, so blocks in a row would all begin at the same
 * place of a page, and what a kernel reads and writes side by side would meet in the same sets of the first cache: an AMD Zen 4 takes 157 instead
 * of 101 us for a depthwise convolution whose input and output lie 0x108000 bytes apart.
 */
const shiftLines = 5;

/** Four classes an octave: the step is a quarter of the power of two below `lines`. */
function classStep(lines: number): number {
  let step = 1;
  while (step * 8 < lines) step *= 2;
  return step;
}

/** The bytes of the block that a request of `bytes` gets: a multiple of 64, at most 25 % more beyond the first 64. */
export function blockBytes(bytes: number): number {
  const needed = Math.max(1, Math.ceil(bytes / alignmentBytes));
  const shift = needed > shortLines ? shiftLines : 0;
  const step = classStep(needed - shift);
  return (Math.ceil((needed - shift) / step) * step + shift) * alignmentBytes;
}

/** The largest block that fits into `bytes`. */
function largestBlockBytes(bytes: number): number {
  const lines = Math.floor(bytes / alignmentBytes);
  if (lines > shortLines && lines < shortLines + shiftLines) return shortLines * alignmentBytes;
  const shift = lines > shortLines ? shiftLines : 0;
  const step = classStep(lines - shift);
  return (Math.floor((lines - shift) / step) * step + shift) * alignmentBytes;
}

/**
 * A block of at least `bytes` bytes, 64-byte aligned, with arbitrary contents. May grow the memory, which kills all views.
 *
 * @throws KernelError `OUT_OF_MEMORY` with `requestedBytes`, `availableBytes`, `usedBytes`, `maximumBytes`; nothing has changed then.
 */
export function allocate(bytes: number): Pointer {
  if (!(Number.isSafeInteger(bytes) && bytes >= 0)) {
    throw new ArgumentError(
      `allocate: bytes must be a whole number >= 0, got ${bytes}. Pass a length times the element size.`,
      { bytes },
    );
  }
  if (top === 0) top = alignUp(Math.max(wasm().heapBase, 1024));
  const size = blockBytes(bytes);
  const pointer = takeFree(size) ?? takeRun(size) ?? takeTop(size) ?? takeMerged(size) ?? growAndTake(size);
  if (pointer === undefined) throw outOfMemory(bytes, size);
  blocks.set(pointer, size);
  usedBlocks += 1;
  used += size;
  if (used > peak) peak = used;
  return pointer;
}

/** Gives a block back. `pointer` must come from `allocate` and not have been freed. */
export function free(pointer: Pointer): void {
  const bytes = blocks.get(pointer);
  invariant(bytes !== undefined && bytes > 0, `free(${pointer}): not a block in use`);
  blocks.set(pointer, -bytes);
  usedBlocks -= 1;
  used -= bytes;
  freeListBytes += bytes;
  const list = freeLists.get(bytes);
  if (list === undefined) freeLists.set(bytes, [pointer]);
  else list.push(pointer);
}

/** Bytes of blocks in use (with the padding of their classes). */
export function usedBytes(): number {
  return used;
}

/** The most bytes that were ever in use at once. */
export function peakBytes(): number {
  return peak;
}

/** Bytes of this thread's WebAssembly memory, used or not. It never shrinks. */
export function capacityBytes(): number {
  return wasm().memory.buffer.byteLength;
}

/** Number of blocks in use. */
export function blockCount(): number {
  return usedBlocks;
}

/** Limits the memory of this thread (default 4 GiB - 64 KiB). Takes effect when the memory next grows; what is there stays. */
export function setMaximumBytes(bytes: number = addressableBytes): void {
  maximum = Math.min(Math.floor(bytes / pageBytes) * pageBytes, addressableBytes);
}

/**
 * Working memory of at least `bytes` bytes for one kernel call: the same region for every call, so it holds nothing after the call, and a
 * kernel that uses it must not call for it twice. May grow the memory.
 */
export function scratch(bytes: number): Pointer {
  if (bytes <= scratchBlock.bytes) return scratchBlock.pointer;
  if (scratchBlock.pointer !== 0) free(scratchBlock.pointer);
  scratchBlock = { pointer: 0, bytes: 0 };
  const pointer = allocate(bytes);
  scratchBlock = { pointer, bytes: blocks.get(pointer) ?? bytes };
  return pointer;
}

/** A fresh view of `length` float32 elements. */
export function f32(pointer: Pointer, length: number): Float32Array {
  return new Float32Array(wasm().memory.buffer, pointer, length);
}

/** A fresh view of `length` float64 elements. */
export function f64(pointer: Pointer, length: number): Float64Array {
  return new Float64Array(wasm().memory.buffer, pointer, length);
}

/** A fresh view of `length` int32 elements. */
export function i32(pointer: Pointer, length: number): Int32Array {
  return new Int32Array(wasm().memory.buffer, pointer, length);
}

/** A fresh view of `length` bytes. */
export function u8(pointer: Pointer, length: number): Uint8Array {
  return new Uint8Array(wasm().memory.buffer, pointer, length);
}

function alignUp(value: number): number {
  return Math.ceil(value / alignmentBytes) * alignmentBytes;
}

function takeFree(size: number): Pointer | undefined {
  const pointer = freeLists.get(size)?.pop();
  if (pointer !== undefined) freeListBytes -= size;
  return pointer;
}

function takeRun(size: number): Pointer | undefined {
  const index = runs.findIndex((run) => run.bytes >= size);
  const run = runs[index];
  if (run === undefined) return undefined;
  if (run.bytes === size) runs.splice(index, 1);
  else runs[index] = { pointer: run.pointer + size, bytes: run.bytes - size };
  return run.pointer;
}

function takeTop(size: number): Pointer | undefined {
  if (top + size > capacityBytes()) return undefined;
  const pointer = top;
  top += size;
  return pointer;
}

/** From merged free blocks, if these can be enough: only worth its price when the memory would grow otherwise. */
function takeMerged(size: number): Pointer | undefined {
  const unused = capacityBytes() - top + freeListBytes + runs.reduce((sum, run) => sum + run.bytes, 0);
  if (freeListBytes === 0 || unused < size) return undefined;
  mergeFree();
  return takeRun(size) ?? takeTop(size);
}

/** Turns all free blocks and runs into the longest runs possible, and a last one into memory that was never handed out. */
function mergeFree(): void {
  const all: Run[] = [...runs];
  for (const [bytes, pointers] of freeLists) {
    for (const pointer of pointers) {
      all.push({ pointer, bytes });
      blocks.delete(pointer);
    }
  }
  freeLists.clear();
  freeListBytes = 0;
  all.sort((a, b) => a.pointer - b.pointer);
  const merged: Run[] = [];
  for (const run of all) {
    const last = merged.at(-1);
    if (last !== undefined && last.pointer + last.bytes === run.pointer)
      merged[merged.length - 1] = { pointer: last.pointer, bytes: last.bytes + run.bytes };
    else merged.push(run);
  }
  const last = merged.at(-1);
  if (last !== undefined && last.pointer + last.bytes === top) {
    top = last.pointer;
    merged.pop();
  }
  runs = merged;
}

function growAndTake(size: number): Pointer | undefined {
  const capacity = capacityBytes();
  const missing = top + size - capacity;
  if (top + size > maximum) return undefined;
  const step = Math.min(maximumStepBytes, Math.max(minimumStepBytes, capacity / 4));
  const wanted = Math.min(Math.max(missing, step), maximum - capacity);
  if (!grow(wanted) && !grow(missing)) return undefined;
  return takeTop(size);
}

/** Whether the memory now has at least `bytes` more. The engine throws RangeError when it cannot reserve them. */
function grow(bytes: number): boolean {
  try {
    wasm().memory.grow(Math.ceil(bytes / pageBytes));
    return true;
  } catch {
    return false;
  }
}

function outOfMemory(requestedBytes: number, size: number): KernelError {
  mergeFree();
  const capacity = capacityBytes();
  const ceiling = Math.max(maximum, capacity);
  const longestRun = runs.reduce((longest, run) => Math.max(longest, run.bytes), 0);
  const availableBytes = largestBlockBytes(Math.max(longestRun, ceiling - top));
  const message =
    `allocate: the block must fit in memory, got a request of ${requestedBytes} bytes (block of ${size}) with ${availableBytes} bytes available ` +
    `(${used} of at most ${ceiling} in use). Use smaller batches, more workers, or drop results that are no longer needed.`;
  return new KernelError('OUT_OF_MEMORY', message, {
    requestedBytes,
    availableBytes,
    usedBytes: used,
    maximumBytes: ceiling,
  });
}
