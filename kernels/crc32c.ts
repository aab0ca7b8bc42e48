/**
 * @file CRC32C (Castagnoli), the checksum of frames. It is no kernel of tensors: it has a small binary of its own (assembly/crc32c.ts), so that a
 * process that only passes messages on does not load the big one. The tables of that binary are computed here, from the polynomial.
 *
 * @see https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4 (test vectors)
 */
import { crc32c as binary } from '../build/embedded-crc32c.ts';
import { compile, pageBytes, webAssembly } from './runtime/webassembly.ts';

/** The polynomial, bits reversed: x^32 + x^28 + x^27 + x^26 + x^25 + x^23 + ... + 1. */
const polynomial = 0x82f63b78;

/** State after one byte, from state 0. */
const byteTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let state = byte;
  for (let bit = 0; bit < 8; bit++) state = state & 1 ? (state >>> 1) ^ polynomial : state >>> 1;
  return state;
});

/** Below this many bytes a call of WebAssembly costs more than it saves; from here on it folds (a block has 128). */
const wasmFrom = 128;

/**
 * The CRC32C of some bytes, from 0 to 2^32 - 1. Piece by piece: `crc32c(second, crc32c(first))`. Takes any view, also of a SharedArrayBuffer.
 *
 * @param previous the CRC of what came before.
 */
export function crc32c(bytes: Uint8Array, previous = 0): number {
  const state = ~previous >>> 0;
  return ~(bytes.length < wasmFrom ? bytewise(state, bytes) : folded(state, bytes)) >>> 0;
}

/**
 * Copies bytes to the start of `target`, and gives {@link crc32c} of them. Between shared and other memory this is the fast way to copy: V8 goes byte by
 * byte there when the addresses differ modulo 8.
 */
export function crc32cCopy(bytes: Uint8Array, target: Uint8Array, previous = 0): number {
  const state = ~previous >>> 0;
  if (bytes.length >= wasmFrom) return ~folded(state, bytes, target) >>> 0;
  target.set(bytes);
  return ~bytewise(state, bytes) >>> 0;
}

/** The definition of {@link crc32c}, byte by byte in plain TypeScript. Same parameters, same result. */
export function crc32cReference(bytes: Uint8Array, previous = 0): number {
  return ~bytewise(~previous >>> 0, bytes) >>> 0;
}

function bytewise(state: number, bytes: Uint8Array): number {
  for (let i = 0; i < bytes.length; i++) state = byteTable[(state ^ bytes[i]!) & 255]! ^ (state >>> 8);
  return state >>> 0;
}

/** The state after `count` bytes of 0. */
function afterZeros(state: number, count: number): number {
  for (let i = 0; i < count; i++) state = byteTable[state & 255]! ^ (state >>> 8);
  return state >>> 0;
}

// ---- the binary ----

/** Where things are in its memory: tables and scratch in the first page, whose end stays zero, and a piece of the message behind it. */
const foldTablesAt = 1024;
const scratchAt = foldTablesAt + 512;
const pieceAt = pageBytes;
/** Small enough to stay in a core's cache between the copy and the reading. */
const pieceBytes = pageBytes;

let run: ((state: number, at: number, length: number) => number) | undefined;
let pieces: Uint8Array = new Uint8Array(0);

/** As a kernel overwrites what it reads, a piece goes on to the target first. */
function folded(state: number, bytes: Uint8Array, target?: Uint8Array): number {
  run ??= instantiate();
  // Copies from and to shared memory are fast when both sides have the same address modulo 8.
  const shift = (target ?? bytes).byteOffset & 7;
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const part = bytes.subarray(at, at + pieceBytes);
    const piece = pieces.subarray(shift, shift + part.length);
    pieces.fill(0, 0, shift); // zeros before the message
    piece.set(part);
    target?.set(piece, at);
    state = run(state, pieceAt + shift, part.length);
  }
  return state;
}

function instantiate(): (state: number, at: number, length: number) => number {
  const { Memory, Instance } = webAssembly();
  const memory = new Memory({ initial: 3, maximum: 3 });
  const { exports } = new Instance(compile(binary), { env: { memory } });
  new Uint32Array(memory.buffer, 0, 256).set(byteTable);
  new Uint8Array(memory.buffer, foldTablesAt, 512).set(foldTables());
  pieces = new Uint8Array(memory.buffer, pieceAt);
  const kernel = exports.crc32c!;
  return (state, at, length) => kernel(state, at, length, 0, foldTablesAt, scratchAt)! >>> 0;
}

/** Bytes of a block, and between two of the four bytes that the fold keeps together. (At 16 such four bytes would not span all states.) */
const block = 128;
const stride = 32;

/**
 * The matrix M of assembly/crc32c.ts as tables over nibbles: M keeps the CRC of a block when `block` zeros behind it are taken away. For byte k of
 * the four, nibble half h, byte o of the result and value v of the nibble: table[((k * 2 + h) * 4 + o) * 16 + v].
 */
function foldTables(): Uint8Array {
  // Column 8 k + i of A: the state that bit i of byte k stands for. M = A^-1 * zeros * A.
  const columns = Array.from({ length: 32 }, (_, column) =>
    afterZeros(byteTable[1 << (column & 7)]!, stride * (3 - (column >> 3))),
  );
  const images = solve(
    columns,
    columns.map((state) => afterZeros(state, block)),
  );
  const tables = new Uint8Array(512);
  for (let at = 0; at < 512; at++) {
    const [nibble, output, value] = [at >> 6, (at >> 4) & 3, at & 15];
    let word = 0;
    for (let bit = 0; bit < 4; bit++) if (value & (1 << bit)) word ^= images[4 * nibble + bit]!;
    tables[at] = word >>> (8 * output);
  }
  return tables;
}

/** For each target the set of columns (as bits) whose sum over GF(2) it is, by elimination. The columns are independent. */
function solve(columns: readonly number[], targets: readonly number[]): number[] {
  const rows = columns.map((value, index) => ({ value, combination: 1 << index }));
  const pivots: { bit: number; value: number; combination: number }[] = [];
  const reduce = (row: { value: number; combination: number }): { value: number; combination: number } => {
    let { value, combination } = row;
    for (const pivot of pivots) {
      if (value & pivot.bit) {
        value ^= pivot.value;
        combination ^= pivot.combination;
      }
    }
    return { value, combination };
  };
  for (const row of rows) {
    const { value, combination } = reduce(row);
    pivots.push({ bit: value & -value, value, combination });
  }
  return targets.map((value) => reduce({ value, combination: 0 }).combination);
}
