/** Mutants are run in the long tests only; that each still has a place in the sources is looked at here, when the source changes. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

interface Mutant {
  readonly name: string;
  readonly file: string;
  readonly from: string;
}

const list = async <Name extends string>(file: string): Promise<Readonly<Record<Name, readonly Mutant[]>>> =>
  import(/* @vite-ignore */ new URL(file, import.meta.url).href);
const { kernelMutants } = await list<'kernelMutants'>('kernel-mutants.mjs');
const { productMutants } = await list<'productMutants'>('product-mutants.mjs');
const { gradientMutants } = await list<'gradientMutants'>('gradient-mutants.mjs');
const source = (file: string): string => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');

describe('every mutant', () => {
  it.each([...kernelMutants, ...productMutants, ...gradientMutants])('applies: $name', ({ file, from }) => {
    expect(source(file)).toContain(from);
  });
});
