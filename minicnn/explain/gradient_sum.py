"""One entry of a gradient as a sum: the result of a function for a kind of layer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minicnn.explain import show
from minicnn.explain.explanation import Step, Terms, make_gradient_terms
from minicnn.explain.trace_entry import TraceEntry
from minicnn.layers import Layer

Array = np.ndarray


@dataclass
class GradientSum:
    """The terms of one entry of a gradient; the fields are those of `Explanation`."""

    terms: Terms
    formula: str
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    magnitude: float | None = None
    of: str = "dz"  # the gradient that the terms' `gradient` are entries of


@dataclass
class Query:
    """The entry of a gradient to explain; for dx, with the example and the input."""

    at: tuple[int, ...]
    example: int = 0
    source: int = 0


Function = Callable[[Any, TraceEntry, Array, Query], GradientSum]
OF_EXAMPLES = ("dx", "dh", "dz")
GRADIENTS: dict[tuple[type[Layer], str], Function] = {}


def gradient_of(*kinds: type[Layer], what: str) -> Callable[[Function], Function]:
    """Register a function for this gradient of layers of these classes and their subclasses.

        @gradient_of(Double, what="dx")
        def double_dx(layer, entry, dz, query):    # which: query.at, query.example, query.source
            sent = dz[(query.example, *query.at)]
            terms = make_gradient_terms(query.example, [query.at], sent, 2.0, [query.at])
            return GradientSum(terms, f"dx{list(query.at)} = 2·dz{list(query.at)}")

    `make_gradient_terms` takes, for each term, an example, a place in the output, the gradient
    there, its factor and the factor's place.
    """

    def register(function: Function) -> Function:
        GRADIENTS.update({(kind, what): function for kind in kinds})
        return function

    return register


def all_positions(dz: Array, unit: int) -> tuple[Array, Array, Array]:
    """Return all positions of one unit: examples, places in the output, gradients."""
    index = np.indices(dz.shape[:-1]).reshape(dz.ndim - 1, -1)
    units = np.full((1, index.shape[1]), unit)
    return index[0], np.concatenate([index[1:], units]).T, dz[..., unit].ravel()


def sum_over_positions(dz: Array, unit: int, name: str) -> GradientSum:
    """Return the gradient of a bias: the sum of dz, whatever x is."""
    examples, places, gradients = all_positions(dz, unit)
    nowhere = np.empty((len(examples), 0), np.intp)
    return GradientSum(
        make_gradient_terms(examples, places, gradients, 1.0, nowhere),
        f"d{name}[{unit}] = Σ dz[n, …, {unit}] over all examples and places",
    )


def one_output(
    query: Query, dz: Array, at: Sequence[int], factor: float, formula: str
) -> GradientSum:
    """Return the gradient of an input that only one output depends on, with this slope."""
    place = np.array([at], np.intp).reshape(1, -1)
    gradient = dz[(query.example, *at)]
    here = np.array([query.at], np.intp).reshape(1, -1)
    return GradientSum(make_gradient_terms(query.example, place, gradient, factor, here), formula)


def same_place(query: Query, dz: Array, factor: float, text: str = "") -> GradientSum:
    """Return the gradient of an input that only the output at the same place depends on."""
    place = show.place(query.at)
    return one_output(query, dz, query.at, factor, f"dx{place} = dz{place}{text}")


def of_nothing(query: Query, note: str) -> GradientSum:
    """Return the gradient of an input that no output depends on."""
    nowhere = np.empty((0, len(query.at)), np.intp)
    return GradientSum(
        make_gradient_terms(query.example, nowhere, [], [], nowhere),
        f"dx{show.place(query.at)} = 0",
        notes=[note],
    )


def softmax_dz(dy: Array, y: Array, query: Query) -> GradientSum:
    """Return the gradient of a softmax's input, which all units of its place depend on."""
    *before, k = query.at
    p, received = y[(query.example, *before)], dy[(query.example, *before)].astype(np.float64)
    units = np.arange(len(p))
    factors = p[k] * ((units == k) - p)
    places = np.concatenate(
        [np.tile(np.array(before, np.intp), (len(units), 1)), units[:, None]], axis=1
    )
    return GradientSum(
        make_gradient_terms(query.example, places, received, factors, places),
        f"dz{show.place(query.at)} = y[{k}]·(dy[{k}] - Σ over j of dy[j]·y[j])",
        magnitude=float(p[k] * (abs(received[k]) + np.abs(received * p).sum())),
    )
