"""The sums and gradients of layers that move numbers, or resize images."""

from typing import Any

import numpy as np

from minicnn import layers
from minicnn.explain import show
from minicnn.explain.arithmetic import Spot, Sum, sums
from minicnn.explain.explanation import make_gradient_terms, make_terms
from minicnn.explain.gradient_sum import (
    GradientSum,
    Query,
    gradient_of,
    of_nothing,
    one_output,
    same_place,
)
from minicnn.explain.trace_entry import TraceEntry
from minicnn.functional.resizing import Sampling
from minicnn.shapes import Pair

Array = np.ndarray


def copied(x: Array, spot: Spot, place: tuple[int, ...], formula: str | None = None) -> Sum:
    """Return the sum of an output that is a copy of a number of x."""
    terms = make_terms(np.array([place]), x[place], 1.0)
    left = f"y{show.place(spot.at)}"
    return Sum(terms, formula or f"{left} = x{show.place(place)}")


# -- moved ---------------------------------------------------------------------------------------


@sums(layers.ActivityRegularization)
def _passed_on(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    found = copied(xs[0], spot, spot.at)
    found.notes.append(
        f"The loss includes {layer.l1:g}·|x| + {layer.l2:g}·x² for it, divided by the number of "
        "examples."
    )
    return found


@gradient_of(layers.ActivityRegularization, what="dx")
def _passed_on_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    return same_place(query, dz, 1.0)


@sums(layers.Permute)
def _permute(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    place = [0] * len(spot.at)
    for i, axis in zip(spot.at, layer.dims, strict=True):
        place[axis - 1] = i
    return copied(xs[0], spot, tuple(place))


@gradient_of(layers.Permute, what="dx")
def _permute_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    at = tuple(query.at[axis - 1] for axis in layer.dims)
    return one_output(query, dz, at, 1.0, f"dx{show.place(query.at)} = dy{show.place(at)}")


@sums(layers.RepeatVector)
def _repeat_vector(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    return copied(xs[0], spot, spot.at[1:])


@gradient_of(layers.RepeatVector, what="dx")
def _repeat_vector_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    (k,) = query.at
    places = np.array([(i, k) for i in range(layer.n)], np.intp)
    return GradientSum(
        make_gradient_terms(
            query.example,
            places,
            dz[query.example, :, k],
            np.ones(layer.n),
            np.full((layer.n, 1), k),
        ),
        f"dx[{k}] = Σ dy[i, {k}],  i = {show.span(range(layer.n))}",
        notes=[f"The number became {layer.n}: every copy counts."],
    )


@sums(layers.Cropping2D)
def _cropping(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (top, _), (left, _) = layer.cropping
    return copied(xs[0], spot, (spot.at[0] + top, spot.at[1] + left, spot.at[2]))


@gradient_of(layers.Cropping2D, what="dx")
def _cropping_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    (top, _), (left, _) = layer.cropping
    at = (query.at[0] - top, query.at[1] - left, query.at[2])
    inside = all(0 <= i < size for i, size in zip(at, dz.shape[1:], strict=True))
    if inside:
        return one_output(query, dz, at, 1.0, f"dx{show.place(query.at)} = dy{show.place(at)}")
    return of_nothing(query, "The layer cuts this pixel off: no output depends on it.")


# -- resized -------------------------------------------------------------------------------------


@sums(layers.UpSampling2D)
def _up_sampling(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    if layer.interpolation != "nearest":
        return _sampled(layer, xs, cache, spot)
    (row, col, channel), (rows, columns) = spot.at, layer.size
    place = (row // rows, col // columns, channel)
    formula = f"y{show.place(spot.at)} = x[{row} // {rows}, {col} // {columns}, {channel}]"
    return copied(xs[0], spot, place, f"{formula} = x{show.place(place)}")


@sums(layers.Resizing, layers.CenterCrop, layers.AdaptiveAveragePooling2D)
def _sampled(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    return sampled_sum(layer, layer.sampling(xs[0].shape[:2]), xs[0], spot)


def sampled_sum(layer: Any, where: Sampling, x: Array, spot: Spot) -> Sum:
    """Return the sum of an output that is sampled from rows and columns of x, as in `where`."""
    row, col, channel = spot.at
    rows, row_weights = _of(where.rows, row)
    columns, column_weights = _of(where.columns, col)
    places = np.array([(r, c, channel) for r in rows for c in columns], np.intp).reshape(-1, 3)
    weights = np.multiply.outer(row_weights, column_weights).ravel()
    if len(places) == 1 and weights[0] == 1:
        return copied(x, spot, (int(rows[0]), int(columns[0]), channel))
    fill = getattr(layer, "fill_value", 0.0)
    bias = fill * (1 - float(weights.sum())) if fill else 0.0
    formula = f"y{show.place(spot.at)} = {show.number(fill)}, the border"
    if len(places):
        formula = (
            f"y{show.place(spot.at)} = Σ row weight·column weight·x[i, j, {channel}],  "
            f"i = {show.span(rows.tolist())}, j = {show.span(columns.tolist())}"
        )
    notes = []
    if getattr(layer, "pad_to_aspect_ratio", False):
        share = 1 - float(weights.sum())
        notes = [f"{share:.0%} of this pixel is the border, {show.number(fill)}."] if share else []
    return Sum(
        make_terms(places, x[places[:, 0], places[:, 1], channel], weights),
        formula,
        bias,
        notes=notes,
        magnitude=None if not fill else abs(fill) + float(np.abs(x[:, :, channel]).max()),
    )


def _of(taps: Any, place: int) -> tuple[Array, Array]:
    """Return the places that contribute to one place, and their weights."""
    counts = taps.weight[place] != 0
    return taps.source[place][counts], taps.weight[place][counts]


@gradient_of(layers.UpSampling2D, what="dx")
def _up_sampling_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    if layer.interpolation != "nearest":
        return _sampled_dx(layer, entry, dz, query)
    (row, col, channel), (rows, columns) = query.at, layer.size
    first = row * rows, col * columns
    block = np.array(
        [(first[0] + i, first[1] + j, channel) for i, j in np.ndindex(rows, columns)], np.intp
    )
    here = np.tile(np.array(query.at, np.intp), (len(block), 1))
    gradients = dz[query.example, block[:, 0], block[:, 1], channel]
    return GradientSum(
        make_gradient_terms(query.example, block, gradients, np.ones(len(block)), here),
        f"dx{show.place(query.at)} = Σ dy[{first[0]}+i, {first[1]}+j, {channel}]"
        f",  i = {show.span(range(rows))}, j = {show.span(range(columns))}",
        notes=[f"The pixel became a block of {rows}×{columns}: every copy counts."],
    )


@gradient_of(layers.Resizing, layers.CenterCrop, layers.AdaptiveAveragePooling2D, what="dx")
def _sampled_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    size = entry.xs[0].shape[1:3]
    return sampled_dx(layer.sampling(size), size, dz, query)


def sampled_dx(where: Sampling, size: Pair, dz: Array, query: Query) -> GradientSum:
    """Return the gradient of a pixel of an image of this size that was sampled as in `where`."""
    row, col, channel = query.at
    rows, row_weights = _of(where.rows.transposed(size[0]), row)
    columns, column_weights = _of(where.columns.transposed(size[1]), col)
    if not len(rows) or not len(columns):
        return of_nothing(query, "No pixel of the result is made of this one.")
    places = np.array([(r, c, channel) for r in rows for c in columns], np.intp)
    here = np.tile(np.array(query.at, np.intp), (len(places), 1))
    return GradientSum(
        make_gradient_terms(
            query.example,
            places,
            dz[query.example, places[:, 0], places[:, 1], channel],
            np.multiply.outer(row_weights, column_weights).ravel(),
            here,
        ),
        f"dx{show.place(query.at)} = Σ row weight·column weight·dy[i, j, {channel}] over the "
        "pixels that this one counts in",
    )
