"""Measures a row: compares the results first, then times the sides in turns.

A *side* is a library or algorithm that computes (minicnn, TensorFlow, PyTorch, one of minicnn's
algorithms); a *way* is a way to call it (`tf.function`, the same compiled by XLA). The steps of a
row:

1. Each way of each side runs once. That first call traces and compiles; its time is kept apart.
2. The harness compares the result with the judge's: the largest difference over the largest value,
   array by array. TensorFlow is the judge if it is installed. If any result is off by more than the
   row's tolerance, the harness times nothing in the row, and the command fails. The tolerance of an
   operation is 1e-4: the rounding error that Winograd's algorithm for 3x3 convolutions may have
   (`minicnn.kernels.winograd`), and ten times that of the others.
3. Each side's ways run a few more times; those that take twice as long as its fastest, or longer,
   are left out.
4. In each round every way that is left has a turn, in the opposite order every other round, so that
   a machine that warms up, slows down or is busy affects all sides alike. A turn begins with one
   call that does not count, to wake up threads and refill the caches; then come as many calls as
   fit into a few hundredths of a second, at least one. Calls that take less than a millisecond are
   timed in groups.
5. The row reports the median, the best, and the quartiles of all these samples, for each side those
   of the way with the lowest median. A ratio is the ratio of the medians.

The sides run in one process and share its cores, so no threads may spin while another side
computes. By default OpenMP's threads (PyTorch's) would spin for milliseconds after a loop;
`threads.environment` makes them sleep; minicnn's sleep after a fifth of a millisecond. Taking turns
costs TensorFlow nothing. To measure this, it had its turn right after one of its own and right
after one of minicnn's, 24 to 60 times each, in alternation, on two busy cores. Medians: convolution
3×3 of 56×56×64, one photo, 2.89 and 2.91 ms, 32 photos 99.6 and 100.8 ms; depthwise 7.12 and 6.77
ms; ReLU 2.21 and 2.35 ms. These differences are as small as those between repeated measurements.
`--sides TensorFlow` measures it without the others in the process.
"""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

Array = np.ndarray
Key = TypeVar("Key")

OURS, THEIRS = "minicnn", "TensorFlow"
PEERS = (THEIRS, "ONNX Runtime")  # ratios compare with the fastest of these

_GROUP = 1e-3  # seconds: shorter calls are timed in groups
_SLOW = 0.25  # seconds: a call this long needs no warm-up call
_VERY_SLOW = 1.0  # seconds: three rounds are enough for longer calls
_CLEARLY = 1.3  # a way that takes this many times as long may be left out of the next row
_TRIES = 3  # how many calls decide which ways of a side are left out
_TWICE = 2.0  # those that take this many times as long as its fastest


class Unavailable(Exception):  # noqa: N818 - not an error: a "—" in the table
    """This side cannot do this work."""


@dataclass
class Way:
    """`run()` computes once and returns when it is done; `arrays(result)` is for comparisons."""

    name: str
    run: Callable[[], Any]
    arrays: Callable[[Any], list[Array]] = lambda result: [np.array(part) for part in result]


@dataclass
class Side:
    """One column of the table."""

    name: str
    ways: Sequence[Way]


@dataclass
class Times:
    """The measurements of one side: seconds of each call, round by round (or bytes, see Row).

    `first` is the first call in the process; `tried` has the times of all ways, from which `way`
    was chosen.
    """

    rounds: list[list[float]]
    way: str = ""
    first: float | None = None
    tried: dict[str, float] = field(default_factory=dict)

    @property
    def samples(self) -> list[float]:
        return [sample for each in self.rounds for sample in each]

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def best(self) -> float:
        return min(self.samples)

    @property
    def quartiles(self) -> tuple[float, float]:
        if len(self.samples) == 1:
            return self.samples[0], self.samples[0]
        low, _, high = statistics.quantiles(self.samples, n=4, method="inclusive")
        return low, high

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a share of the median."""
        low, high = self.quartiles
        return (high - low) / 2 / self.median if self.median else 0.0

    def lost(self, way: str) -> bool:
        """Return whether this way was clearly slower than another, or was not tried at all."""
        return self.tried.get(way, math.inf) > _CLEARLY * min(self.tried.values(), default=0.0)


@dataclass
class Row:
    """One line of the table; `flops` and `bytes` are the least that the work needs."""

    subject: str
    group: str
    name: str
    work: str
    batch: int
    flops: float = 0.0
    bytes: float = 0.0
    unit: str = "s"
    times: dict[str, Times] = field(default_factory=dict)
    differences: dict[str, float] = field(default_factory=dict)
    judge: str = ""
    tolerance: float = 1e-4
    photos: float = 0.0  # of one call
    grows: float = 0.0  # the quantity that `scaling` increases from row to row

    @property
    def disagreeing(self) -> dict[str, float]:
        """The sides that are off by more than the tolerance; NaN is, too."""
        return {
            side: found for side, found in self.differences.items() if not found <= self.tolerance
        }

    @property
    def ratio(self) -> float | None:
        """The fastest peer's time over ours: above 1, ours is faster."""
        if OURS not in self.times or self.peer is None:
            return None
        return self.times[self.peer].median / self.times[OURS].median

    @property
    def peer(self) -> str | None:
        """The fastest peer."""
        peers = [name for name in PEERS if name in self.times]
        return min(peers, key=lambda name: self.times[name].median, default=None)

    @property
    def title(self) -> str:
        return f"{self.name}, batch {self.batch}, {self.work}"


@dataclass(frozen=True)
class Effort:
    """How long to measure a row: the rounds, and the seconds of each side's turn."""

    rounds: int
    turn: float

    @classmethod
    def chosen(cls, quick: bool) -> "Effort":
        return cls(rounds=3, turn=0.01) if quick else cls(rounds=7, turn=0.04)


@dataclass
class Session:
    """The command's options for all subjects; `wanted` are the sides, and empty means all."""

    threads: int
    quick: bool = False
    wanted: tuple[str, ...] = ()

    @property
    def effort(self) -> Effort:
        return Effort.chosen(self.quick)

    def wants(self, side: str) -> bool:
        return not self.wanted or side in self.wanted


@dataclass
class Job:
    """One row to measure, or a few that belong together; `--only` looks at `title`."""

    title: str
    run: Callable[[], list[Row]]


# ---------------------------------------------------------------------------------------------
# Agreement
# ---------------------------------------------------------------------------------------------


def difference(found: Sequence[Array], expected: Sequence[Array]) -> float:
    """Return the largest |found - expected| over the largest |expected|, the worst of all arrays.

    It is infinite if the number of arrays or the shapes differ, or if one has NaN or infinity.
    """
    if [np.shape(a) for a in found] != [np.shape(b) for b in expected]:
        return math.inf
    worst = 0.0
    for a, b in zip(found, expected, strict=True):
        if not np.size(b):
            continue
        largest = float(np.abs(b).max()) or 1.0
        off = float(np.abs(np.subtract(a, b, dtype=np.result_type(b, np.float32))).max()) / largest
        worst = max(worst, off) if math.isfinite(off) else math.inf
    return worst


# ---------------------------------------------------------------------------------------------
# Time
# ---------------------------------------------------------------------------------------------


def timed(run: Callable[[], Any], calls: int = 1) -> float:
    """Return the mean seconds of `calls` calls; each result is dropped before the next call."""
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls


def turn(run: Callable[[], Any], seconds: float, usual: float) -> list[float]:
    """Return the samples of one side's turn; `usual` is roughly how long a call takes."""
    if usual < _SLOW:
        run()
    calls = max(1, math.ceil(_GROUP / max(usual, 1e-7))) if usual < _GROUP else 1
    count = max(1, int(seconds / (usual * calls)))
    return [timed(run, calls) for _ in range(count)]


def interleaved(
    runs: Mapping[Key, Callable[[], Any]],
    effort: Effort,
    usual: Mapping[Key, float] | None = None,
) -> dict[Key, list[list[float]]]:
    """Return the samples of each of `runs`; every other round is in the opposite order."""
    usual = usual or {name: timed(run) for name, run in runs.items()}
    samples: dict[Key, list[list[float]]] = {name: [] for name in runs}
    names = list(runs)
    slow = max((usual[name] for name in names), default=0.0) > _VERY_SLOW
    for number in range(min(3, effort.rounds) if slow else effort.rounds):
        for name in reversed(names) if number % 2 else names:
            samples[name].append(turn(runs[name], effort.turn, usual[name]))
    return samples


def measure(row: Row, sides: Iterable[Side], effort: Effort) -> Row:
    """Fill in the row: compare the sides, and if they agree, time them.

    The judge is TensorFlow if it is among them, otherwise the last side that is not minicnn itself.
    """
    done: list[tuple[Side, Way, float, list[Array]]] = []
    for side in sides:
        for way in side.ways:
            start = time.perf_counter()
            try:
                result = way.run()
            except Unavailable:
                continue
            done.append((side, way, time.perf_counter() - start, way.arrays(result)))
    names = list(dict.fromkeys(side.name for side, *_ in done))
    others = [name for name in names if name != OURS]
    row.judge = THEIRS if THEIRS in others else others[-1] if others else ""
    expected = next((arrays for side, *_, arrays in done if side.name == row.judge), None)
    if expected is not None:
        for side, _, _, arrays in done:
            off = difference(arrays, expected)
            row.differences[side.name] = max(row.differences.get(side.name, 0.0), off)
        if row.disagreeing:
            return row
    calls = [(side.name, way, first) for side, way, first, _ in done]
    del done, expected  # large arrays
    usual = {(name, way.name): _usual(way.run) for name, way, _ in calls}
    tried: dict[str, dict[str, float]] = {}
    for (name, way_name), took in usual.items():
        tried.setdefault(name, {})[way_name] = took
    left = {
        (name, way.name): (way.run, first)
        for name, way, first in calls
        if usual[name, way.name] <= _TWICE * min(tried[name].values())
    }
    samples = interleaved({key: run for key, (run, _) in left.items()}, effort, usual)
    for (name, way_name), rounds in samples.items():
        times = Times(rounds, way_name, left[name, way_name][1], tried[name])
        if name not in row.times or times.median < row.times[name].median:
            row.times[name] = times
    return row


def _usual(run: Callable[[], Any]) -> float:
    """Return roughly how long a call takes: the shortest of a few, or one if that is slow."""
    took = timed(run)
    return took if took > _SLOW else min(took, *(timed(run) for _ in range(_TRIES)))
