/** @file A plan of kills drawn from a seed, to prove that a run survives them: half at named points, half at random times. */
import type { FaultPoint } from '../engine/engine.ts';
import { Random } from '../random.ts';
import { stream } from './plan.ts';

/** Points inside each phase at which a worker can be told to stop. */
const offsets = { forward: 2, backward: 2, publish: 3, update: 3, checkpoint: 3 } as const;

/** The phases that a plan names. */
export const faultPhases = Object.keys(offsets) as (keyof typeof offsets)[];

/** A plan of kills. */
export interface ChaosPlan {
  readonly points: readonly FaultPoint[];
  /** Fractions of the expected run time at which a random worker is killed, rising. */
  readonly times: readonly number[];
}

/** Where a run can be hit. */
export interface ChaosRange {
  /** First and last (excluded) iteration. */
  readonly from: number;
  readonly to: number;
  readonly partitions: number;
  /** Iterations after which a checkpoint is written; empty without checkpoints. */
  readonly checkpoints: readonly number[];
}

/** Draws a plan: each phase once or twice, and as many kills at random times. */
export function drawChaos(seed: number, range: ChaosRange): ChaosPlan {
  const random = new Random(seed, stream('chaos', 0, 0));
  const below = (n: number): number => random.below(n);
  const points: FaultPoint[] = [];
  for (const phase of faultPhases) {
    if (phase === 'checkpoint' && range.checkpoints.length === 0) continue;
    for (let times = 1 + below(2); times > 0; times--) {
      const iteration =
        phase === 'checkpoint'
          ? range.checkpoints[below(range.checkpoints.length)]!
          : range.from + below(range.to - range.from);
      const unit = phase === 'checkpoint' ? 0 : below(range.partitions);
      points.push({ phase, unit, iteration, offset: below(offsets[phase]) });
    }
  }
  const distinct = points.filter((point, i) => points.findIndex((other) => samePoint(point, other)) === i);
  const times = distinct.map(() => random.float64()).sort((a, b) => a - b);
  return { points: distinct, times };
}

function samePoint(a: FaultPoint, b: FaultPoint): boolean {
  return a.phase === b.phase && a.unit === b.unit && a.iteration === b.iteration && a.offset === b.offset;
}
