/** The policy of an engine: what its options may be, which tasks are slow, and what the driver does when a worker holds too much or is too slow. */
import { describe, expect, it, vi } from 'vitest';
import type { CarriedWorker, Carrier, CarrierEvents } from '../../src/engine/carrier.ts';
import { createEngine } from '../../src/engine/driver.ts';
import { completePolicy, defaultPolicy, type EngineOptions } from '../../src/engine/engine-options.ts';
import type { ToWorker } from '../../src/engine/messages.ts';
import { StragglerWatch } from '../../src/engine/stragglers.ts';
import { Vitals } from '../../src/engine/vitals.ts';

/** The types of this project leave it out. */
declare const WebAssembly: { readonly Memory: new (descriptor: { initial: number }) => object };

describe('completePolicy', () => {
  it('fills in the defaults', () => {
    expect(completePolicy('threads', {}, false)).toEqual(defaultPolicy);
    expect(completePolicy('process', { maxAttempts: 2, speculation: { quantile: 0.5 } }, true)).toEqual({
      ...defaultPolicy,
      maxAttempts: 2,
      speculation: { multiplier: 1.5, quantile: 0.5, minimumMs: 100 },
    });
    expect(completePolicy('threads', { excludeAfter: Number.POSITIVE_INFINITY }, false).excludeAfter).toBe(
      Number.POSITIVE_INFINITY,
    );
  });

  it.each<[EngineOptions, string]>([
    [{ maxAttempts: 0 }, 'maxAttempts must be an integer >= 1, got 0'],
    [{ maxAttempts: 1.5 }, 'maxAttempts must be an integer >= 1, got 1.5'],
    [{ excludeAfter: Number.NaN }, 'excludeAfter must be an integer >= 1 or Infinity, got NaN'],
    [{ silenceTimeoutMs: 0 }, 'silenceTimeoutMs must be a number of milliseconds > 0, got 0'],
    [{ stuckTimeoutMs: -1 }, 'stuckTimeoutMs must be a number of milliseconds > 0, got -1'],
    [{ memoryBudgetBytes: 1000 }, 'memoryBudgetBytes must be a number of bytes >= 33554432, got 1000'],
    [{ speculation: { multiplier: 0.5 } }, 'speculation.multiplier must be a number >= 1, got 0.5'],
    [{ speculation: { quantile: 0 } }, 'speculation.quantile must be a number in (0, 1], got 0'],
    [{ speculation: { minimumMs: -1 } }, 'speculation.minimumMs must be a number of milliseconds >= 0, got -1'],
  ])('refuses %j', (options, message) => {
    expect(() => completePolicy('process', options, true)).toThrow(
      expect.objectContaining({ code: 'ARGUMENT', message: `process: ${message}. Leave it out for the default.` }),
    );
  });

  it('refuses speculation where a second attempt would write into the slots of the first', () => {
    expect(() => completePolicy('threads', { speculation: {} }, false)).toThrow(
      expect.objectContaining({ code: 'SPECULATION_UNSAFE', fields: { engine: 'threads' } }),
    );
  });
});

describe('StragglerWatch', () => {
  const speculation = { multiplier: 2, quantile: 0.5, minimumMs: 50 };

  it('reports a task once, when it has run longer than its like, and enough of them have finished', () => {
    const watch = new StragglerWatch(speculation);
    for (let task = 0; task < 4; task++) watch.begin(7, 4, task, 0);
    watch.finish(7, 0, 40);
    expect(watch.look(1000)).toEqual([]); // one of four: less than half
    watch.finish(7, 1, 60);
    expect(watch.look(100)).toEqual([]); // the median is 50, so the limit is 100
    expect(watch.look(101)).toEqual([
      { job: 7, task: 2 },
      { job: 7, task: 3 },
    ]);
    expect(watch.look(200)).toEqual([]);
  });

  it('begins anew after a failure, and forgets a stage that is over', () => {
    const watch = new StragglerWatch(speculation);
    for (let task = 0; task < 2; task++) watch.begin(1, 2, task, 0);
    watch.finish(1, 0, 10);
    expect(watch.look(60)).toEqual([{ job: 1, task: 1 }]);
    watch.fail(1, 1);
    watch.begin(1, 2, 1, 100);
    expect(watch.look(150)).toEqual([]);
    expect(watch.look(151)).toEqual([{ job: 1, task: 1 }]);
    watch.fail(1, 1);
    watch.begin(1, 2, 1, 200);
    watch.forget(1);
    expect(watch.look(1000)).toEqual([]);
  });

  it('watches nothing without speculation', () => {
    const watch = new StragglerWatch(null);
    watch.begin(1, 1, 0, 0);
    watch.finish(1, 0, 1);
    expect(watch.look(1e9)).toEqual([]);
  });
});

describe('the driver', () => {
  interface HandWorker {
    readonly vitals: Vitals;
    readonly events: CarrierEvents;
    readonly heard: ToWorker[];
    terminated: boolean;
  }

  /** An engine on workers that do what the test says; all of them are ready. */
  function start(options: EngineOptions & { readonly workers: number }) {
    const workers: HandWorker[] = [];
    const carrier: Carrier = {
      name: 'threads',
      sharesMemory: false,
      start(_id, vitals, events): CarriedWorker {
        const worker: HandWorker = { vitals, events, heard: [], terminated: false };
        workers.push(worker);
        return {
          send: (message) => void worker.heard.push(message),
          terminate: () => {
            worker.terminated = true;
            queueMicrotask(() => events.onExit('ended'));
          },
          hold: () => {},
        };
      },
    };
    const engine = createEngine(carrier, options);
    for (const { events } of workers) events.onMessage({ type: 'ready' });
    return { engine, workers };
  }

  const stage = (tasks: number) => ({
    name: 'stage',
    run: { kind: 'module', module: 'file:///x.mjs', export: 'x', args: undefined } as const,
    inputs: Array.from({ length: tasks }, (_, partition) => ({ partition, input: null })),
  });

  it('runs a slow task again elsewhere; the first result wins and the slow worker is replaced', async () => {
    const { engine, workers } = start({ workers: 2, speculation: { quantile: 0.5, minimumMs: 20 } });
    const lost: string[] = [];
    const ended: string[] = [];
    engine.subscribe((event) => {
      if (event.event === 'workerLost') lost.push(event.reason);
      if (event.event === 'taskEnded' && event.task === 0) ended.push(`${event.attempt} ${event.reason}`);
    });
    const result = engine.run(stage(2));
    workers[1]!.events.onMessage({ type: 'taskSucceeded', job: 0, task: 1, attempt: 1, result: 'fast' });
    await vi.waitFor(() => expect(workers[1]!.heard).toHaveLength(2));
    expect(workers[1]!.heard[1]).toMatchObject({ type: 'task', task: 0, attempt: 2 });
    workers[1]!.events.onMessage({ type: 'taskSucceeded', job: 0, task: 0, attempt: 2, result: 'copy' });
    workers[0]!.events.onMessage({ type: 'taskSucceeded', job: 0, task: 0, attempt: 1, result: 'late' });
    expect(await result).toEqual(['copy', 'fast']);
    expect(workers[0]!.terminated).toBe(true);
    expect(ended).toEqual(['1 superseded', '2 success']);
    expect(lost).toEqual(['another attempt of its task was faster (speculation)']);
    await engine.close();
  });

  it('ends a worker that holds more than its budget, and its job, naming both', async () => {
    const { engine, workers } = start({ workers: 1, memoryBudgetBytes: 2 ** 40 });
    const result = engine.run(stage(1));
    // What the worker says of itself.
    workers[0]!.vitals.memoryBytes = 2 ** 31 * 1023;
    await expect(result).rejects.toMatchObject({
      code: 'MEMORY_BUDGET',
      fields: { partition: 0, attempt: 1, worker: 0, bytes: 2 ** 31 * 1023, budgetBytes: 2 ** 40 },
      message: expect.stringMatching(/^stage: .* worker 0 holds 2196875771904 bytes, .* or raise memoryBudgetBytes/),
    });
    expect(workers[0]!.terminated).toBe(true);
    await engine.close();
  });
});

describe('vital signs', () => {
  it('say how much memory a thread holds, array buffers and WebAssembly memory included', () => {
    const vitals = new Vitals();
    vitals.progress();
    const before = vitals.memoryBytes;
    expect(before).toBeGreaterThan(2 ** 20);
    const held = [new Uint8Array(2 ** 26), new WebAssembly.Memory({ initial: 1024 })];
    vitals.progress();
    // 64 MiB each; V8 may free other things meanwhile, but not as much as one of them.
    expect(vitals.memoryBytes - before).toBeGreaterThan(1.5 * 2 ** 26);
    expect(held).toHaveLength(2);
  });
});
