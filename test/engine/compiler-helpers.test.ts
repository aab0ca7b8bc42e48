/** Inline functions as compilers for old targets leave them: with the supplied helpers they do what the source says. */
import { readFileSync } from 'node:fs';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { helperNames, loaderShims } from '../../src/engine/compiler-helpers.ts';
import { functionKind, resolveFunction } from '../../src/engine/functions.ts';

/** The expression of a function as tsc emits it for a target, without the helpers that tsc would put above it. */
function compiled(source: string, target: ts.ScriptTarget): string {
  const options = { target, module: ts.ModuleKind.ESNext, noEmitHelpers: true, removeComments: true };
  return ts
    .transpileModule(`(${source})`, { compilerOptions: options })
    .outputText.trim()
    .replace(/^(?:"use strict";\s*)?\(|\);?$/g, '');
}

const resolve = (source: string) => resolveFunction({ kind: 'inline', source, name: '', values: undefined });

/** What an async iterable gives until it ends, throws, or the reader has `most`. */
async function read(stream: AsyncIterable<unknown>, most = Number.POSITIVE_INFINITY): Promise<unknown[]> {
  const seen: unknown[] = [];
  try {
    for await (const value of stream) if (seen.push(value) >= most) break;
  } catch (error) {
    seen.push((error as Error).message);
  }
  return seen;
}

const targets = { ES2015: ts.ScriptTarget.ES2015, ES2017: ts.ScriptTarget.ES2017, ES2021: ts.ScriptTarget.ES2021 };

describe.each(Object.entries(targets))('compiled for %s', (_, target) => {
  it.each([
    ['object spread and rest', '(o: any) => { const { a, ...rest } = { ...o, b: 2 }; return [a, rest]; }'],
    ['array spread', '(o: any) => [0, ...o.list, ...o.list]'],
    ['power', '(o: any) => o.a ** 3'],
    [
      'private members',
      `(o: any) => {
        class C {
          static #made = 0;
          #n = 1;
          list?: number[] = [1];
          get #twice() { return this.#n * 2; }
          set #twice(v: number) { this.#n = v / 2; }
          #add(k: number) { return (this.#n += k); }
          run(k: number) { C.#made++; this.#twice = this.#add(k) * 4; return [this.#twice, C.#made]; }
        }
        return new C().run(o.a);
      }`,
    ],
  ])('%s', async (__, source) => {
    const native = (await resolve(compiled(source, ts.ScriptTarget.ES2022)))({ a: 5, list: [1, 2] });
    const fn = await resolve(compiled(source, target));
    expect(fn({ a: 5, list: [1, 2] })).toEqual(native);
  });

  it.each([
    ['async (x: number) => { const f = async () => x; return f(); }', 3],
    ['async (x: number) => (await Promise.resolve(x)) + 1', 4],
    ['async function (x: number) { try { await Promise.reject(new Error("no")); } catch { return x + 2; } }', 5],
    ['async (x: number) => { for await (const y of [Promise.resolve(x)]) return y; }', 3],
  ])('async: %s', async (source, result) => {
    const fn = await resolve(compiled(source, target));
    expect(functionKind(fn)).toBe('async');
    expect(await fn(3)).toBe(result);
    const failing = await resolve(compiled('async (x: number) => { throw new Error("it is " + await x); }', target));
    await expect(failing(3)).rejects.toThrow('it is 3');
  });

  it.each([
    ['async function* (x: number) { yield x; yield await Promise.resolve(x + 1); }'],
    [
      'async function* (x: number) { yield* [x, Promise.resolve(2)]; const last = yield* (async function* () { yield 7; return 8; })(); yield last; }',
    ],
    ['async function* (x: number) { for await (const y of [x, Promise.resolve(4)]) yield y; return 9; }'],
    [
      'async function* (x: number) { try { yield x; await Promise.reject(new Error("inside")); } catch (e: any) { yield e.message; } }',
    ],
    ['async function* (x: number) { yield x; throw new Error("at the end"); }'],
  ])('async generators: %s', async (source) => {
    const native = await resolve(compiled(source, ts.ScriptTarget.ES2022));
    const fn = await resolve(compiled(source, target));
    expect(functionKind(fn)).toBe('asyncGenerator');
    expect(await read(fn(3) as AsyncIterable<unknown>)).toEqual(await read(native(3) as AsyncIterable<unknown>));
  });

  it('async generators end when their reader leaves: what they and their sources do at the end is done', async () => {
    const source = `async function* (log: string[]) {
      async function* inner() { try { yield 1; yield 2; } finally { await null; log.push("inner"); } }
      try { yield* inner(); } finally { await null; log.push("outer"); }
    }`;
    const log: string[] = [];
    const fn = await resolve(compiled(source, target));
    expect(await read(fn(log) as AsyncIterable<unknown>, 1)).toEqual([1]);
    expect(log).toEqual(['inner', 'outer']);
  });
});

it('the list of helpers is that of docs/loaders.md', () => {
  const page = readFileSync(new URL('../../docs/loaders.md', import.meta.url), 'utf8');
  const told = new Set([...page.matchAll(/`(__\w+)`/g)].map(([, name]) => name));
  expect([...told].sort()).toEqual([...helperNames].sort());
});

it('only what a source mentions is supplied, and nothing that is not on the list', () => {
  expect([...loaderShims('(x) => __name(() => x.__rest, "f") + __helper(x)').keys()]).toEqual(['__name']);
});
