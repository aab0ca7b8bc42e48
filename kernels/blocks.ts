/** @file The canonical order of long sums of products, shared by matrix multiplication and convolution. */
import type { Round } from './define.ts';

/** Steps of k that are summed from +0 before their sum enters the running result; assembly/tile.ts has the same number. */
export const blockLength = 256;

/** Adds products to a result in the canonical order: blocks of 256 from +0, block sums added in order. */
export class BlockedSum {
  result: number;
  readonly #round: Round;
  #sum = 0;
  #count = 0;

  constructor(round: Round, start: number) {
    this.#round = round;
    this.result = start;
  }

  /** The next product, already rounded. */
  add(product: number): void {
    this.#sum = this.#round(this.#sum + product);
    if (++this.#count === blockLength) this.endBlock();
  }

  /** Adds what the last block holds. Call it once, after the last product. */
  endBlock(): void {
    if (this.#count === 0) return;
    this.result = this.#round(this.result + this.#sum);
    this.#sum = 0;
    this.#count = 0;
  }
}
