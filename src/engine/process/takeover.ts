/**
 * @file How a worker process comes to own a unit: it asks all others what they have of it, takes the newest whole state, and goes on from there. Whole
 * state is with the unit's last owner if that lives, and else with the worker that kept a copy of what was private to it. The copy may be one
 * iteration behind what others have seen; then that iteration is done again, with the same bits. If nobody has it, it is lost, and with it the
 * loop: its user goes on from the last snapshot.
 */
import { EngineError } from '../../errors.ts';
import { NOBODY } from '../blocks.ts';
import type { EnterMessage, Holdings } from './control.ts';
import type { Exchange } from './exchange.ts';
import type { LocalLoop } from './local-loop.ts';

/** Gets the state of a unit into `loop`, unless the epoch ends first. @throws EngineError `BLOCKS_LOST` */
export async function takeOverUnit(
  loop: LocalLoop,
  unit: number,
  { epoch, versions, floor }: EnterMessage,
  exchange: Exchange,
): Promise<void> {
  const firstLine = Math.max(versions[unit]!, loop.startIteration);
  const tried = new Set<number>();
  while (loop.blocks.epoch === epoch) {
    const { peers } = exchange;
    const own = { peer: NOBODY, has: loop.holdings(unit, firstLine) };
    const asked = peers.map(async (peer) => {
      const has = await exchange.holdings(peer, loop.job, unit, firstLine);
      return has === null || tried.has(peer) ? [] : [{ peer, has }];
    });
    const offers = (await Promise.all(asked)).flat();
    const seen = Math.max(versions[unit]!, own.has.seen, ...offers.map(({ has }) => has.seen));
    const best = offers.reduce((a, b) => (b.has.state > a.has.state ? b : a), own);
    const { state } = best.has;
    if (state < loop.startIteration || state < seen - 1) {
      // The first version is never lost: it follows from the loop's own arguments.
      if (seen - 1 > loop.startIteration) throw lost(loop, unit, state, seen);
      loop.startAnew(unit);
      if (unit === 0) loop.reportFrom(loop.startIteration, []);
      return;
    }
    if (best.peer !== NOBODY && !(await fetchState(loop, unit, state, best.peer, exchange))) {
      tried.add(best.peer); // gone meanwhile: ask again
      continue;
    }
    // Who is one iteration behind may need what this unit wrote in its last one: then that is done again.
    loop.takeOver(unit, state, state === seen ? Math.max(floor, state - 1) : state);
    if (unit === 0) loop.reportFrom(firstLine, linesOf(best.has, firstLine));
    return;
  }
}

function linesOf({ lines, state }: Holdings, firstLine: number): readonly (readonly number[])[] {
  return lines.slice(0, Math.max(0, state - firstLine));
}

/** Gets a unit's state at a version, and what readers may still need of the one before. */
async function fetchState(
  loop: LocalLoop,
  unit: number,
  version: number,
  owner: number,
  exchange: Exchange,
): Promise<boolean> {
  const { specs } = loop.blocks.handles;
  const get = async (block: string, from: number): Promise<boolean> => {
    const ranges = [{ offsetBytes: 0, lengthBytes: specs[block]!.unitBytes[unit]! }];
    return exchange.get(loop, { block, unit, owner, ranges, from });
  };
  const blocks = loop.stateBlocks.filter((block) => block === loop.main || specs[block]!.unitBytes[unit]! > 0);
  const arrived = await Promise.all(blocks.map((block) => get(block, version)));
  if (!arrived.every(Boolean)) return false;
  for (const block of blocks) loop.held.add(block, unit, version);
  const older = await get(loop.main, version - 1);
  if (older) loop.held.addOlder(loop.main, unit, version - 1);
  return true;
}

function lost({ job, main }: LocalLoop, unit: number, state: number, seen: number): EngineError {
  return new EngineError(
    'BLOCKS_LOST',
    `loop: some worker must have the state of unit ${unit} at version ${seen - 1} or later, got version ${state}: too many workers were lost at ` +
      'once. Go on from the last checkpoint.',
    { job, block: main, unit, version: seen, newest: state },
  );
}
