/** The arithmetic of training, the plan of kills, the hash, the metrics: pure functions. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBlocks } from '../../src/engine/blocks.ts';
import { CrossEntropyLoss } from '../../src/nn/index.ts';
import { tensor } from '../../src/tensor/index.ts';
import {
  gradientFloats,
  HEADER_BYTES,
  sumHeaders,
  trainingBlocks,
  trainingPhases,
  writeHeader,
} from '../../src/train/blocks.ts';
import { drawChaos, faultPhases } from '../../src/train/chaos.ts';
import { ConfusionMatrix, MeanLoss, metricFromSpec, Top1Accuracy } from '../../src/train/metrics.ts';
import type { FlatValues } from '../../src/train/model-state.ts';
import {
  epochOrder,
  iterationsPerEpoch,
  layoutOf,
  share,
  sliceLengths,
  sliceStart,
  stream,
} from '../../src/train/plan.ts';
import { argmax } from '../../src/train/predictions.ts';
import { weightsSha256 } from '../../src/train/weights-hash.ts';

const counts = fc.nat(5000);
const partitions = fc.integer({ min: 1, max: 40 });

describe('slices', () => {
  it('cover the vector in order, in whole units of 16 floats, and differ by at most one unit', () => {
    fc.assert(
      fc.property(counts, partitions, (length, slices) => {
        expect(sliceStart(length, slices, 0)).toBe(0);
        expect(sliceStart(length, slices, slices)).toBe(length);
        const lengths = sliceLengths(length, slices);
        expect(lengths.reduce((a, b) => a + b, 0)).toBe(length);
        const units = lengths.map((floats) => Math.ceil(floats / 16));
        expect(Math.max(...units) - Math.min(...units)).toBeLessThanOrEqual(1);
        expect(Math.max(...lengths)).toBe(lengths[0]);
        for (let k = 0; k < slices; k++)
          expect(sliceStart(length, slices, k) % 16 === 0 || sliceStart(length, slices, k) === length).toBe(true);
      }),
    );
  });

  it('of LeNet-5 (61,706 parameters) at 8 partitions are the documented ones', () => {
    const shapes = [[6, 1, 5, 5], [6], [16, 6, 5, 5], [16], [120, 400], [120], [84, 120], [84], [10, 84], [10]];
    const layout = layoutOf(shapes.map((shape, i) => ({ name: String(i), shape, trained: true })));
    expect(layout.entries.map(({ offset }) => offset)).toEqual([
      0, 160, 176, 2576, 2592, 50592, 50720, 60800, 60896, 61744,
    ]);
    expect(layout.weightsLength).toBe(61760);
    expect(sliceLengths(layout.weightsLength, 8)).toEqual([7728, 7728, 7728, 7728, 7712, 7712, 7712, 7712]);
  });
});

describe('batches', () => {
  it('use each record once an epoch, and all partitions end together', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(200), { minLength: 1, maxLength: 9 }),
        fc.integer({ min: 1, max: 300 }),
        (sizes, batchSize) => {
          const records = sizes.reduce((a, b) => a + b, 0);
          fc.pre(records > 0);
          const steps = iterationsPerEpoch(records, batchSize);
          for (const count of sizes) {
            let next = 0;
            for (let step = 0; step < steps; step++) {
              const { start, end } = share(count, step, steps);
              expect(start).toBe(next);
              expect(end - start).toBeLessThanOrEqual(Math.ceil(count / steps));
              next = end;
            }
            expect(next).toBe(count);
          }
        },
      ),
    );
  });

  it('go through a partition in an order of (seed, epoch, partition)', () => {
    const order = (seed: number, epoch: number, partition: number): string =>
      epochOrder(seed, epoch, partition, 50).join();
    expect([...epochOrder(1, 0, 0, 50)].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(order(1, 0, 0)).toBe(order(1, 0, 0));
    expect(new Set([order(1, 0, 0), order(2, 0, 0), order(1, 1, 0), order(1, 0, 1)]).size).toBe(4);
  });

  it('draw from streams that no other purpose uses', () => {
    const seen = new Set<string>();
    for (const domain of ['draw', 'order', 'initial', 'chaos'] as const) {
      for (const time of [0, 1, 2 ** 30 - 1])
        for (const partition of [0, 1, 1000]) seen.add(String(stream(domain, time, partition)));
    }
    expect(seen.size).toBe(4 * 3 * 3);
    for (const word of [...seen].flatMap((key) => key.split(',').map(Number))) expect(word).toBeLessThan(2 ** 32);
  });
});

describe('blocks', () => {
  it('hold a header and the flat gradient, and sum headers in partition order', () => {
    const specs = trainingBlocks({ entries: [], weightsLength: 100, constantsLength: 48 }, 3, 1);
    const blocks = createBlocks({ id: 0, units: 3, specs, startVersion: 7, hasData: true });
    expect(blocks.part('gradient', 0, 8).byteLength).toBe(HEADER_BYTES + 400);
    expect(gradientFloats(blocks.part('gradient', 0, 8), 16, 48)).toHaveLength(32);
    expect(blocks.whole('weights', 7).byteLength).toBe(400);
    expect(blocks.whole('constants', 7).byteLength).toBe(192);
    expect(blocks.minVersion('weights')).toBe(6); // nobody has initialised them
    for (let p = 0; p < 3; p++)
      writeHeader(blocks.part('gradient', p, 8), { lossSum: 0.1 * (p + 1), weight: p, records: 2 * p });
    expect(sumHeaders(blocks, 7)).toEqual({ lossSum: 0.1 + 0.2 + 0.1 * 3, weight: 3, records: 6 });
  });

  it('say which bytes an update reads: the header and its slice, all slices together the whole gradient', () => {
    const layout = { entries: [], weightsLength: 100, constantsLength: 0 };
    const [task, update] = trainingPhases(layout, 3);
    expect([task!.writes, task!.reads, update!.writes]).toEqual(['gradient', undefined, 'weights']);
    expect(update!.reads).toEqual([
      [
        { offsetBytes: 0, lengthBytes: 64 },
        { offsetBytes: 64, lengthBytes: 192 },
      ],
      [
        { offsetBytes: 0, lengthBytes: 64 },
        { offsetBytes: 256, lengthBytes: 128 },
      ],
      [
        { offsetBytes: 0, lengthBytes: 64 },
        { offsetBytes: 384, lengthBytes: 80 },
      ],
    ]);
  });

  it('keep two versions apart', () => {
    const specs = trainingBlocks({ entries: [], weightsLength: 64, constantsLength: 0 }, 2, 1);
    const blocks = createBlocks({ id: 0, units: 2, specs, startVersion: 0, hasData: true });
    blocks.whole('weights', 4).fill(1);
    blocks.whole('weights', 5).fill(2);
    expect(blocks.part('weights', 1, 4)[0]).toBe(1);
    expect(blocks.part('weights', 1, 5)[0]).toBe(2);
    expect(blocks.viewedBytes).toBe(2 * 256 + 2 * 128);
  });
});

describe('chaos', () => {
  it('names each phase, inside its range, and as many random times', () => {
    fc.assert(
      fc.property(fc.nat(1e6), (seed) => {
        const { points, times } = drawChaos(seed, { from: 10, to: 200, partitions: 8, checkpoints: [50, 100] });
        expect(new Set(points.map(({ phase }) => phase))).toEqual(new Set(faultPhases));
        expect(times).toHaveLength(points.length);
        for (const { phase, unit, iteration } of points) {
          if (phase === 'checkpoint') expect([50, 100]).toContain(iteration);
          else expect(unit < 8 && iteration >= 10 && iteration < 200).toBe(true);
        }
        expect(drawChaos(seed, { from: 10, to: 200, partitions: 8, checkpoints: [50, 100] })).toEqual({
          points,
          times,
        });
      }),
    );
    expect(
      drawChaos(1, { from: 0, to: 9, partitions: 1, checkpoints: [] }).points.some(
        ({ phase }) => phase === 'checkpoint',
      ),
    ).toBe(false);
  });
});

describe('weightsSha256', () => {
  const layout = layoutOf([
    { name: 'a', shape: [3], trained: true },
    { name: 'frozen', shape: [1], trained: false },
    { name: 'b', shape: [2], trained: true },
  ]);
  const flat = ([a, b, c, d, e, f]: number[], gap = 0): FlatValues => {
    const weights = new Float32Array(32).fill(gap);
    weights.set([a!, b!, c!]);
    weights.set([e!, f!], 16);
    return { weights, constants: new Float32Array(16).fill(gap).fill(d!, 0, 1) };
  };

  it('is that of the little-endian values in state-dict order, without gaps', () => {
    const bytes = Buffer.alloc(24);
    const values = [1, -2.5, 3e-40, 11, 7, 0];
    values.forEach((value, i) => void bytes.writeFloatLE(value, 4 * i));
    const expected = createHash('sha256').update(bytes).digest('hex');
    expect(weightsSha256(layout, flat(values))).toBe(expected);
    expect(weightsSha256(layout, flat(values, 99))).toBe(expected);
    expect(weightsSha256(layout, flat([1, -2.5, 3e-40, 11, 7, -0]))).not.toBe(expected);
  });

  it('does not see the payload or sign of a NaN', () => {
    const one = flat([Number.NaN, 1, 2, 3, 4, 5]);
    const other = flat([0, 1, 2, 3, 4, 5]);
    new Uint32Array(other.weights.buffer)[0] = 0xffc12345;
    expect(weightsSha256(layout, other)).toBe(weightsSha256(layout, one));
    expect(weightsSha256(layout, flat([0, 1, 2, 3, 4, 5]))).not.toBe(weightsSha256(layout, one));
  });
});

describe('metrics', () => {
  const outputs = tensor([
    [3, 1, 2],
    [0, 5, 5],
    [1, 2, 9],
    [7, 0, 0],
  ]);
  const targets = tensor(Int32Array.of(0, 1, 1, 0));

  it('argmax takes the first of equals and the first NaN', () => {
    expect([...argmax(outputs)]).toEqual([0, 1, 2, 0]);
    expect([...argmax(tensor([[1, Number.NaN, Number.NaN, 9]]))]).toEqual([1]);
    expect(() => argmax(tensor([1, 2]))).toThrow('outputs must be [N, classes], got [2]');
  });

  it('merge partials of any split to the same result', async () => {
    const matrix = await metricFromSpec(new ConfusionMatrix(3).toSpec());
    const top1 = await metricFromSpec(new Top1Accuracy().toSpec());
    const loss = await metricFromSpec(new MeanLoss(new CrossEntropyLoss()).toSpec());
    const all = top1.add(top1.init(), outputs, targets);
    expect(top1.result(all)).toBe(0.75);
    expect(top1.result(top1.merge(all, top1.add(top1.init(), outputs, targets)))).toBe(0.75);
    expect(top1.result(top1.init())).toBeNaN();
    const counted = matrix.add(matrix.init(), outputs, targets);
    expect(matrix.result(counted)).toEqual([
      [2, 0, 0],
      [0, 1, 1],
      [0, 0, 0],
    ]);
    expect(matrix.result(matrix.merge(counted, counted))).toEqual([
      [4, 0, 0],
      [0, 2, 2],
      [0, 0, 0],
    ]);
    // Sum of 4 float32 terms: 4 * 2^-24 relative, and the terms' own error of a few ulp.
    const expected = new CrossEntropyLoss().forward(outputs, targets).item();
    expect(Math.abs((loss.result(loss.add(loss.init(), outputs, targets)) as number) - expected)).toBeLessThanOrEqual(
      8 * 2 ** -24 * expected,
    );
    await expect(metricFromSpec({ type: 'Nope', args: null })).rejects.toThrow('got Nope');
  });
});
