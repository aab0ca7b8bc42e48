/** @file The cores of this process, and who keeps them busy. */
import { availableParallelism } from 'node:os';

/** Cores that this process may use, at least 1. */
export function coreCount(): number {
  return availableParallelism();
}

const busy = new Map<object, number>();

/** Says that `owner` keeps so many cores busy from now on; 0: none. */
export function keepBusy(owner: object, cores: number): void {
  if (cores === 0) busy.delete(owner);
  else busy.set(owner, cores);
}

/** Cores that nobody keeps busy. May be negative. */
export function idleCores(): number {
  let idle = coreCount();
  for (const cores of busy.values()) idle -= cores;
  return idle;
}
