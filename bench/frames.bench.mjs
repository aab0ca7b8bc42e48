/**
 * Blocks between two processes over a loopback link: GB/s of frames of 64 KB, 1 MB and 12 MB from one process into a SharedArrayBuffer of the other,
 * with checksums on both sides and without, beside plain bytes on a socket that nobody looks at (what the system and Node can do); and the time of
 * a small frame there and back. The ways take turns; best and median.
 */
import { spawn } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';

const ways = { raw: 'plain bytes', unchecked: 'frames', checked: 'frames, CRC32C on both sides' };
const sizes = [
  { name: '64 KB', bytes: 2 ** 16 },
  { name: '1 MB', bytes: 2 ** 20 },
  { name: '12 MB', bytes: 12 * 2 ** 20 },
];
/** What a turn moves: short, so that some turns find the machine quiet. */
const turnBytes = 24 * 2 ** 20;
const pings = 50;

/** Both links of the sender, and its plain connection: functions that run one turn. */
async function open() {
  const { acceptPeer } = await import('../dist/src/engine/process/peer.js');
  const { listen, randomBytes } = await import('../dist/src/platform/node.js');
  const secret = randomBytes(32);
  const place = new Uint8Array(new SharedArrayBuffer(sizes.at(-1).bytes));
  const links = {};
  let ready = () => {};
  const opened = new Promise((resolve) => {
    ready = () => Object.keys(links).length === 3 && resolve();
  });
  const listener = await listen('127.0.0.1', async (connection) => {
    const peer = await acceptPeer(connection, { secret, hello: null });
    links[peer.hello.checksum ? 'checked' : 'unchecked'] = peer;
    ready();
  });
  const rawListener = await listen('127.0.0.1', (connection) => {
    links.raw = connection;
    ready();
  });
  const sender = fileURLToPath(new URL('frames-sender.mjs', import.meta.url));
  const args = [sender, listener.port, rawListener.port, Buffer.from(secret).toString('hex')].map(String);
  const child = spawn(process.execPath, args, { stdio: 'inherit' });
  await opened;

  let onPart = () => {};
  for (const way of ['checked', 'unchecked']) {
    links[way].listen({
      sink: ({ length }) => place.subarray(0, length),
      onFrame: (_header, payload) => onPart(payload.length),
      onClose: (error) => error && console.error(error),
    });
  }
  links.raw.onData((chunk) => onPart(chunk.length));

  const receive = (total, start) =>
    new Promise((resolve) => {
      let left = total;
      onPart = (bytes) => {
        left -= bytes;
        if (left === 0) resolve();
      };
      start();
    });
  return {
    /** GB/s of `count` payloads. */
    async stream(way, bytes, count) {
      const start = performance.now();
      await receive(bytes * count, () => {
        if (way === 'raw') links.raw.write([new Uint8Array(Uint32Array.of(bytes, count).buffer)]);
        else links[way].send({ type: 1, unit: bytes, version: count });
      });
      return (bytes * count) / 1e6 / (performance.now() - start);
    },
    /** Microseconds of 1 KB there and back. */
    async pingUs() {
      const payload = new Uint8Array(1024);
      const start = performance.now();
      for (let i = 0; i < pings; i++) await receive(1024, () => links.checked.send({ type: 2 }, payload));
      return (1000 * (performance.now() - start)) / pings;
    },
    async close() {
      for (const link of Object.values(links)) link.destroy();
      await Promise.all([listener.close(), rawListener.close()]);
      child.kill();
    },
  };
}

/** @param {{ seconds: number }} options seconds per size */
export default async function frames({ seconds }) {
  const { stream, pingUs, close } = await open();
  const results = [];
  try {
    for (const { name, bytes } of sizes) {
      const rates = new Map(Object.keys(ways).map((way) => [way, []]));
      const end = performance.now() + 1000 * seconds;
      do {
        for (const [way, found] of rates) found.push(await stream(way, bytes, Math.ceil(turnBytes / bytes)));
      } while (performance.now() < end);
      for (const [way, found] of rates) {
        found.sort((a, b) => b - a);
        const [best, median] = [found[0], found[found.length >> 1]];
        console.log(
          `  ${name.padStart(5)}  ${ways[way].padEnd(30)} best ${best.toFixed(2)} GB/s  median ${median.toFixed(2)}`,
        );
        results.push({ row: `frames ${name} ${way}`, bestGBs: best, medianGBs: median, turns: found.length });
      }
    }
    const turns = [];
    const end = performance.now() + 250 * seconds;
    do turns.push(await pingUs());
    while (performance.now() < end);
    turns.sort((a, b) => a - b);
    const [best, median] = [turns[0], turns[turns.length >> 1]];
    console.log(`   1 KB  there and back                 best ${best.toFixed(0)} us    median ${median.toFixed(0)}`);
    results.push({ row: 'frames 1 KB there and back', bestUs: best, medianUs: median, turns: turns.length });
  } finally {
    await close();
  }
  return results;
}
