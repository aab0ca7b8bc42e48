/**
 * @file The driver's side of worker processes: starts them, and keeps the rendezvous: who is alive, where, and in which epoch of which loop. It mirrors the
 * words of a loop's table (owners, limit, versions) to the workers and back, so that the driver works as if memory were shared. No byte of a
 * block goes through it.
 */
import { type Listener, listen, randomBytes } from '#platform';
import { type BlockTable, NOBODY } from '../blocks.ts';
import type { CarriedWorker, Carrier, CarrierEvents } from '../carrier.ts';
import type { Phase } from '../engine.ts';
import type { EnginePolicy } from '../engine-options.ts';
import type { ToWorker } from '../messages.ts';
import { ReportRing } from '../report-ring.ts';
import type { Vitals } from '../vitals.ts';
import { type FromAgent, type Hello, type LoopStatus, MAX_PAYLOAD_BYTES } from './control.ts';
import { acceptPeer, type Peer } from './peer.ts';
import { WorkerProcess } from './worker-process.ts';

/** Workers are on this machine. */
const HOST = '127.0.0.1';
/** How often it is looked for workers whose process gives no sign of life: their main threads never compute. */
const HEARTBEAT_LOOK_MS = 250;

/** A loop, as the carrier mirrors it. */
interface MirroredLoop {
  readonly blocks: BlockTable;
  readonly reports: ReportRing;
  phases: readonly Phase[];
  /** The flags of fault points, which the driver's plan has in its own memory. */
  reached: Int32Array;
  /** While the driver asks where all can meet: who has not answered, and the limits of those who have. */
  meeting: { readonly epoch: number; readonly waitsFor: Set<WorkerProcess>; readonly limits: number[] } | null;
}

/** See the file's head. Each engine has one of its own. */
export class ProcessCarrier implements Carrier {
  readonly name = 'process';
  readonly sharesMemory = false;
  private readonly secret = randomBytes(32);
  private readonly workers = new Map<number, WorkerProcess>();
  private readonly loops = new Map<number, MirroredLoop>();
  private rendezvous: Promise<Listener> | null = null;
  private readonly watch: ReturnType<typeof setInterval>;

  private readonly heartbeatTimeoutMs: number;

  /** @param heartbeatTimeoutMs a worker process that gives no sign of life for so long is ended, whatever its task does. */
  constructor(heartbeatTimeoutMs: number) {
    this.heartbeatTimeoutMs = heartbeatTimeoutMs;
    this.watch = setInterval(() => this.look(), HEARTBEAT_LOOK_MS);
    this.watch.unref();
  }

  start(id: number, vitals: Vitals, events: CarrierEvents, policy: EnginePolicy): CarriedWorker {
    const worker: WorkerProcess = new WorkerProcess(id, vitals, {
      onMessage: (message) => events.onMessage(message),
      onControl: (message) => this.heard(worker, message, events),
      onExit: (detail) => {
        this.workers.delete(id);
        for (const loop of this.loops.values()) this.answered(loop, worker, null);
        this.tellPeers();
        events.onExit(detail);
      },
    });
    this.workers.set(id, worker);
    const rendezvous = (this.rendezvous ??= listen(
      HOST,
      (connection) => void this.greet(acceptPeer(connection, this.greeting())),
    ));
    rendezvous.then(
      ({ port, hold }) => {
        hold(false);
        try {
          worker.spawn({ worker: id, secret: this.secret, host: HOST, port, heapBytes: policy.memoryBudgetBytes });
        } catch (thrown) {
          worker.end(`the worker process could not be started: ${String(thrown)}`);
        }
      },
      (thrown) => {
        if (this.rendezvous === rendezvous) this.rendezvous = null; // the next worker tries again
        worker.end(`the rendezvous cannot be opened: ${String(thrown)}`);
      },
    );
    return {
      send: (message) => this.send(worker, message),
      terminate: () => worker.kill(),
      hold: (alive) => worker.hold(alive),
    };
  }

  ownersChanged(blocks: BlockTable): void {
    const job = blocks.handles.id;
    let loop = this.loops.get(job);
    if (loop === undefined) {
      const reports = new ReportRing(blocks.handles.reports);
      loop = { blocks, reports, phases: [], reached: new Int32Array(0), meeting: null };
      this.loops.set(job, loop);
    }
    const { meeting } = loop;
    loop.meeting = null;
    for (const worker of this.workers.values()) worker.tell(ownersOf(loop));
    // Who has lost its units cannot answer; the new owners are asked when they have been told to enter.
    if (meeting !== null) setTimeout(() => this.meet(blocks), 0);
  }

  meet(blocks: BlockTable): void {
    const job = blocks.handles.id;
    const loop = this.loops.get(job);
    if (loop === undefined || loop.meeting !== null) return;
    const owners = new Set(blocks.owners());
    const waitsFor = new Set([...this.workers.values()].filter(({ id }) => owners.has(id)));
    const { epoch } = blocks;
    loop.meeting = { epoch, waitsFor, limits: [] };
    // If nobody owns anything now, the next owners are asked.
    for (const worker of waitsFor) worker.tell({ type: 'meet', job, epoch });
  }

  close(): void {
    clearInterval(this.watch);
    this.loops.clear();
    void this.rendezvous?.then((listener) => listener.close()).catch(() => {});
  }

  // From the driver to a worker.

  private send(worker: WorkerProcess, message: ToWorker): void {
    switch (message.type) {
      case 'task':
        return worker.work(message);
      case 'openLoop': {
        const { job, phases, faults, blocks } = message;
        const loop = this.loops.get(job)!;
        loop.phases = phases;
        loop.reached = new Int32Array(faults?.reached ?? new SharedArrayBuffer(0));
        // Versions and reports of its own: the driver's are mirrored.
        const handles = { ...blocks, control: new SharedArrayBuffer(0), reports: new SharedArrayBuffer(0) };
        return worker.work({ ...message, blocks: handles });
      }
      case 'enterLoop': {
        const { inputs, ...rest } = message;
        const { blocks, phases, reached } = this.loops.get(message.job)!;
        for (const { unit, input } of inputs) worker.work({ type: 'input', job: message.job, unit, input });
        const main = phases[phases.length - 1]!.writes;
        const versions = Array.from({ length: blocks.units }, (_, unit) => blocks.version(main, unit));
        const newUnits = inputs.map(({ unit }) => unit);
        return worker.tell({ ...rest, newUnits, versions, limit: blocks.limit, reached: [...reached] });
      }
      case 'closeLoop':
        this.loops.delete(message.job);
        return worker.tell(message);
    }
  }

  // From a worker.

  private heard(worker: WorkerProcess, message: FromAgent, events: CarrierEvents): void {
    switch (message.type) {
      case 'status':
        worker.vitals.apply(message.vitals);
        for (const status of message.loops) this.mirror(status);
        return;
      case 'met': {
        const loop = this.loops.get(message.job);
        // An answer that was on its way when the owners changed is none to the question that stands.
        if (loop?.meeting?.epoch === message.epoch) this.answered(loop, worker, message.limit);
        return;
      }
      case 'parked':
        for (const { reached } of this.loops.values()) Atomics.store(reached, message.fault, 1);
        return events.onMessage(message);
      default:
        return events.onMessage(message);
    }
  }

  /** Takes over how far units are. Versions never go back: who takes a unit over may do again what is known to be done. */
  private mirror({ job, versions, firstLine, lines }: LoopStatus): void {
    const loop = this.loops.get(job);
    if (loop === undefined) return;
    lines.forEach((line, i) => void loop.reports.write(firstLine + i, line));
    for (const [block, pairs] of Object.entries(versions)) {
      for (let i = 0; i < pairs.length; i += 2) {
        const [unit, version] = [pairs[i]!, pairs[i + 1]!];
        if (version > loop.blocks.version(block, unit)) loop.blocks.setVersion(block, unit, version);
      }
    }
  }

  /** A worker has said where it can meet, or will not say any more (null). When all have, the latest place is where. */
  private answered(loop: MirroredLoop, worker: WorkerProcess, limit: number | null): void {
    const { meeting, blocks } = loop;
    if (meeting === null || !meeting.waitsFor.delete(worker)) return;
    if (limit !== null) meeting.limits.push(limit);
    if (meeting.waitsFor.size > 0) return;
    loop.meeting = null;
    if (meeting.limits.length > 0) blocks.limit = Math.min(blocks.limit, Math.max(...meeting.limits));
    const job = blocks.handles.id;
    for (const other of this.workers.values()) other.tell({ type: 'limit', job, limit: blocks.limit });
  }

  // The rendezvous.

  private greeting() {
    return { secret: this.secret, hello: { worker: NOBODY, host: HOST, port: 0 }, maxPayloadBytes: MAX_PAYLOAD_BYTES };
  }

  private async greet(accepted: Promise<Peer>): Promise<void> {
    try {
      const peer = await accepted;
      const address = peer.hello as Hello;
      const worker = this.workers.get(address.worker);
      if (worker === undefined || worker.address !== null) return peer.close();
      worker.connected(peer, address);
      this.tellPeers();
      for (const loop of this.loops.values()) worker.tell(ownersOf(loop));
    } catch {
      // Somebody who does not know the secret, or has gone again: the connection is closed. A worker that does not come is noticed by its silence.
    }
  }

  private tellPeers(): void {
    const peers = [...this.workers.values()].flatMap(({ address }) => address ?? []);
    for (const worker of this.workers.values()) if (worker.address !== null) worker.tell({ type: 'peers', peers });
  }

  private look(): void {
    const now = performance.now();
    for (const worker of this.workers.values()) {
      if (worker.address === null || now - worker.heardMs < this.heartbeatTimeoutMs) continue;
      worker.kill(`the worker process gave no sign of life for ${this.heartbeatTimeoutMs} ms`);
    }
  }
}

function ownersOf({ blocks }: MirroredLoop) {
  return { type: 'owners', job: blocks.handles.id, epoch: blocks.epoch, owners: blocks.owners() } as const;
}
