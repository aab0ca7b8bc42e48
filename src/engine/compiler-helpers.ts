/**
 * @file Helpers that loaders and compilers write into functions: an inline function arrives without them, so they are supplied. A closed list:
 * names of esbuild (tsx, Vite), of TypeScript's compiler, and of coverage tools. Any other free variable is an error that names it. Only what
 * targets from ES2015 on need; a minifier gives helpers other names, which nobody can know.
 */

type Generator = (...args: unknown[]) => Iterator<unknown, unknown, unknown>;
type Maps = WeakMap<object, unknown> | WeakSet<object>;

/** Marks what a generator that stands for an async one awaits. Called with and without `new`. */
function Await(this: unknown, value: unknown): object {
  return Object.assign(Object.create(Await.prototype) as object, { value });
}

/** A generator that yields promises, run as an async function. */
async function runAsync(self: unknown, args: ArrayLike<unknown> | null | undefined, generator: Generator) {
  const steps = generator.apply(self, Array.from(args ?? []));
  for (let step = steps.next(); ; ) {
    if (step.done) return step.value;
    let value: unknown;
    try {
      value = await step.value;
    } catch (error) {
      step = steps.throw!(error);
      continue;
    }
    step = steps.next(value);
  }
}

/** A generator that yields values and {@link Await} marks, run as an async generator. */
async function* runAsyncGenerator(self: unknown, args: ArrayLike<unknown> | null | undefined, generator: Generator) {
  const steps = generator.apply(self, Array.from(args ?? []));
  let done = false;
  try {
    for (let step = steps.next(); ; ) {
      let value = step.value;
      const awaits = value instanceof Await;
      try {
        if (awaits) value = await (value as { value: unknown }).value;
      } catch (error) {
        step = steps.throw!(error);
        continue;
      }
      done = step.done === true;
      if (done) return value;
      step = steps.next(awaits ? value : yield value);
    }
  } finally {
    // The reader left early: what the generator's `finally` awaits is awaited.
    if (!done) {
      for (
        let step = steps.return?.();
        step && !step.done;
        step = steps.next(await (step.value as { value?: unknown }).value)
      );
    }
  }
}

/** The iterator of `for await`. */
function asyncIterator(iterable: Record<symbol, (() => AsyncIterator<unknown>) | undefined>): AsyncIterator<unknown> {
  const own = iterable[Symbol.asyncIterator];
  if (own !== undefined) return own.call(iterable);
  return (async function* () {
    yield* iterable as unknown as Iterable<unknown>;
  })();
}

/** `yield*` inside of {@link runAsyncGenerator}. */
function* delegate(iterable: Parameters<typeof asyncIterator>[0]): globalThis.Generator<unknown, unknown, unknown> {
  const iterator = asyncIterator(iterable);
  const mark = Await as unknown as (value: unknown) => object;
  let done = false;
  try {
    for (;;) {
      const step = (yield mark(iterator.next())) as IteratorResult<unknown, unknown>;
      done = step.done === true;
      if (done) return step.value;
      yield step.value;
    }
  } finally {
    if (!done) yield mark(iterator.return?.());
  }
}

function without(source: object, names: readonly PropertyKey[]): object {
  const rest = { ...source } as Record<PropertyKey, unknown>;
  for (const name of names) delete rest[name];
  return rest;
}

function defineField(object: object, key: PropertyKey, value: unknown): unknown {
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  return value;
}

const helpers: Readonly<Record<string, unknown>> = {
  __name: (fn: unknown) => fn,
  __publicField: defineField,
  __pow: (base: number, exponent: number) => base ** exponent,
  // Objects: { ...a, b }, { a, ...rest } = b.
  __spreadValues: (target: object, source: object) => Object.assign(target, source),
  __spreadProps: (target: object, source: object) =>
    Object.defineProperties(target, Object.getOwnPropertyDescriptors(source)),
  __objRest: without,
  __restKey: (key: PropertyKey) => (typeof key === 'symbol' ? key : String(key)),
  __assign: Object.assign,
  __rest: without,
  __spreadArray: (to: unknown[], from: Iterable<unknown>) => [...to, ...from],
  // async and async generators.
  __async: runAsync,
  __awaiter: (self: unknown, args: ArrayLike<unknown>, _promise: unknown, generator: Generator) =>
    runAsync(self, args, generator),
  __await: Await,
  __asyncGenerator: runAsyncGenerator,
  __forAwait: asyncIterator,
  __asyncValues: asyncIterator,
  __yieldStar: delegate,
  __asyncDelegator: delegate,
  // #private members: a WeakMap for fields, a WeakSet for methods.
  __privateAdd: (object: object, members: Maps, value: unknown) =>
    members instanceof WeakSet ? members.add(object) : members.set(object, value),
  __privateGet: (object: object, members: Maps, getter?: () => unknown) =>
    getter ? getter.call(object) : (members as WeakMap<object, unknown>).get(object),
  __privateSet: (object: object, members: Maps, value: unknown, setter?: (value: unknown) => void) => {
    if (setter) setter.call(object, value);
    else (members as WeakMap<object, unknown>).set(object, value);
    return value;
  },
  __privateMethod: (_object: object, _members: Maps, method: unknown) => method,
  __classPrivateFieldGet: (object: object, members: Maps, kind: string, member?: unknown) => {
    if (kind === 'm') return member;
    if (kind === 'a') return (member as () => unknown).call(object);
    return member === undefined
      ? (members as WeakMap<object, unknown>).get(object)
      : (member as { value: unknown }).value;
  },
  __classPrivateFieldSet: (object: object, members: Maps, value: unknown, kind: string, member?: unknown) => {
    if (kind === 'a') (member as (value: unknown) => void).call(object, value);
    else if (member !== undefined) (member as { value: unknown }).value = value;
    else (members as WeakMap<object, unknown>).set(object, value);
    return value;
  },
};

/** Names of the helpers, for the documentation. */
export const helperNames: readonly string[] = Object.keys(helpers);

/**
 * The helpers that a function's source mentions, by name; istanbul's counters (`cov_1x2y().s[3]++`) among them. Imports that a loader rewrote
 * (`__vi_import_0__.foo`) are free variables like any other.
 */
export function loaderShims(source: string): Map<string, unknown> {
  const shims = new Map<string, unknown>();
  for (const [name] of source.matchAll(/(?<![\w$.])(?:__\w+|cov_\w+|__cov_[\w$]+)(?![\w$])/g)) {
    if (Object.hasOwn(helpers, name)) shims.set(name, helpers[name]);
    else if (/^(?:cov_|__cov_|__coverage__$)/.test(name)) shims.set(name, coverageCounters());
  }
  return shims;
}

/** Something that can be called, read and written at any depth, and is 0. */
function coverageCounters(): unknown {
  const counters: object = new Proxy(() => undefined, {
    apply: () => counters,
    get: (_target, key) => (key === Symbol.toPrimitive ? () => 0 : counters),
    set: () => true,
  });
  return counters;
}
