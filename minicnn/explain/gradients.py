"""Explains one entry of a gradient as a sum, term by term, in float64.

In `explain_gradient(entry, what, at)`, `what` is the name of a parameter ("kernel", "bias",
"gamma", …); or "dx", the gradient of the layer's input; "dz", the gradient of the sum before its
activation; or "dh", the gradient between the two stages of a SeparableConv2D. Each term is a
`gradient` of the layer's output times a `factor`, which is an input, a weight, or a slope.

As in `arithmetic`, each kind of layer has its functions here, and the decorator
`@gradient_of(MyLayer, "dx")` of `gradient_sum` adds more.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicnn import functional, layers, shapes
from minicnn.explain import show
from minicnn.explain.activations import slope_of
from minicnn.explain.arithmetic import (
    by_winograd,
    check_place,
    find_spot,
    kinds_of,
    place_window,
    tile_magnitude,
    trouble,
    unexplained,
    window_of,
)
from minicnn.explain.explanation import (
    Explanation,
    Step,
    Terms,
    UnknownError,
    exact_sum,
    make_gradient_terms,
)
from minicnn.explain.gradient_sum import (
    GRADIENTS,
    OF_EXAMPLES,
    Function,
    GradientSum,
    Query,
    all_positions,
    gradient_of,
    one_output,
    same_place,
    softmax_dz,
    sum_over_positions,
)
from minicnn.explain.trace_entry import TraceEntry
from minicnn.layers import Layer
from minicnn.layers.lines import OnLines

Array = np.ndarray


def explain_gradient(
    entry: TraceEntry, what: str, at: Any, example: int = 0, source: int = 0
) -> Explanation:
    """Explain one entry of a gradient, the largest term first.

    Args:
        what: a parameter's name, or one of `OF_EXAMPLES`.
        at: a place in the parameter, or in that example's dx, dh or dz.
        example, source: for dx, dh and dz, the example, and for dx the index of the input.

    Raises `ValueError` for a trace without gradients, a gradient that the layer does not have, and
    a place outside it.
    """
    layer, who = entry.layer, f"{entry.layer.label}'s {what}"
    _check_what(entry, what)
    array = _given(entry, what, source)
    if what in OF_EXAMPLES:
        spot = find_spot(who, array, at, example, "entries")
        query = Query(spot.at, spot.example, source)
        value = float(array[(spot.example, *spot.at)])
    else:
        names = _axes_of(layer, what) if array.ndim in (3, 4) else ()
        query = Query(check_place(who, array.shape, at, "entries", names))
        value = float(array[query.at])
    found = function_for(layer, what)(layer, entry, entry.dz, query)  # type: ignore[arg-type]
    total = exact_sum(found.terms.product.tolist())
    return Explanation(
        name=entry.name,
        layer=layer,
        what=what,
        at=query.at,
        example=query.example if what in OF_EXAMPLES else None,
        formula=found.formula,
        terms=found.terms,
        value=value,
        steps=found.steps,
        result=total,
        notes=[*found.notes, *_penalty(layer, what, query.at, value), *trouble(layer, found.terms)],
        magnitude=found.magnitude,
        epsilon=float(np.finfo(array.dtype).eps),
        of=found.of,
    )


def _penalty(layer: Layer, what: str, at: tuple[int, ...], value: float) -> list[str]:
    """Return a sentence on what a weight's regularizer, if it has one, adds to its gradient."""
    variable = next((v for v in layer.weights_list if v.name == what and v.trainable), None)
    if variable is None or variable.regularizer is None:
        return []
    added = float(variable.dpenalty()[at])
    return [
        f"This is the gradient of the loss alone. {type(variable.regularizer).__name__} of the "
        f"{what} adds {show.number(added)}, so the optimizer gets {show.number(value + added)}."
    ]


_PARAMETER_AXES = {
    "kernel": ("rows", "columns", "channels", "filters"),
    "depthwise_kernel": ("rows", "columns", "channels", "copies"),
    "pointwise_kernel": ("rows", "columns", "channels", "filters"),
}


def _axes_of(layer: Layer, what: str) -> tuple[str, ...]:
    """Return the names of the axes of a kernel; none for other weights."""
    names = _PARAMETER_AXES.get(what, ())
    on_lines = isinstance(layer, OnLines)
    kind = layer.kind if isinstance(layer, OnLines) else type(layer)
    if issubclass(kind, layers.Conv2DTranspose):
        names = "rows", "columns", "filters", "channels"
    return ("steps", *names[2:]) if on_lines and names else names


def _check_what(entry: TraceEntry, what: Any) -> None:
    layer = entry.layer
    if entry.dy is None:
        raise ValueError(
            f"No gradient reached {layer.label}: model.trace(x, y=labels) also goes backward, and "
            "reaches the layers that the loss depends on."
        )
    between = ["dh"] if isinstance(layer, layers.SeparableConv2D) else []
    known = [*layer.params, "dx", *between, "dy", "dz"]
    if what not in known:
        raise ValueError(f"{layer.label} has the gradients {', '.join(known)}. Received {what!r}.")
    if what in layer.params and what not in entry.grads:
        raise ValueError(
            f"{layer.label} is frozen (trainable=False): backward computes no gradient of its "
            f"{what}."
        )


def _given(entry: TraceEntry, what: str, source: Any) -> Array:
    """Return the array that backward computed."""
    if what in entry.grads:
        return entry.grads[what]
    if what == "dz":
        dz = entry.dz
        assert dz is not None
        return dz
    if what == "dh":
        return _dh(entry)
    parts = entry.dx if isinstance(entry.dx, list) else [entry.dx]
    if not isinstance(source, (int, np.integer)) or not 0 <= source < len(parts):
        raise ValueError(
            f"{entry.layer.label} has the inputs 0…{len(parts) - 1}. Received source={source!r}."
        )
    part: Array = parts[source]
    return part


def function_for(layer: Layer, what: str) -> Function:
    """Return the function that explains this gradient of the layer, or raise `UnknownError`."""
    if what == "dz":
        return _activation
    for cls in kinds_of(layer):
        if (cls, what) in GRADIENTS:
            return GRADIENTS[cls, what]
    if layer.defines_call:
        raise UnknownError(unexplained(layer))
    raise UnknownError(
        f"{layer.label} is of a kind whose {what} minicnn.explain does not know: define it, with "
        f"@minicnn.explain.gradient_of({type(layer).__name__}, what={what!r}) above a "
        "function(layer, entry, dz, query) that returns a minicnn.explain.GradientSum; "
        "help(minicnn.explain.gradient_of) has an example."
    )


# -- convolutions ------------------------------------------------------------------------------


def _kernel_terms(
    dz: Array, x: Array, geometry: shapes.Window, tap: Sequence[int], channel: int, unit: int
) -> Terms:
    """Return a kernel gradient's terms: dz of every window times the pixel under this tap."""
    examples, places, gradients = all_positions(dz, unit)
    rows, cols = (
        places[:, axis] * geometry.strides[axis]
        - geometry.before[axis]
        + tap[axis] * geometry.dilation[axis]
        for axis in (0, 1)
    )
    inside = (rows >= 0) & (rows < x.shape[1]) & (cols >= 0) & (cols < x.shape[2])
    factors = np.zeros(len(rows))
    factors[inside] = x[examples[inside], rows[inside], cols[inside], channel]
    pixels = np.stack([rows, cols, np.full(len(rows), channel)], axis=1)
    terms = make_gradient_terms(examples, places, gradients, factors, pixels)
    at = terms.factor_at
    terms.padded = (
        (at[:, 0] < 0) | (at[:, 0] >= x.shape[1]) | (at[:, 1] < 0) | (at[:, 1] >= x.shape[2])
    )
    return terms


def _kernel_formula(
    name: str, query: Query, geometry: shapes.Window, channel: int, unit: int
) -> str:
    index = ", ".join(
        _scaled(letter, stride, tap * dilation - before)
        for letter, stride, tap, dilation, before in zip(
            "rc", geometry.strides, query.at, geometry.dilation, geometry.before, strict=False
        )
    )
    left = f"d{name}{show.place(query.at)}"
    return f"{left} = Σ over n, r, c of dz[n, r, c, {unit}]·x[n, {index}, {channel}]"


def _scaled(letter: str, stride: int, offset: int) -> str:
    text = letter if stride == 1 else f"{stride}{letter}"
    return text if offset == 0 else f"{text}{offset:+d}"


def outputs_on(pixel: int, axis: int, geometry: shapes.Window) -> list[tuple[int, int]]:
    """Return (tap, output) of all windows that cover this pixel, along one axis."""
    found = []
    for tap in range(geometry.kernel[axis]):
        distance = pixel + geometry.before[axis] - tap * geometry.dilation[axis]
        output, rest = divmod(distance, geometry.strides[axis])
        if rest == 0 and 0 <= output < geometry.out[axis]:
            found.append((tap, output))
    return found


def _pixel_terms(
    dz: Array, query: Query, geometry: shapes.Window, units: Sequence[int], weight: Any
) -> Terms:
    """Return terms of dx: dz of all windows that cover a pixel, in all `units`, times weights.

    `weight(i, j)` returns (values, places): a weight for each unit, and its place in the kernel.
    """
    places, gradients, factors, kernel_places = [], [], [], []
    for i, row in outputs_on(query.at[0], 0, geometry):
        for j, col in outputs_on(query.at[1], 1, geometry):
            values, where = weight(i, j)
            places += [(row, col, unit) for unit in units]
            gradients += dz[query.example, row, col, units].tolist()
            factors += values.tolist()
            kernel_places += where
    width = 4
    return make_gradient_terms(
        query.example,
        np.array(places, np.intp).reshape(-1, 3),
        np.array(gradients),
        np.array(factors),
        np.array(kernel_places, np.intp).reshape(-1, width),
    )


def _pixel_formula(query: Query, kernel: str) -> str:
    return (
        f"dx{show.place(query.at)} = Σ dz[r, c, o]·{kernel} over the windows on this pixel, "
        "and their filters"
    )


@gradient_of(layers.Conv2D, what="kernel")
def _conv2d_kernel(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    (x,), (i, j, c, unit) = entry.xs, query.at
    geometry = window_of(layer, x.shape[1:])
    each = layer.kernel.shape[2]
    channel = unit // (layer.filters // layer.groups) * each + c
    return GradientSum(
        _kernel_terms(dz, x, geometry, (i, j), channel, unit),
        _kernel_formula("kernel", query, geometry, channel, unit),
        magnitude=winograd_sum(layer, geometry, x[..., channel], dz[..., unit]),
    )


def winograd_sum(layer: Any, window: shapes.Window, x: Array, dz: Array) -> float | None:
    """Return the size of the numbers that Winograd's algorithm rounds for dw, or None.

    In its tiles, dz also multiplies nearby pixels of x. Both are (batch, rows, columns).
    """
    if not by_winograd(layer, window, x.dtype):
        return None
    most = np.abs(x).max(axis=(1, 2), initial=0.0).astype(np.float64)
    return float((np.abs(dz).sum(axis=(1, 2)) * most).sum())


@gradient_of(layers.Conv2D, what="dx")
def _conv2d_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    geometry = window_of(layer, entry.xs[0].shape[1:])
    kernel = layer.kernel.value
    group, c = divmod(query.at[2], kernel.shape[2])
    each = layer.filters // layer.groups
    units = list(range(group * each, (group + 1) * each))

    def weight(i: int, j: int) -> tuple[Array, list[Any]]:
        return kernel[i, j, c, units], [(i, j, c, unit) for unit in units]

    # The flipped kernel slides over dz, around the output whose middle tap is on this pixel.
    middle = [query.at[axis] + geometry.before[axis] - 1 for axis in (0, 1)]
    sent = dz[query.example][:, :, units]
    return GradientSum(
        _pixel_terms(dz, query, geometry, units, weight),
        _pixel_formula(query, f"kernel[i, j, {c}, o]"),
        magnitude=tile_magnitude(layer, geometry, sent, middle, kernel[:, :, c, units]),
    )


@gradient_of(
    layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D, layers.Dense, what="bias"
)
def _bias(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    return sum_over_positions(dz, query.at[0], "bias")


@gradient_of(layers.DepthwiseConv2D, what="kernel")
def _depthwise_kernel(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    (x,), (i, j, c, copy) = entry.xs, query.at
    geometry = window_of(layer, x.shape[1:])
    unit = c * layer.kernel.shape[3] + copy
    return GradientSum(
        _kernel_terms(dz, x, geometry, (i, j), c, unit),
        _kernel_formula("kernel", query, geometry, c, unit),
    )


@gradient_of(layers.DepthwiseConv2D, what="dx")
def _depthwise_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    geometry = window_of(layer, entry.xs[0].shape[1:])
    return GradientSum(
        _own_filters(dz, query, geometry, layer.kernel.value),
        _pixel_formula(query, f"kernel[i, j, {query.at[2]}, m]"),
    )


def _own_filters(dz: Array, query: Query, geometry: shapes.Window, kernel: Array) -> Terms:
    """Return the terms of dx through a depthwise kernel, where each channel has its own filters."""
    c, copies = query.at[2], kernel.shape[3]
    units = [c * copies + copy for copy in range(copies)]

    def weight(i: int, j: int) -> tuple[Array, list[Any]]:
        return kernel[i, j, c], [(i, j, c, copy) for copy in range(copies)]

    return _pixel_terms(dz, query, geometry, units, weight)


_BETWEEN = "dh, the gradient between the stages: Σ over o of dz[…, o]·pointwise_kernel[0, 0, m, o]."


def _dh(entry: TraceEntry) -> Array:
    """Compute the gradient between the two stages, as the layer's own backward does."""
    layer: Any = entry.layer
    dh = functional.conv2d_backward(
        np.ascontiguousarray(entry.dz),
        entry.cache["h"],
        layer.pointwise_kernel.value,
        need_dw=False,
        name=layer.label,
    )[0]
    assert dh is not None
    return dh


@gradient_of(layers.SeparableConv2D, what="pointwise_kernel")
def _separable_pointwise(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    h, (_, _, m, unit) = entry.cache["h"], query.at
    examples, places, gradients = all_positions(dz, unit)
    where = places.copy()
    where[:, 2] = m
    terms = make_gradient_terms(examples, places, gradients, h[..., m].ravel(), where)
    left = f"dpointwise_kernel{show.place(query.at)}"
    formula = f"{left} = Σ over n, r, c of dz[n, r, c, {unit}]·h[n, r, c, {m}]"
    return GradientSum(terms, formula, notes=["h is the output of the depthwise stage."])


@gradient_of(layers.SeparableConv2D, what="depthwise_kernel")
def _separable_depthwise(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    (x,), (i, j, c, copy) = entry.xs, query.at
    geometry = window_of(layer, x.shape[1:])
    unit = c * layer.depthwise_kernel.shape[3] + copy
    terms = _kernel_terms(_dh(entry), x, geometry, (i, j), c, unit)
    formula = _kernel_formula("depthwise_kernel", query, geometry, c, unit).replace("dz", "dh")
    return GradientSum(terms, formula, notes=[_BETWEEN], of="dh")


@gradient_of(layers.SeparableConv2D, what="dx")
def _separable_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    geometry = window_of(layer, entry.xs[0].shape[1:])
    terms = _own_filters(_dh(entry), query, geometry, layer.depthwise_kernel.value)
    formula = _pixel_formula(query, f"depthwise_kernel[i, j, {query.at[2]}, k]")
    formula = formula.replace("dz[r, c, o]", "dh[r, c, m]")
    return GradientSum(terms, formula, notes=[_BETWEEN], of="dh")


@gradient_of(layers.SeparableConv2D, what="dh")
def _separable_dh(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    (row, col, m), units = query.at, range(layer.filters)
    terms = make_gradient_terms(
        query.example,
        np.array([(row, col, unit) for unit in units]),
        dz[query.example, row, col],
        layer.pointwise_kernel.value[0, 0, m],
        np.array([(0, 0, m, unit) for unit in units]),
    )
    place = f"{row}, {col}"
    return GradientSum(
        terms, f"dh[{place}, {m}] = Σ over o of dz[{place}, o]·pointwise_kernel[0, 0, {m}, o]"
    )


@gradient_of(layers.ZeroPadding2D, what="dx")
def _zero_padding_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    (top, _), (left, _) = layer.padding
    at = (query.at[0] + top, query.at[1] + left, query.at[2])
    return one_output(query, dz, at, 1.0, f"dx{show.place(query.at)} = dy{show.place(at)}")


# -- pooling -----------------------------------------------------------------------------------


@gradient_of(layers.MaxPooling2D, what="dx")
def _max_pooling_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    (x,), (row, col, channel) = entry.xs, query.at
    geometry = window_of(layer, x.shape[1:])

    def is_maximum(i: int, j: int, place: tuple[int, int]) -> float:
        where = place_window(geometry, *place)
        rows, cols = (
            [p for p in taps if 0 <= p < size]
            for taps, size in zip((where.rows, where.cols), x.shape[1:3], strict=True)
        )
        seen = x[query.example, rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1, channel]
        first = int(np.argmax(seen))  # NaN counts as the largest
        return float(
            (row, col) == (rows[0] + first // seen.shape[1], cols[0] + first % seen.shape[1])
        )

    terms = _pooled_terms(dz, query, geometry, is_maximum)
    return GradientSum(
        terms,
        f"dx{show.place(query.at)} = Σ dy[r, c, {channel}] over windows with their maximum here",
        notes=[maximum_note(terms)],
    )


def maximum_note(terms: Terms) -> str:
    """Return in how many windows the pixel is, and of how many it is the maximum."""
    count = int((terms.factor > 0).sum())
    return f"This pixel is in {show.count(len(terms), 'window')}, and the maximum of {count}."


def _pooled_terms(
    dz: Array,
    query: Query,
    geometry: shapes.Window,
    share: Callable[[int, int, Any], float],
) -> Terms:
    pairs = [
        (i, j, (row, col))
        for i, row in outputs_on(query.at[0], 0, geometry)
        for j, col in outputs_on(query.at[1], 1, geometry)
    ]
    places = np.array([(*place, query.at[2]) for _, _, place in pairs], np.intp).reshape(-1, 3)
    taps = np.array([(i, j) for i, j, _ in pairs], np.intp).reshape(-1, 2)
    gradients = dz[query.example, places[:, 0], places[:, 1], places[:, 2]]
    factors = np.array([share(*pair) for pair in pairs])
    return make_gradient_terms(query.example, places, gradients, factors, taps)


@gradient_of(layers.AveragePooling2D, what="dx")
def _average_pooling_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    size = entry.xs[0].shape[1:3]
    geometry = window_of(layer, size)

    def share(i: int, j: int, place: tuple[int, int]) -> float:
        where = place_window(geometry, *place)
        rows, cols = (
            sum(0 <= p < n for p in taps)
            for taps, n in zip((where.rows, where.cols), size, strict=True)
        )
        return 1 / (rows * cols)

    return GradientSum(
        _pooled_terms(dz, query, geometry, share),
        f"dx{show.place(query.at)} = Σ dy[r, c, {query.at[2]}] / (real pixels under the window)",
    )


@gradient_of(layers.GlobalAveragePooling2D, what="dx")
def _global_average_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    pixels = entry.xs[0].shape[1] * entry.xs[0].shape[2]
    return _from_channel(query, dz, 1 / pixels, f"/ {pixels}")


@gradient_of(layers.GlobalMaxPooling2D, what="dx")
def _global_max_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    x = entry.xs[0][query.example, :, :, query.at[2]]
    maxima = int((x == x.max()).sum())
    if x[query.at[:2]] == x.max():
        found = _from_channel(query, dz, 1 / maxima, "" if maxima == 1 else f"/ {maxima}")
        more = f"one of {maxima} that share the gradient" if maxima > 1 else "the only one"
        found.notes.append(f"This pixel is the largest of its channel, {more}.")
        return found
    found = _from_channel(query, dz, 0.0, "· 0")
    found.notes.append("This pixel is not the largest of its channel.")
    return found


def _from_channel(query: Query, dz: Array, factor: float, text: str) -> GradientSum:
    at = (0,) * (dz.ndim - 2) + (query.at[2],)
    formula = f"dx{show.place(query.at)} = dy{show.place(at)} {text}".rstrip()
    return one_output(query, dz, at, factor, formula)


# -- dense, and element by element ---------------------------------------------------------------


@gradient_of(layers.Dense, what="kernel")
def _dense_kernel(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    (x,), (feature, unit) = entry.xs, query.at
    examples, places, gradients = all_positions(dz, unit)
    where = places.copy()
    where[:, -1] = feature
    terms = make_gradient_terms(examples, places, gradients, x[..., feature].ravel(), where)
    formula = f"dkernel{show.place(query.at)} = Σ over n of dz[n, …, {unit}]·x[n, …, {feature}]"
    return GradientSum(terms, formula)


@gradient_of(layers.Dense, what="dx")
def _dense_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    *before, feature = query.at
    units = np.arange(dz.shape[-1])
    places = np.concatenate(
        [np.tile(np.array(before, np.intp), (len(units), 1)), units[:, None]], axis=1
    )
    kernel_at = np.stack([np.full_like(units, feature), units], axis=1)
    terms = make_gradient_terms(
        query.example,
        places,
        dz[(query.example, *before)],
        layer.kernel.value[feature],
        kernel_at,
    )
    formula = f"dx{show.place(query.at)} = Σ over u of dz[…, u]·kernel[{feature}, u]"
    return GradientSum(terms, formula)


@gradient_of(layers.Activation, layers.Identity, what="dx")
def _passed_on(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    return same_place(query, dz, 1.0)


@gradient_of(layers.Rescaling, what="dx")
def _rescaling_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    scale = np.broadcast_to(np.array(layer.scale, dz.dtype), dz.shape[-1:])[query.at[-1]]
    return same_place(query, dz, float(scale), " · scale")


@gradient_of(layers.Flatten, layers.Reshape, what="dx")
def _reshape_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    flat = np.ravel_multi_index(query.at, entry.xs[0].shape[1:])
    at = tuple(int(i) for i in np.unravel_index(flat, dz.shape[1:]))
    return one_output(query, dz, at, 1.0, f"dx{show.place(query.at)} = dy{show.place(at)}")


@gradient_of(layers.Concatenate, what="dx")
def _concatenate_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    before = sum(entry.cache["channels"][: query.source])
    at = (*query.at[:-1], query.at[-1] + before)
    return one_output(query, dz, at, 1.0, f"dx{show.place(query.at)} = dy{show.place(at)}")


# -- batch normalization -----------------------------------------------------------------------


def _normalized(layer: Any, entry: TraceEntry, c: int) -> tuple[Array, float]:
    """Return x̂ of a channel at all positions, and 1 / √(σ² + ε), in float64."""
    mean, variance = (float(entry.cache[key][c]) for key in ("mean", "variance"))
    inverse = 1 / np.sqrt(variance + layer.epsilon)
    return (entry.xs[0][..., c].astype(np.float64) - mean) * inverse, float(inverse)


@gradient_of(layers.BatchNormalization, what="gamma")
def _gamma(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    (c,) = query.at
    examples, places, gradients = all_positions(dz, c)
    normal, _ = _normalized(layer, entry, c)
    terms = make_gradient_terms(examples, places, gradients, normal.ravel(), places)
    return GradientSum(
        terms, f"dgamma[{c}] = Σ dy[n, …, {c}]·x̂[n, …, {c}], x̂ = (x - μ) / √(σ² + ε)"
    )


@gradient_of(layers.BatchNormalization, what="beta")
def _beta(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    return sum_over_positions(dz, query.at[0], "beta")


@gradient_of(layers.BatchNormalization, what="dx")
def _batch_normalization_dx(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    c = query.at[-1]
    normal, inverse = _normalized(layer, entry, c)
    gamma = float(layer.gamma.value[c]) if layer.gamma else 1.0
    scale, place = gamma * inverse, show.place(query.at)
    if not entry.cache["training"]:
        return same_place(query, dz, scale, f"·gamma[{c}] / √(σ² + ε)")
    examples, places, gradients = all_positions(dz, c)
    flat, own = normal.ravel(), normal[(query.example, *query.at[:-1])]
    here = (examples == query.example) & (places == np.array(query.at)).all(axis=1)
    factors = scale * (here - (1 + own * flat) / len(flat))
    steps = [
        Step("γ/√(σ² + ε)", "", scale),
        Step("mean of dy", f"over {len(flat):,} places", float(gradients.mean(dtype=np.float64))),
        Step("mean of dy·x̂", "", float((gradients * flat).mean())),
        Step("x̂", "here", float(own)),
    ]
    return GradientSum(
        make_gradient_terms(examples, places, gradients, factors, places),
        f"dx{place} = gamma[{c}]/√(σ² + ε)·(dy{place} - mean of dy - x̂{place}·mean of dy·x̂)",
        steps,
        ["Each x of the batch changed the mean and the variance, so all of dy counts."],
    )


# -- through an activation ---------------------------------------------------------------------


def _activation(layer: Any, entry: TraceEntry, dz: Array, query: Query) -> GradientSum:
    """Get dz from dy: multiply by the activation's slope; a softmax mixes all units of a place."""
    place, kind = show.place(query.at), layer.activation_name
    dy: Array = entry.dy
    if entry.at_logits:
        found = same_place(query, dy, 1.0)
        found.formula = f"dz{place} = (p - t)·weight, from the loss itself"
        found.notes.append(
            f"{kind} and the loss are differentiated together, which is exact: see "
            "trace.explain_loss_gradient."
        )
        return found
    if kind == "linear":
        found = same_place(query, dy, 1.0)
        found.formula = f"dz{place} = dy{place}"
        return found
    y: Array = entry.cache["y"].astype(np.float64)
    value = float(y[(query.example, *query.at)])
    if kind == "softmax":
        return softmax_dz(dy, y, query)
    if kind == "log_softmax":
        return _log_softmax_dz(dy, y, query)
    z = entry.cache.get("z")
    before = value if z is None else float(z[(query.example, *query.at)])
    slope, text = slope_of(kind, before, value)
    found = same_place(query, dy, slope)
    found.formula = f"dz{place} = dy{place}·({text})"
    found.magnitude = abs(float(dy[(query.example, *query.at)]))
    return found


def _log_softmax_dz(dy: Array, y: Array, query: Query) -> GradientSum:
    *before, k = query.at
    p = np.exp(y[(query.example, *before)])
    received = dy[(query.example, *before)].astype(np.float64)
    units = np.arange(len(p))
    places = np.concatenate(
        [np.tile(np.array(before, np.intp), (len(units), 1)), units[:, None]], axis=1
    )
    return GradientSum(
        make_gradient_terms(query.example, places, received, (units == k) - p[k], places),
        f"dz{show.place(query.at)} = dy[{k}] - softmax(z)[{k}]·Σ over j of dy[j]",
        magnitude=float(abs(received[k]) + p[k] * np.abs(received).sum()),
    )
