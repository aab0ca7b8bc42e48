/**
 * @file The inline engine: one worker in this very thread, for debugging, tests and places without threads. Tasks, results and errors still make
 * the round trip through a structured clone, so that nothing works here that fails on threads.
 */
import type { CarriedWorker, Carrier, CarrierEvents } from './carrier.ts';
import { createEngine } from './driver.ts';
import type { Engine } from './engine.ts';
import type { EngineOptions } from './engine-options.ts';
import type { FromWorker, ToWorker } from './messages.ts';
import type { Vitals } from './vitals.ts';
import { WorkerRuntime } from './worker-runtime.ts';

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function startInline(worker: number, vitals: Vitals, events: CarrierEvents): CarriedWorker {
  let alive = true;
  const deliver = (message: FromWorker): void => {
    const copy = structuredClone(message);
    queueMicrotask(() => alive && events.onMessage(copy));
  };
  const runtime = new WorkerRuntime({ worker, vitals, post: deliver, yieldTurn: turnTaker() });
  void nextTurn().then(() => deliver({ type: 'ready' }));
  return {
    send(message: ToWorker): void {
      const copy = structuredClone(message);
      queueMicrotask(() => alive && runtime.receive(copy));
    },
    terminate(): void {
      alive = false;
      void nextTurn().then(() => events.onExit('the inline worker was ended'));
    },
    hold(): void {},
  };
}

/** Gives the event loop a turn: mostly by `setImmediate`, which costs less than a timer; every 64th time by a timer, so that timers run too. */
function turnTaker(): () => Promise<void> {
  let turns = 0;
  return () => (++turns % 64 === 0 ? nextTurn() : new Promise((resolve) => setImmediateOrTimeout(resolve)));
}

function setImmediateOrTimeout(callback: () => void): void {
  if (typeof setImmediate === 'function') setImmediate(callback);
  else setTimeout(callback, 0);
}

const inlineCarrier: Carrier = { name: 'inline', sharesMemory: true, start: startInline };

/**
 * An engine with one worker in the calling thread. It gives the same results as `threads()`, bit for bit; a worker that hangs cannot be ended.
 *
 * @example
 * const engine = inline();
 * // ... run datasets and trainers on it
 * await engine.close();
 */
export function inline(options: Omit<EngineOptions, 'workers'> = {}): Engine {
  return createEngine(inlineCarrier, { ...options, workers: 1 });
}
