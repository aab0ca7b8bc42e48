/**
 * @file Stages, as the scheduler sees them: which tasks wait, run, have failed where and are done; and which task a free worker takes next. Pure
 * data, no clock. An attempt is one run of a task on one worker; attempts of a task are numbered from 1.
 */

/** A task for a worker. */
export interface Assignment {
  readonly stage: StageState;
  readonly task: number;
  readonly attempt: number;
}

/** What became of a failed attempt. */
export type FailureOutcome = 'again' | 'othersRun' | 'exhausted';

/** The workers that a stage may think of when it chooses. */
export interface WorkerView {
  /** The worker will be there for its tasks: it is ready or starting, and not leaving. */
  stays(worker: number): boolean;
  /** Workers that have nothing to do, or start; the one that asks may be among them. */
  readonly free: readonly number[];
}

/** The tasks of one stage. */
export class StageState {
  readonly kind = 'stage';
  readonly id: number;
  /** When a worker last took a task of it: stages that wait longest come first among equals. */
  servedAt = -1;
  /** Attempts that run now. */
  running = 0;
  private readonly preferred: readonly (number | null)[];
  private readonly maxAttempts: number;
  private readonly attempts: number[];
  private readonly done: boolean[];
  private readonly pending: number[];
  /** Running tasks that a second attempt is wanted of. */
  private copies: number[] = [];
  /** Workers that run a task now, by task. */
  private readonly runs: number[][];
  /** Workers on which attempts of a task failed, by task. */
  private readonly failedOn: number[][];
  private unfinished: number;

  /** @param preferred for each task the worker that holds what it needs, or null. */
  constructor(id: number, preferred: readonly (number | null)[], maxAttempts: number) {
    this.id = id;
    this.preferred = preferred;
    this.maxAttempts = maxAttempts;
    this.attempts = preferred.map(() => 0);
    this.done = preferred.map(() => false);
    this.pending = preferred.map((_, task) => task);
    this.runs = preferred.map(() => []);
    this.failedOn = preferred.map(() => []);
    this.unfinished = preferred.length;
  }

  /** Whether all tasks have results. */
  get isDone(): boolean {
    return this.unfinished === 0;
  }

  /** Workers that run the task now. */
  runnersOf(task: number): readonly number[] {
    return this.runs[task]!;
  }

  /** The first waiting task that the worker may take. */
  pendingFor(worker: number, view: WorkerView): number | undefined {
    return this.pending.find((task) => this.mayTake(task, worker, view));
  }

  /** The first slow task of which the worker may run a second attempt. */
  copyFor(worker: number): number | undefined {
    return this.copies.find((task) => !this.runs[task]!.includes(worker) && !this.failedOn[task]!.includes(worker));
  }

  /**
   * A task waits for the worker that it prefers, while that one stays and has not failed on it. Else anybody may take it, but one on which it
   * failed leaves it to others that are free: its heap may be the reason.
   */
  private mayTake(task: number, worker: number, { stays, free }: WorkerView): boolean {
    const failed = this.failedOn[task]!;
    const preferred = this.preferred[task] ?? null;
    if (preferred !== null && !failed.includes(preferred) && stays(preferred)) return preferred === worker;
    return !failed.includes(worker) || free.every((other) => failed.includes(other));
  }

  /** Begins the next attempt of a task. Returns its number. */
  begin(task: number, worker: number): number {
    remove(this.pending, task);
    remove(this.copies, task);
    this.runs[task]!.push(worker);
    this.running++;
    return ++this.attempts[task]!;
  }

  /** Takes note that an attempt is over, whatever came of it. */
  end(task: number, worker: number): void {
    remove(this.runs[task]!, worker);
    remove(this.copies, task);
    this.running--;
  }

  /** Takes the result of a task. Returns false if it has one already. */
  succeed(task: number): boolean {
    if (this.done[task]) return false;
    this.done[task] = true;
    this.unfinished--;
    return true;
  }

  /** Takes note of a failed attempt, which must have ended before; puts the task back unless its attempts are used up. */
  fail(task: number, worker: number): FailureOutcome {
    this.failedOn[task]!.push(worker);
    if (this.done[task] || this.runs[task]!.length > 0) return 'othersRun';
    if (this.attempts[task]! >= this.maxAttempts) return 'exhausted';
    this.pending.unshift(task);
    return 'again';
  }

  /** Asks for a second attempt of a task that runs once, if there is one left. */
  wantCopy(task: number): void {
    if (this.runs[task]?.length !== 1 || this.attempts[task]! >= this.maxAttempts) return;
    if (!this.copies.includes(task)) this.copies.push(task);
  }
}

/**
 * The task that a free worker takes. Stages share fairly: the one with the fewest running attempts comes first, among equals the one that has
 * waited longest. Second attempts of slow tasks come after all tasks that wait.
 */
export function chooseTask(stages: readonly StageState[], worker: number, view: WorkerView): Assignment | null {
  const fair = [...stages].sort((a, b) => a.running - b.running || a.servedAt - b.servedAt || a.id - b.id);
  for (const choose of [
    (stage: StageState) => stage.pendingFor(worker, view),
    (stage: StageState) => stage.copyFor(worker),
  ]) {
    for (const stage of fair) {
      const task = choose(stage);
      if (task !== undefined) return { stage, task, attempt: stage.begin(task, worker) };
    }
  }
  return null;
}

function remove(list: number[], value: number): void {
  const index = list.indexOf(value);
  if (index >= 0) list.splice(index, 1);
}
