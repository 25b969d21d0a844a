"""The maximum of an adaptive window, and its gradient; `moving` has the mean, a weighted sum."""

from typing import Any

import numpy as np

from minicnn import layers
from minicnn.explain import show
from minicnn.explain.arithmetic import Spot, Sum, chosen, largest, maximum_notes, sums
from minicnn.explain.explanation import make_gradient_terms
from minicnn.explain.gradient_sum import GradientSum, Query, gradient_of
from minicnn.explain.gradients import maximum_note
from minicnn.explain.trace_entry import TraceEntry
from minicnn.functional.resizing import Sampling, Taps

Array = np.ndarray


@sums(layers.AdaptiveMaxPooling2D)
def _adaptive_max(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), (row, column, channel) = xs, spot.at
    places = _under(layer.sampling(x.shape[:2]), row, column, channel)
    values = x[tuple(places.T)].astype(np.float64)
    real = np.ones(len(values), bool)
    maxima = largest(values, real)
    rows, columns = (show.span(np.unique(places[:, axis]).tolist()) for axis in (0, 1))
    return Sum(
        chosen(places, values, ~real, maxima[:1]),
        f"y{show.place(spot.at)} = max x[i, j, {channel}],  i = {rows}, j = {columns}",
        notes=maximum_notes(places, maxima, "the first, column by column, gets the gradient"),
    )


@gradient_of(layers.AdaptiveMaxPooling2D, what="dx")
def _adaptive_max_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    x, (row, column, channel) = entry.xs[0][query.example], query.at
    where = layer.sampling(x.shape[:2])
    windows = [(i, j) for i in _over(where.rows, row) for j in _over(where.columns, column)]
    factors = []
    for i, j in windows:
        places = _under(where, i, j, channel)
        first = places[np.argmax(x[tuple(places.T)])]  # NaN counts as the largest
        factors.append(float(tuple(first) == query.at))
    places = np.array([(i, j, channel) for i, j in windows], np.intp)
    here = np.tile(np.array(query.at, np.intp), (len(places), 1))
    gradients = dz[query.example][tuple(places.T)]
    terms = make_gradient_terms(query.example, places, gradients, np.array(factors), here)
    return GradientSum(
        terms,
        f"dx{show.place(query.at)} = Σ dy[i, j, {channel}] over windows with their maximum here",
        notes=[maximum_note(terms)],
    )


def _under(where: Sampling, row: int, column: int, channel: int) -> Array:
    """Return the pixels under a window, column by column, as the layer looks at them."""
    rows, columns = (
        taps.source[at][taps.weight[at] != 0] for taps, at in zip(where, (row, column), strict=True)
    )
    return np.array([(r, c, channel) for c in columns for r in rows], np.intp)


def _over(windows: Taps, place: int) -> list[int]:
    """Return the windows along an axis that cover a place."""
    covers = (windows.source == place) & (windows.weight != 0)
    return [int(window) for window in np.flatnonzero(covers.any(axis=1))]
