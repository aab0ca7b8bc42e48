// exp, log, tanh, sigmoid, erf, softplus on four floats (sixteen: block.ts). kernels/f32-math.ts does the same operations in the same order, one float at a time; change both
// or neither. Coefficients: scripts/polynomials.py. Constants sit in memory, because V8 builds a v128 constant anew at each use (3
// instructions), while a load is one.

/** Each constant four times, 16 bytes apart. */
const TABLE = memory.data<f32>([
  1.4426950216293335, 1.4426950216293335, 1.4426950216293335, 1.4426950216293335,
  12582912, 12582912, 12582912, 12582912,
  0.693145751953125, 0.693145751953125, 0.693145751953125, 0.693145751953125,
  1.428606765330187e-06, 1.428606765330187e-06, 1.428606765330187e-06, 1.428606765330187e-06,
  0.4999999403953552, 0.4999999403953552, 0.4999999403953552, 0.4999999403953552,
  0.1666652113199234, 0.1666652113199234, 0.1666652113199234, 0.1666652113199234,
  0.0416683591902256, 0.0416683591902256, 0.0416683591902256, 0.0416683591902256,
  0.008368688635528088, 0.008368688635528088, 0.008368688635528088, 0.008368688635528088,
  0.001381665118969977, 0.001381665118969977, 0.001381665118969977, 0.001381665118969977,
  1, 1, 1, 1,
  89, 89, 89, 89,
  -104, -104, -104, -104,
  0.6666666269302368, 0.6666666269302368, 0.6666666269302368, 0.6666666269302368,
  0.4000033438205719, 0.4000033438205719, 0.4000033438205719, 0.4000033438205719,
  0.28537309169769287, 0.28537309169769287, 0.28537309169769287, 0.28537309169769287,
  0.23582151532173157, 0.23582151532173157, 0.23582151532173157, 0.23582151532173157,
  -0.33333319425582886, -0.33333319425582886, -0.33333319425582886, -0.33333319425582886,
  0.13332608342170715, 0.13332608342170715, 0.13332608342170715, 0.13332608342170715,
  -0.05385462939739227, -0.05385462939739227, -0.05385462939739227, -0.05385462939739227,
  0.021081192418932915, 0.021081192418932915, 0.021081192418932915, 0.021081192418932915,
  -0.006287671625614166, -0.006287671625614166, -0.006287671625614166, -0.006287671625614166,
  2, 2, 2, 2,
  0.5, 0.5, 0.5, 0.5,
  1.1754943508222875e-38, 1.1754943508222875e-38, 1.1754943508222875e-38, 1.1754943508222875e-38,
  8388608, 8388608, 8388608, 8388608,
  Infinity, Infinity, Infinity, Infinity,
  NaN, NaN, NaN, NaN,
  -Infinity, -Infinity, -Infinity, -Infinity,
  0.5493061542510986, 0.5493061542510986, 0.5493061542510986, 0.5493061542510986,
  20, 20, 20, 20,
  -0.0, -0.0, -0.0, -0.0,
  -16, -16, -16, -16,
  0.12837916612625122, 0.12837916612625122, 0.12837916612625122, 0.12837916612625122,
  -0.37612634897232056, -0.37612634897232056, -0.37612634897232056, -0.37612634897232056,
  0.11283700913190842, 0.11283700913190842, 0.11283700913190842, 0.11283700913190842,
  -0.02685968205332756, -0.02685968205332756, -0.02685968205332756, -0.02685968205332756,
  0.005201677791774273, 0.005201677791774273, 0.005201677791774273, 0.005201677791774273,
  -0.0008149444474838674, -0.0008149444474838674, -0.0008149444474838674, -0.0008149444474838674,
  8.396485645789653e-05, 8.396485645789653e-05, 8.396485645789653e-05, 8.396485645789653e-05,
  -8.652867836644873e-05, -8.652867836644873e-05, -8.652867836644873e-05, -8.652867836644873e-05,
  -1.128370761871338, -1.128370761871338, -1.128370761871338, -1.128370761871338,
  -0.635419487953186, -0.635419487953186, -0.635419487953186, -0.635419487953186,
  -0.10626938939094543, -0.10626938939094543, -0.10626938939094543, -0.10626938939094543,
  0.02399144321680069, 0.02399144321680069, 0.02399144321680069, 0.02399144321680069,
  -0.0038049619179219007, -0.0038049619179219007, -0.0038049619179219007, -0.0038049619179219007,
  0.00037074292777106166, 0.00037074292777106166, 0.00037074292777106166, 0.00037074292777106166,
  -1.650113335927017e-05, -1.650113335927017e-05, -1.650113335927017e-05, -1.650113335927017e-05,
  0.921875, 0.921875, 0.921875, 0.921875,
  4, 4, 4, 4,
  0.6666667461395264, 0.6666667461395264, 0.6666667461395264, 0.6666667461395264,
  0.3999887704849243, 0.3999887704849243, 0.3999887704849243, 0.3999887704849243,
  0.2861688435077667, 0.2861688435077667, 0.2861688435077667, 0.2861688435077667,
  0.21427655220031738, 0.21427655220031738, 0.21427655220031738, 0.21427655220031738,
  0.24300943315029144, 0.24300943315029144, 0.24300943315029144, 0.24300943315029144,
  87, 87, 87, 87,
  16, 16, 16, 16,
], 16);

export const LOG2E: usize = 0;
export const MAGIC: usize = 16;
export const LN2_HIGH: usize = 32;
export const LN2_LOW: usize = 48;
export const EXP0: usize = 64;
export const EXP1: usize = 80;
export const EXP2: usize = 96;
export const EXP3: usize = 112;
export const EXP4: usize = 128;
export const ONE: usize = 144;
const EXP_HIGHEST: usize = 160;
const EXP_LOWEST: usize = 176;
const LOG0: usize = 192;
const LOG1: usize = 208;
const LOG2: usize = 224;
const LOG3: usize = 240;
export const TANH0: usize = 256;
export const TANH1: usize = 272;
export const TANH2: usize = 288;
export const TANH3: usize = 304;
export const TANH4: usize = 320;
export const TWO: usize = 336;
const HALF: usize = 352;
const SMALLEST_NORMAL: usize = 368;
const TWO23: usize = 384;
const INFINITE: usize = 400;
const NOT_A_NUMBER: usize = 416;
const MINUS_INFINITE: usize = 432;
export const TANH_SWITCH: usize = 448;
export const TANH_HIGHEST: usize = 464;
export const SIGN: usize = 480;
const SIGMOID_LOWEST: usize = 496;
const ERF0: usize = 512;
const ERF1: usize = 528;
const ERF2: usize = 544;
const ERF3: usize = 560;
const ERF4: usize = 576;
const ERF5: usize = 592;
const ERF6: usize = 608;
const ERFC0: usize = 624;
const ERFC1: usize = 640;
const ERFC2: usize = 656;
const ERFC3: usize = 672;
const ERFC4: usize = 688;
const ERFC5: usize = 704;
const ERFC6: usize = 720;
const ERFC7: usize = 736;
const ERF_SWITCH: usize = 752;
const ERF_HIGHEST: usize = 768;
const SOFT0: usize = 784;
const SOFT1: usize = 800;
const SOFT2: usize = 816;
const SOFT3: usize = 832;
const SOFT4: usize = 848;
export const PLAIN_HIGHEST: usize = 864;
export const SIGMOID_HIGHEST: usize = 880;

// @ts-ignore: decorator
@inline
export function constant(offset: usize): v128 {
  return v128.load(TABLE + offset);
}

/** 1 + (r + r^2 p(r)) for the remainder r of x, and the rounded quotient (+ magic) in `t`. */
// @ts-ignore: decorator
@inline
function expOfRemainder(x: v128, t: v128): v128 {
  const n = f32x4.sub(t, constant(MAGIC));
  const r = f32x4.sub(f32x4.sub(x, f32x4.mul(n, constant(LN2_HIGH))), f32x4.mul(n, constant(LN2_LOW)));
  let p = f32x4.add(f32x4.mul(constant(EXP4), r), constant(EXP3));
  p = f32x4.add(f32x4.mul(p, r), constant(EXP2));
  p = f32x4.add(f32x4.mul(p, r), constant(EXP1));
  p = f32x4.add(f32x4.mul(p, r), constant(EXP0));
  return f32x4.add(constant(ONE), f32x4.add(r, f32x4.mul(f32x4.mul(r, r), p)));
}

/** exp4 where |x| <= 87: 2^n is a normal number, and so is the result. */
// @ts-ignore: decorator
@inline
function expPlain4(x: v128): v128 {
  const t = f32x4.add(f32x4.mul(x, constant(LOG2E)), constant(MAGIC));
  // Shifted left by 23, the bits of t are n in the place of the exponent.
  return i32x4.add(expOfRemainder(x, t), i32x4.shl(t, 23));
}

// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  // pmin(a, b) = b < a ? b : a and pmax likewise: with x first, NaN passes.
  x = f32x4.pmax(f32x4.pmin(x, constant(EXP_HIGHEST)), constant(EXP_LOWEST));
  const t = f32x4.add(f32x4.mul(x, constant(LOG2E)), constant(MAGIC));
  const y = expOfRemainder(x, t);
  // 2^n in two factors: n reaches -150 and 128, and a subnormal result must be rounded once, by the last product.
  const n = i32x4.sub(t, constant(MAGIC));
  const n1 = i32x4.shr_s(n, 1);
  const n2 = i32x4.sub(n, n1);
  const one = constant(ONE);
  const s1 = i32x4.add(i32x4.shl(n1, 23), one);
  const s2 = i32x4.add(i32x4.shl(n2, 23), one);
  return f32x4.mul(f32x4.mul(y, s1), s2);
}

// @ts-ignore: decorator
@inline
export function log4(x: v128): v128 {
  const subnormal = f32x4.lt(x, constant(SMALLEST_NORMAL));
  const scaled = v128.bitselect(f32x4.mul(x, constant(TWO23)), x, subnormal);
  // The exponent e that puts the mantissa m = scaled / 2^e into [1 / sqrt 2, sqrt 2): 0x3f3504f3 is the bits of 1 / sqrt 2.
  let e = i32x4.shr_s(i32x4.sub(scaled, i32x4.splat(0x3f3504f3)), 23);
  const m = i32x4.sub(scaled, i32x4.shl(e, 23));
  e = i32x4.sub(e, v128.and(subnormal, i32x4.splat(23)));
  const k = f32x4.convert_i32x4_s(e);
  const f = f32x4.sub(m, constant(ONE));
  const s = f32x4.div(f, f32x4.add(f, constant(TWO)));
  const z = f32x4.mul(s, s);
  let q = f32x4.add(f32x4.mul(constant(LOG3), z), constant(LOG2));
  q = f32x4.add(f32x4.mul(q, z), constant(LOG1));
  q = f32x4.add(f32x4.mul(q, z), constant(LOG0));
  const r = f32x4.mul(q, z);
  const h = f32x4.mul(f32x4.mul(f, f), constant(HALF));
  const low = f32x4.add(f32x4.mul(s, f32x4.add(h, r)), f32x4.mul(k, constant(LN2_LOW)));
  let y = f32x4.sub(f32x4.mul(k, constant(LN2_HIGH)), f32x4.sub(f32x4.sub(h, low), f));
  y = v128.bitselect(y, x, f32x4.lt(x, constant(INFINITE)));
  y = v128.bitselect(constant(NOT_A_NUMBER), y, f32x4.lt(x, f32x4.splat(0)));
  return v128.bitselect(constant(MINUS_INFINITE), y, f32x4.eq(x, f32x4.splat(0)));
}

// @ts-ignore: decorator
@inline
export function tanh4(x: v128): v128 {
  const sign = v128.and(x, constant(SIGN));
  const a = v128.xor(x, sign);
  // |x| below artanh(1/2): a + a z p(z).
  const z = f32x4.mul(a, a);
  let p = f32x4.add(f32x4.mul(constant(TANH4), z), constant(TANH3));
  p = f32x4.add(f32x4.mul(p, z), constant(TANH2));
  p = f32x4.add(f32x4.mul(p, z), constant(TANH1));
  p = f32x4.add(f32x4.mul(p, z), constant(TANH0));
  const small = f32x4.add(a, f32x4.mul(f32x4.mul(a, z), p));
  // Above: 1 - 2 / (exp(2a) + 1); exp(20) is so large already that the result is 1. A NaN is not above.
  const e = expPlain4(f32x4.pmin(f32x4.add(a, a), constant(TANH_HIGHEST)));
  const large = f32x4.sub(constant(ONE), f32x4.div(constant(TWO), f32x4.add(e, constant(ONE))));
  return v128.or(v128.bitselect(large, small, f32x4.ge(a, constant(TANH_SWITCH))), sign);
}

// @ts-ignore: decorator
@inline
export function sigmoid4(x: v128): v128 {
  const one = constant(ONE);
  // 1 / (1 + exp(-x)); below -16, where exp(-x) has no bits left for the 1 (and from 2^24 on that would cost 1 ulp), exp(x) / (1 + exp(x)).
  const far = f32x4.lt(x, constant(SIGMOID_LOWEST));
  const e = exp4(v128.bitselect(x, f32x4.neg(x), far));
  return f32x4.div(v128.bitselect(e, one, far), f32x4.add(one, e));
}

// @ts-ignore: decorator
@inline
export function erf4(x: v128): v128 {
  const sign = v128.and(x, constant(SIGN));
  const a = v128.xor(x, sign);
  // |x| below the switch: a + a p(z).
  const z = f32x4.mul(a, a);
  let p = f32x4.add(f32x4.mul(constant(ERF6), z), constant(ERF5));
  p = f32x4.add(f32x4.mul(p, z), constant(ERF4));
  p = f32x4.add(f32x4.mul(p, z), constant(ERF3));
  p = f32x4.add(f32x4.mul(p, z), constant(ERF2));
  p = f32x4.add(f32x4.mul(p, z), constant(ERF1));
  p = f32x4.add(f32x4.mul(p, z), constant(ERF0));
  const small = f32x4.add(a, f32x4.mul(a, p));
  // Above: 1 - exp(q(a)) with q = ln erfc; erf(4) rounds to 1. A NaN is not above.
  const b = f32x4.pmin(a, constant(ERF_HIGHEST));
  let q = f32x4.add(f32x4.mul(constant(ERFC7), b), constant(ERFC6));
  q = f32x4.add(f32x4.mul(q, b), constant(ERFC5));
  q = f32x4.add(f32x4.mul(q, b), constant(ERFC4));
  q = f32x4.add(f32x4.mul(q, b), constant(ERFC3));
  q = f32x4.add(f32x4.mul(q, b), constant(ERFC2));
  q = f32x4.add(f32x4.mul(q, b), constant(ERFC1));
  q = f32x4.add(f32x4.mul(q, b), constant(ERFC0));
  const large = f32x4.sub(constant(ONE), expPlain4(q));
  return v128.or(v128.bitselect(large, small, f32x4.ge(a, constant(ERF_SWITCH))), sign);
}

// @ts-ignore: decorator
@inline
export function silu4(x: v128): v128 {
  return f32x4.mul(x, sigmoid4(x));
}

/** ln(1 + e^z) = max(z, 0) + log1p(e^-|z|), the latter as in log4 with exponent 0. */
// @ts-ignore: decorator
@inline
export function softplus4(z: v128): v128 {
  const f = exp4(v128.or(z, constant(SIGN)));
  const s = f32x4.div(f, f32x4.add(f, constant(TWO)));
  const y = f32x4.mul(s, s);
  let q = f32x4.add(f32x4.mul(constant(SOFT4), y), constant(SOFT3));
  q = f32x4.add(f32x4.mul(q, y), constant(SOFT2));
  q = f32x4.add(f32x4.mul(q, y), constant(SOFT1));
  q = f32x4.add(f32x4.mul(q, y), constant(SOFT0));
  const h = f32x4.mul(f32x4.mul(f, f), constant(HALF));
  const low = f32x4.mul(s, f32x4.add(h, f32x4.mul(q, y)));
  return f32x4.add(f32x4.pmax(z, f32x4.splat(0)), f32x4.sub(f, f32x4.sub(h, low)));
}

/** s (1 + x (1 - s)), s = sigmoid(x). */
// @ts-ignore: decorator
@inline
export function siluSlope4(x: v128): v128 {
  const one = constant(ONE);
  const s = sigmoid4(x);
  return f32x4.mul(s, f32x4.add(one, f32x4.mul(x, f32x4.sub(one, s))));
}
