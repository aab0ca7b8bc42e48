/**
 * @file exp, log, tanh and sigmoid in double precision, for the float64 references (gradcheck). Only operations with one correct result are
 * used (+ - * / and comparison), so the bits are the same in every engine. Errors: test/kernels/math.test.ts.
 */

/** ln 2 in 32 bits, so that a product with an exponent is exact, and the rest. */
const ln2High = 0.6931471803691238;
const ln2Low = 1.9082149292705877e-10;

const doubles = new Float64Array(1);
const halves = new BigInt64Array(doubles.buffer);

/** 2^n for -1022 <= n <= 1023. */
function powerOfTwo(n: number): number {
  halves[0] = BigInt(n + 1023) << 52n;
  return doubles[0]!;
}

/** e^x, within 2 ulp. x = n ln 2 + r, Taylor's series of e^r to degree 13 (|r| <= 0.347, so the rest is below 1e-17). */
export function exp64(x: number): number {
  if (Number.isNaN(x)) return x;
  if (x > 710) return Infinity;
  if (x < -746) return 0;
  const n = Math.floor(x / Math.LN2 + 0.5);
  const r = x - n * ln2High - n * ln2Low;
  let sum = 0;
  for (let k = 13; k >= 2; k--) sum = ((sum + 1) * r) / k;
  // e^r = 1 + r (1 + r/2 (1 + r/3 (...)))
  const y = 1 + (r + r * sum);
  const n1 = Math.floor(n / 2);
  return y * powerOfTwo(n1) * powerOfTwo(n - n1);
}

/** The natural logarithm, within 2 ulp: 2 artanh((m - 1) / (m + 1)) for the mantissa m in [1 / sqrt 2, sqrt 2), plus the exponent's part. */
export function log64(x: number): number {
  if (x === 0) return -Infinity;
  if (x < 0) return Number.NaN;
  if (!(x < Infinity)) return x;
  const subnormal = x < 2.2250738585072014e-308;
  doubles[0] = subnormal ? x * 18_014_398_509_481_984 : x;
  const exponent = Number((halves[0]! >> 52n) & 0x7ffn) - 1023;
  halves[0] = (halves[0]! & 0xfffffffffffffn) | (1023n << 52n);
  let m = doubles[0]!;
  let k = subnormal ? exponent - 54 : exponent;
  if (m >= Math.SQRT2) {
    m /= 2;
    k += 1;
  }
  const g = m - 1;
  const s = g / (2 + g);
  const z = s * s;
  // 2 artanh(s) = 2s + s r with r = sum of 2 z^j / (2j + 1); z <= 0.0295, so 12 terms leave less than 1e-19.
  let r = 0;
  for (let j = 12; j >= 1; j--) r = (r + 2 / (2 * j + 1)) * z;
  // 2s + s r = g - (h - s (h + r)) with h = g^2 / 2: the large part g is exact.
  const h = 0.5 * g * g;
  return k * ln2High - (h - (s * (h + r) + k * ln2Low) - g);
}

/** The hyperbolic tangent, within 4 ulp: Lambert's continued fraction up to artanh(1/2), above 1 - 2 / (e^2x + 1). */
export function tanh64(x: number): number {
  const a = Math.abs(x);
  if (!(a >= 0.55)) {
    const z = x * x;
    let tail = 0;
    for (let k = 21; k >= 3; k -= 2) tail = z / (k + tail);
    return x / (1 + tail);
  }
  const y = 1 - 2 / (exp64(2 * a) + 1);
  return x < 0 ? -y : y;
}

/** 1 / (1 + e^-x), within 3 ulp, also for large negative x. */
export function sigmoid64(x: number): number {
  const e = exp64(-Math.abs(x));
  return (x < 0 ? e : 1) / (1 + e);
}
