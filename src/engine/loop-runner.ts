/**
 * @file The worker's side of a loop: a data-flow machine over block versions. There is no barrier: a phase of a unit runs as soon as the versions
 * that it needs are there. Where a unit stands is read from the version words alone, so a worker that takes a unit over goes on exactly
 * where its last owner was stopped.
 */
import { EngineError } from '../errors.ts';
import type { BlockTable, VersionTrack } from './blocks.ts';
import type { LoopProgram, Phase } from './engine.ts';
import { type Vitals, vitalState } from './vitals.ts';

/** Longest turn of waiting: bounds how late a worker sees a new epoch whose wake-up it missed. */
const WAIT_TURN_MS = 20;

/** Longest spin, and how often is asked before the clock is looked at. */
const SPIN_MS = 0.1;
const SPIN_TURNS = 100;

/** A phase of a unit that is to run next. */
export interface Work {
  readonly unit: number;
  readonly iteration: number;
  readonly phase: number;
}

/** The version words that a phase writes and needs. */
interface PhaseTracks extends Phase {
  readonly written: VersionTrack;
  readonly needed: VersionTrack;
}

/** Resolves the blocks' names once, for a loop that asks for versions all the time. */
export function tracksOf(blocks: BlockTable, phases: readonly Phase[]): readonly PhaseTracks[] {
  return phases.map((phase) => ({ ...phase, written: blocks.track(phase.writes), needed: blocks.track(phase.needs) }));
}

/**
 * Where a unit stands: at the first phase that has not published the oldest version. Its owner may be at work meanwhile; then this is where it
 * stood while it was read, or a little earlier: later phases are read first.
 */
export function nextWork(tracks: readonly PhaseTracks[], unit: number): Work {
  let iteration = Number.POSITIVE_INFINITY;
  let phase = 0;
  for (let index = tracks.length - 1; index >= 0; index--) {
    const version = tracks[index]!.written.version(unit);
    if (version > iteration) continue;
    iteration = version;
    phase = index;
  }
  return { unit, iteration, phase };
}

/**
 * Lowers the limit of a running loop to the earliest iteration at which all these units can meet. A unit starts iteration t only after it read a
 * limit > t, so nobody is past the newest iteration begun; the loop repeats until no unit was seen at or past the new limit.
 */
export function lowerLimit(blocks: BlockTable, phases: readonly Phase[], units: readonly number[]): void {
  const old = blocks.limit;
  const tracks = tracksOf(blocks, phases);
  for (let limit = -1; limit !== old; ) {
    let newest = -1;
    for (const unit of units) newest = Math.max(newest, nextWork(tracks, unit).iteration);
    if (newest < limit) return;
    limit = Math.min(old, newest + 1);
    blocks.limit = limit;
  }
}

/**
 * The last unit whose part of the needed block is too old for this work, or -1 if it can run. Owners work through their units in order, so who
 * waits for the last one is woken about once an iteration and not by every unit.
 */
function lastUnmet(tracks: readonly PhaseTracks[], { iteration, phase }: Work): number {
  const { needed, lag } = tracks[phase]!;
  return needed.lastBelow(iteration + lag);
}

/** Makes a version of a unit's part visible to all. */
export type Publish = (block: string, unit: number, version: number) => void;

/** What a worker needs to run a loop. */
export interface LoopRun {
  readonly blocks: BlockTable;
  readonly phases: readonly Phase[];
  readonly program: LoopProgram;
  readonly vitals: Vitals;
  readonly units: readonly number[];
  readonly epoch: number;
  readonly publish: Publish;
  /** Every worker has a core of its own: then a short wait need not go through the system, which takes 20 microseconds to wake a thread. */
  readonly spins: boolean;
  /** Inline: come back after one phase, so that the event loop gets its turn. */
  readonly yields: boolean;
}

/** How a run ended: all units at the limit that was seen, a new epoch, or (inline) one phase done. */
export type RunOutcome = 'reassigned' | 'yielded' | { readonly done: true; readonly limit: number };

/** A phase that threw, with where it happened. */
export interface PhaseFailure {
  readonly at: string;
  readonly error: unknown;
}

/** Runs the units until all have reached the limit or their owners change. Blocks the thread while it waits. */
export function runLoop(run: LoopRun): RunOutcome | PhaseFailure {
  const { blocks, program, vitals } = run;
  const tracks = tracksOf(blocks, run.phases);
  for (;;) {
    if (blocks.epoch !== run.epoch) return 'reassigned';
    const limit = blocks.limit;
    const work = chooseWork(tracks, run.units, limit);
    if (work === 'done') return { done: true, limit };
    const phase = tracks[work.phase]!;
    const unmet = lastUnmet(tracks, work);
    if (unmet >= 0) {
      if (run.yields) return { at: phase.name, error: deadlock(phase, unmet) };
      waitForUnit(run, phase, work.iteration, unmet);
      continue;
    }
    vitals.begin(work.phase, work.unit, work.iteration);
    try {
      program.run(phase.name, work.unit, work.iteration);
    } catch (error) {
      return { at: `${phase.name} of unit ${work.unit} in iteration ${work.iteration}`, error };
    }
    run.publish(phase.writes, work.unit, work.iteration + 1);
    if (run.yields) return 'yielded';
  }
}

/** Inline there is nobody else whose work could be waited for. */
function deadlock({ needs }: Phase, unit: number): EngineError {
  const rule = `all parts of ${needs} must be written by some phase, got none that writes unit ${unit} next`;
  return new EngineError('DEADLOCK', `loop: ${rule}. Check the phases.`, { needs, unit });
}

/** The earliest work of the worker's units, preferring work that can run now; `done` if all units are at the limit. */
function chooseWork(tracks: readonly PhaseTracks[], units: readonly number[], limit: number): Work | 'done' {
  let blocked: Work | undefined;
  let best: Work | undefined;
  for (const unit of units) {
    const work = nextWork(tracks, unit);
    if (work.iteration >= limit) continue;
    if (lastUnmet(tracks, work) >= 0) blocked = earlier(work, blocked);
    else best = earlier(work, best);
  }
  return best ?? blocked ?? 'done';
}

function earlier(a: Work, b: Work | undefined): Work {
  if (b === undefined || a.iteration < b.iteration) return a;
  return a.iteration === b.iteration && a.phase < b.phase ? a : b;
}

/** Asks again and again, for at most {@link SPIN_MS}. */
function spin(condition: () => boolean): void {
  const endMs = performance.now() + SPIN_MS;
  do {
    for (let turn = 0; turn < SPIN_TURNS; turn++) if (condition()) return;
  } while (performance.now() < endMs);
}

function waitForUnit(run: LoopRun, { needs, needed, lag }: PhaseTracks, iteration: number, unit: number): void {
  const { blocks, program, vitals } = run;
  const start = performance.now();
  const least = iteration + lag;
  if (run.spins) spin(() => needed.version(unit) >= least || blocks.epoch !== run.epoch);
  const seen = needed.version(unit);
  if (seen < least && blocks.epoch === run.epoch) {
    vitals.state = vitalState.waiting;
    blocks.wait(needs, unit, seen, WAIT_TURN_MS);
  }
  program.account?.('wait', performance.now() - start);
}
