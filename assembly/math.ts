// exp, log, tanh and sigmoid on four floats. kernels/f32-math.ts does the same operations in the same order, one float at a time; change both
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
], 16);

const LOG2E: usize = 0;
const MAGIC: usize = 16;
const LN2_HIGH: usize = 32;
const LN2_LOW: usize = 48;
const EXP0: usize = 64;
const EXP1: usize = 80;
const EXP2: usize = 96;
const EXP3: usize = 112;
const EXP4: usize = 128;
const ONE: usize = 144;
const EXP_HIGHEST: usize = 160;
const EXP_LOWEST: usize = 176;
const LOG0: usize = 192;
const LOG1: usize = 208;
const LOG2: usize = 224;
const LOG3: usize = 240;
const TANH0: usize = 256;
const TANH1: usize = 272;
const TANH2: usize = 288;
const TANH3: usize = 304;
const TANH4: usize = 320;
const TWO: usize = 336;
const HALF: usize = 352;
const SMALLEST_NORMAL: usize = 368;
const TWO23: usize = 384;
const INFINITE: usize = 400;
const NOT_A_NUMBER: usize = 416;
const MINUS_INFINITE: usize = 432;
const TANH_SWITCH: usize = 448;
const TANH_HIGHEST: usize = 464;
const SIGN: usize = 480;

// @ts-ignore: decorator
@inline
function constant(offset: usize): v128 {
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
  // Above: 1 - 2 / (exp(2a) + 1); exp(20) is so large already that the result is 1.
  const twice = f32x4.pmin(f32x4.add(a, a), constant(TANH_HIGHEST));
  const t = f32x4.add(f32x4.mul(twice, constant(LOG2E)), constant(MAGIC));
  const y = expOfRemainder(twice, t);
  const scale = i32x4.add(i32x4.shl(i32x4.sub(t, constant(MAGIC)), 23), constant(ONE));
  const e = f32x4.mul(y, scale);
  const large = f32x4.sub(constant(ONE), f32x4.div(constant(TWO), f32x4.add(e, constant(ONE))));
  return v128.or(v128.bitselect(small, large, f32x4.lt(a, constant(TANH_SWITCH))), sign);
}

// @ts-ignore: decorator
@inline
export function sigmoid4(x: v128): v128 {
  const one = constant(ONE);
  // exp(-|x|) <= 1 never overflows: 1 / (1 + e) for x >= 0, e / (1 + e) for x < 0.
  const e = exp4(v128.or(x, constant(SIGN)));
  const numerator = v128.bitselect(e, one, f32x4.lt(x, f32x4.splat(0)));
  return f32x4.div(numerator, f32x4.add(one, e));
}
