"""Finds the pixels that one unit of a layer can see, exactly and in closed form."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from minicnn import layers, shapes
from minicnn._support.terminal import printable
from minicnn.explain import show
from minicnn.explain.arithmetic import window_of
from minicnn.explain.gradients import outputs_on
from minicnn.explain.trace_entry import TraceEntry
from minicnn.layers.convolutional import Convolution
from minicnn.shapes import ReceptiveField

Array = np.ndarray
Span = tuple[int, int]  # first and last
Lines = list[Array]  # the numbers of rows, and of columns
NOTHING: Span = (0, -1)
Axes = tuple[ReceptiveField, ReceptiveField] | None  # rows and columns; None: the whole image


@dataclass(frozen=True, repr=False)
class SeenPixels:
    """The pixels that a unit depends on: `rows` and `cols`, first and last, within the image.

    `formula` is the closed form, for rows and columns: unit u sees `size` pixels from
    `u * step - before` on, where `step` is the effective stride and `before` includes the padding;
    after an upsampling it sees only some of them. `formula` is None after a layer that sees the
    whole image (`whole`).
    """

    name: str
    at: tuple[int, ...]
    rows: Span
    cols: Span
    size: tuple[int, int]  # of the image
    formula: Axes
    whole: bool

    def __str__(self) -> str:
        (top, bottom), (left, right) = self.rows, self.cols
        if top > bottom or left > right:
            return f"{printable(self.name)}{show.place(self.at)} sees no pixel, only padding."
        name = printable(self.name)
        text = (
            f"{name}{show.place(self.at)} sees rows {top}…{bottom} and columns {left}…{right} "
            f"of the {self.size[0]}×{self.size[1]} image"
        )
        if self.whole or self.formula is None:
            return text + ": all of it can matter."
        for title, axis, unit, (low, high) in zip(
            ("rows", "columns"), self.formula, self.at, (self.rows, self.cols), strict=False
        ):
            first, last = axis.pixels(unit)
            start = f"{unit}·{axis.step} - {axis.before}"
            if not axis.exact:  # after an upsampling, neighbouring units may see the same pixels
                text += f"\n    {title}: at most {axis.most} pixels, from ⌈{start}⌉ = {first} on"
                continue
            text += f"\n    {title}: {axis.size} pixels from {start} = {first} on, {first}…{last}"
            if (first, last) != (low, high):
                text += f", cut at the image's edge: {low}…{high}"
        return text

    __repr__ = __str__


def closed_form(entry: TraceEntry, known: dict[TraceEntry, Axes]) -> Axes:
    """Return the entry's receptive field by formula; it covers all inputs."""
    window = entry.layer.receptive_window()
    if window is None:
        return None
    kernel, strides, dilation = window
    before = _before(entry)
    start = (ReceptiveField(), ReceptiveField()) if entry.xs[0].ndim == 4 else None
    incoming = [start if isinstance(s, int) else known.get(s) for s in entry.sources]
    found = []
    for axis in (0, 1):
        parts = []
        for fields in incoming:
            if fields is None:
                return None
            parts.append(
                fields[axis].through(kernel[axis], strides[axis], dilation[axis], before[axis])
            )
        found.append(_cover(parts))
    return found[0], found[1]


def _cover(parts: Sequence[ReceptiveField]) -> ReceptiveField:
    before = max(part.before for part in parts)
    after = max(part.size - part.before for part in parts)
    exact = all(part.exact for part in parts)
    return ReceptiveField(before + after, max(part.step for part in parts), before, exact)


def _before(entry: TraceEntry) -> tuple[int | Fraction, int | Fraction]:
    """Return how many rows of padding the layer itself adds above, and columns on the left."""
    layer: Any = entry.layer
    if isinstance(layer, layers.Conv2DTranspose):
        kernel, _, dilation = layer.receptive_window()
        geometry = layer.window(entry.xs[0].shape[1:3])[0]
        rows, columns = (
            (taps - 1) * step - Fraction(cut, stride)
            for taps, step, cut, stride in zip(
                kernel, dilation, geometry.before, geometry.strides, strict=True
            )
        )
        return rows, columns
    if isinstance(layer, layers.ZeroPadding2D):
        return layer.padding[0][0], layer.padding[1][0]
    if isinstance(layer, layers.Cropping2D):
        return -layer.cropping[0][0], -layer.cropping[1][0]
    if isinstance(layer, (Convolution, layers.MaxPooling2D, layers.AveragePooling2D)):
        return window_of(layer, entry.xs[0].shape[1:3]).before
    return 0, 0


def seen_by(entry: TraceEntry, at: tuple[int, ...], size: tuple[int, int]) -> tuple[Span, Span]:
    """Return the first and last row and column that the unit can depend on, layer by layer."""
    whole = (0, size[0] - 1), (0, size[1] - 1)
    if np.ndim(entry.y) != 4:
        return whole
    wanted: dict[TraceEntry, Lines] = {entry: [np.array([at[0]]), np.array([at[1]])]}
    reached: Lines = [np.array([], int), np.array([], int)]
    for current in reversed(_before_it(entry)):
        if current not in wanted:
            continue
        lines = _through(current, wanted[current])
        if lines is None:
            return whole
        if any(len(axis) == 0 for axis in lines):
            continue  # this path sees only padding
        for source in current.sources:
            if isinstance(source, int):
                reached = _union(reached, lines)
            else:
                held = wanted.get(source)
                wanted[source] = lines if held is None else _union(held, lines)
    rows, cols = ((int(axis[0]), int(axis[-1])) if len(axis) else NOTHING for axis in reached)
    return rows, cols


def _union(a: Lines, b: Lines) -> Lines:
    return [np.union1d(p, q) for p, q in zip(a, b, strict=True)]


def _before_it(entry: TraceEntry) -> list[TraceEntry]:
    """Return the entry and all entries that it depends on, inputs first."""
    order: list[TraceEntry] = []
    state: dict[TraceEntry, int] = {}
    stack = [entry]
    while stack:
        current = stack[-1]
        step = state.setdefault(current, 0)
        below = [s for s in current.sources if isinstance(s, TraceEntry)]
        if step < len(below):
            state[current] += 1
            if below[step] not in state:
                stack.append(below[step])
            continue
        order.append(stack.pop())
    return order


def recomputed(entry: TraceEntry, x: Array) -> Array:
    """Return the entry's output for another x, in inference mode, through its layers."""
    known: dict[TraceEntry, Array] = {}
    for current in _before_it(entry):
        inputs = [x if isinstance(s, int) else known[s] for s in current.sources]
        layer = current.layer
        known[current] = layer.forward(inputs if layer.takes_list else inputs[0])[0]
    return known[entry]


def _through(entry: TraceEntry, lines: Lines) -> Lines | None:
    """Return the rows and columns of the input that these output lines see; None means all."""
    window = entry.layer.receptive_window()
    x = entry.xs[0]
    if window is None or x.ndim != 4:
        return None
    if isinstance(entry.layer, layers.Conv2DTranspose):
        geometry = entry.layer.window(x.shape[1:3])[0]
        return [_stamping(lines[axis], axis, geometry) for axis in (0, 1)]
    kernel, strides, dilation = window
    before = _before(entry)
    found = []
    for axis in (0, 1):
        step = strides[axis]
        first = lines[axis] * step.numerator // step.denominator - before[axis]
        taps = np.unique(first[:, None] + np.arange(int(kernel[axis])) * dilation[axis])
        found.append(taps[(taps >= 0) & (taps < x.shape[1 + axis])])
    return found


def _stamping(lines: Array, axis: int, geometry: shapes.Window) -> Array:
    """Return the lines of a transposed convolution's input whose kernels reach these lines."""
    pairs = [pair for line in lines.tolist() for pair in outputs_on(line, axis, geometry)]
    return np.unique(np.array([pixel for _, pixel in pairs], int))
