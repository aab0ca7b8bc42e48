/** Two networks, two graphs: the discriminator sees the generator's detached output, the generator is trained through the discriminator. */
import assert from 'node:assert/strict';
import { manualSeed, nn, optim, randn } from 'shoal';
import { runFlat } from './check.mjs';

manualSeed(6);
const generator = new nn.Sequential(new nn.Linear(8, 64), new nn.Tanh(), new nn.Linear(64, 16));
const discriminator = new nn.Sequential(new nn.Linear(16, 64), new nn.Tanh(), new nn.Linear(64, 1));
const gOptimizer = new optim.SGD(generator.parameters(), { lr: 0.02 });
const dOptimizer = new optim.SGD(discriminator.parameters(), { lr: 0.02 });
let real;
let fake;
runFlat(600, 100, () => {
  real = randn([128, 16]).mul(0.1).add(1);
  fake = generator.forward(randn([128, 8]));
  dOptimizer.zeroGrad();
  const dLoss = discriminator
    .forward(real)
    .sub(1)
    .square()
    .mean()
    .add(discriminator.forward(fake.detach()).square().mean());
  dLoss.backward();
  dOptimizer.step();
  gOptimizer.zeroGrad();
  discriminator.forward(fake).sub(1).square().mean().backward();
  gOptimizer.step();
});
const distance = Math.abs(fake.mean().item() - real.mean().item());
assert.ok(distance < 0.5, `the generator must come near the data, got a distance of ${distance}`);
