/**
 * @file How two processes prove to each other that they know the job's secret, without showing it. Messages in, messages out; no sockets:
 *
 *     acceptor  -> connector   challenge: nonce A (32 random bytes)
 *     connector -> acceptor    response: nonce C | proof | hello    proof = HMAC(secret, "connect" | A | C | hello)
 *     acceptor  -> connector   confirm: proof | hello               proof = HMAC(secret, "accept" | A | C | the connector's proof | hello)
 *
 * Fresh nonces make a recorded handshake worthless, and the roles make a reflected one so. Hellos are covered by the proofs, and nothing of them
 * is looked at before.
 */
import { equalBytes, hmacSha256, randomBytes } from '#platform';
import { EngineError } from '../../errors.ts';

/** A message of the handshake: its type, and the pieces of its payload. */
export interface HandshakeMessage {
  readonly type: number;
  readonly payload: readonly Uint8Array[];
}

/** What a message of the other side leads to. */
export interface HandshakeStep {
  /** What to send now. */
  readonly reply: HandshakeMessage | null;
  /** The other side's hello, if it has proved itself; the handshake is over then. */
  readonly hello: Uint8Array | null;
}

/** One side of a handshake. */
export interface Handshake {
  /** What to send first. */
  readonly first: HandshakeMessage | null;
  /** @throws EngineError `PEER_AUTH` for a message that does not prove what it must. */
  receive(type: number, payload: Uint8Array): HandshakeStep;
}

const challengeType = 1;
const responseType = 2;
const confirmType = 3;

const nonceBytes = 32;
const proofBytes = 32;

/** Most bytes of a hello. */
export const maxHelloBytes = 400;

/** Most bytes of any message. */
export const maxHandshakeBytes = nonceBytes + proofBytes + maxHelloBytes;

type Role = 'connect' | 'accept';

/** The role ends with its line, and all parts but the last have fixed lengths: no two inputs look alike. */
function prove(secret: Uint8Array, role: Role, ...parts: readonly Uint8Array[]): Uint8Array {
  return hmacSha256(secret, [new TextEncoder().encode(`shoal peer 1 ${role}\n`), ...parts]);
}

/** The side that was connected to. */
export function accepting(secret: Uint8Array, hello: Uint8Array, remote: string): Handshake {
  const nonce = randomBytes(nonceBytes);
  return {
    first: { type: challengeType, payload: [nonce] },
    receive(type, payload) {
      const otherNonce = payload.subarray(0, nonceBytes);
      const otherProof = payload.subarray(nonceBytes, nonceBytes + proofBytes);
      const otherHello = payload.subarray(nonceBytes + proofBytes);
      const expected = prove(secret, 'connect', nonce, otherNonce, otherHello);
      if (type !== responseType || !equalBytes(otherProof, expected)) throw refused(remote);
      const proof = prove(secret, 'accept', nonce, otherNonce, otherProof, hello);
      return { reply: { type: confirmType, payload: [proof, hello] }, hello: otherHello };
    },
  };
}

/** The side that connects. */
export function connecting(secret: Uint8Array, hello: Uint8Array, remote: string): Handshake {
  const nonce = randomBytes(nonceBytes);
  let challenge: Uint8Array | null = null;
  let proof: Uint8Array = new Uint8Array(0);
  return {
    first: null,
    receive(type, payload) {
      if (challenge === null) {
        if (type !== challengeType || payload.length !== nonceBytes) throw refused(remote);
        challenge = payload;
        proof = prove(secret, 'connect', challenge, nonce, hello);
        return { reply: { type: responseType, payload: [nonce, proof, hello] }, hello: null };
      }
      const otherHello = payload.subarray(proofBytes);
      const expected = prove(secret, 'accept', challenge, nonce, proof, otherHello);
      if (type !== confirmType || !equalBytes(payload.subarray(0, proofBytes), expected)) throw refused(remote);
      return { reply: null, hello: otherHello };
    },
  };
}

function refused(remote: string): EngineError {
  return new EngineError(
    'PEER_AUTH',
    `peer: the other side must know the secret of this job, got a wrong proof from ${remote}. Check that it belongs to this job and this version of shoal.`,
    { remote },
  );
}
