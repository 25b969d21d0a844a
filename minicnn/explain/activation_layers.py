"""Sums and gradients of activation layers; `arithmetic` and `gradients` have the others."""

from typing import Any

import numpy as np

from minicnn import layers
from minicnn.explain import show
from minicnn.explain.activations import slope_of, softmax_steps, value_of
from minicnn.explain.arithmetic import Spot, Sum, one, sums
from minicnn.explain.explanation import make_gradient_terms, make_terms
from minicnn.explain.gradient_sum import (
    GradientSum,
    Query,
    all_positions,
    gradient_of,
    same_place,
)
from minicnn.explain.trace_entry import TraceEntry

Array = np.ndarray


@sums(layers.ReLU)
def _relu(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), place = xs, show.place(spot.at)
    number = x.dtype.type
    value, threshold, slope = x[spot.at], number(layer.threshold), number(layer.negative_slope)
    cap = None if layer.max_value is None else number(layer.max_value)
    left = f"y{place} = "
    if value <= threshold:
        weight, bias = float(slope), -float(slope) * float(threshold)
        if slope:
            low = "0" if threshold == 0 else show.number(threshold)
            right = f"{show.number(slope)}·(x{place} - {low})"
        else:
            right = "0"
        note = f"Off: x is not above the threshold {show.number(threshold)}."
    elif cap is not None and value > cap:
        weight, bias, right = 0.0, float(cap), show.number(cap)
        note = f"Cut off: x is above max_value={show.number(cap)}."
    else:
        weight, bias, right = 1.0, 0.0, f"x{place}"
        note = f"On: x is above the threshold {show.number(threshold)}"
        note += "." if cap is None else f", and not above max_value={show.number(cap)}."
    if not slope and threshold == 0:
        right = f"max(x{place}, 0)" if cap is None else f"min(max(x{place}, 0), {show.number(cap)})"
    elif cap is not None and right != show.number(cap):
        right += f", at most {show.number(cap)}"
    return Sum(one(spot, x, weight), left + right, bias, notes=[note])


@gradient_of(layers.ReLU, what="dx")
def _relu_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    x = entry.xs[0]
    number, value = x.dtype.type, x[(query.example, *query.at)]
    if value <= number(layer.threshold):
        return same_place(query, dz, float(number(layer.negative_slope)), " · negative_slope")
    if layer.max_value is not None and value >= number(layer.max_value):
        return same_place(query, dz, 0.0, " · 0, x is cut off at max_value")
    return same_place(query, dz, 1.0)


def _curve_of(layer: Any) -> str:
    """Return the name of a LeakyReLU's or an ELU's activation."""
    return str(layer.as_activation())


@sums(layers.LeakyReLU)
def _leaky_relu(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), place = xs, show.place(spot.at)
    slope = float(x.dtype.type(layer.negative_slope))
    above = bool(x[spot.at] > 0)
    right = f"x{place}" if above else f"{show.number(slope)}·x{place}"
    note = f"x is {'above 0: it stays' if above else 'not above 0: it shrinks'}."
    return Sum(one(spot, x, 1.0 if above else slope), f"y{place} = {right}", notes=[note])


@sums(layers.ELU)
def _elu(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), place, value = xs, show.place(spot.at), float(xs[0][spot.at])
    if value > 0:
        return Sum(one(spot, x), f"y{place} = x{place}", notes=["x is above 0: it stays."])
    y = value_of(_curve_of(layer), value)
    terms = make_terms(np.array([spot.at]), value, y / value if value else layer.alpha, y)
    formula = f"y{place} = {show.number(layer.alpha)}·(e^x{place} - 1)"
    return Sum(terms, formula, notes=["x is not above 0: the weight is y / x."])


@gradient_of(layers.LeakyReLU, layers.ELU, what="dx")
def _curve_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    value = float(entry.xs[0][(query.example, *query.at)])
    slope, text = slope_of(_curve_of(layer), value, 0.0)
    return same_place(query, dz, slope, f" · ({text.replace('z', 'x')})")


def _alpha_at(layer: Any, at: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(0 if size == 1 else i for i, size in zip(at, layer.alpha.shape, strict=True))


@sums(layers.PReLU)
def _prelu(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), place, where = xs, show.place(spot.at), _alpha_at(layer, spot.at)
    if x[spot.at] > 0:
        return Sum(one(spot, x), f"y{place} = x{place}", notes=["x is above 0: it stays."])
    weight = float(layer.alpha.value[where])
    return Sum(one(spot, x, weight), f"y{place} = alpha{show.place(where)}·x{place}")


@gradient_of(layers.PReLU, what="dx")
def _prelu_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    value, where = entry.xs[0][(query.example, *query.at)], _alpha_at(layer, query.at)
    if value > 0:
        return same_place(query, dz, 1.0)
    if value == 0:
        return same_place(query, dz, 0.0, " · 0, x is 0")
    return same_place(query, dz, float(layer.alpha.value[where]), f" · alpha{show.place(where)}")


@gradient_of(layers.PReLU, what="alpha")
def _prelu_alpha(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    examples, places, gradients = (
        np.concatenate(part)
        for part in zip(*(all_positions(dz, unit) for unit in range(dz.shape[-1])), strict=True)
    )
    shared = np.array([size == 1 for size in layer.alpha.shape])
    here = ((places == np.array(query.at)) | shared).all(axis=1)
    examples, places, gradients = examples[here], places[here], gradients[here]
    below = np.minimum(entry.xs[0][(examples, *places.T)], 0)
    terms = make_gradient_terms(examples, places, gradients, below, places)
    return GradientSum(terms, f"dalpha{show.place(query.at)} = Σ dz·min(x, 0) where it is used")


@sums(layers.Softmax)
def _softmax(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    """A softmax over the last axis is an activation of x; over another, its one term is y."""
    (x,), place = xs, show.place(spot.at)
    if layer.activation_name == "softmax":
        return Sum(one(spot, x), f"y{place} = x{place}")
    axis = layer.axis % (x.ndim + 1) - 1
    scores = np.moveaxis(x, axis, -1)[spot.at[:axis] + spot.at[axis + 1 :]].astype(np.float64)
    steps = softmax_steps(scores, spot.at[axis])
    power, total, y = (step.value for step in steps[2:])
    terms = make_terms(np.array([spot.at]), power, 1 / total, y)
    formula = f"y{place} = exp(x{place} - m) / Σ over axis {axis} of exp(x - m)"
    return Sum(terms, formula, steps=steps, notes=["The term's input is exp(x - m)."])


@gradient_of(layers.Softmax, what="dx")
def _softmax_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    if layer.activation_name == "softmax":
        return same_place(query, dz, 1.0)
    axis = layer.axis % dz.ndim - 1
    along: Any = (query.example, *query.at[:axis], slice(None), *query.at[axis + 1 :])
    p = entry.y[along].astype(np.float64)
    received = dz[along].astype(np.float64)
    units, k = np.arange(len(p)), query.at[axis]
    places = np.tile(np.array(query.at, np.intp), (len(units), 1))
    places[:, axis] = units
    return GradientSum(
        make_gradient_terms(query.example, places, received, p[k] * ((units == k) - p), places),
        f"dx{show.place(query.at)} = y·(dy - Σ over axis {axis} of dy·y)",
        magnitude=float(p[k] * (abs(received[k]) + np.abs(received * p).sum())),
    )
