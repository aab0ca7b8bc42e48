/** Inputs that every contestant makes for itself from a formula, and the digest by which it shows that it computed the same. */

/** The seed of an input by its role; bench/peers/pytorch.py has the same ones. */
export const seeds = { a: 1, b: 2, x: 3, weight: 4, bias: 5, gradY: 6, gradient: 7 };

/** float32 of 2 * sin(0.37 * i + seed). */
export function wave(length, seed) {
  const values = new Float32Array(length);
  for (let i = 0; i < length; i++) values[i] = 2 * Math.sin(0.37 * i + seed);
  return values;
}

/** Rows that an embedding looks up: all over the table, some twice. */
export const lookups = (count, vocabulary) => Int32Array.from({ length: count }, (_, i) => (i * 7919) % vocabulary);

/** [sum, sum of magnitudes]: the same for every layout of the elements. */
export function digest(values) {
  let [sum, magnitude] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    sum += values[i];
    magnitude += Math.abs(values[i]);
  }
  return [sum, magnitude];
}

/** Whether two digests are of the same result, up to rounding. */
export function sameDigest([sum, magnitude], [otherSum, otherMagnitude]) {
  const tolerance = 1e-3 * Math.max(magnitude, otherMagnitude);
  return Math.abs(sum - otherSum) <= tolerance && Math.abs(magnitude - otherMagnitude) <= tolerance;
}

/** [a, b, c, d] in the order of axes `order`: NCHW to NHWC and the like. */
export function permute(array, sizes, order) {
  const strides = [sizes[1] * sizes[2] * sizes[3], sizes[2] * sizes[3], sizes[3], 1];
  const [p, q, r, s] = order;
  const out = new Float32Array(array.length);
  let to = 0;
  for (let i = 0; i < sizes[p]; i++)
    for (let j = 0; j < sizes[q]; j++)
      for (let k = 0; k < sizes[r]; k++)
        for (let l = 0; l < sizes[s]; l++)
          out[to++] = array[i * strides[p] + j * strides[q] + k * strides[r] + l * strides[s]];
  return out;
}
