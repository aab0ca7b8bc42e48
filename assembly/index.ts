// The binary's exports: kernels by family, and where its static data ends.
export * from './map';
export * from './reduce';
export * from './softmax';

/** First byte that the arena may hand out. */
export function heapBase(): usize {
  return __heap_base;
}
