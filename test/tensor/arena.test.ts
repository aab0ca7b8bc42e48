/** @file Where cells live: moving out and back, budgets, scopes, recycling. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { blockCount, setMaximumBytes, usedBytes } from '../../kernels/runtime/memory.ts';
import '../../src/install.ts';
import { maxPool2d, noGrad } from '../../src/ops/index.ts';
import { gatherAlong } from '../../src/ops/indexing.ts';
import { setArenaBudget } from '../../src/tensor/arena.ts';
import { arenaStatistics, full, ones, scope, type Tensor, tensor } from '../../src/tensor/index.ts';

const codeOf = (fn: () => unknown): string | undefined => {
  try {
    fn();
  } catch (error) {
    return (error as { code?: string }).code;
  }
  return undefined;
};

/** 1 MiB of float32. */
const big = (value: number): Tensor => full([2 ** 18], value);

/** Three passes move out everything that is not in use. */
function settle(): void {
  for (let i = 0; i < 3; i++) ones([1], { requiresGrad: true }).mul(2).backward();
}

beforeEach(settle);
afterEach(() => setArenaBudget());

describe('budget', () => {
  it('moves the oldest cells out and loses nothing', () => {
    setArenaBudget(8 << 20);
    const before = arenaStatistics();
    const kept = Array.from({ length: 40 }, (_, i) => big(i).add(1));
    const after = arenaStatistics();
    expect(after.residentBytes).toBeLessThanOrEqual(10 << 20);
    expect(after.movedOut - before.movedOut).toBeGreaterThan(30);
    kept.forEach((x, i) => {
      expect(x.mul(1).narrow(0, 77, 1).item()).toBe(i + 1);
    });
  });

  it('doubles when cells keep coming back', () => {
    setArenaBudget(4 << 20);
    const kept = Array.from({ length: 10 }, (_, i) => big(i));
    for (let round = 0; round < 12; round++) for (const x of kept) x.add(1);
    expect(arenaStatistics().budgetBytes).toBeGreaterThanOrEqual(16 << 20);
    expect(arenaStatistics().cameBack).toBeGreaterThan(0);
  });

  it('makes room when memory ends, and recovers when there is none', () => {
    const limit = arenaStatistics().capacityBytes + (12 << 20);
    setMaximumBytes(limit);
    try {
      const kept = Array.from({ length: 30 }, (_, i) => big(i).add(1));
      expect(kept[0]!.narrow(0, 0, 1).item()).toBe(1);
      const used = usedBytes();
      expect(codeOf(() => ones([limit / 4 + 1]))).toBe('OUT_OF_MEMORY');
      expect(usedBytes()).toBeLessThanOrEqual(used);
      expect(big(1).add(1).narrow(0, 5, 1).item()).toBe(2);
    } finally {
      setMaximumBytes();
    }
  });
});

describe('age', () => {
  it('moves out what the last two passes have not used, once', () => {
    const held = big(3);
    const used = big(4);
    const pass = (): void => {
      used
        .add(ones([1], { requiresGrad: true }))
        .sum()
        .backward();
    };
    expect(held.storage.pointer).not.toBe(0);
    for (let i = 0; i < 3; i++) pass();
    expect(held.storage.pointer).toBe(0);
    expect(used.storage.pointer).not.toBe(0);
    expect(held.add(1).narrow(0, 0, 1).item()).toBe(4);
    for (let i = 0; i < 3; i++) pass();
    expect(held.storage.pointer, 'it came back, so it is revisited').not.toBe(0);
  });
});

describe('recycling', () => {
  const forward = (): [Tensor, Tensor] => {
    const x = big(1).requiresGrad_();
    const middle = x.mul(2);
    return [middle, middle.mul(3).sum()];
  };

  it('frees intermediates two passes later and says what to do', () => {
    const [middle, loss] = forward();
    loss.backward();
    expect(middle.narrow(0, 0, 1).item()).toBe(2);
    settle();
    expect(() => middle.add(1)).toThrow(
      /^add\w*: .*got the result of mulScalar, whose memory was recycled\. Call keep\(\) or detach\(\)/,
    );
    expect(codeOf(() => middle.toTypedArray())).toBe('RECYCLED');
    expect(codeOf(() => middle.reshape([-1, 2]))).toBe('RECYCLED');
    expect(codeOf(() => middle.detach())).toBe('RECYCLED');
    expect(loss.item()).toBe(6 * 2 ** 18);
  });

  it('spares what is kept, detached, tiny, a root, a leaf, or outside the graph', () => {
    const x = big(1).requiresGrad_();
    const kept = x.mul(2).keep();
    const original = x.mul(3);
    const detached = original.detach();
    const tiny = x.narrow(0, 0, 1024).mul(4);
    const outside = noGrad(() => x.mul(5));
    const view = x.reshape([512, 512]);
    const root = kept
      .add(original)
      .add(tiny.sum())
      .add(view.reshape([-1]))
      .add(outside);
    root.backward({ gradient: big(1) });
    const gradient = x.grad!;
    x.zeroGrad();
    settle();
    settle();
    const values = [kept, original, detached, tiny, outside, view, x, root, gradient].map(
      (tensor_) => tensor_.toTypedArray()[0],
    );
    // The gradient: 2 from kept, 3 from original, 1 from the view, 4 from each of the 2^18 elements that tiny's sum was added to.
    expect(values).toEqual([2, 3, 3, 4, 5, 1, 1, 2 + 3 + 4 * 1024 + 1 + 5, 2 + 3 + 1 + 4 * 2 ** 18]);
  });

  it('frees a gradient that nobody read, at once', () => {
    const x = big(1).requiresGrad_();
    x.mul(2).sum().backward();
    const before = blockCount();
    x.zeroGrad();
    expect(blockCount()).toBe(before - 1);
  });

  it('frees what only the graph saw in the pass itself, and without a graph at once', () => {
    const x = full([1, 1, 64, 64], 1, { requiresGrad: true });
    const before = blockCount();
    const pooled = noGrad(() => maxPool2d(x, 2));
    expect(blockCount(), 'the result, no indices').toBe(before + 1);
    const trained = maxPool2d(x, 2);
    const [indices] = trained.node!.hidden;
    const loss = trained.sum();
    expect(indices!.recycled).toBe(false);
    loss.backward();
    expect(indices!.recycled).toBe(true);
    expect(pooled.size).toBe(1024);
  });

  it('frees the parts of an accumulated gradient', () => {
    const x = big(1).requiresGrad_();
    x.sum().backward();
    const first = x.gradient!.tensor.storage;
    x.sum().backward();
    expect(first.recycled).toBe(true);
    expect(x.grad!.narrow(0, 0, 1).item()).toBe(2);
  });

  it('frees the result of an operation that fails while it computes', () => {
    const x = big(1);
    const indices = tensor([2 ** 18], { dtype: 'int32' });
    const before = blockCount();
    expect(codeOf(() => gatherAlong(x, 0, indices))).toBe('INDEX_RANGE');
    expect(blockCount()).toBe(before);
  });

  it('does not let leaves share a gradient', () => {
    const a = ones([3], { requiresGrad: true });
    const b = ones([3], { requiresGrad: true });
    a.add(b).sum().backward();
    a.zeroGrad();
    expect(b.grad?.toArray()).toEqual([1, 1, 1]);
    const given = ones([3]);
    a.backward({ gradient: given });
    a.zeroGrad();
    expect(given.toArray()).toEqual([1, 1, 1]);
  });
});

describe('scope', () => {
  it('frees what is not in the result', () => {
    const before = blockCount();
    let lost: Tensor | undefined;
    const result = scope(() => {
      lost = big(1);
      return { list: [lost.mul(2)], map: new Map([['a', lost.mul(3)]]), number: 1 };
    });
    expect(blockCount()).toBe(before + 2);
    expect(result.list[0]!.narrow(0, 0, 1).item()).toBe(2);
    expect(result.map.get('a')!.narrow(0, 0, 1).item()).toBe(3);
    expect(codeOf(() => lost!.add(1))).toBe('RECYCLED');
  });

  it('nests: results belong to the scope around', () => {
    const before = blockCount();
    scope(() => {
      const inner = scope(() => big(1).mul(2));
      expect(inner.narrow(0, 0, 1).item()).toBe(2);
    });
    expect(blockCount()).toBe(before);
  });

  it('spares what is kept and frees the rest when it throws', () => {
    const before = blockCount();
    let kept: Tensor | undefined;
    expect(() =>
      scope(() => {
        kept = big(1).keep();
        big(2);
        throw new Error('inside');
      }),
    ).toThrow('inside');
    expect(blockCount()).toBe(before + 1);
    expect(kept!.narrow(0, 0, 1).item()).toBe(1);
  });

  it('refuses promises', () => {
    expect(codeOf(() => scope(async () => tensor([1])))).toBe('ARGUMENT');
  });
});
