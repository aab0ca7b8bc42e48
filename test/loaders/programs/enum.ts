/** A program with an enum, which only loaders that compile TypeScript can load. */
import { parallelize } from 'shoal/data';
import type { Engine } from 'shoal/train';

enum Colour {
  Red = 1,
  Green = 2,
}

export const enumWay = (engine: Engine): Promise<unknown[]> =>
  parallelize([1, 2])
    .on(engine)
    .map((x) => (x === 1 ? Colour.Red : Colour[x]))
    .collect();
