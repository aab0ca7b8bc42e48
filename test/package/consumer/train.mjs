/** Trains a built-in and a custom model on points inside and outside of a circle; prints what came out as JSON. */
import { Tensor, tensor, nn as viaRoot } from 'shoal';
import { parallelize } from 'shoal/data';
import * as nn from 'shoal/nn';
import * as optim from 'shoal/optim';
import { inline, Top1Accuracy, Trainer, threads } from 'shoal/train';
import { Net } from './net.mjs';

const points = [];
for (let i = 0; i < 512; i++) {
  const [x, y] = [((i * 37) % 101) / 50 - 1, ((i * 53) % 89) / 44 - 1];
  points.push({ input: Float32Array.of(x, y), target: x * x + y * y < 0.6 ? 1 : 0 });
}
const schema = { input: { dtype: 'float32', shape: [2] }, target: { dtype: 'int32', shape: [] } };
const data = parallelize(points, { partitions: 4 }).cache(schema);

async function train(model, engine) {
  const optimizer = optim.sgd({ lr: 0.5, momentum: 0.9 });
  const trainer = new Trainer({ model, loss: new nn.CrossEntropyLoss(), optimizer, engine, seed: 3 });
  const result = {};
  const options = { epochs: 20, batchSize: 32, validation: data, metrics: [new Top1Accuracy()] };
  for await (const event of trainer.fit(data, options)) {
    if (event.event === 'validation') result.accuracy = event.metrics.top1Accuracy;
    if (event.event === 'done') result.weightsSha256 = event.weightsSha256;
  }
  result.model = await trainer.model();
  await engine.close();
  return result;
}

async function both(makeModel) {
  const parallel = await train(makeModel(), threads({ workers: 2 }));
  const single = await train(makeModel(), inline());
  return { ...parallel, threads: parallel.weightsSha256, inline: single.weightsSha256 };
}

const builtin = await both(() => new nn.Sequential(new nn.Linear(2, 16), new nn.ReLU(), new nn.Linear(16, 2)));
const custom = await both(() => new Net({ hidden: 16 }));
const output = custom.model.forward(tensor([[0, 0]]));
const classes = new Set([Tensor, output.constructor, tensor([1]).constructor]).size;
const isNet = custom.model instanceof Net && custom.model instanceof viaRoot.Module && viaRoot.Module === nn.Module;
console.log(JSON.stringify({ builtin: { ...builtin, model: 0 }, custom: { ...custom, model: 0, isNet, classes } }));
