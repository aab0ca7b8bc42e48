/** Mutants are run in the long tests only; that each still has a place in the sources is looked at here, when the source changes. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

interface Mutant {
  readonly name: string;
  readonly file: string;
  readonly from: string;
}

const list = new URL('mutants.mjs', import.meta.url).href;
const mutants = (await import(/* @vite-ignore */ list)) as {
  readonly kernelMutants: readonly Mutant[];
  readonly gradientMutants: readonly Mutant[];
};
const source = (file: string): string => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');

describe('every mutant', () => {
  it.each([...mutants.kernelMutants, ...mutants.gradientMutants])('applies: $name', ({ file, from }) => {
    expect(source(file)).toContain(from);
  });
});
