/**
 * The inline helpers of assembly/, one by one, on managed arrays: a build that only this test loads (build/loader.wasm), through
 * @assemblyscript/loader. The kernels that are made of them are tested in contract.test.ts.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { instantiateSync } from '@assemblyscript/loader';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exp32, log32, sigmoid32, tanh32 } from '../../kernels/f32-math.ts';
import { maxRow, sumRow } from '../../kernels/row.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
execFileSync(process.execPath, [`${root}scripts/build.mjs`, '--loader'], { stdio: 'ignore' });

/** The managed side of the build: references (pins) to its arrays. */
interface Loaded {
  __newArray(type: number, values: ArrayLike<number>): number;
  __getFloat32Array(reference: number): Float32Array;
  __getFloat32ArrayView(reference: number): Float32Array;
  readonly float32ArrayId: { readonly value: number };
  readonly [helper: string]: unknown;
}

const { exports } = instantiateSync(readFileSync(`${root}build/loader.wasm`), {}) as unknown as { exports: Loaded };

type Argument = number | Float32Array;

/** Calls a helper: arrays become managed arrays. */
function call(helper: string, ...values: Argument[]): number {
  const lowered = values.map((value) =>
    typeof value === 'number' ? value : exports.__newArray(exports.float32ArrayId.value, value),
  );
  return (exports[helper] as (...values: number[]) => number)(...lowered);
}

/** As `call`, for a helper that returns an array. */
function callArray(helper: string, ...values: Argument[]): Float32Array {
  return exports.__getFloat32Array(call(helper, ...values));
}

const anyFloat = fc.float();
const floats = fc.array(anyFloat, { minLength: 1, maxLength: 20 }).map((values) => Float32Array.from(values));

describe.each([
  ['expInLane', exp32],
  ['logInLane', log32],
  ['tanhInLane', tanh32],
  ['sigmoidInLane', sigmoid32],
] as const)('%s', (helper, reference) => {
  it('equals the scalar reference in every lane, whatever the other lanes hold', () => {
    fc.assert(
      fc.property(floats, fc.nat(3), anyFloat, (x, lane, others) => {
        expect([...callArray(helper, x, lane, others)]).toEqual([...x].map(reference));
      }),
      { numRuns: 400 },
    );
  });
});

const value = (helper: string, x: number): number => callArray(helper, Float32Array.of(x), 0, 0)[0]!;
const moderate = fc.float({ min: -80, max: 80, noNaN: true });

describe('identities of the functions', () => {
  it('exp(x) exp(-x) = 1 within the bounds of both', () => {
    // 1 ulp each and the rounding of nothing (doubles here): 2 * 2^-23 relative, and a little.
    fc.assert(
      fc.property(moderate, (x) => {
        expect(Math.abs(value('expInLane', x) * value('expInLane', -x) - 1)).toBeLessThan(2.5e-7);
      }),
    );
  });

  it('log(exp(x)) = x', () => {
    // exp is off by 2^-23 relative, which shifts log by 2^-23; log itself by 1 ulp of x.
    fc.assert(
      fc.property(moderate, (x) => {
        expect(Math.abs(value('logInLane', value('expInLane', x)) - x)).toBeLessThan(1.3e-7 * (1 + Math.abs(x)));
      }),
    );
  });

  it('tanh is odd and within [-1, 1], sigmoid within [0, 1] with sigmoid(x) + sigmoid(-x) = 1', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true }), (x) => {
        expect(value('tanhInLane', -x)).toBe(-value('tanhInLane', x));
        expect(Math.abs(value('tanhInLane', x))).toBeLessThanOrEqual(1);
        const s = value('sigmoidInLane', x);
        expect(s >= 0 && s <= 1).toBe(true);
        // 2 ulp of each, which are at most 2^-24 * 1 and 2^-24 * 1/2.
        expect(Math.abs(s + value('sigmoidInLane', -x) - 1)).toBeLessThan(2 * 1.5 * 2 ** -24 + 1e-9);
      }),
    );
  });

  it('step back by at most 1 ulp between neighbouring floats', () => {
    // 20,000 neighbours around each place where the method or the exponent changes; results are below 1, so 1 ulp is at most 2^-24.
    for (const [helper, centre] of [
      ['tanhInLane', 0.5493061542510986],
      ['logInLane', 1],
      ['logInLane', Math.SQRT2],
    ] as const) {
      const start = new Int32Array(Float32Array.of(centre).buffer)[0]! - 10_000;
      const x = new Float32Array(Int32Array.from({ length: 20_000 }, (_, i) => start + i).buffer);
      const y = callArray(helper, x, 1, 0.5);
      let worst = 0;
      for (let i = 1; i < y.length; i++) worst = Math.max(worst, y[i - 1]! - y[i]!);
      expect(worst, `${helper} near ${centre}`).toBeLessThanOrEqual(2 ** -24);
    }
  });
});

describe('partly filled vectors', () => {
  it('load the first lanes and zeros, and store only these', () => {
    for (const count of [1, 2, 3]) {
      const x = Float32Array.of(5, 6, 7, 8, 9);
      expect([...callArray('lanesOfPart', x, count)]).toEqual([5, 6, 7, 0].map((v, i) => (i < count ? v : 0)));
      const into = exports.__newArray(exports.float32ArrayId.value, new Float32Array(5).fill(-1));
      (exports.copyPart as (x: number, into: number, count: number) => void)(
        exports.__newArray(exports.float32ArrayId.value, x),
        into,
        count,
      );
      expect([...exports.__getFloat32Array(into)]).toEqual([5, 6, 7, -1, -1].map((v, i) => (i < count ? v : -1)));
    }
  });
});

describe('rows', () => {
  it('sum and largest equal the canonical references', () => {
    const lengths = fc.oneof(fc.nat(40), fc.constantFrom(1023, 1024, 1025, 2048, 3100));
    fc.assert(
      fc.property(lengths, fc.nat(), (length, seed) => {
        const x = Float32Array.from({ length: length + 1 }, (_, i) => Math.fround(Math.sin(i * 12.9898 + seed) * 1000));
        expect(call('sumOf', x)).toBe(sumRow(Math.fround, x, 0, x.length));
        expect(call('maxOf', x)).toBe(maxRow(x, 0, x.length));
      }),
      { numRuns: 60 },
    );
  });
});

describe('packing', () => {
  /** Distinct values, so that every wrong index shows. */
  const matrix = (length: number): Float32Array => Float32Array.from({ length }, (_, i) => i + 1);
  const small = fc.integer({ min: 1, max: 4 });
  const steps = fc.integer({ min: 1, max: 13 });

  it('transposes streams; lanes that do not exist repeat one that does', () => {
    fc.assert(
      fc.property(small, steps, fc.nat(3), (lanes, count, gap) => {
        const lane = count + gap;
        const x = matrix(lane * 4 + count);
        const packed = callArray('packedTransposed', x, lane, lanes, count);
        for (let step = 0; step < count; step++) {
          for (let j = 0; j < lanes; j++) expect(packed[4 * step + j]).toBe(x[j * lane + step]);
        }
      }),
    );
  });

  it('copies contiguous lanes; lanes that do not exist are 0', () => {
    fc.assert(
      fc.property(small, steps, fc.nat(3), (lanes, count, gap) => {
        const step = lanes + gap;
        const x = matrix(step * count + 4);
        const packed = callArray('packedCopied', x, step, lanes, count);
        for (let i = 0; i < count; i++)
          for (let j = 0; j < 4; j++) expect(packed[4 * i + j]).toBe(j < lanes ? x[i * step + j] : 0);
      }),
    );
  });

  it('makes panels of eight columns and of four rows from either orientation', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), steps, fc.nat(3), fc.boolean(), (lanes, count, gap, contiguous) => {
        const [lane, step] = contiguous ? [1, 8 + gap] : [count + gap, 1];
        const x = matrix(8 * lane + step * count + 8);
        const columns = callArray('packedColumns', x, lane, step, lanes, count);
        const rows = callArray('packedRows', x, lane, step, Math.min(lanes, 4), count);
        for (let i = 0; i < count; i++) {
          for (let j = 0; j < lanes; j++) expect(columns[8 * i + j]).toBe(x[j * lane + i * step]);
          for (let j = 0; j < Math.min(lanes, 4); j++) expect(rows[4 * i + j]).toBe(x[j * lane + i * step]);
        }
      }),
    );
  });
});
