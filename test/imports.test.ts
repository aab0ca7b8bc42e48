import { readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Which rooms a room may import (docs: CONTRIBUTING.md); every room of src may import the pure ones. */
const pure = ['errors', 'shape', 'dtype', 'random', 'import-module'];
const allowed: Readonly<Record<string, readonly string[]>> = {
  assembly: [],
  kernels: ['errors', 'build'], // build/embedded*.ts hold the compiled assembly/
  ...Object.fromEntries(pure.map((room) => [room, pure])),
  platform: pure,
  codec: [...pure, 'kernels'], // for the checksum of frames
  tensor: [...pure, 'kernels'],
  ops: [...pure, 'tensor', 'kernels'],
  autograd: [...pure, 'tensor', 'ops'],
  nn: [...pure, 'tensor', 'ops', 'autograd'],
  optim: [...pure, 'tensor', 'ops', 'autograd', 'kernels'], // an update runs on slices, which are not tensors
  engine: [...pure, '#platform', 'codec'],
  data: [...pure, '#platform', 'codec', 'engine'],
  'intra-op': [...pure, '#platform', 'kernels'],
  models: [...pure, 'nn'],
  io: [...pure, '#platform', 'codec', 'tensor', 'data'],
  install: ['tensor', 'ops', 'autograd'],
};
/** May import everything: the only room where tensors meet the engine, and the main entry. */
const free = ['train', 'index'];

const files = ['src', 'kernels', 'assembly'].flatMap((folder) => listFiles(join(root, folder)));

function listFiles(folder: string): string[] {
  return ts.sys.readDirectory(folder, ['.ts']);
}

/** `ops` for src/ops/conv.ts, `errors` for src/errors.ts, `kernels` for kernels/gemm.ts. */
function roomOf(file: string): string {
  const [first, second] = relative(root, file).split(sep);
  return first === 'src' ? second!.replace(/\.ts$/, '') : first!;
}

function importsOf(file: string): string[] {
  return ts.preProcessFile(readFileSync(file, 'utf8')).importedFiles.map(({ fileName }) => fileName);
}

it('every import follows an arrow between rooms', () => {
  const wrong: string[] = [];
  for (const file of files) {
    const room = roomOf(file);
    const isEntry = file.endsWith(`${sep}index.ts`);
    for (const specifier of importsOf(file)) {
      const target = specifier.startsWith('.') ? roomOf(join(dirname(file), specifier)) : specifier;
      const isAllowed =
        target === room ||
        (free.includes(room) && !target.startsWith('node:')) ||
        allowed[room]?.includes(target) ||
        (room === 'platform' && target.startsWith('node:')) ||
        (isEntry && target === 'install'); // the declared exception: entries add the methods of tensors
      if (!isAllowed) wrong.push(`${relative(root, file)} (${room}) -> ${specifier} (${target})`);
    }
  }
  expect(wrong).toEqual([]);
});

/** The files that loading a file loads, itself included. */
function reachedFrom(file: string, reached = new Set<string>()): Set<string> {
  if (reached.has(file)) return reached;
  reached.add(file);
  const relatives = importsOf(file).filter((specifier) => specifier.startsWith('.'));
  for (const specifier of relatives) reachedFrom(join(dirname(file), specifier), reached);
  return reached;
}

it('the checksum loads its own small binary, not the kernels', () => {
  const reached = [...reachedFrom(join(root, 'kernels/crc32c.ts'))].map((file) => relative(root, file));
  expect(reached.filter((file) => file.startsWith('build'))).toEqual([join('build', 'embedded-crc32c.ts')]);
});

it('the test sees imports, and every room has a rule', () => {
  expect(files.length).toBeGreaterThan(100);
  expect(importsOf(join(root, 'src/train/run.ts'))).toContain('../engine/engine.ts');
  const rooms = new Set(files.map(roomOf));
  for (const room of rooms) expect([...Object.keys(allowed), ...free]).toContain(room);
});
