/** A user's own module, which workers build from its URL. */
import { Tensor } from 'shoal';
import * as nn from 'shoal/nn';

/** By `import.meta.url`: the file that this class is in. */
export class Net extends nn.Module {
  readonly hidden: nn.Linear;
  readonly output = new nn.Linear(4, 2);

  constructor({ inputs }: { readonly inputs: number }) {
    super();
    this.hidden = new nn.Linear(inputs, 4);
  }

  override forward(x: Tensor): Tensor {
    if (!(x instanceof Tensor) || !(this.hidden.weight instanceof Tensor)) throw new Error('two Tensor classes');
    return this.output.forward(this.hidden.forward(x).tanh());
  }

  override toSpec(): nn.ModuleSpec {
    return { module: import.meta.url, export: 'Net', args: { inputs: 2 } };
  }
}

/** By the name of the file beside the main program: a bundler's entry. */
export class NetByFile extends Net {
  override toSpec(): nn.ModuleSpec {
    const file = import.meta.url.endsWith('ts') ? 'net.ts' : 'net.js';
    return { module: new URL(file, import.meta.url).href, export: 'NetByFile', args: { inputs: 2 } };
  }
}
