/**
 * @file The blocks of parameter synchronisation. `gradient` [p]: a header, then the gradient of the whole flat vector, one slot. `weights` [k] and
 * `moments` [k]: slice k of the weights and of the optimizer's state, two slots, published together. `constants`: what is not trained, written once.
 */
import type { BlockSpecs, BlockTable } from '../engine/blocks.ts';
import type { Phase } from '../engine/engine.ts';
import { type Layout, sliceLengths, sliceStart } from './plan.ts';

/** Bytes before the gradient in a gradient block: keeps the flat vector's alignment. */
export const HEADER_BYTES = 64;

/**
 * An iteration: every partition computes its gradient from all weights, then every slice is updated from all gradients, of which it reads
 * the header and its slice.
 */
export function trainingPhases({ weightsLength }: Layout, partitions: number): readonly Phase[] {
  const header = { offsetBytes: 0, lengthBytes: HEADER_BYTES };
  const reads = sliceLengths(weightsLength, partitions).map((floats, slice) => {
    const offsetBytes = HEADER_BYTES + 4 * sliceStart(weightsLength, partitions, slice);
    return [header, { offsetBytes, lengthBytes: 4 * floats }];
  });
  return [
    { name: 'task', writes: 'gradient', needs: 'weights', lag: 0 },
    { name: 'update', writes: 'weights', needs: 'gradient', lag: 1, reads },
  ];
}

/** The blocks for a model; its weights are cut into as many slices as there are partitions. */
export function trainingBlocks(layout: Layout, partitions: number, stateBuffers: number): BlockSpecs {
  const slices = sliceLengths(layout.weightsLength, partitions).map((floats) => 4 * floats);
  const constants = slices.map((_, slice) => (slice === 0 ? 4 * layout.constantsLength : 0));
  return {
    weights: { unitBytes: slices, slots: 2 },
    moments: {
      unitBytes: slices.map((bytes) => bytes * stateBuffers),
      slots: 2,
      versionOf: 'weights',
      isPrivate: true,
    },
    gradient: { unitBytes: new Array<number>(partitions).fill(HEADER_BYTES + 4 * layout.weightsLength), slots: 1 },
    constants: { unitBytes: constants, slots: 1, versionOf: 'weights' },
  };
}

/** What a task says about its share of the batch. */
export interface GradientHeader {
  readonly lossSum: number;
  /** By which the sum over all partitions is divided. */
  readonly weight: number;
  readonly records: number;
  /** When the gradient was published, in milliseconds; only the negative control of tests looks at it. */
  readonly publishedMs: number;
}

/** Bytes as floats. */
export function floats(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** A model's values at a version. */
export function flatValues(blocks: BlockTable, version: number): { weights: Float32Array; constants: Float32Array } {
  return { weights: floats(blocks.whole('weights', version)), constants: floats(blocks.whole('constants', version)) };
}

/** Writes the header of a gradient block. */
export function writeHeader(block: Uint8Array, header: Omit<GradientHeader, 'publishedMs'>): void {
  const publishedMs = performance.timeOrigin + performance.now();
  new Float64Array(block.buffer, block.byteOffset, 4).set([header.lossSum, header.weight, header.records, publishedMs]);
}

/** Reads the header of a gradient block. */
export function readHeader(block: Uint8Array): GradientHeader {
  const [lossSum, weight, records, publishedMs] = new Float64Array(block.buffer, block.byteOffset, 4);
  return { lossSum: lossSum!, weight: weight!, records: records!, publishedMs: publishedMs! };
}

/** The flat gradient in a gradient block, or a slice of it: floats `start` to `end`. */
export function gradientFloats(block: Uint8Array, start = 0, end?: number): Float32Array {
  const all = floats(block.subarray(HEADER_BYTES));
  return all.subarray(start, end ?? all.length);
}

/** The sums over all partitions' headers of iteration `iteration`, in partition order. */
export function sumHeaders(blocks: BlockTable, iteration: number): Omit<GradientHeader, 'publishedMs'> {
  let lossSum = 0;
  let weight = 0;
  let records = 0;
  for (let partition = 0; partition < blocks.units; partition++) {
    const header = readHeader(blocks.part('gradient', partition, iteration + 1));
    lossSum += header.lossSum;
    weight += header.weight;
    records += header.records;
  }
  return { lossSum, weight, records };
}
