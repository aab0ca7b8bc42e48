/** Steps that fail in the middle, forward and backward, and are caught: the rest of the training is as if they had not been. */
import assert from 'node:assert/strict';
import { manualSeed, nn, noGrad, optim, tensor } from 'shoal';
import { runFlat, values } from './check.mjs';

function train(withFailures) {
  manualSeed(10);
  const net = new nn.Sequential(new nn.Linear(100, 200), new nn.Tanh(), new nn.Linear(200, 10));
  const optimizer = new optim.SGD(net.parameters(), { lr: 0.1, momentum: 0.9 });
  const x = tensor(values(32 * 100), { shape: [32, 100] });
  const y = tensor(Int32Array.from({ length: 32 }, (_, r) => r % 10));
  let caught = 0;
  runFlat(500, 50, (i) => {
    if (withFailures) {
      try {
        const hidden = net.forward(x).tanh();
        const input = tensor(values(32 * 10), { shape: [32, 10], requiresGrad: true });
        if (i % 2 === 0) hidden.matmul(x);
        const loss = hidden.mul(input).square().sum();
        noGrad(() => input.detach().zero_());
        loss.backward();
      } catch (error) {
        assert.equal(error.code, i % 2 === 0 ? 'SHAPE' : 'AUTOGRAD');
        caught += 1;
      }
    }
    optimizer.zeroGrad();
    nn.functional.crossEntropy(net.forward(x), y).backward();
    optimizer.step();
  });
  assert.equal(caught, withFailures ? 500 : 0);
  return net.parameters().map((parameter) => parameter.toTypedArray());
}

assert.deepEqual(train(true), train(false));
