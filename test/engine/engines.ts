/** The engines that the contract suites run on; a new carrier joins by adding a line. */
import { type Engine, type EngineOptions, inline, processes, threads } from 'shoal/engine';

export interface EngineCase {
  readonly name: string;
  /** Whether a worker can be killed (inline has none to kill). */
  readonly killable: boolean;
  /** Whether what workers write survives them. */
  readonly sharesMemory: boolean;
  create(options?: EngineOptions): Engine;
}

export const engineCases: readonly EngineCase[] = [
  { name: 'inline', killable: false, sharesMemory: true, create: ({ workers: _, ...options } = {}) => inline(options) },
  {
    name: 'threads',
    killable: true,
    sharesMemory: true,
    create: (options = {}) => threads({ workers: 2, ...options }),
  },
  {
    name: 'process',
    killable: true,
    sharesMemory: false,
    create: (options = {}) => processes({ workers: 2, ...options }),
  },
];

/** Runs `body` with an engine that is closed afterwards, whatever happens. */
export async function withEngine<R>(engine: Engine, body: (engine: Engine) => Promise<R>): Promise<R> {
  try {
    return await body(engine);
  } finally {
    await engine.close();
  }
}

export const fixture = (name: string): string => new URL(`./fixtures/${name}`, import.meta.url).href;
