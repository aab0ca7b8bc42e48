import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { compiledModule, setModule, wasm } from '../../kernels/runtime/instance.ts';
import {
  allocate,
  blockBytes,
  blockCount,
  capacityBytes,
  f32,
  free,
  i32,
  peakBytes,
  scratch,
  setMaximumBytes,
  u8,
  usedBytes,
} from '../../kernels/runtime/memory.ts';
import { KernelError } from '../../src/errors.ts';

afterEach(() => setMaximumBytes());

function errorOf(f: () => unknown): KernelError {
  try {
    f();
  } catch (error) {
    if (error instanceof KernelError) return error;
  }
  throw new Error('no KernelError was thrown');
}

describe('instance', () => {
  it('exists without any init call, has static data below heapBase, and takes the module of another thread only before it runs', () => {
    expect(wasm().heapBase).toBeGreaterThanOrEqual(1024);
    setModule(compiledModule()); // The same module again is fine.
    expect(() => setModule({ [Symbol.toStringTag]: 'another' })).toThrow(/before the first kernel/);
  });
});

describe('arena', () => {
  it('has size classes that hold the request, waste at most a quarter, and are multiples of 64', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (bytes) => {
        const size = blockBytes(bytes);
        expect(size % 64).toBe(0);
        expect(size).toBeGreaterThanOrEqual(bytes);
        expect(size).toBeLessThanOrEqual(Math.max(64, bytes * 1.25 + 64));
        expect(blockBytes(size)).toBe(size);
      }),
      { numRuns: 1000 },
    );
    expect(new Set(Array.from({ length: 65_536 }, (_, bytes) => blockBytes(bytes))).size).toBeLessThan(40);
  });

  it('begins long blocks of one size, taken in a row, at different places of a page', () => {
    for (const bytes of [4097, 65_536, 802_816]) {
      const pointers = Array.from({ length: 8 }, () => allocate(bytes));
      expect(new Set(pointers.map((pointer) => pointer % 4096)).size).toBe(8);
      for (const pointer of pointers) free(pointer);
    }
  });

  it('keeps blocks apart, aligned and above the static data, over any history of allocations and frees', () => {
    const history = fc.array(fc.oneof(fc.integer({ min: 0, max: 40_000 }), fc.constant(-1)), { maxLength: 120 });
    fc.assert(
      fc.property(history, fc.nat(), (steps, seed) => {
        const live: { pointer: number; bytes: number; mark: number }[] = [];
        const before = { used: usedBytes(), count: blockCount() };
        let draw = seed;
        for (const [mark, step] of steps.entries()) {
          if (step >= 0) {
            const pointer = allocate(step);
            expect(pointer % 64).toBe(0);
            expect(pointer).toBeGreaterThanOrEqual(wasm().heapBase);
            expect(pointer + step).toBeLessThanOrEqual(capacityBytes());
            u8(pointer, step).fill(mark);
            live.push({ pointer, bytes: step, mark });
          } else if (live.length > 0) {
            draw = (draw * 1_103_515_245 + 12_345) % 2_147_483_648;
            const [block] = live.splice(draw % live.length, 1);
            free(block!.pointer);
          }
        }
        for (const { pointer, bytes, mark } of live)
          expect(u8(pointer, bytes).every((byte) => byte === mark)).toBe(true);
        for (const { pointer } of live) free(pointer);
        expect({ used: usedBytes(), count: blockCount() }).toEqual(before);
      }),
      { numRuns: 60 },
    );
  });

  it('stays flat when the same sizes come and go', () => {
    const sizes = [100, 4000, 70_000, 1_000_000, 12];
    const round = () => {
      const pointers = sizes.map(allocate);
      for (const pointer of pointers) free(pointer);
    };
    round();
    const capacity = capacityBytes();
    for (let i = 0; i < 10_000; i++) round();
    expect(capacityBytes()).toBe(capacity);
  });

  it('merges free neighbours into larger blocks before it grows', () => {
    const small = Array.from({ length: 64 }, () => allocate(64 * 1024));
    const capacity = capacityBytes();
    setMaximumBytes(capacity); // Growing is not possible, so only merging can help.
    for (const pointer of small) free(pointer);
    const large = allocate(64 * 60 * 1024);
    expect(capacityBytes()).toBe(capacity);
    free(large);
  });

  it('refuses to free what is not a block in use', () => {
    const pointer = allocate(10);
    free(pointer);
    expect(() => free(pointer)).toThrow(/not a block in use/);
    expect(() => free(pointer + 64)).toThrow(/not a block in use/);
    expect(() => allocate(-1)).toThrow(/whole number/);
    expect(() => allocate(Number.NaN)).toThrow(/whole number/);
  });

  it('makes views of the memory as it is now', () => {
    const pointer = allocate(16);
    f32(pointer, 4).set([1, 2, 3, 4]);
    expect([...i32(pointer, 1)]).toEqual([0x3f800000]);
    const old = f32(pointer, 4);
    const big = allocate(capacityBytes());
    expect(old.length).toBe(0); // Growth detached it: nobody may keep a view across an allocation.
    expect([...f32(pointer, 4)]).toEqual([1, 2, 3, 4]);
    free(big);
    free(pointer);
  });

  it('gives one scratch region, which grows and is reused', () => {
    const first = scratch(100);
    expect(scratch(50)).toBe(first);
    const used = usedBytes();
    const larger = scratch(5_000_000);
    expect(usedBytes() - used).toBeLessThan(6_300_000);
    expect(scratch(100)).toBe(larger);
    expect(peakBytes()).toBeGreaterThanOrEqual(usedBytes());
  });
});

describe('memory exhaustion', () => {
  it('is a coded error with the numbers, leaves the arena as it was, and lets the next request succeed', () => {
    const kept = allocate(1000);
    u8(kept, 1000).fill(7);
    const before = { used: usedBytes(), count: blockCount(), capacity: capacityBytes() };
    setMaximumBytes(capacityBytes() + 1_000_000);
    const error = errorOf(() => allocate(1_000_000_000));
    expect(error.code).toBe('OUT_OF_MEMORY');
    expect(error.fields.requestedBytes).toBe(1_000_000_000);
    expect(error.fields.availableBytes as number).toBeGreaterThan(700_000);
    expect(error.message).toMatch(/1000000000 bytes .* bytes available/);
    expect({ used: usedBytes(), count: blockCount(), capacity: capacityBytes() }).toEqual(before);
    expect(u8(kept, 1000).every((byte) => byte === 7)).toBe(true);
    const next = allocate(error.fields.availableBytes as number);
    free(next);
    free(kept);
  });

  it('counts free blocks of other sizes as available', () => {
    const pieces = [allocate(3_000_000), allocate(5_000_000), allocate(4_000_000)];
    const end = allocate(64); // Keeps the pieces from becoming untouched memory again.
    setMaximumBytes(capacityBytes());
    for (const pointer of pieces) free(pointer);
    const error = errorOf(() => allocate(1_000_000_000));
    const available = error.fields.availableBytes as number;
    expect(available).toBeGreaterThanOrEqual(8_000_000);
    free(allocate(available));
    free(end);
  });

  it('of scratch leaves a usable scratch', () => {
    setMaximumBytes(capacityBytes());
    expect(errorOf(() => scratch(2_000_000_000)).code).toBe('OUT_OF_MEMORY');
    setMaximumBytes();
    expect(scratch(10)).toBeGreaterThan(0);
  });
});
