import { tensor } from 'shoal';
import { parallelize } from 'shoal/data';
import * as nn from 'shoal/nn';
import * as optim from 'shoal/optim';
import { Top1Accuracy, Trainer, threads } from 'shoal/train';

// Points of the square, in 8 partitions. Is a point inside the circle? Functions run on the workers; cache() keeps typed columns in shared memory.
const data = parallelize(Array.from({ length: 4096 }, (_, i) => ({ x: (i % 64) / 32 - 1, y: i / 2048 - 1 })))
  .map(({ x, y }) => ({ input: Float32Array.of(x, y), target: x * x + y * y < 0.6 ? 1 : 0 }))
  .cache({ input: { dtype: 'float32', shape: [2] }, target: { dtype: 'int32', shape: [] } });

const model = new nn.Sequential(new nn.Linear(2, 16), new nn.Tanh(), new nn.Linear(16, 2));
const optimizer = optim.sgd({ lr: 0.5, momentum: 0.9 });
const engine = threads({ workers: 2 }); // any number of workers gives the same weights
const trainer = new Trainer({ model, loss: new nn.CrossEntropyLoss(), optimizer, engine, seed: 1 });
for await (const event of trainer.fit(data, { epochs: 5, validation: data, metrics: [new Top1Accuracy()] })) {
  if (event.event === 'validation') console.log(`epoch ${event.epoch + 1}: ${event.metrics.top1Accuracy}`);
  if (event.event === 'done') console.log(`weights ${event.weightsSha256}`);
}
const net = await trainer.model();
console.log(String(net.forward(tensor([[0.1, 0.2]])).argmax(1)));
await engine.close();
