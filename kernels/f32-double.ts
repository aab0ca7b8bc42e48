/**
 * @file expm1, log1p, pow, sin, cos, GELU and its derivative of a float32 by doubles, rounded to float32 once, at the end: the same operations in the same order as
 * assembly/double.ts and gelu.ts, and so the same bits. Only + - * / and comparisons, which have one correct result. Errors: test/kernels/math.test.ts.
 */
const f = Math.fround;

const log2e = Math.LOG2E;
/** 1.5 * 2^52: adding it rounds to a whole number (ties to even) and leaves that number in the low bits. */
const magic = 6_755_399_441_055_744;
const ln2 = Math.LN2;
/** exp(r) = 1 + r + r^2 p(r); highest degree first, as in the others. */
const expP = [
  2.7616949040966815e-6, 2.487583981585015e-5, 0.0001984122465200474, 0.001388882279210188, 0.008333333345029987,
  0.04166666688096934, 0.16666666666659513, 0.49999999999819406,
] as const;
/** ln((1 + s) / (1 - s)) = 2 s + s z q(z), z = s^2. */
const logQ = [
  0.16819827578412033, 0.18123642071815405, 0.22223371699537198, 0.2857141712954588, 0.40000000052275353,
  0.666666666665872,
] as const;
/** sin r = r (1 + z p(z)), cos r = 1 - z / 2 + z^2 p(z), z = r^2. */
const sinP = [2.718311661379011e-6, -0.00019839334853350406, 0.008333329385941845, -0.16666666641626957] as const;
const cosP = [-2.7237167452334215e-7, 2.4799911669428254e-5, -0.0013888885547482935, 0.041666666647934746] as const;
/** As expP. */
const geluExpP = [
  0.00019907571576669052, 0.0013948580818035372, 0.008333286026261573, 0.04166624071271181, 0.16666666756401174,
  0.5000000080800246,
] as const;
/** Phi(-a) = exp(-a^2 / 2) p(a) / q(a). */
const tailP = [
  0.0008970185482108038, 0.011714871791383374, 0.0716253839904111, 0.25131809861436283, 0.5083735388830964,
  0.49999999995538047,
] as const;
const tailQ = [
  0.002248494649093285, 0.029364652053877647, 0.18179206201731643, 0.6592295507612943, 1.4505028890224856,
  1.8146316300514749, 1,
] as const;
const densityOfZero = 0.3989422804014327;
/** 2 sqrt(2 / pi), and 0.044715 times it. */
const geluC = 1.5957691216057308;
const geluD = 0.07135481627260026;
const twoOverPi = 0.6366197723675814;
/** pi / 2 in 33 bits, so that a product with a number below 2^20 is exact, and the rest. */
const halfPiHigh = 1.5707963267341256;
const halfPiLow = 6.077100506506192e-11;
/** 2 / pi in pieces of 24 bits: the sum of piece k times 2^-24(k + 1). */
const pieces = [10_680_707, 7_228_996, 1_387_004, 2_578_385, 16_069_853, 12_639_074, 9_804_092, 4_427_841] as const;
const large = 1_048_576;
/** 2^-24k: exact. */
const two24 = 16_777_216;
const powersOf24 = [1, 1 / two24, 1 / two24 / two24, 1 / two24 / two24 / two24] as const;

const doubles = new Float64Array(1);
/** Low and high word: every machine that runs WebAssembly fast is little-endian. */
const words = new Int32Array(doubles.buffer);

function highWord(x: number): number {
  doubles[0] = x;
  return words[1]!;
}

/** x with `difference` added to its high word: 2^n times x for n << 20, if x and the result are normal. */
function withHighWord(x: number, difference: number): number {
  doubles[0] = x;
  words[1] = words[1]! + difference;
  return doubles[0]!;
}

function horner(coefficients: readonly number[], x: number): number {
  let sum = coefficients[0]!;
  for (let i = 1; i < coefficients.length; i++) sum = sum * x + coefficients[i]!;
  return sum;
}

function rounded(x: number): number {
  return x + magic - magic;
}

/** e^r - 1 for the remainder r of x after taking out n ln 2. */
function expm1OfRemainder(x: number, n: number): number {
  const r = x - n * ln2;
  return r + r * r * horner(expP, r);
}

function logOfParts(e: number, g: number): number {
  const s = g / (g + 2);
  const z = s * s;
  return e * ln2 + (s + s + s * z * horner(logQ, z));
}

/** The exponent e that puts x / 2^e into [1 / sqrt 2, sqrt 2); x > 0. 0x3fe6a09e is the high word of 1 / sqrt 2. */
function exponentOf(x: number): number {
  return (highWord(x) - 0x3fe6a09e) >> 20;
}

function clamped(x: number, bound: number): number {
  return Math.max(-bound, Math.min(bound, x));
}

/** e^x - 1, within 0.51 ulp; -0 stays. */
export function expm1_32(x: number): number {
  if (x === 0 || Number.isNaN(x)) return x;
  const c = clamped(x, 100);
  const n = rounded(c * log2e);
  const scale = withHighWord(1, n << 20);
  return f(scale * expm1OfRemainder(c, n) + (scale - 1));
}

/** ln(1 + x), within 0.51 ulp; -0 stays, -1 gives -inf, below it NaN. */
export function log1p_32(x: number): number {
  if (x === 0 || !(x < Infinity)) return x;
  const u = x + 1;
  if (u === 0) return -Infinity;
  if (u < 0) return Number.NaN;
  const e = exponentOf(u);
  return f(logOfParts(e, e === 0 ? x : withHighWord(u, -(e << 20)) - 1));
}

/**
 * x to the power of y by the logarithm of positive finite numbers and the exponential, with the special cases of C and PyTorch: 1 for y = 0 and
 * for x = 1, also of NaN.
 */
export function powerBy(x: number, y: number, log: (a: number) => number, exp: (power: number) => number): number {
  if (y === 0 || x === 1) return 1;
  const a = Math.abs(x);
  let logarithm = a;
  if (a === 0) logarithm = -Infinity;
  else if (a < Infinity) logarithm = log(a);
  const power = a === 1 && !Number.isNaN(y) ? 0 : y * logarithm;
  const whole = Math.trunc(y) === y;
  if (Number.isNaN(power) || (x < 0 && a < Infinity && !whole)) return Number.NaN;
  const result = exp(power);
  const odd = whole && Math.trunc(y * 0.5) !== y * 0.5;
  return odd && (x < 0 || Object.is(x, -0)) ? -result : result;
}

function logOfPositive(a: number): number {
  const e = exponentOf(a);
  return logOfParts(e, withHighWord(a, -(e << 20)) - 1);
}

function expOf(power: number): number {
  const c = clamped(power, 700);
  const n = rounded(c * log2e);
  return (expm1OfRemainder(c, n) + 1) * withHighWord(1, n << 20);
}

/** x to the power of y, within 0.51 ulp; special cases as in `powerBy`. */
export function pow32(x: number, y: number): number {
  return f(powerBy(x, y, logOfPositive, expOf));
}

/**
 * A finite float x >= 2^20 in quarter turns: the whole ones modulo 4, and the rest in [-1/2, 1/2]. x = m 2^e with m of 24 bits, so that m times
 * a piece of 2 / pi is exact. Pieces that give multiples of 4 are left out; the four that follow are enough.
 */
function quarterTurns(x: number): readonly [whole: number, rest: number] {
  const e = (highWord(x) >> 20) - 1046;
  const m = withHighWord(x, -(e << 20));
  const first = e < 2 ? 0 : Math.trunc((e - 2) / 24);
  const scale = withHighWord(1, (e - 24 * first - 24) << 20);
  const [a, b, c, d] = [0, 1, 2, 3].map((k) => m * pieces[first + k]! * (scale * powersOf24[k]!)) as [
    number,
    number,
    number,
    number,
  ];
  const [wholeA, wholeB, wholeC] = [rounded(a), rounded(b), rounded(c)];
  const rest = a - wholeA + (b - wholeB) + (c - wholeC) + d;
  const wholeRest = rounded(rest);
  const sum = wholeA + wholeB + wholeC + wholeRest;
  return [sum - 4 * Math.floor(sum / 4), rest - wholeRest];
}

/** sin (`shift` 0) or cos (1): x = n pi / 2 + r, and by n modulo 4 the sine or cosine of r or its negative. */
function sine(x: number, shift: number): number {
  if (!(Math.abs(x) < Infinity)) return Number.NaN;
  let n = rounded(x * twoOverPi);
  let r = x - n * halfPiHigh - n * halfPiLow;
  if (Math.abs(x) >= large) {
    const [whole, rest] = quarterTurns(Math.abs(x));
    const sign = x < 0 ? -1 : 1;
    n = sign * whole;
    r = sign * rest * (Math.PI / 2);
  }
  const quarter = (n + shift) & 3;
  const z = r * r;
  const y = quarter & 1 ? 1 - z * 0.5 + z * z * horner(cosP, z) : r * (1 + z * horner(sinP, z));
  return f(quarter & 2 ? -y : y);
}

/** The sine, within 0.51 ulp over all floats; -0 stays, inf gives NaN. */
export function sin32(x: number): number {
  return sine(x, 0);
}

/** The cosine, within 0.51 ulp over all floats; inf gives NaN. */
export function cos32(x: number): number {
  return sine(x, 1);
}

/** e^z for |z| <= 700 by a shorter polynomial, which is enough for GELU. */
function expForGelu(z: number): number {
  const n = rounded(z * log2e);
  const r = z - n * ln2;
  return (r + r * r * horner(geluExpP, r) + 1) * withHighWord(1, n << 20);
}

/** e^(-a^2 / 2). */
const gauss = (a: number): number => expForGelu(-0.5 * (a * a));
/** 1 / (1 + e^2u), u = sqrt(2 / pi) (a + 0.044715 a^3). */
const tanhTail = (a: number): number => 1 / (1 + expForGelu(a * (geluD * (a * a) + geluC)));

/** From here on, the tail times anything is nothing to a float. */
const geluHighest = 15;

/** GELU of x by the tail at a, and its derivative by the tail's part of it: what they are below 0, and above by symmetry. */
// biome-ignore lint/complexity/useMathMinMax: Math.max would turn -0 into 0.
const geluByTail = (x: number, a: number, tail: number): number => f((x < 0 ? 0 : x) - a * tail);
const slopeBySlope = (x: number, slope: number): number => f(x < 0 ? slope : 1 - slope);

/** x Phi(x), within 0.51 ulp: max(x, 0) - |x| Phi(-|x|). At -inf it is -0, its limit (PyTorch: NaN). */
export function gelu32(x: number): number {
  const a = Math.min(Math.abs(x), geluHighest);
  return geluByTail(x, a, (gauss(a) * horner(tailP, a)) / horner(tailQ, a));
}

/** The derivative of GELU: Phi(x) + x phi(x). 0 and 1 at the infinities. */
export function geluSlope32(x: number): number {
  const a = Math.min(Math.abs(x), geluHighest);
  const density = gauss(a);
  return slopeBySlope(x, (density * horner(tailP, a)) / horner(tailQ, a) - a * densityOfZero * density);
}

/** GELU with tanh in the place of erf: x sigmoid(2u), u = sqrt(2 / pi) (x + 0.044715 x^3), within 0.51 ulp. At -inf it is -0. */
export function geluTanh32(x: number): number {
  const a = Math.min(Math.abs(x), geluHighest);
  return geluByTail(x, a, tanhTail(a));
}

/** The derivative of GELU with tanh: s + x s (1 - s) (c + 3 d x^2), s = sigmoid(x (c + d x^2)). 0 and 1 at the infinities. */
export function geluTanhSlope32(x: number): number {
  const a = Math.min(Math.abs(x), geluHighest);
  const s = tanhTail(a);
  return slopeBySlope(x, s - a * s * (1 - s) * (3 * geluD * (a * a) + geluC));
}
