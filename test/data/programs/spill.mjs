// Shuffles through files in FOLDER, and then: `exit` without closing the engine, `drop` the dataset, or write `big` files. Prints what happened.
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parallelize } from '../../../dist/src/data/index.js';
import { threads } from '../../../dist/src/engine/index.js';

const [what, spillFolder] = process.argv.slice(2);
const engine = threads({ workers: 2, shuffleMemoryBytes: 0, spillFolder });
const files = () =>
  readdirSync(spillFolder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).length;
const shuffled = () => parallelize([1, 2, 3, 4, 5, 6], { partitions: 3 }).on(engine).repartition(2);

if (what === 'exit') {
  await shuffled().count();
  console.log(files());
  process.exit(0);
} else if (what === 'drop') {
  const kept = shuffled();
  await kept.count();
  await shuffled().count();
  console.log(files());
  for (let i = 0; i < 200 && files() > 3; i++) {
    globalThis.gc();
    await sleep(10);
  }
  console.log(files(), await kept.count(), files());
  await engine.close();
} else {
  const big = shuffled()
    .repartition(1)
    .map((x) => 'x'.repeat(100_000 * x))
    .repartition(2);
  const outcome = await big.count().catch((error) => error.cause);
  console.log(outcome.code, outcome.fields.system, files());
  await engine.close();
}
