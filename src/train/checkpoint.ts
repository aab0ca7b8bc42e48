/**
 * @file Checkpoints: `DIR/step-<8 digits>/` with model.safetensors (PyTorch's keys), optimizer.safetensors and state.json. A folder appears whole
 * or not at all; the last two are kept. Workers write and read them; the driver only reads state.json.
 */
import {
  draftFolder,
  type FolderDraft,
  fileSize,
  joinPath,
  listFolder,
  readFile,
  removePath,
  sha256,
  toPath,
  writeInto,
} from '#platform';
import { decodeSafetensors, encodeSafetensors, type NamedArray } from '../codec/safetensors.ts';
import { CheckpointError, ShoalError } from '../errors.ts';
import type { FlatState } from './flat-state.ts';
import { valuesOf } from './model-state.ts';
import { sliceStart } from './plan.ts';

/** What a run must have in common with the one whose checkpoint it resumes. */
export interface RunIdentity {
  readonly seed: number;
  readonly partitions: number;
  readonly batchSize: number;
  /** Model, loss, optimizer, schedule and prepare function. */
  readonly specSha256: string;
  readonly dataSha256: string;
  readonly totalIterations: number;
}

/** The contents of state.json. */
export interface CheckpointState extends RunIdentity {
  readonly format: 1;
  /** Iterations done. */
  readonly iteration: number;
  readonly epoch: number;
  readonly modelSha256: string;
  readonly optimizerSha256: string;
}

/** A checkpoint that was found and verified. */
export interface FoundCheckpoint {
  readonly path: string;
  readonly state: CheckpointState;
}

const KEEP = 2;
const FOLDER = /^step-(\d{8})$/;

/** The folder of a checkpoint. */
export function checkpointPath(directory: string, iteration: number): string {
  return joinPath(toPath(directory), `step-${String(iteration).padStart(8, '0')}`);
}

/** Writes a checkpoint and removes older ones beyond the last two. `between` is called between the steps (fault tests). */
export async function writeCheckpoint(
  directory: string,
  state: Omit<CheckpointState, 'format' | 'modelSha256' | 'optimizerSha256'>,
  flat: FlatState,
  between: (offset: number) => void = () => {},
): Promise<string> {
  const path = checkpointPath(directory, state.iteration);
  let draft: FolderDraft | undefined;
  try {
    draft = await draftFolder(path);
    const model = encodeSafetensors(modelArrays(flat));
    const optimizer = encodeSafetensors(optimizerArrays(flat));
    await writeInto(joinPath(draft.path, 'model.safetensors'), model);
    between(0);
    await writeInto(joinPath(draft.path, 'optimizer.safetensors'), optimizer);
    const complete: CheckpointState = {
      format: 1,
      ...state,
      modelSha256: hashOf(model),
      optimizerSha256: hashOf(optimizer),
    };
    await writeInto(
      joinPath(draft.path, 'state.json'),
      new TextEncoder().encode(`${JSON.stringify(complete, null, 2)}\n`),
    );
    between(1);
    await draft.commit();
    between(2);
  } catch (thrown) {
    await draft?.discard();
    const message = `checkpoint: cannot write ${path} (${thrown instanceof Error ? thrown.message : String(thrown)}). Free some space or choose another folder.`;
    throw thrown instanceof ShoalError && thrown.code.startsWith('CHECKPOINT_')
      ? thrown
      : new CheckpointError('CHECKPOINT_WRITE', message, { path }, thrown);
  }
  // Later steps in the directory are of another run: they are not older, and not ours to remove.
  const older = (await checkpoints(directory)).filter((other) => other < path);
  for (const old of older.slice(KEEP - 1)) await removePath(old);
  return path;
}

/** What a search found: the newest checkpoint whose files are whole, and newer ones that are not. */
export interface CheckpointSearch {
  readonly found: FoundCheckpoint | null;
  readonly damaged: readonly string[];
}

/**
 * The newest checkpoint in a directory whose files are whole.
 *
 * @throws CheckpointError `CHECKPOINT_DAMAGED` if there are checkpoints but none is whole; `CHECKPOINT_VERSION`
 */
export async function findCheckpoint(directory: string): Promise<CheckpointSearch> {
  const damaged: string[] = [];
  for (const path of await checkpoints(directory)) {
    const state = await readState(path);
    if (state !== null && (await verifies(path, state))) return { found: { path, state }, damaged };
    damaged.push(path);
  }
  if (damaged.length === 0) return { found: null, damaged };
  throw new CheckpointError(
    'CHECKPOINT_DAMAGED',
    `resume: a checkpoint in ${directory} must be whole, got only damaged ones: ${damaged.join(', ')}. Restore one, or remove them to start anew.`,
    { directory, damaged },
  );
}

/** Refuses to go on from a checkpoint of another run. @throws CheckpointError `CHECKPOINT_MISMATCH` naming the field */
export function checkIdentity(found: FoundCheckpoint, run: RunIdentity): void {
  for (const field of Object.keys(run) as (keyof RunIdentity)[]) {
    if (found.state[field] === run[field]) continue;
    throw new CheckpointError(
      'CHECKPOINT_MISMATCH',
      `resume: ${field} must be that of the checkpoint, got ${run[field]} where ${found.path} has ${found.state[field]}. ` +
        'Start with the same settings, or in another folder.',
      { field, got: run[field], expected: found.state[field], path: found.path },
    );
  }
}

/** Reads the weights and the optimizer's state of a checkpoint into flat vectors. */
export async function readCheckpoint(path: string, flat: FlatState): Promise<void> {
  const model = decodeSafetensors(await readFile(joinPath(path, 'model.safetensors')));
  const optimizer = decodeSafetensors(await readFile(joinPath(path, 'optimizer.safetensors')));
  for (const entry of flat.layout.entries) {
    const { name, offset, size, trained } = entry;
    valuesOf(flat, entry).set(floatsOf(path, model.arrays, name, size));
    if (!trained) continue;
    flat.stateNames.forEach((stateName, index) => {
      const values = floatsOf(path, optimizer.arrays, `${name}.${stateName}`, size);
      forEachPiece(flat, index, offset, size, (target, from) =>
        target.set(values.subarray(from, from + target.length)),
      );
    });
  }
}

function modelArrays(flat: FlatState): Map<string, NamedArray> {
  return new Map(
    flat.layout.entries.map((entry) => [
      entry.name,
      { dtype: 'float32', shape: entry.shape, data: valuesOf(flat, entry).slice() },
    ]),
  );
}

function optimizerArrays(flat: FlatState): Map<string, NamedArray> {
  const arrays = new Map<string, NamedArray>();
  for (const { name, shape, offset, size } of flat.layout.entries.filter(({ trained }) => trained)) {
    flat.stateNames.forEach((stateName, index) => {
      const data = new Float32Array(size);
      forEachPiece(flat, index, offset, size, (source, from) => data.set(source, from));
      arrays.set(`${name}.${stateName}`, { dtype: 'float32', shape, data });
    });
  }
  return arrays;
}

/** Visits the pieces of a state buffer that floats `offset` to `offset + size` of the flat vector lie in: slice after slice. */
function forEachPiece(
  { layout, moments, stateNames, slices }: FlatState,
  stateIndex: number,
  offset: number,
  size: number,
  visit: (piece: Float32Array, from: number) => void,
): void {
  for (let slice = 0; slice < slices; slice++) {
    const start = sliceStart(layout.weightsLength, slices, slice);
    const end = sliceStart(layout.weightsLength, slices, slice + 1);
    const from = Math.max(start, offset);
    const to = Math.min(end, offset + size);
    if (from >= to) continue;
    const base = stateNames.length * start + stateIndex * (end - start) - start;
    visit(moments.subarray(base + from, base + to), from - offset);
  }
}

function floatsOf(path: string, arrays: ReadonlyMap<string, NamedArray>, name: string, size: number): Float32Array {
  const found = arrays.get(name);
  if (found?.data instanceof Float32Array && found.data.length === size) return found.data;
  const got = found === undefined ? 'none' : `${found.dtype} [${found.shape.join(',')}]`;
  throw new CheckpointError(
    'CHECKPOINT_MISMATCH',
    `resume: ${name} must have ${size} float32 values, got ${got} in ${path}. Resume with the model that was saved.`,
    { name, path },
  );
}

/** Paths of checkpoint folders, newest first. Drafts and other things in the directory are not looked at. */
async function checkpoints(directory: string): Promise<string[]> {
  const folder = toPath(directory);
  const names = (await listFolder(folder))
    .filter((name) => FOLDER.test(name))
    .sort()
    .reverse();
  return names.map((name) => joinPath(folder, name));
}

async function readState(path: string): Promise<CheckpointState | null> {
  let state: Partial<CheckpointState>;
  try {
    state = JSON.parse(
      new TextDecoder().decode(await readFile(joinPath(path, 'state.json'))),
    ) as Partial<CheckpointState>;
  } catch {
    return null; // not whole: an older one is tried
  }
  if (state.format === 1) return state as CheckpointState;
  throw new CheckpointError(
    'CHECKPOINT_VERSION',
    `resume: the format must be 1, got ${String(state.format)} in ${path}. Resume with the version of shoal that wrote it.`,
    { path, format: state.format },
  );
}

async function verifies(path: string, state: CheckpointState): Promise<boolean> {
  const files = [
    ['model.safetensors', state.modelSha256],
    ['optimizer.safetensors', state.optimizerSha256],
  ] as const;
  for (const [name, expected] of files) {
    const file = joinPath(path, name);
    const whole = await fileSize(file).then(
      async () => hashOf([await readFile(file)]) === expected,
      () => false,
    );
    if (!whole) return false;
  }
  return true;
}

function hashOf(chunks: Uint8Array | readonly Uint8Array[]): string {
  const hash = sha256();
  for (const chunk of chunks instanceof Uint8Array ? [chunks] : chunks) hash.update(chunk);
  return hash.digest();
}
