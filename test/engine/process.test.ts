/** What only worker processes have: pipes, parents, signals, sockets that anybody on the machine can reach. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { type EngineEvent, processes } from 'shoal/engine';
import { describe, expect, it } from 'vitest';
import { fixture, withEngine } from './engines.ts';

const stage = (name: string, inputs: readonly unknown[], args?: unknown) => ({
  name,
  run: { kind: 'module' as const, module: fixture('tasks.mjs'), export: name, args },
  inputs: inputs.map((input, partition) => ({ partition, input })),
});
const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Worker processes of a process. */
function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const [, rest] = readFileSync(`/proc/${name}/stat`, 'utf8').split(') ');
        return (
          rest!.split(' ')[1] === String(parent) &&
          readFileSync(`/proc/${name}/cmdline`, 'utf8').includes('process-main')
        );
      } catch {
        return false; // it has just ended
      }
    })
    .map(Number);
}

/** TCP ports that a process listens on. */
function portsOf(pid: number): number[] {
  const inodes = new Set<string>();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      const target = readlinkSync(`/proc/${pid}/fd/${fd}`);
      if (target.startsWith('socket:')) inodes.add(target.slice(8, -1));
    } catch {
      // closed meanwhile
    }
  }
  return readFileSync(`/proc/${pid}/net/tcp`, 'utf8')
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((words) => words[3] === '0A' && inodes.has(words[9]!))
    .map((words) => Number.parseInt(words[1]!.split(':')[1]!, 16));
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const start = performance.now(); !condition(); ) {
    if (performance.now() - start > 20_000) throw new Error(`${what} did not happen in 20 s`);
    await delay(10);
  }
}

describe('a worker process', () => {
  it('that is stopped is ended and replaced, and its task done again', { timeout: 60_000 }, () =>
    withEngine(processes({ workers: 1, silenceTimeoutMs: 3000 }), async (engine) => {
      expect(await engine.run(stage('double', [1]))).toEqual([2]);
      const lost: string[] = [];
      engine.subscribe((event) => void (event.event === 'workerLost' && lost.push(event.reason)));
      const [pid] = childrenOf(process.pid);
      process.kill(pid!, 'SIGSTOP');
      expect(await engine.run(stage('double', [21]))).toEqual([42]);
      expect(lost).toEqual([expect.stringContaining('gave no sign of life for 1500 ms')]);
      await until(() => !existsSync(`/proc/${pid}`), 'the end of the stopped process');
    }),
  );

  it('that cannot be used says why, with what it wrote on stderr', { timeout: 60_000 }, () =>
    withEngine(processes({ workers: 1 }), async (engine) => {
      const error = await engine.run(stage('exitWithWords', [1])).catch((thrown) => thrown);
      expect(error).toMatchObject({ code: 'WORKER_LOST', fields: { partition: 0 } });
      expect(error.cause.message).toContain('last words');
    }),
  );

  it('that ends on its own says how, and not only that its connection is gone', { timeout: 60_000 }, () =>
    withEngine(processes({ workers: 1 }), async (engine) => {
      expect(await engine.run(stage('double', [1]))).toEqual([2]);
      const lost: string[] = [];
      engine.subscribe((event) => void (event.event === 'workerLost' && lost.push(event.reason)));
      process.kill(childrenOf(process.pid)[0]!, 'SIGKILL');
      expect(await engine.run(stage('double', [21]))).toEqual([42]);
      expect(lost).toEqual(['the worker process ended by SIGKILL before its work was done']);
    }),
  );

  it('that the system refuses to start fails the job', { timeout: 60_000 }, async () => {
    process.env.SHOAL_TOO_LONG = 'x'.repeat(2 ** 20); // more than a variable may have: E2BIG
    try {
      await withEngine(processes({ workers: 1 }), async (engine) => {
        const error = await engine.run(stage('double', [1])).catch((thrown) => thrown);
        expect(error).toMatchObject({ code: 'WORKER_START_FAILED' });
        expect(error.message).toContain('E2BIG');
      });
    } finally {
      delete process.env.SHOAL_TOO_LONG;
    }
  });

  it('may print what it likes, between frames', { timeout: 60_000 }, () =>
    withEngine(processes({ workers: 2 }), async (engine) => {
      const inputs = Array.from({ length: 20 }, (_, i) => i);
      expect(await engine.run(stage('prints', inputs))).toEqual(inputs);
    }),
  );

  it('inherits the flags of the runtime, and takes results of 64 MB', { timeout: 60_000 }, () =>
    withEngine(processes({ workers: 1 }), async (engine) => {
      const [bytes] = (await engine.run(stage('bytes', [64 * 2 ** 20]))) as [Uint8Array];
      expect(bytes.length).toBe(64 * 2 ** 20);
      expect([bytes[0], bytes[12_345_678], bytes.at(-1)]).toEqual([0, 12_345_678 & 255, 255]);
    }),
  );
});

describe('strangers', () => {
  it('get nowhere at the rendezvous and at workers, and disturb nobody', { timeout: 120_000 }, () =>
    withEngine(processes({ workers: 2 }), async (engine) => {
      const events: EngineEvent[] = [];
      await engine.run(stage('double', [1, 2]));
      await until(() => engine.liveWorkers().length === 2, 'two workers');
      engine.subscribe((event) => events.push(event));
      const ports = [process.pid, ...childrenOf(process.pid)].flatMap(portsOf);
      expect(ports.length).toBeGreaterThanOrEqual(3);
      const say = (port: number, bytes: Uint8Array): Promise<number> =>
        new Promise((resolve, reject) => {
          const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
          let heard = 0;
          socket.on('data', (chunk) => {
            heard += chunk.length;
          });
          socket.on('error', () => {});
          socket.on('close', () => resolve(heard));
          setTimeout(() => {
            socket.destroy();
            reject(new Error('the connection was left open'));
          }, 15_000).unref();
        });
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.uint8Array({ minLength: 1, maxLength: 3000 }), { minLength: 5 }),
          async (words) => {
            // Random bytes, and those that begin as a frame does. Who says too little is cut off after the 5 s of a handshake, so all talk at once.
            const framed = words.map((bytes) => Uint8Array.of(0xf5, 0x53, 0x48, 0x4c, 1, ...bytes));
            const heard = await Promise.all(
              ports.flatMap((port) => [...words, ...framed].map((bytes) => say(port, bytes))),
            );
            for (const length of heard) expect(length).toBeLessThan(200); // no more than the challenge
          },
        ),
        { numRuns: Number(process.env.SHOAL_FUZZ ?? 200) > 200 ? 50 : 1 },
      );
      const running = engine.run(stage('double', [1, 2, 3, 4]));
      expect(await running).toEqual([2, 4, 6, 8]);
      expect(events.filter(({ event }) => event === 'workerLost')).toEqual([]);
    }),
  );
});

describe('the program that has the engine', () => {
  const program = fileURLToPath(new URL('./fixtures/driver-program.mjs', import.meta.url));
  async function start(how: string): Promise<{
    child: ChildProcessWithoutNullStreams;
    ended: Promise<unknown>;
    lines: string[];
    workers: number[];
  }> {
    const child = spawn(process.execPath, [program, how], { detached: true });
    // Listened to from the start: an idle program may be gone before its first line is seen.
    const ended = new Promise((resolve) => child.on('exit', resolve));
    const lines: string[] = [];
    child.stdout.setEncoding('utf8').on('data', (text: string) => void lines.push(...text.trim().split('\n')));
    await until(() => lines.length > 0, 'the start of the program');
    return { child, ended, lines, workers: (JSON.parse(lines[0]!) as { children: number[] }).children };
  }
  const allGone = (workers: readonly number[]): Promise<void> =>
    until(() => workers.every((pid) => !existsSync(`/proc/${pid}`)), 'the end of the worker processes');

  it.each(['wait', 'hang'])('takes its workers with it when it is killed (%s)', { timeout: 60_000 }, async (how) => {
    const { child, workers } = await start(how);
    expect(workers).toHaveLength(2);
    child.kill('SIGKILL');
    await allGone(workers);
  });

  it('decides what Ctrl-C means: workers ignore it', { timeout: 60_000 }, async () => {
    const { child, ended, lines, workers } = await start('wait');
    process.kill(-child.pid!, 'SIGINT'); // as a terminal does: to the whole group
    await until(() => lines.length > 1, 'the answer to the signal');
    expect(JSON.parse(lines[1]!)).toEqual({ afterSignal: [2, 4, 6] });
    await allGone(workers);
    child.kill('SIGKILL');
    await ended;
  });

  it('ends by itself when the engine is idle', { timeout: 60_000 }, async () => {
    const { ended, workers } = await start('idle');
    expect(await ended).toBe(0);
    await allGone(workers);
  });
});
