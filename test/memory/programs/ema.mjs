/** A moving average of the weights, in place under noGrad, used for evaluation all along. */
import assert from 'node:assert/strict';
import { manualSeed, nn, noGrad, optim, tensor } from 'shoal';
import { runFlat, values } from './check.mjs';

manualSeed(7);
const net = new nn.Linear(300, 40);
const average = new nn.Linear(300, 40);
average.loadStateDict(net.stateDict());
const optimizer = new optim.SGD(net.parameters(), { lr: 0.05 });
const x = tensor(values(32 * 300), { shape: [32, 300] });
const errors = [];
runFlat(1000, 100, (i) => {
  optimizer.zeroGrad();
  net.forward(x).sub(1).square().mean().backward();
  optimizer.step();
  noGrad(() => {
    const mine = average.parameters();
    net.parameters().forEach((parameter, k) => {
      mine[k].mul_(0.9).add_(parameter.mul(0.1));
    });
  });
  if (i % 100 === 0) errors.push(noGrad(() => average.forward(x).sub(1).square().mean()));
});
const found = errors.map((error) => error.item());
assert.ok(found[9] < 0.01 * found[0] + 1e-6, `the average must follow, got ${found}`);
