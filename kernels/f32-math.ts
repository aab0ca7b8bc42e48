/**
 * @file exp, log, tanh, sigmoid, erf, softplus of a float32, the same operations in the same order as assembly/math.ts, and so the same bits. Every
 * operation rounds to float32. Errors in units in the last place (ulp) are measured against double precision in test/kernels/math.test.ts.
 *
 * Why not Math.exp and its like: ECMAScript leaves their results to the engine, and engines differ.
 */
const f = Math.fround;

const log2e = f(1.4426950216293335);
/** 1.5 * 2^23: adding it rounds to a whole number (ties to even) and leaves that number in the low bits. */
const magic = 12_582_912;
/** ln 2 in 15 bits, so that a product with an exponent is exact, and the rest. */
const ln2High = f(0.693145751953125);
const ln2Low = f(1.428606765330187e-6);
/** exp(r) = 1 + (r + r^2 p(r)) on |r| <= ln 2 / 2; highest degree first, as in the other two. */
const expP = [
  0.001381665118969977, 0.008368688635528088, 0.0416683591902256, 0.1666652113199234, 0.4999999403953552,
] as const;
/** log((1 + s) / (1 - s)) = 2s + s z q(z), z = s^2. */
const logQ = [0.23582151532173157, 0.28537309169769287, 0.4000033438205719, 0.6666666269302368] as const;
/** tanh(x) = x + x z p(z), z = x^2, up to artanh(1/2). */
const tanhP = [
  -0.006287671625614166, 0.021081192418932915, -0.05385462939739227, 0.13332608342170715, -0.33333319425582886,
] as const;
/** erf(x) = x + x p(z), z = x^2, up to the switch; above, 1 - exp(q(x)). */
const erfP = [
  8.396485645789653e-5, -0.0008149444474838674, 0.005201677791774273, -0.02685968205332756, 0.11283700913190842,
  -0.37612634897232056, 0.12837916612625122,
] as const;
const erfcQ = [
  -1.650113335927017e-5, 0.00037074292777106166, -0.0038049619179219007, 0.02399144321680069, -0.10626938939094543,
  -0.635419487953186, -1.128370761871338, -8.652867836644873e-5,
] as const;
const erfSwitch = 0.921875;
/** As logQ, on the range of s that softplus needs: up to 1/3. */
const softQ = [
  0.24300943315029144, 0.21427655220031738, 0.2861688435077667, 0.3999887704849243, 0.6666667461395264,
] as const;
const tanhSwitch = f(0.5493061542510986);

const smallestNormal = 1.1754943508222875e-38;
const two23 = 8_388_608;
/** The bits of 1 / sqrt 2. */
const bitsOfSqrtHalf = 0x3f3504f3;
const bitsOfOne = 0x3f800000;

const floats = new Float32Array(1);
const bits = new Int32Array(floats.buffer);

function bitsOf(x: number): number {
  floats[0] = x;
  return bits[0]!;
}

function ofBits(value: number): number {
  bits[0] = value;
  return floats[0]!;
}

function horner(coefficients: readonly number[], x: number): number {
  let sum = coefficients[0]!;
  for (let i = 1; i < coefficients.length; i++) sum = f(f(sum * x) + coefficients[i]!);
  return sum;
}

/** exp of the remainder of x after taking out t - magic times ln 2. */
function expOfRemainder(x: number, t: number): number {
  const n = f(t - magic);
  const r = f(f(x - f(n * ln2High)) - f(n * ln2Low));
  return f(1 + f(r + f(f(r * r) * horner(expP, r))));
}

/** e^x, within 1 ulp, also where the result is subnormal. */
export function exp32(x: number): number {
  if (x > 89) x = 89;
  if (x < -104) x = -104;
  const t = f(f(x * log2e) + magic);
  const y = expOfRemainder(x, t);
  const n = (bitsOf(t) - bitsOf(magic)) | 0;
  const n1 = n >> 1;
  const s1 = ofBits((n1 << 23) + bitsOfOne);
  const s2 = ofBits(((n - n1) << 23) + bitsOfOne);
  return f(f(y * s1) * s2);
}

/** The natural logarithm, within 1 ulp, also of subnormal x. 0 gives -inf, below 0 gives NaN. */
export function log32(x: number): number {
  if (x === 0) return -Infinity;
  if (x < 0) return Number.NaN;
  if (!(x < Infinity)) return x;
  const subnormal = x < smallestNormal;
  const scaled = bitsOf(subnormal ? f(x * two23) : x);
  const e = (scaled - bitsOfSqrtHalf) >> 23;
  const m = ofBits(scaled - (e << 23));
  const k = subnormal ? e - 23 : e;
  const g = f(m - 1);
  const s = f(g / f(g + 2));
  const z = f(s * s);
  const r = f(horner(logQ, z) * z);
  const h = f(f(g * g) * 0.5);
  const low = f(f(s * f(h + r)) + f(k * ln2Low));
  return f(f(k * ln2High) - f(f(h - low) - g));
}

/** The hyperbolic tangent, within 1.5 ulp; odd, and exact at +-inf. */
export function tanh32(x: number): number {
  const a = Math.abs(x);
  let y: number;
  if (a < tanhSwitch) {
    const z = f(a * a);
    y = f(a + f(f(a * z) * horner(tanhP, z)));
  } else {
    let twice = f(a + a);
    if (twice > 20) twice = 20;
    const t = f(f(twice * log2e) + magic);
    const e = f(expOfRemainder(twice, t) * ofBits(((bitsOf(t) - bitsOf(magic)) << 23) + bitsOfOne));
    y = f(1 - f(2 / f(e + 1)));
  }
  return x < 0 || Object.is(x, -0) ? -y : y;
}

/** 1 / (1 + e^-x), within 2 ulp, also for large negative x. */
export function sigmoid32(x: number): number {
  if (x < -16) {
    const e = exp32(x);
    return f(e / f(1 + e));
  }
  return f(1 / f(1 + exp32(-x)));
}

/** The error function, within 1.5 ulp; odd, and exact at +-inf. */
export function erf32(x: number): number {
  const a = Math.abs(x);
  let y: number;
  if (a < erfSwitch) y = f(a + f(a * horner(erfP, f(a * a))));
  else y = f(1 - exp32(horner(erfcQ, Math.min(a, 4))));
  return x < 0 || Object.is(x, -0) ? -y : y;
}

/** The derivative of x sigmoid(x): s (1 + x (1 - s)). */
export function siluSlope32(x: number): number {
  const s = sigmoid32(x);
  return f(s * f(1 + f(x * f(1 - s))));
}

/** x sigmoid(x), within 3 ulp, or |x| 2^-149 if that is more; -inf gives NaN, as in PyTorch. */
export function silu32(x: number): number {
  return f(x * sigmoid32(x));
}

/** ln(1 + e^z), within 1.5 ulp: max(z, 0) + log1p(e^-|z|), the latter as in log32 with exponent 0. */
export function softplus32(z: number): number {
  const e = exp32(-Math.abs(z));
  const s = f(e / f(e + 2));
  const y = f(s * s);
  const h = f(f(e * e) * 0.5);
  const low = f(s * f(h + f(horner(softQ, y) * y)));
  return f(Math.max(z, 0) + f(e - f(h - low)));
}
