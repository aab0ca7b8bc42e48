/**
 * @file The worker's side of a loop: a data-flow machine over block versions. There is no barrier: a phase of a unit runs as soon as the versions
 * that it needs are there. Where a unit stands is read from the version words alone, so a worker that takes a unit over goes on exactly
 * where its last owner was stopped.
 */
import { EngineError } from '../errors.ts';
import type { BlockTable } from './blocks.ts';
import type { LoopProgram, Phase } from './engine.ts';
import { type Vitals, vitalState } from './vitals.ts';

/** Longest turn of waiting: bounds how late a worker sees a new epoch whose wake-up it missed. */
const WAIT_TURN_MS = 20;

/** A phase of a unit that is to run next. */
export interface Work {
  readonly unit: number;
  readonly iteration: number;
  readonly phase: number;
}

/** Where a unit stands: its first phase that has not published yet. */
export function nextWork(blocks: BlockTable, phases: readonly Phase[], unit: number): Work {
  const iteration = blocks.version(phases[phases.length - 1]!.writes, unit);
  const phase = phases.findIndex(({ writes }) => blocks.version(writes, unit) === iteration);
  return { unit, iteration, phase };
}

/** The first unit whose part of the needed block is too old for this work, or -1 if it can run. */
export function firstUnmet(blocks: BlockTable, phases: readonly Phase[], { iteration, phase }: Work): number {
  const { needs, lag } = phases[phase]!;
  for (let unit = 0; unit < blocks.units; unit++) {
    if (blocks.version(needs, unit) < iteration + lag) return unit;
  }
  return -1;
}

/** What a worker needs to run a loop. */
export interface LoopRun {
  readonly blocks: BlockTable;
  readonly phases: readonly Phase[];
  readonly program: LoopProgram;
  readonly vitals: Vitals;
  readonly units: readonly number[];
  readonly epoch: number;
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
  const { blocks, phases, program, vitals } = run;
  for (;;) {
    if (blocks.epoch !== run.epoch) return 'reassigned';
    const limit = blocks.limit;
    const work = chooseWork(run, limit);
    if (work === 'done') return { done: true, limit };
    const unmet = firstUnmet(blocks, phases, work);
    if (unmet >= 0) {
      if (run.yields) return { at: phases[work.phase]!.name, error: deadlock(phases[work.phase]!, unmet) };
      waitForUnit(run, work, unmet);
      continue;
    }
    const phase = phases[work.phase]!;
    vitals.begin(work.phase, work.unit, work.iteration);
    try {
      program.run(phase.name, work.unit, work.iteration);
    } catch (error) {
      return { at: `${phase.name} of unit ${work.unit} in iteration ${work.iteration}`, error };
    }
    blocks.publish(phase.writes, work.unit, work.iteration + 1);
    if (run.yields) return 'yielded';
  }
}

/** Inline there is nobody else whose work could be waited for. */
function deadlock({ needs }: Phase, unit: number): EngineError {
  const rule = `all parts of ${needs} must be written by some phase, got none that writes unit ${unit} next`;
  return new EngineError('DEADLOCK', `loop: ${rule}. Check the phases.`, { needs, unit });
}

/** The earliest work of the worker's units, preferring work that can run now; `done` if all units are at the limit. */
function chooseWork({ blocks, phases, units }: LoopRun, limit: number): Work | 'done' {
  let blocked: Work | undefined;
  let best: Work | undefined;
  for (const unit of units) {
    const work = nextWork(blocks, phases, unit);
    if (work.iteration >= limit) continue;
    if (firstUnmet(blocks, phases, work) >= 0) blocked = earlier(work, blocked);
    else best = earlier(work, best);
  }
  return best ?? blocked ?? 'done';
}

function earlier(a: Work, b: Work | undefined): Work {
  if (b === undefined || a.iteration < b.iteration) return a;
  return a.iteration === b.iteration && a.phase < b.phase ? a : b;
}

function waitForUnit({ blocks, phases, program, vitals }: LoopRun, work: Work, unit: number): void {
  const { needs } = phases[work.phase]!;
  const seen = blocks.version(needs, unit);
  const start = performance.now();
  if (seen < work.iteration + phases[work.phase]!.lag) {
    vitals.state = vitalState.waiting;
    blocks.wait(needs, unit, seen, WAIT_TURN_MS);
  }
  program.account?.('wait', performance.now() - start);
}
