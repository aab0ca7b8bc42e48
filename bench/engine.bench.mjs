/**
 * What the engine costs, on threads and on processes: a task, an iteration of a loop beyond its compute, a worker's start, a killed worker, an
 * exchange of 1 KB to 25 MB; and the Trainer's exchange on threads (bench/exchange.bench.mjs). Beside the exchange on processes stand the figures of the
 * probe that Spark's carrier was designed with (2 workers, another program).
 */
import { performance } from 'node:perf_hooks';
import { Bench } from 'tinybench';
import exchange from './exchange.bench.mjs';
import { openTraining } from './lenet.bench.mjs';

const tasks = new URL('engine-tasks.mjs', import.meta.url).href;
const WORKERS = 2;
/** Milliseconds per iteration of the probe, by kilobytes; 0.4 s to replace a killed worker. */
const probe = { 1: 0.3, 1024: 4.7, 25600: 145 };

/** Iterations of a group, by kilobytes: long ones, because starting a group has a cost of its own, which is a row. */
const groups = { 1: 1000, 1024: 200, 25600: 20 };

const median = (values) => values.slice().sort((a, b) => a - b)[values.length >> 1];
const value = (row, unit, values, more = {}) => {
  const found = {
    row: `engine ${row}`,
    unit,
    value: Math.min(...values),
    medianValue: median(values),
    n: values.length,
    ...more,
  };
  const beside = Object.entries(more).map(
    ([name, one]) => `${name} ${typeof one === 'number' ? one.toPrecision(3) : one}`,
  );
  console.log(
    [
      `${found.row.padEnd(52)} best ${found.value.toPrecision(4)}  median ${found.medianValue.toPrecision(4)} ${unit} of ${found.n}`,
      ...beside,
    ].join('  '),
  );
  return found;
};

/** The loop of engine-tasks.mjs with slices of `bytes` / units. */
function loopSpec(units, bytes, args) {
  const slice = Math.ceil(bytes / units / 16) * 16;
  const reads = Array.from({ length: units }, (_, k) => [{ offsetBytes: k * slice, lengthBytes: slice }]);
  return {
    name: 'bench',
    program: { kind: 'module', module: tasks, export: 'synchronise', args: { units, ...args } },
    units,
    inputs: new Array(units).fill(null),
    blocks: {
      weights: { unitBytes: new Array(units).fill(slice), slots: 2 },
      gradient: { unitBytes: new Array(units).fill(slice * units), slots: 1 },
    },
    phases: [
      { name: 'compute', writes: 'gradient', needs: 'weights', lag: 0 },
      { name: 'update', writes: 'weights', needs: 'gradient', lag: 1, reads },
    ],
    startIteration: 0,
  };
}

/** Milliseconds per iteration of each group of `group` iterations, for `seconds`. */
async function iterations(engine, spec, group, seconds) {
  const loop = await engine.openLoop(spec);
  let at = await loop.advance(Math.min(group, 20));
  const times = [];
  const end = performance.now() + 1000 * seconds;
  while (performance.now() < end || times.length < 3) {
    const start = performance.now();
    at = await loop.advance(at + group);
    times.push((performance.now() - start) / group);
  }
  await loop.close();
  return times;
}

/** Microseconds of a task of a stage that does nothing, from stages of 1,000. Alone in its turn, so that tinybench serves. */
async function taskCost(engine, seconds) {
  const count = 1000;
  const inputs = Array.from({ length: count }, (_, partition) => ({ partition, input: partition }));
  const stage = { name: 'nothing', run: { kind: 'module', module: tasks, export: 'nothing', args: null }, inputs };
  const bench = new Bench({ time: 1000 * seconds, warmupTime: 100, iterations: 5, retainSamples: true });
  bench.add('stage', () => engine.run(stage));
  const [{ result }] = await bench.run();
  if (result.error) throw result.error;
  return result.latency.samples.map((ms) => (1000 * ms) / count);
}

/** Milliseconds from the order to start a worker to its hello. */
async function starts(create) {
  const found = [];
  for (let i = 0; i < 5; i++) {
    const engine = create({ workers: WORKERS });
    const hold = setInterval(() => {}, 1000); // an idle engine keeps no process alive
    await new Promise((resolve) => {
      let ready = 0;
      engine.subscribe((event) => {
        if (event.event !== 'workerStarted') return;
        found.push(event.startMs);
        if (++ready === WORKERS) resolve();
      });
    });
    clearInterval(hold);
    await engine.close();
  }
  return found;
}

/** LeNet-5 at batch 512 with and without a kill in its middle, in turns: what a kill costs beyond one iteration. */
async function kills(create, seconds) {
  const training = await openTraining([WORKERS], create);
  const [batch, count] = [512, 48];
  const quiet = [];
  const killed = [];
  try {
    await training.train(WORKERS, batch, count);
    const end = performance.now() + 1000 * seconds;
    while (performance.now() < end || killed.length < 3) {
      quiet.push((await training.train(WORKERS, batch, count)).ms);
      killed.push((await training.train(WORKERS, batch, count, { killAt: count / 2 })).ms);
    }
  } finally {
    await training.close();
  }
  const base = Math.min(...quiet);
  const iterationMs = base / count;
  return { lost: killed.map((ms) => ms - base - iterationMs), iterationMs };
}

/** All rows of a carrier. */
async function rowsOf(carrier, create, seconds) {
  const rows = [];
  const add = (...row) => rows.push(value(...row));
  const engine = create({ workers: WORKERS });
  try {
    add(`task, ${carrier}`, 'us', await taskCost(engine, seconds));
    for (const units of [2, 8]) {
      const [computeUs, updateUs] = [200, 20];
      const spec = loopSpec(units, 1024, { computeUs, updateUs, copies: false });
      const own = (units / WORKERS) * (computeUs + updateUs);
      const times = await iterations(engine, spec, 500, seconds);
      add(
        `iteration beyond compute, ${units} units, ${carrier}`,
        'us',
        times.map((ms) => 1000 * ms - own),
        { 'compute us': own },
      );
    }
    const alone = loopSpec(WORKERS, 1024, { copies: false });
    add(`group of one iteration, ${carrier}`, 'ms', await iterations(engine, alone, 1, seconds));
    for (const kilobytes of [1, 1024, 25_600]) {
      const spec = loopSpec(WORKERS, 1024 * kilobytes, { copies: true });
      const times = await iterations(engine, spec, groups[kilobytes], seconds);
      // Each worker sends half of its gradient and its half of the weights.
      const bytes = 2 * 1024 * kilobytes;
      const rate = bytes / Math.min(...times) / 1e6;
      const beside = carrier === 'processes' ? { 'of the probe, ms': probe[kilobytes] } : {};
      const medianRate = bytes / median(times) / 1e6;
      const rates = { gigabytesPerSecond: rate, medianGigabytesPerSecond: medianRate };
      add(`exchange ${kilobytes} KB, ${carrier}`, 'ms', times, { ...rates, ...beside });
    }
  } finally {
    await engine.close();
  }
  add(`worker start, ${carrier}`, 'ms', await starts(create));
  const { lost, iterationMs } = await kills(create, 3 * seconds);
  add(`lost per kill beyond an iteration, ${carrier}`, 'ms', lost, { 'iteration ms': iterationMs });
  return rows;
}

/** @param {{ seconds: number }} options seconds per row */
export default async function engine({ seconds }) {
  const { threads, processes } = await import('../dist/src/engine/index.js');
  const rows = await rowsOf('threads', threads, seconds);
  if (processes) rows.push(...(await rowsOf('processes', processes, seconds)));
  else console.log('processes: not there yet');
  return [...rows, ...(await exchange({ seconds }))];
}
