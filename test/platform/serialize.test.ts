import { isProxy } from 'node:util/types';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deserialize, serialize, sharedFromBytes } from '../../src/platform/node-serialize.ts';

const runs = Number(process.env.SHOAL_FUZZ ?? 300); // longer: npm run test:long
const copy = (value: unknown): unknown => deserialize(serialize(value));

/** Everything that vitest's equality sees: prototypes, order of Maps, -0, holes, NaN, types of errors. */
function expectAsCloned(value: unknown): void {
  expect(isProxy(value)).toBe(false);
  expect(copy(value)).toStrictEqual(structuredClone(value));
}

describe('serialize', () => {
  it('copies what structured clone copies', () => {
    const anything = fc.anything({
      withBigInt: true,
      withBoxedValues: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withSparseArray: true,
      withTypedArray: true,
      withUnicodeString: true,
    });
    fc.assert(fc.property(anything, expectAsCloned), { numRuns: runs });
  });

  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['a record with undefined', { a: undefined, b: null }],
    ['a date that is none', new Date(Number.NaN)],
    ['a regular expression', /a+/giu],
    ['an array buffer', Uint8Array.of(1, 2, 3).buffer],
    ['a data view', new DataView(Uint8Array.of(9, 1, 2, 3, 9).buffer)],
    ['big integers', [2n ** 80n, new BigInt64Array([-1n]), new BigUint64Array([2n ** 64n - 1n])]],
    ['clamped bytes', Uint8ClampedArray.of(1, 255)],
    ['a Buffer, as Uint8Array', Buffer.from('abc')],
    [
      'a class, as a plain record',
      new (class Point {
        readonly x = 1;
      })(),
    ],
    ['an accessor, as its value', Object.defineProperty({}, 'x', { get: () => 5, enumerable: true })],
  ])('%s', (_name, value) => expectAsCloned(value));

  it('keeps identity and cycles', () => {
    const array = Float32Array.of(1, 2);
    const value: { array: unknown; again: unknown; self?: unknown } = { array, again: array };
    value.self = value;
    const result = copy(value) as typeof value;
    expect(result.self).toBe(result);
    expect(result.again).toBe(result.array);
  });

  it.each<[string, () => Error]>([
    ['an error', () => new Error('a')],
    ['a TypeError with a cause', () => new TypeError('a', { cause: new RangeError('b') })],
    ['an error of a class of its own', () => new (class Own extends SyntaxError {})('own')],
    ['an error with more properties', () => Object.assign(new Error('a'), { code: 'CODE', fields: { rows: 3 } })],
  ])('%s: as structured clone', (_name, make) => {
    const thrown = make();
    const [result, cloned] = [copy(thrown), structuredClone(thrown)] as [Error, Error];
    const parts = (error: Error): unknown => [
      Object.getPrototypeOf(error).constructor.name,
      error.name,
      error.message,
      error.stack,
      Object.keys(error),
      (error.cause as Error | undefined)?.message,
    ];
    expect(parts(result)).toEqual(parts(cloned));
  });

  it.each<[string, unknown]>([
    ['a function', () => 1],
    ['a function inside', { a: [() => 1] }],
    ['a symbol', Symbol('s')],
    ['a promise', Promise.resolve()],
    ['a weak map', new WeakMap()],
    ['a proxy of a function', new Proxy(() => 1, {})],
  ])('refuses %s as structured clone does', (_name, value) => {
    const thrownBy = (action: () => unknown): unknown => {
      try {
        return action();
      } catch (error) {
        return [(error as Error).constructor.name, (error as Error).name, (error as Error).message];
      }
    };
    expect(thrownBy(() => serialize(value))).toEqual(thrownBy(() => structuredClone(value)));
  });

  it('refuses a port', () => {
    const { port1, port2 } = new MessageChannel();
    try {
      expect(() => serialize({ port1 })).toThrow(expect.objectContaining({ name: 'DataCloneError' }));
    } finally {
      port1.close();
      port2.close();
    }
  });

  it('passes on what a getter throws', () => {
    const value = Object.defineProperty({}, 'x', {
      get: () => {
        throw new Error('of the getter');
      },
      enumerable: true,
    });
    expect(() => serialize(value)).toThrow('of the getter');
  });
});

describe('typed arrays', () => {
  const types = [Uint8Array, Int16Array, Uint32Array, Float32Array, Float64Array] as const;

  it.each(types.map((type) => [type.name, type] as const))(
    '%s travels as what it looks at, from shared memory too',
    (_name, Type) => {
      for (const buffer of [new ArrayBuffer(64), new SharedArrayBuffer(64)]) {
        const whole = new Type(buffer as ArrayBuffer);
        for (let i = 0; i < whole.length; i++) whole[i] = i + 1;
        const [, result] = copy(['x', whole.subarray(1, 3)]) as [string, InstanceType<typeof Type>];
        expect(result).toBeInstanceOf(Type);
        expect([...result]).toEqual([2, 3]);
        expect(result.buffer).toBeInstanceOf(ArrayBuffer);
        expect(result.buffer.byteLength).toBe(2 * Type.BYTES_PER_ELEMENT);
      }
    },
  );

  it('arrive over shared memory from a size on', () => {
    for (const length of [sharedFromBytes - 4, sharedFromBytes]) {
      const values = Float32Array.from({ length: length / 4 }, (_, i) => i);
      // Nothing may hang on the position in the message.
      for (const before of ['', 'a', 'ab', 'abc']) {
        const [, result] = copy([before, values]) as [string, Float32Array];
        expect(result).toEqual(values);
        expect(result.byteOffset).toBe(0);
        expect(result.buffer.byteLength).toBe(length);
        expect(result.buffer).toBeInstanceOf(length < sharedFromBytes ? ArrayBuffer : SharedArrayBuffer);
      }
    }
  });

  it('do not drag a large buffer along', () => {
    expect(serialize(new Uint8Array(new ArrayBuffer(1e6), 10, 5)).length).toBeLessThan(100);
  });
});

describe('shared buffers', () => {
  it('travel by content, each once', () => {
    const shared = [3, 0, 100_000].map((length, index) => {
      const buffer = new SharedArrayBuffer(length);
      new Uint8Array(buffer).fill(index + 7);
      return buffer;
    });
    const result = copy({ shared, again: shared[2], view: new Uint8Array(shared[0]!) }) as {
      shared: SharedArrayBuffer[];
      again: unknown;
      view: Uint8Array;
    };
    for (const [index, buffer] of result.shared.entries()) {
      expect(buffer).toBeInstanceOf(SharedArrayBuffer);
      expect(buffer).not.toBe(shared[index]);
      expect([...new Uint8Array(buffer)]).toEqual([...new Uint8Array(shared[index]!)]);
    }
    expect(result.again).toBe(result.shared[2]);
    expect([...result.view]).toEqual([7, 7, 7]);
  });

  it('are told from data that look like their marks', () => {
    // The marks of the next thousand ids as data: one that is taken for a buffer would change.
    const probe = serialize(new SharedArrayBuffer(1));
    const id = new DataView(probe.buffer, probe.byteOffset + probe.length - 12).getUint32(0, true);
    const marks = Array.from({ length: 1000 }, (_, i) => {
      const bytes = [0x75];
      for (let rest = id + i; rest > 0; rest = Math.floor(rest / 128))
        bytes.push((rest % 128) | (rest >= 128 ? 128 : 0));
      return bytes;
    }).flat();
    const [buffer, data] = copy([new SharedArrayBuffer(2), Uint8Array.from(marks)]) as [SharedArrayBuffer, Uint8Array];
    expect(buffer).toBeInstanceOf(SharedArrayBuffer);
    expect([...data]).toEqual(marks);
  });
});

describe('bytes of others', () => {
  it('are a FormatError, or a value', () => {
    const good = serialize({
      a: [1, 'two', Float32Array.of(3)],
      b: new SharedArrayBuffer(4),
      c: new Map([[1n, new Date(0)]]),
    });
    fc.assert(
      fc.property(fc.nat(good.length), fc.nat(255), fc.nat(good.length), (at, value, cut) => {
        const bytes = Uint8Array.from(good).subarray(0, cut % 2 === 0 ? good.length : cut);
        if (at < bytes.length) bytes[at] = value;
        try {
          deserialize(bytes);
        } catch (error) {
          expect(error).toMatchObject({ code: 'FORMAT' });
        }
      }),
      { numRuns: runs },
    );
    expect(() => deserialize(new Uint8Array(0))).toThrow(expect.objectContaining({ code: 'FORMAT' }));
  });
});
