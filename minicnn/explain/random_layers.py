"""The sums and gradients of layers that draw random numbers in training, in a given pass."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn import layers
from minicnn.explain import show
from minicnn.explain.arithmetic import Spot, Sum, one, sums
from minicnn.explain.explanation import make_terms
from minicnn.explain.gradient_sum import GradientSum, Query, gradient_of, same_place
from minicnn.explain.trace_entry import TraceEntry
from minicnn.functional.elementwise import SATURATED, alpha_factors

Array = np.ndarray

_DROPOUTS = (layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D)


def unchanged(layer: Any, x: Array, spot: Spot) -> Sum:
    """Return the sum of an output that the layer only passes on outside of training."""
    kind, place = type(layer).__name__, show.place(spot.at)
    note = f"{kind} changes nothing here: it works only in training (training=True)."
    return Sum(one(spot, x), f"y{place} = x{place}", notes=[note])


@sums(*_DROPOUTS)
def _dropout(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), place, mask = xs, show.place(spot.at), cache["mask"]
    if mask is None:
        return unchanged(layer, x, spot)
    if not mask[(spot.example, *spot.at)]:
        terms = make_terms(np.array([spot.at]), x[spot.at], 0.0, 0.0)
        return Sum(terms, f"y{place} = 0", notes=["Dropped in this pass."])
    kept = float(x.dtype.type(1 / (1 - layer.rate)))
    note = "Kept in this pass, and scaled up to make up for the dropped ones."
    return Sum(one(spot, x, kept), f"y{place} = x{place} / (1 - {layer.rate:g})", notes=[note])


@gradient_of(*_DROPOUTS, what="dx")
def _dropout_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    formula = f" / (1 - {layer.rate:g})"
    return _through_mask(query, dz, entry.cache["mask"], lambda: 1 / (1 - layer.rate), formula)


def _through_mask(
    query: Query, dz: Array, mask: Array | None, factor: Callable[[], float], formula: str
) -> GradientSum:
    """Return dx of a number that was dropped, or kept and multiplied by a factor; None: neither.

    The rate 1 keeps nothing, and has no factor.
    """
    if mask is None:
        return same_place(query, dz, 1.0)
    if not mask[(query.example, *query.at)]:
        return same_place(query, dz, 0.0, " · 0, it was dropped")
    return same_place(query, dz, float(dz.dtype.type(factor())), formula)


@sums(layers.GaussianNoise)
def _gaussian_noise(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), place, noise = xs, show.place(spot.at), cache["noise"]
    if noise is None:
        return unchanged(layer, x, spot)
    drawn = float(noise[(spot.example, *spot.at)])
    note = f"The noise was drawn for this pass, with the standard deviation {layer.stddev:g}."
    return Sum(one(spot, x), f"y{place} = x{place} + noise", drawn, notes=[note])


@gradient_of(layers.GaussianNoise, what="dx")
def _gaussian_noise_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    return same_place(query, dz, 1.0)


@sums(layers.GaussianDropout)
def _gaussian_dropout(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), place, noise = xs, show.place(spot.at), cache["noise"]
    if noise is None:
        return unchanged(layer, x, spot)
    drawn = float(noise[(spot.example, *spot.at)])
    note = f"The factor was drawn for this pass; its mean is 1, its variance {layer.rate:g} / "
    notes = [note + f"(1 - {layer.rate:g})."]
    return Sum(one(spot, x, drawn), f"y{place} = x{place}·noise", notes=notes)


@gradient_of(layers.GaussianDropout, what="dx")
def _gaussian_dropout_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    noise = entry.cache["noise"]
    if noise is None:
        return same_place(query, dz, 1.0)
    return same_place(query, dz, float(noise[(query.example, *query.at)]), "·noise")


@sums(layers.AlphaDropout)
def _alpha_dropout(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), place, mask = xs, show.place(spot.at), cache["mask"]
    if mask is None:
        return unchanged(layer, x, spot)
    a, b = (float(x.dtype.type(factor)) for factor in alpha_factors(layer.rate))
    if not mask[(spot.example, *spot.at)]:
        terms = make_terms(np.array([spot.at]), x[spot.at], 0.0, 0.0)
        bias = float(x.dtype.type(a * SATURATED + b))
        note = f"Dropped in this pass: {show.number(SATURATED)} took its place."
        return Sum(terms, f"y{place} = a·{show.number(SATURATED)} + b", bias, notes=[note])
    note = f"Kept in this pass; a = {show.number(a)} and b = {show.number(b)} make up for the rest."
    return Sum(one(spot, x, a), f"y{place} = a·x{place} + b", b, notes=[note])


@gradient_of(layers.AlphaDropout, what="dx")
def _alpha_dropout_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    mask = entry.cache["mask"]
    return _through_mask(query, dz, mask, lambda: alpha_factors(layer.rate)[0], "·a")
