/** @file `--wide`: the program again, on a Node with V8's revectoriser, which runs the same kernels at 256 bits. */
import { spawn, spawnSync } from 'node:child_process';
import { config } from 'shoal/kernels';
import { UsageError } from './options.ts';

const flag = '--experimental-wasm-revectorize';
const remedy = 'Use Node 24 or later on x64, or leave out --wide.';

/**
 * Runs the program again with the flag and gives its exit code; `null` where it is that program, which now may train.
 *
 * @throws UsageError if Node refuses the flag, or the kernels are not wide in spite of it.
 */
export function runWide(): Promise<number> | null {
  if (process.execArgv.includes(flag)) {
    const { build, reason } = config();
    if (build === 'wide') return null;
    throw new UsageError(`--wide: the kernels must be wide, got ${build} (${reason}). ${remedy}`);
  }
  const { status, stderr } = spawnSync(process.execPath, [flag, '--version'], { encoding: 'utf8' });
  if (status !== 0) throw new UsageError(`--wide: Node must take ${flag}, got "${stderr.trim()}". ${remedy}`);
  const child = spawn(process.execPath, [flag, ...process.execArgv, ...process.argv.slice(1)], { stdio: 'inherit' });
  // Ctrl-C in a terminal reaches both; a signal to this process reaches the other one only from here.
  process.on('SIGINT', () => void child.kill('SIGINT'));
  process.on('SIGTERM', () => void child.kill('SIGTERM'));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}
