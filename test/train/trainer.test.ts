/** The Trainer on small data: against a reference written by hand, with odd partitions, filters, kills, validation, prediction. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noGrad, type Tensor, tensor } from 'shoal';
import { type AnyDataset, parallelize, task } from 'shoal/data';
import { type Engine, inline, threads } from 'shoal/engine';
import * as nn from 'shoal/nn';
import * as optim from 'shoal/optim';
import {
  type DoneEvent,
  type FitOptions,
  MeanLoss,
  Top1Accuracy,
  type TrainEvent,
  Trainer,
  type TrainerOptions,
} from 'shoal/train';
import { afterAll, describe, expect, it } from 'vitest';
import { epochOrder, share } from '../../src/train/plan.ts';
import { withEngine } from '../engine/engines.ts';

const fixtures = new URL('./fixtures.mjs', import.meta.url).href;
const folder = mkdtempSync(join(tmpdir(), 'shoal-trainer-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Point {
  x: Float32Array;
  y: number;
}

/** Points in 4 dimensions; the class (0, 1, 2) is where the largest of the first three coordinates is. */
function points(count: number): Point[] {
  let state = 12345;
  const next = (): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state / 2 ** 31 - 1;
  };
  return Array.from({ length: count }, () => {
    const x = Float32Array.from({ length: 4 }, next);
    return { x, y: [0, 1, 2].reduce((best, i) => (x[i]! > x[best]! ? i : best), 0) };
  });
}

const schema = { x: { dtype: 'float32', shape: [4] }, y: { dtype: 'int32', shape: [] } } as const;
const mlp = () => new nn.Sequential(new nn.Linear(4, 16), new nn.Tanh(), new nn.Linear(16, 3));

function trainerOptions(engine: Engine): TrainerOptions {
  const prepare = task(fixtures, 'asIs');
  const optimizer = optim.sgd({ lr: 0.2, momentum: 0.9, weightDecay: 0.001 });
  return { model: mlp(), loss: new nn.CrossEntropyLoss(), optimizer, engine, seed: 3, prepare };
}

function trainerOn(engine: Engine, options: Partial<TrainerOptions> = {}): Trainer {
  return new Trainer({ ...trainerOptions(engine), ...options });
}

async function train(trainer: Trainer, data: AnyDataset, options: FitOptions = {}) {
  const events: TrainEvent[] = [];
  for await (const event of trainer.fit(data, { epochs: 2, batchSize: 20, ...options })) events.push(event);
  return { events, done: events[events.length - 1] as DoneEvent };
}

const weightsOf = (model: nn.Module): string =>
  [...model.stateDict().values()]
    .map((value) => Buffer.from((value.toTypedArray() as Float32Array).slice().buffer).toString('hex'))
    .join('|');

describe('Trainer', () => {
  it('equals the same algorithm written by hand, bit for bit', () =>
    withEngine(threads({ workers: 2 }), async (engine) => {
      const records = points(103);
      const partitions = 3;
      const trainer = trainerOn(engine);
      await train(trainer, parallelize(records, { partitions }).cache(schema));

      const model = await nn.moduleFromSpec(mlp().toSpec(), { seed: 3, stream: [0, 2 * 2 ** 30] });
      const loss = new nn.CrossEntropyLoss();
      const sgd = new optim.SGD(model.parameters(), { lr: 0.2, momentum: 0.9, weightDecay: 0.001 });
      const starts = [0, 1, 2, 3].map((p) => Math.floor((p * 103) / partitions));
      const steps = Math.ceil(103 / 20);
      for (let t = 0; t < 2 * steps; t++) {
        const epoch = Math.floor(t / steps);
        let total = 0;
        let sums: Tensor[] = [];
        for (let p = 0; p < partitions; p++) {
          const count = starts[p + 1]! - starts[p]!;
          const { start, end } = share(count, t % steps, steps);
          const rows = epochOrder(3, epoch, p, count).subarray(start, end);
          const batch = [...rows].map((row) => records[starts[p]! + row]!);
          const x = tensor(batch.map((record) => [...record.x]));
          const y = tensor(Int32Array.from(batch, (record) => record.y));
          const { sum, weight } = loss.sum(model.forward(x), y);
          sum.backward();
          total += weight;
          const gradients = model.parameters().map((parameter) => parameter.grad!.detach());
          sums = p === 0 ? gradients : noGrad(() => sums.map((s, i) => s.add(gradients[i]!)));
          sgd.zeroGrad();
        }
        model.parameters().forEach((parameter, i) => {
          parameter.grad = sums[i]!.mul(Math.fround(1 / total));
        });
        sgd.step();
        sgd.zeroGrad();
      }
      expect(weightsOf(await trainer.model())).toBe(weightsOf(model));
    }));

  it('learns, validates and predicts with the same weights', () =>
    withEngine(threads({ workers: 2 }), async (engine) => {
      const loss = new nn.CrossEntropyLoss();
      const trainer = trainerOn(engine, { loss });
      const data = parallelize(points(600)).cache(schema);
      const test = parallelize(points(650).slice(600), { partitions: 3 }).cache(schema);
      const metrics = [
        new Top1Accuracy(),
        new MeanLoss(loss),
        { name: 'zeros', toSpec: () => ({ module: fixtures, export: 'zeros', args: null }) },
      ];
      const { events } = await train(trainer, data, { epochs: 12, validation: test, metrics });
      const validations = events.filter((event) => event.event === 'validation');
      expect(validations).toHaveLength(12);
      const { top1Accuracy, loss: meanLoss, zeros } = validations[11]!.metrics as Record<string, number>;
      expect(top1Accuracy).toBeGreaterThan(0.85);

      const model = await trainer.model();
      const answers = await trainer
        .predict(parallelize(points(650).slice(600), { partitions: 4 }).map((point: Point) => ({ x: point.x, y: 0 })))
        .collect();
      const x = tensor(
        points(650)
          .slice(600)
          .map((point) => [...point.x]),
      );
      const y = tensor(Int32Array.from(points(650).slice(600), (point) => point.y));
      const outputs = noGrad(() => model.forward(x));
      expect(answers.flatMap((row) => [...row])).toEqual([...(outputs.toTypedArray() as Float32Array)]);
      const right = answers.filter(
        (row, i) => row.indexOf(Math.max(...row)) === (y.toTypedArray() as Int32Array)[i],
      ).length;
      expect(top1Accuracy).toBe(right / 50);
      expect(zeros).toBe(answers.filter((row) => row.indexOf(Math.max(...row)) === 0).length);
      // Sums of 50 float32 terms in another order: |error| <= 50 * 2^-24 * sum, relative to the mean.
      expect(Math.abs(meanLoss! - loss.forward(outputs, y).item())).toBeLessThanOrEqual(2 * 50 * 2 ** -24 * meanLoss!);
      expect(trainer.driverLoadBytes).toBeGreaterThan(0);
    }));

  it('trains behind a filter and a map, and a worker killed in that stage does not change a bit', async () => {
    const run = (engine: Engine, kill: boolean) => {
      const data = parallelize(points(400), { partitions: 6 })
        .filter((point: Point) => point.x[3]! > -0.5)
        .map((point: Point) => {
          const until = Date.now() + 1; // slow enough to be hit
          while (Date.now() < until);
          return { x: point.x.map((value) => value * 2), y: point.y };
        })
        .cache(schema);
      let killed = 0;
      let lostAttempts = 0;
      const unsubscribe = engine.subscribe((event) => {
        if (event.event === 'taskFailed' && event.reason === 'workerLost') lostAttempts++;
        if (kill && event.event === 'jobStarted' && killed === 0) {
          setTimeout(() => {
            for (const id of engine.liveWorkers().slice(0, 1)) {
              killed++;
              engine.killWorker(id);
            }
          }, 40);
        }
      });
      return train(trainerOn(engine), data).then(({ done }) => {
        unsubscribe();
        expect(killed > 0).toBe(kill);
        expect(lostAttempts > 0).toBe(kill); // the kill hit a task of that stage
        return done;
      });
    };
    const quiet = await withEngine(inline(), (engine) => run(engine, false));
    expect(quiet.event).toBe('done');
    await withEngine(threads({ workers: 2 }), async (engine) => {
      await engine.run({ name: 'warm', run: task(fixtures, 'zeros'), inputs: [] });
      while (engine.liveWorkers().length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
      expect((await run(engine, true)).weightsSha256).toBe(quiet.weightsSha256);
    });
  });

  it('takes partitions of any size, batches of any size, and one record', async () => {
    const uneven = () =>
      parallelize(points(97), { partitions: 8 }).filter((point: Point) => point.x[0]! > 0.2 || point.x[1]! > 0.9);
    const hashes = new Set<string>();
    for (const batchSize of [1, 7, 40, 1000]) {
      const runs = await Promise.all(
        [inline(), threads({ workers: 3 })].map((engine) =>
          withEngine(engine, (e) => train(trainerOn(e), uneven().cache(schema), { batchSize, epochs: 1 })),
        ),
      );
      expect(runs[0]!.done).toMatchObject({ event: 'done', weightsSha256: runs[1]!.done.weightsSha256 });
      const records = runs[0]!.events.reduce(
        (sum, event) => sum + (event.event === 'iteration' ? event.records : 0),
        0,
      );
      expect(records).toBe(await uneven().count());
      hashes.add(runs[0]!.done.weightsSha256);
    }
    expect(hashes.size).toBe(4);
    await withEngine(inline(), async (engine) => {
      const { done } = await train(trainerOn(engine), parallelize(points(1), { partitions: 4 }).cache(schema));
      expect(done).toMatchObject({ event: 'done', iteration: 2 });
    });
  });

  it('skips an update whose total weight is 0, with a warning', () =>
    withEngine(inline(), async (engine) => {
      const ignored = points(40).map(({ x }) => ({ x, y: -100 }));
      const fresh = await train(trainerOn(engine), parallelize(ignored, { partitions: 2 }).cache(schema), {
        epochs: 1,
      });
      expect(fresh.events.filter(({ event }) => event === 'warning')).toHaveLength(2);
      expect(fresh.done.weightsSha256).toBe(
        (await train(trainerOn(engine), parallelize(ignored, { partitions: 4 }).cache(schema), { epochs: 1 })).done
          .weightsSha256,
      );
    }));

  it('predicts with two models in one chain, each with its own weights', () =>
    withEngine(threads({ workers: 1 }), async (engine) => {
      const data = parallelize(points(700), { partitions: 2 }).cache(schema);
      const trainers = [trainerOn(engine, { seed: 1 }), trainerOn(engine, { seed: 2 })];
      for (const trainer of trainers) await train(trainer, data);
      const alone = await Promise.all(trainers.map((trainer) => trainer.predict(data).collect()));
      const pairs = await trainers[0]!.predict(data).zip(trainers[1]!.predict(data)).collect();
      expect(pairs.map(([a]) => a)).toEqual(alone[0]);
      expect(pairs.map(([, b]) => b)).toEqual(alone[1]);
      expect(alone[0]).not.toEqual(alone[1]);
    }));

  it('cancelled before the first iteration, says so', () =>
    withEngine(inline(), async (engine) => {
      const data = parallelize(points(20), { partitions: 2 }).cache(schema);
      const signal = AbortSignal.abort(new Error('not now'));
      await expect(train(trainerOn(engine), data, { signal })).rejects.toMatchObject({ code: 'CANCELLED' });
      await train(trainerOn(engine), data);
      await expect(train(trainerOn(engine), data, { signal })).rejects.toMatchObject({ code: 'CANCELLED' });
    }));

  it('tells plain JavaScript and PyTorch habits what to write', () =>
    withEngine(inline(), async (engine) => {
      const model = mlp();
      const message = (options: object): string => {
        try {
          trainerOn(engine, options);
          return 'accepted';
        } catch (error) {
          return (error as Error).message;
        }
      };
      expect(message({ optimizer: new optim.SGD(model.parameters(), { lr: 0.1 }) })).toContain(
        'Pass optim.sgd({ lr })',
      );
      expect(message({ loss: undefined })).toContain('loss must be a loss module');
      expect(message({ seed: Number.NaN })).toContain('seed must be an integer');
      noGrad(() => model.parameters()[0]!.mul_(2));
      expect(message({ model })).toContain('Pass startFrom: model.stateDict()');
      expect(message({ model, startFrom: model.stateDict() })).toBe('accepted');
      await expect(train(trainerOn(engine), [] as never)).rejects.toThrow('the data must be a dataset');
      const trainer = trainerOn(engine);
      const data = parallelize(points(20)).cache(schema);
      const first = await train(trainer, data);
      const second = await train(trainer, data);
      expect(second.events.filter((event) => event.event === 'warning')).toHaveLength(1);
      expect(second.done.weightsSha256).toBe(first.done.weightsSha256);
      const unlabelled = parallelize([{ input: Float32Array.of(1, 2, 3, 4) }]);
      const { prepare: _, ...byNames } = trainerOptions(engine);
      const failing = train(
        new Trainer(byNames),
        parallelize([{ input: Float32Array.of(1, 2, 3, 4), target: 1 }]).cache({
          input: { dtype: 'float32', shape: [4] },
          target: { dtype: 'int32', shape: [] },
        }),
        { validation: unlabelled, metrics: [new Top1Accuracy()] },
      );
      await expect(failing).rejects.toThrow('validation needs { input, target }, got no target');
      await expect(
        train(new Trainer(byNames), parallelize([{ input: Float32Array.of(1, 2, 3, 4), target: 1 }])),
      ).rejects.toThrow("cache({ target: { dtype: 'int32', shape: [] }");
    }));

  it('warns once when the loss is no number any more', () =>
    withEngine(inline(), async (engine) => {
      const broken = points(40).map(({ x, y }, i) => ({ x: i === 30 ? x.fill(Number.NaN) : x, y }));
      const { events, done } = await train(trainerOn(engine), parallelize(broken, { partitions: 2 }).cache(schema));
      expect(done.event).toBe('done');
      const warnings = events.filter((event) => event.event === 'warning');
      expect(warnings).toMatchObject([{ message: expect.stringContaining('the loss is NaN') }]);
    }));

  it('trains a custom module by URL, with dropout, to the same bits on any workers', async () => {
    const { TwoLayers } = (await import(fixtures)) as { TwoLayers: new (args: object) => nn.Module };
    const hashes: string[] = [];
    for (const engine of [inline(), threads({ workers: 1 }), threads({ workers: 3 })]) {
      const model = new nn.Sequential(
        new TwoLayers({ inputs: 4, hidden: 8, outputs: 8 }),
        new nn.Dropout(0.4),
        new nn.Linear(8, 3),
      );
      const { done } = await withEngine(engine, (e) =>
        train(trainerOn(e, { model }), parallelize(points(90), { partitions: 5 }).cache(schema)),
      );
      hashes.push(done.weightsSha256);
    }
    expect(hashes[1]).toBe(hashes[0]);
    expect(hashes[2]).toBe(hashes[0]);
  });

  it('keeps frozen parameters as they are, starts from given values, and refuses what it cannot keep', () =>
    withEngine(threads({ workers: 2 }), async (engine) => {
      const data = parallelize(points(60), { partitions: 3 }).cache(schema);
      const given = mlp();
      given.namedParameters().forEach(([name, parameter]) => void parameter.requiresGrad_(!name.startsWith('0.')));
      const trainer = trainerOn(engine, { model: given, startFrom: given.stateDict() });
      const { events } = await train(trainer, data, { checkpoint: { directory: join(folder, 'frozen') } });
      expect(events.find((event) => event.event === 'start')!.parameters).toBe(16 * 3 + 3);
      const trained = (await trainer.model()).stateDict();
      for (const [name, before] of given.stateDict()) {
        const after = trained.get(name)!;
        expect([...after.toTypedArray()].join() === [...before.toTypedArray()].join()).toBe(name.startsWith('0.'));
        expect(after.requiresGrad).toBe(!name.startsWith('0.'));
      }
      const drawn = trainerOn(engine, { model: given });
      await train(drawn, data);
      expect(weightsOf(await drawn.model())).not.toBe(weightsOf(await trainer.model()));

      const { CountsCalls, Forgetful } = (await import(fixtures)) as Record<string, new (args: object) => nn.Module>;
      const refusal = async (model: nn.Module) =>
        train(trainerOn(engine, { model }), data).then(
          () => 'trained',
          (error) => error.fields.causeCode,
        );
      expect(await refusal(new CountsCalls!({}))).toBe('BUFFERS_CHANGED');
      expect(await refusal(new Forgetful!({ hidden: 5 }))).toBe('MODEL_MISMATCH');
      const frozen = mlp();
      for (const parameter of frozen.parameters()) parameter.requiresGrad_(false);
      expect(() => trainerOn(engine, { model: frozen })).toThrow('must have a parameter that requires a gradient');
      expect(() => trainerOn(engine, { startFrom: new Map() })).toThrow('got missing [0.weight');
    }));

  it('says what is wrong with its arguments and data', () =>
    withEngine(inline(), async (engine) => {
      const data = parallelize(points(20)).cache(schema);
      await expect(train(trainerOn(engine), data, { batchSize: 0 })).rejects.toThrow(
        'batchSize must be an integer >= 1, got 0',
      );
      await expect(
        train(
          trainerOn(engine),
          data.filter(() => false),
        ),
      ).rejects.toMatchObject({ code: 'ARGUMENT' });
      await expect(train(trainerOn(engine), data, { resume: true })).rejects.toThrow('needs a checkpoint directory');
      await expect(trainerOn(engine).model()).rejects.toMatchObject({ code: 'NOT_TRAINED' });
      const noInput = trainerOn(engine, { prepare: () => ({}) as never });
      await expect(train(noInput, data)).rejects.toMatchObject({
        code: 'TASK_FAILED',
        message: expect.stringContaining('must return { input, target }'),
      });
    }));

  it('leaving the loop interrupts the run; the trainer can be used again', () =>
    withEngine(threads({ workers: 2 }), async (engine) => {
      const trainer = trainerOn(engine);
      const data = parallelize(points(400)).cache(schema);
      for await (const event of trainer.fit(data, { epochs: 1000, batchSize: 8 })) if (event.iteration > 20) break;
      const { done } = await train(trainer, data);
      expect(done.event).toBe('done');
    }));
});

describe('checkpoints', () => {
  const data = () => parallelize(points(100), { partitions: 4 }).cache(schema);
  const dropout = () => new nn.Sequential(new nn.Linear(4, 16), new nn.Dropout(0.3), new nn.Linear(16, 3));

  async function interrupted(engine: Engine, directory: string) {
    const abort = new AbortController();
    const trainer = trainerOn(engine, { model: dropout() });
    for await (const event of trainer.fit(data(), {
      epochs: 4,
      batchSize: 20,
      checkpoint: { directory, everyIterations: 3 },
      signal: abort.signal,
    })) {
      if (event.iteration === 8) abort.abort();
    }
  }
  const resumed = (
    engine: Engine,
    directory: string,
    options: Partial<TrainerOptions> = {},
    fitOptions: FitOptions = {},
  ) =>
    train(trainerOn(engine, { model: dropout(), ...options }), data(), {
      epochs: 4,
      batchSize: 20,
      checkpoint: { directory },
      resume: true,
      ...fitOptions,
    });

  it('keep the last two, resume in the middle of an epoch to the same bits, and refuse another run by its field', () =>
    withEngine(threads({ workers: 2 }), async (engine) => {
      const quiet = await train(trainerOn(engine, { model: dropout() }), data(), { epochs: 4, batchSize: 20 });
      const directory = join(folder, 'a b ü');
      await interrupted(engine, directory);
      const names = readdirSync(directory).sort();
      expect(names).toHaveLength(2);
      for (const name of names)
        expect(readdirSync(join(directory, name)).sort()).toEqual([
          'model.safetensors',
          'optimizer.safetensors',
          'state.json',
        ]);

      const field = async (promise: Promise<unknown>) =>
        promise.then(
          () => 'resumed',
          (error) => `${error.code} ${error.fields.field}`,
        );
      expect(await field(resumed(engine, directory, { seed: 4 }))).toBe('CHECKPOINT_MISMATCH seed');
      expect(await field(resumed(engine, directory, {}, { batchSize: 10 }))).toBe('CHECKPOINT_MISMATCH batchSize');
      expect(await field(resumed(engine, directory, { model: mlp() }))).toBe('CHECKPOINT_MISMATCH specSha256');
      const other = trainerOn(engine, { model: dropout() });
      const options = { epochs: 4, batchSize: 20, checkpoint: { directory }, resume: true };
      expect(await field(train(other, parallelize(points(100), { partitions: 5 }).cache(schema), options))).toBe(
        'CHECKPOINT_MISMATCH partitions',
      );
      expect(
        await field(train(other, parallelize(points(101).slice(1), { partitions: 4 }).cache(schema), options)),
      ).toBe('CHECKPOINT_MISMATCH dataSha256');

      const { events, done } = await resumed(engine, directory);
      expect(events.find(({ event }) => event === 'start')!.iteration).toBeGreaterThanOrEqual(8);
      expect(done.weightsSha256).toBe(quiet.done.weightsSha256);
    }));

  it('are not silently passed over when none is whole', () =>
    withEngine(inline(), async (engine) => {
      const directory = join(folder, 'all-damaged');
      await interrupted(engine, directory);
      for (const name of readdirSync(directory)) writeFileSync(join(directory, name, 'model.safetensors'), '');
      await expect(resumed(engine, directory)).rejects.toMatchObject({ code: 'CHECKPOINT_DAMAGED' });
      await expect(train(trainerOn(engine), data(), { checkpoint: { directory, everyIterations: 0 } })).rejects.toThrow(
        'checkpoint.everyIterations must be an integer >= 1, got 0',
      );
    }));

  it('fall back to the one before when the newest is damaged, and start anew without any', () =>
    withEngine(inline(), async (engine) => {
      const directory = join(folder, 'damaged');
      await interrupted(engine, directory);
      const [older, newer] = readdirSync(directory).sort();
      const file = join(directory, newer!, 'model.safetensors');
      const bytes = readFileSync(file);
      bytes[bytes.length - 3]! ^= 1;
      writeFileSync(file, bytes);
      mkdirSync(join(directory, '.step-00000099.tmp'));
      const { events, done } = await resumed(engine, directory);
      const start = events.find((event) => event.event === 'start')!;
      expect(start.resumedFrom).toBe(join(directory, older!));
      expect(events.find((event) => event.event === 'warning')!.message).toContain(newer!);
      const quiet = await resumed(engine, join(folder, 'empty'));
      expect(quiet.events.find((event) => event.event === 'start')!.resumedFrom).toBeNull();
      expect(done.weightsSha256).toBe(quiet.done.weightsSha256);
    }));

  it('name the folder that cannot be written, and the format that is not known', () =>
    withEngine(inline(), async (engine) => {
      const file = join(folder, 'a-file');
      writeFileSync(file, '');
      const failing = train(trainerOn(engine), data(), { checkpoint: { directory: join(file, 'below') } });
      await expect(failing).rejects.toMatchObject({ code: 'CHECKPOINT_WRITE' });
      const directory = join(folder, 'future');
      await interrupted(engine, directory);
      for (const name of readdirSync(directory)) writeFileSync(join(directory, name, 'state.json'), '{"format": 2}');
      await expect(resumed(engine, directory)).rejects.toMatchObject({ code: 'CHECKPOINT_VERSION' });
    }));
});
