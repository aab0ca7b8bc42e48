/**
 * @file erf, expm1, log1p, pow, sin, cos and what is made of them in double precision, for the float64 references (gradcheck). As in f64-math.ts,
 * only operations with one correct result, so that the bits are the same in every engine. Errors: test/kernels/math.test.ts.
 */
import { powerBy } from './f32-double.ts';
import { exp64, log64, sigmoid64 } from './f64-math.ts';

/** 2 / sqrt(pi). */
const twoOverRootPi = 1.1283791670955126;

/** 1 - erf(a) for a >= 2.5, by Laplace's continued fraction. */
function erfcOfLarge(a: number): number {
  let tail = 0;
  for (let k = 80; k >= 1; k--) tail = k / 2 / (a + tail);
  return (exp64(-a * a) * (twoOverRootPi / 2)) / (a + tail);
}

/** The error function, within 8 ulp: Kummer's series below 2.5, above it 1 - erfc by Laplace's continued fraction. */
export function erf64(x: number): number {
  const a = Math.abs(x);
  if (!(a < 2.5)) {
    if (!(a < 7)) return Number.isNaN(x) ? x : Math.sign(x);
    const y = 1 - erfcOfLarge(a);
    return x < 0 ? -y : y;
  }
  // e^-z times the sum of x (2z)^k / (1 3 5 ... (2k + 1)), z = x^2: all terms have one sign.
  const z = x * x;
  let term = x;
  let sum = x;
  for (let k = 1; k <= 60; k++) {
    term = (term * 2 * z) / (2 * k + 1);
    sum += term;
  }
  return twoOverRootPi * exp64(-z) * sum;
}

/** e^x - 1, within 4 ulp; -0 stays. */
export function expm1_64(x: number): number {
  if (x === 0) return x;
  if (!(Math.abs(x) < 1)) return exp64(x) - 1;
  let sum = 0;
  for (let k = 22; k >= 2; k--) sum = ((sum + 1) * x) / k;
  return x + x * sum;
}

/** ln(1 + x), within 4 ulp; -0 stays. */
export function log1p_64(x: number): number {
  const u = 1 + x;
  if (x === 0 || !(u > 0 && u < Infinity)) return x === 0 ? x : log64(u);
  // What 1 + x lost by rounding, to first order.
  return log64(u) + (x - (u - 1)) / u;
}

/** x to the power of y, within 2 + 2 |y ln x| ulp; special cases as in `powerBy`. */
export function pow64(x: number, y: number): number {
  return powerBy(x, y, log64, exp64);
}

/** pi / 2 in parts of 33 bits, so that products with numbers below 2^20 are exact. */
const halfPiParts = [1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21] as const;
/** Fraction bits of pi: as many as the largest double needs for its remainder. */
const fractionBits = 1200n;

/** atan(1 / n) times 2^fractionBits. */
function inverseTangent(n: bigint): bigint {
  let power = (1n << fractionBits) / n;
  let sum = power;
  for (let k = 3n; power !== 0n; k += 2n) {
    power = -power / (n * n);
    sum += power / k;
  }
  return sum;
}

/** x = n pi / 2 + r for large x, by whole numbers; pi by Machin's formula. */
function reduceLarge(x: number): readonly [quarter: number, r: number] {
  const halfPi = 8n * inverseTangent(5n) - 2n * inverseTangent(239n);
  // From 2^53 on x is whole; below it (and above 2^20) it has at most 32 bits of fraction.
  const scaled =
    x < 9_007_199_254_740_992 ? BigInt(x * 4_294_967_296) << (fractionBits - 32n) : BigInt(x) << fractionBits;
  const n = (scaled + halfPi / 2n) / halfPi;
  const r = Number((scaled - n * halfPi) >> (fractionBits - 200n));
  // 2^-200, in parts whose products stay normal.
  return [Number(n & 3n), r * 6.223015277861142e-61];
}

/** [sin, cos] for |x| up to the largest double, within 2 ulp of 1. */
function sineAndCosine(x: number): readonly [number, number] {
  const a = Math.abs(x);
  if (!(a < Infinity)) return [Number.NaN, Number.NaN];
  let quarter = Math.floor(a * (2 / Math.PI) + 0.5);
  let r = a;
  if (a < 1_048_576) for (const part of halfPiParts) r -= quarter * part;
  else [quarter, r] = reduceLarge(a);
  const z = r * r;
  let sine = 0;
  let cosine = 0;
  for (let k = 9; k >= 1; k--) {
    sine = -((1 + sine) * z) / (2 * k * (2 * k + 1));
    cosine = -((1 + cosine) * z) / (2 * k * (2 * k - 1));
  }
  sine = r * (1 + sine);
  cosine = 1 + cosine;
  const turned = (
    [
      [sine, cosine],
      [cosine, -sine],
      [-sine, -cosine],
      [-cosine, sine],
    ] as const
  )[quarter & 3]!;
  return x < 0 || Object.is(x, -0) ? [-turned[0], turned[1]] : turned;
}

/** The sine, within 2 ulp of 1; -0 stays. */
export function sin64(x: number): number {
  return sineAndCosine(x)[0];
}

/** The cosine, within 2 ulp of 1. */
export function cos64(x: number): number {
  return sineAndCosine(x)[1];
}

/** Phi(x), the standard normal distribution function: by erfc in the lower tail, where 1 + erf has no bits left. */
function normalCdf64(x: number): number {
  const a = -x * Math.SQRT1_2;
  return a < 2.5 ? 0.5 - 0.5 * erf64(a) : 0.5 * erfcOfLarge(a);
}

/** x Phi(x); at -inf -0, its limit. */
export function gelu64(x: number): number {
  return x === -Infinity ? -0 : x * normalCdf64(x);
}

/** GELU with tanh in the place of erf; at -inf -0. */
export function geluTanh64(x: number): number {
  return x === -Infinity ? -0 : x * sigmoid64(x * (1.5957691216057308 + 0.07135481627260026 * (x * x)));
}

/** x sigmoid(x). */
export function silu64(x: number): number {
  return x * sigmoid64(x);
}

/** ln(1 + e^z). */
export function softplus64(z: number): number {
  return Math.max(z, 0) + log1p_64(exp64(-Math.abs(z)));
}

/** The derivative of GELU; 0 and 1 at the infinities. */
export function geluSlope64(x: number): number {
  if (Math.abs(x) === Infinity) return x < 0 ? 0 : 1;
  return normalCdf64(x) + x * (exp64(x * x * -0.5) * 0.3989422804014327);
}

/** The derivative of GELU with tanh; 0 and 1 at the infinities. */
export function geluTanhSlope64(x: number): number {
  if (Math.abs(x) === Infinity) return x < 0 ? 0 : 1;
  const square = 0.07135481627260026 * (x * x);
  const s = sigmoid64(x * (1.5957691216057308 + square));
  return s + x * s * (1 - s) * (1.5957691216057308 + 3 * square);
}

/** The derivative of x sigmoid(x). */
export function siluSlope64(x: number): number {
  const s = sigmoid64(x);
  return s * (1 + x * (1 - s));
}
