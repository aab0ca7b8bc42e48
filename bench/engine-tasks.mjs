/** What workers run for bench/engine.bench.mjs. */
import { performance } from 'node:perf_hooks';

/** A task that does nothing. */
export const nothing = (_context, input) => input;

const floats = (bytes) => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);

function spin(us) {
  const end = performance.now() + us / 1000;
  while (performance.now() < end);
}

/**
 * Parameter synchronisation without a model: `compute` takes `computeUs` and writes a whole gradient, `update` takes `updateUs` and sums the unit's
 * slice of all gradients into the weights. With `copies` false nothing is written: what remains is the engine's own cost.
 */
export function synchronise({ blocks }, { units, computeUs = 0, updateUs = 0, copies }) {
  return {
    run(phase, unit, iteration) {
      spin(phase === 'compute' ? computeUs : updateUs);
      if (!copies) return;
      if (phase === 'compute') {
        blocks.whole('weights', iteration);
        floats(blocks.part('gradient', unit, iteration + 1)).fill(iteration + unit);
        return;
      }
      const next = floats(blocks.part('weights', unit, iteration + 1));
      const from = unit * next.length;
      for (let p = 0; p < units; p++) {
        const gradient = floats(blocks.part('gradient', p, iteration + 1)).subarray(from, from + next.length);
        if (p === 0) next.set(gradient);
        else for (let i = 0; i < next.length; i++) next[i] += gradient[i];
      }
    },
  };
}
