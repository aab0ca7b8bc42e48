#!/usr/bin/env python3
"""PyTorch as a peer: a process that waits for orders, one JSON line each, and answers each with one.

    {"open": 1, "op": "gemm", "threads": 1, "m": 64, "n": 64, "k": 64}   ->  {"digest": [sum, sum of magnitudes]} or {"unsupported": true}
    {"run": 1, "repeats": 10}                                            ->  {"ms": elapsed, as measured here}
    {"close": 1}                                                         ->  {}

Needs torch and numpy, in the Python that $PYTHON names or in python3: pip install torch numpy (a wheel, with MKL); or on Debian apt-get install
python3-torch libopenblas0-pthread (without the latter its matrix product is the unoptimised reference BLAS). Where there are several ways to call an operation, each is tried at the start and the fastest is kept.
"""
import ctypes
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import pytorch_training

SEEDS = {"a": 1, "b": 2, "x": 3, "weight": 4, "bias": 5, "gradY": 6, "gradient": 7}


def wave(name, *shape):
    """The inputs of bench/data.mjs."""
    length = int(np.prod(shape))
    values = (2 * np.sin(0.37 * np.arange(length) + SEEDS[name])).astype(np.float32)
    return torch.from_numpy(values).reshape(shape)


def lookups(count, vocabulary):
    return torch.from_numpy((np.arange(count) * 7919) % vocabulary)


class Blas:
    """The library behind the matrix product, as far as the system tells. OpenBLAS has threads of its own, which `torch.set_num_threads` does not reach."""

    def __init__(self):
        self.name, self.set_threads = "its own BLAS", None
        if torch.backends.mkl.is_available():
            # Linked into the wheels; `torch.set_num_threads` reaches it. The OpenBLAS that then lies in memory is numpy's.
            self.name = "MKL " + torch.__config__.show().split("Math Kernel Library Version ")[-1].split("-")[0]
            return
        try:
            maps = Path("/proc/self/maps").read_text()
        except OSError:
            return
        files = {line.split()[-1] for line in maps.splitlines() if "/" in line}
        known = [file for file in files if any(word in file.rsplit("/", 1)[-1] for word in ("blas", "mkl_", "blis"))]
        known.sort(key=lambda file: ("openblas" not in file.rsplit("/", 1)[-1], file))
        if known:
            self.name = ", ".join(file.rsplit("/", 1)[-1] for file in known)
        for file in known:
            self.set_threads = getattr(ctypes.CDLL(file), "openblas_set_num_threads", None)
            if self.set_threads is not None:
                self.name = file.rsplit("/", 1)[-1]
                return


def use_threads(blas, threads, training):
    """One and the same number of threads. In a training OpenBLAS is held to one: the two pools fight for the cores (half the rate, measured)."""
    torch.set_num_threads(threads)
    if blas.set_threads is not None:
        blas.set_threads(1 if training else threads)


def gemm(m, n, k, transposeA=0, transposeB=0, batch=None):
    lead = [] if batch is None else [batch]
    a = wave("a", *lead, *([k, m] if transposeA else [m, k]))
    b = wave("b", *lead, *([n, k] if transposeB else [k, n]))
    a = a.transpose(-1, -2) if transposeA else a
    b = b.transpose(-1, -2) if transposeB else b
    out = torch.empty(*lead, m, n)
    multiply = torch.mm if batch is None else torch.bmm
    return [lambda: multiply(a, b, out=out)]


def conv(what, c, h, o, n=1, kernel=3, stride=1, padding=1, groups=1, tile=None):
    """Forward or gradients, in PyTorch's default layout and in channels_last. `tile` is the algorithm that we take; it takes its own."""
    ways = []
    for memory in (torch.contiguous_format, torch.channels_last):
        x = wave("x", n, c, h, h).contiguous(memory_format=memory)
        weight = wave("weight", o, c // groups, kernel, kernel).contiguous(memory_format=memory)
        outputs = (h + 2 * padding - kernel) // stride + 1
        gradient = wave("gradY", n, o, outputs, outputs).contiguous(memory_format=memory)

        def backward(mask, x=x, weight=weight, gradient=gradient):
            one, none = [stride] * 2, [0, 0]
            return torch.ops.aten.convolution_backward(
                gradient, x, weight, None, one, [padding] * 2, [1, 1], False, none, groups, mask
            )

        def forward(x=x, weight=weight):
            return F.conv2d(x, weight, stride=stride, padding=padding, groups=groups)

        def both(forward=forward, backward=backward):
            y = forward()
            backward([True, True, False])
            return y

        calls = {
            "forward": forward,
            "backward-data": lambda backward=backward: backward([True, False, False])[0],
            "backward-filter": lambda backward=backward: backward([False, True, False])[1],
            "all": both,
        }
        ways.append(calls[what])
    return ways


def unary(name, length):
    x, out = wave("x", length), torch.empty(length)
    if name.startswith("gelu"):
        approximate = "tanh" if name == "gelu_tanh" else "none"
        return [lambda: torch._C._nn.gelu(x, approximate=approximate, out=out)]
    call = getattr(torch, name)
    return [lambda: call(x, out=out)]


def softmax(rows, columns):
    x = wave("x", rows, columns)
    return [lambda: torch.softmax(x, 1)]


def layer_norm(rows, columns):
    x = wave("x", rows, columns)
    return [lambda: F.layer_norm(x, (columns,))]


def adam(length):
    def way(foreach):
        weight = wave("weight", length).requires_grad_()
        weight.grad = wave("gradient", length)
        return torch.optim.Adam([weight], lr=1e-3, foreach=foreach).step

    return [way(False), way(True)]


def pool(function):
    def open_pool(planes, h, kernel, stride, places=None):
        x = wave("x", 1, planes, h, h)
        ways = [x, x.contiguous(memory_format=torch.channels_last)]
        return [lambda x=x: function(x, kernel, stride) for x in ways]

    return open_pool


def embedding(vocabulary, count, columns):
    weight, indices = wave("weight", vocabulary, columns), lookups(count, vocabulary)
    return [lambda: F.embedding(indices, weight)]


def embedding_gradient(vocabulary, count, columns):
    gradient, indices = wave("gradY", count, columns), lookups(count, vocabulary)
    return [lambda: torch.ops.aten.embedding_dense_backward(gradient, indices, vocabulary, -1, False)]


def transpose(m, n):
    x = wave("x", m, n)
    return [lambda: x.t().contiguous()]


OPERATIONS = {
    "gemm": gemm,
    "prepacked": gemm,
    "conv": conv,
    "winograd": conv,
    "unary": unary,
    "softmax": softmax,
    "layerNorm": layer_norm,
    "adam": adam,
    "maxPool": pool(F.max_pool2d),
    "averagePool": pool(F.avg_pool2d),
    "embedding": embedding,
    "embeddingGradient": embedding_gradient,
    "transpose": transpose,
    **pytorch_training.OPERATIONS,
}


def elapsed_ms(call, repeats):
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return 1000 * (time.perf_counter() - start)


def fastest(ways):
    """The way with the best of some runs."""
    if len(ways) == 1:
        return ways[0]
    for way in ways:
        elapsed_ms(way, 2)
    return min(ways, key=lambda way: min(elapsed_ms(way, 1) for _ in range(9)))


def digest(result):
    if not isinstance(result, torch.Tensor):
        return None
    values = result.detach().double()
    return [values.sum().item(), values.abs().sum().item()]


class Server:
    def __init__(self):
        self.blas, self.opened = Blas(), {}

    def open(self, number, op, threads=1, **shape):
        if op not in OPERATIONS:
            return {"unsupported": True}
        training = op in pytorch_training.OPERATIONS
        use_threads(self.blas, threads, training)
        if training:
            self.opened[number] = (OPERATIONS[op](**shape), threads, True)
            return {}
        with torch.no_grad():
            call = fastest(OPERATIONS[op](**shape))
            self.opened[number] = (call, threads, False)
            return {"digest": digest(call())}

    def run(self, number, repeats):
        call, threads, training = self.opened[number]
        use_threads(self.blas, threads, training)
        if training:
            return {"ms": elapsed_ms(call, repeats)}
        with torch.no_grad():
            return {"ms": elapsed_ms(call, repeats)}

    def answer(self, order):
        if "open" in order:
            return self.open(order.pop("open"), **order)
        if "run" in order:
            return self.run(order["run"], order["repeats"])
        del self.opened[order["close"]]
        return {}


def main():
    server = Server()
    version = {"torch": torch.__version__, "blas": server.blas.name, "python": sys.version.split()[0]}
    print(json.dumps({**version, "capability": torch.__config__.show().split("CPU capability usage: ")[-1].split("\n")[0]}), flush=True)
    for line in sys.stdin:
        try:
            answer = server.answer(json.loads(line))
        except Exception as error:  # the bench prints it in the row
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
