/** @file Learning rates over time, as plain records. Only + - * / and running products: the same bits everywhere. */
import { ArgumentError } from '../errors.ts';

/** How the learning rate changes from iteration to iteration. */
export type Schedule =
  | { readonly name: 'constant' }
  | { readonly name: 'linearDecay' }
  | { readonly name: 'step'; readonly every: number; readonly gamma: number };

/**
 * The base learning rate throughout.
 *
 * @example
 * optim.learningRateAt(optim.constant(), 0.1, 50, 100); // => 0.1
 */
export function constant(): Schedule {
  return { name: 'constant' };
}

/**
 * From the base learning rate in a straight line to 0, which it would reach one iteration after the last.
 *
 * @example
 * optim.learningRateAt(optim.linearDecay(), 0.1, 50, 100); // => 0.05
 */
export function linearDecay(): Schedule {
  return { name: 'linearDecay' };
}

/**
 * Multiplied by `gamma` after every `every` iterations.
 *
 * @throws ArgumentError if `every` is not a whole number >= 1 or gamma is negative.
 * @example
 * optim.learningRateAt(optim.step({ every: 30, gamma: 0.5 }), 0.1, 60, 100); // => 0.025
 */
export function step(options: { readonly every: number; readonly gamma: number }): Schedule {
  const { every, gamma } = options;
  if (!(Number.isInteger(every) && every >= 1 && gamma >= 0)) {
    throw new ArgumentError(
      `step: every must be a whole number >= 1 and gamma >= 0, got ${every} and ${gamma}. Check the schedule.`,
      { every, gamma },
    );
  }
  return { name: 'step', every, gamma };
}

/**
 * The learning rate of iteration 0 .. totalIterations - 1.
 *
 * @example
 * optim.learningRateAt(optim.linearDecay(), 1, 0, 100); // => 1
 */
export function learningRateAt(schedule: Schedule, baseLr: number, iteration: number, totalIterations: number): number {
  if (schedule.name === 'constant') return baseLr;
  if (schedule.name === 'linearDecay') return (baseLr * Math.max(0, totalIterations - iteration)) / totalIterations;
  let lr = baseLr;
  for (let done = schedule.every; done <= iteration; done += schedule.every) lr *= schedule.gamma;
  return lr;
}
