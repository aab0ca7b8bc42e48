/** Where a result comes from: machine, versions, build of the kernels, commit. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, type } from 'node:os';
import { fileURLToPath } from 'node:url';

function commit() {
  const git = (...words) =>
    execFileSync('git', words, { cwd: fileURLToPath(new URL('.', import.meta.url)), encoding: 'utf8' }).trim();
  // A run's own results and pages are no change of what is measured.
  const measured = [':(top)', ':(top,exclude)bench/results', ':(top,exclude)docs'];
  try {
    const changes = git('status', '--porcelain', '-uno', '--', ...measured);
    return `${git('rev-parse', '--short=10', 'HEAD')}${changes === '' ? '' : ' and changes'}`;
  } catch {
    return 'unknown';
  }
}

/** The first value of a field of /proc/cpuinfo; undefined where there is no such file or field. */
function cpuField(name) {
  try {
    return new RegExp(`^${name}\\s*:\\s*(.*)$`, 'm').exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}

/**
 * A name for the kind of machine that results belong to, as a folder is called: processor, family and model (`amd-epyc-25-17`). Virtual machines often hide
 * the processor's number, and family and model tell its generation.
 */
export function machineName() {
  const model = (cpus()[0]?.model ?? 'unknown').replace(/\((r|tm)\)/gi, '').replace(/processor.*|@.*|\d+-core.*/i, '');
  const words = [model, cpuField('cpu family'), cpuField('model')].filter((word) => word !== undefined);
  return words
    .join(' ')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
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
