// Layer and batch normalisation with gradients. Contracts and canonical orders: kernels/normalize.ts.
// Scratch: 128 bytes for the tree of sumRow, then rows, each padded to whole vectors so that only operands need parts.
import { sumRow, sumSquaredRow, sumTimesNormalRow } from './row';
import { loadPart, loadSome, storeSome, touch } from './vector';

const TREE_BYTES: usize = 128;
/** Rows that are added one after the other before the sums are paired, as in reduce.ts. */
const COLUMN_BLOCK: i32 = 64;

// @ts-ignore: decorator
@inline
function paddedBytes(length: i32): usize {
  return (<usize>(length + 3) & ~3) << 2;
}

/** Lanes that exist at element i of `length`: 0 for all four. */
// @ts-ignore: decorator
@inline
function partAt(i: i32, length: i32): i32 {
  return length - i < 4 ? length - i : 0;
}

// @ts-ignore: decorator
@inline
function rstdOf(variance: f32, epsilon: f32): f32 {
  return <f32>1 / sqrt<f32>(variance + epsilon);
}

// @ts-ignore: decorator
@inline
function layerNorm4(scales: bool, shifts: bool, x: v128, weight: v128, bias: v128, mean: v128, rstd: v128): v128 {
  let v = f32x4.mul(f32x4.sub(x, mean), rstd);
  if (scales) v = f32x4.mul(v, weight);
  if (shifts) v = f32x4.add(v, bias);
  return v;
}

/** One row. `next`: where the next one will be read. */
// @ts-ignore: decorator
@inline
function layerNormRow(
  scales: bool, shifts: bool, x: usize, weight: usize, bias: usize, y: usize, columns: i32, mean: v128, rstd: v128, next: usize,
): void {
  const end = x + ((<usize>columns) << 2);
  for (; x + 64 <= end; x += 64, y += 64, next += 64) {
    touch(next);
    v128.store(y, layerNorm4(scales, shifts, v128.load(x), scales ? v128.load(weight) : mean, shifts ? v128.load(bias) : mean, mean, rstd));
    v128.store(y, layerNorm4(scales, shifts, v128.load(x, 16), scales ? v128.load(weight, 16) : mean, shifts ? v128.load(bias, 16) : mean, mean, rstd), 16);
    v128.store(y, layerNorm4(scales, shifts, v128.load(x, 32), scales ? v128.load(weight, 32) : mean, shifts ? v128.load(bias, 32) : mean, mean, rstd), 32);
    v128.store(y, layerNorm4(scales, shifts, v128.load(x, 48), scales ? v128.load(weight, 48) : mean, shifts ? v128.load(bias, 48) : mean, mean, rstd), 48);
    if (scales) weight += 64;
    if (shifts) bias += 64;
  }
  for (; x < end; x += 16, weight += 16, bias += 16, y += 16) {
    const left = <i32>(end - x) >> 2, part = left < 4 ? left : 0;
    const w = scales ? loadSome(weight, part) : mean, b = shifts ? loadSome(bias, part) : mean;
    storeSome(y, layerNorm4(scales, shifts, loadSome(x, part), w, b, mean, rstd), part);
  }
}

export function layer_norm_f32(
  x: usize, weight: usize, bias: usize, y: usize, mean: usize, rstd: usize, rows: i32, columns: i32, epsilon: f32, scratch: usize,
): void {
  for (let row = 0; row < rows; row++) {
    const m = sumRow(x, columns, scratch) / <f32>columns;
    const r = rstdOf(sumSquaredRow(x, m, columns, scratch) / <f32>columns, epsilon);
    const m4 = f32x4.splat(m), r4 = f32x4.splat(r);
    const next = row + 1 < rows ? x + ((<usize>columns) << 2) : x;
    if (weight && bias) layerNormRow(true, true, x, weight, bias, y, columns, m4, r4, next);
    else if (weight) layerNormRow(true, false, x, weight, bias, y, columns, m4, r4, next);
    else if (bias) layerNormRow(false, true, x, weight, bias, y, columns, m4, r4, next);
    else layerNormRow(false, false, x, weight, bias, y, columns, m4, r4, next);
    if (mean) store<f32>(mean + ((<usize>row) << 2), m);
    if (rstd) store<f32>(rstd + ((<usize>row) << 2), r);
    x += (<usize>columns) << 2;
    y += (<usize>columns) << 2;
  }
}

/** Enters the sums of a block of rows into the pairing: level k of `levels` holds sums of 2^k blocks. The sums become 0. */
function endBlock(sums: usize, levels: usize, rowBytes: usize, block: i32): void {
  for (let at: usize = 0; at < rowBytes; at += 16) {
    let sum = v128.load(sums + at);
    let level = levels + at;
    for (let bits = block; bits & 1; bits >>= 1) {
      sum = f32x4.add(v128.load(level), sum);
      level += rowBytes;
    }
    v128.store(level, sum);
    v128.store(sums + at, f32x4.splat(0));
  }
}

/** The totals of `blocks` paired blocks. */
function endColumns(levels: usize, y: usize, columns: i32, rowBytes: usize, blocks: i32): void {
  for (let i = 0; i < columns; i += 4) {
    const at = (<usize>i) << 2;
    let total = f32x4.splat(0);
    let started = false;
    let level = levels + at;
    for (let bits = blocks; bits; bits >>= 1) {
      if (bits & 1) {
        total = started ? f32x4.add(v128.load(level), total) : v128.load(level);
        started = true;
      }
      level += rowBytes;
    }
    storeSome(y + at, total, partAt(i, columns));
  }
}

/** First pass of a row: g = gradY * weight, products = g * n, and the row's share of the column sums. */
// @ts-ignore: decorator
@inline
function layerProductsAt(
  gradY: usize, x: usize, weight: usize, scaled: usize, products: usize, weightSums: usize, biasSums: usize, sumsWeight: bool, sumsBias: bool,
  at: usize, part: i32, mean: v128, rstd: v128,
): void {
  const d = loadSome(gradY + at, part);
  const normal = f32x4.mul(f32x4.sub(loadSome(x + at, part), mean), rstd);
  const g = weight ? f32x4.mul(d, loadSome(weight + at, part)) : d;
  v128.store(scaled + at, g);
  v128.store(products + at, f32x4.mul(g, normal));
  if (sumsWeight) v128.store(weightSums + at, f32x4.add(v128.load(weightSums + at), f32x4.mul(d, normal)));
  if (sumsBias) v128.store(biasSums + at, f32x4.add(v128.load(biasSums + at), d));
}

/** Second pass: gradX = ((g - a) - n * b) * rstd. */
// @ts-ignore: decorator
@inline
function layerGradientAt(x: usize, scaled: usize, gradX: usize, at: usize, part: i32, mean: v128, rstd: v128, a: v128, b: v128): void {
  const normal = f32x4.mul(f32x4.sub(loadSome(x + at, part), mean), rstd);
  const v = f32x4.sub(f32x4.sub(v128.load(scaled + at), a), f32x4.mul(normal, b));
  storeSome(gradX + at, f32x4.mul(v, rstd), part);
}

export function layer_norm_f32_gradient(
  gradY: usize, x: usize, weight: usize, mean: usize, rstd: usize, gradX: usize, gradWeight: usize, gradBias: usize,
  rows: i32, columns: i32, scratch: usize,
): void {
  const rowBytes = paddedBytes(columns);
  const scaled = scratch + TREE_BYTES, products = scaled + rowBytes;
  const weightSums = products + rowBytes, biasSums = weightSums + rowBytes, weightLevels = biasSums + rowBytes;
  const biasLevels = weightLevels + rowBytes * (32 - clz((rows + COLUMN_BLOCK - 1) / COLUMN_BLOCK));
  for (let at: usize = 0; at < rowBytes; at += 16) {
    v128.store(weightSums + at, f32x4.splat(0));
    v128.store(biasSums + at, f32x4.splat(0));
  }
  const whole = (<usize>(columns & ~3)) << 2;
  const part = columns & 3;
  const sumsWeight = gradWeight != 0, sumsBias = gradBias != 0;
  let block = 0;
  for (let row = 0; row < rows; row++) {
    const m = v128.load32_splat(mean + ((<usize>row) << 2)), r = v128.load32_splat(rstd + ((<usize>row) << 2));
    for (let at: usize = 0; at < whole; at += 16) {
      layerProductsAt(gradY, x, weight, scaled, products, weightSums, biasSums, sumsWeight, sumsBias, at, 0, m, r);
    }
    if (part) layerProductsAt(gradY, x, weight, scaled, products, weightSums, biasSums, sumsWeight, sumsBias, whole, part, m, r);
    const a = f32x4.splat(sumRow(scaled, columns, scratch) / <f32>columns);
    const b = f32x4.splat(sumRow(products, columns, scratch) / <f32>columns);
    for (let at: usize = 0; at < whole; at += 16) layerGradientAt(x, scaled, gradX, at, 0, m, r, a, b);
    if (part) layerGradientAt(x, scaled, gradX, whole, part, m, r, a, b);
    if ((row + 1) % COLUMN_BLOCK == 0 || row + 1 == rows) {
      if (gradWeight) endBlock(weightSums, weightLevels, rowBytes, block);
      if (gradBias) endBlock(biasSums, biasLevels, rowBytes, block);
      block++;
    }
    gradY += (<usize>columns) << 2;
    x += (<usize>columns) << 2;
    gradX += (<usize>columns) << 2;
  }
  if (gradWeight) endColumns(weightLevels, gradWeight, columns, rowBytes, block);
  if (gradBias) endColumns(biasLevels, gradBias, columns, rowBytes, block);
}

// @ts-ignore: decorator
@inline
function normalizeAt(x: usize, y: usize, part: i32, m: v128, r: v128, scales: bool, w: v128, shifts: bool, b: v128): void {
  let v = f32x4.mul(f32x4.sub(loadSome(x, part), m), r);
  if (scales) v = f32x4.mul(v, w);
  if (shifts) v = f32x4.add(v, b);
  storeSome(y, v, part);
}

/** y = (x - mean) * rstd * weight + bias on one plane; `scales` and `shifts` say whether there are weight and bias. */
// @ts-ignore: decorator
@inline
function normalizePlane(
  scales: bool, shifts: bool, x: usize, y: usize, inner: i32, m: v128, r: v128, w: v128, b: v128,
): void {
  const end = x + ((<usize>inner) << 2);
  for (; x + 32 <= end; x += 32, y += 32) {
    normalizeAt(x, y, 0, m, r, scales, w, shifts, b);
    normalizeAt(x + 16, y + 16, 0, m, r, scales, w, shifts, b);
  }
  if (x + 16 <= end) {
    normalizeAt(x, y, 0, m, r, scales, w, shifts, b);
    x += 16;
    y += 16;
  }
  const part = <i32>(end - x) >> 2;
  if (part) normalizeAt(x, y, part, m, r, scales, w, shifts, b);
}

// @ts-ignore: decorator
@inline
function normalizeChannel(
  x: usize, y: usize, channel: usize, weight: usize, bias: usize, images: i32, inner: i32, imageBytes: usize, mean: f32, rstd: f32,
): void {
  const w = f32x4.splat(weight ? load<f32>(weight + channel) : 1), b = f32x4.splat(bias ? load<f32>(bias + channel) : 0);
  const m = f32x4.splat(mean), r = f32x4.splat(rstd);
  for (let image = 0; image < images; image++) {
    const at = <usize>image * imageBytes;
    if (weight && bias) normalizePlane(true, true, x + at, y + at, inner, m, r, w, b);
    else normalizePlane(weight != 0, bias != 0, x + at, y + at, inner, m, r, w, b);
  }
}

/** What is summed over the rows of [images, channels] (planes of one element). */
const PLAIN: i32 = 0;
const SQUARED: i32 = 1;
const TIMES_NORMAL: i32 = 2;

/** The term of four columns of a row: x, (x - mean)^2, or d * ((x - mean) * rstd). */
// @ts-ignore: decorator
@inline
function rowTerm(mode: i32, x: usize, d: usize, part: i32, m: v128, r: v128): v128 {
  let v = loadSome(x, part);
  if (mode != PLAIN) v = f32x4.sub(v, m);
  if (mode == SQUARED) v = f32x4.mul(v, v);
  if (mode == TIMES_NORMAL) v = f32x4.mul(loadSome(d, part), f32x4.mul(v, r));
  return v;
}

/** Adds `rows` (1 or 4) rows to the sums, one after the other. */
// @ts-ignore: decorator
@inline
function addRows(
  mode: i32, rows: i32, x: usize, d: usize, rowBytes: usize, mean: usize, rstd: usize, sums: usize, at: usize, part: i32,
): void {
  const m = mode == PLAIN ? f32x4.splat(0) : loadSome(mean + at, part);
  const r = mode == TIMES_NORMAL ? loadSome(rstd + at, part) : m;
  x += at;
  d += at;
  let sum = f32x4.add(v128.load(sums + at), rowTerm(mode, x, d, part, m, r));
  if (rows == 4) {
    sum = f32x4.add(sum, rowTerm(mode, x + rowBytes, d + rowBytes, part, m, r));
    sum = f32x4.add(sum, rowTerm(mode, x + 2 * rowBytes, d + 2 * rowBytes, part, m, r));
    sum = f32x4.add(sum, rowTerm(mode, x + 3 * rowBytes, d + 3 * rowBytes, part, m, r));
  }
  v128.store(sums + at, sum);
}

/** totals[c] = the sum over the images, in the order of columns; `workspace` holds a row of sums and the levels of the pairing. */
// @ts-ignore: decorator
@inline
function sumImages(
  mode: i32, x: usize, d: usize, mean: usize, rstd: usize, totals: usize, images: i32, channels: i32, workspace: usize,
): void {
  const rowBytes = paddedBytes(channels);
  const levels = workspace + rowBytes;
  const whole = channels & ~3;
  for (let at: usize = 0; at < rowBytes; at += 16) v128.store(workspace + at, f32x4.splat(0));
  const step = (<usize>channels) << 2;
  let block = 0;
  let image = 0;
  while (image < images) {
    // Blocks begin at multiples of 64, so that four rows lie in one.
    const rows = image + 4 <= images ? 4 : 1;
    let i = 0;
    if (rows == 4) {
      for (; i < whole; i += 4) addRows(mode, 4, x, d, step, mean, rstd, workspace, (<usize>i) << 2, 0);
      if (i < channels) addRows(mode, 4, x, d, step, mean, rstd, workspace, (<usize>i) << 2, channels - i);
    } else {
      for (; i < whole; i += 4) addRows(mode, 1, x, d, step, mean, rstd, workspace, (<usize>i) << 2, 0);
      if (i < channels) addRows(mode, 1, x, d, step, mean, rstd, workspace, (<usize>i) << 2, channels - i);
    }
    x += <usize>rows * step;
    d += <usize>rows * step;
    image += rows;
    if (image % COLUMN_BLOCK == 0 || image == images) endBlock(workspace, levels, rowBytes, block++);
  }
  endColumns(levels, totals, channels, rowBytes, block);
}

// @ts-ignore: decorator
@inline
function divideAll(x: usize, length: i32, divisor: f32): void {
  for (let i = 0; i < length; i += 4) {
    const at = (<usize>i) << 2;
    const part = partAt(i, length);
    storeSome(x + at, f32x4.div(loadSome(x + at, part), f32x4.splat(divisor)), part);
  }
}

/** 1 / sqrt(variance + epsilon) of four channels. */
// @ts-ignore: decorator
@inline
function rstdOf4(variance: v128, epsilon: f32): v128 {
  return f32x4.div(f32x4.splat(1), f32x4.sqrt(f32x4.add(variance, f32x4.splat(epsilon))));
}

/** rstd from the variances. */
function storeRstd(variance: usize, rstd: usize, channels: i32, epsilon: f32): void {
  for (let i = 0; i < channels; i += 4) {
    const at = (<usize>i) << 2;
    const part = partAt(i, channels);
    storeSome(rstd + at, rstdOf4(loadSome(variance + at, part), epsilon), part);
  }
}

// @ts-ignore: decorator
@inline
function normalizeColumnsAt(x: usize, y: usize, weight: usize, bias: usize, mean: usize, rstd: usize, at: usize, part: i32): void {
  const m = loadSome(mean + at, part), r = loadSome(rstd + at, part);
  const w = weight ? loadSome(weight + at, part) : r, b = bias ? loadSome(bias + at, part) : r;
  normalizeAt(x + at, y + at, part, m, r, weight != 0, w, bias != 0, b);
}

/** As normalizeChannel on planes of one element: image by image, four channels at a time. */
function normalizeColumns(
  x: usize, y: usize, weight: usize, bias: usize, mean: usize, rstd: usize, images: i32, channels: i32,
): void {
  const rowBytes = (<usize>channels) << 2;
  const whole = rowBytes & ~15;
  for (let image = 0; image < images; image++) {
    for (let at: usize = 0; at < whole; at += 16) normalizeColumnsAt(x, y, weight, bias, mean, rstd, at, 0);
    if (channels & 3) normalizeColumnsAt(x, y, weight, bias, mean, rstd, whole, channels & 3);
    x += rowBytes;
    y += rowBytes;
  }
}

export function batch_norm_f32(
  x: usize, weight: usize, bias: usize, y: usize, mean: usize, variance: usize, rstd: usize, images: i32, channels: i32, inner: i32,
  epsilon: f32, scratch: usize,
): void {
  const planeBytes = (<usize>inner) << 2;
  const imageBytes = <usize>channels * planeBytes;
  const sums = scratch + TREE_BYTES;
  const count = <f32>(images * inner);
  if (inner == 1) {
    sumImages(PLAIN, x, x, mean, mean, mean, images, channels, scratch);
    divideAll(mean, channels, count);
    sumImages(SQUARED, x, x, mean, mean, variance, images, channels, scratch);
    divideAll(variance, channels, count);
    storeRstd(variance, rstd, channels, epsilon);
    normalizeColumns(x, y, weight, bias, mean, rstd, images, channels);
    return;
  }
  for (let c = 0; c < channels; c++) {
    const channel = (<usize>c) << 2;
    for (let image = 0; image < images; image++) {
      store<f32>(sums + ((<usize>image) << 2), sumRow(x + <usize>image * imageBytes, inner, scratch));
    }
    const m = sumRow(sums, images, scratch) / count;
    for (let image = 0; image < images; image++) {
      store<f32>(sums + ((<usize>image) << 2), sumSquaredRow(x + <usize>image * imageBytes, m, inner, scratch));
    }
    const v = sumRow(sums, images, scratch) / count;
    const r = rstdOf(v, epsilon);
    normalizeChannel(x, y, channel, weight, bias, images, inner, imageBytes, m, r);
    store<f32>(mean + channel, m);
    store<f32>(variance + channel, v);
    store<f32>(rstd + channel, r);
    x += planeBytes;
    y += planeBytes;
  }
}

export function batch_norm_f32_inference(
  x: usize, weight: usize, bias: usize, mean: usize, variance: usize, y: usize, images: i32, channels: i32, inner: i32, epsilon: f32,
  scratch: usize,
): void {
  const planeBytes = (<usize>inner) << 2;
  const imageBytes = <usize>channels * planeBytes;
  if (inner == 1) {
    storeRstd(variance, scratch, channels, epsilon);
    normalizeColumns(x, y, weight, bias, mean, scratch, images, channels);
    return;
  }
  for (let c = 0; c < channels; c++) {
    const channel = (<usize>c) << 2;
    const r = rstdOf(load<f32>(variance + channel), epsilon);
    normalizeChannel(x, y, channel, weight, bias, images, inner, imageBytes, load<f32>(mean + channel), r);
    x += planeBytes;
    y += planeBytes;
  }
}

// @ts-ignore: decorator
@inline
function batchGradientAt(
  gradY: usize, x: usize, gradX: usize, part: i32, training: i32, mean: v128, rstd: v128, a: v128, b: v128, scale: v128,
): void {
  let d = loadSome(gradY, part);
  if (training) {
    const normal = f32x4.mul(f32x4.sub(loadSome(x, part), mean), rstd);
    d = f32x4.sub(f32x4.sub(d, a), f32x4.mul(normal, b));
  }
  storeSome(gradX, f32x4.mul(d, scale), part);
}

// @ts-ignore: decorator
@inline
function columnsGradientAt(
  gradY: usize, x: usize, mean: usize, rstd: usize, gradX: usize, biasMeans: usize, weightMeans: usize, scales: usize, training: i32,
  at: usize, part: i32,
): void {
  const m = loadSome(mean + at, part), r = loadSome(rstd + at, part);
  const a = loadSome(biasMeans + at, part), b = loadSome(weightMeans + at, part), scale = loadSome(scales + at, part);
  batchGradientAt(gradY + at, x + at, gradX + at, part, training, m, r, a, b, scale);
}

/** batch_norm_f32_gradient on planes of one element. `workspace`: two rows of totals, then as in sumImages. */
function columnsGradient(
  gradY: usize, x: usize, weight: usize, mean: usize, rstd: usize, gradX: usize, gradWeight: usize, gradBias: usize,
  images: i32, channels: i32, training: i32, workspace: usize,
): void {
  const rowBytes = (<usize>channels) << 2;
  const whole = rowBytes & ~15;
  const biasSums = workspace, weightSums = workspace + paddedBytes(channels), rest = weightSums + paddedBytes(channels);
  sumImages(PLAIN, gradY, x, mean, rstd, biasSums, images, channels, rest);
  sumImages(TIMES_NORMAL, x, gradY, mean, rstd, weightSums, images, channels, rest);
  if (gradWeight) memory.copy(gradWeight, weightSums, rowBytes);
  if (gradBias) memory.copy(gradBias, biasSums, rowBytes);
  divideAll(biasSums, channels, <f32>images);
  divideAll(weightSums, channels, <f32>images);
  const scales = rest;
  for (let i = 0; i < channels; i += 4) {
    const at = (<usize>i) << 2, part = partAt(i, channels);
    const r = loadSome(rstd + at, part);
    storeSome(scales + at, weight ? f32x4.mul(loadSome(weight + at, part), r) : r, part);
  }
  const part = channels & 3;
  for (let image = 0; image < images; image++) {
    for (let at: usize = 0; at < whole; at += 16) {
      columnsGradientAt(gradY, x, mean, rstd, gradX, biasSums, weightSums, scales, training, at, 0);
    }
    if (part) columnsGradientAt(gradY, x, mean, rstd, gradX, biasSums, weightSums, scales, training, whole, part);
    gradY += rowBytes;
    x += rowBytes;
    gradX += rowBytes;
  }
}

export function batch_norm_f32_gradient(
  gradY: usize, x: usize, weight: usize, mean: usize, rstd: usize, gradX: usize, gradWeight: usize, gradBias: usize,
  images: i32, channels: i32, inner: i32, training: i32, scratch: usize,
): void {
  if (inner == 1) {
    columnsGradient(gradY, x, weight, mean, rstd, gradX, gradWeight, gradBias, images, channels, training, scratch);
    return;
  }
  const planeBytes = (<usize>inner) << 2;
  const imageBytes = <usize>channels * planeBytes;
  const whole = (<usize>(inner & ~3)) << 2;
  const part = inner & 3;
  const biasSums = scratch + TREE_BYTES, weightSums = biasSums + paddedBytes(images);
  const count = <f32>(images * inner);
  for (let c = 0; c < channels; c++) {
    const channel = (<usize>c) << 2;
    const m = load<f32>(mean + channel), r = load<f32>(rstd + channel);
    for (let image = 0; image < images; image++) {
      const at = <usize>image * imageBytes, to = (<usize>image) << 2;
      store<f32>(biasSums + to, sumRow(gradY + at, inner, scratch));
      store<f32>(weightSums + to, sumTimesNormalRow(gradY + at, x + at, m, r, inner, scratch));
    }
    const biasSum = sumRow(biasSums, images, scratch), weightSum = sumRow(weightSums, images, scratch);
    const a = f32x4.splat(biasSum / count), b = f32x4.splat(weightSum / count);
    const scale = f32x4.splat(weight ? load<f32>(weight + channel) * r : r);
    const m4 = f32x4.splat(m), r4 = f32x4.splat(r);
    for (let image = 0; image < images; image++) {
      const start = <usize>image * imageBytes;
      const end = start + whole;
      for (let at = start; at < end; at += 16) batchGradientAt(gradY + at, x + at, gradX + at, 0, training, m4, r4, a, b, scale);
      if (part) batchGradientAt(gradY + end, x + end, gradX + end, part, training, m4, r4, a, b, scale);
    }
    if (gradWeight) store<f32>(gradWeight + channel, weightSum);
    if (gradBias) store<f32>(gradBias + channel, biasSum);
    gradY += planeBytes;
    x += planeBytes;
    gradX += planeBytes;
  }
}
