/** Truncated backpropagation through time: the state is detached after each window and carried on. */
import assert from 'node:assert/strict';
import { manualSeed, nn, optim, tensor, zeros } from 'shoal';
import { runFlat, values } from './check.mjs';

manualSeed(2);
const size = 64;
const input = new nn.Linear(8, size);
const recurrent = new nn.Linear(size, size);
const output = new nn.Linear(size, 1);
const optimizer = new optim.SGD(
  [input, recurrent, output].flatMap((layer) => layer.parameters()),
  { lr: 0.01 },
);
let h = zeros([32, size]);
let last = 0;
runFlat(400, 50, (i) => {
  let loss;
  for (let t = 0; t < 5; t++) {
    const x = tensor(values(32 * 8, i * 5 + t), { shape: [32, 8] });
    h = input.forward(x).add(recurrent.forward(h)).tanh();
    const error = output
      .forward(h)
      .sub(x.narrow(1, 0, 1))
      .square()
      .mean();
    loss = loss === undefined ? error : loss.add(error);
  }
  optimizer.zeroGrad();
  loss.backward();
  optimizer.step();
  h = h.detach();
  last = loss.item();
});
assert.ok(last < 0.3, `it must learn to repeat its input, got ${last}`);
assert.ok(h.toTypedArray().every(Number.isFinite));
