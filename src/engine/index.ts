/** @file The engine room's public names. */
export type { BlockHandles, BlockSpec, BlockSpecs } from './blocks.ts';
export { BlockTable } from './blocks.ts';
export type {
  Engine,
  FaultPoint,
  Loop,
  LoopContext,
  LoopFunction,
  LoopProgram,
  LoopSpec,
  Phase,
  RecordsPayload,
  RunOptions,
  Stage,
  StageFunction,
  StageInput,
  TaskContext,
} from './engine.ts';
export type { EngineOptions, EnginePolicy, Speculation } from './engine-options.ts';
export type {
  BlockPublishedEvent,
  EndReason,
  EngineEvent,
  EngineMetrics,
  JobEndedEvent,
  JobStartedEvent,
  KilledEvent,
  MetricsEvent,
  ReassignedEvent,
  RunningUnit,
  TaskEndedEvent,
  TaskFailedEvent,
  TaskStartedEvent,
  WorkerGoneEvent,
  WorkerLeftEvent,
  WorkerReadyEvent,
} from './events.ts';
export { inline } from './inline.ts';
export { processes } from './process/processes.ts';
export { threads } from './threads.ts';
