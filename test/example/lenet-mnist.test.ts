import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Event, eventsOf, type Outcome, program, runExample } from './child.ts';

const folder = mkdtempSync(join(tmpdir(), 'shoal-example-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let folders = 0;
const small = (): string[] => [
  ...['--limit', '640', '--batch', '64', '--epochs', '1'],
  ...['--checkpoint', join(folder, String(folders++))],
];

describe('command line', () => {
  it('--help lists all options and trains nothing', async () => {
    const { code, stdout, stderr } = await runExample(['--help']);
    expect([code, stderr]).toEqual([0, '']);
    const options =
      'engine workers partitions epochs batch lr seed limit checkpoint resume chaos json wide events help';
    for (const option of options.split(' ')) expect(stdout).toContain(`--${option} `);
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(120);
  });

  it.each([
    [['--epoch', '3'], /Unknown option '--epoch'/],
    [['extra'], /Unexpected argument 'extra'/],
    [['--engine', 'spark'], /--engine: it must be threads, process or inline, got spark/],
    [['--engine', 'inline', '--workers', '2'], /--workers: the inline engine has one, got 2/],
    [['--workers', '0'], /--workers: it must be an integer >= 1, got 0/],
    [['--partitions', '2.5'], /--partitions: it must be an integer >= 1, got 2.5/],
    [['--epochs', 'many'], /--epochs: it must be an integer >= 1, got many/],
    [['--batch', '-1'], /--batch/],
    [['--lr', '0'], /--lr: it must be a number > 0, got 0/],
    [['--lr', ''], /--lr: it must be a number > 0, got \./],
    [['--seed', '1e3'], /--seed: it must be an integer >= 0, got 1e3/],
    [['--limit', '9007199254740993'], /--limit: it must be an integer >= 1/],
    [['--events', '/nowhere/events'], /--events: the file must be writable, got ENOENT: .*'\/nowhere\/events'/],
    [['--events', folder], /--events: the file must be writable, got EISDIR/],
    [['--resume'], /--resume: it needs a folder to go on from, got none\. Add --checkpoint DIR\./],
  ])('%j is refused with a message and exit code 1', async (args, message) => {
    const { code, stdout, stderr } = await runExample(args);
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect([code, stdout]).toEqual([1, '']);
  });
});

describe('--json', () => {
  let outcome: Outcome;
  let events: Event[];
  let done: Event;
  beforeAll(async () => {
    outcome = await runExample([...small(), '--json', '--workers', '2']);
    events = eventsOf(outcome);
    done = events.at(-1)!;
  });

  it('prints only events on stdout; all have event, iteration, elapsedMs', () => {
    expect(outcome.code).toBe(0);
    for (const event of events) {
      expect(event).toMatchObject({
        event: expect.any(String),
        iteration: expect.any(Number),
        elapsedMs: expect.any(Number),
      });
    }
    const iterations = events.filter(({ event }) => event === 'iteration');
    expect(iterations.map(({ iteration }) => iteration)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    for (const name of ['input', 'start', 'validation', 'checkpoint']) {
      expect(events.filter(({ event }) => event === name)).toHaveLength(1);
    }
    expect(outcome.stderr).toContain('label\\predicted');
  });

  it('ends with the keys that scripts rely on', () => {
    const number = expect.any(Number);
    const phases = { data: number, weights: number, forward: number, backward: number };
    const more = { publish: number, wait: number, update: number, schedule: number };
    expect(done).toMatchObject({
      event: 'done',
      iteration: 10,
      testAccuracy: number,
      weightsSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      recordsPerSecond: number,
      trainSeconds: number,
      workers: 2,
      partitions: 8,
      kills: { forward: 0, backward: 0, publish: 0, update: 0, checkpoint: 0, random: 0 },
      driverParameterBytes: 0,
      sampleBytesCrossed: 0,
      referenceKernelCalls: 0,
      phasesMs: { ...phases, ...more },
      reproducible: true,
    });
    // The model() call at the end: 61,706 floats, and the gaps between parameters.
    expect(done.driverLoadBytes).toBeGreaterThanOrEqual(4 * 61_706);
    expect(done.driverLoadBytes).toBeLessThan(4 * 61_706 + 10 * 64);
  });

  it('says what was read', () => {
    const { files } = events.find(({ event }) => event === 'input') as unknown as { files: { records: number }[] };
    expect(files.map(({ records }) => records)).toEqual([60_000, 60_000, 10_000, 10_000]);
    expect(events.find(({ event }) => event === 'start')).toMatchObject({ records: 640, parameters: 61_706 });
  });

  it('inline gives the same bits as threads, and a kill changes none', async () => {
    const [inline, chaos] = await Promise.all([
      runExample([...small(), '--json', '--engine', 'inline']),
      runExample([...small(), '--json', '--chaos', '1']),
    ]);
    expect(eventsOf(inline).at(-1)!.weightsSha256).toBe(done.weightsSha256);
    const end = eventsOf(chaos).at(-1) as Event & { kills: Record<string, number>; killed: unknown[] };
    expect(chaos.code).toBe(0);
    expect(end).toMatchObject({
      event: 'done',
      weightsSha256: done.weightsSha256,
      undisturbedSha256: done.weightsSha256,
      sameBits: true,
    });
    expect(end.killed.length).toBeGreaterThan(0);
    expect(Object.values(end.kills).reduce((sum, n) => sum + n, 0)).toBe(end.killed.length);
  });
});

describe('--events', () => {
  interface Logged extends Event {
    readonly source: string;
    readonly run: number;
    readonly job: number;
  }
  const read = (path: string): Logged[] => {
    const text = readFileSync(path, 'utf8');
    expect(text.endsWith('\n')).toBe(true);
    return text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Logged);
  };

  it('has what --json prints and all events of the engine, of both runs of a comparison', async () => {
    const path = join(folder, 'events.jsonl');
    const outcome = await runExample([...small(), '--json', '--chaos', '1', '--events', path]);
    expect(outcome.code).toBe(0);
    const events = read(path);
    const { event, options } = events[0] as Logged & { options: object };
    expect([event, options]).toMatchObject(['options', { seed: 1, batch: 64, events: path }]);

    const trained = events.filter(({ source, run }) => source === 'program' || (source === 'train' && run === 0));
    const printed = trained.filter(({ event, source }) => source === 'program' || event !== 'done').slice(1);
    expect(printed.map(({ source: _, run: __, ...told }) => told)).toEqual(eventsOf(outcome));

    for (const index of [0, 1]) {
      const run = events.filter((event) => event.run === index);
      expect(run.find(({ source, event }) => source === 'train' && event === 'done')).toBeDefined();
      const engine = run.filter(({ source }) => source === 'engine');
      const count = (name: string): number => engine.filter((told) => told.event === name).length;
      for (const name of ['workerStarted', 'blockPublished', 'reassigned', 'metrics']) {
        expect([index, name, count(name) > 0]).toEqual([index, name, true]);
      }
      expect(count('jobStarted')).toBe(count('jobEnded'));
      expect(count('taskStarted')).toBe(count('taskEnded') + count('taskFailed'));
      expect(count('killed')).toBe(index === 0 ? (eventsOf(outcome).at(-1)!.killed as object[]).length : 0);
      const times = engine.map(({ elapsedMs }) => elapsedMs);
      expect(times).toEqual([...times].sort((a, b) => a - b));
    }
  });

  it('appends, and is whole after Ctrl-C', async () => {
    const path = join(folder, 'interrupted.jsonl');
    const run = ['--limit', '3200', '--batch', '64', '--epochs', '2', '--json', '--events', path];
    const first = await runExample(
      [...run, '--checkpoint', join(folder, 'logged')],
      interruptAt('"event":"iteration","epoch":0'),
    );
    expect(first.code).toBe(130);
    const events = read(path);
    expect(events.at(-1)).toMatchObject({ event: 'interrupted', source: 'program' });
    const again = await runExample([...run, '--checkpoint', join(folder, 'logged'), '--resume']);
    expect(again.code).toBe(0);
    const both = read(path);
    expect(both.slice(0, events.length)).toEqual(events);
    expect(both.filter(({ event }) => event === 'options')).toHaveLength(2);
    expect(both.at(-1)).toMatchObject({ event: 'done', source: 'program' });
    const iterations = both.filter(({ event }) => event === 'iteration').map(({ iteration }) => iteration);
    expect(iterations).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
  });
});

describe('for people', () => {
  it('prints plain lines into a pipe: input, validation, confusion matrix, digits, checkpoint, hash', async () => {
    const { code, stdout, stderr } = await runExample(small());
    expect([code, stderr]).toEqual([0, '']);
    for (const control of ['\x1b', '\r']) expect(stdout).not.toContain(control);
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80 + folder.length);
    expect(stdout).toContain('60,000 + 10,000 images');
    expect(stdout).toMatch(/^[0-9a-f]{64} {2}train-images$/m);
    expect(stdout).toMatch(/^epoch 1\/1 {2}10\/10 {2}loss \d\.\d{4} {2}[\d,]+\/s {2}ETA 0:00 {2}\d workers? {2}P 8$/m);
    expect(stdout).toMatch(/^epoch 1: accuracy \d+\.\d\d %, loss \d\.\d{4} on 10,000 test records$/m);
    expect(stdout).toMatch(/^label\\predicted( +\d){10}$/m);
    expect(stdout).toMatch(/^(predicted \d, is \d *){3}$/m);
    expect(stdout).toMatch(/^test accuracy {3}\d+\.\d\d %$/m);
    expect(stdout).toMatch(/^checkpoint {6}.*step-00000010$/m);
    expect(stdout).toMatch(/^weights SHA-256 [0-9a-f]{64}$/m);
  });
});

/** util-linux's `script` runs a command on a pseudo-terminal; other systems' ones take other options. */
const hasScript = process.platform === 'linux' && spawnSync('script', ['--version']).status === 0;

describe.skipIf(!hasScript)('on a terminal', () => {
  it('draws a bar in place and digits in gray tones', () => {
    const command = [process.execPath, program, ...small()].join(' ');
    const env: NodeJS.ProcessEnv = { ...process.env, TERM: 'xterm-256color' };
    delete env.NO_COLOR;
    delete env.CI; // Node says that CI systems have no colours
    const { status, stdout } = spawnSync('script', ['-qec', command, '/dev/null'], { encoding: 'utf8', env });
    expect(status).toBe(0);
    const bars = stdout.split('\r\x1b[2K').filter((text) => text.startsWith('epoch 1/1  '));
    expect(bars.length).toBeGreaterThanOrEqual(2); // the first iteration and the last are always drawn
    for (const bar of bars.slice(0, -1)) expect(bar).not.toContain('\n');
    expect(bars.at(-1)).toMatch(/^epoch 1\/1 {2}10\/10 {2}█{4,} {2}loss/);
    expect(stdout).toContain('\x1b[38;5;255;48;5;255m▀'); // ink above ink
  });
});

/** SIGINT as soon as the output contains `text`; `again` repeats it at the next output, as a terminal and npm send it twice. */
function interruptAt(text: string, again = false): Parameters<typeof runExample>[1] {
  let left = again ? 2 : 1;
  return (stdout, signal) => {
    if (left === 0 || !stdout.includes(text)) return;
    left--;
    signal('SIGINT');
  };
}

describe('Ctrl-C and --resume', () => {
  const run = ['--limit', '3200', '--batch', '64', '--epochs', '2', '--json'];
  const checkpoint = join(folder, 'interrupted');
  let done: ReturnType<typeof eventsOf>[number] | undefined;

  it('ends after its iteration with a checkpoint and exit code 130; resumed, it gives the bits of an uninterrupted run', async () => {
    const interrupted = await runExample([...run, '--checkpoint', checkpoint], interruptAt('"iteration":20,', true));
    expect(interrupted.code).toBe(130);
    const last = eventsOf(interrupted).at(-1)!;
    expect(last.event).toBe('interrupted');
    expect(last.iteration).toBeGreaterThanOrEqual(20);
    expect(last.iteration).toBeLessThan(100);
    const path = join(checkpoint, `step-${String(last.iteration).padStart(8, '0')}`);
    expect(last.checkpoint).toBe(path);
    expect(existsSync(join(path, 'model.safetensors'))).toBe(true);
    expect(interrupted.stderr).toContain(`${run.join(' ')} --checkpoint ${checkpoint} --resume`);

    const otherSeed = await runExample([...run, '--checkpoint', checkpoint, '--resume', '--seed', '2']);
    expect(otherSeed.code).toBe(1);
    expect(eventsOf(otherSeed).at(-1)).toMatchObject({
      event: 'error',
      code: 'CHECKPOINT_MISMATCH',
      fields: { field: 'seed', got: 2, expected: 1 },
    });
    expect(otherSeed.stderr).toContain('resume: seed must be that of the checkpoint, got 2');

    const resumed = await runExample([...run, '--checkpoint', checkpoint, '--resume']);
    const whole = await runExample([...run, '--checkpoint', join(folder, 'whole')]);
    expect([resumed.code, whole.code]).toEqual([0, 0]);
    expect(eventsOf(resumed).find(({ event }) => event === 'start')).toMatchObject({ resumedFrom: path });
    expect(eventsOf(resumed).at(-1)!.weightsSha256).toBe(eventsOf(whole).at(-1)!.weightsSha256);
    expect(eventsOf(whole).find(({ event }) => event === 'start')).toMatchObject({ resumedFrom: null });
    done = eventsOf(whole).at(-1);
  });

  it('gives phases that add up to the training time within 5 %', () => {
    // Of 100 iterations: in the first few, the start of a group is a larger part.
    const sumMs = Object.values(done!.phasesMs as Record<string, number>).reduce((sum, ms) => sum + ms, 0);
    const trainMs = 1000 * (done!.trainSeconds as number);
    expect(sumMs).toBeGreaterThan(0.95 * trainMs);
    expect(sumMs).toBeLessThan(1.05 * trainMs);
  });

  it('says so when there is nothing to save yet', async () => {
    const early = await runExample([...run, '--checkpoint', join(folder, 'early')], interruptAt('"input"'));
    expect(early.code).toBe(130);
    expect(eventsOf(early).at(-1)!.event).toBe('interrupted');
    expect(existsSync(join(folder, 'early', 'step-00000001'))).toBe(false);
  });
});
