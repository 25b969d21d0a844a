"""A depthwise convolution filters each channel by itself."""

from typing import Any

import numpy as np

from minicnn import kernels, naive, shapes
from minicnn.functional import buffers
from minicnn.functional.checks import check_gradient
from minicnn.functional.convolution import Convolution, check_convolution
from minicnn.functional.elementwise import limits_of
from minicnn.functional.epilogue import UNBOUNDED, clamp_of
from minicnn.functional.sums import PARTS, sum_positions
from minicnn.shapes import Pair

Array = np.ndarray


def _check_depthwise(
    x: Array,
    w: Array,
    b: Array | None,
    strides: Any,
    padding: Any,
    dilation_rate: Any,
    algorithm: Any,
    name: str,
) -> Convolution:
    shapes.check_array(w, 4, "w", name)
    shapes.choice(algorithm, ("auto", "naive"), "algorithm", name)
    filters = w.shape[2] * w.shape[3]
    return check_convolution(x, w, b, strides, padding, dilation_rate, 1, algorithm, name, filters)


def _flat_filters(w: Array) -> Array:
    """(rows, columns, channels, multiplier) as (rows, columns, channels * multiplier)."""
    return shapes.contiguous(w).reshape(*w.shape[:2], -1)


def _repeat_channels(x: Array, multiplier: int) -> Array:
    """Each channel `multiplier` times: as many channels as filters, so that each has one filter."""
    x = shapes.contiguous(x)
    if multiplier == 1:
        return x
    y = buffers.empty((*x.shape[:3], x.shape[3] * multiplier), x.dtype)
    kernels.depthwise.repeat(x.reshape(-1), multiplier, y.reshape(-1))
    return y


def _sum_channels(dy: Array, multiplier: int) -> Array:
    """The backward pass of `_repeat_channels`: the sum over each channel's copies."""
    if multiplier == 1:
        return dy
    dx = buffers.empty((*dy.shape[:3], dy.shape[3] // multiplier), dy.dtype)
    kernels.depthwise.sum_runs(dy.reshape(-1), multiplier, dx.reshape(-1))
    return dx


def depthwise_conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    strides: int | Pair = (1, 1),
    padding: str = "valid",
    dilation_rate: int | Pair = (1, 1),
    algorithm: str = "auto",
    activation: str = "linear",
    name: str = "depthwise_conv2d",
) -> Array:
    """Depthwise convolution: every channel is filtered alone, with `multiplier` filters of its own.

        y[n, oy, ox, c * multiplier + m] = b[...] + sum over i, j of x[n, iy, ix, c] * w[i, j, c, m]

    `x` (batch, height, width, channels), `w` (rows, columns, channels, multiplier), `b`
    (channels * multiplier,) or None; y (batch, out_height, out_width, channels * multiplier).
    `algorithm` is "auto" or "naive": without a sum over channels there is no matrix to multiply.
    `activation` as in `conv2d`. Raises as `conv2d`.
    """
    how = _check_depthwise(x, w, b, strides, padding, dilation_rate, algorithm, name)
    window, filters, limits = how.window, w.shape[2] * w.shape[3], limits_of(activation, name)
    if how.algorithm == "naive":
        y = naive.depthwise_conv2d(x, w, b, window.strides, padding.lower(), window.dilation)
        return np.clip(y, *limits, out=y)
    x, w = _repeat_channels(x, w.shape[3]), _flat_filters(w)
    bias = np.zeros(filters, x.dtype) if b is None else shapes.contiguous(b)
    y = buffers.empty((x.shape[0], *window.out, filters), x.dtype)
    clamp = clamp_of(limits, x.dtype)
    geometry = window.strides, window.dilation, window.before
    kernels.depthwise.forward(x, w, bias, clamp, *geometry, y)
    return y


def depthwise_conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    strides: int | Pair = (1, 1),
    padding: str = "valid",
    dilation_rate: int | Pair = (1, 1),
    algorithm: str = "auto",
    need_dx: bool = True,
    need_dw: bool = True,
    name: str = "depthwise_conv2d",
) -> tuple[Array | None, Array | None, Array | None]:
    """Gradients `(dx, dw, db)` of `depthwise_conv2d`; see `conv2d_backward` for the arguments."""
    how = _check_depthwise(x, w, None, strides, padding, dilation_rate, algorithm, name)
    window, filters = how.window, w.shape[2] * w.shape[3]
    dy = check_gradient(dy, (x.shape[0], *window.out, filters), x, name)
    if how.algorithm == "naive":
        dx, dw, db = naive.depthwise_conv2d_backward(
            dy, x, w, window.strides, padding.lower(), window.dilation
        )
        return dx if need_dx else None, dw if need_dw else None, db if need_dw else None
    geometry = window.strides, window.dilation, window.before
    dx_found: Array | None = None
    dw_found: Array | None = None
    db_found: Array | None = None
    if need_dx:
        each = buffers.empty((*x.shape[:3], filters), x.dtype)
        if window.strides == (1, 1):  # a depthwise convolution too, of dy with the kernel flipped
            flipped = shapes.contiguous(_flat_filters(w)[::-1, ::-1])
            sides = zip(window.kernel, window.dilation, window.before, strict=True)
            before = tuple((size - 1) * step - pad for size, step, pad in sides)
            nothing = np.zeros(filters, x.dtype), clamp_of(UNBOUNDED, x.dtype)
            kernels.depthwise.forward(dy, flipped, *nothing, (1, 1), window.dilation, before, each)
        else:
            kernels.depthwise.backward_input(dy, _flat_filters(w), *geometry, each)
        dx_found = _sum_channels(each, w.shape[3])
    if need_dw:
        parts = max(1, min(PARTS, len(dy) * window.out[0]))
        partial = np.empty((parts, *window.kernel, filters), x.dtype)
        repeated = _repeat_channels(x, w.shape[3])
        kernels.depthwise.backward_weight(dy, repeated, *geometry, partial)
        dw_found = partial.sum(axis=0).reshape(w.shape)
        db_found = sum_positions(dy)
    return dx_found, dw_found, db_found
