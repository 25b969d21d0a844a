"""Sums and gradients of layers that normalize; `arithmetic` and `gradients` have the others."""

import math
from typing import Any

import numpy as np

from minicnn import functional, layers, shapes
from minicnn.explain import show
from minicnn.explain.arithmetic import Spot, Sum, one, sums
from minicnn.explain.explanation import Step, make_gradient_terms
from minicnn.explain.gradient_sum import (
    GradientSum,
    Query,
    all_positions,
    gradient_of,
    same_place,
)
from minicnn.explain.trace_entry import TraceEntry
from minicnn.layers.applications import LayerScale

Array = np.ndarray


# -- by statistics that were found before --------------------------------------------------------


def _deviation(cache: Any, at: tuple[int, ...], shape: tuple[int, ...]) -> float:
    return float(np.broadcast_to(cache["deviation"], (1, *shape))[(0, *at)])


@sums(layers.Normalization)
def _normalization(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    """One term: y = x / deviation - mean / deviation."""
    (x,), place = xs, show.place(spot.at)
    deviation = _deviation(cache, spot.at, x.shape)
    mean = float(np.broadcast_to(layer.mean, (1, *x.shape))[(0, *spot.at)])
    if layer.invert:
        terms = one(spot, x, deviation)
        return Sum(terms, f"y{place} = x{place}·deviation + mean", mean)
    value = float(x[spot.at])
    steps = [
        Step("μ", "the mean", mean),
        Step("σ", "√variance, at least 1e-7", deviation),
        Step("x - μ", "", value - mean),
        Step("y", "(x - μ) / σ", (value - mean) / deviation),
    ]
    return Sum(
        one(spot, x, 1 / deviation),
        f"y{place} = (x{place} - μ) / σ",
        -mean / deviation,
        steps,
        ["As one term: x / σ, and the rest is the bias: -μ / σ."],
        magnitude=(abs(value) + abs(mean)) / deviation,
    )


@gradient_of(layers.Normalization, what="dx")
def _normalization_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    deviation = _deviation(entry.cache, query.at, dz.shape[1:])
    if layer.invert:
        return same_place(query, dz, deviation, "·σ")
    return same_place(query, dz, 1 / deviation, " / σ")


# -- by the example's own statistics -------------------------------------------------------------

_OWN = (layers.LayerNormalization, layers.GroupNormalization)


def _together(layer: Any, shape: tuple[int, ...], at: tuple[int, ...]) -> Array:
    """Return the places of an example of this shape that are normalized together with `at`."""
    ranges: list[Any] = [[i] for i in at]
    if isinstance(layer, layers.GroupNormalization):
        size = shape[-1] // layer.groups
        first = at[-1] // size * size
        ranges = [*(range(n) for n in shape[:-1]), range(first, first + size)]
    else:
        for axis in shapes.axes_of_examples(shapes.axes(layer.axis, ""), (1, *shape), ""):
            ranges[axis - 1] = range(shape[axis - 1])
    return _grid(ranges)


def _grid(ranges: list[Any]) -> Array:
    return np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, len(ranges))


def _own_axes(layer: Any, rank: int) -> list[int]:
    """Return the axes, the batch included, along which there is a gamma for each place."""
    return [rank - 1] if isinstance(layer, layers.GroupNormalization) else list(layer.weight_axes)


def _parameter(layer: Any, name: str, places: Array, otherwise: float) -> Array:
    """Return the gamma or beta of each of these places of an example."""
    weight = getattr(layer, name)
    if weight is None:
        return np.full(len(places), otherwise)
    axes = [axis - 1 for axis in _own_axes(layer, places.shape[1] + 1)]
    return np.asarray(weight.value[tuple(places[:, axes].T)], np.float64)


def _moments(values: Array) -> tuple[float, float]:
    """Return the mean and the variance of float64 numbers."""
    mean = float(values.mean())
    return mean, float(np.square(values - mean).mean())


@sums(*_OWN)
def _by_own_statistics(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    """One term: y = x·scale + (beta - mean·scale), scale = gamma / √(variance + epsilon)."""
    (x,), place = xs, show.place(spot.at)
    places = _together(layer, x.shape, spot.at)
    together = x[tuple(places.T)].astype(np.float64)
    mean, variance = _moments(together)
    here = np.array([spot.at])
    gamma = float(_parameter(layer, "gamma", here, 1.0)[0])
    beta = float(_parameter(layer, "beta", here, 0.0)[0])
    taken = 0.0 if getattr(layer, "rms_scaling", False) else mean
    deviation = math.sqrt(variance + layer.epsilon)
    value, scale = float(x[spot.at]), gamma / deviation
    normal = (value - taken) / deviation
    count = f"over {len(places):,} numbers of this example"
    steps = [
        Step("μ", f"mean of x {count}", mean),
        Step("σ²", f"mean of (x - μ)² {count}", variance),
        Step("√(σ² + ε)", f"√({show.number(variance)} + {layer.epsilon:g})", deviation),
        Step("x̂", "(x - μ) / √(σ² + ε)" if taken == mean else "x / √(σ² + ε)", normal),
        Step("y", "gamma·x̂ + beta", gamma * normal + beta),
    ]
    return Sum(
        one(spot, x, scale),
        f"y{place} = gamma·(x{place} - μ) / √(σ² + {layer.epsilon:g}) + beta",
        beta - taken * scale,
        steps,
        ["As one term: x·gamma/√(σ² + ε), and the rest is the bias: beta - μ·gamma/√(σ² + ε)."],
        # The mean may be far smaller than its numbers, but its rounding error is not.
        magnitude=(abs(value) + float(np.abs(together).mean())) * abs(scale) + abs(beta),
    )


@gradient_of(*_OWN, what="dx")
def _by_own_statistics_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    x, place = entry.xs[0][query.example], show.place(query.at)
    places = _together(layer, x.shape, query.at)
    values = x[tuple(places.T)].astype(np.float64)
    mean, variance = _moments(values)
    inverse = 1 / math.sqrt(variance + layer.epsilon)
    rms = getattr(layer, "rms_scaling", False)
    normal = (values - (0.0 if rms else mean)) * inverse
    here = (places == np.array(query.at)).all(axis=1)
    own = float((values[here][0] - mean) * inverse)
    gamma = _parameter(layer, "gamma", places, 1.0)
    factors = inverse * gamma * (here - ((0.0 if rms else 1.0) + own * normal) / len(places))
    gradients = dz[(query.example, *places.T)]
    g = gamma * gradients
    steps = [
        Step("1/√(σ² + ε)", "", inverse),
        Step("mean of g", f"g = gamma·dy, over {len(places):,} numbers", float(g.mean())),
        Step("mean of g·x̂", "", float((g * normal).mean())),
        Step("x̂", "here", own),
    ]
    terms = make_gradient_terms(query.example, places, gradients, factors, places)
    middle = "" if rms else " - mean of g"
    return GradientSum(
        terms,
        f"dx{place} = (g{place}{middle} - x̂{place}·mean of g·x̂) / √(σ² + ε),  g = gamma·dy",
        steps,
        ["Each of these x changed the mean and the variance, so all of their dy count."],
        magnitude=inverse * float(np.abs(g).max() * (2 + abs(own) * np.abs(normal).max())),
    )


def _scaled_by(layer: Any, dz: Array, at: tuple[int, ...]) -> tuple[Array, Array]:
    """Return the examples and places of the outputs with this gamma and beta."""
    ranges: list[Any] = [range(n) for n in dz.shape]
    for axis, i in zip(_own_axes(layer, dz.ndim), at, strict=True):
        ranges[axis] = [i]
    grid = _grid(ranges)
    return grid[:, 0], grid[:, 1:]


@gradient_of(*_OWN, what="gamma")
def _own_gamma(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    examples, places = _scaled_by(layer, dz, query.at)
    x = entry.xs[0].astype(np.float64)
    if isinstance(layer, layers.GroupNormalization):
        normal = functional.group_normalization(x, layer.groups, epsilon=layer.epsilon)
    else:
        normal = functional.layer_normalization(
            x, None, None, layer.axis, layer.epsilon, layer.rms_scaling
        )
    where = (examples, *places.T)
    terms = make_gradient_terms(examples, places, dz[where], normal[where], places)
    return GradientSum(terms, f"dgamma{show.place(query.at)} = Σ dy·x̂ over all outputs it scales")


@gradient_of(*_OWN, what="beta")
def _own_beta(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    examples, places = _scaled_by(layer, dz, query.at)
    nowhere = np.empty((len(examples), 0), np.intp)
    terms = make_gradient_terms(examples, places, dz[(examples, *places.T)], 1.0, nowhere)
    return GradientSum(terms, f"dbeta{show.place(query.at)} = Σ dy over all outputs it is added to")


# -- by the length -------------------------------------------------------------------------------


@sums(layers.UnitNormalization)
def _unit(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), place = xs, show.place(spot.at)
    places = _together(layer, x.shape, spot.at)
    squares = float(np.square(x[tuple(places.T)].astype(np.float64)).sum())
    scale = 1 / max(math.sqrt(squares), 1e-12)
    steps = [
        Step("Σ x²", f"over {len(places):,} numbers of this example", squares),
        Step("√Σ x²", "the length", math.sqrt(squares)),
    ]
    return Sum(one(spot, x, scale), f"y{place} = x{place} / √Σ x²", steps=steps)


@gradient_of(layers.UnitNormalization, what="dx")
def _unit_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    x, place = entry.xs[0][query.example], show.place(query.at)
    places = _together(layer, x.shape, query.at)
    values = x[tuple(places.T)].astype(np.float64)
    length = math.sqrt(np.square(values).sum())
    scale = 1 / max(length, 1e-12)
    here = (places == np.array(query.at)).all(axis=1)
    y = values * scale if length > 1e-12 else np.zeros_like(values)
    factors = scale * (here - y[here] * y)
    gradients = dz[(query.example, *places.T)]
    return GradientSum(
        make_gradient_terms(query.example, places, gradients, factors, places),
        f"dx{place} = (dy{place} - y{place}·Σ dy·y) / √Σ x²",
        [Step("√Σ x²", "the length", length), Step("Σ dy·y", "", float((gradients * y).sum()))],
        ["What would only change the length does not count."],
    )


# -- of applications -----------------------------------------------------------------------------


@sums(LayerScale)
def _layer_scale(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), c, place = xs, spot.at[-1], show.place(spot.at)
    return Sum(one(spot, x, float(layer.gamma.value[c])), f"y{place} = x{place}·gamma[{c}]")


@gradient_of(LayerScale, what="dx")
def _layer_scale_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    c = query.at[-1]
    return same_place(query, dz, float(layer.gamma.value[c]), f"·gamma[{c}]")


@gradient_of(LayerScale, what="gamma")
def _layer_scale_gamma(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    (c,) = query.at
    examples, places, gradients = all_positions(dz, c)
    terms = make_gradient_terms(examples, places, gradients, entry.xs[0][..., c].ravel(), places)
    return GradientSum(terms, f"dgamma[{c}] = Σ dy[n, …, {c}]·x[n, …, {c}]")
