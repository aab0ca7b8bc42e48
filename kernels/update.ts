/** @file Fused optimizer updates on flat slices: one pass over weights, gradients and state. */
import { anyAlignment, defineKernel, flag, input, of, output, type Round, scalar, size } from './define.ts';

type Floats = Float32Array | Float64Array;

/** A state buffer that the configuration may do without. */
function optionalState<const K extends 'input' | 'output', const N extends string>(kind: K, name: N, doc: string) {
  return { name, kind, type: 'float', length: of('length'), optional: true, doc } as const;
}

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
    optionalState('input', 'momentumBuffer', 'state; absent means first step'),
    output('weightOut', of('length'), 'new weights'),
    optionalState('output', 'momentumOut', 'new state; absent means no momentum'),
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

/**
 * old + share * (next - old), from the end that is nearer: PyTorch's lerp, which forgets everything old at share 1. `rest` is 1 - share, passed
 * because 1 - 0.999 in float32 is 0.00099998713.
 */
function lerp(round: Round, old: number, next: number, share: number, rest: number): number {
  const difference = round(next - old);
  return share < 0.5 ? round(old + round(share * difference)) : round(next - round(rest * difference));
}

/** rest * old + (share * g) * g. */
function meanOfSquares(round: Round, old: number, g: number, share: number, rest: number): number {
  return round(round(rest * old) + round(round(share * g) * g));
}

const lerpOrder =
  'The mean is mean + share (g - mean) where share < 0.5, else g - rest (g - mean); the mean of squares is rest * square + (share * g) * g.';

/**
 * One step of Adam or AdamW, from one slot to another (or in place). Bias corrections come as numbers, so that the kernel needs no power:
 * with t = 1, 2, ... counting steps, stepSize = lr / (1 - beta1^t) and correctionRoot = sqrt(1 - beta2^t). Epsilon stands outside both roots, as in
 * PyTorch: sqrt(v) / correctionRoot + epsilon.
 *
 * @see https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html
 * @see https://docs.pytorch.org/docs/stable/generated/torch.optim.AdamW.html
 */
export const adam_f32 = defineKernel({
  name: 'adam_f32',
  summary:
    'g = gradient + (decoupled ? 0 : weightDecay * weight); m = beta1 * mean + share1 * g; v = beta2 * square + share2 * g^2; ' +
    'weightOut = weight * (decoupled ? 1 - weightDecay : 1) - stepSize * m / (sqrt(v) / correctionRoot + epsilon)',
  parameters: [
    input('weight', of('length'), 'weights'),
    input('gradient', of('length'), 'gradient of the loss'),
    input('mean', of('length'), 'state: running mean of gradients, 0 before the first step'),
    input('square', of('length'), 'state: running mean of squared gradients, 0 before the first step'),
    output('weightOut', of('length'), 'new weights'),
    output('meanOut', of('length'), 'new mean'),
    output('squareOut', of('length'), 'new mean of squares'),
    size('length', 'number of weights'),
    scalar('stepSize', 'learning rate divided by 1 - beta1^t'),
    scalar('beta1', 'what the mean keeps'),
    scalar('share1', '1 - beta1'),
    scalar('beta2', 'what the mean of squares keeps'),
    scalar('share2', '1 - beta2'),
    scalar('correctionRoot', 'square root of 1 - beta2^t'),
    scalar('epsilon', 'added to the divisor, outside the root'),
    scalar(
      'weightDecay',
      'coupled: factor of the weights that is added to the gradient; decoupled: lr times it, the share of the weights that goes',
    ),
    flag('decoupled', '1: AdamW'),
  ],
  rules: {
    order: `As written, each operation rounds once. ${lerpOrder} The step is (stepSize * m) / ((sqrt(v) / correctionRoot) + epsilon). weightDecay = 0 leaves gradient and weight untouched.`,
    aliasing: 'weightOut may be weight or gradient; meanOut may be mean; squareOut may be square.',
    alignment: anyAlignment,
    edges: 'A zero gradient on zero state at epsilon 0 gives 0 / 0, NaN. length 0 touches nothing.',
  },
  reference: (
    round: Round,
    weight: Floats,
    gradient: Floats,
    mean: Floats,
    square: Floats,
    weightOut: Floats,
    meanOut: Floats,
    squareOut: Floats,
    length: number,
    stepSize: number,
    beta1: number,
    share1: number,
    beta2: number,
    share2: number,
    correctionRoot: number,
    epsilon: number,
    weightDecay: number,
    decoupled: number,
  ) => {
    const kept = round(1 - weightDecay);
    for (let i = 0; i < length; i++) {
      let w = weight[i]!;
      let g = gradient[i]!;
      if (weightDecay !== 0 && decoupled === 0) g = round(g + round(weightDecay * w));
      if (weightDecay !== 0 && decoupled !== 0) w = round(w * kept);
      const m = lerp(round, mean[i]!, g, share1, beta1);
      const v = meanOfSquares(round, square[i]!, g, share2, beta2);
      const divisor = round(round(round(Math.sqrt(v)) / correctionRoot) + epsilon);
      weightOut[i] = w - round(round(stepSize * m) / divisor);
      meanOut[i] = m;
      squareOut[i] = v;
    }
  },
});

/**
 * One step of RMSprop, from one slot to another (or in place). Epsilon stands outside the root, as in PyTorch (TensorFlow has it inside).
 *
 * @see https://docs.pytorch.org/docs/stable/generated/torch.optim.RMSprop.html
 */
export const rmsprop_f32 = defineKernel({
  name: 'rmsprop_f32',
  summary:
    'g = gradient + weightDecay * weight; v = alpha * square + share * g^2; m = alpha * mean + share * g (centered); ' +
    'd = g / (sqrt(v - (centered ? m^2 : 0)) + epsilon); b = momentum * momentumBuffer + d; weightOut = weight - lr * (momentumOut ? b : d)',
  parameters: [
    input('weight', of('length'), 'weights'),
    input('gradient', of('length'), 'gradient of the loss'),
    input('square', of('length'), 'state: running mean of squared gradients, 0 before the first step'),
    optionalState('input', 'mean', 'state: running mean of gradients; absent means zeros'),
    optionalState('input', 'momentumBuffer', 'state: running sum of steps; absent means zeros'),
    output('weightOut', of('length'), 'new weights'),
    output('squareOut', of('length'), 'new mean of squares'),
    optionalState('output', 'meanOut', 'new mean; absent means not centered'),
    optionalState('output', 'momentumOut', 'new sum of steps; absent means no momentum'),
    size('length', 'number of weights'),
    scalar('lr', 'learning rate'),
    scalar('alpha', 'what the means keep'),
    scalar('share', '1 - alpha'),
    scalar('epsilon', 'added to the divisor, outside the root'),
    scalar('weightDecay', 'factor of the weights that is added to the gradient; 0 adds nothing'),
    scalar('momentum', 'factor of the momentum buffer'),
  ],
  rules: {
    order: `As written, each operation rounds once. ${lerpOrder} Without momentum the step is (lr * g) / divisor, with it lr * b.`,
    aliasing: 'weightOut may be weight or gradient; squareOut may be square, meanOut mean, momentumOut momentumBuffer.',
    alignment: anyAlignment,
    edges:
      'Centered, rounding can make v - m^2 negative where all gradients were equal and the root NaN, as in PyTorch. length 0 touches nothing.',
  },
  reference: (
    round: Round,
    weight: Floats,
    gradient: Floats,
    square: Floats,
    mean: Floats,
    momentumBuffer: Floats,
    weightOut: Floats,
    squareOut: Floats,
    meanOut: Floats,
    momentumOut: Floats,
    length: number,
    lr: number,
    alpha: number,
    share: number,
    epsilon: number,
    weightDecay: number,
    momentum: number,
  ) => {
    for (let i = 0; i < length; i++) {
      const w = weight[i]!;
      let g = gradient[i]!;
      if (weightDecay !== 0) g = round(g + round(weightDecay * w));
      const v = meanOfSquares(round, square[i]!, g, share, alpha);
      let spread = v;
      if (meanOut.length > 0) {
        const m = lerp(round, mean[i] ?? 0, g, share, alpha);
        spread = round(v - round(m * m));
        meanOut[i] = m;
      }
      const divisor = round(round(Math.sqrt(spread)) + epsilon);
      if (momentumOut.length > 0) {
        const buffer = round(round(momentum * (momentumBuffer[i] ?? 0)) + round(g / divisor));
        weightOut[i] = w - round(lr * buffer);
        momentumOut[i] = buffer;
      } else {
        weightOut[i] = w - round(round(lr * g) / divisor);
      }
      squareOut[i] = v;
    }
  },
});

/**
 * One step of Adagrad, from one slot to another (or in place). Epsilon stands outside the root. The decay of the learning rate is the caller's:
 * lr / (1 + (t - 1) * lrDecay) for t = 1, 2, ...
 *
 * @see https://docs.pytorch.org/docs/stable/generated/torch.optim.Adagrad.html
 */
export const adagrad_f32 = defineKernel({
  name: 'adagrad_f32',
  summary:
    'g = gradient + weightDecay * weight; sumOut = sum + initial + g^2; weightOut = weight - lr * g / (sqrt(sumOut) + epsilon)',
  parameters: [
    input('weight', of('length'), 'weights'),
    input('gradient', of('length'), 'gradient of the loss'),
    input('sum', of('length'), 'state: sum of squared gradients, 0 before the first step'),
    output('weightOut', of('length'), 'new weights'),
    output('sumOut', of('length'), 'new sum'),
    size('length', 'number of weights'),
    scalar('lr', 'learning rate of this step'),
    scalar('epsilon', 'added to the divisor, outside the root'),
    scalar('weightDecay', 'factor of the weights that is added to the gradient; 0 adds nothing'),
    scalar('initial', 'on the first step what the sum starts from, then 0'),
  ],
  rules: {
    order: 'As written, each operation rounds once: (sum + initial) + g * g; the step is (lr * g) / divisor.',
    aliasing: 'weightOut may be weight or gradient; sumOut may be sum.',
    alignment: anyAlignment,
    edges: 'A zero gradient on a zero sum at epsilon 0 gives 0 / 0, NaN. length 0 touches nothing.',
  },
  reference: (
    round: Round,
    weight: Floats,
    gradient: Floats,
    sum: Floats,
    weightOut: Floats,
    sumOut: Floats,
    length: number,
    lr: number,
    epsilon: number,
    weightDecay: number,
    initial: number,
  ) => {
    for (let i = 0; i < length; i++) {
      const w = weight[i]!;
      let g = gradient[i]!;
      if (weightDecay !== 0) g = round(g + round(weightDecay * w));
      const s = round(round(sum[i]! + initial) + round(g * g));
      weightOut[i] = w - round(round(lr * g) / round(round(Math.sqrt(s)) + epsilon));
      sumOut[i] = s;
    }
  },
});

/** A table of parameters or state that is changed in place, row by row. */
function tableOf<const N extends string>(name: N, doc: string) {
  return { name, kind: 'inout', type: 'float', length: of('tableRows', 'columns'), doc } as const;
}

/**
 * One step of Adam on some rows of a table, in place: PyTorch's SparseAdam. Rows without a gradient keep weight and state as they are, so their
 * moments do not decay. The caller adds up the gradients of a repeated row before.
 *
 * @see https://docs.pytorch.org/docs/stable/generated/torch.optim.SparseAdam.html
 */
export const adam_rows_f32 = defineKernel({
  name: 'adam_rows_f32',
  summary:
    'for row r = rows[k], g = gradient[k]: mean[r] += (g - mean[r]) * share1; square[r] += (g^2 - square[r]) * share2; ' +
    'weight[r] -= stepSize * (mean[r] / (sqrt(square[r]) + epsilon))',
  parameters: [
    tableOf('weight', '[tableRows, columns], weights'),
    { name: 'rows', kind: 'input', type: 'i32', length: of('count'), doc: '[count], which rows; all different' },
    input('gradient', of('count', 'columns'), '[count, columns], gradient of those rows'),
    tableOf('mean', '[tableRows, columns], state: running mean of gradients'),
    tableOf('square', '[tableRows, columns], state: running mean of squared gradients'),
    size('tableRows', 'rows of the table'),
    size('count', 'number of rows with a gradient'),
    size('columns', 'elements of a row'),
    scalar('stepSize', 'lr * sqrt(1 - beta2^t) / (1 - beta1^t) for step t = 1, 2, ...'),
    scalar('share1', '1 - beta1'),
    scalar('share2', '1 - beta2'),
    scalar('epsilon', 'added to the divisor, outside the root'),
  ],
  rules: {
    order: 'As written, each operation rounds once; rows in order of k.',
    aliasing: 'none.',
    alignment: anyAlignment,
    edges: 'A row outside 0 .. tableRows - 1 is left out. count 0 touches nothing.',
  },
  reference: (
    round: Round,
    weight: Floats,
    rows: Int32Array,
    gradient: Floats,
    mean: Floats,
    square: Floats,
    tableRows: number,
    count: number,
    columns: number,
    stepSize: number,
    share1: number,
    share2: number,
    epsilon: number,
  ) => {
    for (let k = 0; k < count; k++) {
      const row = rows[k]!;
      if (row < 0 || row >= tableRows) continue;
      for (let c = 0; c < columns; c++) {
        const at = row * columns + c;
        const g = gradient[k * columns + c]!;
        const m = round(mean[at]! + round(round(g - mean[at]!) * share1));
        const v = round(square[at]! + round(round(round(g * g) - square[at]!) * share2));
        const divisor = round(round(Math.sqrt(v)) + epsilon);
        weight[at] = round(weight[at]! - round(stepSize * round(m / divisor)));
        mean[at] = m;
        square[at] = v;
      }
    }
  },
});
