"""Explains layers of lines by the layers of images that compute them.

A line is an image one pixel high (`minicnn.layers.lines`). So the place [t, c] of a line is [0, t,
c] of its image, and the terms here are the image's terms without the row.
"""

import re
from dataclasses import replace
from typing import Any

import numpy as np

from minicnn import layers
from minicnn.explain import arithmetic, gradients, show
from minicnn.explain.arithmetic import Spot, Sum, sums
from minicnn.explain.explanation import Window, make_gradient_terms, make_terms
from minicnn.explain.gradient_sum import GradientSum, Query, gradient_of
from minicnn.explain.trace_entry import TraceEntry
from minicnn.layers.cache import Cache

Array = np.ndarray

_KINDS = (
    *(layers.AdaptiveAveragePooling1D, layers.AdaptiveMaxPooling1D),
    *(layers.AveragePooling1D, layers.Conv1D, layers.Conv1DTranspose, layers.Cropping1D),
    *(layers.DepthwiseConv1D, layers.GlobalAveragePooling1D, layers.GlobalMaxPooling1D),
    *(layers.MaxPooling1D, layers.SeparableConv1D, layers.UpSampling1D, layers.ZeroPadding1D),
)


def _lifted(at: tuple[int, ...], before: int = 0) -> tuple[int, ...]:
    """Return the place in the image, or in a kernel for images; a vector's stays as it is."""
    return at if len(at) == 1 else (0, at[0] + before, *at[1:])


@sums(*_KINDS)
def _on_lines(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    image, before = layer.image, layer.before or 0
    (x,) = layer.as_image(xs[0][None])
    there = Spot(_lifted(spot.at), _lifted(spot.shape), spot.example)
    found = arithmetic.function_for(image)(image, [x], cache["of_image"], there)
    terms, window = found.terms, found.window
    places = terms.place[:, 1:] - (before, 0)
    padded = terms.padded | (places[:, 0] < 0)
    if window is not None:
        columns = tuple(column - before for column in window.cols)
        window = Window((), columns, (0, window.before[1] + before))
    return replace(
        found,
        terms=make_terms(places, terms.input, terms.weight, terms.product, padded, terms.source),
        formula=_of_lines(found.formula, before),
        notes=[_of_lines(note) for note in found.notes],
        window=window,
    )


def _gradient(what: str) -> None:
    """Register the function that explains this gradient of layers of lines."""

    @gradient_of(*_KINDS, what=what)
    def explained(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
        image, before = layer.image, layer.before or 0
        dz = dz[:, None] if dz.ndim == 3 else dz
        there = replace(
            entry,
            layer=image,
            x=layer.as_image(entry.xs[0]),
            cache=Cache(image, entry.cache["of_image"], dz.shape),
            dy=dz,  # the image's layer has no activation
            at_logits=False,
        )
        of_input = what == "dx"
        at = _lifted(query.at, before if of_input else 0)
        found = gradients.function_for(image, what)(
            image, there, dz, Query(at, query.example, query.source)
        )
        terms = found.terms
        factors = terms.factor_at[:, 1:]
        if not of_input and factors.shape[1]:  # they come from x
            factors = factors - (before, 0)
        own = make_gradient_terms(
            terms.example,
            terms.place[:, 1:] if dz.ndim == 4 else terms.place,
            terms.gradient,
            terms.factor,
            factors,
        )
        own.padded = terms.padded | (factors[:, :1] < 0).any(axis=1)
        left = f"d{'x' if of_input else what}"
        return replace(
            found,
            terms=own,
            formula=_of_lines(found.formula, before).replace(
                f"{left}{show.place(at[1:])}", f"{left}{show.place(query.at)}", 1
            ),
            notes=[_of_lines(note) for note in found.notes],
        )


for _what in ("dx", "kernel", "depthwise_kernel", "pointwise_kernel"):
    _gradient(_what)


@gradient_of(*_KINDS, what="bias")
def _bias(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    return gradients.sum_over_positions(dz, query.at[0], "bias")


# ---------------------------------------------------------------------------------------------
# Formulas
# ---------------------------------------------------------------------------------------------


def _of_lines(text: str, before: int = 0) -> str:
    """Return an image's formula or note without the row: `x[0, 3+j, c]` becomes `x[3+j, c]`."""
    text = re.sub(r"(\bx)?\[([^\]]+)\]", lambda found: _without_row(found, before), text)
    words = ("i = 0, ", ""), ("n, r, ", "n, "), ("(r, s)", "s"), ("1×", ""), ("pixel", "step")
    for row, without in words:
        text = text.replace(row, without)
    return text


def _without_row(found: re.Match[str], before: int) -> str:
    name, index = found[1] or "", found[2].split(", ")
    row = 1 if index[0] == "n" else 0  # after the example
    if len(index) < row + 3 or "…" in index:
        return found[0]
    del index[row]
    if name and before:  # of x, after the zeros before it
        index[row] = _moved(index[row], before)
    return f"{name}[{', '.join(index)}]"


def _moved(column: str, before: int) -> str:
    """Return `3+j`, `c+1` or `4`, a column of the image, counted from the first number of x."""
    first, _, moving = column.rpartition("+")
    if moving.endswith("j"):
        first = str(int(first or 0) - before)
        return moving if first == "0" else f"{first}+{moving}"
    letter = re.match(r"\d*c", column)
    rest = int(column[letter.end() :] or 0) - before if letter else int(column) - before
    return f"{letter[0]}{rest:+d}" if letter and rest else letter[0] if letter else str(rest)
