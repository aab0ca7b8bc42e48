/** @file TCP on Node, Deno and Bun, and the little cryptography that an authenticated link needs. */
import { createHmac, randomBytes as nodeRandomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, Socket } from 'node:net';
import { ShoalError } from '../errors.ts';

/** One end of a TCP connection. */
export interface Connection {
  /** Address and port of the other side, for messages. */
  readonly remote: string;
  /**
   * Sends pieces in order, together and without a copy: they must not change until they are sent ({@link drained}).
   * @returns false when much is waiting to be sent: wait for {@link drained} before the next one. What is written to a closed connection is lost.
   */
  write(pieces: readonly Uint8Array[]): boolean;
  /** Resolves when nothing is waiting to be sent, or the connection is closed. */
  drained(): Promise<void>;
  /** Who takes what arrives, from now on; until there is one, nothing is read. A chunk is the listener's to keep. */
  onData(listener: (chunk: Uint8Array) => void): void;
  /** Who is told, exactly once and never inside this call, that the connection is closed: with the error that closed it, or null. */
  onClose(listener: (error: ShoalError | null) => void): void;
  /** Stops reading; the other side's `write` then returns false. */
  pause(): void;
  resume(): void;
  /** Whether the connection keeps the process alive (at first it does). */
  hold(alive: boolean): void;
  /** Closes when all that was written is sent. If the other side does not read it within `graceMs`, it is lost. */
  end(graceMs: number): void;
  /** Closes at once; what is not sent is lost. */
  destroy(): void;
}

/** A port that is listened on. */
export interface Listener {
  readonly port: number;
  /** Takes no more connections; those that are there live on. Resolves when the port is free. */
  close(): Promise<void>;
  /** Whether listening keeps the process alive (at first it does). */
  hold(alive: boolean): void;
}

/** `write` returns false while more than this waits to be sent: some blocks, so that the next is made while one is on its way. */
const maxWaitingBytes = 2 ** 22;

/** A silent connection is probed by the system after this long, so that a machine that has gone is noticed. */
const keepAliveMs = 10_000;

/**
 * Listens on a free port.
 *
 * @param host the address to listen on, such as `127.0.0.1`.
 * @throws ShoalError `SOCKET_LISTEN`
 */
export function listen(host: string, onConnection: (connection: Connection) => void): Promise<Listener> {
  return new Promise((resolve, reject) => {
    const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveMs }, (socket) =>
      onConnection(connectionOf(socket)),
    );
    const fail = (cause: Error): void => reject(socketError('SOCKET_LISTEN', `listen on ${host}`, cause));
    server.once('error', fail);
    server.listen({ host, port: 0 }, () => {
      server.off('error', fail);
      // Later errors are of single connections that could not be accepted (too many files): their other side sees it.
      server.on('error', () => {});
      const address = server.address();
      resolve({
        port: typeof address === 'object' && address !== null ? address.port : 0,
        close: () =>
          new Promise((closed) => {
            server.close(); // its callback would wait for the connections
            setImmediate(closed);
          }),
        hold: (alive) => void (alive ? server.ref() : server.unref()),
      });
    });
  });
}

/**
 * Connects to a port.
 *
 * @throws ShoalError `SOCKET_CONNECT`, also when nobody has answered after `timeoutMs`.
 */
export function connect(host: string, port: number, timeoutMs: number): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const socket = new Socket();
    const fail = (cause: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(socketError('SOCKET_CONNECT', `connect to ${host}:${port}`, cause));
    };
    const timer = setTimeout(() => fail(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    socket.once('error', fail);
    // As options of `connect` Node does not take them from a socket that is there already.
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepAliveMs);
    socket.connect({ host, port }, () => {
      clearTimeout(timer);
      socket.off('error', fail);
      resolve(connectionOf(socket));
    });
  });
}

function connectionOf(socket: Socket): Connection {
  const remote = `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? '?'}`;
  const waiters: (() => void)[] = [];
  const closeListeners: ((error: ShoalError | null) => void)[] = [];
  let waitingWrites = 0;
  let failure: ShoalError | null = null;
  let isClosed = false;
  const release = (): void => {
    for (const resolve of waiters.splice(0)) resolve();
  };
  const written = (): void => {
    if (--waitingWrites === 0) release();
  };
  socket.on('error', (cause) => {
    failure = socketError('SOCKET_LOST', `talk to ${remote}`, cause);
  });
  // The other side has said all: there are no half-closed connections here.
  socket.on('end', () => socket.end());
  socket.on('close', () => {
    isClosed = true;
    release();
    for (const listener of closeListeners) listener(failure);
  });
  return {
    remote,
    write(pieces) {
      if (pieces.length === 0 || !socket.writable) return true;
      waitingWrites++;
      socket.cork();
      pieces.forEach((piece, index) => {
        if (index < pieces.length - 1) socket.write(piece);
        else socket.write(piece, written); // also called when the connection breaks
      });
      socket.uncork(); // one system call for all pieces
      return socket.writableLength <= maxWaitingBytes;
    },
    drained: () => {
      if (waitingWrites === 0 || isClosed) return Promise.resolve();
      return new Promise((resolve) => waiters.push(resolve));
    },
    onData: (listener) => {
      socket.removeAllListeners('data');
      socket.on('data', listener);
    },
    onClose: (listener) => {
      if (isClosed) queueMicrotask(() => listener(failure));
      else closeListeners.push(listener);
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    hold: (alive) => void (alive ? socket.ref() : socket.unref()),
    end(graceMs) {
      if (isClosed) return;
      const timer = setTimeout(() => socket.destroy(), graceMs);
      timer.unref();
      socket.once('close', () => clearTimeout(timer));
      socket.end();
      socket.resume(); // only a socket that is read sees the other side's end
    },
    destroy: () => void socket.destroy(),
  };
}

function socketError(code: string, what: string, cause: Error): ShoalError {
  const system = (cause as { code?: unknown }).code;
  return new ShoalError(
    code,
    `socket: cannot ${what}, got ${typeof system === 'string' ? system : cause.message}. Check that the other side is alive and reachable.`,
    { system: typeof system === 'string' ? system : null },
    cause,
  );
}

/** Bytes that nobody can guess. */
export function randomBytes(length: number): Uint8Array {
  return new Uint8Array(nodeRandomBytes(length));
}

/** HMAC-SHA256 of the parts, one after the other: 32 bytes. Parts of variable length need their length before them. */
export function hmacSha256(secret: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  const hmac = createHmac('sha256', secret);
  for (const part of parts) hmac.update(part);
  return new Uint8Array(hmac.digest());
}

/** Whether bytes are equal, in a time that tells nothing about where they differ. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
