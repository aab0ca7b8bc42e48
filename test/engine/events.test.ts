/** The stream of events of an engine: what is told, in which order, and that it is plain data. */
import { type Engine, type EngineEvent, type LoopSpec, threads } from 'shoal/engine';
import { describe, expect, it } from 'vitest';
import { EventStream } from '../../src/engine/event-stream.ts';
import { engineCases, fixture, withEngine } from './engines.ts';

const stage = (name: string, inputs: readonly unknown[], args?: unknown) => ({
  name,
  run: { kind: 'module', module: fixture('tasks.mjs'), export: name, args } as const,
  inputs: inputs.map((input, partition) => ({ partition: 10 + partition, input })),
});

function toy(units: number): LoopSpec {
  return {
    name: 'toy',
    program: { kind: 'module', module: fixture('toy-loop.mjs'), export: 'open', args: { units, width: 16 } },
    units,
    inputs: Array.from({ length: units }, (_, unit) => unit),
    blocks: {
      weights: { unitBytes: new Array<number>(units).fill(64), slots: 2 },
      gradient: { unitBytes: new Array<number>(units).fill(64 * units), slots: 1 },
    },
    phases: [
      { name: 'compute', writes: 'gradient', needs: 'weights', lag: 0 },
      { name: 'update', writes: 'weights', needs: 'gradient', lag: 1 },
    ],
    startIteration: 5,
  };
}

type Named<N extends EngineEvent['event']> = Extract<EngineEvent, { event: N }>;
const named = <N extends EngineEvent['event']>(events: readonly EngineEvent[], name: N): Named<N>[] =>
  events.filter((event): event is Named<N> => event.event === name);

/** All events of an engine from its creation to its end. */
async function eventsOf(engine: Engine, body: (engine: Engine) => Promise<unknown>): Promise<EngineEvent[]> {
  const events: EngineEvent[] = [];
  engine.subscribe((event) => void events.push(event));
  await withEngine(engine, body);
  return events;
}

/** Holds for every history: the clock, plain data, and an end for everything that started. */
function expectWhole(events: readonly EngineEvent[]): void {
  expect(JSON.parse(JSON.stringify(events))).toEqual(events);
  const times = events.map(({ elapsedMs }) => elapsedMs);
  expect(times).toEqual([...times].sort((a, b) => a - b));
  const running = new Map<string, EngineEvent>();
  for (const event of events) {
    if (event.event === 'jobStarted') running.set(`${event.job}`, event);
    if (event.event === 'taskStarted') running.set(`${event.job}:${event.task}:${event.attempt}`, event);
    if (event.event === 'taskEnded' || (event.event === 'taskFailed' && event.task >= 0)) {
      const started = running.get(`${event.job}:${event.task}:${event.attempt}`);
      expect(started).toMatchObject({ event: 'taskStarted', worker: event.worker });
      expect(running.delete(`${event.job}:${event.task}:${event.attempt}`)).toBe(true);
      expect(event.durationMs).toBe(event.elapsedMs - started!.elapsedMs);
    }
    if (event.event === 'jobEnded') {
      expect(event.durationMs).toBe(event.elapsedMs - running.get(`${event.job}`)!.elapsedMs);
      expect(running.delete(`${event.job}`)).toBe(true);
      expect([...running.keys()].filter((key) => key.startsWith(`${event.job}:`))).toEqual([]);
    }
  }
  expect([...running.keys()]).toEqual([]);
  const last = events.at(-1) as Named<'metrics'>;
  expect(last).toMatchObject({
    event: 'metrics',
    workersAlive: 0,
    workersStarted: named(events, 'workerStarted').length,
    workersLost: named(events, 'workerLost').length,
    jobsRunning: 0,
    tasksStarted: named(events, 'taskStarted').length,
    tasksSucceeded: named(events, 'taskEnded').filter(({ reason }) => reason === 'success').length,
    tasksFailed: named(events, 'taskFailed').length,
  });
}

describe.each(engineCases)('events of the $name engine', ({ create, killable }) => {
  it('tell jobs, tasks and attempts, each with worker and duration', async () => {
    const events = await eventsOf(create(), async (engine) => {
      await engine.run(stage('failing', [1, 2, 3], { partition: 11, failures: 2 }));
      await expect(engine.run(stage('failing', [1], { partition: 10, failures: 9 }))).rejects.toThrow();
      await engine.run(stage('double', []));
    });
    expectWhole(events);
    expect(named(events, 'jobStarted').map(({ kind, name, tasks }) => [kind, name, tasks])).toEqual([
      ['stage', 'failing', 3],
      ['stage', 'failing', 1],
      ['stage', 'double', 0],
    ]);
    expect(named(events, 'jobEnded').map(({ reason }) => reason)).toEqual(['success', 'taskError', 'success']);
    const ofTask = events.filter((event) => 'task' in event && event.job === 0 && event.task === 1);
    expect(ofTask).toMatchObject([
      { event: 'taskStarted', partition: 11, attempt: 1 },
      { event: 'taskFailed', attempt: 1, reason: 'taskError', message: 'attempt 1 fails' },
      { event: 'taskStarted', attempt: 2 },
      { event: 'taskFailed', attempt: 2 },
      { event: 'taskStarted', attempt: 3 },
      { event: 'taskEnded', partition: 11, attempt: 3, reason: 'success' },
    ]);
  });

  it('tell the versions of blocks once an advance', async () => {
    const events = await eventsOf(create(), async (engine) => {
      const loop = await engine.openLoop(toy(3));
      for (const to of [6, 40]) await loop.advance(to);
      await loop.close();
    });
    expectWhole(events);
    expect(named(events, 'jobStarted')).toMatchObject([{ kind: 'loop', name: 'toy', tasks: 3 }]);
    expect(named(events, 'blockPublished').map(({ block, units, from, to }) => [block, units, from, to])).toEqual([
      ['gradient', 3, 5, 6],
      ['weights', 3, 5, 6],
      ['gradient', 3, 6, 40],
      ['weights', 3, 6, 40],
    ]);
  });

  it('end what a closed engine was running', async () => {
    const events = await eventsOf(create(), async (engine) => {
      const stop = engine.subscribe((event) => {
        if (event.event !== 'taskStarted') return;
        stop();
        void engine.close();
      });
      const running = engine.run(stage('later', [4, 3, 2, 1]));
      await expect(running).rejects.toMatchObject({ code: 'ENGINE_CLOSED' });
    });
    expectWhole(events);
    expect(named(events, 'jobEnded')).toMatchObject([{ reason: 'closed' }]);
    expect(named(events, 'workerLost')).toEqual([]);
    expect(named(events, 'workerLeft').length).toBeGreaterThan(0);
  });

  it.skipIf(!killable)('tell a kill: killed, the attempt, the worker, its replacement', async () => {
    const events = await eventsOf(threads({ workers: 1 }), async (engine) => {
      const stop = engine.subscribe((event) => {
        if (event.event !== 'taskStarted') return;
        stop();
        engine.killWorker(event.worker);
      });
      expect(await engine.run(stage('later', [0, 1]))).toEqual([0, 1]);
    });
    expectWhole(events);
    const [first] = named(events, 'taskStarted');
    // `metrics` comes when its second is over, at any place.
    const rest = events.slice(events.indexOf(first!)).filter(({ event }) => event !== 'metrics');
    const names = rest.map(({ event }) => event);
    expect(names.slice(0, 6)).toEqual([
      'taskStarted',
      'killed',
      'workerLost',
      'taskFailed',
      'workerStarted',
      'taskStarted',
    ]);
    expect(named(events, 'taskFailed')).toMatchObject([{ reason: 'workerLost', worker: first!.worker, attempt: 1 }]);
  });
});

describe('the stream', () => {
  it('asks nothing while nobody listens, and tells the counts to who comes later', () => {
    const stream = new EventStream();
    let asked = 0;
    const alive = () => ({ workersAlive: ++asked, recordBytes: 0 });
    stream.jobStarted(0, 'stage', 'quiet', 1);
    stream.taskStarted({ job: 0, task: 0, partition: 0, attempt: 1, worker: 0 });
    stream.metrics(alive, true);
    expect(asked).toBe(0);
    const events: EngineEvent[] = [];
    const stop = stream.subscribe((event) => void events.push(event));
    stream.taskSucceeded(0, 0, 0);
    stream.metrics(alive, true);
    stream.metrics(alive); // less than a second later
    stop();
    stream.jobEnded(0, 'success');
    expect(events).toMatchObject([
      { event: 'taskEnded', worker: 0, reason: 'success' },
      { event: 'metrics', workersAlive: 1, jobsRunning: 1, tasksStarted: 1, tasksSucceeded: 1 },
    ]);
    expect(events).toHaveLength(2);
  });
});
