"""The operations that `layers` measures: their sizes, their data, and the least work they need.

A multiplication and an addition count as two operations. Bytes are counted as on a machine with an
unlimited cache: it reads every input array once and writes every output array once. Winograd's
algorithm needs fewer operations than counted here, and what is still in the cache need not be read;
so a share of the limit may exceed 100 %.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn import shapes

Array = np.ndarray

PASSES = ("forward", "dx", "dw")


@dataclass(frozen=True)
class Case:
    """One operation on one size; `group` is the line of the summary that it counts for."""

    kind: str
    group: str
    batch: int
    height: int = 1
    width: int = 1
    channels: int = 1
    filters: int = 0
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    padding: str = "same"
    works: tuple[str, ...] = PASSES
    quick: bool = False  # also in a quick run
    label: str = ""

    @property
    def out(self) -> tuple[int, int]:
        return shapes.window(
            (self.height, self.width), self.kernel, self.strides, self.padding, (1, 1), self.kind
        ).out

    @property
    def name(self) -> str:
        if self.label:
            return self.label
        size = f"{self.height}×{self.width}×{self.channels}"
        window = f"{self.kernel[0]}×{self.kernel[1]}"
        if self.strides != (1, 1):
            window += f"/{self.strides[0]}"
        return {
            "conv": f"conv {window}  {size}→{self.filters}",
            "depthwise": f"depthwise {window}  {size}",
            "max pool": f"max pool {window}  {size}",
            "batch norm": f"batch norm  {size}",
            "relu": f"ReLU  {size}",
            "dense": f"dense  {self.channels}→{self.filters}",
            "cross-entropy": f"cross-entropy  {self.channels} classes",
        }[self.kind]

    @property
    def flops(self) -> float:
        """How many operations a pass takes; the same number for forward, dx and dw."""
        positions = self.batch * math.prod(self.out)
        area = math.prod(self.kernel)
        if self.kind == "conv":
            return 2.0 * positions * area * self.channels * self.filters
        if self.kind == "depthwise":
            return 2.0 * positions * area * self.channels
        if self.kind == "dense":
            return 2.0 * self.batch * self.channels * self.filters
        return 0.0

    def bytes(self, work: str) -> float:
        """Return the bytes read and written once; see the module's docstring."""
        data = self.shapes()
        x, y = math.prod(data["x"]), math.prod(data.get("dy", data["x"]))
        if self.kind == "adam":
            weights = sum(math.prod(s) for name, s in data.items() if name.startswith("w"))
            return 4.0 * 7 * weights  # w, m, v read and written, dw read
        w = math.prod(data.get("w", (0,)))
        forward = x + w + y  # dx: dy and w give dx, dw: dy and x give dw
        if self.kind in ("relu", "max pool", "batch norm"):
            forward += x if work == "backward" else 0  # dy and x give dx
        return 4.0 * (2 * x + x if self.kind == "cross-entropy" else forward)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the arrays that this case needs, x and dy first."""
        x = (self.batch, self.height, self.width, self.channels)
        if self.kind == "dense":
            matrix = (self.channels, self.filters)
            rows, results = (self.batch, self.channels), (self.batch, self.filters)
            return {"x": rows, "w": matrix, "b": (self.filters,), "dy": results}
        if self.kind == "cross-entropy":
            return {"x": (self.batch, self.channels), "targets": (self.batch, self.channels)}
        if self.kind == "adam":
            weights = SMALL_CNN_WEIGHTS if self.filters == 0 else ((self.channels, self.filters),)
            found: dict[str, tuple[int, ...]] = {"x": (0,)}
            for number, shape in enumerate(weights):
                found |= {f"w{number}": shape, f"dw{number}": shape}
            return found
        filters = self.filters or self.channels
        found = {"x": x, "dy": (self.batch, *self.out, filters)}
        if self.kind == "conv":
            return found | {"w": (*self.kernel, self.channels, filters), "b": (filters,)}
        if self.kind == "depthwise":
            return found | {"w": (*self.kernel, self.channels, 1), "b": (filters,)}
        if self.kind == "batch norm":
            names = ("gamma", "beta", "mean", "variance")
            return found | dict.fromkeys(names, (self.channels,))
        return found


SMALL_CNN_WEIGHTS = (
    (3, 3, 3, 32), (32,), (3, 3, 32, 64), (64,), (3, 3, 64, 128), (128,), (128, 10), (10,),
)  # fmt: skip


def data_of(case: Case) -> dict[str, Array]:
    """Return random arrays, the same in every run; small weights keep results near 1."""
    rng = np.random.default_rng(0)
    data: dict[str, Array] = {}
    for name, shape in case.shapes().items():
        if name == "targets":
            labels = rng.integers(0, shape[1], shape[0])
            data[name] = np.eye(shape[1], dtype=np.float32)[labels]
            continue
        array = rng.standard_normal(shape, np.float32)
        if name == "w":
            array /= np.float32(math.sqrt(math.prod(shape[:-1])))
        if name == "variance":
            array = np.abs(array) + np.float32(0.5)
        data[name] = array
    return data


# ---------------------------------------------------------------------------------------------
# The list
# ---------------------------------------------------------------------------------------------

CONV3 = "conv 3×3 stride 1, 64 to 256 channels"
OTHER = "other convolutions"
ELEMENTS = "depthwise, ReLU, BatchNorm, pooling, cross-entropy, Adam"
DENSE = "dense"

FORWARD_BACK = ("forward", "backward")
NO_DX = ("forward", "dw")  # a network's first layer needs no dx


def _conv(
    size: int, channels: int, filters: int, window: int, stride: int, batch: int, **more: Any
) -> Case:
    plain = window == 3 and stride == 1 and channels in (64, 128, 256)
    return Case(
        "conv", more.pop("group", CONV3 if plain else OTHER), batch, size, size, channels, filters,
        (window, window), (stride, stride), **more,
    )  # fmt: skip


def _each(kind: str, size: int, channels: int, batch: int, **more: Any) -> Case:
    return Case(kind, more.pop("group", ELEMENTS), batch, size, size, channels, **more)


def cases() -> list[Case]:
    """Return all cases, in the order of the table."""
    found: list[Case] = []
    for batch in (32, 8, 1):
        big = batch != 8
        found += [
            _conv(56, 64, 64, 3, 1, batch, quick=big),
            *([_conv(28, 128, 128, 3, 1, batch)] if big else []),
            _conv(14, 256, 256, 3, 1, batch),
        ]
    for batch in (32, 1):
        found += [
            _conv(10, 728, 728, 1, 1, batch, quick=True),
            _conv(37, 128, 128, 1, 1, batch),
            _conv(10, 1024, 1536, 1, 1, batch, works=("forward",)),
            _conv(37, 128, 256, 1, 2, batch),
            _conv(56, 64, 128, 3, 2, batch),
            _conv(150, 3, 32, 3, 2, batch, padding="valid", works=NO_DX, quick=batch == 1),
            _conv(150, 3, 32, 3, 1, batch, padding="valid", works=NO_DX),
            _conv(28, 1, 32, 3, 1, batch, padding="valid", works=NO_DX, quick=batch == 1),
            _conv(28, 32, 64, 5, 1, batch),
            _conv(28, 37, 51, 3, 1, batch),
        ]
    for batch in (32, 1):
        found += [
            _each("depthwise", 37, 128, batch, kernel=(3, 3), quick=batch == 32),
            _each("depthwise", 10, 1536, batch, kernel=(3, 3)),
            _each("depthwise", 37, 128, batch, kernel=(3, 3), strides=(2, 2)),
            _each("relu", 37, 128, batch, works=FORWARD_BACK, quick=batch == 32),
            _each(
                "batch norm", 37, 128, batch,
                works=(*FORWARD_BACK, "inference"), quick=batch == 32,
            ),
            _each(
                "max pool", 56, 64, batch, kernel=(2, 2), strides=(2, 2), padding="valid",
                works=FORWARD_BACK, quick=batch == 32,
            ),
            _each("max pool", 37, 256, batch, kernel=(3, 3), strides=(2, 2), works=FORWARD_BACK),
            _each("cross-entropy", 1, 10, batch, works=("both ways",), quick=batch == 32),
            _each("cross-entropy", 1, 1000, batch, works=("both ways",)),
        ]  # fmt: skip
    found += [
        _each("adam", 1, 1, 1, works=("step",), label="Adam  94,000 weights", quick=True),
        _each("adam", 1, 2048, 1, filters=1000, works=("step",), label="Adam  2 million weights"),
        _each("dense", 1, 2048, 32, filters=1000, group=DENSE),
        _each("dense", 1, 2048, 1, filters=1000, group=DENSE),
        _each("dense", 1, 175232, 20, filters=64, group=DENSE, works=("forward", "dx", "dw")),
    ]
    return found


def group_of(case: Case) -> str:
    """Return the summary's line; batches count apart, since one image is a different problem."""
    return case.group if case.group == DENSE else f"{case.group}, batch {case.batch}"
