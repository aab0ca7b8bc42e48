/** PyTorch in a process of its own that waits for orders (pytorch.py), so that it can take turns with us. It times its own work. */
import { execFileSync, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** The first Python that has torch, of $PYTHON and the usual ones. */
function findPython() {
  for (const python of [process.env.PYTHON, 'python3', '/usr/bin/python3']) {
    if (!python) continue;
    try {
      execFileSync(python, ['-c', 'import torch, numpy'], { stdio: 'ignore' });
      return python;
    } catch {}
  }
  throw new Error('no python3 with torch and numpy');
}

/** @param {{ env?: Record<string, string> }} options `env`: set for the process */
export async function open({ name = 'pytorch', env = {} } = {}) {
  const python = findPython();
  const script = fileURLToPath(new URL('pytorch.py', import.meta.url));
  const child = spawn(python, [script], { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...env } });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { done, value } = await lines.next();
    if (done) throw new Error(`${python} ${script} ended without an answer`);
    const found = JSON.parse(value);
    if (found.error) throw new Error(`pytorch.py: ${found.error}`);
    return found;
  };
  const ask = (order) => {
    child.stdin.write(`${JSON.stringify(order)}\n`);
    return answer();
  };
  const { torch, blas, capability } = await answer();
  let number = 0;
  const prepare = async (shape) => {
    const id = ++number;
    const opened = await ask({ open: id, ...shape });
    if (opened.unsupported) return undefined;
    const run = async (repeats) => (await ask({ run: id, repeats })).ms;
    return {
      runner: { name, run },
      digest: opened.digest ? () => opened.digest : undefined,
      close: () => ask({ close: id }),
    };
  };
  return { version: `${torch}, ${blas}, ${capability}`, prepare, close: () => child.stdin.end() };
}
