/**
 * @file An authenticated link of frames between two processes (src/engine/process/handshake.ts says how they prove themselves). Before the other
 * side has done so, one or two small frames of it are read, none of its JSON, and nothing by V8's deserializer; and it has
 * {@link PeerOptions.timeoutMs} for all of it. The link is not encrypted: it is for one machine or a trusted network.
 */
import { type Connection, connect } from '#platform';
import { encodeHeader, type FrameFields, type FrameHeader, FrameReader } from '../../codec/frames.ts';
import { ArgumentError, EngineError } from '../../errors.ts';
import {
  accepting,
  connecting,
  type Handshake,
  type HandshakeMessage,
  maxHandshakeBytes,
  maxHelloBytes,
} from './handshake.ts';

/** How to open a link. */
export interface PeerOptions {
  /** The job's secret: 16 random bytes or more that only its processes know. */
  readonly secret: Uint8Array;
  /** What the other side is told once it has proved itself: a JSON value of at most 400 bytes. */
  readonly hello: unknown;
  /** Time for the whole handshake. Default 5000. */
  readonly timeoutMs?: number;
  /** Payloads that arrive may not be larger. Default 2^30. */
  readonly maxPayloadBytes?: number;
  /** Whether payloads that are sent carry a checksum. Default true. */
  readonly checksum?: boolean;
}

/** Who takes what arrives. */
export interface PeerListener {
  /** A frame whose checksums were right. The payload is what `sink` gave, or an array of its own. */
  onFrame(header: FrameHeader, payload: Uint8Array): void;
  /** Where a payload goes as it arrives, as in `FrameReaderOptions`. */
  sink?(header: FrameHeader): Uint8Array | null;
  /**
   * Called exactly once, when the connection is gone. null: it was closed between two frames, here or there. Otherwise why: an error with code
   * `FRAME_*` or `SOCKET_LOST`, or what a callback threw.
   */
  onClose(error: unknown): void;
}

const minSecretBytes = 16;
const defaultTimeoutMs = 5000;
const defaultMaxPayloadBytes = 2 ** 30;
/** How long what was written before `close` may take to be sent. */
const closeGraceMs = 1000;

/**
 * Authenticates a connection that was accepted.
 *
 * @throws EngineError `PEER_AUTH` (a wrong proof), `PEER_TIMEOUT`, `PEER_CLOSED`; FrameError; ShoalError `SOCKET_LOST`. It is closed then.
 */
export async function acceptPeer(connection: Connection, options: PeerOptions): Promise<Peer> {
  const { secret, timeoutMs = defaultTimeoutMs } = options;
  return shakeHands(connection, accepting(secret, helloBytes(options), connection.remote), timeoutMs, options);
}

/**
 * Connects to a process that calls {@link acceptPeer}. The other side closes without a word when it does not believe this one: `PEER_CLOSED`.
 *
 * @throws as {@link acceptPeer}; ShoalError `SOCKET_CONNECT`.
 */
export async function connectPeer(host: string, port: number, options: PeerOptions): Promise<Peer> {
  const { secret, timeoutMs = defaultTimeoutMs } = options;
  const hello = helloBytes(options);
  const start = performance.now();
  const connection = await connect(host, port, timeoutMs);
  const remainingMs = Math.max(1, timeoutMs - (performance.now() - start));
  return shakeHands(connection, connecting(secret, hello, connection.remote), remainingMs, options);
}

function helloBytes({ secret, hello }: PeerOptions): Uint8Array {
  const bytes = new TextEncoder().encode(JSON.stringify(hello ?? null));
  if (secret.length >= minSecretBytes && bytes.length <= maxHelloBytes) return bytes;
  throw new ArgumentError(
    `peer: a secret of at least ${minSecretBytes} bytes and a hello of at most ${maxHelloBytes} are needed, got ${secret.length} and ${bytes.length}. Send more in frames.`,
    { secretBytes: secret.length, helloBytes: bytes.length },
  );
}

function shakeHands(
  connection: Connection,
  handshake: Handshake,
  timeoutMs: number,
  options: PeerOptions,
): Promise<Peer> {
  const { remote } = connection;
  return new Promise((resolve, reject) => {
    let isOver = false;
    const fail = (error: unknown): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      connection.destroy();
      reject(error);
    };
    const timer = setTimeout(() => {
      const message = `peer: ${remote} must prove itself within ${Math.round(timeoutMs)} ms, got nothing or too little. Check that it is alive, and one of this job.`;
      fail(new EngineError('PEER_TIMEOUT', message, { remote, timeoutMs }));
    }, timeoutMs);
    const send = (message: HandshakeMessage | null): void => {
      if (message !== null) connection.write([encodeHeader(message, message.payload), ...message.payload]);
    };
    let otherHello: Uint8Array | null = null;
    const reader: FrameReader = new FrameReader({
      maxPayloadBytes: maxHandshakeBytes,
      onFrame: ({ type }, payload) => {
        const { reply, hello } = handshake.receive(type, payload);
        send(reply);
        otherHello = hello;
        if (hello !== null) reader.stop(); // what follows is the link's
      },
    });
    connection.onClose((lost) => {
      const message = `peer: a handshake must come to its end, got the end of the connection to ${remote}. Either it does not know this job's secret, or it has died.`;
      fail(lost ?? new EngineError('PEER_CLOSED', message, { remote }));
    });
    connection.onData((chunk) => {
      if (isOver) return;
      try {
        const read = reader.push(chunk);
        if (otherHello === null) return;
        const hello: unknown = JSON.parse(new TextDecoder().decode(otherHello));
        isOver = true;
        clearTimeout(timer);
        resolve(new Peer(connection, hello, chunk.subarray(read), options));
      } catch (error) {
        fail(error);
      }
    });
    send(handshake.first);
  });
}

/** One end of an authenticated link. Nothing is read before {@link listen}. */
export class Peer {
  /** What the other side says of itself. */
  readonly hello: unknown;
  /** The other side's address and port. */
  readonly remote: string;
  readonly #connection: Connection;
  readonly #options: PeerOptions;
  readonly #reader: FrameReader;
  #listener: PeerListener | null = null;
  /** What came with the end of the handshake. */
  #early: Uint8Array;
  #isClosing = false;
  #failure: { readonly error: unknown } | null = null;
  #isGone = false;
  #isTold = false;

  /** Use {@link acceptPeer} or {@link connectPeer}. */
  constructor(connection: Connection, hello: unknown, early: Uint8Array, options: PeerOptions) {
    this.hello = hello;
    this.remote = connection.remote;
    this.#connection = connection;
    this.#early = early;
    this.#options = options;
    this.#reader = new FrameReader({
      maxPayloadBytes: options.maxPayloadBytes ?? defaultMaxPayloadBytes,
      onFrame: (header, payload) => {
        if (!this.#isClosing) this.#listener?.onFrame(header, payload);
      },
      sink: (header) => this.#listener?.sink?.(header) ?? null,
    });
    connection.pause();
    connection.onData((chunk) => this.#receive(chunk));
    connection.onClose((lost) => this.#onGone(lost));
  }

  /** Starts reading; later calls only change who takes it. */
  listen(listener: PeerListener): void {
    const isFirst = this.#listener === null;
    this.#listener = listener;
    if (!isFirst) return;
    queueMicrotask(() => {
      if (this.#early.length > 0) this.#receive(this.#early);
      this.#early = new Uint8Array(0);
      this.#connection.resume();
      if (this.#isGone) this.#tellClosed();
    });
  }

  /**
   * Sends a frame. The pieces of its payload are not copied: they must not change until {@link drained}.
   *
   * @returns false when much is waiting to be sent: wait for {@link drained} before the next one. What is sent on a closed link is lost.
   */
  send(fields: FrameFields, ...payload: readonly Uint8Array[]): boolean {
    if (this.#isClosing) return true;
    const header = encodeHeader(fields, payload, this.#options.checksum ?? true);
    return this.#connection.write([header, ...payload.filter(({ length }) => length > 0)]);
  }

  /** Resolves when all is sent, or the link is closed. */
  drained(): Promise<void> {
    return this.#connection.drained();
  }

  /** Stops reading, so that the other side's `send` returns false after a while. */
  pause(): void {
    this.#connection.pause();
  }

  /** Reads on. */
  resume(): void {
    this.#connection.resume();
  }

  /** Whether the link keeps the process alive (at first it does). */
  hold(alive: boolean): void {
    this.#connection.hold(alive);
  }

  /** Sends what is waiting, if that takes less than a second, and closes. Frames that still arrive are dropped. */
  close(): void {
    this.#isClosing = true;
    this.#connection.end(closeGraceMs);
  }

  /** Closes at once: what is waiting is lost. */
  destroy(): void {
    this.#isClosing = true;
    this.#connection.destroy();
  }

  #receive(chunk: Uint8Array): void {
    if (this.#isClosing) return;
    try {
      this.#reader.push(chunk);
    } catch (error) {
      this.#failure = { error };
      this.destroy();
    }
  }

  #onGone(lost: unknown): void {
    if (this.#failure === null && !this.#isClosing) {
      try {
        if (lost === null) this.#reader.end();
        else this.#failure = { error: lost };
      } catch (error) {
        this.#failure = { error };
      }
    }
    this.#isClosing = true;
    this.#isGone = true;
    this.#tellClosed();
  }

  #tellClosed(): void {
    if (this.#listener === null || this.#isTold) return;
    this.#isTold = true;
    this.#listener.onClose(this.#failure?.error ?? null);
  }
}
