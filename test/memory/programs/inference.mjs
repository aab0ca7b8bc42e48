/** A synchronous inference loop, with and without noGrad, that keeps one small answer per batch. */
import assert from 'node:assert/strict';
import { arenaStatistics, manualSeed, nn, noGrad, tensor } from 'shoal';
import { runFlat, values } from './check.mjs';

manualSeed(9);
const net = new nn.Sequential(new nn.Linear(784, 256), new nn.Tanh(), new nn.Linear(256, 10)).eval();
const answers = [];
const images = values(64 * 784);
runFlat(2000, 1000, (i) => {
  const x = tensor(images, { shape: [64, 784] });
  answers.push(i % 2 === 0 ? noGrad(() => net.forward(x).argmax(1)) : net.forward(x).argmax(1));
});
const first = answers[0].toTypedArray();
for (const answer of answers) assert.deepEqual(answer.toTypedArray(), first);
assert.ok(arenaStatistics().capacityBytes < 100 * 2 ** 20, 'the loop stays near the first budget of 64 MiB');
