/** @file Whether this process has sockets left. */

/** TCP sockets, servers and attempts to connect that live in this process. */
export function openSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name.startsWith('TCP')).length;
}

/** Waits for something that needs some turns of the event loop. The limit is generous: it only turns a hang into a failure. */
export async function until(condition: () => boolean, limitMs = 10_000): Promise<void> {
  const end = performance.now() + limitMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`until: not within ${limitMs} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
