import { connect as nodeConnect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import {
  type Connection,
  connect,
  equalBytes,
  hmacSha256,
  type Listener,
  listen,
  randomBytes,
} from '../../src/platform/node-sockets.ts';
import { openSockets, until } from './open-sockets.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await until(() => openSockets() === 0);
});

/** Both ends of a connection. */
async function pair(): Promise<{ near: Connection; far: Connection; listener: Listener }> {
  let accept = (_connection: Connection): void => {};
  const accepted = new Promise<Connection>((resolve) => {
    accept = resolve;
  });
  const listener = await listen('127.0.0.1', (connection) => accept(connection));
  cleanups.push(() => listener.close());
  const near = await connect('127.0.0.1', listener.port, 2000);
  const far = await accepted;
  cleanups.push(
    () => near.destroy(),
    () => far.destroy(),
  );
  return { near, far, listener };
}

const closed = (connection: Connection): Promise<unknown> => new Promise((resolve) => connection.onClose(resolve));

/** Everything that arrives, up to `length` bytes. */
function take(connection: Connection, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let at = 0;
  return new Promise((resolve) => {
    connection.onData((chunk) => {
      bytes.set(chunk, at);
      at += chunk.length;
      if (at === length) resolve(bytes);
    });
  });
}

describe('connections', () => {
  it('send pieces in order, also of shared memory', async () => {
    const { near, far } = await pair();
    const shared = new Uint8Array(new SharedArrayBuffer(300_000), 7, 200_000);
    for (let i = 0; i < shared.length; i++) shared[i] = i % 251;
    const arrived = take(far, 200_006);
    near.write([Uint8Array.of(1, 2, 3), shared, new Uint8Array(0), Uint8Array.of(4)]);
    near.write([Uint8Array.of(5, 6)]);
    await near.drained();
    const expected = Buffer.concat([Uint8Array.of(1, 2, 3), shared, Uint8Array.of(4, 5, 6)]);
    expect(equalBytes(await arrived, expected)).toBe(true);
  });

  it('do not copy what they send: a change before it is sent arrives', async () => {
    const { near, far } = await pair();
    const bytes = new Uint8Array(new SharedArrayBuffer(32 * 2 ** 20)); // far more than the system takes at once
    expect(near.write([bytes])).toBe(false);
    bytes[bytes.length - 1] = 9;
    const arrived = await take(far, bytes.length);
    expect(arrived.at(-1)).toBe(9);
    await near.drained();
  });

  it('stop taking when the other side does not read, and go on when it does', async () => {
    const { near, far } = await pair();
    const megabyte = new Uint8Array(2 ** 20);
    let sent = 0;
    do sent += megabyte.length;
    while (near.write([megabyte]) && sent < 2 ** 28);
    expect(sent).toBeLessThan(2 ** 28);
    let isDrained = false;
    const drained = near.drained().then(() => {
      isDrained = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(isDrained).toBe(false);
    await take(far, sent);
    await drained;
    expect(near.write([Uint8Array.of(1)])).toBe(true);
  });

  it('pause and resume lose nothing', async () => {
    const { near, far } = await pair();
    const chunks: number[] = [];
    far.onData((chunk) => {
      chunks.push(...chunk);
      far.pause();
      setTimeout(() => far.resume(), 1);
    });
    for (let i = 0; i < 20; i++) {
      near.write([Uint8Array.of(i)]);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => chunks.length === 20);
    expect(chunks).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });

  it('tell both sides of the end, once, and drained resolves', async () => {
    const { near, far } = await pair();
    far.onData(() => {});
    near.onData(() => {});
    let calls = 0;
    near.onClose(() => calls++);
    near.write([new Uint8Array(2 ** 24)]);
    far.destroy();
    const [lost] = await Promise.all([closed(near), closed(far), near.drained()]);
    expect(lost === null || (lost as { code: string }).code === 'SOCKET_LOST').toBe(true);
    expect(await closed(near)).toBe(lost); // a late listener is told too
    expect(calls).toBe(1);
    expect(near.write([Uint8Array.of(1)])).toBe(true);
    await near.drained();
  });

  it('end sends what is written, and does not wait for ever', async () => {
    const { near, far } = await pair();
    const arrived = take(far, 2 ** 22);
    near.write([new Uint8Array(2 ** 22)]);
    near.end(5000);
    expect((await arrived).length).toBe(2 ** 22);
    expect(await closed(near)).toBeNull();

    const second = await pair(); // its far end never reads
    second.near.write([new Uint8Array(2 ** 24)]);
    second.near.end(20);
    expect(await closed(second.near)).toBeNull();
  });
});

describe('ports', () => {
  it('closed while connections live on', async () => {
    const { near, far, listener } = await pair();
    await listener.close();
    const arrived = take(far, 1);
    near.write([Uint8Array.of(7)]);
    expect([...(await arrived)]).toEqual([7]);
    await expect(connect('127.0.0.1', listener.port, 1000)).rejects.toMatchObject({
      code: 'SOCKET_CONNECT',
      fields: { system: 'ECONNREFUSED' },
    });
  });

  it('an address that is not ours is refused', async () => {
    await expect(listen('192.0.2.1', () => {})).rejects.toMatchObject({ code: 'SOCKET_LISTEN' });
  });

  it('connecting gives up after its time', async () => {
    // A listener whose queue is full answers nobody; where the system answers all the same, it is refused.
    await expect(connect('192.0.2.1', 9, 50)).rejects.toMatchObject({ code: 'SOCKET_CONNECT' });
  });

  it('a connection that is reset is SOCKET_LOST', async () => {
    let accept = (_connection: Connection): void => {};
    const accepted = new Promise<Connection>((resolve) => {
      accept = resolve;
    });
    const listener = await listen('127.0.0.1', (connection) => accept(connection));
    cleanups.push(() => listener.close());
    const socket = nodeConnect(listener.port, '127.0.0.1');
    const far = await accepted;
    far.onData(() => {});
    socket.resetAndDestroy();
    expect(await closed(far)).toMatchObject({ code: 'SOCKET_LOST', fields: { system: 'ECONNRESET' } });
  });
});

describe('cryptography', () => {
  it('HMAC-SHA256 as RFC 4231, test case 2', () => {
    const text = (value: string): Uint8Array => new TextEncoder().encode(value);
    expect(
      Buffer.from(hmacSha256(text('Jefe'), [text('what do ya want '), text('for nothing?')])).toString('hex'),
    ).toBe('5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843');
  });

  it('compares bytes of any length', () => {
    const bytes = randomBytes(32);
    expect(bytes.length).toBe(32);
    expect(equalBytes(bytes, bytes.slice())).toBe(true);
    expect(equalBytes(bytes, randomBytes(32))).toBe(false);
    expect(equalBytes(bytes, bytes.subarray(1))).toBe(false);
  });
});
