/** The other process of bench/frames.bench.mjs: sends what it is asked for, as frames or as plain bytes. `PORT RAWPORT SECRET` in its arguments. */
import { connectPeer } from '../dist/src/engine/process/peer.js';
import { connect } from '../dist/src/platform/node.js';

const [port, rawPort] = process.argv.slice(2, 4).map(Number);
const secret = Buffer.from(process.argv[4], 'hex');
const host = '127.0.0.1';
const source = new Uint8Array(new SharedArrayBuffer(16 * 2 ** 20)).map((_, i) => (i * 31) & 255);

/** Frames of type 1 ask for `version` frames of `unit` bytes; those of type 2 are sent back. */
async function serve(checksum) {
  const peer = await connectPeer(host, port, { secret, hello: { checksum }, checksum });
  peer.listen({
    async onFrame({ type, unit, version }, payload) {
      if (type === 2) peer.send({ type: 2 }, payload);
      else
        for (let i = 0; i < version; i++) if (!peer.send({ type: 1 }, source.subarray(0, unit))) await peer.drained();
    },
    onClose: () => {},
  });
}

await serve(true);
await serve(false);
const raw = await connect(host, rawPort, 5000);
raw.onData(async (order) => {
  const view = new DataView(order.buffer, order.byteOffset);
  const piece = source.subarray(0, view.getUint32(0, true));
  for (let i = view.getUint32(4, true); i > 0; i--) if (!raw.write([piece])) await raw.drained();
});
