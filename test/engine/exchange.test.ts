/** Blocks from worker to worker, through a network that breaks connections and bits: what arrives is what was published, in order. */
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { BlockHandles } from '../../src/engine/blocks.ts';
import { createBlocks } from '../../src/engine/blocks.ts';
import type { Phase } from '../../src/engine/engine.ts';
import { Exchange } from '../../src/engine/process/exchange.ts';
import { HeldVersions } from '../../src/engine/process/held.ts';
import { LocalLoop, mirrorOf } from '../../src/engine/process/local-loop.ts';
import { LoopSession } from '../../src/engine/process/loop-session.ts';

const PART = 4096;
const phases: readonly Phase[] = [
  { name: 'task', writes: 'gradient', needs: 'weights', lag: 0 },
  {
    name: 'update',
    writes: 'weights',
    needs: 'gradient',
    lag: 1,
    reads: [0, 1].map((unit) => [
      { offsetBytes: 0, lengthBytes: 64 },
      { offsetBytes: 64 + 1000 * unit, lengthBytes: 1000 },
    ]),
  },
];
const handles = (): BlockHandles =>
  createBlocks({
    id: 7,
    units: 2,
    specs: {
      weights: { unitBytes: [PART, PART], slots: 2 },
      moments: { unitBytes: [PART, PART], slots: 2, versionOf: 'weights', isPrivate: true },
      gradient: { unitBytes: [PART, PART], slots: 2 },
    },
    startVersion: 0,
    hasData: false,
  }).handles;

/** A network between two workers that can be cut, and that can change bits. */
class Network {
  readonly sockets = new Set<Socket>();
  cuts = 0;
  /** The next chunk from the one that listens gets a bit changed. */
  damage = false;
  private server: Server | null = null;

  async open(target: number): Promise<number> {
    this.server = createServer((inner) => {
      const outer = connectTcp(target, '127.0.0.1');
      for (const socket of [inner, outer]) {
        this.sockets.add(socket);
        socket.on('error', () => {});
      }
      inner.on('close', () => outer.destroy());
      outer.on('close', () => inner.destroy());
      inner.pipe(outer);
      outer.on('data', (chunk) => {
        if (this.damage && chunk.length > 2000) {
          chunk[1500]! ^= 4;
          this.damage = false;
        }
        inner.write(chunk);
      });
    });
    await new Promise<void>((resolve) => this.server!.listen(0, '127.0.0.1', resolve));
    return (this.server.address() as { port: number }).port;
  }

  cut(): void {
    this.cuts++;
    for (const socket of this.sockets) socket.destroy();
    this.sockets.clear();
  }

  close(): void {
    this.cut();
    this.server?.close();
  }
}

const open: (() => void)[] = [];
afterEach(() => {
  for (const close of open.splice(0)) close();
});

/** Worker 0 owns unit 0, worker 1 owns unit 1 and gets what worker 0 publishes, through the network. */
async function twoWorkers() {
  const secret = new Uint8Array(32).fill(5);
  const owners = [0, 1];
  const make = (worker: number) => {
    const loop = new LocalLoop(handles(), phases, 0);
    loop.blocks.reassign(owners, 1);
    const loops = new Map([[7, loop]]);
    const exchange = new Exchange({ worker, host: '127.0.0.1', secret, loops, onReceived: () => {} });
    return { worker, loop, exchange };
  };
  const [giver, taker] = [make(0), make(1)];
  const network = new Network();
  const [giverAddress, takerAddress] = [await giver.exchange.open(), await taker.exchange.open()];
  const port = await network.open(giverAddress.port);
  taker.exchange.setPeers([{ ...giverAddress, port }, takerAddress]);
  open.push(() => {
    network.close();
    taker.exchange.setPeers([]);
    giver.exchange.shut();
    taker.exchange.shut();
  });
  for (const { writes } of phases) for (const unit of [0, 1]) giver.loop.blocks.setVersion(writes, unit, 0);
  for (const { writes } of phases) for (const unit of [0, 1]) taker.loop.blocks.setVersion(writes, unit, 0);
  return { giver, taker, network, owners };
}

/** What version v of a block holds. */
const bytesOf = (block: string, version: number): Uint8Array =>
  Uint8Array.from({ length: PART }, (_, i) => (i * 7 + version * 13 + block.length) & 255);

function publish({ loop, exchange }: { loop: LocalLoop; exchange: Exchange }, block: string, version: number): void {
  for (const name of loop.publishedWith(block)) loop.blocks.part(name, 0, version).set(bytesOf(name, version));
  loop.blocks.publish(block, 0, version);
  loop.published(block, 0, version);
  exchange.published(loop, block, 0);
}

async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; !condition(); turn++) {
    if (turn > 4000) throw new Error('it did not happen in 20 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('the exchange', () => {
  it('sends whole parts and ranges as they are published, private ones to who keeps the copy', async () => {
    const { giver, taker, owners } = await twoWorkers();
    taker.exchange.subscribe(taker.loop, taker.loop.wants(owners, 1));
    for (let version = 1; version <= 30; version++) {
      publish(giver, 'gradient', version);
      await until(() => taker.loop.blocks.version('gradient', 0) === version);
      const gradient = taker.loop.blocks.part('gradient', 0, version);
      const expected = bytesOf('gradient', version);
      expect(gradient.subarray(0, 64)).toEqual(expected.subarray(0, 64));
      expect(gradient.subarray(1064, 2064)).toEqual(expected.subarray(1064, 2064));
      publish(giver, 'weights', version);
      await until(() => taker.loop.blocks.version('weights', 0) === version);
      for (const block of ['weights', 'moments']) {
        expect(taker.loop.blocks.part(block, 0, version)).toEqual(bytesOf(block, version));
      }
      expect(taker.loop.holdings(0, 0)).toMatchObject({ state: version, seen: version });
    }
    // Bytes outside the ranges have not travelled.
    expect(
      taker.loop.blocks
        .part('gradient', 0, 30)
        .subarray(2064)
        .every((byte) => byte === 0),
    ).toBe(true);
  });

  it('goes on where it was when connections break and bits change', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom('publish', 'cut', 'damage'), { maxLength: 12 }), async (steps) => {
        const { giver, taker, network, owners } = await twoWorkers();
        taker.exchange.subscribe(taker.loop, taker.loop.wants(owners, 1));
        let version = 0;
        for (const step of [...steps, 'publish'] as const) {
          if (step === 'cut') network.cut();
          else if (step === 'damage') network.damage = true;
          else {
            publish(giver, 'weights', ++version);
            // The next version is computed only when this one is there, as in a loop.
            await until(() => taker.loop.blocks.version('weights', 0) === version);
            expect(taker.loop.blocks.part('weights', 0, version)).toEqual(bytesOf('weights', version));
            await until(() => taker.loop.holdings(0, 0).state === version);
            expect(taker.loop.blocks.part('moments', 0, version)).toEqual(bytesOf('moments', version));
          }
        }
        expect(network.damage).toBe(false); // it has happened
        for (const close of open.splice(0)) close();
      }),
      { numRuns: Number(process.env.SHOAL_FUZZ ?? 200) > 200 ? 300 : 15 },
    );
  });

  it('gets a part once, and says what is not there', async () => {
    const { giver, taker } = await twoWorkers();
    const ranges = [{ offsetBytes: 0, lengthBytes: PART }];
    const want = (from: number) => ({ block: 'weights', unit: 0, owner: 0, ranges, from });
    expect(await taker.exchange.get(taker.loop, want(1))).toBe(false);
    publish(giver, 'weights', 1);
    expect(await taker.exchange.get(taker.loop, want(1))).toBe(true);
    expect(taker.loop.blocks.part('weights', 0, 1)).toEqual(bytesOf('weights', 1));
    expect(await taker.exchange.get(taker.loop, { ...want(1), owner: 99 })).toBe(false);
    expect(await taker.exchange.holdings(0, 7, 0, 0)).toMatchObject({ state: 1, seen: 1 });
    expect(await taker.exchange.holdings(99, 7, 0, 0)).toBeNull();
  });

  it('believes nothing that comes after its subscription has ended', async () => {
    const { giver, taker, owners } = await twoWorkers();
    taker.exchange.subscribe(taker.loop, taker.loop.wants(owners, 1));
    publish(giver, 'weights', 1);
    await until(() => taker.loop.blocks.version('weights', 0) === 1);
    // Unit 0 belongs to worker 2 from now on: what worker 0 still publishes is of a fenced attempt.
    taker.exchange.subscribe(taker.loop, taker.loop.wants([2, 1], 1));
    publish(giver, 'weights', 2);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(taker.loop.blocks.version('weights', 0)).toBe(1);
    expect(taker.loop.blocks.part('weights', 0, 2).every((byte) => byte === 0)).toBe(true);
  });
});

describe('what is held', () => {
  const specs = {
    two: { unitBytes: [8], slots: 2 },
    one: { unitBytes: [8], slots: 1 },
    empty: { unitBytes: [0], slots: 2 },
  } as const;

  it('is at most as many versions as there are slots', () => {
    const held = new HeldVersions(1, specs);
    expect([held.newest('two', 0), held.has('two', 0, 0)]).toEqual([-1, false]);
    for (const version of [3, 4, 5]) held.add('two', 0, version);
    expect([3, 4, 5, 6].map((version) => held.has('two', 0, version))).toEqual([false, true, true, false]);
    held.add('two', 0, 9); // not the next one: the other slot holds nothing that is known
    expect([5, 8, 9].map((version) => held.has('two', 0, version))).toEqual([false, false, true]);
    held.addOlder('two', 0, 7);
    expect(held.oldest('two', 0)).toBe(9);
    held.addOlder('two', 0, 8);
    expect(held.oldest('two', 0)).toBe(8);
    held.drop('two', 0);
    expect(held.newest('two', 0)).toBe(-1);
  });

  it('is a whole state when all parts with bytes are there at one version', () => {
    const held = new HeldVersions(1, specs);
    held.add('two', 0, 4);
    expect(held.newestOfAll('two', ['two', 'one', 'empty'], 0)).toBe(-1);
    held.add('one', 0, 0); // written once: of every version
    expect(held.newestOfAll('two', ['two', 'one', 'empty'], 0)).toBe(4);
  });

  it('has its copy at the next worker that owns units', () => {
    expect([0, 2, 5].map((owner) => mirrorOf([5, 0, 2, 0, -1], owner))).toEqual([2, 5, 0]);
    expect(mirrorOf([3, 3, 3], 3)).toBe(-1);
  });
});

describe('a session that takes a unit over', () => {
  // Its last owner died before the version had reached all. Who lacks it must get it from the new owner, without waiting for the next one: that
  // needs a part of theirs.
  it('sends the state to who subscribed before it was there', async () => {
    const secret = new Uint8Array(32).fill(5);
    const host = '127.0.0.1';
    const loops = [0, 1, 2].map(() => new Map<number, LocalLoop>());
    const exchanges = loops.map(
      (own, worker) => new Exchange({ worker, host, secret, loops: own, onReceived: () => {} }),
    );
    const addresses = await Promise.all(exchanges.map((exchange) => exchange.open()));
    for (const exchange of exchanges) exchange.setPeers(addresses);
    open.push(() => exchanges.forEach((exchange) => void exchange.shut()));
    const [reader, keeper] = [1, 2].map((worker) => {
      const loop = new LocalLoop(handles(), phases, 0);
      loop.blocks.reassign([0, 1], 1);
      loops[worker]!.set(7, loop);
      return loop;
    }) as [LocalLoop, LocalLoop];
    keeper.blocks.setVersion('weights', 0, 3);
    for (const block of ['weights', 'moments']) {
      keeper.blocks.part(block, 0, 3).set(bytesOf(block, 3));
      keeper.held.add(block, 0, 3);
    }
    const links = {
      worker: 0,
      exchange: exchanges[0]!,
      toDriver: () => {},
      onProgress: () => {},
      sendStatus: () => {},
    };
    const session = new LoopSession(
      { type: 'openLoop', job: 7, blocks: handles(), phases, startIteration: 0, program: null, faults: null } as never,
      { ...links, toThread: () => {} },
    );
    loops[0]!.set(7, session.loop);

    reader.blocks.setVersion('weights', 0, 2);
    const ranges = [{ offsetBytes: 0, lengthBytes: PART }];
    exchanges[1]!.subscribe(reader, [{ block: 'weights', unit: 0, owner: 0, ranges, from: 3 }]);
    // The subscription has arrived when a question asked after it is answered.
    await exchanges[1]!.holdings(0, 7, 0, 0);
    session.owners(1, [0, 1]);
    session.enter({
      ...{ type: 'enterLoop', job: 7, epoch: 1, owners: [0, 1], units: [0], newUnits: [], floor: 0, limit: 10 },
      ...{ versions: [3, 3], reached: [] },
    });
    await until(() => reader.blocks.version('weights', 0) === 3);
    expect(reader.blocks.part('weights', 0, 3)).toEqual(bytesOf('weights', 3));
  });
});
