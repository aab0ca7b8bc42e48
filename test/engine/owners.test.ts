/** Which worker owns which unit of a loop. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NOBODY } from '../../src/engine/blocks.ts';
import { balanceUnits, coverUnits } from '../../src/engine/owners.ts';

describe('owners', () => {
  const tables = fc.record({
    owners: fc.array(fc.integer({ min: -1, max: 5 }), { maxLength: 12 }),
    workers: fc.uniqueArray(fc.nat(5), { maxLength: 5 }),
  });
  const load = (owners: readonly number[], worker: number): number => owners.filter((owner) => owner === worker).length;

  it('cover: nobody alive loses a unit, every unit has a living owner', () => {
    fc.assert(
      fc.property(tables, ({ owners, workers }) => {
        const covered = coverUnits(owners, workers);
        covered.forEach((owner, unit) => {
          if (workers.includes(owners[unit]!)) expect(owner).toBe(owners[unit]);
          else if (workers.length > 0) expect(workers).toContain(owner);
          else expect(owner).toBe(NOBODY);
        });
      }),
    );
  });

  it('cover: an owner that is being ended keeps its units, and gets no others', () => {
    expect(coverUnits([0, 1, NOBODY, 0], [1], [0, 1])).toEqual([0, 1, 1, 0]);
    expect(coverUnits([0, 1, NOBODY, 0], [], [0, 1])).toEqual([0, 1, NOBODY, 0]);
  });

  it('balance: loads differ by at most one, and a balanced table does not move', () => {
    fc.assert(
      fc.property(tables, ({ owners, workers }) => {
        const balanced = balanceUnits(owners, workers);
        if (workers.length === 0) return;
        const loads = workers.map((worker) => load(balanced, worker));
        expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(1);
        expect(loads.reduce((a, b) => a + b, 0)).toBe(owners.length);
        expect(balanceUnits(balanced, workers)).toEqual(balanced);
      }),
    );
  });
});
