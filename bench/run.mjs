/**
 * `npm run bench -- [name ...] [--seconds N] [--json FILE]`: runs every `bench/<name>.bench.mjs` whose name is or else contains one of the given
 * words (all without words), one after the other. A benchmark's default export takes `{ seconds }` (per row or group of rows), prints its own lines and
 * returns plain results. `--json` writes them with the machine's name and the versions, to be stored beside a claim.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string', default: '10' }, json: { type: 'string' } },
});
const seconds = Number(values.seconds);
if (!(seconds > 0)) {
  console.error(`bench: --seconds must be a number > 0, got ${values.seconds}. Try --seconds 10.`);
  process.exit(1);
}
const suffix = '.bench.mjs';
const names = readdirSync(new URL('.', import.meta.url))
  .filter((file) => file.endsWith(suffix))
  .map((file) => file.slice(0, -suffix.length));
const isMeant = (name) => (word) => (names.includes(word) ? name === word : name.includes(word));
const chosen = names.filter((name) => positionals.length === 0 || positionals.some(isMeant(name)));
if (chosen.length === 0) {
  console.error(`bench: no benchmark is named like ${positionals.join(', ')}. There are: ${names.join(', ')}.`);
  process.exit(1);
}
const machine = {
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  node: process.version,
  v8: process.versions.v8,
};
console.log(`${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, V8 ${machine.v8}`);
const results = {};
for (const name of chosen) {
  console.log(`\n${name}`);
  const { default: run } = await import(`./${name}${suffix}`);
  results[name] = await run({ seconds });
}
if (values.json) writeFileSync(values.json, `${JSON.stringify({ machine, results }, null, 2)}\n`);
