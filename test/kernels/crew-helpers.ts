/** @file Helpers of a crew in tests: a thread of the built package, because Node 20 cannot load TypeScript in one. */

/** The main module of a helper. */
export const helperModule = new URL('../../dist/src/intra-op/thread-main.js', import.meta.url);

/** Resolves when the condition holds. @throws after `patienceMs` */
export async function until(condition: () => boolean, patienceMs = 20_000): Promise<void> {
  const end = performance.now() + patienceMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not so after ${patienceMs} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
