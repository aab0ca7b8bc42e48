/** Prepares batches of the reference run, and now and then hangs or takes all memory: when a file says so. */
import { renameSync } from 'node:fs';
import { join } from 'node:path';

export function prepare({ count, fields }, { folder }) {
  if (claim(folder, 'hang')) for (;;);
  if (claim(folder, 'memory')) for (const kept = []; ; ) kept.push(new Array(1000).fill(Math.random()));
  const pixels = fields.image.data;
  const input = new Float32Array(pixels.length);
  for (let i = 0; i < input.length; i++) input[i] = (pixels[i] / 255 - 0.1307) / 0.3081;
  return {
    input: { data: input, shape: [count, 1, 28, 28] },
    target: { data: Int32Array.from(fields.label.data), shape: [count] },
  };
}

/** Whether there was such a file: it is gone now, so that one worker alone has found it. */
function claim(folder, name) {
  try {
    renameSync(join(folder, name), join(folder, `${name}-claimed`));
    return true;
  } catch {
    return false;
  }
}
