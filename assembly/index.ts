// The binary's exports: kernels by family, and where its static data ends.
export * from './average-pool';
export * from './conv';
export * from './conv-data';
export * from './copy';
export * from './embedding';
export * from './gemm';
export * from './gemm64';
export * from './map';
export * from './max-pool';
export * from './normalize';
export * from './random';
export * from './reduce';
export * from './softmax';
export * from './update';
export * from './winograd';
export { setShare } from './shares';
export { useWideTiles } from './wide-tile';

/** First byte that the arena may hand out. */
export function heapBase(): usize {
  return __heap_base;
}
