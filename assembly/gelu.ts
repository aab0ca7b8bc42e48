// GELU, with erf and with tanh, and its derivative, of four floats by doubles, two and two in lockstep: the result is rounded to float32 once, at the end. With a = |x|
// and the tail Phi(-a) or, with tanh, 1 / (1 + e^2u), u = sqrt(2 / pi) (a + 0.044715 a^3): GELU(x) = max(x, 0) - a tail(a), its derivative tail(a) + a tail'(a) below 0, and 1 less that
// above. kernels/f32-double.ts does the same operations in the same order, one number at a time; change both or neither. Coefficients: scripts/polynomials.py.

const TABLE = memory.data<f64>([
  // 1 / ln 2, 1.5 * 2^52, ln 2
  1.4426950408889634, 6755399441055744, 0.6931471805599453,
  // exp(r) = 1 + r + r^2 p(r)
  0.5000000080800246, 0.16666666756401174, 0.04166624071271181, 0.008333286026261573, 0.0013948580818035372, 0.00019907571576669052,
  // Phi(-a) = exp(-a^2 / 2) p(a) / q(a)
  0.49999999995538047, 0.5083735388830964, 0.25131809861436283, 0.0716253839904111, 0.011714871791383374, 0.0008970185482108038,
  1, 1.8146316300514749, 1.4505028890224856, 0.6592295507612943, 0.18179206201731643, 0.029364652053877647, 0.002248494649093285,
  // 1 / sqrt(2 pi), 2 sqrt(2 / pi), 0.044715 and 3 * 0.044715 times that
  0.3989422804014327, 1.5957691216057308, 0.07135481627260026, 0.21406444881780078,
], 16);

const LOG2E: usize = 0;
const MAGIC: usize = 8;
const LN2: usize = 16;
const EXP: usize = 24;
const TAIL_P: usize = 72;
const TAIL_Q: usize = 120;
const DENSITY: usize = 176;
const TANH_C: usize = 184;
const TANH_D: usize = 192;
const TANH_3D: usize = 200;

/** Which function: bit 0 for tanh in the place of erf, bit 1 for the derivative. */
export const GELU: i32 = 0;
export const GELU_TANH: i32 = 1;
export const GELU_SLOPE: i32 = 2;
export const GELU_TANH_SLOPE: i32 = 3;

// @ts-ignore: decorator
@inline
function constant(offset: usize): v128 {
  return v128.load64_splat(TABLE + offset);
}

/** sum * x + term. */
// @ts-ignore: decorator
@inline
function step(sum: v128, x: v128, term: v128): v128 {
  return f64x2.add(f64x2.mul(sum, x), term);
}

// @ts-ignore: decorator
@inline
function finish(isSlope: bool, x: v128, a: v128, tail: v128, slope: v128): v128 {
  if (!isSlope) return f64x2.sub(f64x2.pmax(x, f64x2.splat(0)), f64x2.mul(a, tail));
  return v128.bitselect(slope, f64x2.sub(f64x2.splat(1), slope), f64x2.lt(x, f64x2.splat(0)));
}

/** The function of four floats. */
// @ts-ignore: decorator
@inline
export function geluFamily4(kind: i32, x: v128): v128 {
  const withTanh = (kind & 1) != 0, isSlope = (kind & 2) != 0;
  const x0 = f64x2.promote_low_f32x4(x), x1 = f64x2.promote_low_f32x4(i32x4.shuffle(x, x, 2, 3, 0, 1));
  // From 15 on, the tail times anything here is nothing to a float. A NaN passes.
  const a0 = f64x2.pmin(f64x2.abs(x0), f64x2.splat(15)), a1 = f64x2.pmin(f64x2.abs(x1), f64x2.splat(15));
  let s0 = f64x2.mul(a0, a0), s1 = f64x2.mul(a1, a1);
  let z0: v128, z1: v128, k: v128;
  if (withTanh) {
    k = constant(TANH_D);
    const c = constant(TANH_C);
    z0 = f64x2.mul(a0, step(k, s0, c));
    z1 = f64x2.mul(a1, step(k, s1, c));
  } else {
    k = f64x2.splat(-0.5);
    z0 = f64x2.mul(k, s0);
    z1 = f64x2.mul(k, s1);
  }
  // e^z = 2^n (1 + r + r^2 p(r)).
  const magic = constant(MAGIC);
  k = constant(LOG2E);
  const t0 = f64x2.add(f64x2.mul(z0, k), magic), t1 = f64x2.add(f64x2.mul(z1, k), magic);
  k = constant(LN2);
  z0 = f64x2.sub(z0, f64x2.mul(f64x2.sub(t0, magic), k));
  z1 = f64x2.sub(z1, f64x2.mul(f64x2.sub(t1, magic), k));
  k = constant(EXP + 40);
  let next = constant(EXP + 32);
  let e0 = step(k, z0, next), e1 = step(k, z1, next);
  next = constant(EXP + 24);
  e0 = step(e0, z0, next);
  e1 = step(e1, z1, next);
  next = constant(EXP + 16);
  e0 = step(e0, z0, next);
  e1 = step(e1, z1, next);
  next = constant(EXP + 8);
  e0 = step(e0, z0, next);
  e1 = step(e1, z1, next);
  next = constant(EXP);
  e0 = step(e0, z0, next);
  e1 = step(e1, z1, next);
  const one = f64x2.splat(1);
  e0 = f64x2.add(f64x2.add(z0, f64x2.mul(f64x2.mul(z0, z0), e0)), one);
  e1 = f64x2.add(f64x2.add(z1, f64x2.mul(f64x2.mul(z1, z1), e1)), one);
  e0 = f64x2.mul(e0, i64x2.add(i64x2.shl(t0, 52), one));
  e1 = f64x2.mul(e1, i64x2.add(i64x2.shl(t1, 52), one));
  let y0: v128, y1: v128;
  if (withTanh) {
    e0 = f64x2.div(one, f64x2.add(one, e0));
    e1 = f64x2.div(one, f64x2.add(one, e1));
    if (isSlope) {
      k = constant(TANH_3D);
      next = constant(TANH_C);
      s0 = f64x2.mul(f64x2.mul(f64x2.mul(a0, e0), f64x2.sub(one, e0)), step(k, s0, next));
      s1 = f64x2.mul(f64x2.mul(f64x2.mul(a1, e1), f64x2.sub(one, e1)), step(k, s1, next));
    }
    y0 = finish(isSlope, x0, a0, e0, f64x2.sub(e0, s0));
    y1 = finish(isSlope, x1, a1, e1, f64x2.sub(e1, s1));
  } else {
    k = constant(TAIL_P + 40);
    next = constant(TAIL_P + 32);
    let p0 = step(k, a0, next), p1 = step(k, a1, next);
    k = constant(TAIL_Q + 48);
    next = constant(TAIL_Q + 40);
    let q0 = step(k, a0, next), q1 = step(k, a1, next);
    next = constant(TAIL_Q + 32);
    q0 = step(q0, a0, next);
    q1 = step(q1, a1, next);
    next = constant(TAIL_P + 24);
    p0 = step(p0, a0, next);
    p1 = step(p1, a1, next);
    next = constant(TAIL_Q + 24);
    q0 = step(q0, a0, next);
    q1 = step(q1, a1, next);
    next = constant(TAIL_P + 16);
    p0 = step(p0, a0, next);
    p1 = step(p1, a1, next);
    next = constant(TAIL_Q + 16);
    q0 = step(q0, a0, next);
    q1 = step(q1, a1, next);
    next = constant(TAIL_P + 8);
    p0 = step(p0, a0, next);
    p1 = step(p1, a1, next);
    next = constant(TAIL_Q + 8);
    q0 = step(q0, a0, next);
    q1 = step(q1, a1, next);
    next = constant(TAIL_P);
    p0 = step(p0, a0, next);
    p1 = step(p1, a1, next);
    next = constant(TAIL_Q);
    q0 = step(q0, a0, next);
    q1 = step(q1, a1, next);
    const tail0 = f64x2.div(f64x2.mul(e0, p0), q0), tail1 = f64x2.div(f64x2.mul(e1, p1), q1);
    k = constant(DENSITY);
    y0 = finish(isSlope, x0, a0, tail0, f64x2.sub(tail0, f64x2.mul(f64x2.mul(a0, k), e0)));
    y1 = finish(isSlope, x1, a1, tail1, f64x2.sub(tail1, f64x2.mul(f64x2.mul(a1, k), e1)));
  }
  return i32x4.shuffle(f32x4.demote_f64x2_zero(y0), f32x4.demote_f64x2_zero(y1), 0, 1, 4, 5);
}
