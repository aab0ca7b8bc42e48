/** A user's own module in a file of its own, which workers import by its URL. */
import { Tensor } from 'shoal';
import * as nn from 'shoal/nn';

export class Net extends nn.Module {
  constructor({ hidden }) {
    super();
    this.size = hidden;
    this.hidden = new nn.Linear(2, hidden);
    this.output = new nn.Linear(hidden, 2);
  }

  forward(x) {
    if (!(x instanceof Tensor) || !(this.hidden.weight instanceof Tensor)) throw new Error('two Tensor classes');
    return this.output.forward(this.hidden.forward(x).tanh());
  }

  toSpec() {
    return { module: import.meta.url, export: 'Net', args: { hidden: this.size } };
  }
}
