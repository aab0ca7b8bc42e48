/** @file The samples of all families. */
import { activation } from './activation.ts';
import { conv } from './conv.ts';
import type { OpSamples } from './define.ts';
import { elementwise } from './elementwise.ts';
import { indexing } from './indexing.ts';
import { linalg } from './linalg.ts';
import { loss } from './loss.ts';
import { movement } from './movement.ts';
import { normalize } from './normalize.ts';
import { pool } from './pool.ts';
import { random } from './random.ts';
import { reduce } from './reduce.ts';
import { special } from './special.ts';

export const samples: Readonly<Record<string, OpSamples>> = {
  ...elementwise,
  ...activation,
  ...special,
  ...movement,
  ...reduce,
  ...indexing,
  ...linalg,
  ...conv,
  ...pool,
  ...normalize,
  ...loss,
  ...random,
};
