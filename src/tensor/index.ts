/** @file Tensors: cells, creation, printing, randomness. */
export { type ArenaStatistics, arenaStatistics } from './arena.ts';
export {
  arange,
  fromTypedArray,
  full,
  ones,
  onesLike,
  rand,
  randn,
  type TensorData,
  type TensorOptions,
  tensor,
  zeros,
  zerosLike,
} from './create.ts';
export { manualSeed, type RandomKey, withRandomKey } from './randomness.ts';
export { scope } from './scope.ts';
export { isTensor, type NestedNumbers, Tensor } from './tensor.ts';
