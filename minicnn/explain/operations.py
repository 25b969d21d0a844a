"""Sums and gradients of layers that arithmetic with one symbol makes."""

from typing import Any

import numpy as np

from minicnn.explain import show
from minicnn.explain.arithmetic import Spot, Sum, sums
from minicnn.explain.explanation import make_terms
from minicnn.explain.gradient_sum import (
    GradientSum,
    Query,
    gradient_of,
    of_nothing,
    one_output,
    same_place,
)
from minicnn.explain.moving import copied
from minicnn.explain.trace_entry import TraceEntry
from minicnn.layers.arithmetic import GetItem, Power, Reciprocal, Stack

Array = np.ndarray


@sums(Power)
def _power(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    """One term: y = x · x ** (exponent - 1)."""
    (x,), place = xs, show.place(spot.at)
    with np.errstate(all="ignore"):
        weight = np.float64(x[spot.at]) ** (layer.exponent - 1)
        product = np.float64(x[spot.at]) ** layer.exponent
    terms = make_terms(np.array([spot.at]), x[spot.at], weight, product)
    return Sum(terms, f"y{place} = x{place} ** {layer.exponent:g}")


@gradient_of(Power, what="dx")
def _power_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    x, exponent = np.float64(entry.xs[0][(query.example, *query.at)]), layer.exponent
    with np.errstate(all="ignore"):
        slope = float(exponent * x ** (exponent - 1)) if exponent else 0.0
    return same_place(query, dz, slope, f"·{exponent:g}·x ** {exponent - 1:g}")


@sums(Reciprocal)
def _reciprocal(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    """One term: y = x · numerator / x²."""
    (x,), place = xs, show.place(spot.at)
    with np.errstate(all="ignore"):
        value = np.float64(x[spot.at])
        terms = make_terms(
            np.array([spot.at]), value, layer.numerator / value**2, layer.numerator / value
        )
    return Sum(terms, f"y{place} = {layer.numerator:g} / x{place}")


@gradient_of(Reciprocal, what="dx")
def _reciprocal_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    x = np.float64(entry.xs[0][(query.example, *query.at)])
    with np.errstate(all="ignore"):
        slope = float(-layer.numerator / x**2)
    return same_place(query, dz, slope, f"·(-{layer.numerator:g} / x²)")


def _numbered(layer: Any, shape: tuple[int, ...]) -> Array:
    """Return the number in the input, in reading order, of each number of an example's output."""
    numbers = np.arange(int(np.prod(shape))).reshape(1, *shape)
    found: Array = numbers[layer.parts(numbers.ndim)][0]
    return found


@sums(GetItem)
def _get_item(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,) = xs
    number = _numbered(layer, x.shape)[spot.at]
    return copied(x, spot, tuple(int(i) for i in np.unravel_index(number, x.shape)))


@gradient_of(GetItem, what="dx")
def _get_item_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    shape = entry.xs[0].shape[1:]
    places = np.argwhere(_numbered(layer, shape) == np.ravel_multi_index(query.at, shape))
    if not len(places):
        return of_nothing(query, "The layer leaves this number out: no output depends on it.")
    at = tuple(int(i) for i in places[0])
    return one_output(query, dz, at, 1.0, f"dx{show.place(query.at)} = dy{show.place(at)}")


@sums(Stack)
def _stack(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    axis = layer.axis % (len(spot.shape) + 1) - 1
    source, place = spot.at[axis], (*spot.at[:axis], *spot.at[axis + 1 :])
    terms = make_terms(
        np.array([place], np.intp).reshape(1, -1), xs[source][place], 1.0, source=source
    )
    return Sum(terms, f"y{show.place(spot.at)} = x{source}{show.place(place)}")


@gradient_of(Stack, what="dx")
def _stack_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    axis = layer.axis % dz.ndim - 1
    at = (*query.at[:axis], query.source, *query.at[axis:])
    return one_output(
        query, dz, at, 1.0, f"dx{query.source}{show.place(query.at)} = dy{show.place(at)}"
    )
