/** @file A live loop: its blocks, how far it is, and how it is stopped between iterations. */
import type { EngineError } from '../errors.ts';
import { type BlockSpec, type BlockSpecs, type BlockTable, createBlocks } from './blocks.ts';
import type { LoopSpec } from './engine.ts';
import { inputError } from './job-error.ts';
import { isComputing, type LiveWorker } from './live-worker.ts';
import { LINE_NUMBERS, ReportRing, reportBlock } from './report-ring.ts';

/** All workers waiting and no version moving for so many looks in a row (50 ms each) is a deadlock. */
const DEADLOCK_LOOKS = 60;

/** A loop, as the driver holds it. */
export interface LiveLoop {
  readonly spec: LoopSpec;
  readonly blocks: BlockTable;
  readonly reports: ReportRing;
  /** Whether workers have entered since the loop last stood. */
  entered: boolean;
  /** The iteration at which all units stood when workers entered. */
  floor: number;
  /** The `advance` that is running. */
  pending: PendingAdvance | null;
  /** Why it ended, if it failed. */
  failed: EngineError | null;
  /** The versions that were last seen, and how many looks in a row saw them stand still. */
  progressSeen: string;
  looks: number;
}

/** An `advance` that is running: it ends at `to`, or where the units meet after the caller said stop. */
export interface PendingAdvance {
  /** The iteration at which it began. */
  readonly from: number;
  readonly to: number;
  stopped: boolean;
  resolve(iteration: number): void;
  reject(error: Error): void;
}

/**
 * The blocks where memory is not shared. What phases write keeps its last version too: who takes a unit over may have to do an iteration again, for
 * which the others must still have what they wrote in it. And what iterations report is a block.
 */
function separateBlocks({ blocks, phases, units }: LoopSpec): BlockSpecs {
  const written = new Set(phases.map(({ writes }) => writes));
  const specs: Record<string, BlockSpec> = {};
  for (const [name, spec] of Object.entries(blocks)) specs[name] = written.has(name) ? { ...spec, slots: 2 } : spec;
  const unitBytes = Array.from({ length: units }, (_, unit) => (unit === 0 ? 8 * LINE_NUMBERS : 0));
  specs[reportBlock] = { unitBytes, slots: 2, versionOf: phases[phases.length - 1]!.writes, isPrivate: true };
  return specs;
}

/** Makes a loop's blocks. What travels is copied, so that workers that join later get what the caller passed. */
export function createLiveLoop(id: number, given: LoopSpec, hasData: boolean): LiveLoop {
  let spec: LoopSpec;
  try {
    spec = { ...given, program: structuredClone(given.program), inputs: structuredClone(given.inputs) };
  } catch (thrown) {
    throw inputError(given.name, thrown);
  }
  const { units, startIteration: startVersion } = spec;
  const specs = hasData ? spec.blocks : separateBlocks(spec);
  const blocks = createBlocks({ id, units, specs, startVersion, hasData });
  return {
    spec,
    blocks,
    reports: new ReportRing(blocks.handles.reports),
    entered: false,
    floor: spec.startIteration,
    pending: null,
    failed: null,
    progressSeen: '',
    looks: 0,
  };
}

/** Iterations that all units have finished. */
export function iterationOf({ spec, blocks }: LiveLoop): number {
  return Math.max(spec.startIteration, Math.min(...spec.phases.map((phase) => blocks.minVersion(phase.writes))));
}

/** Whether a loop that should advance has not for too long, with every worker there and none computing. */
export function standsStill(loop: LiveLoop, workers: readonly LiveWorker[]): boolean {
  if (loop.pending === null) return false;
  const arrived = workers.map(({ vitals }) => vitals.receivedCount);
  const versions = [...loop.spec.phases.map(({ writes }) => versionsOf(loop.blocks, writes)), arrived].join(';');
  const allWait = workers.every((worker) => worker.ready && worker.terminatedMs === null && !isComputing(worker));
  if (!allWait || versions !== loop.progressSeen) loop.looks = 0;
  loop.progressSeen = versions;
  return ++loop.looks > DEADLOCK_LOOKS;
}

function versionsOf(blocks: BlockTable, name: string): string {
  return Array.from({ length: blocks.units }, (_, unit) => blocks.version(name, unit)).join();
}
