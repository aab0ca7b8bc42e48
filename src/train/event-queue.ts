/** @file A queue between a run, which pushes events as they happen, and the `for await` loop that reads them. */

/** An unbounded queue that can be read once, as an async iterator. */
export class EventQueue<T> {
  private readonly items: T[] = [];
  private ended = false;
  private failure: { readonly error: unknown } | null = null;
  private wake: (() => void) | null = null;

  push(item: T): void {
    this.items.push(item);
    this.wake?.();
  }

  /** No more events will come. */
  end(): void {
    this.ended = true;
    this.wake?.();
  }

  /** The reader throws `error` after it has read what is there. */
  fail(error: unknown): void {
    this.failure = { error };
    this.wake?.();
  }

  async *read(): AsyncGenerator<T, void, undefined> {
    for (;;) {
      while (this.items.length > 0) yield this.items.shift()!;
      if (this.failure !== null) throw this.failure.error;
      if (this.ended) return;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
      this.wake = null;
    }
  }
}
