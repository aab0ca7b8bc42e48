/**
 * What shoal is measured against. Peers live in this folder only: a package.json and lock of their own, installed by `npm ci` the first time that a
 * row asks for one; PyTorch comes from the system. A peer that is not there is named in the output, with the reason.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('.', import.meta.url));

/** Installs the packages if they are not there; where that fails their peers are missing, nothing more. */
function install() {
  if (existsSync(`${folder}node_modules`)) return;
  process.stderr.write('bench: installing peers (npm ci in bench/peers)\n');
  execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: folder, stdio: ['ignore', 2, 2] });
}

const openers = {
  'tfjs-wasm': async () => {
    install();
    return (await import('./tfjs.mjs')).open();
  },
  'onnxruntime-web': async () => {
    install();
    return (await import('./ort.mjs')).open('onnxruntime-web');
  },
  'onnxruntime-node': async () => {
    install();
    return (await import('./ort.mjs')).open('onnxruntime-node');
  },
  pytorch: async () => (await import('./pytorch.mjs')).open(),
  /** Held to vectors of 256 bits, to see what is left of a difference at one width: no target speaks of it, and it runs only if it is asked for. */
  'pytorch-avx2': async () => {
    const env = { ATEN_CPU_CAPABILITY: 'avx2', MKL_ENABLE_INSTRUCTIONS: 'AVX2', ONEDNN_MAX_CPU_ISA: 'AVX2' };
    return (await import('./pytorch.mjs')).open({ name: 'pytorch-avx2', env });
  },
};

/** All of them, and those that take part if nobody says which. */
export const peerNames = Object.keys(openers);
export const usualPeers = peerNames.filter((name) => name !== 'pytorch-avx2');

/**
 * Opens peers on first use and keeps them.
 *
 * @param {readonly string[]} wanted names of the peers to use
 */
export function createPeers(wanted = usualPeers) {
  const opened = new Map();
  const open = (name) => {
    if (!opened.has(name)) {
      const reason = (error) => ({ missing: error instanceof Error ? error.message.split('\n')[0] : String(error) });
      opened.set(name, openers[name]().catch(reason));
    }
    return opened.get(name);
  };
  return {
    names: wanted,
    open,
    /** Version, or why it is missing, of every peer that was asked for. */
    async versions() {
      const entries = [...opened].map(async ([name, peer]) => [
        name,
        (await peer).version ?? `missing: ${(await peer).missing}`,
      ]);
      return Object.fromEntries(await Promise.all(entries));
    },
    async close() {
      for (const peer of opened.values()) (await peer).close?.();
    },
  };
}
