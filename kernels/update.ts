/** @file Fused optimizer updates on flat slices: one pass over weights, gradients and state. */
import { anyAlignment, defineKernel, flag, input, of, output, type Round, scalar, size } from './define.ts';

type Floats = Float32Array | Float64Array;

/**
 * One step of SGD with momentum, dampening, Nesterov's momentum and weight decay, from one slot to another (or in place).
 *
 * @see https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html (products round before they are added; PyTorch may fuse the two)
 */
export const sgd_f32 = defineKernel({
  name: 'sgd_f32',
  summary:
    'd = gradient + weightDecay * weight; momentumOut = first ? d : momentum * momentumBuffer + (1 - dampening) * d; ' +
    'weightOut = weight - lr * (nesterov ? d + momentum * momentumOut : momentumOut)',
  parameters: [
    input('weight', of('length'), 'weights'),
    input('gradient', of('length'), 'gradient of the loss'),
    {
      name: 'momentumBuffer',
      kind: 'input',
      type: 'float',
      length: of('length'),
      optional: true,
      doc: 'state; absent means first step',
    },
    output('weightOut', of('length'), 'new weights'),
    {
      name: 'momentumOut',
      kind: 'output',
      type: 'float',
      length: of('length'),
      optional: true,
      doc: 'new state; absent means no momentum',
    },
    size('length', 'number of weights'),
    scalar('lr', 'learning rate'),
    scalar('momentum', 'factor of the state; 0 means plain SGD'),
    scalar('dampening', 'how much less of the gradient enters the state'),
    scalar('weightDecay', 'factor of the weights that is added to the gradient; 0 adds nothing'),
    flag('nesterov', "1: Nesterov's momentum"),
    flag('first', '1: the first step, on which the state is the gradient and momentumBuffer is not read'),
  ],
  rules: {
    order:
      'As written: each product, sum and difference rounds once, 1 - dampening too. weightDecay = 0 leaves the gradient untouched.',
    aliasing: 'weightOut may be weight or gradient; momentumOut may be momentumBuffer.',
    alignment: anyAlignment,
    edges: 'momentum 0: the step is d and momentumOut, if present, is d. length 0 touches nothing.',
  },
  reference: (
    round: Round,
    weight: Floats,
    gradient: Floats,
    momentumBuffer: Floats,
    weightOut: Floats,
    momentumOut: Floats,
    length: number,
    lr: number,
    momentum: number,
    dampening: number,
    weightDecay: number,
    nesterov: number,
    first: number,
  ) => {
    const usesBuffer = momentum !== 0 && momentumOut.length > 0;
    const starts = first !== 0 || momentumBuffer.length === 0;
    const share = round(1 - dampening);
    for (let i = 0; i < length; i++) {
      const w = weight[i]!;
      let d = gradient[i]!;
      if (weightDecay !== 0) d = round(d + round(weightDecay * w));
      let buffer = d;
      if (usesBuffer) {
        if (!starts) buffer = round(round(momentum * momentumBuffer[i]!) + round(share * d));
        d = nesterov === 0 ? buffer : round(d + round(momentum * buffer));
      }
      weightOut[i] = w - round(lr * d);
      if (momentumOut.length > 0) momentumOut[i] = buffer;
    }
  },
});
