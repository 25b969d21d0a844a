"""The sums and gradients of random changes of colours and details, in a given pass."""

from dataclasses import replace
from typing import Any

import numpy as np

from minicnn import layers
from minicnn.explain import show
from minicnn.explain.arithmetic import SUMS, Spot, Sum, one, sums
from minicnn.explain.explanation import make_gradient_terms, make_terms
from minicnn.explain.gradient_sum import (
    GRADIENTS,
    GradientSum,
    Query,
    gradient_of,
    of_nothing,
    same_place,
)
from minicnn.explain.random_layers import unchanged
from minicnn.explain.trace_entry import TraceEntry
from minicnn.layers import hsv
from minicnn.layers.random_colours import GRAY

Array = np.ndarray


def _one(drawn: Any, key: str, example: int) -> float:
    """Return the number that was drawn for an image."""
    return float(np.ravel(drawn[key])[example])


def _instead(layer: Any, spot: Spot, x: Array, value: float, formula: str, note: str) -> Sum:
    """Return the sum of an output that does not change with x, or only in steps."""
    terms = make_terms(np.array([spot.at]), x[spot.at], 0.0, 0.0)
    return Sum(
        terms,
        f"y{show.place(spot.at)} = {formula}",
        value,
        notes=[note],
        magnitude=sum(map(abs, map(float, layer.value_range))),
    )


def _within(layer: Any, found: Sum, spot: Spot, x: Array) -> Sum:
    """Return the sum, or the limit of the range that has replaced it."""
    low, high = layer.value_range
    total = float(found.terms.product.sum()) + found.bias
    limit = high if total > high else low
    if low <= total <= high:
        return found
    return _instead(layer, spot, x, float(limit), f"{limit:g}", "A limit of value_range.")


def _over_channels(spot: Spot, x: Array, weights: Array, formula: str) -> Sum:
    i, j, _ = spot.at
    at = np.array([(i, j, c) for c in range(x.shape[-1])])
    return Sum(make_terms(at, x[i, j], weights), f"y{show.place(spot.at)} = {formula}")


def _through_pixel(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    """Return the gradient of an input on which only the channels of its pixel depend."""
    i, j, channel = query.at
    pixel = entry.xs[0][query.example, i, j].reshape(1, 1, 1, -1)
    drawn = entry.cache["transformation"]
    if isinstance(drawn, dict):
        own = {key: np.asarray(value)[query.example][None] for key, value in drawn.items()}
    else:
        own = drawn[query.example][None]
    _, kept = layer.changed(pixel, own)
    channels = range(pixel.shape[-1])
    slopes = []
    for k in channels:
        unit = np.zeros_like(pixel)
        unit[..., k] = 1
        slopes.append(float(layer.gradient(unit, own, kept)[0, 0, 0, channel]))
    at = np.array([(i, j, k) for k in channels])
    return GradientSum(
        make_gradient_terms(query.example, at, dz[query.example, i, j], np.array(slopes), at),
        f"dx{show.place(query.at)} = Σ over the channels k of dy[{i}, {j}, k]·slope[k]",
        notes=["slope[k] says how fast channel k of this pixel changes with this x."],
    )


# -- one colour from one colour ------------------------------------------------------------------


@sums(layers.RandomInvert)
def _invert(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), drawn, place = xs, cache["transformation"], show.place(spot.at)
    if drawn is None:
        return unchanged(layer, x, spot)
    if not drawn["apply_inversion"][spot.example]:
        return Sum(one(spot, x), f"y{place} = x{place}", notes=["This image was not inverted."])
    high = float(layer.value_range[1])
    return Sum(one(spot, x, -1.0), f"y{place} = {high:g} - x{place}", high)


@sums(layers.Solarization)
def _solarize(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), drawn, place = xs, cache["transformation"], show.place(spot.at)
    if drawn is None:
        return unchanged(layer, x, spot)
    low, high = layer.value_range
    added = _one(drawn, "additions", spot.example) * (high - low) / 255
    notes = [f"In this pass {show.number(added)} was added."]
    index = (spot.example, *spot.at)
    if not cache["inside"][index]:
        lighter = float(x[spot.at]) + added > high
        value = (high if lighter else low) if cache["below"][index] else (low if lighter else high)
        return _instead(layer, spot, x, float(value), f"{value:g}", notes[0])
    if cache["below"][index]:
        return Sum(one(spot, x), f"y{place} = x{place} + added", added, notes=notes)
    notes.append("It was above the threshold, so that light became dark.")
    bias = low + high - added
    return Sum(
        one(spot, x, -1.0),
        f"y{place} = {low + high:g} - (x{place} + added)",
        bias,
        notes=notes,
        magnitude=abs(low) + abs(high) + abs(added),
    )


@sums(layers.RandomPosterization)
def _posterize(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), drawn = xs, cache["transformation"]
    if drawn is None:
        return unchanged(layer, x, spot)
    (low, high), shift = layer.value_range, int(drawn["shift_factor"][spot.example])
    level = float(layer.scaled(x[spot.at].reshape(1), 0, 255).clip(0, 255).astype(np.uint8)[0])
    rounded = level - level % 2**shift
    value = rounded if (low, high) == (0, 255) else low + rounded / 255 * (high - low)
    note = f"In this pass {8 - shift} of 8 bits stayed: of 0 … 255, {level:g} became {rounded:g}."
    return _instead(layer, spot, x, value, show.number(value), note)


@sums(layers.Equalization)
def _equalize(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), place = xs, show.place(spot.at)
    if cache["transformation"] is None:
        return unchanged(layer, x, spot)
    table = cache["tables"][spot.at[-1]]
    if table is None:
        return Sum(one(spot, x), f"y{place} = x{place}", notes=["The channel has one colour."])
    (low, high), bin_ = layer.value_range, int(layer.read(x[spot.at].reshape(1))[0])
    value = low + float(table[bin_]) / 255 * (high - low)
    note = f"Of 0 … 255, {float(table[bin_]):g} is the rank of bin {bin_} among all pixels."
    return _instead(layer, spot, x, value, f"table[{bin_}]", note)


@sums(layers.AutoContrast)
def _stretch(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), place, channel = xs, show.place(spot.at), spot.at[-1]
    least, most, scale = (float(part[0, 0, 0, channel]) for part in layer.stretch(x[None]))
    if least == most:
        return Sum(one(spot, x), f"y{place} = x{place}", notes=["The channel has one colour."])
    low = float(layer.value_range[0])
    return Sum(
        one(spot, x, scale),
        f"y{place} = {low:g} + scale·(x{place} - {show.number(least)})",
        low - scale * least,
        notes=[f"The channel went from {show.number(least)} to {show.number(most)}."],
        magnitude=abs(low) + scale * (abs(least) + abs(most)),
    )


@gradient_of(layers.AutoContrast, what="dx")
def _stretch_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    x, channel = entry.xs[0][query.example, :, :, query.at[-1]].astype(np.float64), query.at[-1]
    least, most = x.min(), x.max()
    if least == most:
        return same_place(query, dz, 1.0)
    first, last = layer.value_range
    scale, share = (last - first) / (most - least), (x - least) / (most - least)
    here = np.zeros_like(x)
    here[query.at[:2]] = 1
    value = x[query.at[:2]]
    weights = here.copy()
    if value == most:
        weights -= share / (x == most).sum()
    if value == least:
        weights -= (1 - share) / (x == least).sum()
    i, j = (index.ravel() for index in np.indices(x.shape))
    at = np.stack([i, j, np.full_like(i, channel)], axis=1)
    used = np.flatnonzero(weights.ravel())
    found = make_gradient_terms(
        query.example,
        at[used],
        dz[query.example, i[used], j[used], channel],
        scale * weights.ravel()[used],
        at[used],
    )
    note = "The darkest and the lightest pixel also say how all others are stretched."
    text = f"dx{show.place(query.at)} = scale·(dy{show.place(query.at)} - what moves the limits)"
    return GradientSum(found, text, notes=[note])


# -- one colour from three -----------------------------------------------------------------------


@sums(layers.RandomGrayscale)
def _grayscale(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), drawn, place = xs, cache["transformation"], show.place(spot.at)
    if drawn is None:
        return unchanged(layer, x, spot)
    if not drawn[spot.example].all() or x.shape[-1] == 1:
        return Sum(one(spot, x), f"y{place} = x{place}", notes=["This image kept its colours."])
    return _over_channels(spot, x, np.array(GRAY), "0.2989·red + 0.587·green + 0.114·blue")


@sums(layers.RandomColorDegeneration)
def _degenerate(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), drawn = xs, cache["transformation"]
    if drawn is None:
        return unchanged(layer, x, spot)
    f = _one(drawn, "factor", spot.example)
    weights = f * np.array(GRAY) + (1 - f) * (np.arange(3) == spot.at[-1])
    text = f"(1 - f)·x{show.place(spot.at)} + f·(0.2989·red + 0.587·green + 0.114·blue)"
    found = _over_channels(spot, x, weights, text)
    found.notes.append(f"In this pass f is {show.number(f)}.")
    return _within(layer, found, spot, x)


@sums(layers.RandomHue, layers.RandomSaturation)
def _hue_or_saturation(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), drawn, (i, j, channel) = xs, cache["transformation"], spot.at
    if drawn is None:
        return unchanged(layer, x, spot)
    moved = cache["moved"]
    hue, saturation = (
        part[spot.example, i, j].astype(np.float64) for part in (moved.hue, moved.saturation)
    )
    full = float(hsv.fullness(np.array([hue]))[0, channel])
    pixel, low, high = x[i, j].astype(np.float64), *map(float, layer.value_range)
    offset = low if isinstance(layer, layers.RandomHue) else 0.0
    most, least = int(pixel.argmax()), int(pixel.argmin())
    # saturation·value is the chroma, most - least, unless it was changed or cut off
    value, chroma = pixel[most] - offset, pixel[most] - pixel[least]
    strength = saturation * value / chroma if chroma else 0.0
    share = strength * (1 - full)
    at = np.array([(i, j, most), (i, j, least)])
    text = f"x[{i}, {j}, {most}] - s·(x[{i}, {j}, {most}] - x[{i}, {j}, {least}])"
    found = Sum(
        make_terms(at, pixel[[most, least]], np.array([1 - share, share])),
        f"y{show.place(spot.at)} = {text}",
        notes=[
            f"The hue is {show.number(hue)} and the saturation {show.number(saturation)} now, so "
            f"that s is {show.number(share)}."
        ],
        magnitude=float(np.abs(pixel).max()) * (1 + abs(share)) + abs(low) + abs(high),
    )
    return _within(layer, found, spot, x) if isinstance(layer, layers.RandomHue) else found


@gradient_of(
    *(layers.RandomGrayscale, layers.RandomColorDegeneration, layers.RandomHue),
    *(layers.RandomSaturation, layers.RandomInvert, layers.Solarization),
    layers.RandomPosterization,
    what="dx",
)
def _pixel_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    if entry.cache["transformation"] is None:
        return same_place(query, dz, 1.0)
    return _through_pixel(layer, entry, dz, query)


@gradient_of(layers.Equalization, what="dx")
def _equalize_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    if entry.cache["transformation"] is None or entry.cache["flat"][query.at[-1]]:
        return same_place(query, dz, 1.0)
    return of_nothing(query, "y changes in steps, which have no slope.")


# -- details -------------------------------------------------------------------------------------


@sums(layers.RandomErasing)
def _erase(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), drawn, place = xs, cache["transformation"], show.place(spot.at)
    if drawn is None:
        return unchanged(layer, x, spot)
    index = (spot.example, *spot.at)
    if drawn["apply_erasing"][spot.example] and drawn["batch_masks"][index]:
        value = float(drawn["fill_value"][index])
        return _instead(layer, spot, x, value, show.number(value), "Erased in this pass.")
    return Sum(one(spot, x), f"y{place} = x{place}", notes=["Not erased in this pass."])


@gradient_of(layers.RandomErasing, what="dx")
def _erase_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    drawn, index = entry.cache["transformation"], (query.example, *query.at)
    if drawn is None or not (drawn["apply_erasing"][query.example] and drawn["batch_masks"][index]):
        return same_place(query, dz, 1.0)
    return same_place(query, dz, 0.0, " · 0, it was erased")


def _window(layer: Any, drawn: Any, example: int) -> Array:
    """Return the weights of x around a pixel, for this image."""
    if isinstance(layer, layers.RandomSharpness):
        share, kernel = 1 - 2 * _one(drawn, "factor", example), layer.KERNEL
    else:
        share, kernel = float(drawn["should_apply_blur"][example]), layer.kernel(drawn)
    own = np.zeros(kernel.shape)
    own[kernel.shape[0] // 2, kernel.shape[1] // 2] = 1
    return (1 - share) * own + share * kernel


def _around(size: tuple[int, ...], at: tuple[int, ...], window: Array) -> tuple[Array, Array]:
    """Return the pixels under a window at this place, and its weights there."""
    found, weights = [], []
    for (r, s), weight in np.ndenumerate(window):
        i, j = at[0] + r - window.shape[0] // 2, at[1] + s - window.shape[1] // 2
        if 0 <= i < size[0] and 0 <= j < size[1] and weight:
            found.append((i, j, at[2]))
            weights.append(weight)
    return np.array(found, np.intp).reshape(-1, 3), np.array(weights)


@sums(layers.RandomSharpness, layers.RandomGaussianBlur)
def _filtered(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), drawn = xs, cache["transformation"]
    if drawn is None:
        return unchanged(layer, x, spot)
    at, weights = _around(x.shape[:2], spot.at, _window(layer, drawn, spot.example))
    terms = make_terms(at, x[tuple(at.T)], weights)
    found = Sum(terms, f"y{show.place(spot.at)} = Σ weight·x over the pixels around")
    return _within(layer, found, spot, x)


@gradient_of(layers.RandomSharpness, layers.RandomGaussianBlur, what="dx")
def _filtered_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    drawn, inside = entry.cache["transformation"], entry.cache.get("inside")
    if drawn is None:
        return same_place(query, dz, 1.0)
    window = _window(layer, drawn, query.example)[::-1, ::-1]
    at, weights = _around(dz.shape[1:3], query.at, window)
    places = (query.example, *at.T)
    return GradientSum(
        make_gradient_terms(query.example, at, dz[places], weights * inside[places], at),
        f"dx{show.place(query.at)} = Σ weight·dy over the pixels around",
        notes=["Where value_range has cut y off, no gradient comes back."],
    )


# -- several changes -----------------------------------------------------------------------------


@sums(layers.RandomColorJitter, layers.RandAugment)
def _several(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    drawn = cache["transformation"]
    steps = [] if drawn is None else layer.steps(drawn)
    if not steps:
        return unchanged(layer, xs[0], spot)
    last, x = steps[-1][0], cache["inputs"][-1][spot.example]
    found = SUMS[type(last)](last, [x], cache["caches"][-1], spot)
    names = ", ".join(type(step).__name__ for step, _ in steps)
    found.notes.append(f"The changes were {names}: x is what all but the last one have made.")
    return found


@gradient_of(layers.RandomColorJitter, layers.RandAugment, what="dx")
def _several_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    cache, drawn = entry.cache, entry.cache["transformation"]
    steps = [] if drawn is None else layer.steps(drawn)
    if not steps:
        return same_place(query, dz, 1.0)
    first, own = steps[0][0], replace(entry, layer=steps[0][0], cache=cache["caches"][0])
    received = layer.gradient(dz, drawn, cache, first=1)
    found = GRADIENTS[type(first), "dx"](first, own, received, query)
    found.notes.append(
        f"The first change was a {type(first).__name__}: dy is what came back to it."
    )
    return found
