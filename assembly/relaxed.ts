// The exports of the relaxed binary: the kernels that gain from fused multiply-adds. It runs on the memory of the strict one, whose other kernels stay
// in use, so its static data begins where that of the strict one has long ended (memoryBase in asconfig.json).
export * from './conv';
export * from './gemm';
export { useTallTiles } from './tall-tile';
export { setShare } from './shares';

/** First byte behind the static data. */
export function heapBase(): usize {
  return __heap_base;
}
