"""Measures the limits of this machine: the lines in the plot that nothing should cross.

The peak is the speed of a large matrix product in float32, the best that any library reaches. The
bandwidth is that of copying an array that fits into no cache, counting bytes read and written.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import on_tensorflow
from benchmarks.harness import OURS, THEIRS, Session, timed
from minicnn import functional


@dataclass
class Limits:
    """Operations and bytes per second; `call` is the time of an empty `tf.function`, in seconds."""

    flops: float
    bandwidth: float
    by: str = ""  # the side that reached the peak
    call: float = 0.0

    def seconds(self, flops: float, size: float) -> float:
        """Return the least time that this many operations and bytes can take."""
        return max(flops / self.flops, size / self.bandwidth)

    def or_better(self, other: "Limits") -> "Limits":
        """Return the best of two measurements, since the machine may have been busy during one."""
        best = max(self, other, key=lambda each: each.flops)
        bandwidth = max(self.bandwidth, other.bandwidth)
        return Limits(best.flops, bandwidth, best.by, min(self.call, other.call))


def measure(session: Session, size: int = 0, copied: int = 256 * 2**20) -> Limits:
    """Measure products of matrices of `size` rows and columns, and copies of so many bytes.

    By default it takes half a second for the products, of 2048 rows or, in a quick run, of 1024,
    and a second for the copies.
    """
    size = size or (1024 if session.quick else 2048)
    rates = {
        name: 2 * size**3 / _best(run, 2 if session.quick else 5)
        for name, run in _products(session, size).items()
    }
    by = max(rates, key=lambda name: rates[name])
    return Limits(rates[by], _bandwidth(session.threads, copied), by, _empty_call(session))


def _best(run: Callable[[], Any], calls: int) -> float:
    run()
    return min(timed(run) for _ in range(calls))


def _products(session: Session, size: int) -> dict[str, Callable[[], Any]]:
    a = np.random.default_rng(0).standard_normal((size, size), np.float32)
    runs: dict[str, Callable[[], Any]] = {
        "NumPy": lambda: a @ a,
        OURS: lambda: functional.dense(a, a),
    }
    if session.wants(THEIRS) and on_tensorflow.installed():
        import tensorflow as tf

        tensor = tf.constant(a)
        runs[THEIRS] = lambda: tf.matmul(tensor, tensor)
    return runs


def _bandwidth(threads: int, copied: int) -> float:
    """Copy with several threads, each its own part: NumPy releases the GIL meanwhile."""
    source = np.ones(copied, np.uint8)
    target = np.zeros_like(source)
    parts = list(zip(np.array_split(source, threads), np.array_split(target, threads)))
    with ThreadPoolExecutor(threads) as pool:
        times = []
        for _ in range(6):
            start = time.perf_counter()
            list(pool.map(lambda part: np.copyto(part[1], part[0]), parts))
            times.append(time.perf_counter() - start)
    return 2 * copied / min(times[1:])


def _empty_call(session: Session) -> float:
    if not session.wants(THEIRS) or not on_tensorflow.installed():
        return 0.0
    import tensorflow as tf

    nothing = tf.function(lambda x: x, input_signature=[tf.TensorSpec((1,))])
    x = tf.ones(1)
    return min(timed(lambda: nothing(x), 200) for _ in range(5))
