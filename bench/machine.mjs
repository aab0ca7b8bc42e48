/** Where a result comes from: machine, versions, build of the kernels, commit. */
import { execFileSync } from 'node:child_process';
import { cpus, loadavg, release, type } from 'node:os';
import { fileURLToPath } from 'node:url';

function commit() {
  const git = (...words) =>
    execFileSync('git', words, { cwd: fileURLToPath(new URL('.', import.meta.url)), encoding: 'utf8' }).trim();
  try {
    return `${git('rev-parse', '--short=10', 'HEAD')}${git('status', '--porcelain', '-uno') === '' ? '' : ' and changes'}`;
  } catch {
    return 'unknown';
  }
}

export async function describeMachine() {
  const { config } = await import('../dist/kernels/index.js');
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    system: `${type()} ${release()} ${process.arch}`,
    node: process.version,
    v8: process.versions.v8,
    build: config().build,
    commit: commit(),
    load: loadavg()[0].toFixed(1),
  };
}
