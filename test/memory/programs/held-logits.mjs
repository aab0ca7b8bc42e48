/** Logits of every batch of an epoch are held and concatenated at its end: tiny ones as they are, larger ones detached. */
import assert from 'node:assert/strict';
import { cat, manualSeed, nn, noGrad, optim, tensor } from 'shoal';
import { values } from './check.mjs';

manualSeed(3);
const net = new nn.Linear(20, 10);
const wide = new nn.Linear(20, 500);
const optimizer = new optim.SGD([...net.parameters(), ...wide.parameters()], { lr: 0 });
const tiny = [];
const detached = [];
const careless = [];
const batch = (i) => tensor(values(32 * 20, i + 1), { shape: [32, 20] });
for (let i = 0; i < 300; i++) {
  const logits = net.forward(batch(i));
  const features = wide.forward(batch(i));
  const used = features.mul(1);
  tiny.push(logits);
  detached.push(features.detach());
  careless.push(used);
  optimizer.zeroGrad();
  logits.square().sum().add(used.square().sum()).backward();
  optimizer.step();
}
const again = (layer) => noGrad(() => cat(Array.from({ length: 300 }, (_, i) => layer.forward(batch(i)))));
assert.deepEqual(cat(tiny).toTypedArray(), again(net).toTypedArray());
assert.deepEqual(cat(detached).toTypedArray(), again(wide).toTypedArray());
assert.throws(
  () => cat(careless),
  (error) => error.code === 'RECYCLED' && /^cat: .*mul.*detach\(\)/.test(error.message),
);
assert.deepEqual(careless.at(-1).shape, [32, 500]);
assert.ok(careless.at(-1).sum().item() !== 0, 'results of the last two passes are still there');
