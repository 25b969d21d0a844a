"""Explains one output of a layer as a sum, term by term, in float64.

Each kind of layer has one function here, which lists the terms `input × weight` and the bias of one
place in its output. `activation_steps` then applies the activation, in the same way for all layers.
Register a function for a layer of your own with

    @sums(MyLayer)
    def my_layer(layer, xs, cache, spot):
        return Sum(make_terms(places, inputs, weights), "y[k] = …")
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from minicnn import layers, shapes
from minicnn.explain import show
from minicnn.explain.activations import activation_steps, named
from minicnn.explain.explanation import (
    Explanation,
    Step,
    Terms,
    UnknownError,
    Window,
    exact_sum,
    make_terms,
)
from minicnn.functional import algorithms
from minicnn.graph.fused import FusedLayer
from minicnn.layers import Layer

Array = np.ndarray


class Spot(NamedTuple):
    """Which number to explain: its place in an example's output, and the shape of that output."""

    at: tuple[int, ...]
    shape: tuple[int, ...]
    example: int


@dataclass
class Sum:
    """The terms of one output, its formula and its steps; the fields are those of `Explanation`."""

    terms: Terms
    formula: str
    bias: float = 0.0
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    window: Window | None = None
    grid: tuple[int, int, int] | None = None
    magnitude: float | None = None


Function = Callable[[Any, list[Array], Any, Spot], Sum]
SUMS: dict[type[Layer], Function] = {}


def sums(*kinds: type[Layer]) -> Callable[[Function], Function]:
    """Register a function for layers of these classes and their subclasses.

        @sums(Double)
        def double(layer, xs, cache, spot):        # spot says which number: at, shape, example
            terms = make_terms([spot.at], inputs=xs[0][spot.at], weights=2.0)
            return Sum(terms, f"y{list(spot.at)} = 2·x{list(spot.at)}")

    `xs` has one example of each input; `make_terms` takes, for each term, a place in x, the number
    there and its weight. `explain_output` adds the layer's activation.
    """

    def register(function: Function) -> Function:
        SUMS.update(dict.fromkeys(kinds, function))
        return function

    return register


def explain_output(
    layer: Layer, x: Any, y: Array, cache: Any, at: Any, example: int = 0, name: str | None = None
) -> Explanation:
    """Explain `y[example, *at]`, given what `layer.forward(x)` returned.

    Raises `ValueError` for a place that y does not have, and for a layer of an unknown kind.
    """
    name = name or layer.name
    spot = find_spot(layer.label, y, at, example)
    found = function_for(layer)(layer, inputs_of(layer, x, spot.example), cache, spot)
    total = exact_sum([*found.terms.product.tolist(), found.bias])
    steps, formula = list(found.steps), found.formula
    result = total
    if layer.activation_name != "linear":
        scores = None
        if layer.activation_name in ("softmax", "log_softmax"):
            scores = cache["z"][(spot.example, *spot.at[:-1])].astype(np.float64)
        added = activation_steps(layer.activation_name, total, scores, spot.at[-1])
        steps, result = steps + added, added[-1].value
        left, _, right = formula.partition(" = ")
        formula = f"{left} = {named(layer.activation_name, right)}"
    return Explanation(
        name=name,
        layer=layer,
        what="y",
        at=spot.at,
        example=spot.example,
        formula=formula,
        terms=found.terms,
        value=float(y[(spot.example, *spot.at)]),
        bias=found.bias,
        steps=steps,
        result=result,
        notes=[*found.notes, *trouble(layer, found.terms)],
        window=found.window,
        grid=found.grid,
        magnitude=found.magnitude,
        epsilon=float(np.finfo(y.dtype).eps),
    )


def function_for(layer: Layer) -> Function:
    """Return the function that explains the layer's outputs, or raise `UnknownError`."""
    for cls in kinds_of(layer):
        if cls in SUMS:
            return SUMS[cls]
    if layer.defines_call:
        raise UnknownError(unexplained(layer))
    raise UnknownError(
        f"{layer.label} is of a kind that minicnn.explain does not know: define how a number of "
        f"the layer is computed, with @minicnn.explain.sums({type(layer).__name__}) above a "
        "function(layer, xs, cache, spot) that returns a minicnn.explain.Sum; "
        "help(minicnn.explain.sums) has an example."
    )


def kinds_of(layer: Layer) -> tuple[type, ...]:
    """Return the classes whose explanations apply to a layer: not those before its own `call`."""
    return type(layer).__mro__[:1] if layer.defines_call else type(layer).__mro__


def unexplained(layer: Layer) -> str:
    """Return a message on what a trace shows of a layer or model that defines `call`."""
    return (
        f"{layer.label} defines call, which minicnn.explain cannot take apart: its trace shows "
        "what goes in and comes out, with gradients. A model made of symbols, "
        "Model(inputs, outputs), explains each of its layers."
    )


def inputs_of(layer: Layer, x: Any, example: int) -> list[Array]:
    """Return one example of each input of the layer, in the dtype that the layer computes in."""
    several = x if isinstance(x, (list, tuple)) else [x]
    return [np.asarray(item[example], layer.dtype) for item in several]


# -- places ------------------------------------------------------------------------------------


def find_spot(who: str, y: Array, at: Any, example: Any = 0, what: str = "output") -> Spot:
    """Check `at` and `example` against an array (batch, …), and return them as a spot."""
    if not isinstance(example, (int, np.integer)) or isinstance(example, bool):
        raise ValueError(f"{who} expects example to be an integer. Received {example!r}.")
    if not 0 <= example < len(y):
        received = f"Received example={example}."
        if not len(y):
            raise ValueError(f"{who} saw an empty batch: there is nothing to explain. {received}")
        raise ValueError(f"{who} saw the examples 0…{len(y) - 1}. {received}")
    return Spot(check_place(who, y.shape[1:], at, what), y.shape[1:], int(example))


_AXES = {1: ("units",), 2: ("columns", "channels"), 3: ("rows", "columns", "channels")}


def check_place(
    who: str, shape: Sequence[int], at: Any, what: str, names: Sequence[str] = ()
) -> tuple[int, ...]:
    """Return `at` as a tuple of ints that index an array of this shape, or raise `ValueError`."""
    given = at if isinstance(at, (tuple, list)) or np.ndim(at) else (at,)
    if not shape and len(given):
        raise ValueError(f"{who} has one of its {what} an example: at=(). Received at={at!r}.")
    names = names or _AXES.get(len(shape), [f"axis {i}" for i in range(len(shape))])
    places = ", ".join(f"{n} 0…{size - 1}" for n, size in zip(names, shape, strict=True))
    wanted = ", ".join(n.removesuffix("s") for n in names)
    whole = all(isinstance(i, (int, np.integer)) and not isinstance(i, bool) for i in given)
    if not whole or len(given) != len(shape):
        comma = "," if len(shape) == 1 else ""
        raise ValueError(
            f"{who} expects at=({wanted}{comma}), a place in its {what} of {places}. "
            f"Received at={at!r}."
        )
    if not all(0 <= i < size for i, size in zip(given, shape, strict=True)):
        raise ValueError(f"{who} has its {what} at {places}. Received at={at!r}.")
    return tuple(int(i) for i in given)


def trouble(layer: Layer | None, terms: Terms) -> list[str]:
    """Return warnings about NaN or infinity among inputs or weights, which spoil a sum."""
    found = []
    for variable in [] if layer is None else layer.weights:
        bad = int((~np.isfinite(variable.value)).sum())
        if bad:
            of = f"{bad:,} of the {variable.value.size:,} numbers"
            found.append(f"Careful: {of} of {variable.path} are NaN or infinite.")
    for key in ("input", "gradient"):
        if key in (terms.dtype.names or ()):
            bad = int((~np.isfinite(terms[key][~terms.padded])).sum())
            if bad:
                found.append(f"Careful: NaN or infinite {key}s: {bad:,} of {len(terms):,}.")
    return found


# -- windows -----------------------------------------------------------------------------------


def window_of(layer: Any, size: Sequence[int]) -> shapes.Window:
    """Return the geometry of a convolution's or pooling's window over an input of this size."""
    kernel, strides, dilation = layer.receptive_window()
    return shapes.window((size[0], size[1]), kernel, strides, layer.padding, dilation, layer.label)


def place_window(window: shapes.Window, row: int, col: int) -> Window:
    """Return the places in the input of the taps of the output at (row, col)."""
    rows, cols = (
        tuple(o * s - b + i * d for i in range(k))
        for o, s, b, k, d in zip(
            (row, col), window.strides, window.before, window.kernel, window.dilation, strict=True
        )
    )
    return Window(rows, cols, window.before)


def taps(x: Array, where: Window, channels: Sequence[int]) -> tuple[Array, Array, Array]:
    """Return all taps' places, values and whether they are padding, by row, column and channel."""
    grid = np.meshgrid(where.rows, where.cols, channels, indexing="ij")
    rows, cols, depth = (axis.ravel() for axis in grid)
    padded = (rows < 0) | (rows >= x.shape[0]) | (cols < 0) | (cols >= x.shape[1])
    values = np.zeros(len(rows))
    inside = ~padded
    values[inside] = x[rows[inside], cols[inside], depth[inside]]
    return np.stack([rows, cols, depth], axis=1), values, padded


def _sliding(where: Window, dilation: shapes.Pair) -> str:
    """Return the index of x in a formula, such as `1+i, 2+j`."""
    texts = []
    for taps_, letter, step in zip((where.rows, where.cols), "ij", dilation, strict=True):
        moving = letter if step == 1 else f"{step}{letter}"
        texts.append(moving if taps_[0] == 0 else f"{taps_[0]}+{moving}")
    return ", ".join(texts)


def over(**ranges: int) -> str:
    """Return the ranges of a formula's indices, such as `i = 0…2, j = 0…2`."""
    return ",  " + ", ".join(f"{k} = {show.span(range(n))}" for k, n in ranges.items())


def bias_of(layer: Any, unit: int) -> float:
    """Return the bias of a unit, or 0 if the layer has none."""
    return 0.0 if layer.bias is None else float(layer.bias.value[unit])


# -- convolutions ------------------------------------------------------------------------------


@sums(layers.Conv2D)
def _conv2d(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), (row, col, unit) = xs, spot.at
    geometry = window_of(layer, x.shape)
    where = place_window(geometry, row, col)
    kernel = layer.kernel.value
    each = kernel.shape[2]  # channels that one filter sees
    first = unit // (layer.filters // layer.groups) * each
    places, values, padded = taps(x, where, range(first, first + each))
    depth = "c" if first == 0 else f"{first}+c"
    bias = f" + bias[{unit}]" if layer.use_bias else ""
    seen, w = x[:, :, first : first + each], kernel[:, :, :, unit]
    middle = where.rows[len(where.rows) // 2], where.cols[len(where.cols) // 2]
    tile = tile_magnitude(layer, geometry, seen, middle, w)
    return Sum(
        make_terms(places, values, w.ravel(), padded=padded),
        f"y{show.place(spot.at)} = Σ x[{_sliding(where, geometry.dilation)}, {depth}]·"
        f"kernel[i, j, c, {unit}]{bias}"
        + over(i=kernel.shape[0], j=kernel.shape[1], c=each),
        bias=bias_of(layer, unit),
        notes=_group_note(layer, first, each),
        window=where,
        grid=kernel.shape[:3],
        magnitude=None if tile is None else tile + abs(bias_of(layer, unit)),
    )  # fmt: skip


def by_winograd(layer: Any, window: shapes.Window, dtype: np.dtype) -> bool:
    """Return whether minicnn uses Winograd's algorithm for this convolution, in large batches."""
    channels, filters = layer.kernel.shape[2:]
    filters //= getattr(layer, "groups", 1)
    return algorithms.choose(window, dtype, channels, filters, images=2**20) == "winograd"


def tile_magnitude(layer: Any, window: shapes.Window, x: Array, at: Any, w: Array) -> float | None:
    """Return the size of the numbers that Winograd's algorithm rounds, or None if it is not used.

    Winograd's algorithm adds up whole tiles, 4×4 outputs from 6×6 pixels, and subtracts the parts
    that do not belong to an output, so pixels next to its window cancel, except for their rounding.
    `x` is the example (rows, columns, channels) that the kernel `w` (3, 3, channels) slides over,
    and `at` is the middle pixel.
    """
    if not by_winograd(layer, window, x.dtype):
        return None
    near = x[tuple(slice(max(i - 4, 0), i + 5) for i in at)]
    most = np.abs(near).max(axis=(0, 1), initial=0.0).astype(np.float64)
    return float((np.abs(w).sum(axis=(0, 1)) * most).sum())


def _group_note(layer: Any, first: int, each: int) -> list[str]:
    if layer.groups == 1:
        return []
    seen = show.span(range(first, first + each))
    return [f"Group {first // each} of {layer.groups}: it sees the channels {seen} of x only."]


@sums(FusedLayer)
def _fused(layer: FusedLayer, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    if layer.pool_size is not None:
        raise UnknownError(
            f"{layer.label} computes a convolution and its max pooling as one: ask the model that "
            "it was made from, whose layers are separate."
        )
    return function_for(layer.layer)(layer.with_weights(), xs, cache, spot)


@sums(layers.DepthwiseConv2D)
def _depthwise(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), (row, col, unit) = xs, spot.at
    geometry = window_of(layer, x.shape)
    where = place_window(geometry, row, col)
    kernel = layer.kernel.value
    channel, copy = divmod(unit, kernel.shape[3])
    places, values, padded = taps(x, where, [channel])
    bias = f" + bias[{unit}]" if layer.use_bias else ""
    return Sum(
        make_terms(places, values, kernel[:, :, channel, copy].ravel(), padded=padded),
        f"y{show.place(spot.at)} = Σ x[{_sliding(where, geometry.dilation)}, {channel}]·"
        f"kernel[i, j, {channel}, {copy}]{bias}" + over(i=kernel.shape[0], j=kernel.shape[1]),
        bias=bias_of(layer, unit),
        window=where,
        grid=(*kernel.shape[:2], 1),
    )


@sums(layers.SeparableConv2D)
def _separable(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    """A separable convolution's terms lead to x in one step: weight = depthwise · pointwise."""
    (x,), (row, col, unit) = xs, spot.at
    geometry = window_of(layer, x.shape)
    where = place_window(geometry, row, col)
    deep, point = layer.depthwise_kernel.value.astype(np.float64), layer.pointwise_kernel.value
    multiplier = deep.shape[3]
    places, values, padded = taps(
        x, where, np.repeat(np.arange(deep.shape[2]), multiplier).tolist()
    )
    point = point[0, 0, :, unit].astype(np.float64)
    flat = deep.reshape(*deep.shape[:2], -1)
    h = (values.reshape(flat.shape) * flat).sum(axis=(0, 1))
    weights = (flat * point).ravel()
    bias = f" + bias[{unit}]" if layer.use_bias else ""
    stages: Terms = np.rec.fromarrays(
        (np.arange(len(h)), h, point, h * point),
        dtype=[("channel", int), ("input", float), ("weight", float), ("product", float)],
    )
    mixed = exact_sum([*stages.product.tolist(), bias_of(layer, unit)])
    return Sum(
        make_terms(places, values, weights, padded=padded),
        f"y{show.place(spot.at)} = Σ h[{row}, {col}, m]·pointwise_kernel[0, 0, m, {unit}]{bias}"
        + over(m=len(h))
        + f";   h[{row}, {col}, m] = Σ x[{_sliding(where, geometry.dilation)}, c]·"
        + ("depthwise_kernel[i, j, c, 0], m = c" if multiplier == 1 else
           f"depthwise_kernel[i, j, c, k], m = {multiplier}c + k"),
        bias=bias_of(layer, unit),
        steps=[
            Step("h·pointwise", f"Σ over the {len(h)} filtered channels h, + bias", mixed, stages)
        ],
        notes=["Two stages in one: each weight is depthwise · pointwise."],
        window=where,
        grid=flat.shape,
    )  # fmt: skip


@sums(layers.ZeroPadding2D)
def _zero_padding(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), (row, col, channel) = xs, spot.at
    place = (row - layer.padding[0][0], col - layer.padding[1][0], channel)
    inside = 0 <= place[0] < x.shape[0] and 0 <= place[1] < x.shape[1]
    value = x[place] if inside else 0.0
    right = f"x{show.place(place)}" if inside else "0, the padding"
    terms = make_terms(np.array([place]), value, 1.0, padded=not inside)
    return Sum(terms, f"y{show.place(spot.at)} = {right}")


# -- pooling -----------------------------------------------------------------------------------


@sums(layers.MaxPooling2D)
def _max_pooling(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    """The maximum has weight 1, the others 0; among equal numbers, the first is the maximum."""
    (x,), (row, col, channel) = xs, spot.at
    geometry = window_of(layer, x.shape)
    where = place_window(geometry, row, col)
    places, values, padded = taps(x, where, [channel])
    maxima = largest(values, ~padded)
    return Sum(
        chosen(places, values, padded, maxima[:1]),
        f"y{show.place(spot.at)} = max x[{_sliding(where, (1, 1))}, {channel}]"
        + over(i=geometry.kernel[0], j=geometry.kernel[1]),
        notes=maximum_notes(places, maxima, "the first of them gets the gradient")
        + (["Padding counts as -∞: it is never the maximum."] if padded.any() else []),
        window=where,
        grid=(*geometry.kernel, 1),
    )


@sums(layers.GlobalMaxPooling2D)
def _global_max(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    """Equal maxima share the output: each has weight 1 / their number."""
    (x,), channel = xs, spot.at[-1]
    places, values = _whole_map(x, channel)
    maxima = largest(values, np.ones(len(values), bool))
    return Sum(
        chosen(places, values, np.zeros(len(values), bool), maxima),
        f"y{show.place(spot.at)} = max x[i, j, {channel}]" + over(i=x.shape[0], j=x.shape[1]),
        notes=maximum_notes(places, maxima, "they share the gradient"),
        grid=(x.shape[0], x.shape[1], 1),
    )


def largest(values: Array, real: Array) -> Array:
    """Return the indices of the largest `real` values, in order; NaN counts as largest."""
    candidates = np.flatnonzero(real)
    invalid = candidates[np.isnan(values[candidates])]
    if invalid.size:
        return invalid
    return candidates[values[candidates] == values[candidates].max()]


def chosen(places: Array, values: Array, padded: Array, maxima: Array) -> Terms:
    """Return terms in which the maxima share the weight 1, and all others have 0."""
    weights = np.zeros(len(values))
    weights[maxima] = 1 / len(maxima)
    products = np.zeros(len(values))
    products[maxima] = values[maxima] / len(maxima)
    return make_terms(places, np.where(padded, -np.inf, values), weights, products, padded)


def maximum_notes(places: Array, maxima: Array, rule: str) -> list[str]:
    """Return which pixel is the maximum, and for several the `rule` for their gradient."""
    first = f"The maximum is x{show.place(places[maxima[0]])}."
    if len(maxima) == 1:
        return [first]
    tied = ", ".join(show.place(places[w]) for w in maxima[:6])
    more = f" and {len(maxima) - 6} more" if len(maxima) > 6 else ""
    return [f"{len(maxima)} pixels are equally large, at {tied}{more}: {rule}."]


@sums(layers.AveragePooling2D)
def _average_pooling(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), (row, col, channel) = xs, spot.at
    geometry = window_of(layer, x.shape)
    where = place_window(geometry, row, col)
    places, values, padded = taps(x, where, [channel])
    real = int((~padded).sum())
    return Sum(
        make_terms(places, values, np.where(padded, 0.0, 1 / real), padded=padded),
        f"y{show.place(spot.at)} = Σ x[{_sliding(where, (1, 1))}, {channel}] / {real}"
        + over(i=geometry.kernel[0], j=geometry.kernel[1]),
        notes=["Padding is not counted."] if padded.any() else [],
        window=where,
        grid=(*geometry.kernel, 1),
    )


@sums(layers.GlobalAveragePooling2D)
def _global_average(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), channel = xs, spot.at[-1]
    places, values = _whole_map(x, channel)
    return Sum(
        make_terms(places, values, 1 / len(values)),
        f"y{show.place(spot.at)} = Σ x[i, j, {channel}] / {len(values)}"
        + over(i=x.shape[0], j=x.shape[1]),
        grid=(x.shape[0], x.shape[1], 1),
    )


def _whole_map(x: Array, channel: int) -> tuple[Array, Array]:
    rows, cols = (axis.ravel() for axis in np.indices(x.shape[:2]))
    places = np.stack([rows, cols, np.full(len(rows), channel)], axis=1)
    return places, x[:, :, channel].astype(np.float64).ravel()


# -- dense, and element by element ---------------------------------------------------------------


@sums(layers.Dense)
def _dense(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), unit = xs, spot.at[-1]
    features = np.arange(x.shape[-1])
    fixed = np.tile(np.array(spot.at[:-1], np.intp), (len(features), 1))
    before = "".join(f"{i}, " for i in spot.at[:-1])
    bias = f" + bias[{unit}]" if layer.use_bias else ""
    return Sum(
        make_terms(
            np.concatenate([fixed, features[:, None]], axis=1),
            x[spot.at[:-1]],
            layer.kernel.value[:, unit],
        ),
        f"y{show.place(spot.at)} = Σ x[{before}k]·kernel[k, {unit}]{bias}" + over(k=len(features)),
        bias=bias_of(layer, unit),
    )


def one(spot: Spot, x: Array, weight: float = 1.0) -> Terms:
    """Return the only term of an output that depends only on x at the same place."""
    return make_terms(np.array([spot.at], np.intp).reshape(1, -1), x[spot.at], weight)


@sums(layers.Activation, layers.Identity, layers.InputLayer)
def _unchanged(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    place = show.place(spot.at)
    return Sum(one(spot, xs[0]), f"y{place} = x{place}")


@sums(layers.Rescaling)
def _rescaling(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,), place = xs, show.place(spot.at)
    scale, offset = (
        float(np.broadcast_to(np.array(value, x.dtype), x.shape[-1:])[spot.at[-1]])
        for value in (layer.scale, layer.offset)
    )
    terms = one(spot, x, scale)
    return Sum(terms, f"y{place} = x{place}·scale + offset", offset)


@sums(layers.Flatten, layers.Reshape)
def _reshape(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    (x,) = xs
    flat = np.ravel_multi_index(spot.at, spot.shape)
    place = tuple(int(i) for i in np.unravel_index(flat, x.shape))
    return Sum(
        make_terms(np.array([place]), x[place], 1.0),
        f"y{show.place(spot.at)} = x{show.place(place)}",
        notes=[f"Number {flat:,} in reading order, before and after."],
    )


@sums(layers.Concatenate)
def _concatenate(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    channel = spot.at[-1]
    for source, x in enumerate(xs):
        if channel < x.shape[-1]:
            place = (*spot.at[:-1], channel)
            terms = make_terms(np.array([place]), x[place], 1.0, source=source)
            return Sum(terms, f"y{show.place(spot.at)} = x{source}{show.place(place)}")
        channel -= x.shape[-1]
    raise AssertionError("find_spot has checked the channel")


@sums(layers.BatchNormalization)
def _batch_normalization(layer: Any, xs: list[Array], cache: Any, spot: Spot) -> Sum:
    """It has one term: y = x·scale + (beta - mean·scale), scale = gamma / √(variance + epsilon)."""
    (x,), channel = xs, spot.at[-1]
    value, mean, variance = (
        float(v) for v in (x[spot.at], cache["mean"][channel], cache["variance"][channel])
    )
    gamma = float(layer.gamma.value[channel]) if layer.gamma else 1.0
    beta = float(layer.beta.value[channel]) if layer.beta else 0.0
    deviation = math.sqrt(variance + layer.epsilon) if variance > -layer.epsilon else math.nan
    scale, place, c = gamma / deviation, show.place(spot.at), f"[{channel}]"
    source = f"mean of x[…, {channel}] over the batch" if cache["training"] else f"moving_mean{c}"
    spread = (
        f"mean of (x[…, {channel}] - μ)² over the batch"
        if cache["training"]
        else f"moving_variance{c}"
    )
    normal = (value - mean) / deviation
    steps = [
        Step("μ", source, mean),
        Step("σ²", spread, variance),
        Step("x - μ", "", value - mean),
        Step("√(σ² + ε)", f"√({show.number(variance)} + {layer.epsilon:g})", deviation),
        Step("x̂", "(x - μ) / √(σ² + ε)", normal),
        Step("y", f"gamma{c}·x̂ + beta{c}", gamma * normal + beta),
    ]
    return Sum(
        one(spot, x, scale),
        f"y{place} = gamma{c}·(x{place} - μ) / √(σ² + {layer.epsilon:g}) + beta{c}",
        beta - mean * scale,
        steps,
        ["As one term: x·gamma/√(σ² + ε), and the rest is the bias: beta - μ·gamma/√(σ² + ε)."],
        magnitude=abs(value * scale) + abs(mean * scale) + abs(beta),
    )
