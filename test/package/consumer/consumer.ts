/** Compiled, not run: the public types as a strict nodenext project sees them. */
import { nn, noGrad, optim, type Tensor, tensor } from 'shoal';
import { type Columns, type Dataset, idx, parallelize, task } from 'shoal/data';
import { callArrays } from 'shoal/kernels';
import { lenet5 } from 'shoal/models';
import { Linear, Module } from 'shoal/nn';
import { sgd } from 'shoal/optim';
import { type TrainEvent, Trainer, threads } from 'shoal/train';

export class Net extends Module {
  readonly layer = new Linear(2, 1);
  override forward(x: Tensor): Tensor {
    return this.layer.forward(x).tanh();
  }
}

export const loss: Tensor = noGrad(() => new Net().forward(tensor([[1, 2]])).mean());
export const words: Dataset<number> = parallelize(['a', 'bc']).map((word) => word.length);
export const files: Dataset<{ image: Uint8Array; label: number }> = idx({ image: 'a', label: 'b' });
export const tasks = [task('file:///a.js', 'f'), callArrays];

export async function train(onEvent: (event: TrainEvent) => void): Promise<string> {
  const engine = threads({ workers: 2 });
  const prepare = ({ count }: Columns) => ({ input: { data: new Float32Array(count), shape: [count] } });
  const trainer = new Trainer({
    model: lenet5(),
    loss: new nn.CrossEntropyLoss(),
    optimizer: sgd({ lr: 1 }),
    engine,
    prepare,
  });
  for await (const event of trainer.fit(files, { epochs: 1 })) {
    onEvent(event);
    if (event.event === 'done') return event.weightsSha256;
  }
  // @ts-expect-error: an optimizer spec is needed
  new Trainer({ model: lenet5(), loss: new nn.CrossEntropyLoss(), optimizer: 3, engine });
  return String(optim.sgd({ lr: 1 }).lr);
}
