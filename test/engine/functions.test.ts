import { describe, expect, it } from 'vitest';
import {
  describeFunction,
  functionKind,
  functionLabel,
  type InlineFunction,
  permanentCodes,
  resolveFunction,
  task,
} from '../../src/engine/functions.ts';
import { importModule } from '../../src/import-module.ts';

const fixture = (file: string): string => new URL(`../fixtures/${file}`, import.meta.url).href;
const coded = (code: string): unknown => expect.objectContaining({ code, name: 'EngineError' });
const inline = (source: string, values?: unknown): InlineFunction => ({ kind: 'inline', source, name: '', values });

/** What a worker would get. */
async function roundTrip(fn: unknown, values?: unknown): Promise<(...inputs: readonly unknown[]) => unknown> {
  return resolveFunction(structuredClone(describeFunction(fn, values)));
}

describe('inline functions', () => {
  it('run from their source, with values behind the inputs', async () => {
    expect((await roundTrip((x: number, { k }: { k: number }) => x * k, { k: 3 }))(5)).toBe(15);
    expect((await roundTrip((a: number, b: number) => a - b))(5, 3)).toBe(2);
    expect((await roundTrip((...all: unknown[]) => all.length))(1, 2)).toBe(2);
    expect((await roundTrip((...all: unknown[]) => all.length, 0))(1, 2)).toBe(3);
    expect(
      (
        await roundTrip(function named(x: number): number {
          return x === 0 ? 0 : 1 + named(x - 1);
        })
      )(4),
    ).toBe(4);
  });

  it('keep their kind, so that a synchronous chain stays synchronous', async () => {
    const later = await roundTrip(async (x: number, k: number) => x * k, 2);
    expect(functionKind(later)).toBe('async');
    expect(await later(4)).toBe(8);
    const pairs = await roundTrip(function* (x: number, k: number) {
      yield x;
      yield x * k;
    }, 2);
    expect(functionKind(pairs)).toBe('generator');
    expect([...(pairs(4) as Iterable<number>)]).toEqual([4, 8]);
    const stream = await roundTrip(async function* (x: number) {
      yield x;
    });
    expect(functionKind(stream)).toBe('asyncGenerator');
    const seen: unknown[] = [];
    for await (const x of stream(4) as AsyncIterable<number>) seen.push(x);
    expect(seen).toEqual([4]);
    expect(functionKind(await roundTrip((x: number) => x))).toBe('sync');
  });

  it('have their values copied when described, not when run', async () => {
    const values = { list: [1, 2] };
    const spec = describeFunction((x: number, { list }: { list: number[] }) => list.length + x, values);
    values.list.push(3);
    expect((await resolveFunction(spec))(0)).toBe(2);
  });

  it('share SharedArrayBuffers among values', async () => {
    const shared = new SharedArrayBuffer(4);
    const read = await roundTrip((_: number, s: SharedArrayBuffer) => new Int32Array(s)[0], shared);
    new Int32Array(shared)[0] = 7;
    expect(read(0)).toBe(7);
  });

  it('are compiled once a source', async () => {
    const source = '(x) => ({ same: "source", x })';
    const a = describeFunction(new Function(`return ${source}`)() as unknown);
    const count = (await roundTrip(function counter(this: undefined, x: number) {
      const self = counter as unknown as { calls?: number };
      self.calls = (self.calls ?? 0) + x;
      return self.calls;
    })) as (x: number) => number;
    expect(count(1)).toBe(1);
    expect(count(1)).toBe(2);
    expect((await resolveFunction(a))(1)).toEqual({ same: 'source', x: 1 });
  });
});

describe('what cannot travel is refused where it is written', () => {
  const object = {
    method(x: number) {
      return x;
    },
    get value() {
      return 1;
    },
    async later() {},
    *items() {},
    'computed name'() {},
  };
  class Model {
    forward(x: number) {
      return x;
    }
  }
  const getter = Object.getOwnPropertyDescriptor(object, 'value')!.get;
  it.each([
    ['FUNCTION_NATIVE', Math.max],
    ['FUNCTION_NATIVE', Number],
    ['FUNCTION_BOUND', ((x: number) => x).bind(null)],
    ['FUNCTION_CLASS', Model],
    ['FUNCTION_METHOD', object.method],
    ['FUNCTION_METHOD', object.later],
    ['FUNCTION_METHOD', object.items],
    ['FUNCTION_METHOD', object['computed name']],
    ['FUNCTION_METHOD', getter],
    ['FUNCTION_METHOD', new Model().forward],
    ['FUNCTION_IMPORT', new Function('return async () => (await import("./near.mjs")).f')()],
    ['FUNCTION_NONE', 3],
    ['FUNCTION_NONE', null],
    ['FUNCTION_NONE', { kind: 'inline' }],
    ['FUNCTION_NONE', undefined],
  ])('%s', (code, fn) => {
    expect(() => describeFunction(fn)).toThrow(coded(code) as Error);
  });

  it('FUNCTION_SYNTAX: source that means something only inside its module', async () => {
    await expect(resolveFunction(inline('() => import.meta.url'))).rejects.toEqual(coded('FUNCTION_SYNTAX'));
    expect(permanentCodes.has('FUNCTION_SYNTAX')).toBe(true);
  });

  it('values: functions, class instances, values beside a task', () => {
    const f = (x: number) => x;
    expect(() => describeFunction(f, { g: () => 1 })).toThrow(coded('VALUES_NOT_CLONEABLE') as Error);
    expect(() => describeFunction(f, { deep: [{ model: new Model() }] })).toThrow(/values\.deep\[0\]\.model/);
    expect(() => describeFunction(f, { deep: [{ model: new Model() }] })).toThrow(coded('VALUES_NOT_PLAIN') as Error);
    expect(() => describeFunction(task(fixture('functions.mjs'), 'plain'), 3)).toThrow(
      coded('FUNCTION_VALUES') as Error,
    );
    const cyclic: { self?: unknown } = {};
    cyclic.self = cyclic;
    const kept = describeFunction(f, {
      cyclic,
      map: new Map([[1, 2]]),
      bytes: new Uint8Array(2),
      none: Object.create(null),
    });
    expect((kept.kind === 'inline' && (kept.values as { map: Map<number, number> }).map.get(1)) || 0).toBe(2);
  });
});

describe('a free variable fails at first execution and is named', () => {
  const outside = 3;
  it('in a plain function', async () => {
    // Through `new Function`, because a bundler may inline a constant.
    const fn = await resolveFunction(inline('(x) => x * outsideOfIt'));
    expect(() => fn(1)).toThrow(coded('FREE_VARIABLE') as Error);
    expect(() => fn(1)).toThrow(/outsideOfIt.*Pass it as a value.*task\(/s);
    const real = await roundTrip((x: number) => x * outside);
    expect(() => real(1)).toThrow(
      expect.objectContaining({ code: 'FREE_VARIABLE', fields: { variable: 'outside', function: '' } }),
    );
  });

  it('also when assigned to, in async functions and in generators', async () => {
    await expect(async () => (await resolveFunction(inline('() => { gone = 1 }')))()).rejects.toEqual(
      coded('FREE_VARIABLE'),
    );
    await expect(async () => (await resolveFunction(inline('async () => gone')))()).rejects.toEqual(
      coded('FREE_VARIABLE'),
    );
    const generator = await resolveFunction(inline('function* () { yield gone }'));
    expect(() => [...(generator() as Iterable<unknown>)]).toThrow(coded('FREE_VARIABLE') as Error);
    const stream = await resolveFunction(inline('async function* () { yield gone }'));
    await expect((stream() as AsyncIterator<unknown>).next()).rejects.toEqual(coded('FREE_VARIABLE'));
  });

  it('names the import that a loader rewrote', async () => {
    const viaVitest = await roundTrip(() => describeFunction(1));
    expect(() => viaVitest()).toThrow(/the import describeFunction/);
    const old = await resolveFunction(inline('() => (0, __vite_ssr_import_2__.relu)(1)'));
    expect(() => old()).toThrow(/the import relu/);
    const meta = await resolveFunction(inline('() => __vite_ssr_import_meta__.url'));
    expect(() => meta()).toThrow(/got import\.meta in/);
  });

  it('names what a minified helper may be', async () => {
    const minified = await resolveFunction(inline('(x) => { let f = t((y) => y, "f"); return f(x) }'));
    expect(() => minified(1)).toThrow(/the free variable t .*let it not keep them/s);
    const short = await resolveFunction(inline('(x) => x * k'));
    expect(() => short(1)).toThrow(/"name"\)\.$/);
    const fields = expect.objectContaining({ fields: { variable: 'relu', function: '' } });
    const imported = await resolveFunction(inline('() => (0, __vite_ssr_import_2__.relu)(1)'));
    expect(() => imported()).toThrow(fields as Error);
  });

  it('names this, which an arrow function takes from where it is written', async () => {
    class Scaler {
      readonly k = 3;
      readonly scale = (x: number): number => x * this.k;
    }
    const scale = await roundTrip(new Scaler().scale);
    expect(() => scale(1)).toThrow(expect.objectContaining({ code: 'FREE_VARIABLE' }) as Error);
    expect(() => scale(1)).toThrow(/got this in/);
    const own = await roundTrip(function (this: undefined) {
      return this;
    });
    expect(own()).toBe(undefined);
  });

  it('leaves other errors as they are', async () => {
    const own = await resolveFunction(inline('() => { throw new TypeError("mine") }'));
    expect(() => own()).toThrow(TypeError);
    const elsewhere = await resolveFunction(inline('() => { throw new ReferenceError("distant is not the point") }'));
    expect(() => elsewhere()).toThrow(ReferenceError);
    const dead = await resolveFunction(inline('() => { early; let early = 1; }'));
    expect(() => dead()).toThrow(ReferenceError);
  });
});

describe('helpers that loaders inject are shimmed', () => {
  it.each([
    ['esbuild', '(x) => { const f = __name((y) => y + 1, "f"); return f(x) }'],
    ['istanbul', '(x) => { cov_1a2b3c().f[0]++; cov_1a2b3c().s[1]++; return (cov_1a2b3c().b[0][1]++, x + 1) }'],
    ['old istanbul', "(x) => { __cov_a$.s['1']++; __coverage__['f'].s[0] += 1; return x + 1 }"],
  ])('%s', async (_, source) => {
    expect((await resolveFunction(inline(source)))(1)).toBe(2);
  });
});

describe('module tasks', () => {
  it('run exports with args bound last', async () => {
    expect((await resolveFunction(task(fixture('functions.mjs'), 'scale', { k: 3 })))(5)).toBe(15);
    expect((await resolveFunction(task(fixture('functions.mjs'), 'plain')))(5)).toBe(6);
    expect((await resolveFunction(task(fixture('functions.mjs'), 'default')))(5)).toBe(-5);
    const later = await resolveFunction(task(fixture('functions.mjs'), 'scaleLater', { k: 2 }));
    expect([functionKind(later), await later(5)]).toEqual(['async', 10]);
    const twice = await resolveFunction(task(new URL(fixture('functions.mjs')), 'twice', '!'));
    expect([functionKind(twice), [...(twice('a') as Iterable<string>)]]).toEqual(['generator', ['a', 'a!']]);
  });

  it('fail with codes that are not worth another attempt', async () => {
    const codes = [];
    for (const spec of [
      task(fixture('nowhere.mjs'), 'scale'),
      task(fixture('broken.mjs'), 'scale'),
      task(fixture('functions.mjs'), 'missing'),
      task(fixture('functions.mjs'), 'notAFunction'),
      task(fixture('functions.mjs'), 'toString'),
    ]) {
      codes.push(await resolveFunction(spec).catch((error: { code: string }) => error.code));
    }
    expect(codes).toEqual([
      'MODULE_NOT_FOUND',
      'MODULE_FAILED',
      'EXPORT_NOT_FOUND',
      'EXPORT_NOT_FOUND',
      'EXPORT_NOT_FOUND',
    ]);
    expect(codes.every((code) => permanentCodes.has(String(code)))).toBe(true);
    await expect(resolveFunction(task(fixture('functions.mjs'), 'missing'))).rejects.toThrow(/scale/);
  });

  it('a module that never finishes loading in the thread of the program is an error, not a hang', async () => {
    (globalThis as Record<string, unknown>).neverComes = new Promise(() => {});
    const loading = importModule(fixture('waits.mjs'), 50);
    await expect(loading).rejects.toEqual(coded('MODULE_NOT_LOADED'));
    await expect(loading).rejects.toThrow(/waits\.mjs, which has not for 0\.05 s.*a module of their own/);
    expect(permanentCodes.has('MODULE_NOT_LOADED')).toBe(true);
  });

  it('TypeScript that Node cannot load says which Node can', async () => {
    const loading = importModule('file:///nowhere/tasks.ts');
    await expect(loading).rejects.toEqual(coded('MODULE_NOT_FOUND'));
    await expect(loading).rejects.toThrow(/22\.18/);
  });

  it('refuse relative modules and bad names', () => {
    expect(() => task(undefined as unknown as string, 'f')).toThrow(/CommonJS has none/);
    expect(() => task('./x.js', 'f')).toThrow(coded('TASK_URL') as Error);
    expect(() => task(import.meta.url, '')).toThrow(coded('TASK_EXPORT') as Error);
  });

  it('have labels for plans', () => {
    expect(functionLabel(task(fixture('functions.mjs'), 'scale'))).toBe('scale');
    expect(functionLabel(inline('(x) =>\n  x'))).toBe('(x) => x');
  });
});
