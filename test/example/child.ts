/** @file Runs the built example as users do: as a program of its own, whose output and exit code are looked at. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The built example. */
export const program = fileURLToPath(new URL('../../build/examples/lenet-mnist.js', import.meta.url));

/** What came out of a run. */
export interface Outcome {
  /** `null` if a signal ended the program. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** An event of `--json`. */
export type Event = { readonly event: string; readonly iteration: number; readonly elapsedMs: number } & Readonly<
  Record<string, unknown>
>;

/** Runs the example to its end. `onOutput` sees all of stdout so far, and may send a signal. */
export function runExample(
  args: readonly string[],
  onOutput: (stdout: string, signal: (name: NodeJS.Signals) => void) => void = () => {},
  {
    node = process.execPath,
    env = {},
  }: { readonly node?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(node, [program, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      onOutput(stdout, (name) => child.kill(name));
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

/** The lines of `--json`, each of which must be JSON. */
export function eventsOf({ stdout }: Outcome): Event[] {
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Event);
}
