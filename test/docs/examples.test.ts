/**
 * Documentation that is true: every `@example` of the sources that users reach, and every TypeScript block of README and CONTRIBUTING, passes
 * the compiler and runs on the built package. An example may use what test/docs/prelude.ts says. `// => value` behind one of its statements is
 * checked: tensors as they print, other values as JavaScript, typed arrays as arrays.
 */
import { readFileSync } from 'node:fs';
import ts from 'typescript';
import { beforeAll, describe, expect, it } from 'vitest';
import { readSources, root } from './extract.ts';
import { type Outcome, runExamples } from './modules.ts';

const sources = readSources();

describe('examples', () => {
  let outcomes: ReadonlyMap<string, Outcome>;
  beforeAll(async () => {
    outcomes = await runExamples(sources);
  });

  it('are all found', () => {
    const files = ['src', 'kernels'].flatMap((room) => ts.sys.readDirectory(`${root}${room}`, ['.ts']));
    const counts = files.map((file) => readFileSync(file, 'utf8').split(/\* @example\b/).length - 1);
    const found = sources.examples.filter(({ file }) => file.endsWith('.ts'));
    expect(found.length).toBe(counts.reduce((sum, count) => sum + count, 0));
  });

  it.each(sources.examples.map(({ name }) => name))('%s', (name) => {
    expect(outcomes.get(name)).toEqual({ types: [], failure: null });
  });
});

describe('public symbols', () => {
  it('all have a docstring', () => {
    expect(sources.symbols.filter(({ hasDocstring }) => !hasDocstring).map(({ name }) => name)).toEqual([]);
    expect(sources.symbols.flatMap(({ bareMembers }) => bareMembers)).toEqual([]);
  });

  it('all functions and classes have an example, but for a list that only shrinks', () => {
    const baseline = JSON.parse(readFileSync(new URL('without-example.json', import.meta.url), 'utf8')) as string[];
    const lacking = sources.symbols.filter(({ kind, hasExample }) => kind === 'callable' && !hasExample);
    // A new name here: write an example. A name that is only in the list: it has an example now, or is gone; take it off the list.
    expect(lacking.map(({ name }) => name)).toEqual(baseline);
  });
});
