"""A convolution slides each filter over an image and sums up products at each position."""

from typing import Any, NamedTuple

import numpy as np

from minicnn import naive, shapes
from minicnn.functional import algorithms, channelwise
from minicnn.functional.checks import check_gradient, window_of
from minicnn.functional.elementwise import limits_of
from minicnn.functional.epilogue import NO_POOLING, Epilogue, pooled
from minicnn.shapes import Pair

Array = np.ndarray

ALGORITHMS = ("auto", *algorithms.ALGORITHMS, "naive")


class Convolution(NamedTuple):
    """A convolution whose arguments have been checked."""

    window: shapes.Window
    padding: str
    groups: int
    algorithm: str


def check_convolution(
    x: Array,
    w: Array,
    b: Array | None,
    strides: Any,
    padding: Any,
    dilation_rate: Any,
    groups: Any,
    algorithm: Any,
    name: str,
    filters: int | None = None,
) -> Convolution:
    """Check every argument of a convolution with `filters` filters, by default those of w."""
    shapes.check_array(x, 4, "x", name)
    shapes.check_array(w, 4, "w", name)
    strides = shapes.pair(strides, "strides", name)
    dilation = shapes.pair(dilation_rate, "dilation_rate", name)
    groups = shapes.positive_int(groups, "groups", name)
    padding = shapes.choice(padding, ("valid", "same"), "padding", name)
    algorithm = shapes.choice(algorithm, ALGORITHMS, "algorithm", name)
    if filters is None:
        filters = w.shape[3]
    if filters % groups:
        raise ValueError(
            f"{name} expects a number of filters divisible by its {groups} groups. "
            f"Received w.shape={w.shape}."
        )
    check_arrays(x, w, b, w.shape[2] * groups, filters, name)
    height, width = x.shape[1:3]
    kernel = (w.shape[0], w.shape[1])
    window = window_of((height, width), kernel, strides, padding, dilation, name)
    check_algorithm(algorithm, window, x.dtype, name)
    return Convolution(window, padding, groups, algorithm)


def check_arrays(
    x: Array, w: Array, b: Array | None, channels: int, filters: int, name: str
) -> None:
    """Check arrays of the right rank: x has these channels, and b a number for each filter."""
    if 0 in w.shape:
        raise ValueError(f"{name} expects a non-empty w. Received w.shape={w.shape}.")
    if x.shape[3] != channels:
        raise ValueError(f"{name} expects {channels} input channels. Received x.shape={x.shape}.")
    if b is not None:
        shapes.check_array(b, 1, "b", name)
        shapes.check_shape(b, (filters,), "b", name)
    shapes.check_same_dtype({"x": x, "w": w, "b": b}, name)


def check_algorithm(algorithm: str, window: shapes.Window, dtype: np.dtype, name: str) -> None:
    """Raise a `ValueError` if this algorithm cannot compute with such a window and dtype."""
    known = algorithms.ALGORITHMS.get(algorithm)
    if known is not None and not known.can(window, dtype):
        (rows, columns), strides, dilation = window.kernel, window.strides, window.dilation
        raise ValueError(
            f'{name} expects {known.needs} for algorithm="{algorithm}". Received {dtype}, '
            f"a {rows}x{columns} kernel, strides={strides}, dilation_rate={dilation}."
        )


def algorithm_for(how: Convolution, x: Array, w: Array) -> Any:
    """Return the requested algorithm, or the one that "auto" chooses for each group."""
    name = how.algorithm
    if name == "auto":
        channels, filters = w.shape[2], w.shape[3] // how.groups
        name = algorithms.choose(how.window, x.dtype, channels, filters, len(x))
    return algorithms.ALGORITHMS[name]


def is_channelwise(how: Convolution, w: Array) -> bool:
    """Return whether each group is one channel, as in ConvNeXt: there is no sum over channels."""
    return how.algorithm == "auto" and how.groups > 1 and w.shape[2] == 1


def _by_channel(w: Array, groups: int) -> Array:
    """Reshape (rows, columns, 1, filters) to the kernel of a depthwise convolution."""
    return w.reshape(*w.shape[:2], groups, -1)


def split_channels(x: Array, groups: int) -> list[Array]:
    """Return each group's own channels, contiguous."""
    if groups == 1:
        return [shapes.contiguous(x)]
    return [shapes.contiguous(part) for part in np.split(x, groups, axis=-1)]


def join_channels(parts: list[Array]) -> Array:
    """Return the channels of all groups, side by side again."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


def conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    strides: int | Pair = (1, 1),
    padding: str = "valid",
    dilation_rate: int | Pair = (1, 1),
    groups: int = 1,
    algorithm: str = "auto",
    activation: str = "linear",
    scale: Array | None = None,
    name: str = "conv2d",
) -> Array:
    """Convolution (cross-correlation, as in all CNN libraries).

        y[n, oy, ox, o] = b[o] + sum over i, j, c of x[n, iy, ix, c] * w[i, j, c, o]
        iy = oy * strides[0] + i * dilation_rate[0] - padding above,  ix likewise

    Args:
        x: (batch, height, width, channels).
        w: (rows, columns, channels / groups, filters).
        b: (filters,) or None.
        strides, padding, dilation_rate, groups: as in Keras's `Conv2D`; "same" pads as described
            in `minicnn.shapes`.
        algorithm: see the top of `minicnn.functional`.
        activation: "linear", "relu" or "relu6", applied while y is still in the processor's
            registers; another pass over a large y costs as much time as a small convolution.
        scale: (filters,) or None: filter o is w[..., o] * scale[o]; for a normalization that is
            folded into the convolution.

    Returns:
        y (batch, out_height, out_width, filters), of x's dtype.

    Raises:
        TypeError: an array that is not a float32 or float64 NumPy array, or mixed dtypes.
        ValueError: a wrong rank, channels that do not fit `w`, a window larger than the input, or
            an option that is not one of those named here.
    """
    how = check_convolution(x, w, b, strides, padding, dilation_rate, groups, algorithm, name)
    check_scale(scale, x, w, name)
    return convolve(how, x, w, Epilogue(scale, b, limits_of(activation, name)))[0]


def check_scale(scale: Array | None, x: Array, w: Array, name: str) -> None:
    """Raise an error unless scale is None, or has a number of x's dtype for each filter."""
    if scale is not None:
        shapes.check_array(scale, 1, "scale", name)
        shapes.check_shape(scale, (w.shape[3],), "scale", name)
        shapes.check_same_dtype({"x": x, "scale": scale}, name)


def convolve(
    how: Convolution, x: Array, w: Array, epilogue: Epilogue
) -> tuple[Array, Array | None]:
    """Compute a checked convolution: y, and the argmax of a pooling that remembers it."""
    window, groups = how.window, how.groups
    scale, b, limits, pooling = epilogue
    if how.algorithm == "naive":
        w = w if scale is None else w * scale
        y = naive.conv2d(x, w, b, window.strides, how.padding, window.dilation, groups)
        np.clip(y, *limits, out=y)
        if pooling == NO_POOLING:
            return y, None
        if not pooling.remember:
            return naive.max_pool2d(y, pooling.size, pooling.size), None
        return naive.largest_of_blocks(y, pooling.size, limits)
    if is_channelwise(how, w):
        w = w if scale is None else w * scale
        y = channelwise.forward(x, _by_channel(w, groups), b, limits, window)
        return pooled(y, pooling, limits)
    forward = algorithm_for(how, x, w).forward
    parts = zip(
        split_channels(x, groups),
        split_channels(w, groups),
        epilogue.of_groups(groups),
        strict=True,
    )
    found = [forward(part, kernel, window, end) for part, kernel, end in parts]
    argmax = [numbers for _, numbers in found if numbers is not None]
    return join_channels([y for y, _ in found]), join_channels(argmax) if argmax else None


def conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    strides: int | Pair = (1, 1),
    padding: str = "valid",
    dilation_rate: int | Pair = (1, 1),
    groups: int = 1,
    algorithm: str = "auto",
    need_dx: bool = True,
    need_dw: bool = True,
    name: str = "conv2d",
    need_db: bool = True,
) -> tuple[Array | None, Array | None, Array | None]:
    """Return the gradients `(dx, dw, db)` of `conv2d`, given `dy` of the shape of its output.

        dx[n, iy, ix, c] = sum of dy[n, oy, ox, o] * w[i, j, c, o]      over all windows on (iy, ix)
        dw[i, j, c, o]   = sum of dy[n, oy, ox, o] * x[n, iy, ix, c]    over all windows
        db[o]            = sum of dy[n, oy, ox, o]

    Gradients that are not needed (`need_dx=False`; `need_dw=False` for dw and db; `need_db=False`
    for db, if there is no bias) cost nothing and are None. Raises as `conv2d`, and a `ValueError`
    for a `dy` of another shape than y.
    """
    how = check_convolution(x, w, None, strides, padding, dilation_rate, groups, algorithm, name)
    window = how.window
    dy = check_gradient(dy, (x.shape[0], *window.out, w.shape[3]), x, name)
    if how.algorithm == "naive":
        found = naive.conv2d_backward(
            dy, x, w, window.strides, padding.lower(), window.dilation, groups
        )
        dw, db = found[1:] if need_dw else (None, None)
        return found[0] if need_dx else None, dw, db if need_db else None
    dx = dw = db = None
    if is_channelwise(how, w):
        each = _by_channel(w, groups)
        if need_dx:
            dx = channelwise.input_gradient(dy, x.shape, each, window)
        if need_dw:
            dw, db = channelwise.weight_gradient(dy, x, each.shape, window, need_db)
            dw = dw.reshape(w.shape)
        return dx, dw, db
    chosen = algorithm_for(how, x, w)
    dys, xs, ws = (split_channels(a, groups) for a in (dy, x, w))
    if need_dx:
        size = x.shape[1], x.shape[2]
        dxs = [chosen.input_gradient(*part, window, size) for part in zip(dys, ws, strict=True)]
        dx = join_channels(dxs)
    if need_dw:
        parts = zip(dys, xs, strict=True)
        dws, dbs = zip(*(chosen.weight_gradient(*part, window, need_db) for part in parts))
        dw, db = join_channels(list(dws)), join_channels(list(dbs)) if need_db else None
    return dx, dw, db
