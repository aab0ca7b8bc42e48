/**
 * Everything that can go wrong in a task, on every engine: where the job can go on it gives the same result, where it cannot it ends with one coded
 * error that names partition and attempt, carries the stack and says what to do. Nothing hangs, and nothing is left behind. (Kills inside loops:
 * test/train/determinism.test.ts. Hostile bytes: the tests of frames and sockets.)
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Engine, EngineOptions } from 'shoal/engine';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { engineCases, fixture } from './engines.ts';
import { assertNoLeaks, type Held, held, ownTemporaryFolder, processesWith } from './leaks.ts';

const MB = 2 ** 20;
/** The longest that anything here may take on a loaded machine; a hang takes longer. */
const DEADLINE_MS = 40_000;
const isLinux = process.platform === 'linux';

/** What a job ends with when its task fails at every attempt. */
interface Failure {
  readonly task: string;
  readonly args?: Record<string, unknown>;
  readonly options?: EngineOptions;
  readonly code: string;
  /** The code of the cause, where it has one. */
  readonly causeCode?: string;
  /** In the message, which must also say where and what next. */
  readonly says: RegExp;
  /** Attempts that are made. Default 4. */
  readonly attempts?: number;
  /** Only where losing a worker does not end this very process. */
  readonly killable?: true;
}

const removeTemporaryFolder = ownTemporaryFolder();
afterAll(removeTemporaryFolder);

const silent = { silenceTimeoutMs: 250 };

const failures: readonly Failure[] = [
  { task: 'throws', code: 'TASK_FAILED', says: /thrown on purpose/ },
  { task: 'rejects', code: 'TASK_FAILED', says: /rejected on purpose/ },
  { task: 'overflowsStack', code: 'TASK_FAILED', says: /call stack/ },
  { task: 'traps', code: 'TASK_FAILED', says: /unreachable/ },
  { task: 'fillsWasm', code: 'TASK_FAILED', says: /WebAssembly\.Memory\.grow/ },
  {
    task: 'returnsFunction',
    code: 'TASK_FAILED',
    causeCode: 'RESULT_NOT_CLONEABLE',
    says: /the result must survive a structured clone.*Return plain data/,
    attempts: 1,
  },
  { task: 'neverSettles', options: silent, code: 'SILENCE', says: /raise silenceTimeoutMs or call context\.progress/ },
  { task: 'exits', args: { code: 0 }, code: 'WORKER_LOST', says: /look for process\.exit/, killable: true },
  { task: 'exits', args: { code: 3 }, code: 'WORKER_LOST', says: /\b3\b.*look for process\.exit/, killable: true },
  { task: 'uncaught', code: 'WORKER_LOST', says: /thrown in a timer/, killable: true },
  { task: 'unhandled', code: 'WORKER_LOST', says: /nobody handles this/, killable: true },
  { task: 'spins', options: silent, code: 'SILENCE', says: /raise silenceTimeoutMs/, killable: true },
  { task: 'spinsInWasm', options: silent, code: 'SILENCE', says: /raise silenceTimeoutMs/, killable: true },
  {
    task: 'fillsHeap',
    options: { memoryBudgetBytes: 48 * MB, maxAttempts: 2 },
    code: 'WORKER_LOST',
    says: /out of JS heap|heap out of memory/,
    attempts: 2,
    killable: true,
  },
  {
    task: 'holds',
    args: { bytes: 256 * MB },
    options: { memoryBudgetBytes: 128 * MB },
    code: 'MEMORY_BUDGET',
    says: /worker \d+ holds \d+ bytes, more than its budget of 134217728.*raise memoryBudgetBytes/,
    attempts: 1,
    killable: true,
  },
];

const stage = (task: string, args: Record<string, unknown> = {}) => ({
  name: task,
  run: { kind: 'module', module: fixture('failing-tasks.mjs'), export: task, args } as const,
  inputs: [10, 11, 12].map((input, partition) => ({ partition, input })),
});

/** Fails with a message instead of hanging. */
async function soon<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} hangs`)), DEADLINE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

const label = ({ task, args = {} }: Failure): string => [task, ...Object.values(args)].join(' ');

describe.each(engineCases)('$name engine: a task that', ({ name, create, killable, sharesMemory }) => {
  let before: Held;
  const run = async <R>(options: EngineOptions, body: (engine: Engine) => Promise<R>): Promise<R> => {
    const engine = create(options);
    try {
      return await soon('the job', body(engine));
    } finally {
      await soon('close()', engine.close());
    }
  };
  // The runtime keeps some threads and handles from their first use on.
  beforeAll(() => run({}, (engine) => engine.run(stage('prints', { attempts: 0 }))));
  beforeEach(() => {
    before = held();
  });
  afterEach(() => assertNoLeaks(before));

  const cases = failures
    .filter((failure) => killable || !failure.killable)
    .map((failure) => ({ ...failure, label: label(failure) }));

  // One engine for both: each start of a process costs more than the rest.
  it.each(cases)('$label: once it costs an attempt; always, it is one coded error, and the next job runs', (failure) =>
    run(failure.options ?? {}, async (engine) => {
      const { task, args, code, causeCode, says, attempts = 4 } = failure;
      if (attempts > 1) expect(await engine.run(stage(task, { ...args, attempts: 1 }))).toEqual([10, 11, 12]);
      const error = await engine.run(stage(task, args)).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({
        code,
        fields: { name: task, partition: 1, attempt: attempts, ...(causeCode ? { causeCode } : {}) },
        message: expect.stringMatching(says),
      });
      const { message, cause, stack } = error as Error & { readonly cause: Error };
      expect(message).toMatch(
        new RegExp(`^${task}: the job ended with \\w+ in partition 1, attempt ${attempts}: .*\\.\\)$`, 's'),
      );
      expect(stack).toContain(message);
      expect(cause.message.length).toBeGreaterThan(0);
      // An error that was thrown says where.
      if (code === 'TASK_FAILED' && !causeCode) expect(cause.stack).toMatch(/failing-tasks\.mjs|wasm/);
      expect(await engine.run(stage('throws', { attempts: 0 }))).toEqual([10, 11, 12]);
    }),
  );

  it('returns 200 MB: they arrive', () =>
    run({}, async (engine) => {
      const bytes = 200 * 1e6;
      const [, huge] = (await engine.run(stage('returnsHuge', { bytes }))) as Uint8Array[];
      expect(huge).toHaveLength(bytes);
      expect([huge![0], huge![bytes - 1]]).toEqual([7, 7]);
    }));

  it.runIf(!sharesMemory)('hangs, with speculation: a second attempt elsewhere gives the result', () =>
    run({ speculation: { quantile: 0.5, minimumMs: 50 } }, async (engine) => {
      const reasons: string[] = [];
      engine.subscribe((event) => void (event.event === 'taskEnded' && reasons.push(event.reason)));
      // Its silence would be noticed after 2 minutes only: long after this test's deadline.
      expect(await engine.run(stage('neverSettles', { attempts: 1 }))).toEqual([10, 11, 12]);
      expect(reasons.sort()).toEqual(['success', 'success', 'success', 'superseded']);
    }),
  );

  it.runIf(sharesMemory)('is slow is not run twice: speculation is refused', () => {
    expect(() => create({ speculation: {} })).toThrow(expect.objectContaining({ code: 'SPECULATION_UNSAFE' }));
  });

  describe('in a program of its own', () => {
    const program = fileURLToPath(fixture('failure-program.mjs'));
    let folder: string;
    let mark: string;
    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'failures-'));
      mark = `FAILURES_TEST=${folder}`;
    });
    afterEach(() => rmSync(folder, { recursive: true, force: true }));

    interface Outcome {
      readonly first: { readonly results?: unknown[]; readonly error?: { readonly [field: string]: unknown } };
      readonly next: { readonly results?: unknown[] } | null;
      readonly stdout: string;
      readonly stderr: string;
    }

    /** Runs the program under limits of the shell; it must end by itself, in time, and leave no process behind. */
    async function outcomeOf(
      given: Record<string, unknown>,
      { limit = '', flags = [] as string[], uid }: { limit?: string; flags?: string[]; uid?: number } = {},
    ): Promise<Outcome> {
      const outcome = join(folder, 'outcome.json');
      writeFileSync(outcome, '');
      const command = `${limit} exec "$@"`;
      const child = spawn(
        '/bin/sh',
        ['-c', command, 'sh', process.execPath, ...flags, program, name, outcome, JSON.stringify(given)],
        {
          env: { ...process.env, FAILURES_TEST: folder },
          stdio: ['pipe', 'pipe', 'pipe'],
          ...(uid === undefined ? {} : { uid }),
        },
      );
      let stdout = '';
      let stderr = '';
      child.stdout.on('data', (chunk) => void (stdout += chunk));
      child.stderr.on('data', (chunk) => void (stderr += chunk));
      try {
        const code = await soon('the program', new Promise((resolve) => child.on('close', resolve)));
        expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
      } finally {
        child.kill('SIGKILL');
        child.stdin.destroy();
      }
      if (isLinux) expect(processesWith(mark), 'processes left behind').toEqual([]);
      return { ...JSON.parse(readFileSync(outcome, 'utf8')), stdout, stderr };
    }
    const right = { results: [0, 1, 2] };

    it('prints 1 MB: the result is right, and what was printed arrives', async () => {
      const bytes = 1e6;
      const { first, next, stdout } = await outcomeOf({ task: 'prints', args: { bytes } });
      expect({ first, next }).toEqual({ first: right, next: right });
      expect(stdout.split('n').length - 1).toBeGreaterThanOrEqual(bytes);
      expect(stdout.split('w').length - 1).toBeGreaterThanOrEqual(1000);
    });

    it('closes its streams: the result is right', async () => {
      const { first, next } = await outcomeOf({ task: 'closesStreams', args: { attempts: 1 } });
      expect({ first, next }).toEqual({ first: right, next: right });
    });

    it.runIf(isLinux)('finds the disk full: an error that names the system and the call', async () => {
      const { first, next } = await outcomeOf({ task: 'fillsDisk' });
      expect(first.error).toMatchObject({
        code: 'TASK_FAILED',
        fields: { partition: 1, attempt: 4, causeCode: 'ENOSPC' },
      });
      expect(next).toEqual(right);
    });

    it.runIf(isLinux)('writes more than it may: an error that names the system and the call', async () => {
      const args = { folder, bytes: 4 * MB };
      const { first, next } = await outcomeOf({ task: 'writes', args }, { limit: 'ulimit -f 1024;' });
      expect(first.error).toMatchObject({
        code: 'TASK_FAILED',
        fields: { partition: 1, attempt: 4, causeCode: 'EFBIG' },
      });
      expect(next).toEqual(right);
    });

    it.runIf(isLinux)('writes where it must not: an error that names the system and the path', async () => {
      // /proc takes no files, whoever asks.
      const { first, next } = await outcomeOf({ task: 'writes', args: { folder: '/proc/self/task', bytes: 1 } });
      expect(first.error).toMatchObject({ code: 'TASK_FAILED', fields: { partition: 1, attempt: 4 } });
      expect(first.error!.message).toMatch(/(EACCES|EPERM|EROFS|ENOENT).*\/proc\/self\/task\/file/);
      expect(next).toEqual(right);
    });

    it.runIf(isLinux)(
      'opens too many files: an error that names the system; given back, the next job runs',
      async () => {
        const { first, next } = await outcomeOf({ task: 'opensTooMany' }, { limit: 'ulimit -n 120;' });
        expect(first.error).toMatchObject({
          code: 'TASK_FAILED',
          fields: { partition: 1, attempt: 4, causeCode: 'EMFILE' },
        });
        expect(next).toEqual(right);
      },
    );

    it.runIf(isLinux && killable)(
      'never runs, because there are no file handles for workers: an error that says so',
      async () => {
        const { first } = await outcomeOf({ task: 'throws', holdFiles: 6 }, { limit: 'ulimit -n 120;' });
        expect(first.error).toMatchObject({ code: 'WORKER_START_FAILED' });
        expect(first.error!.message).toMatch(/EMFILE.*\)$/s);
      },
    );

    it.runIf(killable)('never runs, because workers end before they are ready: an error that says why', async () => {
      const bad = join(folder, 'bad.cjs');
      writeFileSync(
        bad,
        `if (!require('node:worker_threads').isMainThread || process.env.FAILURES_PARENT) throw new Error('a bad preload');
         process.env.FAILURES_PARENT = '1';`,
      );
      const { first } = await outcomeOf({ task: 'throws', args: { attempts: 0 } }, { flags: ['--require', bad] });
      expect(first.error).toMatchObject({ code: 'WORKER_START_FAILED' });
      expect(first.error!.message).toMatch(/a bad preload/);
    });

    it('lets the clock jump: nothing is taken for silence, nothing waits', async () => {
      const options = { silenceTimeoutMs: 5000 };
      const { first, next } = await outcomeOf({ task: 'jumps', options, jumpingClock: true });
      expect({ first, next }).toEqual({ first: right, next: right });
    });
  });
});

describe('assertNoLeaks', () => {
  it.runIf(isLinux)('notices a thread, a child, a timer, a socket, a file handle and a temporary file', async () => {
    const before = held();
    await assertNoLeaks(before);
    const thread = new Worker('setInterval(() => {}, 1000)', { eval: true });
    await new Promise((resolve) => thread.once('online', resolve));
    await expect(assertNoLeaks(before, 0)).rejects.toThrow(/leaked: \d+ threads/);
    await thread.terminate();
    await assertNoLeaks(before);

    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    await expect(assertNoLeaks(before, 0)).rejects.toThrow(/leaked: child \d+/);
    child.kill('SIGKILL');
    await assertNoLeaks(before);

    const timer = setTimeout(() => {}, 1e6);
    await expect(assertNoLeaks(before, 0)).rejects.toThrow(/leaked: .*Timeout/);
    clearTimeout(timer);

    const server = createServer().listen(0);
    await new Promise((resolve) => server.once('listening', resolve));
    await expect(assertNoLeaks(before, 0)).rejects.toThrow(/leaked: .*TCPServerWrap/);
    await new Promise((resolve) => server.close(resolve));
    await assertNoLeaks(before);

    const path = join(tmpdir(), `shoal-leak-${process.pid}`);
    const file = openSync(path, 'w');
    await expect(assertNoLeaks(before, 0)).rejects.toThrow(`leaked: ${path}, shoal-leak-${process.pid}`);
    closeSync(file);
    rmSync(path);
    await assertNoLeaks(before);
  });
});
