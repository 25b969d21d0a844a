"""Explains transposed convolutions: the sums of a convolution with input and output swapped."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import layers, shapes
from minicnn.explain import show
from minicnn.explain.arithmetic import Spot, Sum, bias_of, over, sums, tile_magnitude
from minicnn.explain.explanation import make_gradient_terms, make_terms
from minicnn.explain.gradient_sum import GradientSum, Query, gradient_of, sum_over_positions
from minicnn.explain.gradients import outputs_on, winograd_sum
from minicnn.explain.trace_entry import TraceEntry

Array = np.ndarray


def _window(layer: Any, x: Array) -> shapes.Window:
    """Return the window that slides over the output, for an example of the input or a batch."""
    window: shapes.Window = layer.window((x.shape[-3], x.shape[-2]))[0]
    return window


@sums(layers.Conv2DTranspose)
def _conv2d_transpose(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), (row, col, unit) = xs, spot.at
    geometry, kernel = _window(layer, x), layer.kernel.value[:, :, spot.at[2]]
    places, weights = [], []
    for i, iy in outputs_on(row, 0, geometry):
        for j, ix in outputs_on(col, 1, geometry):
            places += [(iy, ix, c) for c in range(x.shape[2])]
            weights += kernel[i, j].tolist()
    where = np.array(places, np.intp).reshape(-1, 3)
    bias = f" + bias[{unit}]" if layer.use_bias else ""
    magnitude = tile_magnitude(layer, geometry, x, _middle(spot.at, geometry, 1), kernel)
    stamps = len(places) // x.shape[2]
    return Sum(
        make_terms(where, x[where[:, 0], where[:, 1], where[:, 2]], weights),
        f"y{show.place(spot.at)} = Σ x[r, s, c]·kernel[i, j, {unit}, c]{bias} over the pixels "
        "(r, s) whose stamps reach this place, and their channels",
        bias=bias_of(layer, unit),
        notes=[f"{show.count(stamps, 'stamp')} of {_by(geometry.kernel)} on this place."],
        magnitude=None if magnitude is None else magnitude + abs(bias_of(layer, unit)),
    )


def _by(kernel: shapes.Pair) -> str:
    return f"{kernel[0]}×{kernel[1]}"


def _middle(at: Sequence[int], geometry: shapes.Window, sign: int) -> list[int]:
    """Return the pixel of x (1) or y (-1) under the middle of a 3x3 window on this place."""
    return [at[axis] + sign * (geometry.before[axis] - 1) for axis in (0, 1)]


@gradient_of(layers.Conv2DTranspose, what="dx")
def _conv2d_transpose_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    geometry, kernel = _window(layer, entry.xs[0]), layer.kernel.value
    row, col, c = query.at
    units = range(layer.filters)
    places, weights = [], []
    for i, oy in _stamped(row, 0, geometry, dz.shape[1]):
        for j, ox in _stamped(col, 1, geometry, dz.shape[2]):
            places += [(oy, ox, unit) for unit in units]
            weights += [(i, j, unit, c) for unit in units]
    where = np.array(places, np.intp).reshape(-1, 3)
    taps = np.array(weights, np.intp).reshape(-1, 4)
    sent = dz[query.example]
    return GradientSum(
        make_gradient_terms(
            query.example,
            where,
            sent[where[:, 0], where[:, 1], where[:, 2]],
            kernel[taps[:, 0], taps[:, 1], taps[:, 2], taps[:, 3]],
            taps,
        ),
        f"dx{show.place(query.at)} = Σ dz[r, s, o]·kernel[i, j, o, {c}] over the places (r, s) "
        "under this pixel's stamp" + over(i=geometry.kernel[0], j=geometry.kernel[1], o=len(units)),
        magnitude=tile_magnitude(
            layer, geometry, sent, _middle(query.at, geometry, -1), kernel[:, :, :, c]
        ),
    )


def _stamped(pixel: int, axis: int, geometry: shapes.Window, size: int) -> list[tuple[int, int]]:
    """Return (tap, place) of all places in the output under this pixel's stamp, along one axis."""
    first = pixel * geometry.strides[axis] - geometry.before[axis]
    places = [(tap, first + tap * geometry.dilation[axis]) for tap in range(geometry.kernel[axis])]
    return [(tap, place) for tap, place in places if 0 <= place < size]


@gradient_of(layers.Conv2DTranspose, what="kernel")
def _conv2d_transpose_kernel(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    (x,), (i, j, unit, c) = entry.xs, query.at
    geometry = _window(layer, x)
    examples, rows, cols = (axis.ravel() for axis in np.indices(x.shape[:3]))
    oy, ox = (
        pixels * geometry.strides[axis] - geometry.before[axis] + tap * geometry.dilation[axis]
        for axis, (pixels, tap) in enumerate(((rows, i), (cols, j)))
    )
    inside = (oy >= 0) & (oy < dz.shape[1]) & (ox >= 0) & (ox < dz.shape[2])
    examples, rows, cols, oy, ox = (part[inside] for part in (examples, rows, cols, oy, ox))
    return GradientSum(
        make_gradient_terms(
            examples,
            np.stack([oy, ox, np.full_like(oy, unit)], axis=1),
            dz[examples, oy, ox, unit],
            x[examples, rows, cols, c],
            np.stack([rows, cols, np.full_like(rows, c)], axis=1),
        ),
        f"dkernel{show.place(query.at)} = Σ over n, r, s of x[n, r, s, {c}]·dz[n, …, {unit}] where "
        "this weight put it",
        magnitude=winograd_sum(layer, geometry, dz[..., unit], x[..., c]),
    )


@gradient_of(layers.Conv2DTranspose, what="bias")
def _bias(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    return sum_over_positions(dz, query.at[0], "bias")
