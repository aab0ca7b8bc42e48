/** What every engine must do, whatever carries its workers. Runs on the built package, because workers load it. */
import {
  BlockTable,
  type Engine,
  type EngineOptions,
  type FaultPoint,
  type Loop,
  type LoopSpec,
  threads,
} from 'shoal/engine';
import { describe, expect, it } from 'vitest';
import type { ModuleTask } from '../../src/engine/functions.ts';
import { type Command, Scheduler, type SchedulerEvent } from '../../src/engine/scheduler.ts';
import { engineCases, fixture, withEngine } from './engines.ts';

const tasks = fixture('tasks.mjs');
const moduleTask = (name: string, args: unknown = undefined, module = tasks): ModuleTask => ({
  kind: 'module',
  module,
  export: name,
  args,
});
const stage = (name: string, inputs: readonly unknown[], args?: unknown) => ({
  name,
  run: moduleTask(name, args),
  inputs: inputs.map((input, partition) => ({ partition, input })),
});

const UNITS = 5;
const WIDTH = 48;
interface ToyOptions {
  readonly to?: number[];
  readonly args?: Record<string, unknown>;
  readonly during?: (engine: Engine, advance: number, loop: Loop) => void;
  readonly faults?: FaultPoint[];
}

/** Runs the toy loop; returns the final weights' bytes as hex and the emitted values. */
async function toy(engine: Engine, { to = [40], args = {}, during, faults = [] }: ToyOptions = {}) {
  const emitted = new Map<number, number>();
  engine.setFaults(faults);
  const loop = await engine.openLoop({
    name: 'toy',
    program: moduleTask('open', { units: UNITS, width: WIDTH, ...args }, fixture('toy-loop.mjs')),
    units: UNITS,
    inputs: [1, 2, 3, 4, 5],
    blocks: {
      weights: { unitBytes: new Array<number>(UNITS).fill(4 * WIDTH), slots: 2 },
      gradient: { unitBytes: new Array<number>(UNITS).fill(4 * WIDTH * UNITS), slots: 1 },
    },
    phases: [
      { name: 'compute', writes: 'gradient', needs: 'weights', lag: 0 },
      { name: 'update', writes: 'weights', needs: 'gradient', lag: 1 },
    ],
    startIteration: 0,
    onEmit: (value) => {
      const { iteration, first } = value as { iteration: number; first: number };
      emitted.set(iteration, first);
    },
  });
  let reached = 0;
  for (const [index, limit] of to.entries()) {
    // A worker that is not there yet keeps no copy of anything.
    while (engine.liveWorkers().length < engine.workers) await new Promise((resolve) => setTimeout(resolve, 5));
    const running = loop.advance(limit);
    during?.(engine, index, loop);
    reached = await running;
    expect(reached).toBe(limit);
  }
  const weights = await weightsOf(loop, reached);
  await loop.close();
  return { weights, emitted };
}

/** The weights at a version, wherever they are. */
async function weightsOf(loop: Loop, version: number): Promise<string> {
  const blocks = new BlockTable(await loop.fetch(['weights']));
  return Buffer.from(blocks.whole('weights', version)).toString('hex');
}

/** A toy loop of `units` units. */
function toySpec(units: number, args: Record<string, unknown> = {}): LoopSpec {
  return {
    name: 'toy',
    program: moduleTask('open', { units, width: 16, ...args }, fixture('toy-loop.mjs')),
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
    startIteration: 0,
  };
}

const quiet = await withEngine(engineCases[0]!.create(), (engine) => toy(engine));

describe.each(engineCases)('$name engine', ({ create, killable, sharesMemory }) => {
  const run = <R>(body: (engine: Engine) => Promise<R>, options?: EngineOptions): Promise<R> =>
    withEngine(create(options), body);
  const ifKillable = it.skipIf(!killable);

  it('returns results in partition order, for 0, 1 and many tasks', () =>
    run(async (engine) => {
      expect(await engine.run(stage('double', []))).toEqual([]);
      expect(await engine.run(stage('double', [21]))).toEqual([42]);
      expect(await engine.run(stage('later', [0, 1, 2, 3, 4]))).toEqual([0, 1, 2, 3, 4]);
      expect(await engine.run(stage('addArgs', [1, 2], { add: 10 }))).toEqual([11, 12]);
    }));

  it('runs several jobs at once', () =>
    run(async (engine) => {
      const results = await Promise.all([engine.run(stage('later', [4, 3])), engine.run(stage('double', [1, 2, 3]))]);
      expect(results).toEqual([
        [4, 3],
        [2, 4, 6],
      ]);
    }));

  it('does not let a task see what the caller changes later', () =>
    run(async (engine) => {
      const value = { records: [1, 2, 3] };
      const running = engine.run(stage('records', [value]));
      value.records[0] = 100;
      expect(await running).toEqual([{ records: [1, 2, 3] }]);
    }));

  it('tries a failed task again, up to 4 attempts', () =>
    run(async (engine) => {
      const failures: string[] = [];
      engine.subscribe((event) => void (event.event === 'taskFailed' && failures.push(event.message)));
      expect(await engine.run(stage('failing', [1, 2, 3], { partition: 1, failures: 3 }))).toEqual([1, 2, 3]);
      expect(failures).toEqual(['attempt 1 fails', 'attempt 2 fails', 'attempt 3 fails']);
    }));

  it('fails a job after 4 attempts with partition, cause and stack, and so again the second time', () =>
    run(async (engine) => {
      for (let time = 0; time < 2; time++) {
        const error = await engine
          .run(stage('failing', [1, 2, 3], { partition: 1, failures: 99 }))
          .catch((thrown) => thrown);
        expect(error).toMatchObject({ code: 'TASK_FAILED', fields: { partition: 1, name: 'failing' } });
        expect(error.cause.message).toBe('attempt 4 fails');
        expect(error.cause.stack).toContain('tasks.mjs');
      }
      expect(await engine.run(stage('double', [1]))).toEqual([2]);
    }));

  it.each(['null', 'function', 'uncloneable', 'toString'])('survives a task that throws %s', (what) =>
    run(async (engine) => {
      await expect(engine.run(stage('throwsOddThings', [1], { what }))).rejects.toMatchObject({ code: 'TASK_FAILED' });
      expect(await engine.run(stage('double', [1]))).toEqual([2]);
    }),
  );

  it('fails at once, with a hint, for what cannot be cloned or found', () =>
    run(async (engine) => {
      const failures: unknown[] = [];
      engine.subscribe((event) => void (event.event === 'taskFailed' && failures.push(event.attempt)));
      const causeCode = async (promise: Promise<unknown>): Promise<unknown> =>
        promise.then(
          () => 'no error',
          (error) => error.fields.causeCode ?? error.code,
        );
      expect(await causeCode(engine.run(stage('uncloneableResult', [1])))).toBe('RESULT_NOT_CLONEABLE');
      expect(await causeCode(engine.run(stage('double', [() => 1])))).toBe('INPUT_NOT_CLONEABLE');
      expect(await causeCode(engine.run(stage('nothingOfThatName', [1])))).toBe('EXPORT_NOT_FOUND');
      const nowhere = { ...stage('double', [1]), run: moduleTask('x', undefined, 'file:///nowhere.mjs') };
      expect(await causeCode(engine.run(nowhere))).toBe('MODULE_NOT_FOUND');
      expect(failures).toEqual([1, 1, 1]);
    }));

  it('keeps a worker heap between jobs, and counts only bytes of records', () =>
    run(
      async (engine) => {
        const before = engine.sampleBytesCrossed();
        const [first] = (await engine.run(stage('memory', ['a']))) as { worker: number; count: number }[];
        const [second] = (await engine.run({
          ...stage('memory', []),
          inputs: [{ partition: 0, input: 'b', preferredWorker: first!.worker }],
        })) as { worker: number; count: number }[];
        expect(second).toEqual({ worker: first!.worker, count: 2, input: 'b' });
        expect(engine.sampleBytesCrossed() - before).toBe(0);
        await engine.run(stage('records', [{ records: new Float32Array(10) }]));
        expect(engine.sampleBytesCrossed() - before).toBe(80);
      },
      { workers: 2 },
    ));

  it('cancels by signal, and goes on', () =>
    run(async (engine) => {
      await expect(engine.run(stage('double', [1]), { signal: AbortSignal.abort() })).rejects.toMatchObject({
        code: 'CANCELLED',
      });
      expect(await engine.run(stage('double', [1]))).toEqual([2]);
    }));

  it('refuses work after close, and closes twice', async () => {
    const engine = create();
    await engine.close();
    await engine.close();
    await expect(engine.run(stage('double', [1]))).rejects.toMatchObject({ code: 'ENGINE_CLOSED' });
  });

  it('runs a loop to the same bits, in one group or many', () =>
    run(async (engine) => {
      const { weights, emitted } = await toy(engine, { to: [1, 2, 17, 40] });
      expect(weights).toBe(quiet.weights);
      expect(emitted).toEqual(quiet.emitted);
      expect(emitted.size).toBe(40);
    }));

  it('tells another order of summation by its bits', () =>
    run(async (engine) => {
      expect((await toy(engine, { args: { order: 'reverse' } })).weights).not.toBe(quiet.weights);
    }));

  it('tries a phase that throws again, and fails the loop when it always throws', () =>
    run(async (engine) => {
      const keys = ['compute:2:7', 'update:0:9', 'update:4:39'];
      expect((await toy(engine, { args: { failAt: { keys, always: false } } })).weights).toBe(quiet.weights);
      const failing = toy(engine, { args: { failAt: { keys: ['update:3:5'], always: true } } });
      await expect(failing).rejects.toMatchObject({
        code: 'TASK_FAILED',
        message: expect.stringContaining('planned failure at update:3:5'),
      });
      expect((await toy(engine)).weights).toBe(quiet.weights);
    }));

  it('stops a loop with all units at one iteration, and goes on to the same bits', () =>
    run(async (engine) => {
      for (let turn = 0; turn < 5; turn++) {
        const loop = await engine.openLoop({
          name: 'stopped',
          program: moduleTask('open', { units: 2, width: 16, slowMs: 1 }, fixture('toy-loop.mjs')),
          units: 2,
          inputs: [1, 2],
          blocks: { weights: { unitBytes: [64, 64], slots: 2 }, gradient: { unitBytes: [128, 128], slots: 1 } },
          phases: [
            { name: 'compute', writes: 'gradient', needs: 'weights', lag: 0 },
            { name: 'update', writes: 'weights', needs: 'gradient', lag: 1 },
          ],
          startIteration: 0,
        });
        const running = loop.advance(100_000);
        while (loop.iteration === 0) await new Promise((resolve) => setTimeout(resolve, 5));
        setTimeout(() => loop.stop(), turn);
        const reached = await running;
        expect(reached).toBeGreaterThan(0);
        expect(reached).toBeLessThan(100_000);
        for (const block of ['weights', 'gradient']) {
          expect([0, 1].map((unit) => loop.blocks.version(block, unit))).toEqual([reached, reached]);
        }
        expect(await loop.advance(reached + 3)).toBe(reached + 3);
        await loop.close();
      }
    }));

  it('meets at one iteration at any moment of a stop', () =>
    run(
      async (engine) => {
        const loop = await engine.openLoop({ ...toySpec(3), startIteration: 0 });
        const stops = sharesMemory ? 150 : 30; // each costs messages and an entrance
        for (let stop = 0; stop < stops; stop++) {
          const running = loop.advance(1_000_000);
          await new Promise((resolve) => setTimeout(resolve, stop % 3));
          loop.stop();
          const reached = await running;
          for (const block of ['weights', 'gradient']) {
            expect([0, 1, 2].map((unit) => loop.blocks.version(block, unit))).toEqual([reached, reached, reached]);
          }
        }
        await loop.close();
      },
      { workers: 3 },
    ));

  it('runs two loops at once, also when a phase of one fails', () =>
    run(async (engine) => {
      const loops = await Promise.all(
        [null, { keys: ['update:1:3'], always: false }].map((failAt) => engine.openLoop(toySpec(2, { failAt }))),
      );
      expect(await Promise.all(loops.map((loop) => loop.advance(30)))).toEqual([30, 30]);
      const [one, other] = await Promise.all(loops.map((loop) => weightsOf(loop, 30)));
      expect(one).toBe(other);
      await Promise.all(loops.map((loop) => loop.close()));
    }));

  it('rejects an advance whose loop is closed, and limits that make no sense', () =>
    run(async (engine) => {
      const loop = await engine.openLoop(toySpec(2, { slowMs: 1 }));
      await expect(loop.advance(-1)).rejects.toMatchObject({ code: 'ARGUMENT' });
      await expect(loop.advance(Number.NaN)).rejects.toMatchObject({ code: 'ARGUMENT' });
      const rejected = expect(loop.advance(100_000)).rejects.toMatchObject({ code: 'LOOP_CLOSED' });
      await new Promise((resolve) => setTimeout(resolve, 30));
      await loop.close();
      await rejected;
      expect(await engine.run(stage('double', [1, 2, 3]))).toEqual([2, 4, 6]);
    }));

  it('has its workers back when a loop is closed in the middle of an iteration', () =>
    run(async (engine) => {
      const lost: unknown[] = [];
      engine.subscribe((event) => void (event.event === 'workerLost' && lost.push(event)));
      const loop = await engine.openLoop(toySpec(2, { slowMs: 20 }));
      const rejected = expect(loop.advance(100_000)).rejects.toMatchObject({ code: 'LOOP_CLOSED' });
      while (loop.iteration < 2) await new Promise((resolve) => setTimeout(resolve, 5));
      await loop.close();
      await rejected;
      expect(await engine.run(stage('double', [1, 2, 3]))).toEqual([2, 4, 6]);
      expect(lost).toEqual([]);
    }));

  it('lets workers forget a loop that failed', () =>
    run(
      async (engine) => {
        const closed: unknown[] = [];
        for (let turn = 0; turn < 3; turn++) {
          const loop = await engine.openLoop(toySpec(2, { failAt: { keys: ['update:1:3'], always: true } }));
          await expect(loop.advance(10)).rejects.toMatchObject({ code: 'TASK_FAILED' });
          closed.push(...(await engine.run(stage('closedLoops', [0, 1]))));
        }
        expect(Math.max(...(closed as number[]))).toBeGreaterThanOrEqual(2);
      },
      { excludeAfter: Number.POSITIVE_INFINITY }, // the workers that count have to stay
    ));

  it('names a deadlock instead of hanging', () =>
    run(async (engine) => {
      const loop = await engine.openLoop({
        name: 'stuck',
        program: moduleTask('stuck', undefined, fixture('toy-loop.mjs')),
        units: 2,
        inputs: [0, 0],
        blocks: { a: { unitBytes: [4, 4], slots: 1 } },
        phases: [{ name: 'only', writes: 'a', needs: 'a', lag: 1 }],
        startIteration: 0,
      });
      const error = await loop.advance(1).catch((thrown) => thrown);
      expect([error.code, error.fields.causeCode]).toContain('DEADLOCK');
    }));

  it('gives the live log to a pure scheduler, which answers with the same commands', async () => {
    const log: { event: SchedulerEvent; commands: readonly Command[] }[] = [];
    await run(
      async (engine) => {
        await engine.run(stage('failing', [1, 2, 3], { partition: 1, failures: 2 }));
        const faults = killable ? [{ phase: 'compute', unit: 1, iteration: 5, offset: 1 }] : [];
        await toy(engine, { faults, to: [20, 40] });
      },
      { log: (event, commands) => log.push({ event: structuredClone(event), commands: structuredClone(commands) }) },
    );
    const replay = new Scheduler({ maxAttempts: 4, excludeAfter: 3, maxStartFailures: 4, sharesMemory });
    for (const { event, commands } of log) expect(structuredClone(replay.step(event))).toEqual(commands);
    expect(log.length).toBeGreaterThan(10);
  });

  describe('losing workers', () => {
    ifKillable('kills at every kind of point leave the bits as they are', () =>
      run(
        async (engine) => {
          const killed: unknown[] = [];
          engine.subscribe((event) => void (event.event === 'killed' && killed.push(event.planned)));
          const faults: FaultPoint[] = [];
          for (const [index, phase] of ['compute', 'update', 'compute', 'update', 'compute', 'update'].entries()) {
            faults.push({
              phase,
              unit: index % UNITS,
              iteration: 3 + 5 * index,
              offset: index % (phase === 'compute' ? 3 : 2),
            });
          }
          // Where memory is not shared, two are lost at once if the second goes before the first is replaced.
          const to = sharesMemory ? [10, 25, 40] : [7, 12, 17, 22, 27, 32, 40];
          expect((await toy(engine, { faults, to })).weights).toBe(quiet.weights);
          expect(killed).toHaveLength(faults.length);
        },
        { workers: 3 },
      ),
    );

    ifKillable('a replacement gets its share at the next iteration, not at the end of the group', () =>
      run(async (engine) => {
        const owners: number[][] = [];
        engine.subscribe((event) => void (event.event === 'reassigned' && owners.push([...event.owners])));
        const faults = [{ phase: 'compute', unit: 1, iteration: 5, offset: 0 }];
        const { weights } = await toy(engine, { faults, to: [400], args: { slowMs: 0.5 } });
        const killed = owners[0]![1]!;
        const last = owners[owners.length - 1]!;
        expect(last).not.toContain(killed);
        expect(new Set(last).size).toBe(2);
        expect(weights).toBe((await toy(engine, { to: [400] })).weights);
      }),
    );

    ifKillable('resizing while a loop and a stage run leaves the bits as they are', () =>
      run(async (engine) => {
        const left: number[] = [];
        engine.subscribe((event) => void (event.event === 'workerLeft' && left.push(event.worker)));
        let workers = 2;
        const timer = setInterval(() => {
          workers = (workers % 4) + 1;
          engine.resize(workers);
        }, 30);
        try {
          expect((await toy(engine, { to: [100, 400], args: { slowMs: 0.3 } })).weights).toBe(
            (await toy(engine, { to: [400] })).weights,
          );
          expect(await engine.run(stage('later', [0, 1, 2, 3, 4]))).toEqual([0, 1, 2, 3, 4]);
        } finally {
          clearInterval(timer);
        }
        expect(left.length).toBeGreaterThan(0);
        engine.resize(3);
        await expect.poll(() => engine.liveWorkers().length, { timeout: 20_000 }).toBe(3);
        expect(engine.workers).toBe(3);
        expect(() => engine.resize(0)).toThrow('resize: workers must be an integer >= 1, got 0');
      }),
    );

    ifKillable('all workers but one may leave at once, from a loop that runs and from one that stands', () =>
      run(
        async (engine) => {
          const shrink = (index: number): void => {
            if (index === 2) setTimeout(() => engine.resize(1), 30);
          };
          const resize = (index: number): void => (index === 0 ? engine.resize(4) : shrink(index));
          const { weights } = await toy(engine, {
            to: [10, 100, 400],
            args: { slowMs: 0.5 },
            during: (_, at) => resize(at),
          });
          expect(weights).toBe((await toy(engine, { to: [400] })).weights);
          await expect.poll(() => engine.liveWorkers().length, { timeout: 20_000 }).toBe(1);

          engine.resize(4);
          await expect.poll(() => engine.liveWorkers().length, { timeout: 20_000 }).toBe(4);
          const loop = await engine.openLoop(toySpec(5));
          await loop.advance(10);
          engine.resize(1);
          expect(await loop.advance(20)).toBe(20);
          await loop.close();
          await expect.poll(() => engine.liveWorkers().length, { timeout: 20_000 }).toBe(1);
        },
        { workers: 4 },
      ),
    );

    it.runIf(killable && !sharesMemory)('the only worker, or all at once, end a loop whose state only they had', () =>
      run(
        async (engine) => {
          const faults = [{ phase: 'compute', unit: 0, iteration: 4, offset: 2 }];
          const lost = { code: 'TASK_FAILED', fields: { causeCode: 'BLOCKS_LOST' } };
          await expect(toy(engine, { faults, args: { slowMs: 5 } })).rejects.toMatchObject(lost);
          engine.resize(2);
          const killAll = async (_: Engine, __: number, loop: Loop): Promise<void> => {
            while (loop.iteration < 5) await new Promise((resolve) => setTimeout(resolve, 5));
            for (const id of engine.liveWorkers()) engine.killWorker(id);
          };
          const killed = toy(engine, { args: { slowMs: 5 }, during: (...args) => void killAll(...args) });
          await expect(killed).rejects.toMatchObject(lost);
          expect((await toy(engine)).weights).toBe(quiet.weights);
        },
        { workers: 1 },
      ),
    );

    it.runIf(killable && sharesMemory)('the only worker and all workers at once', () =>
      run(
        async (engine) => {
          const faults = [
            { phase: 'compute', unit: 0, iteration: 4, offset: 2 },
            { phase: 'update', unit: 4, iteration: 30, offset: 1 },
          ];
          expect((await toy(engine, { faults })).weights).toBe(quiet.weights);
          const { weights } = await toy(engine, {
            during: () => engine.liveWorkers().forEach((id) => void engine.killWorker(id)),
          });
          expect(weights).toBe(quiet.weights);
        },
        { workers: 1 },
      ),
    );

    ifKillable.each([0, 7, 15])('kills at random times (%i)', (seed) =>
      run(
        async (engine) => {
          let kills = 0;
          const timer = setInterval(() => {
            const live = engine.liveWorkers();
            const victim = live[(seed + kills) % Math.max(live.length, 1)];
            if (victim === undefined || kills >= 6) return;
            kills++;
            engine.killWorker(victim);
          }, 11 + seed);
          try {
            expect((await toy(engine, { args: { slowMs: 1 } })).weights).toBe(quiet.weights);
            expect(kills).toBeGreaterThan(2);
          } finally {
            clearInterval(timer);
          }
        },
        { workers: 3 },
      ),
    );

    ifKillable('process.exit, an uncaught error and a never-settling promise cost one attempt', () =>
      run(
        async (engine) => {
          expect(await engine.run(stage('exit', [1, 2], { code: 0, attempts: 1 }))).toEqual([1, 2]);
          expect(await engine.run(stage('exit', [1], { code: 42, attempts: 2 }))).toEqual([1]);
          expect(await engine.run(stage('uncaughtInTimer', [3]))).toEqual([3]);
          expect(await engine.run(stage('never', [4]))).toEqual([4]);
          expect(await engine.run(stage('hangOnce', [5]))).toEqual([5]);
        },
        { silenceTimeoutMs: 300 },
      ),
    );

    ifKillable('a task that always exits fails the job, and the next job runs', () =>
      run(async (engine) => {
        const failing = engine.run(stage('exit', [1], { code: 3, attempts: 99 }));
        await expect(failing).rejects.toMatchObject({ code: 'WORKER_LOST', fields: { partition: 0 } });
        expect(await engine.run(stage('double', [1]))).toEqual([2]);
      }),
    );

    ifKillable('cancelling frees workers that hang', () =>
      run(async (engine) => {
        const abort = new AbortController();
        const hanging = engine.run(stage('hang', [1, 2, 3]), { signal: abort.signal });
        setTimeout(() => abort.abort(new Error('enough')), 50);
        await expect(hanging).rejects.toMatchObject({ code: 'CANCELLED', cause: { message: 'enough' } });
        expect(await engine.run(stage('double', [1, 2, 3]))).toEqual([2, 4, 6]);
      }),
    );

    ifKillable('close during a job rejects it', async () => {
      const engine = create();
      const hanging = engine.run(stage('hang', [1]));
      const rejected = expect(hanging).rejects.toMatchObject({ code: 'ENGINE_CLOSED' });
      await new Promise((resolve) => setTimeout(resolve, 50));
      await engine.close();
      await rejected;
    });
  });
});

describe('threads', () => {
  it.each([1, 2, 3, 7])('%i workers give the bits of one', (workers) =>
    withEngine(threads({ workers }), async (engine) => {
      expect((await toy(engine)).weights).toBe(quiet.weights);
    }),
  );

  it('refuses a number of workers that is none', () => {
    expect(() => threads({ workers: 0 })).toThrow(/workers must be an integer >= 1, got 0/);
  });
});
