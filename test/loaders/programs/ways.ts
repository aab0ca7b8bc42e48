/** A user's program: all ways in which code reaches workers. What comes out of each is `works`, or the code of the error. */
import { Tensor, tensor } from 'shoal';
import { type ModuleTask, parallelize, task } from 'shoal/data';
import * as nn from 'shoal/nn';
import * as optim from 'shoal/optim';
import { type Engine, inline, processes, Trainer, threads } from 'shoal/train';
import { Net, NetByFile } from './net.ts';
import { scaled } from './tasks.ts';

/** Captured by mistake. Not a constant, which a bundler would write into the function. */
const factor = Number(process.pid > 0) + 2;

const numbers = (): number[] => [1, 2, 3, 4, 5];
const engines = {
  threads: () => threads({ workers: 2 }),
  processes: () => processes({ workers: 2 }),
  inline: () => inline(),
};
type Way = (engine: Engine) => Promise<unknown>;

const ways: Readonly<Record<string, Way>> = {
  /** Inline functions of all kinds, with functions and classes inside them. */
  async inline(engine) {
    const values = { k: 3, names: ['a', 'b'] };
    const seen = await parallelize(numbers(), { partitions: 2 })
      .on(engine)
      .map((x, { k, names: [first = 'none', ...rest] }, more = { ...rest }) => {
        const twice = (value: number): number => value * 2;
        function thrice(value: number): number {
          return value * 3;
        }
        class Counter {
          static readonly start = 1;
          #count = Counter.start;
          last?: number;
          add = (n: number): number => (this.last = this.#count += n);
        }
        const { length, ...others } = { length: first.length, x, more };
        return k * (thrice(others.x) - twice(others.x)) + new Counter().add(length) - 2 + (others.more[9] ?? 0);
      }, values)
      .mapPartitions(async function* (records) {
        for await (const record of records) yield* [record, await Promise.resolve(record)];
      })
      .filter(function keep(x) {
        return x > 3;
      })
      .reduce((a, b) => a + b);
    if (seen !== 84) throw new Error(`inline: ${seen}`);
  },

  /** A task that names its own module by `import.meta.url`. */
  'task()': (engine) => runTask(engine, scaled(3)),

  /** A task that names a file beside this one. */
  'task(file)': (engine) => {
    const file = import.meta.url.endsWith('ts') ? 'tasks.ts' : 'tasks.js';
    return runTask(engine, task(new URL(file, import.meta.url), 'scale', { k: 3 }));
  },

  module: (engine) => train(engine, new Net({ inputs: 2 })),
  'module(file)': (engine) => train(engine, new NetByFile({ inputs: 2 })),

  /** A function that uses a variable of its module. */
  captured: (engine) =>
    parallelize(numbers())
      .on(engine)
      .map((x) => x * factor)
      .collect(),

  /** A function that uses an enum of its module. */
  enum: async (engine) => (await import('./enum.ts')).enumWay(engine),

  /** A function that uses an import of its module. */
  imported: (engine) =>
    parallelize(numbers())
      .on(engine)
      .map((x) => tensor([x]).shape)
      .collect(),
};

/** Trains an own module on the workers; and looks at what comes back of it. */
async function train(engine: Engine, model: nn.Module): Promise<void> {
  const points = numbers().map((x) => ({ input: Float32Array.of(x / 5, 1), target: x % 2 }));
  const trainer = new Trainer({
    model,
    loss: new nn.CrossEntropyLoss(),
    optimizer: optim.sgd({ lr: 0.1 }),
    engine,
    prepare: ({ count, fields }) => ({
      input: { data: Float32Array.from(fields.input!.data), shape: [count, 2] },
      target: { data: Int32Array.from(fields.target!.data), shape: [count] },
    }),
  });
  const schema = { input: { dtype: 'float32', shape: [2] }, target: { dtype: 'int32', shape: [] } } as const;
  for await (const _ of trainer.fit(parallelize(points, { partitions: 2 }).cache(schema), { batchSize: 5 }));
  const output = (await trainer.model()).forward(tensor([[1, 1]]));
  if (!(output instanceof Tensor) || output.shape[1] !== 2) throw new Error('two Tensor classes');
}

async function runTask(engine: Engine, spec: ModuleTask): Promise<void> {
  const seen = await parallelize(numbers()).on(engine).map<number>(spec).collect();
  if (String(seen) !== '3,6,9,12,15') throw new Error(`task: ${seen}`);
}

/** Names that a minifier made differ from version to version. */
const told = (name = ''): string => (name.length > 2 ? name : '?');

/** `works`, or the code of the error; a free variable with its name. Silence for long is an outcome too. */
async function outcome(engine: Engine, way: Way): Promise<string> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const hangs = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve('HANGS'), 30_000);
  });
  const ends = way(engine).then(
    () => 'works',
    (thrown: { code?: string; message: string; cause?: unknown }) => {
      let error = thrown;
      while (error.cause instanceof Error && error.code === 'TASK_FAILED') error = error.cause as typeof error;
      const { code = error.message, fields } = error as { code?: string; fields?: { variable?: string } };
      return code === 'FREE_VARIABLE' ? `${code} ${told(fields?.variable)}` : code;
    },
  );
  return Promise.race([hangs, ends]).finally(() => clearTimeout(timer));
}

/** The outcomes of all ways by engine. */
export async function everyWay(): Promise<Record<string, Record<string, string>>> {
  const found: Record<string, Record<string, string>> = {};
  for (const [name, create] of Object.entries(engines)) {
    found[name] = {};
    for (const [title, way] of Object.entries(ways)) {
      let engine: Engine | undefined;
      try {
        engine = create();
        found[name][title] = await outcome(engine, way);
      } catch (thrown) {
        found[name][title] = String((thrown as { code?: string }).code ?? thrown);
      } finally {
        await engine?.close();
      }
    }
  }
  return found;
}
