/** @file `--events FILE`: the stream of events of a program, of its trainings and of their engines, as JSON lines in a file. */
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import type { EngineEvent, TrainEvent } from 'shoal/train';
import { UsageError } from './options.ts';

/**
 * What happens in a program that trains: one stream, which the display, `--json` and `--events` read. `elapsedMs` counts from the creation of
 * the engine, from the call of `fit`, and from the start of the program. `run` tells trainings, and so their engines, apart.
 */
export type RunEvent =
  | (EngineEvent & { readonly source: 'engine'; readonly run: number })
  | (TrainEvent & { readonly source: 'train'; readonly run: number })
  | (ProgramEvent & { readonly source: 'program' });

/** What the program itself has to tell: its options, its files, its end; with fields of their own. */
export interface ProgramEvent {
  readonly event: string;
  readonly elapsedMs: number;
}

/** A file that takes events. A line is one write at the end of the file, so it is there whole whatever happens to the program afterwards. */
export class EventLog {
  private readonly path: string;
  private file: number | null;

  /** Opens the file, which is closed when the program exits. @throws UsageError if it cannot be written: its `first` line is the proof. */
  constructor(path: string, first: RunEvent) {
    this.path = path;
    try {
      this.file = openSync(path, 'a');
      process.on('exit', () => this.close());
      this.append(first);
    } catch (thrown) {
      throw new UsageError(`--events: the file must be writable, got ${(thrown as Error).message}. Name another file.`);
    }
  }

  /** Appends a line. If that fails (a full disk), it says so once, and the training goes on without the file. */
  write(event: RunEvent): void {
    try {
      this.append(event);
    } catch (thrown) {
      process.stderr.write(`--events: ${this.path} ends here: ${(thrown as Error).message}\n`);
      this.close();
    }
  }

  /** Puts the lines on the disk. */
  private close(): void {
    if (this.file === null) return;
    const file = this.file;
    this.file = null;
    try {
      fsyncSync(file);
    } catch {
      // pipes and terminals have no disk
    }
    closeSync(file);
  }

  private append(event: RunEvent): void {
    if (this.file === null) return;
    const line = Buffer.from(`${JSON.stringify(event)}\n`);
    for (let done = 0; done < line.length; ) done += writeSync(this.file, line, done);
  }
}
