/**
 * @file Softmax, log-softmax, negative log-likelihood, the two fused to cross-entropy, and their gradients, on contiguous [rows, columns] with the
 * classes in the columns. Losses come as a sum and a count, so that masks and uneven shares of a batch combine exactly.
 *
 * A target outside 0 .. columns - 1 that is not `ignoreIndex` makes its row's loss and gradient NaN; callers check targets before.
 */
import { anyAlignment, defineKernel, flag, input, of, output, type Round, scratch, size } from './define.ts';
import { exp32, log32 } from './f32-math.ts';
import { exp64, log64 } from './f64-math.ts';
import { arrayLike, maxRow, rowOrder, sumRow } from './row.ts';

type Floats = Float32Array | Float64Array;

const one = of();
const matrix = of('rows', 'columns');
const rows = size('rows', 'number of rows');
const columns = size('columns', 'number of classes');
const ignoreIndex = flag('ignoreIndex', 'rows with this target count for nothing (-100 in PyTorch)');
const targets = {
  name: 'targets',
  kind: 'input',
  type: 'i32',
  length: of('rows'),
  doc: '[rows], class of each row',
} as const;

/** Bytes of partial sums: 32 levels of pairing. */
const treeBytes = 128;
const scratchRow = scratch('workspace', (sizes) => treeBytes + 4 * sizes.columns!, 'partial sums and one row');
const scratchLosses = scratch(
  'workspace',
  (sizes) => treeBytes + 4 * sizes.rows!,
  'partial sums and the loss of each row',
);

const expOf = (round: Round): ((x: number) => number) => (round === Math.fround ? exp32 : exp64);
const logOf = (round: Round): ((x: number) => number) => (round === Math.fround ? log32 : log64);

/** y = exp(x - max) / sum of exp(x - max), per row. */
export const softmax_f32 = defineKernel({
  name: 'softmax_f32',
  summary: 'y[r, c] = exp(d[c]) / sum of exp(d), d = x[r] - max x[r]',
  parameters: [
    input('x', matrix, 'logits'),
    output('y', matrix, 'probabilities'),
    rows,
    columns,
    scratch('workspace', () => treeBytes, 'partial sums'),
  ],
  rules: {
    order: `d = x - max; e = exp(d) as exp_f32; s = sum of e; y = e * (1 / s). Sum: ${rowOrder}`,
    aliasing: 'y may be x.',
    alignment: anyAlignment,
    edges: 'A row with NaN or inf, or of -inf only, gives NaN throughout, as in PyTorch. columns 0 touches nothing.',
  },
  reference: (round: Round, x: Floats, y: Floats, rowCount: number, columnCount: number) => {
    const exp = expOf(round);
    for (let start = 0; columnCount > 0 && start < rowCount * columnCount; start += columnCount) {
      const max = maxRow(x, start, columnCount);
      for (let i = start; i < start + columnCount; i++) y[i] = exp(round(x[i]! - max));
      const total = sumRow(round, y, start, columnCount);
      const factor = round(1 / total);
      for (let i = start; i < start + columnCount; i++) y[i] = y[i]! * factor;
    }
  },
});

/** gradX = y * (gradY - sum of gradY * y), per row. */
export const softmax_f32_gradient = defineKernel({
  name: 'softmax_f32_gradient',
  summary: 'gradX[r, c] = y[r, c] * (gradY[r, c] - sum of gradY[r] * y[r])',
  parameters: [
    input('gradY', matrix, 'gradient of y'),
    input('y', matrix, 'result of softmax_f32'),
    output('gradX', matrix, 'gradient of x'),
    rows,
    columns,
    scratch('workspace', () => treeBytes, 'partial sums'),
  ],
  rules: {
    order: `s = sum of gradY * y; gradX = y * (gradY - s). Sum: ${rowOrder}`,
    aliasing: 'gradX may be gradY or y.',
    alignment: anyAlignment,
    edges: 'columns 0 touches nothing.',
  },
  reference: (round: Round, gradY: Floats, y: Floats, gradX: Floats, rowCount: number, columnCount: number) => {
    const products = arrayLike(y, columnCount);
    for (let start = 0; columnCount > 0 && start < rowCount * columnCount; start += columnCount) {
      for (let c = 0; c < columnCount; c++) products[c] = gradY[start + c]! * y[start + c]!;
      const sum = sumRow(round, products, 0, columnCount);
      for (let i = start; i < start + columnCount; i++) gradX[i] = y[i]! * round(gradY[i]! - sum);
    }
  },
});

/** y = x - max - log(sum of exp(x - max)), per row. */
export const log_softmax_f32 = defineKernel({
  name: 'log_softmax_f32',
  summary: 'y[r, c] = d[c] - log(sum of exp(d)), d = x[r] - max x[r]',
  parameters: [
    input('x', matrix, 'logits'),
    output('y', matrix, 'logarithms of probabilities'),
    rows,
    columns,
    scratchRow,
  ],
  rules: {
    order: `d = x - max; e = exp(d) as exp_f32; s = sum of e; y = d - log(s) as log_f32. Sum: ${rowOrder}`,
    aliasing: 'y may be x.',
    alignment: anyAlignment,
    edges: 'A row with NaN or inf, or of -inf only, gives NaN throughout, as in PyTorch. columns 0 touches nothing.',
  },
  reference: (round: Round, x: Floats, y: Floats, rowCount: number, columnCount: number) => {
    const [exp, log] = [expOf(round), logOf(round)];
    const e = arrayLike(x, columnCount);
    for (let start = 0; columnCount > 0 && start < rowCount * columnCount; start += columnCount) {
      const max = maxRow(x, start, columnCount);
      for (let c = 0; c < columnCount; c++) {
        y[start + c] = x[start + c]! - max;
        e[c] = exp(y[start + c]!);
      }
      const logSum = round(log(sumRow(round, e, 0, columnCount)));
      for (let c = 0; c < columnCount; c++) y[start + c] = y[start + c]! - logSum;
    }
  },
});

/** gradX = gradY - exp(y) * (sum of gradY), per row. */
export const log_softmax_f32_gradient = defineKernel({
  name: 'log_softmax_f32_gradient',
  summary: 'gradX[r, c] = gradY[r, c] - exp(y[r, c]) * sum of gradY[r]',
  parameters: [
    input('gradY', matrix, 'gradient of y'),
    input('y', matrix, 'result of log_softmax_f32'),
    output('gradX', matrix, 'gradient of x'),
    rows,
    columns,
    scratchRow,
  ],
  rules: {
    order: `s = sum of gradY; gradX = gradY - exp(y) * s, product first. Sum: ${rowOrder}`,
    aliasing: 'gradX may be gradY or y.',
    alignment: anyAlignment,
    edges: 'columns 0 touches nothing.',
  },
  reference: (round: Round, gradY: Floats, y: Floats, gradX: Floats, rowCount: number, columnCount: number) => {
    const exp = expOf(round);
    for (let start = 0; columnCount > 0 && start < rowCount * columnCount; start += columnCount) {
      const sum = sumRow(round, gradY, start, columnCount);
      for (let i = start; i < start + columnCount; i++) gradX[i] = gradY[i]! - round(exp(y[i]!) * sum);
    }
  },
});

const lossEdges = 'An ignored row counts 0; a target outside the classes gives NaN. rows 0 gives sum 0 and count 0.';

/** sum = -sum over rows of logProbabilities[r, targets[r]]; count = rows that are not ignored. */
export const nll_f32 = defineKernel({
  name: 'nll_f32',
  summary: 'sum = -sum over r of logProbabilities[r, targets[r]], count = rows not ignored',
  parameters: [
    input('logProbabilities', matrix, 'logarithms of probabilities'),
    targets,
    output('sum', one, '[1], summed loss'),
    output('count', one, '[1], number of rows that count'),
    rows,
    columns,
    ignoreIndex,
    scratchLosses,
  ],
  rules: {
    order: `The loss of an ignored row is +0. Sum over rows: ${rowOrder}`,
    aliasing: 'none.',
    alignment: anyAlignment,
    edges: lossEdges,
  },
  reference: (
    round: Round,
    logProbabilities: Floats,
    target: Int32Array,
    sum: Floats,
    count: Floats,
    rowCount: number,
    columnCount: number,
    ignored: number,
  ) => {
    const losses = arrayLike(logProbabilities, rowCount);
    let counted = 0;
    for (let r = 0; r < rowCount; r++) {
      const t = target[r]!;
      if (t === ignored) continue;
      losses[r] = t >= 0 && t < columnCount ? -logProbabilities[r * columnCount + t]! : Number.NaN;
      counted += 1;
    }
    sum[0] = sumRow(round, losses, 0, rowCount);
    count[0] = counted;
  },
});

/** gradX[r, c] = -gradSum where c is the row's target, else 0. */
export const nll_f32_gradient = defineKernel({
  name: 'nll_f32_gradient',
  summary: 'gradX[r, c] = c = targets[r] ? -gradSum : 0',
  parameters: [
    input('gradSum', one, '[1], gradient of the summed loss'),
    targets,
    output('gradX', matrix, 'gradient of logProbabilities'),
    rows,
    columns,
    ignoreIndex,
  ],
  rules: {
    order: 'Exact.',
    aliasing: 'none.',
    alignment: anyAlignment,
    edges: 'An ignored row is 0; a target outside the classes makes its row NaN.',
  },
  reference: (
    _round: Round,
    gradSum: Floats,
    target: Int32Array,
    gradX: Floats,
    rowCount: number,
    columnCount: number,
    ignored: number,
  ) => {
    for (let r = 0; r < rowCount; r++) {
      const t = target[r]!;
      const inside = t >= 0 && t < columnCount;
      gradX.fill(inside || t === ignored ? 0 : Number.NaN, r * columnCount, (r + 1) * columnCount);
      if (inside && t !== ignored) gradX[r * columnCount + t] = -gradSum[0]!;
    }
  },
});

/** Cross-entropy of logits: log_softmax and nll in one pass, leaving the probabilities for the gradient. */
export const cross_entropy_f32 = defineKernel({
  name: 'cross_entropy_f32',
  summary:
    'sum = sum over r of log(sum of exp(d)) - d[targets[r]], d = x[r] - max x[r]; probabilities = softmax; count = rows not ignored',
  parameters: [
    input('logits', matrix, 'scores'),
    targets,
    output('probabilities', matrix, 'softmax of the logits, for the gradient'),
    output('sum', one, '[1], summed loss'),
    output('count', one, '[1], number of rows that count'),
    rows,
    columns,
    ignoreIndex,
    scratchLosses,
  ],
  rules: {
    order: `d = x - max; e = exp(d); s = sum of e; probabilities = e * (1 / s); loss of the row = log(s) - d[target], of an ignored row +0. Sums: ${rowOrder}`,
    aliasing: 'probabilities may be logits.',
    alignment: anyAlignment,
    edges: `${lossEdges} Rows with NaN or inf as in log_softmax_f32.`,
  },
  reference: (
    round: Round,
    logits: Floats,
    target: Int32Array,
    probabilities: Floats,
    sum: Floats,
    count: Floats,
    rowCount: number,
    columnCount: number,
    ignored: number,
  ) => {
    const [exp, log] = [expOf(round), logOf(round)];
    const losses = arrayLike(logits, rowCount);
    let counted = 0;
    for (let r = 0; r < rowCount; r++) {
      const start = r * columnCount;
      const t = target[r]!;
      let loss = Number.NaN;
      if (columnCount > 0) {
        const max = maxRow(logits, start, columnCount);
        const chosen = t >= 0 && t < columnCount ? round(logits[start + t]! - max) : Number.NaN;
        for (let i = start; i < start + columnCount; i++) probabilities[i] = exp(round(logits[i]! - max));
        const total = sumRow(round, probabilities, start, columnCount);
        const factor = round(1 / total);
        for (let i = start; i < start + columnCount; i++) probabilities[i] = probabilities[i]! * factor;
        loss = log(total) - chosen;
      }
      losses[r] = t === ignored ? 0 : loss;
      counted += t === ignored ? 0 : 1;
    }
    sum[0] = sumRow(round, losses, 0, rowCount);
    count[0] = counted;
  },
});

/** gradLogits[r, c] = (probabilities[r, c] - [c = targets[r]]) * gradSum; ignored rows are 0. */
export const cross_entropy_f32_gradient = defineKernel({
  name: 'cross_entropy_f32_gradient',
  summary: 'gradLogits[r, c] = (probabilities[r, c] - (c = targets[r])) * gradSum',
  parameters: [
    input('gradSum', one, '[1], gradient of the summed loss'),
    input('probabilities', matrix, 'as cross_entropy_f32 left them'),
    targets,
    output('gradLogits', matrix, 'gradient of the logits'),
    rows,
    columns,
    ignoreIndex,
  ],
  rules: {
    order: 'p * gradSum, and (p - 1) * gradSum at the target.',
    aliasing: 'gradLogits may be probabilities.',
    alignment: anyAlignment,
    edges: 'An ignored row is 0; a target outside the classes makes its row NaN.',
  },
  reference: (
    round: Round,
    gradSum: Floats,
    probabilities: Floats,
    target: Int32Array,
    gradLogits: Floats,
    rowCount: number,
    columnCount: number,
    ignored: number,
  ) => {
    const factor = gradSum[0]!;
    for (let r = 0; r < rowCount; r++) {
      const start = r * columnCount;
      const t = target[r]!;
      for (let c = 0; c < columnCount; c++) {
        const p = probabilities[start + c]!;
        if (t === ignored) gradLogits[start + c] = 0;
        else if (!(t >= 0 && t < columnCount)) gradLogits[start + c] = Number.NaN;
        else gradLogits[start + c] = round(c === t ? p - 1 : p) * factor;
      }
    }
  },
});
