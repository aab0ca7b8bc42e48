/** @file How the driver gets blocks where memory is not shared: by a task that reads them on a worker. */
import type { PinnedBlocks } from './blocks.ts';
import type { TaskContext } from './engine.ts';

/** This module's address, for the stage. */
export const fetchModule: string = import.meta.url;

/** A stage function: the bytes of the named blocks, whole. */
export async function readBlocks(
  context: TaskContext,
  { pinned, names }: { readonly pinned: PinnedBlocks; readonly names: readonly string[] },
): Promise<Record<string, Uint8Array>> {
  const blocks = await context.openBlocks(pinned, names);
  return Object.fromEntries(names.map((name) => [name, blocks.whole(name, pinned.version).slice()]));
}
