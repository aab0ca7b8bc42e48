/** Code that the trainer tests send to workers by URL. */
import { zeros as zeroTensor } from 'shoal';
import { Linear, Module } from 'shoal/nn';

/** A custom module: two layers with a nonlinearity of its own between them. */
export class TwoLayers extends Module {
  constructor({ inputs, hidden, outputs }) {
    super();
    this.sizes = { inputs, hidden, outputs };
    this.first = new Linear(inputs, hidden);
    this.second = new Linear(hidden, outputs);
  }

  forward(x) {
    return this.second.forward(this.first.forward(x).tanh());
  }

  toSpec() {
    return { module: import.meta.url, export: 'TwoLayers', args: this.sizes };
  }
}

export const asIs = ({ count, fields }) => ({
  input: { data: fields.x.data, shape: [count, 4] },
  target: { data: fields.y.data, shape: [count] },
});

/** A metric of the user's own: how many predictions are class 0. */
export const zeros = () => ({
  init: () => 0,
  add: (count, outputs) => {
    const values = outputs.toTypedArray();
    let zeros = 0;
    for (let row = 0; row < outputs.shape[0]; row++)
      if (values[row * 3] >= Math.max(values[row * 3 + 1], values[row * 3 + 2])) zeros++;
    return count + zeros;
  },
  merge: (a, b) => a + b,
  result: (count) => count,
});

/** Changes a buffer in its forward pass, which a Trainer cannot keep. */
export class CountsCalls extends Module {
  layer = new Linear(4, 3);
  calls = zeroTensor([1]);

  forward(x) {
    this.calls.add_(1);
    return this.layer.forward(x);
  }

  toSpec() {
    return { module: import.meta.url, export: 'CountsCalls', args: {} };
  }
}

/** Forgets an argument in its spec, so that workers build another model. */
export class Forgetful extends Module {
  constructor({ hidden = 4 }) {
    super();
    this.first = new Linear(4, hidden);
    this.second = new Linear(hidden, 3);
  }

  forward(x) {
    return this.second.forward(this.first.forward(x));
  }

  toSpec() {
    return { module: import.meta.url, export: 'Forgetful', args: {} };
  }
}
