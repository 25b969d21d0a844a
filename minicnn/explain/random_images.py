"""The sums and gradients of layers that change images at random, in a given pass."""

from typing import Any

import numpy as np

from minicnn import layers
from minicnn.explain import show
from minicnn.explain.arithmetic import Spot, Sum, one, sums
from minicnn.explain.explanation import make_gradient_terms, make_terms
from minicnn.explain.gradient_sum import (
    GradientSum,
    Query,
    gradient_of,
    of_nothing,
    one_output,
    same_place,
)
from minicnn.explain.moving import copied, sampled_dx, sampled_sum
from minicnn.explain.random_layers import unchanged
from minicnn.explain.trace_entry import TraceEntry
from minicnn.functional.images import places

Array = np.ndarray


# -- flipped -------------------------------------------------------------------------------------


def _mirrored(layer: Any, drawn: Any, example: int, at: tuple[int, ...], shape: Any) -> Any:
    """Return the place that was flipped onto this one, or this one."""
    row, column, channel = at
    if drawn["flips"][example]:
        row = shape[0] - 1 - row if "vertical" in layer.mode else row
        column = shape[1] - 1 - column if "horizontal" in layer.mode else column
    return row, column, channel


@sums(layers.RandomFlip)
def _flip(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), drawn = xs, cache["transformation"]
    if drawn is None:
        return unchanged(layer, x, spot)
    found = copied(x, spot, _mirrored(layer, drawn, spot.example, spot.at, x.shape))
    flipped = drawn["flips"][spot.example]
    found.notes.append("This image was flipped." if flipped else "This image was not flipped.")
    return found


@gradient_of(layers.RandomFlip, what="dx")
def _flip_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    drawn = entry.cache["transformation"]
    if drawn is None:
        return same_place(query, dz, 1.0)
    at = _mirrored(layer, drawn, query.example, query.at, dz.shape[1:])
    return one_output(query, dz, at, 1.0, f"dx{show.place(query.at)} = dy{show.place(at)}")


# -- rotated, sheared, shifted, zoomed ------------------------------------------------------------

_WARPED = (
    layers.RandomRotation,
    layers.RandomShear,
    layers.RandomTranslation,
    layers.RandomZoom,
)


def _read_at(layer: Any, cache: Any, shape: tuple[int, ...], example: int) -> tuple[Array, Array]:
    """Return the rows and columns where each pixel of the result was read, (height, width) each."""
    transforms = cache["transforms"][example : example + 1]
    how = layer.interpolation, layer.fill_mode
    rows, columns = places(transforms, (1, *shape), *how, layer.label)
    return rows[0].astype(np.float64), columns[0].astype(np.float64)


@sums(*_WARPED)
def _warped(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,) = xs
    if cache["transformation"] is None:
        return unchanged(layer, x, spot)
    (i, j, channel), (height, width) = spot.at, x.shape[:2]
    rows, columns = _read_at(layer, cache, x.shape, spot.example)
    row, column = rows[i, j], columns[i, j]
    near = [(r, s) for r in range(height) for s in range(width)
            if abs(row - r) < 1 and abs(column - s) < 1]  # fmt: skip
    weights = np.array([(1 - abs(row - r)) * (1 - abs(column - s)) for r, s in near])
    at = np.array([(r, s, channel) for r, s in near], np.intp).reshape(-1, 3)
    border = layer.fill_value * (1 - float(weights.sum()))
    place = f"({show.number(row)}, {show.number(column)})"
    return Sum(
        make_terms(at, x[at[:, 0], at[:, 1], channel], weights),
        f"y{show.place(spot.at)} = x[{place}, {channel}], between its neighbours",
        border,
        notes=[f"In this pass the image was changed so that this pixel was read at {place}."],
        magnitude=abs(layer.fill_value) + float(np.abs(x[:, :, channel]).max()),
    )


@gradient_of(*_WARPED, what="dx")
def _warped_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    if entry.cache["transformation"] is None:
        return same_place(query, dz, 1.0)
    row, column, channel = query.at
    rows, columns = _read_at(layer, entry.cache, dz.shape[1:], query.example)
    weight = (1 - np.abs(rows - row)).clip(0) * (1 - np.abs(columns - column)).clip(0)
    i, j = np.nonzero(weight)
    if not len(i):
        return of_nothing(query, "No pixel of the result was read near this one.")
    at = np.stack([i, j, np.full_like(i, channel)], axis=1)
    here = np.tile(np.array(query.at, np.intp), (len(at), 1))
    return GradientSum(
        make_gradient_terms(
            query.example, at, dz[query.example, i, j, channel], weight[i, j], here
        ),
        f"dx{show.place(query.at)} = Σ weight·dy[i, j, {channel}] over the pixels that were read "
        "near this one",
    )


# -- cut -----------------------------------------------------------------------------------------


@sums(layers.RandomCrop)
def _crop(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    where = layer.sampling(xs[0].shape[:2], cache["transformation"])
    return sampled_sum(layer, where, xs[0], spot)


@gradient_of(layers.RandomCrop, what="dx")
def _crop_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    size = entry.xs[0].shape[1:3]
    return sampled_dx(layer.sampling(size, entry.cache["transformation"]), size, dz, query)


# -- coloured ------------------------------------------------------------------------------------

_COLOURED = (layers.RandomBrightness, layers.RandomContrast)


def _cut_off(layer: Any, x: Array, cache: Any, spot: Spot) -> Sum | None:
    """Return the sum of an output that a limit of the range has replaced."""
    if cache["inside"][(spot.example, *spot.at)]:
        return None
    drawn, example = cache["transformation"], slice(spot.example, spot.example + 1)
    only = {key: value[example] for key, value in drawn.items()}
    low, high = layer.value_range
    limit = high if layer.recoloured(x[None], only)[(0, *spot.at)] > high else low
    terms = make_terms(np.array([spot.at]), x[spot.at], 0.0, 0.0)
    place = show.place(spot.at)
    return Sum(terms, f"y{place} = {limit:g}", float(limit), notes=["A limit of value_range."])


@sums(layers.RandomBrightness)
def _brightness(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), drawn, place = xs, cache["transformation"], show.place(spot.at)
    if drawn is None:
        return unchanged(layer, x, spot)
    added = float(drawn["rgb_delta"][spot.example, 0, 0, 0])
    found = Sum(one(spot, x), f"y{place} = x{place} + brightness", added)
    return _cut_off(layer, x, cache, spot) or found


@sums(layers.RandomContrast)
def _contrast(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), drawn, place = xs, cache["transformation"], show.place(spot.at)
    if drawn is None:
        return unchanged(layer, x, spot)
    factor = float(drawn["contrast_factor"][spot.example, 0, 0, 0])
    mean = float(x[:, :, spot.at[-1]].mean(dtype=np.float64))
    notes = [f"The mean of this channel is {show.number(mean)}, the factor {show.number(factor)}."]
    found = Sum(
        one(spot, x, factor),
        f"y{place} = factor·x{place} + (1 - factor)·mean",
        (1 - factor) * mean,
        notes=notes,
        magnitude=float(np.abs(x).max()) * (1 + abs(factor)),
    )
    return _cut_off(layer, x, cache, spot) or found


@gradient_of(*_COLOURED, what="dx")
def _coloured_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    cache, drawn = entry.cache, entry.cache["transformation"]
    if drawn is None:
        return same_place(query, dz, 1.0)
    inside = cache["inside"][query.example, :, :, query.at[-1]]
    if isinstance(layer, layers.RandomBrightness):
        here = bool(inside[query.at[:2]])
        return same_place(query, dz, float(here), "" if here else " · 0, a limit cut it off")
    factor = float(drawn["contrast_factor"][query.example, 0, 0, 0])
    i, j = (index.ravel() for index in np.indices(inside.shape))
    at = np.stack([i, j, np.full_like(i, query.at[-1])], axis=1)
    own = (i == query.at[0]) & (j == query.at[1])
    weights = inside.ravel() * (own * factor + (1 - factor) / inside.size)
    return GradientSum(
        make_gradient_terms(query.example, at, dz[query.example, i, j, query.at[-1]], weights, at),
        f"dx{show.place(query.at)} = factor·dy{show.place(query.at)} + (1 - factor)·mean of dy",
        notes=["Each x changed the mean, so all of dy within value_range counts."],
    )


# -- mixed ---------------------------------------------------------------------------------------

_MIXED = (layers.CutMix, layers.MixUp)


def _shares(layer: Any, drawn: Any, at: tuple[int, ...]) -> Array:
    """Return the share of itself that each image of the batch kept at this place."""
    if isinstance(layer, layers.MixUp):
        return np.asarray(drawn["mix_weight"], np.float64)
    return 1.0 - drawn["batch_masks"][(slice(None), *at)]


@sums(*_MIXED)
def _mixed(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), drawn, place = xs, cache["transformation"], show.place(spot.at)
    if drawn is None:
        return unchanged(layer, x, spot)
    w = float(_shares(layer, drawn, spot.at)[spot.example])
    other = int(drawn["permutation_order"][spot.example])
    mixed_in = float(cache["x"][(other, *spot.at)])
    return Sum(
        one(spot, x, w),
        f"y{place} = w·x{place} + (1 - w)·{show.number(mixed_in)}",
        (1 - w) * mixed_in,
        notes=[f"In this pass image {other} was mixed in, and w is {show.number(w)} here."],
        magnitude=abs(mixed_in) + abs(float(x[spot.at])),
    )


@gradient_of(*_MIXED, what="dx")
def _mixed_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    drawn = entry.cache["transformation"]
    if drawn is None:
        return same_place(query, dz, 1.0)
    shares, example = _shares(layer, drawn, query.at), query.example
    into = int(np.flatnonzero(drawn["permutation_order"] == example)[0])
    examples = np.array([example, into])
    at = np.array([query.at, query.at], np.intp)
    return GradientSum(
        make_gradient_terms(
            examples,
            at,
            dz[(examples, *np.array(query.at)[:, None])],
            np.array([shares[example], 1 - shares[into]]),
            at,
        ),
        f"dx{show.place(query.at)} = w·dy{show.place(query.at)} + (1 - w)·dy of image {into}",
        notes=[f"In this pass this image was mixed into image {into}."],
    )
