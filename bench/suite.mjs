/** Runs rows: our kernel, the probes of its roofline, other kernels of ours to compare with, and the peers, in one race; prints and returns the results. */
import { sameDigest } from './data.mjs';
import * as ours from './ours.mjs';
import { race } from './race.mjs';
import { openRoofline } from './roofline.mjs';

/**
 * @typedef {object} Row
 * @property {string} name
 * @property {object} work a case of bench/ours.mjs
 * @property {Record<string, object>} [against] other cases of ours that run in the same race, by name
 * @property {readonly string[]} [peers] only these peers
 */

/**
 * Slices of rows with several threads are longer than the others' few milliseconds. Helpers sleep while the others have their turn, and a small machine's
 * scheduler may take a few milliseconds to give each a core of its own again; peers' helpers still spin for a while when their turn is over. Neither is what the
 * row is about, on any side.
 */
const threadsSliceMs = 40;

const ratios = (a, b) => ({ ratio: a.bestMs / b.bestMs, medianRatio: a.medianMs / b.medianMs });

/** Opens the peers that can do the row's work; others are named with the reason. Those that compute something else are an error. */
async function openPeers(row, own, peers) {
  const runners = [];
  const missing = {};
  for (const name of row.peers ?? peers.names) {
    const peer = peers.names.includes(name) ? await peers.open(name) : undefined;
    if (peer === undefined) continue;
    if (peer.missing) {
      missing[name] = peer.missing;
      continue;
    }
    const prepared = await peer.prepare(row.work);
    if (prepared === undefined) continue; // it has no such operation
    const other = own.hasDigest && (await prepared.digest?.());
    if (other && !sameDigest(own.digest(), other)) {
      throw new Error(`${name} computes something else: ${other} instead of ${own.digest()}`);
    }
    runners.push(prepared);
  }
  return { runners, missing };
}

/** Fraction of the roofline: the time that the slowest bound allows, by the time taken. */
function rooflineResult(bounds, results, kernel) {
  const probes = bounds.map(({ name, unit, work, scale }) => {
    const { bestMs, medianMs } = results.get(name);
    return {
      name,
      unit,
      bestRate: work / scale / bestMs / 1e6,
      boundMs: scale * bestMs,
      medianBoundMs: scale * medianMs,
    };
  });
  const fraction = (key, time) => Math.max(...probes.map((probe) => probe[key])) / time;
  const limiting = probes.reduce((a, b) => (b.boundMs > a.boundMs ? b : a));
  return {
    limit: limiting.name,
    limitRate: limiting.bestRate,
    unit: limiting.unit,
    fraction: fraction('boundMs', kernel.bestMs),
    medianFraction: fraction('medianBoundMs', kernel.medianMs),
    probes,
  };
}

/** Runs one row. Never throws: a failure is part of the result. */
async function runRow(row, seconds, peers) {
  const opened = [];
  try {
    const own = await ours.prepare(row.work);
    if (own.missing) return { row: row.name, missing: own.missing };
    opened.push(own);
    const { flops, stream, threads } = ours.workOf(row.work);
    const bounds = openRoofline({ flops, stream });
    const against = [];
    for (const [name, work] of Object.entries(row.against ?? {})) {
      const other = await ours.prepare(work);
      if (other.missing) continue;
      opened.push(other);
      against.push({ name, runner: { ...other.runner, name }, perFlop: ours.workOf(work).flops });
    }
    const { runners, missing } = await openPeers(row, own, peers);
    opened.push(...runners);
    const all = [own, ...bounds.map((runner) => ({ runner })), ...against, ...runners].map(({ runner }) => runner);
    const results = await race(all, seconds, threads > 1 ? threadsSliceMs : undefined);
    const kernel = results.get('shoal');
    const roofline = rooflineResult(bounds, results, kernel);
    const amount = roofline.unit === 'GFLOP/s' ? flops : stream.bytes;
    return {
      row: row.name,
      threads,
      ...kernel,
      rate: amount / kernel.bestMs / 1e6,
      medianRate: amount / kernel.medianMs / 1e6,
      unit: roofline.unit,
      roofline,
      // As rates, so that kernels of different work compare: 1 is as many flops a second.
      against: Object.fromEntries(
        against.map(({ name, perFlop }) => {
          const scale = perFlop && flops ? flops / perFlop : 1;
          const other = results.get(name);
          const scaled = { bestMs: other.bestMs * scale, medianMs: other.medianMs * scale };
          return [name, ratios(scaled, kernel)];
        }),
      ),
      peers: Object.fromEntries(
        runners.map(({ runner: { name } }) => [name, { ...results.get(name), ...ratios(results.get(name), kernel) }]),
      ),
      missingPeers: missing,
    };
  } catch (error) {
    return { row: row.name, failed: error instanceof Error ? error.message : String(error) };
  } finally {
    for (const one of opened) await one.close?.();
  }
}

const fixed = (value, digits) => value.toFixed(digits);
const duration = (ms) => (ms >= 1 ? `${fixed(ms, 2)} ms` : `${fixed(1000 * ms, 2)} us`);

function line(result) {
  const name = result.row.padEnd(36);
  if (result.missing) return `${name} not there yet (${result.missing})`;
  if (result.failed) return `${name} failed: ${result.failed}`;
  const { bestMs, medianMs, n, rate, medianRate, unit, roofline, threads, against, peers, missingPeers } = result;
  const beside = [
    ...Object.entries(against).map(
      ([other, found]) => `${fixed(found.ratio, 2)} (${fixed(found.medianRatio, 2)}) of ${other}`,
    ),
    ...Object.entries(peers).map(
      ([peer, found]) => `${fixed(found.ratio, 2)} (${fixed(found.medianRatio, 2)}) x ${peer}`,
    ),
    ...Object.keys(missingPeers).map((peer) => `${peer} is missing`),
  ];
  return [
    `${name} median ${duration(medianMs)} of ${n}, best ${duration(bestMs)}`,
    `${fixed(rate, 1)} (${fixed(medianRate, 1)}) ${unit}`,
    `${fixed(roofline.fraction, 3)} (${fixed(roofline.medianFraction, 3)}) of ${fixed(roofline.limitRate, 1)} [${roofline.limit}]`,
    ...(threads > 1 ? [`${threads} threads`] : []),
    ...beside,
  ].join('  ');
}

/**
 * Runs rows one after the other and prints a line for each.
 *
 * @param {readonly Row[]} rows
 * @param {{ seconds: (name: string) => number, peers: ReturnType<import('./peers/index.mjs').createPeers> }} options
 */
export async function runRows(rows, { seconds, peers }) {
  const results = [];
  for (const row of rows) {
    const result = await runRow(row, seconds(row.name), peers);
    console.log(line(result));
    results.push(result);
  }
  return results;
}
