/** ways.ts under vitest. */
import { writeFileSync } from 'node:fs';
import { it } from 'vitest';
import { everyWay } from './ways.ts';

it('finds the outcomes of ways.ts', async () => {
  writeFileSync(process.env.OUTCOMES!, JSON.stringify(await everyWay()));
}, 120_000);
