/** @file How a task on a worker process gets blocks of a loop that stands: what is not in this process is asked of those that have it. */
import type { BlockHandles, PinnedBlocks } from '../blocks.ts';
import { NOBODY } from '../blocks.ts';
import type { Exchange } from './exchange.ts';
import { LocalLoop } from './local-loop.ts';

/** How often all are asked for a part, and how long it is waited in between. */
const ROUNDS = 5;
const ROUND_MS = 100;

/** Handles of the process's own memory in which the named blocks are whole at the version; null if nobody has some part. */
export async function fetchPinned(
  { blocks: given, version }: PinnedBlocks,
  names: readonly string[],
  owners: readonly number[],
  loops: ReadonlyMap<number, LocalLoop>,
  exchange: Exchange,
): Promise<BlockHandles | null> {
  const open = loops.get(given.id);
  // A worker that takes no part in the loop keeps the parts for the task only.
  const loop = open ?? new LocalLoop(given, [{ name: '', writes: names[0]!, needs: names[0]!, lag: 0 }], version);
  const parts = names.flatMap((block) => given.specs[block]!.unitBytes.map((bytes, unit) => ({ block, unit, bytes })));
  const arrived = parts.map(async ({ block, unit, bytes }) => {
    if (bytes === 0 || loop.held.has(block, unit, version)) return true;
    const owner = owners[unit] ?? NOBODY;
    const ranges = [{ offsetBytes: 0, lengthBytes: bytes }];
    // A connection may be broken for a moment, and workers come and go: what nobody has is asked for a few times.
    for (let round = 0; round < ROUNDS; round++) {
      if (round > 0) await new Promise((resolve) => setTimeout(resolve, ROUND_MS));
      const others = exchange.peers.filter((peer) => peer !== owner);
      for (const peer of owner === NOBODY ? others : [owner, ...others]) {
        if (!(await exchange.get(loop, { block, unit, owner: peer, ranges, from: version }))) continue;
        // What arrived belongs to the version that all stand at.
        loop.held.add(block, unit, version);
        return true;
      }
    }
    return false;
  });
  const all = await Promise.all(arrived);
  return all.every(Boolean) ? loop.blocks.handles : null;
}
