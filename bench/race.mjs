/**
 * How rows with peers are measured. The machines are shared and noisy (the same code moves by a factor of two), so nothing is compared with a number
 * of another minute: the probe of the roofline, our kernel and every peer take turns in slices of a few milliseconds, hundreds of them, and
 * what is compared is best with best; medians stand beside.
 *
 * Not tinybench: it runs one task to its end before the next begins, and a neighbour's load in between falls on one of the two. It serves where
 * there is nothing to take turns with (bench/engine.bench.mjs).
 */
import { performance } from 'node:perf_hooks';

/**
 * @typedef {object} Runner something that takes part in a race
 * @property {string} name
 * @property {(repeats: number) => number | Promise<number>} run does its work `repeats` times and gives the elapsed milliseconds, measured
 *   where the work is done
 */

/** A runner of a synchronous function. */
export function inProcess(name, once) {
  const run = (repeats) => {
    const start = performance.now();
    for (let i = 0; i < repeats; i++) once();
    return performance.now() - start;
  };
  return { name, run };
}

/** Runs until the engines' compilers have settled, and gives the number of repeats that fill a slice of `sliceMs`. */
async function warm(runner, sliceMs, warmMs) {
  const end = performance.now() + warmMs;
  let repeats = 1;
  let perRun = Number.POSITIVE_INFINITY;
  do {
    const elapsed = await runner.run(repeats);
    perRun = Math.min(perRun, elapsed / repeats);
    if (elapsed < sliceMs / 2) repeats *= 2;
  } while (performance.now() < end);
  return Math.max(1, Math.round(sliceMs / perRun));
}

function summary(times) {
  const sorted = times.slice().sort((a, b) => a - b);
  return { bestMs: sorted[0], medianMs: sorted[sorted.length >> 1], n: sorted.length };
}

/**
 * Slices that everybody gets, however long they are: the best of a few says little where neighbours take a third of the time, and a probe has hundreds of short ones. A slice of a training takes seconds.
 */
const leastSlicesOf = (leadMs) => (leadMs < 500 ? 32 : 12);
/** A runner whose slice is so many times as long as the first one's gets one slice, which is not counted in the seconds: it would take the others' turns. */
const laggardShares = 8;
/** One that has used so many times the first one's time waits. */
const mostShares = 3;

/**
 * Lets the runners take turns for `seconds`. Slices are `sliceMs` long, or as long as one run of the first runner: a longer slice is more likely
 * to be disturbed, so all of a race have one length. Those whose single run is much longer get fewer, or one.
 *
 * @param {readonly Runner[]} runners the first one gives the length of all slices
 * @returns milliseconds per run: best and median slice, number of slices, by name
 */
export async function race(runners, seconds, sliceMs = 4) {
  const warmMs = Math.min(150, 100 * seconds);
  const lead = await warm(runners[0], sliceMs, warmMs);
  const repeats = [lead];
  const leadMs = await runners[0].run(lead);
  for (const runner of runners.slice(1)) repeats.push(await warm(runner, Math.max(sliceMs, leadMs), warmMs));
  const times = runners.map(() => []);
  const spent = runners.map(() => 0);
  const leastSlices = leastSlicesOf(leadMs);
  const isLaggard = (i) => spent[i] > laggardShares * Math.max(sliceMs, leadMs) * times[i].length;
  let left = 1000 * seconds;
  // Each round starts with another runner, so that nobody always runs behind the same neighbour.
  for (let round = 0; left > 0 || round < leastSlices; round++) {
    for (let turn = 0; turn < runners.length; turn++) {
      const i = (round + turn) % runners.length;
      if (isLaggard(i) || (times[i].length >= leastSlices && spent[i] > mostShares * spent[0])) continue;
      const elapsed = await runners[i].run(repeats[i]);
      times[i].push(elapsed / repeats[i]);
      spent[i] += elapsed;
      if (!isLaggard(i)) left -= elapsed;
    }
  }
  return new Map(runners.map(({ name }, i) => [name, summary(times[i])]));
}
