/** The live driver on a carrier made by hand, for what real threads do too rarely to be tested. */
import { describe, expect, it, vi } from 'vitest';
import type { CarriedWorker, Carrier, CarrierEvents } from '../../src/engine/carrier.ts';
import { createEngine } from '../../src/engine/driver.ts';
import type { Engine, Stage } from '../../src/engine/engine.ts';
import { checkFiles, type EngineOptions } from '../../src/engine/engine-options.ts';
import type { ToWorker } from '../../src/engine/messages.ts';
import type { Vitals } from '../../src/engine/vitals.ts';

interface HandWorker {
  readonly id: number;
  readonly vitals: Vitals;
  readonly events: CarrierEvents;
  readonly heard: ToWorker[];
  terminated: boolean;
}

/** A carrier whose workers do what the test says. */
function handCarrier() {
  const workers: HandWorker[] = [];
  const carrier: Carrier = {
    name: 'threads',
    sharesMemory: true,
    start(id, vitals, events): CarriedWorker {
      const worker: HandWorker = { id, vitals, events, heard: [], terminated: false };
      workers.push(worker);
      return {
        send: (message) => void worker.heard.push(message),
        terminate: () => {
          worker.terminated = true;
        },
        hold: () => {},
      };
    },
  };
  return { workers, carrier };
}

const stage: Stage = {
  name: 'stage',
  run: { kind: 'module', module: 'file:///x.mjs', export: 'x', args: undefined },
  inputs: [{ partition: 0, input: 1 }],
};

function start(options: EngineOptions = {}) {
  const { workers, carrier } = handCarrier();
  const engine: Engine = createEngine(carrier, { workers: 1, ...options });
  return { engine, workers };
}

describe('the driver', () => {
  it.each([['file:///app/dist/main.js'], [undefined], ['file:///app/engine/engine-options.js.map']])(
    'refuses to be created from a bundle: %s',
    (url) => {
      expect(() => checkFiles(url ?? '')).toThrow(expect.objectContaining({ code: 'BUNDLED' }));
      expect(() => checkFiles('file:///app/node_modules/shoal/dist/src/engine/engine-options.js?v=1')).not.toThrow();
    },
  );

  it('fails all jobs with WORKER_STUCK when a worker does not go, and closes without it', async () => {
    const { engine, workers } = start({ stuckTimeoutMs: 60 });
    workers[0]!.events.onMessage({ type: 'ready' });
    const rejected = expect(engine.run(stage)).rejects.toMatchObject({ code: 'WORKER_STUCK' });
    engine.killWorker(0);
    await rejected;
    expect(workers[0]!.terminated).toBe(true);
    await engine.close();
  });

  it('closes without a worker that does not go, also when nothing ran', async () => {
    const { engine, workers } = start({ stuckTimeoutMs: 60 });
    workers[0]!.events.onMessage({ type: 'ready' });
    await engine.close();
    expect(workers[0]!.terminated).toBe(true);
  });

  it('takes what a listener does in answer to an event, after what it is doing', async () => {
    const { engine, workers } = start({ maxAttempts: 4 });
    workers[0]!.events.onMessage({ type: 'ready' });
    const abort = new AbortController();
    engine.subscribe((event) => event.event === 'taskFailed' && abort.abort());
    const rejected = expect(engine.run(stage, { signal: abort.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
    const error = { name: 'Error', message: 'first attempt' };
    workers[0]!.events.onMessage({ type: 'taskFailed', job: 0, task: 0, attempt: 1, error });
    await rejected;
    const closed = engine.close();
    workers[0]!.events.onExit('ended');
    workers[1]?.events.onExit('ended');
    await closed;
  });

  it('ends a silent worker and runs its task elsewhere; a late word of it is ignored', async () => {
    const { engine, workers } = start({ silenceTimeoutMs: 60 });
    workers[0]!.events.onMessage({ type: 'ready' });
    const result = engine.run(stage);
    await vi.waitFor(() => expect(workers[0]!.terminated).toBe(true));
    workers[0]!.events.onExit('ended');
    const second = workers[1]!;
    second.events.onMessage({ type: 'ready' });
    expect(second.heard[0]).toMatchObject({ type: 'task', task: 0, attempt: 2 });
    workers[0]!.events.onMessage({ type: 'taskSucceeded', job: 0, task: 0, attempt: 1, result: 'late' });
    second.events.onMessage({ type: 'taskSucceeded', job: 0, task: 0, attempt: 2, result: 'right' });
    second.events.onMessage({ type: 'taskSucceeded', job: 0, task: 0, attempt: 2, result: 'again' });
    expect(await result).toEqual(['right']);
    const closed = engine.close();
    second.events.onExit('ended');
    await closed;
  });

  it('a worker that shows signs of life is not silent, however long its task takes', async () => {
    const { engine, workers } = start({ silenceTimeoutMs: 120 });
    workers[0]!.events.onMessage({ type: 'ready' });
    const result = engine.run(stage);
    for (let turn = 0; turn < 8; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      workers[0]!.vitals.progress();
    }
    expect(workers[0]!.terminated).toBe(false);
    workers[0]!.events.onMessage({ type: 'taskSucceeded', job: 0, task: 0, attempt: 1, result: 7 });
    expect(await result).toEqual([7]);
    const closed = engine.close();
    workers[0]!.events.onExit('ended');
    await closed;
  });

  it('gives up on workers that cannot start, naming why', async () => {
    const { engine, workers } = start();
    const rejected = expect(engine.run(stage)).rejects.toMatchObject({
      code: 'WORKER_START_FAILED',
      message: expect.stringContaining('no such module'),
    });
    for (let i = 0; i < 4; i++) workers[i]!.events.onExit('no such module');
    await rejected;
    expect(workers).toHaveLength(4);
    await engine.close();
  });

  it('keeps working when a listener throws; the error comes out as uncaught', async () => {
    const { engine, workers } = start();
    const uncaught: unknown[] = [];
    const catching = (error: unknown): void => void uncaught.push(error);
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', catching);
    try {
      engine.subscribe((event) => {
        if (event.event === 'jobStarted') throw new Error('in a listener');
      });
      workers[0]!.events.onMessage({ type: 'ready' });
      const result = engine.run(stage, {
        onResult: () => {
          throw new Error('in onResult');
        },
      });
      workers[0]!.events.onMessage({ type: 'taskSucceeded', job: 0, task: 0, attempt: 1, result: 1 });
      expect(await result).toEqual([1]);
      await new Promise((resolve) => setTimeout(resolve, 5));
      expect(uncaught.map((error) => (error as Error).message)).toEqual(['in a listener', 'in onResult']);
    } finally {
      process.removeListener('uncaughtException', catching);
      for (const listener of listeners) process.on('uncaughtException', listener);
    }
    const closed = engine.close();
    workers[0]!.events.onExit('ended');
    await closed;
  });
});
