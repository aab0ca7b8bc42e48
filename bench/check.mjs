/**
 * Results against bench/targets.json, the table of what is promised. A target names rows (a regular expression), a measure, the build and the Node
 * versions that it is for, a `must` and a `stretch`. `node bench/check.mjs FILE ...` checks stored results.
 *
 * Measures: `roofline` (fraction of the probed roofline), `against:<name>` (rate or speed as a multiple of another kernel of ours), `peer:<name>` (the
 * peer's time by ours), and numbers that rows of the engine have: `value` (in the row's unit), `multipleOfCopy`, `gigabytesPerSecond`. All are
 * best to best; the medians stand beside. With `atMost` less is better.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** @type {{ rows: string, measure: string, build?: string, node: number[], must: number, stretch?: number,
 *   atMost?: boolean, text: string }[]} */
const targets = JSON.parse(readFileSync(new URL('targets.json', import.meta.url), 'utf8'));

const major = ({ node }) => Number(/^v(\d+)/.exec(node)[1]);

function isFor(target, machine) {
  const [from, to = Number.POSITIVE_INFINITY] = target.node;
  return major(machine) >= from && major(machine) <= to && (target.build ?? 'strict') === machine.build;
}

const meansRow = (target, name) => new RegExp(`^(?:${target.rows})$`).test(name);

/** Whether some target of this machine and build asks for the row. */
export const hasTarget = (name, machine) => targets.some((target) => isFor(target, machine) && meansRow(target, name));

/** [best, median] of what a target measures, or why there is none. */
function measured(result, measure) {
  if (result.missing) return `not there yet (${result.missing})`;
  if (result.failed) return `failed: ${result.failed}`;
  const isArithmetic = result.roofline?.limit.startsWith('mul+add');
  if (measure === 'roofline' && isArithmetic && result.roofline.fraction > 1.03)
    return 'the probe was disturbed: measure again';
  if (measure === 'roofline')
    return result.roofline
      ? [result.roofline.fraction, result.roofline.medianFraction]
      : 'the roofline was not measured';
  if (result[measure] !== undefined)
    return [result[measure], result[`median${measure[0].toUpperCase()}${measure.slice(1)}`]];
  const [kind, name] = measure.split(':');
  const found = { against: result.against, peer: result.peers }[kind]?.[name];
  if (found) return [found.ratio, found.medianRatio];
  return `${name} was not measured`;
}

/**
 * What a ratio to a peer would be if we ran at the roofline: a target above it is out of reach of this build on this machine. Winograd's algorithm has
 * none: its flops are counted as if it were direct.
 */
function ceilingOf({ row, roofline }, measure, ratio) {
  const hasCeiling = measure.startsWith('peer:') && roofline && !row.startsWith('winograd');
  return hasCeiling ? ratio / roofline.fraction : undefined;
}

/** Every target that applies, with what was found: `met`, `stretch`, `missed` or `unknown` (not measured). */
export function checkTargets({ machine, results }) {
  const rows = Object.values(results)
    .flat()
    .filter((result) => result?.row);
  return targets
    .filter((target) => isFor(target, machine))
    .flatMap((target) => {
      const meant = rows.filter(({ row }) => meansRow(target, row));
      if (meant.length === 0) return [{ target, row: target.rows, state: 'unknown', why: 'no such row in this run' }];
      return meant.map((result) => {
        const value = measured(result, target.measure);
        if (typeof value === 'string') return { target, row: result.row, state: 'unknown', why: value };
        const [best, median] = value;
        const reaches = (bar) => bar !== undefined && (target.atMost ? best <= bar : best >= bar);
        const state = reaches(target.stretch) ? 'stretch' : reaches(target.must) ? 'met' : 'missed';
        return { target, row: result.row, state, best, median, ceiling: ceilingOf(result, target.measure, best) };
      });
    });
}

function bars({ must, stretch, atMost }) {
  const word = atMost ? 'at most' : 'must';
  return stretch === undefined ? `${word} ${must}` : `${word} ${must}, stretch ${stretch}`;
}

/** Prints a line for each, and the counts. */
export function printCheck(checked) {
  for (const { target, row, state, best, median, ceiling, why } of checked) {
    const limit = ceiling === undefined ? '' : `, ${ceiling.toFixed(2)} at the roofline`;
    const found = best === undefined ? why : `${best.toFixed(3)} (median ${median.toFixed(3)})${limit}`;
    console.log(`${state.padEnd(7)} ${row.padEnd(38)} ${target.measure.padEnd(24)} ${bars(target)}: ${found}`);
  }
  const count = (state) => checked.filter((one) => one.state === state).length;
  console.log(
    `targets: ${count('stretch')} reach the stretch, ${count('met')} more the must, ${count('missed')} miss it, ${count('unknown')} not measured`,
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  let missed = 0;
  for (const file of process.argv.slice(2)) {
    const report = JSON.parse(readFileSync(file, 'utf8'));
    console.log(`${file}: Node ${report.machine.node}, ${report.machine.build}`);
    const checked = checkTargets(report);
    printCheck(checked);
    missed += checked.filter(({ state }) => state === 'missed').length;
  }
  process.exitCode = missed > 0 ? 1 : 0;
}
