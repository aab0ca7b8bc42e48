/** @file The command line of the example: options, their defaults and limits, and the help text. */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';

/** What the command line asks for. */
export interface Options {
  readonly engine: 'inline' | 'threads' | 'process';
  readonly workers: number;
  readonly partitions: number;
  readonly epochs: number;
  readonly batch: number;
  readonly lr: number;
  readonly seed: number;
  readonly limit: number;
  readonly checkpoint: string;
  readonly resume: boolean;
  /** Seed of the plan of kills; `null` without one. */
  readonly chaos: number | null;
  readonly json: boolean;
  /** Whether to run with 256-bit kernels. */
  readonly wide: boolean;
  /** File for all events; `null` without one. */
  readonly events: string | null;
}

const help = `Trains LeNet-5 on MNIST. Usage: npm start -- [options]

  --engine NAME            threads, process (child processes that share
                           nothing), or inline (all in this thread)       threads
  --workers N              worker threads or processes                    one per core (${availableParallelism()} here)
  --partitions P           parts of the data; the weights depend on it    8
  --epochs N               passes over the training data                  3
  --batch N                records per iteration                          128
  --lr X                   learning rate, falls linearly to 0             0.1
  --seed N                 of initial weights and order of records        1
  --limit N                use the first N training records only          60000
  --checkpoint DIR         where checkpoints go                           checkpoints/lenet-mnist-<time>
  --resume                 go on from the newest checkpoint in DIR
  --chaos SEED             kill workers by a plan drawn from SEED; then run undisturbed, and compare the weights
  --wide                   256-bit kernels, the same weights: restarts Node (24 or later, x64) with V8's revectoriser
  --json                   only JSON lines on stdout, one per event; the last is {"event":"done",...}
  --events FILE            append all events, of the training and of the engine, as JSON lines to FILE
  --help                   this text

Ctrl-C ends the run after its iteration, with a checkpoint. Exit codes: 0 done, 130 interrupted, 1 error.
`;

/** A mistake on the command line. The message says which option, and what it takes. */
export class UsageError extends Error {}

/** Reads the command line. When there is nothing to train (help was asked for, or there is a mistake) says so and returns the exit code. */
export function parseOptions(args: readonly string[]): Options | number {
  return orUsage(() => {
    const { values } = parse(args);
    if (!values.help) return check(values);
    process.stdout.write(help);
    return 0;
  });
}

/** What `read` gives. A mistake on the command line that it finds is said, and gives the exit code 1. */
export function orUsage<T>(read: () => T): T | 1 {
  try {
    return read();
  } catch (thrown) {
    if (!(thrown instanceof UsageError)) throw thrown;
    process.stderr.write(`${thrown.message}\n`);
    return 1;
  }
}

function check(values: ReturnType<typeof parse>['values']): Options {
  const engine = values.engine ?? 'threads';
  if (engine !== 'threads' && engine !== 'process' && engine !== 'inline') {
    throw new UsageError(`--engine: it must be threads, process or inline, got ${engine}. Leave it out for threads.`);
  }
  const workers = integer('workers', values.workers, engine === 'inline' ? 1 : availableParallelism(), 1);
  if (engine === 'inline' && workers !== 1) {
    throw new UsageError(`--workers: the inline engine has one, got ${workers}. Leave out --engine inline.`);
  }
  if (values.resume && values.checkpoint === undefined) {
    throw new UsageError('--resume: it needs a folder to go on from, got none. Add --checkpoint DIR.');
  }
  return {
    engine,
    workers,
    partitions: integer('partitions', values.partitions, 8, 1),
    epochs: integer('epochs', values.epochs, 3, 1),
    batch: integer('batch', values.batch, 128, 1),
    lr: positive('lr', values.lr, 0.1),
    seed: integer('seed', values.seed, 1, 0),
    limit: integer('limit', values.limit, 60_000, 1),
    checkpoint: values.checkpoint ?? `checkpoints/lenet-mnist-${timestamp()}`,
    resume: values.resume ?? false,
    chaos: values.chaos === undefined ? null : integer('chaos', values.chaos, 0, 0),
    json: values.json ?? false,
    wide: values.wide ?? false,
    events: values.events ?? null,
  };
}

/** The command that goes on from the checkpoints of an interrupted run. */
export function resumeCommand(args: readonly string[], checkpoint: string): string {
  const kept = args.filter((arg, i) => {
    const option = /^--(checkpoint|chaos)$/;
    return !/^--(resume|checkpoint=.*|chaos=.*)$/.test(arg) && !option.test(arg) && !option.test(args[i - 1] ?? '');
  });
  const program = process.env.npm_lifecycle_event === 'start' ? 'npm start --' : `node ${process.argv[1]}`;
  return [program, ...kept, '--checkpoint', checkpoint, '--resume'].join(' ');
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        engine: text,
        workers: text,
        partitions: text,
        epochs: text,
        batch: text,
        lr: text,
        seed: text,
        limit: text,
        checkpoint: text,
        resume: flag,
        chaos: text,
        json: flag,
        wide: flag,
        events: text,
        help: flag,
      },
    });
  } catch (thrown) {
    const [rule] = (thrown instanceof Error ? thrown.message : String(thrown)).split(/[.\n]/);
    throw new UsageError(`${rule}. See --help.`);
  }
}

function integer(name: string, text: string | undefined, otherwise: number, least: number): number {
  if (text === undefined) return otherwise;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new UsageError(`--${name}: it must be an integer >= ${least}, got ${text}. See --help.`);
}

function positive(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new UsageError(`--${name}: it must be a number > 0, got ${text}. See --help.`);
}

/** Local time as 20261122-130501. */
function timestamp(): string {
  const now = new Date();
  const two = (value: number): string => String(value).padStart(2, '0');
  const date = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  return `${date}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
}
