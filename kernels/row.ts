/** @file The canonical order in which shoal sums: given by the number of elements only, never by threads, tiles or vector width. */
import type { Round } from './define.ts';

type Floats = Float32Array | Float64Array;

/** Elements of a contiguous row that are summed in lanes before the sums are paired. */
const rowBlock = 1024;
/** Rows that are added one after the other before the sums are paired, where the summed dimension is strided. */
const columnBlock = 64;

/** The order of `sumRow`, for contracts. */
export const rowOrder =
  'Blocks of 1024 elements. In a block: 16 sums from +0, element i added to sum i mod 16, in order of i; then t[j] = (s[j] + s[j+4]) + (s[j+8] + s[j+12]) ' +
  'for j = 0..3, then (t[0] + t[2]) + (t[1] + t[3]). Block sums are paired like a binary counter (two sums of 2^k blocks become one, earlier + ' +
  'later); what is left is added from the latest (smallest) to the earliest, earlier + later.';

/** The order of `sumColumn`, for contracts. */
export const columnOrder = 'Blocks of 64 rows, each summed in order from +0; block sums are paired as in a row.';

/** Sums of blocks, paired like a binary counter. */
class PairedSum {
  readonly #round: Round;
  readonly #levels: number[] = [];
  #blocks = 0;

  constructor(round: Round) {
    this.#round = round;
  }

  add(blockSum: number): void {
    let sum = blockSum;
    let level = 0;
    for (let bits = this.#blocks; bits % 2 === 1; bits = (bits - 1) / 2)
      sum = this.#round(this.#levels[level++]! + sum);
    this.#levels[level] = sum;
    this.#blocks += 1;
  }

  total(): number {
    let sum: number | undefined;
    this.#levels.forEach((partial, level) => {
      if (((this.#blocks >> level) & 1) === 1) sum = sum === undefined ? partial : this.#round(partial + sum);
    });
    return sum ?? 0;
  }
}

function sumBlock(round: Round, x: Floats, start: number, length: number): number {
  const s = new Array<number>(16).fill(0);
  for (let i = 0; i < length; i++) s[i % 16] = round(s[i % 16]! + x[start + i]!);
  const t = [0, 1, 2, 3].map((j) => round(round(s[j]! + s[j + 4]!) + round(s[j + 8]! + s[j + 12]!)));
  return round(round(t[0]! + t[2]!) + round(t[1]! + t[3]!));
}

/** The sum of `length` contiguous elements from `start`. */
export function sumRow(round: Round, x: Floats, start: number, length: number): number {
  const total = new PairedSum(round);
  for (let i = 0; i < length; i += rowBlock) total.add(sumBlock(round, x, start + i, Math.min(rowBlock, length - i)));
  return total.total();
}

/** The sum of `length` elements from `start`, `stride` apart. */
export function sumColumn(round: Round, x: Floats, start: number, length: number, stride: number): number {
  const total = new PairedSum(round);
  for (let first = 0; first < length; first += columnBlock) {
    let sum = 0;
    for (let i = first; i < Math.min(length, first + columnBlock); i++) sum = round(sum + x[start + i * stride]!);
    total.add(sum);
  }
  return total.total();
}

/** The largest of `length` >= 1 contiguous elements, never -0; any result if one is NaN. */
export function maxRow(x: Floats, start: number, length: number): number {
  let largest = x[start]!;
  for (let i = 1; i < length; i++) if (largest < x[start + i]!) largest = x[start + i]!;
  return largest + 0;
}

/** An array of the same type for intermediate values, which storing rounds. */
export function arrayLike(x: Floats, length: number): Floats {
  return x instanceof Float32Array ? new Float32Array(length) : new Float64Array(length);
}
