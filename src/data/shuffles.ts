/**
 * @file What the driver remembers of shuffles: what every task of a shuffle's parent wrote on an engine, and how much memory that takes. It is used
 * again by later actions, and freed when nobody holds the shuffle any more.
 */
import type { Engine } from '../engine/engine.ts';
import { blockOf, memoryBytes } from '../engine/shuffle-store.ts';
import { invariant } from '../errors.ts';
import type { Key } from './keys.ts';
import type { BlockLookup, Plan, Route, ShuffleSource } from './plan.ts';
import type { MapOutput } from './shuffle-io.ts';

/** A shuffle on an engine. */
interface ShuffleState {
  readonly id: string;
  /** By input partition. */
  readonly outputs: Map<number, MapOutput>;
  memoryBytes: number;
  /** Bounds of a sort, once they are drawn. */
  bounds: readonly Key[] | null;
}

/** The shuffles of an engine. */
export class EngineShuffles {
  private readonly engine: Engine;
  private readonly states = new WeakMap<ShuffleSource, ShuffleState>();
  /** Bytes in memory, and bytes that running tasks may still put there. */
  private memoryBytes = 0;
  private readonly forgotten: FinalizationRegistry<ShuffleState>;

  constructor(engine: Engine) {
    this.engine = engine;
    this.forgotten = new FinalizationRegistry((state) => {
      this.memoryBytes -= state.memoryBytes;
      engine.dropShuffle(state.id);
    });
  }

  /** Input partitions whose output is not there. */
  missing(source: ShuffleSource): number[] {
    const { outputs } = this.stateOf(source);
    return Array.from({ length: source.parent.partitions }, (_, p) => p).filter((p) => !outputs.has(p));
  }

  /** Remembers what an input partition wrote, in place of what it wrote before. */
  keep(source: ShuffleSource, input: number, output: MapOutput): void {
    this.forget(source, input);
    const state = this.stateOf(source);
    state.outputs.set(input, output);
    this.account(state, sizeInMemory(output));
  }

  /** Forgets what an input partition wrote. */
  forget(source: ShuffleSource, input: number): void {
    const state = this.stateOf(source);
    const output = state.outputs.get(input);
    if (output === undefined) return;
    state.outputs.delete(input);
    this.account(state, -sizeInMemory(output));
  }

  /** Where the blocks for a partition are. All outputs must be there. */
  readonly blocks: BlockLookup = (source, partition) => {
    const { outputs } = this.stateOf(source);
    return Array.from({ length: source.parent.partitions }, (_, input) => {
      const output = outputs.get(input);
      invariant(output !== undefined, 'a stage starts when the shuffles that it reads are written');
      return output.flatMap((run) => blockOf(run, partition) ?? []);
    });
  };

  /** The bounds of a sort; null until they are {@link setBounds set}. */
  bounds(source: ShuffleSource): readonly Key[] | null {
    return this.stateOf(source).bounds;
  }

  /** Keeps the bounds of a sort. */
  setBounds(source: ShuffleSource, bounds: readonly Key[]): void {
    this.stateOf(source).bounds = bounds;
  }

  /** Runs `body` with an equal share, for each of `tasks` tasks, of the memory that is free; nobody else gets it meanwhile. */
  async withMemory<R>(tasks: number, body: (bytesPerTask: number) => Promise<R>): Promise<R> {
    const free = Math.max(0, this.engine.shuffleMemoryBytes - this.memoryBytes);
    this.memoryBytes += free;
    try {
      return await body(Math.floor(free / tasks));
    } finally {
      this.memoryBytes -= free;
    }
  }

  /** What is there of a shuffle, for people. */
  describe(source: ShuffleSource): string {
    const state = this.states.get(source);
    if (state === undefined || state.outputs.size === 0) return 'nothing yet';
    let bytes = 0;
    for (const output of state.outputs.values()) for (const { offsets } of output) bytes += offsets.at(-1)!;
    const memory = `${(state.memoryBytes / 1e6).toFixed(1)} MB in memory`;
    const files = `${((bytes - state.memoryBytes) / 1e6).toFixed(1)} MB in files`;
    return `${state.outputs.size} of ${source.parent.partitions} partitions written, ${memory}, ${files}`;
  }

  private stateOf(source: ShuffleSource): ShuffleState {
    const known = this.states.get(source);
    if (known !== undefined) return known;
    const state: ShuffleState = { id: source.id, outputs: new Map(), memoryBytes: 0, bounds: null };
    this.states.set(source, state);
    this.forgotten.register(source, state);
    return state;
  }

  private account(state: ShuffleState, bytes: number): void {
    state.memoryBytes += bytes;
    this.memoryBytes += bytes;
  }
}

const engines = new WeakMap<Engine, EngineShuffles>();

/** The shuffles of an engine. */
export function shufflesOn(engine: Engine): EngineShuffles {
  const known = engines.get(engine);
  if (known !== undefined) return known;
  const made = new EngineShuffles(engine);
  engines.set(engine, made);
  return made;
}

let shuffles = 0;

/** The records of `parent` dealt out anew, as a plan. */
export function shufflePlan(op: string, parent: Plan, partitions: number, route: Route): Plan {
  shuffles++;
  const source: ShuffleSource = { kind: 'shuffle', id: String(shuffles), op, parent, partitions, route };
  return { partitions, source, steps: [] };
}

function sizeInMemory(output: MapOutput): number {
  return output.reduce((sum, run) => sum + memoryBytes(run), 0);
}
