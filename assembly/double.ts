// expm1, log1p, pow, sin, cos of four floats by doubles, two and two: the result is rounded to float32 once, at the end. kernels/f32-double.ts does
// the same operations in the same order, one number at a time; change both or neither. Coefficients: scripts/polynomials.py.

const TABLE = memory.data<f64>([
  // 1 / ln 2, 1.5 * 2^52, ln 2
  1.4426950408889634, 6755399441055744, 0.6931471805599453,
  // exp(r) = 1 + r + r^2 p(r)
  0.49999999999819406, 0.16666666666659513, 0.04166666688096934, 0.008333333345029987, 0.001388882279210188, 0.0001984122465200474,
  2.487583981585015e-05, 2.7616949040966815e-06,
  // ln((1 + s) / (1 - s)) = 2 s + s z q(z), z = s^2
  0.666666666665872, 0.40000000052275353, 0.2857141712954588, 0.22223371699537198, 0.18123642071815405, 0.16819827578412033,
  // sin r = r (1 + z p(z)), cos r = 1 - z / 2 + z^2 p(z), z = r^2
  -0.16666666641626957, 0.008333329385941845, -0.00019839334853350406, 2.718311661379011e-06,
  0.041666666647934746, -0.0013888885547482935, 2.4799911669428254e-05, -2.7237167452334215e-07,
  // 2 / pi; pi / 2 in 33 bits, and the rest
  0.6366197723675814, 1.5707963267341256, 6.077100506506192e-11,
], 16);

const LOG2E: usize = 0;
const MAGIC: usize = 8;
const LN2: usize = 16;
const EXP: usize = 24;
const LOG: usize = 88;
const SIN: usize = 136;
const COS: usize = 168;
const TWO_OVER_PI: usize = 200;
const HALF_PI_HIGH: usize = 208;
const HALF_PI_LOW: usize = 216;

/** 2 / pi in pieces of 24 bits: the sum of piece k times 2^-24(k + 1). */
const PIECES = memory.data<f64>([10680707, 7228996, 1387004, 2578385, 16069853, 12639074, 9804092, 4427841], 16);

/** What four floats go through, two and two. */
export const EXPM1: i32 = 0;
export const LOG1P: i32 = 1;
export const SINE: i32 = 2;
export const COSINE: i32 = 3;
export const POW: i32 = 4;

// @ts-ignore: decorator
@inline
function constant(offset: usize): v128 {
  return v128.load64_splat(TABLE + offset);
}

// @ts-ignore: decorator
@inline
function polynomial4(at: usize, x: v128): v128 {
  let p = f64x2.add(f64x2.mul(constant(at + 24), x), constant(at + 16));
  p = f64x2.add(f64x2.mul(p, x), constant(at + 8));
  return f64x2.add(f64x2.mul(p, x), constant(at));
}

// @ts-ignore: decorator
@inline
function isNumber(x: v128): v128 {
  return f64x2.eq(x, x);
}

/** x / ln 2 rounded, + 1.5 * 2^52: its low bits are that whole number. */
// @ts-ignore: decorator
@inline
function quotient(x: v128): v128 {
  return f64x2.add(f64x2.mul(x, constant(LOG2E)), constant(MAGIC));
}

/** e^r - 1 for the remainder r = x - n ln 2, n = t - magic. */
// @ts-ignore: decorator
@inline
function expm1OfRemainder(x: v128, t: v128): v128 {
  const r = f64x2.sub(x, f64x2.mul(f64x2.sub(t, constant(MAGIC)), constant(LN2)));
  let p = f64x2.add(f64x2.mul(constant(EXP + 56), r), constant(EXP + 48));
  p = f64x2.add(f64x2.mul(p, r), constant(EXP + 40));
  p = f64x2.add(f64x2.mul(p, r), constant(EXP + 32));
  p = f64x2.add(f64x2.mul(p, r), constant(EXP + 24));
  p = f64x2.add(f64x2.mul(p, r), constant(EXP + 16));
  p = f64x2.add(f64x2.mul(p, r), constant(EXP + 8));
  p = f64x2.add(f64x2.mul(p, r), constant(EXP));
  return f64x2.add(r, f64x2.mul(f64x2.mul(r, r), p));
}

/** 2^n for n = t - magic, |n| < 1023. */
// @ts-ignore: decorator
@inline
function powerOfTwo(t: v128): v128 {
  return i64x2.add(i64x2.shl(t, 52), f64x2.splat(1));
}

/** ln(2^e (1 + f)) for the exponent e and 1 + f in [1 / sqrt 2, sqrt 2). */
// @ts-ignore: decorator
@inline
function logOfParts(e: v128, f: v128): v128 {
  const s = f64x2.div(f, f64x2.add(f, f64x2.splat(2)));
  const z = f64x2.mul(s, s);
  let q = f64x2.add(f64x2.mul(constant(LOG + 40), z), constant(LOG + 32));
  q = f64x2.add(f64x2.mul(q, z), constant(LOG + 24));
  q = f64x2.add(f64x2.mul(q, z), constant(LOG + 16));
  q = f64x2.add(f64x2.mul(q, z), constant(LOG + 8));
  q = f64x2.add(f64x2.mul(q, z), constant(LOG));
  const y = f64x2.add(f64x2.add(s, s), f64x2.mul(f64x2.mul(s, z), q));
  return f64x2.add(f64x2.mul(e, constant(LN2)), y);
}

/** The exponent e + 1023 that puts x / 2^e into [1 / sqrt 2, sqrt 2), as a whole number; x > 0 and normal. */
// @ts-ignore: decorator
@inline
function exponentOf(x: v128): v128 {
  // 0x3fe6a09e... is 1 / sqrt 2; its low word is 0, so that the high word alone decides.
  return i64x2.shr_u(i64x2.add(i64x2.sub(x, i64x2.splat(0x3fe6a09e00000000)), i64x2.splat(0x3ff0000000000000)), 52);
}

// @ts-ignore: decorator
@inline
function mantissaOf(x: v128, exponent: v128): v128 {
  return i64x2.add(i64x2.sub(x, i64x2.shl(exponent, 52)), i64x2.splat(0x3ff0000000000000));
}

/** A whole number in [0, 2^52) less 1023 as a double. */
// @ts-ignore: decorator
@inline
function unbiased(exponent: v128): v128 {
  return f64x2.sub(v128.or(exponent, f64x2.splat(4503599627370496)), f64x2.splat(4503599627371519));
}

// @ts-ignore: decorator
@inline
function expm1Of(x: v128): v128 {
  const clamped = f64x2.pmax(f64x2.pmin(x, f64x2.splat(100)), f64x2.splat(-100));
  const t = quotient(clamped);
  const scale = powerOfTwo(t);
  const y = f64x2.add(f64x2.mul(scale, expm1OfRemainder(clamped, t)), f64x2.sub(scale, f64x2.splat(1)));
  // NaN, and -0, stay as they are.
  return v128.bitselect(y, x, v128.and(isNumber(x), f64x2.ne(x, f64x2.splat(0))));
}

// @ts-ignore: decorator
@inline
function log1pOf(x: v128): v128 {
  const u = f64x2.add(x, f64x2.splat(1));
  const exponent = exponentOf(u);
  // Where the exponent is 0, 1 + f = 1 + x, without the rounding of u.
  const f = v128.bitselect(x, f64x2.sub(mantissaOf(u, exponent), f64x2.splat(1)), i64x2.eq(exponent, i64x2.splat(1023)));
  let y = logOfParts(unbiased(exponent), f);
  y = v128.bitselect(f64x2.splat(-Infinity), y, f64x2.eq(u, f64x2.splat(0)));
  y = v128.bitselect(f64x2.splat(NaN), y, f64x2.lt(u, f64x2.splat(0)));
  // 0 of both signs, inf and NaN stay as they are.
  return v128.bitselect(y, x, v128.and(f64x2.lt(x, f64x2.splat(Infinity)), f64x2.ne(x, f64x2.splat(0))));
}

// @ts-ignore: decorator
@inline
function powOf(x: v128, y: v128): v128 {
  const zero = f64x2.splat(0), one = f64x2.splat(1), infinite = f64x2.splat(Infinity);
  const a = f64x2.abs(x);
  const exponent = exponentOf(a);
  let logarithm = logOfParts(unbiased(exponent), f64x2.sub(mantissaOf(a, exponent), one));
  logarithm = v128.bitselect(f64x2.splat(-Infinity), logarithm, f64x2.eq(a, zero));
  logarithm = v128.bitselect(logarithm, a, f64x2.lt(a, infinite));
  let power = f64x2.mul(y, logarithm);
  // 1 to the power of anything but NaN is 1, also of infinity.
  power = v128.bitselect(zero, power, v128.and(f64x2.eq(a, one), isNumber(y)));
  const clamped = f64x2.pmax(f64x2.pmin(power, f64x2.splat(700)), f64x2.splat(-700));
  const t = quotient(clamped);
  let result = f64x2.mul(f64x2.add(expm1OfRemainder(clamped, t), one), powerOfTwo(t));
  result = v128.bitselect(result, power, isNumber(power));
  // A negative base: the sign of odd exponents, NaN for those that are not whole. Infinity is whole and even.
  const half = f64x2.mul(y, f64x2.splat(0.5));
  const whole = f64x2.eq(f64x2.trunc(y), y);
  const odd = v128.andnot(whole, f64x2.eq(f64x2.trunc(half), half));
  result = v128.xor(result, v128.and(v128.and(x, f64x2.splat(-0.0)), odd));
  const undefinedBase = v128.and(f64x2.lt(x, zero), f64x2.lt(a, infinite));
  result = v128.bitselect(f64x2.splat(NaN), result, v128.andnot(undefinedBase, whole));
  return v128.bitselect(one, result, v128.or(f64x2.eq(y, zero), f64x2.eq(x, one)));
}

/** From here on x is reduced by whole numbers: below, n pi / 2 in two parts is exact enough. */
const LARGE: f64 = 1048576;
const HALF_PI: f64 = 1.5707963267948966;
const TWO_TO_MINUS_24: f64 = 5.960464477539063e-8;
const TWO_TO_MINUS_48: f64 = 3.552713678800501e-15;
const TWO_TO_MINUS_72: f64 = 2.117582368135751e-22;

/** The nearest whole number, ties to even, |x| < 2^51. */
// @ts-ignore: decorator
@inline
function rounded(x: f64): f64 {
  return x + 6755399441055744 - 6755399441055744;
}

/**
 * A finite float x >= 2^20 in quarter turns: the whole ones modulo 4 (`whole`), or the rest in [-1/2, 1/2]. x = m 2^e with m of 24 bits, so that m
 * times a piece of 2 / pi is exact. Pieces that give multiples of 4 are left out; the four that follow are enough.
 */
function quarterTurns(x: f64, whole: bool): f64 {
  const bits = reinterpret<u64>(x);
  const m = reinterpret<f64>((bits & 0xfffffffffffff) | 0x4160000000000000);
  const e = <i32>(bits >> 52) - 1046;
  const first = e < 2 ? 0 : (e - 2) / 24;
  const scale = reinterpret<f64>(<u64>(e - 24 * first + 999) << 52);
  const piece = PIECES + ((<usize>first) << 3);
  const a = m * load<f64>(piece) * scale, b = m * load<f64>(piece, 8) * (scale * TWO_TO_MINUS_24);
  const c = m * load<f64>(piece, 16) * (scale * TWO_TO_MINUS_48), d = m * load<f64>(piece, 24) * (scale * TWO_TO_MINUS_72);
  const wholeA = rounded(a), wholeB = rounded(b), wholeC = rounded(c);
  const rest = a - wholeA + (b - wholeB) + (c - wholeC) + d;
  const wholeRest = rounded(rest);
  if (!whole) return rest - wholeRest;
  const sum = wholeA + wholeB + wholeC + wholeRest;
  return sum - 4 * Math.floor(sum / 4);
}

/** sin (`shift` 0) or cos (1): x = n pi / 2 + r, and by n modulo 4 the sine or cosine of r or its negative. */
// @ts-ignore: decorator
@inline
function sineOf(x: v128, shift: i64): v128 {
  const t = f64x2.add(f64x2.mul(x, constant(TWO_OVER_PI)), constant(MAGIC));
  const n = f64x2.sub(t, constant(MAGIC));
  let r = f64x2.sub(f64x2.sub(x, f64x2.mul(n, constant(HALF_PI_HIGH))), f64x2.mul(n, constant(HALF_PI_LOW)));
  let quarters = t;
  const a = f64x2.abs(x);
  const large = v128.and(f64x2.ge(a, f64x2.splat(LARGE)), f64x2.lt(a, f64x2.splat(Infinity)));
  if (v128.any_true(large)) {
    const a0 = f64x2.extract_lane(a, 0), a1 = f64x2.extract_lane(a, 1);
    if (i64x2.extract_lane(large, 0)) {
      const sign: f64 = f64x2.extract_lane(x, 0) < 0 ? -1 : 1;
      r = f64x2.replace_lane(r, 0, sign * quarterTurns(a0, false) * HALF_PI);
      quarters = i64x2.replace_lane(quarters, 0, <i64>(sign * quarterTurns(a0, true)));
    }
    if (i64x2.extract_lane(large, 1)) {
      const sign: f64 = f64x2.extract_lane(x, 1) < 0 ? -1 : 1;
      r = f64x2.replace_lane(r, 1, sign * quarterTurns(a1, false) * HALF_PI);
      quarters = i64x2.replace_lane(quarters, 1, <i64>(sign * quarterTurns(a1, true)));
    }
  }
  if (shift) quarters = i64x2.add(quarters, i64x2.splat(shift));
  const one = f64x2.splat(1);
  const z = f64x2.mul(r, r);
  const sine = f64x2.mul(r, f64x2.add(one, f64x2.mul(z, polynomial4(SIN, z))));
  const cosine = f64x2.add(f64x2.sub(one, f64x2.mul(z, f64x2.splat(0.5))), f64x2.mul(f64x2.mul(z, z), polynomial4(COS, z)));
  const odd = i64x2.neg(v128.and(quarters, i64x2.splat(1)));
  return v128.xor(v128.bitselect(cosine, sine, odd), i64x2.shl(v128.and(quarters, i64x2.splat(2)), 62));
}

// @ts-ignore: decorator
@inline
function two(kind: i32, x: v128, y: v128): v128 {
  if (kind == EXPM1) return expm1Of(x);
  if (kind == LOG1P) return log1pOf(x);
  if (kind == SINE) return sineOf(x, 0);
  if (kind == COSINE) return sineOf(x, 1);
  return powOf(x, f64x2.promote_low_f32x4(y));
}

/** The function of four floats; only POW reads y. */
// @ts-ignore: decorator
@inline
export function throughDoubles(kind: i32, x: v128, y: v128): v128 {
  const low = two(kind, f64x2.promote_low_f32x4(x), y);
  const high = two(kind, f64x2.promote_low_f32x4(i32x4.shuffle(x, x, 2, 3, 0, 1)), i32x4.shuffle(y, y, 2, 3, 0, 1));
  return i32x4.shuffle(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 1, 4, 5);
}
