/** @file What the example shows: a progress bar on a terminal, plain lines or JSON lines elsewhere, a table, digits drawn with characters. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type {
  DoneEvent,
  EngineEvent,
  InterruptedEvent,
  IterationEvent,
  StartEvent,
  TrainEvent,
  ValidationEvent,
} from 'shoal/train';
import type { EventLog, ProgramEvent, RunEvent } from './event-log.ts';

/** At most so many redrawings of the bar in a second, and so many plain lines in a run. */
const BAR_PER_SECOND = 10;
const PLAIN_LINES = 24;

/** A kill that a run survived. */
export type Kill = Extract<EngineEvent, { event: 'killed' }>;

/** A digit with its label and the model's answer; 28 x 28, 0 is paper and 255 ink. */
export interface Picture {
  readonly pixels: Uint8Array;
  readonly label: number;
  readonly answer: number;
}

/** What was read: records and SHA-256 of an idx file. */
export interface InputFile {
  readonly file: string;
  readonly records: number;
  readonly sha256: string;
}

type End = DoneEvent | InterruptedEvent;

/** Prints for people (a bar if they look at a terminal) and, with `json`, a line for programs for each event: then people read stderr. */
export class Terminal {
  private readonly json: boolean;
  private readonly log: EventLog | null;
  private readonly stream: NodeJS.WriteStream;
  private readonly startMs = performance.now();
  private start: StartEvent | null = null;
  private iteration = 0;
  private barShown = false;
  private drawnMs = 0;

  constructor({ json }: { readonly json: boolean }, log: EventLog | null) {
    this.json = json;
    this.log = log;
    this.stream = json ? process.stderr : process.stdout;
  }

  /** The files that the run reads. */
  input(files: readonly InputFile[]): void {
    const images = files.filter(({ file }) => file.includes('images')).map(({ records }) => count(records));
    this.line(`${images.join(' + ')} images. SHA-256 of their files:`);
    for (const { file, sha256 } of files) this.line(`${sha256}  ${file.replace(/-idx.*/, '')}`);
    this.record({ event: 'input', iteration: 0, elapsedMs: performance.now() - this.startMs, files });
  }

  /** Takes the stream: all of it is logged; `--json` gets the training of run 0 but its end, which comes with its accuracy; people get less. */
  readonly event = (told: RunEvent): void => {
    this.log?.write(told);
    if (told.source !== 'train') return;
    const { source, run, ...event } = told;
    if (run === 0 && event.event !== 'done' && event.event !== 'interrupted') this.print(event);
    this.show(event as TrainEvent);
  };

  /** What an event of a run looks like to people. */
  private show(event: TrainEvent): void {
    this.iteration = event.iteration;
    switch (event.event) {
      case 'start':
        this.start = event;
        if (event.resumedFrom !== null) this.line(`goes on from ${shortPath(event.resumedFrom)}`);
        for (const line of startLines(event)) this.line(line);
        break;
      case 'iteration':
        this.progress(event);
        break;
      case 'validation': {
        const { top1Accuracy, loss } = event.metrics as { top1Accuracy: number; loss: number };
        const accuracy = `accuracy ${percent(top1Accuracy)}, loss ${loss.toFixed(4)}`;
        this.line(`epoch ${event.epoch + 1}: ${accuracy} on ${count(event.records)} test records`);
        break;
      }
      case 'warning':
        this.line(`warning: ${event.message}`);
        break;
      case 'workerLost': {
        const doing = event.phase === null ? '' : `, which was at ${event.phase} of partition ${event.partition}`;
        this.line(`iteration ${event.iteration}: worker ${event.worker} is lost${doing}`);
        break;
      }
      default: // checkpoints and new workers come often; the bar tells the workers alive, and the end the last checkpoint
    }
  }

  /** The end of a run: accuracy, confusion matrix, digits, times, checkpoint, hash. */
  result(end: End, metrics: ValidationEvent['metrics'] | undefined, pictures: readonly Picture[]): void {
    this.line();
    if (metrics !== undefined) {
      for (const line of confusionTable(metrics.confusionMatrix as number[][])) this.line(line);
      this.line();
    }
    for (const line of drawDigits(pictures, this.width, this.hasTones())) this.line(line);
    this.line();
    const { trainSeconds, recordsPerSecond, phasesMs } = end;
    if (metrics !== undefined) this.line(`test accuracy   ${percent(metrics.top1Accuracy as number)}`);
    if (trainSeconds === 0) this.line('training        nothing was left to do');
    else this.times(trainSeconds, recordsPerSecond, phasesMs);
    if (end.checkpoint !== null) this.line(`checkpoint      ${shortPath(end.checkpoint)}`);
    this.line(`weights SHA-256 ${end.weightsSha256}`);
  }

  /** The run ended as planned. Returns the exit code, as the other ends do. */
  done(result: End): number {
    this.record(result);
    return 0;
  }

  /** The run was interrupted. */
  interrupted(result: End, command: string): number {
    this.line(
      `\nInterrupted after iteration ${this.iteration} of ${this.start?.totalIterations}. To go on:\n  ${command}`,
    );
    this.record(result);
    return 130;
  }

  /** What was killed, before the undisturbed run begins. */
  kills(kills: readonly Kill[]): void {
    this.line(`\n${kills.length} worker${kills.length === 1 ? ' was' : 's were'} killed:`);
    for (const { worker, planned, running } of kills) {
      const at = planned ?? running;
      const where = at === null ? 'between phases' : `iteration ${at.iteration}, ${at.phase}, partition ${at.unit}`;
      this.line(`  worker ${String(worker).padEnd(3)} ${planned === null ? 'at random ' : 'as planned'}  ${where}`);
    }
    this.line('\nThe same run, undisturbed:');
  }

  /** The undisturbed run is over: equal bits are what must come out. */
  compared(result: End & { readonly killed: readonly Kill[] }, undisturbed: End): number {
    if (undisturbed.event === 'interrupted') {
      this.line('Interrupted before the comparison.');
      this.record({ ...result, event: 'interrupted' });
      return 130;
    }
    const sameBits = undisturbed.weightsSha256 === result.weightsSha256;
    this.line(
      `weights SHA-256 ${undisturbed.weightsSha256}: ${sameBits ? 'the same bits' : 'OTHER BITS, which must not be'}`,
    );
    this.record({ ...result, undisturbedSha256: undisturbed.weightsSha256, sameBits });
    return sameBits ? 0 : 1;
  }

  /** The run failed, or was interrupted before it had begun. */
  failed(thrown: unknown, isInterrupted: boolean): number {
    const { code = 'UNKNOWN', message, fields } = thrown as { code?: string; message: string; fields?: object };
    const event = isInterrupted ? 'interrupted' : 'error';
    this.line(
      isInterrupted ? 'Interrupted before the first iteration: there is nothing to save.' : `error ${code}: ${message}`,
    );
    if (!isInterrupted && code === 'UNKNOWN') this.line(String((thrown as Error).stack));
    this.record({
      event,
      iteration: this.iteration,
      elapsedMs: performance.now() - this.startMs,
      code,
      message,
      fields,
    });
    return isInterrupted ? 130 : 1;
  }

  private hasTones(): boolean {
    return this.stream.isTTY === true && process.env.NO_COLOR === undefined && this.stream.getColorDepth() >= 8;
  }

  /** Characters in a line. */
  private get width(): number {
    return this.stream.columns || 80; // some pseudo-terminals say 0
  }

  /** A line for people, above the bar. */
  private line(text = ''): void {
    this.clearBar();
    this.stream.write(`${text}\n`);
  }

  /** An event of the program itself. */
  private record<E extends ProgramEvent>(event: E): void {
    this.log?.write({ ...event, source: 'program' });
    this.print(event);
  }

  private print(event: object): void {
    if (this.json) process.stdout.write(`${JSON.stringify(event)}\n`);
  }

  private times(seconds: number, recordsPerSecond: number, phases: End['phasesMs']): void {
    this.line(`training        ${seconds.toFixed(1)} s, ${count(recordsPerSecond)} records/s`);
    const shares = Object.entries(phases).map(([name, ms]) => `${name} ${percent(ms / 1000 / seconds, 1)}`);
    this.line(`time of workers ${shares.slice(0, 4).join(', ')},`);
    this.line(`                ${shares.slice(4).join(', ')}`);
  }

  private progress(event: IterationEvent): void {
    const { iteration, epoch, loss, recordsPerSecond, workersAlive, records } = event;
    const { totalIterations, iterationsPerEpoch, partitions } = this.start!;
    const isLast = iteration === totalIterations;
    if (this.stream.isTTY) {
      if (!isLast && performance.now() - this.drawnMs < 1000 / BAR_PER_SECOND) return;
    } else if (!isLast && iteration % Math.ceil(totalIterations / PLAIN_LINES) !== 0) return;
    const seconds = recordsPerSecond === 0 ? Number.NaN : ((totalIterations - iteration) * records) / recordsPerSecond;
    const position = `epoch ${epoch + 1}/${Math.ceil(totalIterations / iterationsPerEpoch)}  ${iteration}/${totalIterations}`;
    const facts =
      `loss ${loss.toFixed(4)}  ${count(recordsPerSecond)}/s  ETA ${clock(seconds)}  ` +
      `${plural(workersAlive, 'worker')}  P ${partitions}`;
    if (!this.stream.isTTY) return this.line(`${position}  ${facts}`);
    const width = Math.min(40, this.width - position.length - facts.length - 5);
    const shown =
      width < 4 ? `${position}  ${facts}` : `${position}  ${bar(iteration / totalIterations, width)}  ${facts}`;
    this.stream.write(`\r\x1b[2K${shown.slice(0, this.width - 1)}`);
    this.barShown = true;
    this.drawnMs = performance.now();
  }

  private clearBar(): void {
    if (this.barShown) this.stream.write('\r\x1b[2K');
    this.barShown = false;
  }
}

/** Records (the first size in an idx header) and SHA-256 of files. */
export function hashFiles(files: readonly URL[]): InputFile[] {
  return files.map((file) => {
    const bytes = readFileSync(file);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    return { file: basename(fileURLToPath(file)), records: bytes.readUInt32BE(4), sha256 };
  });
}

function startLines({
  records,
  totalIterations,
  iterationsPerEpoch,
  parameters,
  workers,
  engine,
  partitions,
}: StartEvent): string[] {
  return [
    `${count(records)} records, ${count(totalIterations)} iterations (${count(iterationsPerEpoch)} an epoch)`,
    `${count(parameters)} parameters, ${plural(workers, 'worker')} (${engine}), P ${partitions}`,
  ];
}

/** Seen from the working directory, if it is in there. */
function shortPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith('..') ? path : short;
}

/** `12,345`. */
function count(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',');
}

function plural(value: number, noun: string): string {
  return `${value} ${noun}${value === 1 ? '' : 's'}`;
}

/** `98.97 %`. */
function percent(fraction: number, digits = 2): string {
  return `${(100 * fraction).toFixed(digits)} %`;
}

/** Counts by label and predicted digit, as lines. */
function confusionTable(counts: readonly (readonly number[])[]): string[] {
  const cell = (value: number | string): string => String(value).padStart(6);
  return [
    `label\\predicted${counts.map((_, digit) => cell(digit)).join('')}`,
    ...counts.map((row, label) => String(label).padStart(15) + row.map((n) => cell(n === 0 ? '.' : n)).join('')),
  ];
}

/** Columns left out at each side, so that three digits fit beside each other on 80 columns. */
const MARGIN = 2;
const SIDE = 28;
const WIDTH = SIDE - 2 * MARGIN;

/** Digits beside each other, as many as fit into a line of `columns`, two pixels in a character. */
function drawDigits(pictures: readonly Picture[], columns: number, tones: boolean): string[] {
  const shown = pictures.slice(0, Math.max(1, Math.floor((columns + 2) / (WIDTH + 2))));
  const beside = (draw: (picture: Picture) => string): string => shown.map(draw).join('  ').trimEnd();
  const lines = Array.from({ length: SIDE / 2 }, (_, y) =>
    beside(({ pixels }) => (tones ? halfBlocks(pixels, y) : letters(pixels, y))),
  );
  return [...lines, beside(({ label, answer }) => `predicted ${answer}, is ${label}`.padEnd(WIDTH))];
}

function pixelAt(pixels: Uint8Array, x: number, y: number): number {
  return pixels[y * SIDE + MARGIN + x]!;
}

/** Two rows of pixels as one line: the upper one in the foreground of a half block, the lower one in its background. */
function halfBlocks(pixels: Uint8Array, line: number): string {
  const gray = (value: number): number => 232 + Math.round((value / 255) * 23);
  let text = '';
  for (let x = 0; x < WIDTH; x++) {
    const [upper, lower] = [pixelAt(pixels, x, 2 * line), pixelAt(pixels, x, 2 * line + 1)];
    text += `\x1b[38;5;${gray(upper)};48;5;${gray(lower)}m▀`;
  }
  return `${text}\x1b[0m`;
}

function letters(pixels: Uint8Array, line: number): string {
  const ramp = ' .:-=+*#%@';
  return Array.from({ length: WIDTH }, (_, x) => {
    const mean = (pixelAt(pixels, x, 2 * line) + pixelAt(pixels, x, 2 * line + 1)) / 2;
    return ramp[Math.round((mean / 255) * (ramp.length - 1))];
  }).join('');
}

function bar(fraction: number, width: number): string {
  const full = Math.round(fraction * width);
  return '█'.repeat(full) + '░'.repeat(width - full);
}

function clock(seconds: number): string {
  if (!Number.isFinite(seconds)) return '-:--';
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
