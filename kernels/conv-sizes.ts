/** @file The sizes of a two-dimensional convolution, and the working memory that assembly/conv.ts lays out for it. */
import { blockLength } from './blocks.ts';
import type { Sizes } from './define.ts';
import { productScratch } from './product.ts';

/** The sizes that all three kernels take, by name. */
export interface ConvSizes {
  readonly n: number;
  readonly c: number;
  readonly h: number;
  readonly w: number;
  readonly o: number;
  readonly kh: number;
  readonly kw: number;
  readonly strideH: number;
  readonly strideW: number;
  readonly paddingH: number;
  readonly paddingW: number;
  readonly dilationH: number;
  readonly dilationW: number;
  readonly groups: number;
}

/** Height and width. */
type Plane = readonly [height: number, width: number];

/** The sizes of a call as their own type. */
export const convSizes = (values: Sizes): ConvSizes => values as unknown as ConvSizes;

/**
 * Outputs along one dimension: floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1.
 *
 * @example
 * convolutionOutputs(28, 5, 1, 2); // => 28
 */
export function convolutionOutputs(
  size: number,
  kernel: number,
  stride: number,
  padding: number,
  dilation = 1,
): number {
  return Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
}

/** Height and width of the output. */
export function outputPlane(s: ConvSizes): Plane {
  return [
    convolutionOutputs(s.h, s.kh, s.strideH, s.paddingH, s.dilationH),
    convolutionOutputs(s.w, s.kw, s.strideW, s.paddingW, s.dilationW),
  ];
}

/** Elements of y and gradY. */
export function outputLength(values: Sizes): number {
  const s = convSizes(values);
  const [ho, wo] = outputPlane(s);
  return s.n * s.o * ho * wo;
}

/** Elements of the weight and its gradient. */
export function weightLength(values: Sizes): number {
  const s = convSizes(values);
  return s.o * (s.c / s.groups) * s.kh * s.kw;
}

/** Multiplications of a convolution, and of each of its gradients. */
export function convolutionWork(values: Sizes): number {
  const s = convSizes(values);
  return outputLength(values) * (s.c / s.groups) * s.kh * s.kw;
}

/** Bytes of `count` floats, rounded up to a vector, as the kernels lay their regions out. */
const floatBytes = (count: number): number => Math.ceil(count / 4) * 16;
const tileBytes = 128;

/** Packed patches for `rows` channels: one panel, or a panel of four filters and up to 512 positions. */
function panelBytes(rows: number, positions: number): number {
  if (rows < 12 || positions < 24) return 32 * blockLength;
  return 16 * blockLength + 4 * blockLength * Math.min(512, Math.ceil(positions / 8) * 8);
}

/** A phase of a strided data gradient: the sums of four rows, and up to 512 positions. */
function phaseBytes({ h, w, strideH, strideW }: ConvSizes): number {
  const positions = Math.ceil(h / strideH) * Math.ceil(w / strideW);
  return 4 * (4 * 512 + blockLength * Math.min(512, Math.ceil(positions / 8) * 8));
}

/** Whether a filter gradient packs both operands. */
const packsTaps = (channels: number, wo: number): boolean => channels >= 24 && wo <= blockLength;

/** A packed gradient: eight channels of a plane, or up to 512 channels of a block and two panels of taps. */
function gradientBytes(channels: number, ho: number, wo: number): number {
  if (!packsTaps(channels, wo)) return 32 * ho * wo;
  return 4 * blockLength * (Math.min(512, Math.ceil(channels / 4) * 4) + 16);
}

/** One padded image, its rows rounded up to a multiple of the stride. */
function paddedBytes({ c, h, w, strideW, paddingH, paddingW }: ConvSizes): number {
  return floatBytes(c * (h + 2 * paddingH) * Math.ceil((w + 2 * paddingW) / strideW) * strideW);
}

/** What assembly/conv-lanes.ts needs, per group from `channels` source planes to `rows` result planes; 0 where it is not used. */
function laneBytes(s: ConvSizes, channels: number, [hs, ws]: Plane, rows: number, [h, w]: Plane): number {
  const taps = channels * s.kh * s.kw;
  const quads = s.groups * Math.ceil(rows / 4);
  const rowBound = Math.min(h, 2 * s.kh + s.strideH);
  const columnBound = Math.min(w, 2 * s.kw + s.strideW);
  const pairs = rowBound * columnBound;
  const lists = pairs * (4 + 8 * Math.ceil(taps / blockLength)) + 8 * pairs * taps + 16;
  const weights = taps * quads * 64;
  const pixels = s.groups * channels * hs * ws * 32;
  if (s.n < 4 || weights > 1 << 18 || pixels > 1 << 18 || lists > 1 << 19) return 0;
  const lines = 8 * (h + w) + 16 * (rowBound + columnBound);
  const sums = 128 * w * Math.min(h, Math.max(1, Math.floor(32_768 / (128 * w))));
  return weights + quads * 64 + lines + floatBytes(pairs) + Math.ceil(lists / 16) * 16 + pixels + sums;
}

/** What assembly/filter-lanes.ts needs; 0 where it is not used. */
function filterLaneBytes(s: ConvSizes): number {
  const [ho, wo] = outputPlane(s);
  const blocks = Math.ceil(ho / Math.max(1, Math.floor(blockLength / wo)));
  const sums = (blocks * s.o * s.c * s.kh * s.kw * 16) / s.groups;
  const pixels = s.c * (s.h + 2 * s.paddingH) * (s.w + 2 * s.paddingW) * 16;
  return s.n < 3 || sums > 1 << 18 || pixels > 1 << 18 ? 0 : ho * wo * 32 + sums + pixels;
}

/** Whether assembly/depthwise.ts does the work. */
function isDepthwise(s: ConvSizes): boolean {
  return s.groups === s.c && s.groups === s.o && s.kh * s.kw <= blockLength;
}

/** A plane with room for reads past its last row. */
const planeBytes = (count: number): number => floatBytes(count + 16);

function depthwiseDataBytes(s: ConvSizes, rows: number, pitch: number): number {
  const filter = s.kh * s.kw;
  const lists = floatBytes(s.strideH * s.strideW) + 2 * floatBytes(filter) + 16 * filter;
  return lists + s.strideW * planeBytes(s.w + s.paddingW) + planeBytes(rows * pitch);
}

function depthwiseFilterBytes(s: ConvSizes): number {
  const [ho, wo] = outputPlane(s);
  const blockRows = Math.max(1, Math.floor(blockLength / wo));
  const blocks = Math.ceil(ho / blockRows);
  return 16 * (blocks * s.kh * s.kw + Math.min(blockRows, ho) * wo + (s.h + 2 * s.paddingH) * (s.w + 2 * s.paddingW));
}

/** Working memory of the forward kernel. */
export function forwardScratch(values: Sizes): number {
  const s = convSizes(values);
  if (isDepthwise(s)) {
    const plane = (s.h + 2 * s.paddingH) * Math.ceil((s.w + 2 * s.paddingW) / s.strideW) * s.strideW;
    return floatBytes(s.kh * s.kw) + 16 * s.kh * s.kw + planeBytes(plane);
  }
  const each = s.c / s.groups;
  const [ho, wo] = outputPlane(s);
  const panels = panelBytes(s.o / s.groups, ho * wo);
  const image = tileBytes + panels + floatBytes(s.o + 4) + floatBytes(each * s.kh * s.kw) + paddedBytes(s);
  return Math.max(image, laneBytes(s, each, [s.h, s.w], s.o / s.groups, [ho, wo]));
}

/** Working memory of the data gradient. */
export function dataScratch(values: Sizes): number {
  const s = convSizes(values);
  const [ho, wo] = outputPlane(s);
  const [each, rowsEach] = [s.o / s.groups, s.c / s.groups];
  const top = Math.floor(((s.kh - 1) * s.dilationH) / s.strideH);
  const left = Math.floor(((s.kw - 1) * s.dilationW) / s.strideW);
  const rows = top + Math.max(ho, Math.floor((s.h - 1 + s.paddingH) / s.strideH) + 1);
  const columns = left + Math.max(wo, Math.floor((s.w - 1 + s.paddingW) / s.strideW) + 1);
  if (isDepthwise(s)) return depthwiseDataBytes(s, rows, columns);
  const taps = each * s.kh * s.kw;
  const packed = floatBytes(taps) + floatBytes(taps * (rowsEach + 4)) + floatBytes(6 * s.kh * s.kw);
  const panels = s.strideH > 1 || s.strideW > 1 ? phaseBytes(s) : panelBytes(rowsEach, s.h * s.w);
  const image = tileBytes + panels + packed + floatBytes(each * rows * columns);
  const product = s.kh === 1 && s.kw === 1 ? productScratch(rowsEach, s.h * s.w, each) : 0;
  return Math.max(image, product, laneBytes(s, each, [ho, wo], rowsEach, [s.h, s.w]));
}

/** Working memory of the filter gradient. */
export function filterScratch(values: Sizes): number {
  const s = convSizes(values);
  const [ho, wo] = outputPlane(s);
  if (isDepthwise(s) && s.dilationW === 1 && s.kw > 1) return depthwiseFilterBytes(s);
  const taps = (s.c / s.groups) * s.kh * s.kw;
  const channels = s.o / s.groups;
  const sums = packsTaps(channels, wo) ? 0 : s.groups * Math.ceil(taps / 4) * Math.ceil(channels / 8) * tileBytes;
  const gradient = gradientBytes(channels, ho, wo);
  return Math.max(tileBytes + floatBytes(taps + 4) + sums + gradient + paddedBytes(s), filterLaneBytes(s));
}
