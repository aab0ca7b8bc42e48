/** Weights are replaced by hand: `w = w.sub(g.mul(lr))`, with gradients from `grad` and from `backward`. */
import assert from 'node:assert/strict';
import { grad, manualSeed, noGrad, rand, tensor } from 'shoal';
import { runFlat, values } from './check.mjs';

manualSeed(5);
const x = tensor(values(32 * 200), { shape: [32, 200] });
const target = x.narrow(1, 0, 50).mul(2);
let v = rand([200, 50], { requiresGrad: true });
let w = rand([200, 50], { low: -0.1, high: 0.1, requiresGrad: true });
let loss;
runFlat(1500, 100, (i) => {
  loss = x.matmul(w).sub(target).square().mean().add(x.matmul(v).sub(target).square().mean());
  if (i % 2 === 0) {
    loss.backward();
    w = w.detach().sub(w.grad.mul(10)).requiresGrad_();
    v = noGrad(() => v.sub(v.grad.mul(10))).requiresGrad_();
  } else {
    const [gw, gv] = grad(loss, [w, v]);
    w = w.detach().sub(gw.mul(10)).requiresGrad_();
    v = noGrad(() => v.sub(gv.mul(10))).requiresGrad_();
  }
});
assert.ok(loss.item() < 0.01, `it must fit, got ${loss.item()}`);
