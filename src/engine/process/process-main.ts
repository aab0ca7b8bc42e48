/**
 * @file The main module of a worker process. It is started with nothing but its pipes: the first frame on stdin says where the rendezvous is and who it
 * is, as a task of a cluster's job would be told. It says hello there, and works until stdin ends: then whoever started it is gone.
 */
import { deserialize, ownProcess, serialize } from '#platform';
import { encodeHeader, FrameReader } from '../../codec/frames.ts';
import type { FromWorker } from '../messages.ts';
import { Agent } from './agent.ts';
import {
  type FromAgent,
  frameType,
  MAX_PAYLOAD_BYTES,
  type ToAgent,
  type Welcome,
  type WorkMessage,
} from './control.ts';
import { connectPeer, type Peer } from './peer.ts';

const self = ownProcess();
let agent: Agent | null = null;

function fail(what: string, thrown: unknown): never {
  self.writeError(
    `shoal worker: ${what}: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}`,
  );
  return self.exit(1);
}

async function begin(welcome: Welcome): Promise<void> {
  let rendezvous: Peer | null = null;
  /** What the thread says before the rendezvous is open. */
  const waiting: FromAgent[] = [];
  const toDriver = (message: FromAgent): void => {
    if (rendezvous === null) waiting.push(message);
    else rendezvous.send({ type: frameType.control }, serialize(message));
  };
  const toOutput = (message: FromWorker): void => {
    const payload = serialize(message);
    self.write([encodeHeader({ type: frameType.result }, [payload]), payload]);
  };
  const onThreadExit = (detail: string): void => fail('its thread has ended', detail);
  const started = new Agent(welcome, { toOutput, toDriver, onThreadExit });
  agent = started;
  const hello = await started.exchange.open();
  const { host, port, secret } = welcome;
  const peer = await connectPeer(host, port, { secret, hello, maxPayloadBytes: MAX_PAYLOAD_BYTES });
  peer.listen({
    onFrame: (_header, payload) => started.control(deserialize(payload) as ToAgent),
    onClose: () => fail('the rendezvous is gone', ''),
  });
  rendezvous = peer;
  for (const message of waiting) toDriver(message);
}

const reader = new FrameReader({
  maxPayloadBytes: MAX_PAYLOAD_BYTES,
  onFrame(header, payload) {
    const message = deserialize(payload);
    if (header.type === frameType.welcome) {
      begin(message as Welcome).catch((thrown) => fail('it cannot reach the rendezvous', thrown));
    } else if (header.type === frameType.work) {
      agent?.work(message as WorkMessage);
    }
  },
});

self.onInput((chunk) => {
  try {
    reader.push(chunk);
  } catch (thrown) {
    fail('its input is damaged', thrown);
  }
});
self.onInputEnd(() => self.exit(0));
