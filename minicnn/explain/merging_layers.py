"""Sums and gradients of layers that merge inputs; `arithmetic` and `gradients` have the others."""

import math
from typing import Any

import numpy as np

from minicnn import layers, naive
from minicnn.explain import show
from minicnn.explain.arithmetic import Spot, Sum, sums
from minicnn.explain.explanation import make_gradient_terms, make_terms
from minicnn.explain.gradient_sum import GradientSum, Query, gradient_of
from minicnn.explain.trace_entry import TraceEntry
from minicnn.functional.dot import axes_of
from minicnn.layers.applications import CustomScaleLayer
from minicnn.layers.arithmetic import Divide

Array = np.ndarray

_MERGES = (
    *(layers.Add, layers.Average, layers.Maximum, layers.Minimum, layers.Multiply),
    *(layers.Subtract, Divide, CustomScaleLayer),
)


def _own(x: Array, place: tuple[int, ...]) -> tuple[int, ...]:
    """Return the place in x that belongs to a place in y: 0 in an axis of size 1."""
    return tuple(0 if size == 1 else i for i, size in zip(place, x.shape, strict=True))


def _slopes(layer: Any, values: list[float]) -> list[float]:
    """Return how much y changes with each input."""
    if isinstance(layer, CustomScaleLayer):
        return [1.0, layer.scale]
    xs = [np.array([v]) for v in values]
    backward = getattr(naive, f"{layer.operation}_backward")
    return [float(dx[0]) for dx in backward(np.ones(1), xs)]


@sums(*_MERGES)
def _merge(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    """A sum has a term for each input; a product has one, x0 times all others."""
    places = [_own(x, spot.at) for x in xs]
    values = [float(x[place]) for x, place in zip(xs, places, strict=True)]
    names = [f"x{n}{show.place(place)}" for n, place in enumerate(places)]
    left = f"y{show.place(spot.at)} = "
    sources = np.arange(len(xs))
    if isinstance(layer, Divide):
        terms = make_terms(np.array(places[:1]), values[0], 1 / np.float64(values[1]), source=0)
        return Sum(terms, left + " / ".join(names))
    if layer.operation == "multiply":
        terms = make_terms(np.array(places[:1]), values[0], math.prod(values[1:]), source=0)
        return Sum(terms, left + "·".join(names))
    weights = _slopes(layer, values)
    right = {"add": " + ", "subtract": " - ", "average": " + "}.get(layer.operation, ", ").join(
        names
    )
    if isinstance(layer, CustomScaleLayer):
        right = f"{names[0]} + {layer.scale:g}·{names[1]}"
    if layer.operation == "average":
        right = f"({right}) / {len(xs)}"
    if layer.operation in ("maximum", "minimum"):
        right = f"{layer.operation} of {right}"
    products = [v * w if w else 0.0 for v, w in zip(values, weights, strict=True)]
    terms = make_terms(np.array(places), values, weights, products, source=sources)
    return Sum(terms, left + right)


def _vectors(layer: Any, xs: list[Array]) -> tuple[list[Array], list[Array], tuple[int, int]]:
    """Return both inputs of a Dot as (places, k), the factor of each vector, and the axes."""
    pair, _ = axes_of([(1, *x.shape) for x in xs], layer.axes, layer.label)
    rows, scales = [], []
    for x, axis in zip(xs, pair, strict=True):
        moved = np.moveaxis(x.astype(np.float64), axis - 1, -1)
        rows.append(moved.reshape(-1, moved.shape[-1]))
        lengths = np.maximum(np.sqrt(np.square(rows[-1]).sum(axis=1)), 1e-7)
        scales.append(1 / lengths if layer.normalize else np.ones(len(lengths)))
    return rows, scales, pair


@sums(layers.Dot)
def _dot(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    """Return the numbers of x0 along the axis; their weights are those of x1."""
    rows, scales, (axis, _) = _vectors(layer, xs)
    i, j = divmod(int(np.ravel_multi_index(spot.at, spot.shape)), len(rows[1]))
    others = [n for at, n in enumerate(xs[0].shape) if at != axis - 1]
    place = np.unravel_index(i, others) if others else ()
    places = [np.insert(np.array(place, np.intp), axis - 1, k) for k in range(rows[0].shape[1])]
    weights = rows[1][j] * scales[0][i] * scales[1][j]
    what = "cosine of the angle between them" if layer.normalize else "Σ over k of x0[k]·x1[k]"
    notes = []
    if layer.normalize:
        notes = [
            f"The lengths are {show.number(1 / scales[0][i])} and {show.number(1 / scales[1][j])}."
        ]
    terms = make_terms(np.array(places), rows[0][i], weights, source=0)
    return Sum(terms, f"y{show.place(spot.at)} = {what}", notes=notes)


@gradient_of(layers.Dot, what="dx")
def _dot_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    """Return dx over this number's outputs; if normalized, less what changes the length."""
    xs = [x[query.example] for x in entry.xs]
    rows, scales, pair = _vectors(layer, xs)
    source, axis = query.source, pair[query.source] - 1
    others = [n for at, n in enumerate(xs[source].shape) if at != axis]
    at = [n for here, n in enumerate(query.at) if here != axis]
    own = int(np.ravel_multi_index(at, others)) if others else 0
    other, k = rows[1 - source] * scales[1 - source][:, None], query.at[axis]
    factors = other[:, k]
    if layer.normalize:
        unit = rows[source][own] * scales[source][own]
        factors = (factors - unit[k] * (other @ unit)) * scales[source][own]
    count = len(rows[1])
    flat = own * count + np.arange(count) if source == 0 else np.arange(len(rows[0])) * count + own
    places = np.stack(np.unravel_index(flat, dz.shape[1:]), axis=1)
    received = dz[(query.example, *places.T)]
    text = f"dx{source}{show.place(query.at)} = Σ dy·x{1 - source} over {len(places)} outputs"
    if layer.normalize:
        text += ", less what would change the length"
    terms = make_gradient_terms(query.example, places, received, factors, places)
    return GradientSum(
        terms, text, magnitude=float((np.abs(received) * np.abs(other).max(axis=1)).sum())
    )


@gradient_of(*_MERGES, what="dx")
def _merge_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    """Return dz at each place that the number contributes to, times the slope there."""
    xs = [x[query.example] for x in entry.xs]
    own = xs[query.source]
    ranges = [
        range(size) if n == 1 else [i]
        for i, n, size in zip(query.at, own.shape, dz.shape[1:], strict=True)
    ]
    grid = np.meshgrid(*ranges, indexing="ij")
    places = np.stack([axis.ravel() for axis in grid], axis=1)
    factors = [
        _slopes(layer, [float(x[_own(x, tuple(map(int, place)))]) for x in xs])[query.source]
        for place in places
    ]
    received = dz[(query.example, *places.T)]
    text = {"add": "", "subtract": "·(±1)", "average": f" / {len(xs)}"}.get(layer.operation)
    if isinstance(layer, Divide):
        text = ("/x1", "·(-x0/x1²)")[query.source]
    elif isinstance(layer, CustomScaleLayer):
        text = f"·{layer.scale:g}" if query.source else ""
    elif text is None:
        text = "·(all others)" if layer.operation == "multiply" else " where it is the one chosen"
    left = f"dx{query.source}{show.place(query.at)} = "
    total = "dz" if len(places) == 1 else f"Σ over {len(places)} places of dz"
    terms = make_gradient_terms(query.example, places, received, np.array(factors), places)
    return GradientSum(terms, left + total + text)
