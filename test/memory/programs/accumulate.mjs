/** Gradients of four passes are accumulated before each step; they equal those of the four batches at once. */
import assert from 'node:assert/strict';
import { cat, manualSeed, nn, optim, tensor } from 'shoal';
import { runFlat, values } from './check.mjs';

manualSeed(8);
const net = new nn.Sequential(new nn.Linear(100, 128), new nn.Tanh(), new nn.Linear(128, 10));
const optimizer = new optim.SGD(net.parameters(), { lr: 0.1, momentum: 0.9 });
const batches = Array.from({ length: 4 }, (_, i) => tensor(values(32 * 100, i + 1), { shape: [32, 100] }));
const labels = Array.from({ length: 4 }, (_, i) => tensor(Int32Array.from({ length: 32 }, (_, r) => (r + i) % 10)));
const loss = new nn.CrossEntropyLoss();
runFlat(200, 20, () => {
  optimizer.zeroGrad();
  batches.forEach((x, i) => {
    loss.forward(net.forward(x), labels[i]).div(4).backward();
  });
  optimizer.step();
});
net.zeroGrad();
batches.forEach((x, i) => {
  loss.forward(net.forward(x), labels[i]).div(4).backward();
});
const parts = net.parameters().map((parameter) => parameter.grad);
net.zeroGrad();
loss.forward(net.forward(cat(batches)), cat(labels)).backward();
net.parameters().forEach((parameter, k) => {
  const whole = parameter.grad.toTypedArray();
  parts[k].toTypedArray().forEach((part, i) => {
    // Another order of 128 additions of numbers below 1: 128 * 2^-24.
    assert.ok(Math.abs(part - whole[i]) < 128 * 2 ** -24, `${part} and ${whole[i]}`);
  });
});
