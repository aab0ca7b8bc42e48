import { connect as connectRaw, createServer, type Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { encodeHeader, type FrameHeader } from '../../src/codec/frames.ts';
import { acceptPeer, connectPeer, type Peer, type PeerOptions } from '../../src/engine/process/peer.ts';
import { listen, randomBytes } from '../../src/platform/node.ts';
import { openSockets, until } from '../platform/open-sockets.ts';

const runs = Math.ceil(Number(process.env.SHOAL_FUZZ ?? 300) / 10); // longer: npm run test:long
const secret = randomBytes(32);
const host = '127.0.0.1';

const cleanups: (() => unknown)[] = [];
async function cleanUp(): Promise<void> {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await until(() => openSockets() === 0);
}
afterEach(cleanUp);

type Accepted = { readonly peer: Peer } | { readonly error: unknown };

/** Listens; the outcome of the first connection. */
async function accepting(options: Partial<PeerOptions> = {}): Promise<{ port: number; accepted: Promise<Accepted> }> {
  let settle = (_outcome: Accepted): void => {};
  const accepted = new Promise<Accepted>((resolve) => {
    settle = resolve;
  });
  const listener = await listen(host, (connection) => {
    acceptPeer(connection, { secret, hello: 'acceptor', ...options }).then(
      (peer) => {
        cleanups.push(() => peer.destroy());
        settle({ peer });
      },
      (error: unknown) => settle({ error }),
    );
  });
  cleanups.push(() => listener.close());
  return { port: listener.port, accepted };
}

async function connecting(port: number, options: Partial<PeerOptions> = {}): Promise<Peer> {
  const peer = await connectPeer(host, port, { secret, hello: { worker: 1 }, ...options });
  cleanups.push(() => peer.destroy());
  return peer;
}

function peerOf(outcome: Accepted): Peer {
  if ('peer' in outcome) return outcome.peer;
  throw outcome.error;
}

function codeOf(outcome: Accepted): string {
  if ('peer' in outcome) return 'accepted';
  return (outcome.error as { code?: string }).code ?? String(outcome.error);
}

const rejectionOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'resolved',
    (error: { code?: string }) => error.code ?? String(error),
  );

interface Received {
  readonly frames: { readonly header: FrameHeader; readonly payload: number[] }[];
  readonly closed: Promise<unknown>;
}

function receive(peer: Peer, sink?: (header: FrameHeader) => Uint8Array | null): Received {
  const frames: Received['frames'] = [];
  const closed = new Promise((resolve) => {
    let calls = 0;
    peer.listen({
      onFrame: (header, payload) => frames.push({ header, payload: [...payload] }),
      ...(sink === undefined ? {} : { sink }),
      onClose: (error) => {
        expect(++calls).toBe(1);
        resolve(error);
      },
    });
  });
  return { frames, closed };
}

async function pair(options: Partial<PeerOptions> = {}): Promise<{ near: Peer; far: Peer }> {
  const { port, accepted } = await accepting(options);
  const near = await connecting(port, options);
  return { near, far: peerOf(await accepted) };
}

/** A socket without any manners. */
function raw(port: number, onData: (bytes: Uint8Array, socket: Socket) => void = () => {}): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectRaw(port, host, () => resolve(socket));
    socket.on('error', reject);
    socket.on('data', (bytes) => onData(bytes, socket));
    cleanups.push(() => socket.destroy());
  });
}

const gone = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });

/** A server without any manners. */
async function rawServer(onSocket: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    cleanups.push(() => socket.destroy());
    socket.on('error', () => {});
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  cleanups.push(() => server.close());
  return (server.address() as { port: number }).port;
}

/** Stands between connector and acceptor; `change` gets each chunk from the connector and how many bytes were before it. */
async function relay(
  port: number,
  change: (bytes: Uint8Array, before: number, far: Socket) => Uint8Array | null,
): Promise<number> {
  return rawServer((near) => {
    const far = connectRaw(port, host);
    cleanups.push(() => far.destroy());
    far.on('error', () => {});
    let before = 0;
    near.on('data', (bytes) => {
      const changed = change(bytes, before, far);
      before += bytes.length;
      if (changed !== null) far.write(changed);
    });
    far.on('data', (bytes) => near.write(bytes));
    near.on('close', () => far.end());
    far.on('close', () => near.destroy());
  });
}

describe('peers', () => {
  it('know each other, and pass frames both ways', async () => {
    const { near, far } = await pair();
    expect([near.hello, far.hello]).toEqual(['acceptor', { worker: 1 }]);
    const [atNear, atFar] = [receive(near), receive(far)];
    near.send({ type: 3, channel: 1, unit: 2, version: 5, attempt: 4 }, Uint8Array.of(1, 2), Uint8Array.of(3));
    far.send({ type: 9 });
    await until(() => atFar.frames.length === 1 && atNear.frames.length === 1);
    expect(atFar.frames).toEqual([
      { header: { type: 3, channel: 1, unit: 2, version: 5, attempt: 4, length: 3 }, payload: [1, 2, 3] },
    ]);
    expect(atNear.frames).toMatchObject([{ header: { type: 9, length: 0 }, payload: [] }]);
    near.close();
    expect(await Promise.all([atNear.closed, atFar.closed])).toEqual([null, null]);
  });

  it('keep what came before listen, and write to the place that sink gives', async () => {
    const { near, far } = await pair();
    const place = new Uint8Array(new SharedArrayBuffer(200_000));
    const sent = Uint8Array.from({ length: 200_000 }, (_, i) => i % 253);
    near.send({ type: 1, unit: 7 }, sent);
    near.send({ type: 2 });
    await new Promise((resolve) => setTimeout(resolve, 20));
    const { frames } = receive(far, ({ unit }) => (unit === 7 ? place : null));
    await until(() => frames.length === 2);
    expect(Buffer.compare(place, sent)).toBe(0);
  });

  it('read frames that come in one piece with the end of the handshake', async () => {
    const { port, accepted } = await accepting();
    const challengeBytes = 36 + 32;
    const confirmBytes = 36 + 32 + JSON.stringify('acceptor').length;
    const between = await rawServer((near) => {
      const far = connectRaw(port, host);
      cleanups.push(() => far.destroy());
      near.on('data', (bytes) => far.write(bytes));
      let held = Buffer.alloc(0);
      far.on('data', (bytes) => {
        held = Buffer.concat([held, bytes]);
        if (held.length === challengeBytes || held.length > challengeBytes + confirmBytes + 36 + 3) {
          near.write(held.subarray(near.bytesWritten));
        }
      });
    });
    const connected = connecting(between);
    const far = peerOf(await accepted);
    far.send({ type: 1 }, Uint8Array.of(1, 2, 3));
    far.send({ type: 2 }, Uint8Array.of(4));
    const { frames } = receive(await connected);
    await until(() => frames.length === 2);
    expect(frames.map(({ payload }) => payload)).toEqual([[1, 2, 3], [4]]);
  });

  it('close sends what is waiting, and then nothing; the end before listen is told too', async () => {
    const { near, far } = await pair();
    near.send({ type: 1 }, new Uint8Array(2 ** 22));
    near.close();
    near.send({ type: 2 });
    await new Promise((resolve) => setTimeout(resolve, 20));
    const { frames, closed } = receive(far);
    expect(await closed).toBeNull();
    expect(frames.map(({ header }) => header.type)).toEqual([1]);
    expect(await receive(near).closed).toBeNull();
  });

  it('push back', async () => {
    const { near, far } = await pair();
    const block = new Uint8Array(2 ** 20);
    let sent = 0;
    do sent++;
    while (near.send({ type: 1 }, block) && sent < 256);
    expect(sent).toBeLessThan(256);
    let arrived = 0;
    far.listen({ onFrame: () => arrived++, onClose: () => {} });
    await near.drained();
    await until(() => arrived === sent);
  });

  it('without checksum too', async () => {
    const { near, far } = await pair({ checksum: false });
    const { frames } = receive(far);
    near.send({ type: 1 }, Uint8Array.of(5));
    await until(() => frames.length === 1);
    expect(frames[0]?.payload).toEqual([5]);
  });

  it('what a callback throws closes the link', async () => {
    const { near, far } = await pair();
    const thrown = new Error('of the callback');
    const closed = new Promise((resolve) => {
      far.listen({
        onFrame: () => {
          throw thrown;
        },
        onClose: resolve,
      });
    });
    const other = receive(near);
    near.send({ type: 1 });
    expect(await closed).toBe(thrown);
    expect(await other.closed).toBeNull();
  });

  it('a secret that is too short and a hello that is too long are refused here', async () => {
    const { port } = await accepting();
    expect(await rejectionOf(connecting(port, { secret: new Uint8Array(4) }))).toBe('ARGUMENT');
    expect(await rejectionOf(connecting(port, { hello: 'x'.repeat(500) }))).toBe('ARGUMENT');
  });
});

describe('hostile connectors', () => {
  it('a wrong secret', async () => {
    const { port, accepted } = await accepting();
    const rejection = rejectionOf(connecting(port, { secret: randomBytes(32) }));
    expect([codeOf(await accepted), await rejection]).toEqual(['PEER_AUTH', 'PEER_CLOSED']);
  });

  it('a recorded handshake', async () => {
    const { port, accepted } = await accepting();
    const recorded: Uint8Array[] = [];
    const between = await relay(port, (bytes) => {
      recorded.push(bytes.slice());
      return bytes;
    });
    await connecting(between);
    peerOf(await accepted);
    const second = await accepting();
    const socket = await raw(second.port, (_challenge, self) => self.write(Buffer.concat(recorded)));
    expect(codeOf(await second.accepted)).toBe('PEER_AUTH');
    await gone(socket);
  });

  it('a reflected handshake', async () => {
    const { port, accepted } = await accepting();
    const socket = await raw(port, (challenge, self) => self.write(challenge));
    expect(codeOf(await accepted)).toBe('PEER_AUTH');
    await gone(socket);
  });

  it.each<[string, string, Uint8Array]>([
    ['FRAME_MAGIC', 'another protocol', new TextEncoder().encode('GET / HTTP/1.1\r\n\r\n')],
    ['FRAME_TOO_LARGE', 'a large first frame', encodeHeader({ type: 2 }, [new Uint8Array(600)])],
    ['FRAME_VERSION', 'another version', encodeHeader({ type: 2 }).map((byte, at) => (at === 4 ? 2 : byte))],
    ['PEER_AUTH', 'an empty answer', encodeHeader({ type: 2 })],
    ['PEER_AUTH', 'frames without a handshake', encodeHeader({ type: 9 })],
  ])('%s: %s', async (code, _name, bytes) => {
    const { port, accepted } = await accepting();
    const socket = await raw(port);
    socket.write(bytes);
    expect(codeOf(await accepted)).toBe(code);
    await gone(socket);
  });

  it('silence, and a byte now and then', async () => {
    for (const everyMs of [0, 5]) {
      const { port, accepted } = await accepting({ timeoutMs: 60 });
      const socket = await raw(port);
      const bytes = encodeHeader({ type: 2 }, [new Uint8Array(64)]);
      let at = 0;
      const timer = setInterval(() => everyMs > 0 && socket.write(bytes.subarray(at, ++at)), Math.max(1, everyMs));
      expect(codeOf(await accepted)).toBe('PEER_TIMEOUT');
      clearInterval(timer);
      await gone(socket);
    }
  });

  it('one that goes away', async () => {
    const { port, accepted } = await accepting();
    const socket = await raw(port, (_challenge, self) => self.end());
    expect(codeOf(await accepted)).toBe('PEER_CLOSED');
    await gone(socket);
  });

  it('random bytes: nothing is believed, and no socket stays', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 700 }), async (bytes) => {
        const { port, accepted } = await accepting();
        const socket = await raw(port);
        socket.end(bytes);
        expect(codeOf(await accepted)).toMatch(/^(?:FRAME|PEER)_/);
        await gone(socket);
        await cleanUp();
      }),
      { numRuns: runs },
    );
  });
});

describe('hostile acceptors', () => {
  it('silence', async () => {
    const port = await rawServer(() => {});
    expect(await rejectionOf(connecting(port, { timeoutMs: 60 }))).toBe('PEER_TIMEOUT');
  });

  it('nobody', async () => {
    const { port } = await accepting();
    await cleanUp();
    expect(await rejectionOf(connecting(port))).toBe('SOCKET_CONNECT');
  });

  it('one that sends the connector its own proof', async () => {
    const port = await rawServer((socket) => {
      const nonce = randomBytes(32);
      socket.write(Buffer.concat([encodeHeader({ type: 1 }, [nonce]), nonce]));
      socket.on('data', (response) => {
        const proofAndHello = response.subarray(36 + 32);
        socket.write(Buffer.concat([encodeHeader({ type: 3 }, [proofAndHello]), proofAndHello]));
      });
    });
    expect(await rejectionOf(connecting(port))).toBe('PEER_AUTH');
  });

  it('one that confirms without a challenge, and one with a short challenge', async () => {
    for (const [type, length] of [
      [3, 40],
      [1, 31],
    ] as const) {
      const payload = new Uint8Array(length);
      const port = await rawServer((socket) =>
        socket.write(Buffer.concat([encodeHeader({ type }, [payload]), payload])),
      );
      expect(await rejectionOf(connecting(port))).toBe('PEER_AUTH');
    }
  });
});

describe('a hostile network', () => {
  const sent = [1, 2, 3].map((type) => ({ type, payload: Uint8Array.from({ length: 40 * type }, (_, i) => i + type) }));

  const streamBytes = (frames: typeof sent): number =>
    frames.reduce((sum, { payload }) => sum + 36 + payload.length, 0);

  it('any change or cut from the connector: nothing is believed beyond it, a coded error, no socket stays', async () => {
    // The response (header, nonce, proof, hello) and the frames.
    const handshakeBytes = 36 + 64 + JSON.stringify({ worker: 1 }).length;
    const total = handshakeBytes + streamBytes(sent);
    const fault = fc.record({ at: fc.nat(total - 1), flip: fc.integer({ min: 1, max: 255 }), cut: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fault, async ({ at, flip, cut }) => {
        const { port, accepted } = await accepting();
        const between = await relay(port, (bytes, before, far) => {
          const where = at - before;
          if (where < 0 && cut) return null;
          if (where < 0 || where >= bytes.length) return bytes;
          const changed = Uint8Array.from(bytes);
          changed[where]! ^= flip;
          if (!cut) return changed;
          far.end(changed.subarray(0, where));
          return null;
        });
        const near = connecting(between).then(
          (peer) => {
            peer.listen({ onFrame: () => {}, onClose: () => {} });
            for (const { type, payload } of sent) peer.send({ type }, payload);
          },
          () => {},
        );
        const outcome = await accepted;
        if ('error' in outcome) expect(codeOf(outcome)).toMatch(/^(?:FRAME|PEER)_/);
        else {
          const { frames, closed } = receive(outcome.peer);
          const error = await closed;
          expect(frames.map(({ payload }) => payload)).toEqual(
            sent.slice(0, frames.length).map(({ payload }) => [...payload]),
          );
          expect(frames.length).toBeLessThan(sent.length);
          const ends = sent.map((_, i) => handshakeBytes + streamBytes(sent.slice(0, i)));
          if (cut && ends.includes(at))
            expect(error).toBeNull(); // looks like an end
          else expect(error).toMatchObject({ code: cut ? 'FRAME_TRUNCATED' : expect.stringMatching(/^FRAME_/) });
        }
        await near;
        await cleanUp();
      }),
      { numRuns: runs },
    );
  });
});
