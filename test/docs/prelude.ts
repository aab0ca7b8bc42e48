/**
 * @file The variables that an example may use without declaring them. An example may also use every name that `shoal`, `shoal/nn`, ... export
 * (its own entry's first), and nothing else: all the rest it declares itself. Each example gets its own instances. This is the whole list.
 */
import { manualSeed, randn, tensor } from 'shoal';
import { parallelize } from 'shoal/data';
import * as nn from 'shoal/nn';
import * as optim from 'shoal/optim';
import { inline, Trainer } from 'shoal/train';

manualSeed(0);

/** A batch: 8 records of 4 features. */
export const x = randn([8, 4]);
/** Its labels: 8 of 3 classes. */
export const y = tensor([0, 1, 2, 0, 1, 2, 0, 1], { dtype: 'int32' });
/** 8 images of one channel and 28 x 28 pixels. */
export const images = randn([8, 1, 28, 28]);
/** A network for `x` and `y`. */
export const net = new nn.Sequential(new nn.Linear(4, 8), new nn.ReLU(), new nn.Linear(8, 3));
export const loss = new nn.CrossEntropyLoss();
/** An engine without threads, so that there is nothing to close. */
export const engine = inline();
/** 32 records for `net`, in 2 partitions. */
export const dataset = parallelize(
  Array.from({ length: 32 }, (_, i) => ({ input: Float32Array.of(i % 3, i % 5, i % 7, 1), target: i % 3 })),
  { partitions: 2 },
).cache({ input: { dtype: 'float32', shape: [4] }, target: { dtype: 'int32', shape: [] } });
/** Has not trained yet. */
export const trainer = new Trainer({ model: net, loss, optimizer: optim.sgd({ lr: 0.1 }), engine });
