/** @file Shape rules on random shapes, with empty dimensions and scalars, against rules written out by hand; identities between moves. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import '../../src/install.ts';
import { conv2d } from '../../src/ops/conv.ts';
import * as F from '../../src/ops/index.ts';
import { maxPool2d } from '../../src/ops/pool.ts';
import { fromTypedArray, ones, type Tensor } from '../../src/tensor/index.ts';
import { at, build, nd, zipNd } from '../samples/define.ts';

const runs = { numRuns: 200 };
const shapes = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 5 });

function counted(shape: readonly number[]): Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  return fromTypedArray(
    Float32Array.from({ length: size }, (_, i) => i),
    shape,
  );
}

const ndOf = (x: Tensor) => nd(x.shape, x.toTypedArray());

function tryShape(fn: () => Tensor): readonly number[] | string {
  try {
    return fn().shape;
  } catch (error) {
    return (error as { code: string }).code;
  }
}

/** NumPy's rule, dimension by dimension from the end. */
function broadcastRule(a: readonly number[], b: readonly number[]): number[] | 'SHAPE' {
  const out: number[] = [];
  for (let i = 1; i <= Math.max(a.length, b.length); i++) {
    const [x, y] = [a.at(-i) ?? 1, b.at(-i) ?? 1];
    if (x !== y && x !== 1 && y !== 1) return 'SHAPE';
    out.unshift(x === 1 ? y : x);
  }
  return out;
}

describe('broadcasting', () => {
  it('follows NumPy, with values', () => {
    fc.assert(
      fc.property(shapes, shapes, (a, b) => {
        const expected = broadcastRule(a, b);
        expect(tryShape(() => F.add(counted(a), counted(b)))).toEqual(expected);
        if (expected === 'SHAPE') return;
        const [x, y] = [counted(a), counted(b)];
        // Whole numbers far below 2^24: exact.
        expect(Array.from(F.sub(x, y).toTypedArray())).toEqual(
          Array.from(zipNd((p, q) => p - q)(ndOf(x), ndOf(y)).data, (value) => value + 0),
        );
      }),
      runs,
    );
  });

  it('gives operands gradients of their own shapes', () => {
    fc.assert(
      fc.property(shapes, fc.nat({ max: 31 }), (shape, ones_) => {
        const smaller = shape.map((dim, i) => ((ones_ >> i) & 1 ? 1 : dim));
        const a = counted(shape).requiresGrad_();
        const b = counted(smaller).requiresGrad_();
        F.mul(a, b).sum().backward();
        expect(a.grad?.shape).toEqual(shape);
        expect(b.grad?.shape).toEqual(smaller);
      }),
      runs,
    );
  });
});

describe('moves', () => {
  const withOrder = shapes.chain((shape) =>
    fc.tuple(
      fc.constant(shape),
      fc.shuffledSubarray(
        shape.map((_, i) => i),
        { minLength: shape.length },
      ),
    ),
  );

  it('permutes there and back', () => {
    fc.assert(
      fc.property(withOrder, ([shape, dims]) => {
        const x = counted(shape);
        const y = x.permute(dims);
        expect(y.shape).toEqual(dims.map((dim) => shape[dim]));
        const inverse = dims.map((_, i) => dims.indexOf(i));
        expect(y.permute(inverse).toTypedArray()).toEqual(x.toTypedArray());
        const source = ndOf(x);
        const expected = build(y.shape, (index) =>
          at(
            source,
            inverse.map((i) => index[i]!),
          ),
        );
        expect(Array.from(y.toTypedArray())).toEqual(Array.from(expected.data));
      }),
      runs,
    );
  });

  it('cuts and joins', () => {
    const cut = fc.tuple(shapes, fc.nat(), fc.nat()).filter(([shape]) => shape.length > 0);
    fc.assert(
      fc.property(cut, ([shape, d, s]) => {
        const dim = d % shape.length;
        const at_ = s % (shape[dim]! + 1);
        const x = counted(shape);
        const parts = [x.narrow(dim, 0, at_), x.narrow(dim, at_, shape[dim]! - at_)];
        expect(F.cat(parts, dim).toTypedArray()).toEqual(x.toTypedArray());
        const indices = Array.from({ length: shape[dim]! }, (_, i) => i);
        expect(x.indexSelect(dim, indices).toTypedArray()).toEqual(x.toTypedArray());
      }),
      runs,
    );
  });

  it('sums the same in parts', () => {
    fc.assert(
      fc.property(withOrder, fc.nat({ max: 5 }), ([shape, order], count) => {
        const dims = order.slice(0, count);
        const x = counted(shape);
        const whole = x.sum(dims);
        expect(whole.shape).toEqual(shape.filter((_, i) => !dims.includes(i)));
        expect(x.sum(dims, { keepdim: true }).shape).toEqual(shape.map((dim, i) => (dims.includes(i) ? 1 : dim)));
        // Whole numbers below 2^24: exact in any order.
        expect(whole.sum().item()).toBe(x.sum().item());
      }),
      runs,
    );
  });
});

describe('windows', () => {
  const window = fc.record({
    h: fc.integer({ min: 1, max: 9 }),
    w: fc.integer({ min: 1, max: 9 }),
    kh: fc.integer({ min: 1, max: 4 }),
    kw: fc.integer({ min: 1, max: 4 }),
    sh: fc.integer({ min: 1, max: 3 }),
    sw: fc.integer({ min: 1, max: 3 }),
    ph: fc.integer({ min: 0, max: 2 }),
    pw: fc.integer({ min: 0, max: 2 }),
  });
  const count = (size: number, kernel: number, stride: number, padding: number): number =>
    Math.floor((size + 2 * padding - kernel) / stride) + 1;

  it('have as many positions as PyTorch says', () => {
    fc.assert(
      fc.property(window, ({ h, w, kh, kw, sh, sw, ph, pw }) => {
        const fits = kh <= h + 2 * ph && kw <= w + 2 * pw;
        const spatial = [count(h, kh, sh, ph), count(w, kw, sw, pw)];
        const options = { stride: [sh, sw], padding: [ph, pw] } as const;
        const x = ones([2, 3, h, w]);
        expect(tryShape(() => conv2d(x, ones([4, 3, kh, kw]), undefined, options))).toEqual(
          fits ? [2, 4, ...spatial] : 'SHAPE',
        );
        const pools = fits && 2 * ph <= kh && 2 * pw <= kw;
        expect(tryShape(() => maxPool2d(x, [kh, kw], options))).toEqual(pools ? [2, 3, ...spatial] : 'SHAPE');
      }),
      runs,
    );
  });
});
