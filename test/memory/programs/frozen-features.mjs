/** Features of a frozen network are computed once and used for many epochs; they take more than the arena's budget. */
import assert from 'node:assert/strict';
import { arenaStatistics, manualSeed, nn, noGrad, optim, tensor } from 'shoal';
import { values } from './check.mjs';

manualSeed(4);
const backbone = new nn.Linear(50, 4096);
const head = new nn.Linear(4096, 10);
const optimizer = new optim.SGD(head.parameters(), { lr: 0.001 });
const labels = tensor(Int32Array.from({ length: 64 }, (_, i) => i % 10));
// 100 batches of 1 MiB.
const sums = [];
const features = noGrad(() =>
  Array.from({ length: 100 }, (_, i) => {
    const feature = backbone.forward(tensor(values(64 * 50, i + 1), { shape: [64, 50] })).tanh();
    sums.push(feature.sum().item());
    return feature;
  }),
);
const losses = [];
for (let epoch = 0; epoch < 4; epoch++) {
  let total = 0;
  for (const feature of features) {
    const loss = nn.functional.crossEntropy(head.forward(feature), labels);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    total += loss.item();
  }
  losses.push(total);
}
assert.ok(losses[3] < losses[0], `the head must learn, got ${losses}`);
assert.deepEqual(
  features.map((feature) => feature.sum().item()),
  sums,
);
assert.ok(arenaStatistics().cameBack > 0, 'the program is larger than the first budget');
assert.ok(arenaStatistics().residentBytes <= arenaStatistics().budgetBytes);
